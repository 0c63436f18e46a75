"""The gallery's scripts, as they stand; building the documentation runs them."""

import ast
import importlib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
GALLERY = {
    "plot_quickstart_table",
    "plot_digits",  # quickstart images
    "plot_latent_space",
    "plot_pipeline_and_search",
    "plot_choosing_a_likelihood",
    "plot_own_network",
    "plot_out_of_core",
    "plot_anomaly",
    "plot_comparison",
    "plot_mnist",
    "plot_missing_values",
    "plot_missing_pixels",
    "plot_conditional_digits",
    "plot_cells",
    "plot_colour_patches",
    "plot_few_labels",
}
NOT_RUN = {"mnist_in_full"}
MAX_STATEMENTS = 80
NETWORK_MODULES = {"http", "pooch", "requests", "socket", "urllib"}


def parsed(name):
    return ast.parse((EXAMPLES / f"{name}.py").read_text())


def imported(tree):
    """Return ``(module, name)`` of all imports; the name is None where the module itself is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


def names_used(tree):
    """Return every name and attribute in the code."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def fetches(tree):
    """Return what in a script asks the network."""
    by_name = {name for name in names_used(tree) if name.startswith(("fetch_", "urlopen"))}
    modules = {module for module, _ in imported(tree) if module.split(".")[0] in NETWORK_MODULES}
    names = {name for _, name in imported(tree) if (name or "").startswith("fetch_")}
    return by_name | modules | names


def private_names(tree):
    """Return what a script takes from skvae that is not public."""
    for module, name in imported(tree):
        if module.split(".")[0] != "skvae":
            continue
        public = importlib.import_module(module)
        underscored = any(part.startswith("_") for part in module.split("."))
        if underscored or (name is not None and name not in public.__all__):
            yield f"{module}.{name}"


def test_the_gallery_has_all_its_pages_and_no_others():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == GALLERY | NOT_RUN
    assert (EXAMPLES / "README.txt").read_text().startswith("Examples\n====")


@pytest.mark.parametrize("name", sorted(GALLERY | NOT_RUN))
class TestEveryExample:
    def test_compiles(self, name):
        compile(parsed(name), name, "exec")

    def test_begins_with_a_title_and_says_what_it_shows(self, name):
        over, title, under, blank, *text = ast.get_docstring(parsed(name)).splitlines()
        assert set(over) == set(under) == {"="}
        assert len(over) == len(under) >= len(title)
        assert not blank
        assert len(" ".join(text)) > 150

    def test_takes_only_public_names_of_skvae(self, name):
        tree = parsed(name)
        assert any(module.split(".")[0] == "skvae" for module, _ in imported(tree))
        assert not list(private_names(tree))


@pytest.mark.parametrize("name", sorted(GALLERY))
class TestEveryExampleThatIsRun:
    def test_asks_no_network(self, name):
        assert not fetches(parsed(name))

    def test_is_cells_of_text_and_code(self, name):
        assert (EXAMPLES / f"{name}.py").read_text().count("\n# %%\n") >= 3

    def test_draws(self, name):
        assert "plt" in names_used(parsed(name))

    def test_is_short(self, name):
        statements = [node for node in ast.walk(parsed(name)) if isinstance(node, ast.stmt)]
        assert len(statements) < MAX_STATEMENTS

    def test_repeats(self, name):
        assert "random_state" in {
            keyword.arg for node in ast.walk(parsed(name)) if isinstance(node, ast.Call)
            for keyword in node.keywords
        }  # fmt: skip


def test_titles_differ():
    titles = [ast.get_docstring(parsed(name)).splitlines()[1] for name in GALLERY | NOT_RUN]
    assert len(set(titles)) == len(titles)


def test_a_fetch_and_a_private_name_would_be_found():
    tree = ast.parse(
        "from sklearn.datasets import fetch_openml\nimport urllib.request\n"
        "from skvae._vae import VariationalAutoencoder\nfrom skvae.display import tiles"
    )
    assert fetches(tree) == {"fetch_openml", "urllib.request"}
    assert list(private_names(tree)) == [
        "skvae._vae.VariationalAutoencoder",
        "skvae.display.tiles",
    ]
