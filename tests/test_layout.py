"""The layers: which module may import which of ours."""

import ast
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent
LEAVES = ["_parameters", "_version", "initialization", "exceptions", "functional", "_files"]
LEAVES += ["_allotment", "_numbers", "callbacks"]
PARTS = ["likelihoods", "priors", "posteriors"]
ALLOWED = (
    {leaf: set() for leaf in LEAVES}
    | {part: {part, "_parameters", "initialization", "distributions"} for part in PARTS}
    | {
        "distributions": {"distributions", "functional"},
        "networks": {"functional", "initialization"},
        "_modelfile": {"_files"},
        "model": set(),
        "objectives": {"_parameters", "distributions", "model"},
        "_training": {"_training", "model", "networks", "objectives"},
        "_quadrature": {"_training"},
        "_inference": {"_quadrature", "_training", "model", "objectives"},
        "_assemble": {*PARTS, "initialization", "model", "networks", "objectives"},
        "_validation": {"_training", "likelihoods"},
        "_vae": {"_assemble", "_inference", "_modelfile", "_training", "_validation"}
        | {"_model_card", "_version", "exceptions", "networks"},
        "_model_card": {"_version", "likelihoods"},
        "persistence": {"_allotment", "_assemble", "_modelfile", "_vae"},
        "_fitted": {"_vae"},
        "metrics": {"metrics", "_fitted", "_inference", "_numbers", "_parameters", "_training"}
        | {"_validation", "_vae", "distributions"},
        "sampling": {"sampling", "_fitted", "_numbers", "_training", "_vae"},
        "export": {"export", "_files", "_fitted", "_vae", "_version", "networks"},
        "display": {"_fitted", "_numbers", "_validation", "_vae", "display", "sampling"},
        "_explore": {"_explore", "_files", "_numbers", "display"},
        "__init__": {"_explore", "_vae", "_version", "exceptions", "persistence"},
    }
)
TORCH_ONLY = [*PARTS, "initialization", "distributions", "functional", "networks", "model"]
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
            "__future__", "collections", "dataclasses", "functools", "itertools", "math",
            "skvae", "torch", "typing", "zuko",
        }  # fmt: skip


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_matplotlib_is_imported_inside_methods(path):
    top = ast.parse(path.read_text()).body
    names = [ast.unparse(node) for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("matplotlib" in name for name in names)
