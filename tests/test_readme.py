"""What the documents tell users to type: the commands agree, and the code runs."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "docs/user_guide.md"]


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


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_blocks_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "document"}
    found = blocks((ROOT / name).read_text(), "python")
    assert found
    for block in found:
        exec(compile(block, name, "exec"), namespace)
    plt.close("all")


@pytest.mark.parametrize("name", [*DOCUMENTS, "CHANGELOG.md", ".ci/run"])
def test_no_path_of_one_machine(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"/(work|tmp|home|root)\b", text)
