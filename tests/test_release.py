"""What is released: one version, floors that are written once, a wheel with all it needs."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import skvae

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WHEEL_BYTES = 460_000
"""What the sources take today, and little more: tests, data and pictures do not belong in it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel with the backend that is installed."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_is_small_and_has_every_file_of_the_package(wheel):
    assert wheel.stat().st_size < WHEEL_BYTES
    assert wheel.name == f"skvae-{skvae.__version__}-py3-none-any.whl"
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info" not in name}
    files = [path for path in (ROOT / "skvae").rglob("*") if path.is_file()]
    ours = {str(p.relative_to(ROOT)) for p in files if "__pycache__" not in p.parts}
    assert packed == ours
    assert "skvae/py.typed" in packed


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["dynamic"]
    assert skvae.__version__ == metadata.version("skvae")
    texts = [*ROOT.glob("*.toml"), *ROOT.glob("*.cff"), *ROOT.glob("skvae/**/*.py")]
    named = [path.name for path in texts if f'"{skvae.__version__}"' in path.read_text()]
    assert named == ["_version.py"]
    assert "\nversion:" not in (ROOT / "CITATION.cff").read_text()
    assert f"## [{skvae.__version__.removesuffix('.dev0')}]" in (ROOT / "CHANGELOG.md").read_text()


def floors():
    """Return ``name: version`` for every floor of the core and of what the tests need."""
    extras = PROJECT["optional-dependencies"]
    needed = PROJECT["dependencies"] + [line for name in extras for line in extras[name]]
    return dict(line.split(">=") for line in needed if ">=" in line)


def test_the_oldest_versions_are_the_floors():
    lines = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    oldest = dict(line.split("==") for line in lines if "==" in line)
    core = {line.split(">=")[0] for line in PROJECT["dependencies"]}
    assert core - {"torch"} <= set(oldest)
    for name in set(oldest) & set(floors()):
        assert oldest[name].startswith(floors()[name]), name


@pytest.mark.parametrize("name", ["tests", "docs", "release"])
def test_workflows_run_what_is_there(name):
    text = (ROOT / f".github/workflows/{name}.yml").read_text()
    for path in re.findall(r"(?:bash|cp|-c) (\S+\.(?:txt|py)|\.ci/run)\b", text):
        assert (ROOT / path).is_file(), path
    for extra in re.findall(r'"\.\[(\w+)\]"', text):
        assert extra in PROJECT["optional-dependencies"]


def test_the_documentation_is_built_by_one_command_everywhere():
    command = 'pip install -c constraints.txt -e ".[docs]" && sphinx-build -W docs docs/_build/html'
    for path in (".ci/run", ".github/workflows/docs.yml", "CONTRIBUTING.md"):
        assert command in (ROOT / path).read_text(), path
