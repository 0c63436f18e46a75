"""The pages of the API reference hold what ``__all__`` names, all of it and once."""

import importlib.util
import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from sklearn.base import ClassifierMixin

import skvae
from skvae.likelihoods import Gaussian, Likelihood
from tests.public import CLASSES, MODULES, each, members


def extension():
    """Import the extension of Sphinx that writes the pages."""
    path = Path(__file__).parents[1] / "docs/_ext/api.py"
    spec = importlib.util.spec_from_file_location("docs_api", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


API = extension()
PAGES = API.pages()


def paths():
    """Return for every object that has a public name the dotted ways to it."""
    found = {}
    for module in MODULES:
        for name in sorted({*module.__all__} - {"__version__"}):
            found.setdefault(id(getattr(module, name)), []).append(f"{module.__name__}.{name}")
    return list(found.values())


@pytest.mark.parametrize("names", paths(), ids=lambda names: names[0])
def test_every_public_name_has_one_page_and_one_line(names):
    (listed,) = (name for name in names if f"{name}.rst" in PAGES)
    module, _, name = listed.rpartition(".")
    line = rf"^   (?:{module}\.)?{name}$"
    assert re.findall(line, PAGES[f"{module}.rst"], re.MULTILINE) == [f"   {name}", f"   {listed}"]


def test_there_are_no_other_pages():
    modules = {names[0].rpartition(".")[0] for names in paths()}
    assert len(PAGES) == 1 + len(modules) + len(paths())


@each(CLASSES)
def test_pages_of_classes_have_all_members(item):
    pages = [text for text in PAGES.values() if f".. autoclass:: {item.value.__name__}\n" in text]
    names = sorted(member.name.rpartition(".")[2] for member in members(item.value))
    directive = re.compile(r"^\.\. auto(?:method|property):: \w+\.(\w+)$", re.MULTILINE)
    assert names in [sorted(directive.findall(text)) for text in pages]


def test_offered_modules_come_first():
    offered, inside = PAGES["index.rst"].partition(".. toctree")[0].split("\nInside\n")
    modules = re.compile(r"^   (skvae[\w.]*)$", re.MULTILINE)
    assert modules.findall(offered) == ["skvae", *(f"skvae.{n}" for n in sorted(skvae._SUBMODULES))]
    assert {"skvae.model", "skvae.networks"} <= set(modules.findall(inside))


def test_an_override_shows_what_its_interface_takes_and_returns():
    own = ["Return the standardised row."]
    lines = list(own)
    API.complete(None, "method", "skvae.likelihoods.Gaussian.embed", None, {}, lines)
    _, header, sections = inspect.getdoc(Likelihood.embed).partition("Parameters\n")
    assert lines == [*own, "", *(header + sections).splitlines(), ""]


def test_an_override_does_not_show_that_its_interface_is_abstract():
    lines = []
    API.complete(None, "method", "skvae.likelihoods.Gaussian.forward", None, {}, lines)
    assert "Returns" in lines
    assert "Raises" not in lines


@pytest.mark.parametrize("what", ["method", "class"])
def test_full_docstrings_stay_as_they_are(what):
    lines = inspect.getdoc(Gaussian.initialize).splitlines()
    before = list(lines)
    API.complete(None, what, "skvae.likelihoods.Gaussian.initialize", None, {}, lines)
    assert lines == before


def test_only_changed_pages_are_written(tmp_path):
    app = SimpleNamespace(srcdir=tmp_path)
    API.write(app)
    page, stale = tmp_path / "api/index.rst", tmp_path / "api/skvae.gone.rst"
    before = page.stat().st_mtime_ns
    stale.write_text("")
    API.write(app)
    assert not stale.exists()
    assert page.stat().st_mtime_ns == before
    assert {file.name for file in page.parent.iterdir()} == set(PAGES)


def test_links_to_pages_of_scikit_learn_are_words():
    lines = ["Return :ref:`accuracy <accuracy_score>` on labels.", ":ref:`one <a>`, :ref:`two <b>`"]
    ours = list(lines)
    API.unlink(None, "method", "skvae.VAEClassifier.score", ClassifierMixin.score, {}, lines)
    assert lines == ["Return accuracy on labels.", "one, two"]
    API.unlink(None, "method", "skvae.load", skvae.load, {}, ours)
    assert ours[0].startswith("Return :ref:")
