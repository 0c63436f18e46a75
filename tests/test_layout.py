"""The layers: which module may import which of ours."""

import ast
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent
LEAVES = [
    "_conformal",
    "_names",
    "_numbers",
    "_version",
    "_template",
    "_files",
    "_uncompiled",
]
LEAVES += ["_factor_analysis", "_host", "initialization", "exceptions", "functional", "sources"]
FAMILIES = ["likelihoods", "priors", "posteriors"]
ALLOWED = (
    {leaf: set() for leaf in LEAVES}
    | {
        name: {name, "_names", "_parameters", "initialization", "distributions"}
        for name in FAMILIES
    }
    | {
        "likelihoods": {"_factor_analysis", "_names", "_parameters", "distributions"}
        | {"initialization", "likelihoods"},
        "_allotment": {"_uncompiled"},
        "_world": {"_files"},
        "_random": {"_world"},
        "callbacks": {"_world"},
        "_parameters": {"_names", "_numbers"},
        "_validation": {"_names"},
        "distributions": {"distributions", "functional"},
        "networks": {"functional", "initialization"},
        "model": {"distributions"},
        "_data": {"_data", "_factor_analysis", "_numbers", "_world", "model"},
        "objectives": {"_parameters", "distributions", "model"},
        "_modelfile": {"_files", "_template", "_world"},
        "_training": {"_data", "_modelfile", "_parameters", "_random", "_training", "_version"}
        | {"_uncompiled", "_world", "initialization", "model", "networks", "objectives"},
        "_linear_start": {"_factor_analysis", "model"},
        "_architecture": {*FAMILIES, "_linear_start", "_numbers", "initialization", "model"}
        | {"networks"},
        "_state": {*FAMILIES, "_architecture", "_data", "objectives"},
        "_quadrature": {"_data"},
        "_results": {"_data", "_training"},
        "_inference": {"_data", "_host", "_quadrature", "_training", "distributions", "likelihoods"}
        | {"model", "objectives"},
        "_model_card": {"_state", "_version", "likelihoods"},
        "_vae": {*FAMILIES, "_architecture", "_data", "_host", "_inference", "_model_card"}
        | {"_modelfile"}
        | {"_numbers", "_random", "_results", "_state", "_training", "_validation", "_version"}
        | {"_world"}
        | {"exceptions", "networks", "objectives"},
        "persistence": {*FAMILIES, "_allotment", "_classifier", "_conditional", "_host"}
        | {"_modelfile"}
        | {"_outliers", "_state", "_vae"},
        "_holder": {"_model_card", "_modelfile", "_state", "_validation"},
        "_conditional": {"_data", "_holder", "_numbers", "_state", "_vae"}
        | {"_validation", "_world"},
        "_classifier": {"_data", "_holder", "_numbers", "_state", "_vae"}
        | {"_validation", "_world", "priors"},
        "_outliers": {"_data", "_holder", "_random", "_state", "_vae"}
        | {"_validation", "_world", "exceptions", "likelihoods", "objectives"},
        "_clusters": {"_factor_analysis"},
        "_neighbours": {"_clusters"},
        "_trees": {"_clusters"},
        "_stacking": {"_clusters", "_factor_analysis", "_neighbours", "_numbers", "_trees"},
        "_imputer": {"_conformal", "_data", "_numbers", "_random", "_stacking", "_training"}
        | {"_vae", "_validation", "_world", "likelihoods", "objectives"},
        "_fitted": {"_vae"},
        "metrics": {"_data", "_fitted", "_inference", "_numbers", "_parameters", "_vae"}
        | {"distributions", "metrics"},
        "sampling": {"_data", "_fitted", "_numbers", "_random", "_uncompiled", "_vae", "sampling"},
        "export": {"_files", "_fitted", "_host", "_inference", "_outliers", "_quadrature", "_vae"}
        | {"_version", "distributions", "export", "model", "networks"},
        "display": {"_data", "_fitted", "_numbers", "_vae", "display", "sampling"},
        "_explore": {"_conditional", "_explore", "_files", "_numbers", "display"},
        "__init__": {"_classifier", "_conditional", "_explore", "_imputer", "_outliers", "_vae"}
        | {"_version", "_world", "exceptions", "persistence"},
    }
)
TORCH_ONLY = [*FAMILIES, "initialization", "distributions", "functional", "networks", "model"]
TORCH_ONLY += ["objectives"]


def imports(path):
    """Yield dotted names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path):
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("skvae.")}
    assert ours <= ALLOWED[layer(path)]
    if layer(path) in TORCH_ONLY:
        assert {name.split(".")[0] for name in imports(path)} <= {
            "__future__", "collections", "copy", "dataclasses", "functools", "itertools", "math",
            "skvae", "torch", "typing", "warnings", "zuko",
        }  # fmt: skip


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_matplotlib_is_imported_inside_methods(path):
    top = ast.parse(path.read_text()).body
    names = [ast.unparse(node) for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("matplotlib" in name for name in names)


def test_the_table_knows_no_layer_that_is_not_there():
    layers = {layer(path) for path in ROOT.rglob("*.py")}
    assert set(ALLOWED) == layers
    assert all(imported <= layers for imported in ALLOWED.values())
