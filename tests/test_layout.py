"""The layers: which module may import which of ours."""

import ast
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent
LEAVES = ["_parameters", "_version", "distributions", "exceptions", "networks", "_modelfile"]
PARTS = ["likelihoods", "priors", "posteriors"]
ALLOWED = (
    {leaf: set() for leaf in LEAVES}
    | {part: {"_parameters", "distributions"} for part in PARTS}
    | {
        "model": set(),
        "objectives": {"_parameters", "model"},
        "_training": {"_training", "model"},
        "_quadrature": {"_training"},
        "_inference": {"_quadrature", "_training", "model", "objectives"},
        "_assemble": {*PARTS, "model", "networks", "objectives"},
        "_validation": {"_training"},
        "_vae": {"_assemble", "_inference", "_modelfile", "_training", "_validation"}
        | {"_version", "exceptions", "networks"},
        "persistence": {"_assemble", "_modelfile", "_vae"},
        "display": {"display"},
        "__init__": {"_vae", "_version", "exceptions", "persistence"},
    }
)
TORCH_ONLY = [*PARTS, "distributions", "networks", "model", "objectives"]


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
            "__future__", "collections", "itertools", "math", "skvae", "torch", "typing",
        }  # fmt: skip


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_matplotlib_is_imported_inside_methods(path):
    top = ast.parse(path.read_text()).body
    names = [ast.unparse(node) for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("matplotlib" in name for name in names)
