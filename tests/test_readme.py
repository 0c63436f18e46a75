"""What the documents tell users to type: the commands agree, and the code runs."""

import inspect
import pydoc
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [str(path.relative_to(ROOT)) for path in PAGES if not {"_build", "api"} & set(path.parts)]
DOCUMENTS = ["README.md", *PAGES]
SOURCES = re.findall(
    r"^<!-- source: (\S+) -->\n```py\n(.*?)^```$",
    (ROOT / "docs/write_your_own.md").read_text(),
    re.DOTALL | re.MULTILINE,
)
"""Names of our objects, and the source that the document shows of each."""


def blocks(text, language):
    """Return the code blocks of a language in a Markdown text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_ci_runs_the_commands_of_the_readme():
    main_job, test = (block.strip() for block in blocks(README, "sh"))
    assert main_job.endswith("&& python examples/plot_digits.py")
    assert test.endswith("&& pytest")
    lines = [line.strip() for line in (ROOT / ".ci/run").read_text().splitlines()]
    assert lines.count(test) == lines.count(main_job) == 1
    assert lines.index(test) < lines.index(main_job)


WITHOUT_CODE = ["install", "results", "benchmarks", "changelog", "contributing"]
# Not among the packages of the tests: anndata holds pandas back. .ci/run runs these pages last.
OF_AN_EXTRA = {"docs/guide/cells.md": ("anndata", "igraph", "scanpy")}


def is_run(name):
    """Whether a document has code, and the packages that it asks for are here."""
    return Path(name).stem not in WITHOUT_CODE and all(map(find_spec, OF_AN_EXTRA.get(name, ())))


@pytest.mark.parametrize("name", list(filter(is_run, DOCUMENTS)))
def test_python_blocks_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "document"}
    found = blocks((ROOT / name).read_text(), "python")
    assert found
    for block in found:
        exec(compile(block, name, "exec"), namespace)


def test_there_is_a_source_of_every_kind():
    kinds = [name.split(".")[1] for name, _ in SOURCES]
    assert kinds == ["likelihoods", "priors", "posteriors", "objectives"]


@pytest.mark.parametrize(("name", "shown"), SOURCES, ids=[name for name, _ in SOURCES])
def test_sources_shown_are_the_sources(name, shown):
    assert shown == inspect.getsource(pydoc.locate(name))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_between_documents_lead_somewhere(name):
    # Gallery and API are written by Sphinx, whose build fails on a link that leads nowhere.
    for link in re.findall(
        r"\]\((?!https?:|auto_examples/|api/)([^)#]+)", (ROOT / name).read_text()
    ):
        assert ((ROOT / name).parent / link).exists(), link


@pytest.mark.parametrize("name", [*DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md", ".ci/run"])
def test_no_path_of_one_machine(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"/(work|tmp|home|root)\b", text)
