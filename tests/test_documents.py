"""What the site says beyond code that runs: formulas, links, calls in tables, recipes."""

import ast
import importlib.util
import inspect
import io
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from sklearn.datasets import load_iris
from skorch.callbacks import MlflowLogger, TrainEndCheckpoint, WandbLogger
from skorch.hf import HfHubStorage

import skvae
from skvae import VAEOutlierDetector, VariationalAutoencoder

DOCS = Path(__file__).parents[1] / "docs"
X = load_iris().data


def extension(name):
    """Import one of the site's own extensions of Sphinx."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mathml, names, pages = extension("mathml"), extension("names"), extension("pages")
dark = extension("dark")


def text(page):
    return (DOCS / page).read_text()


def without_code(markdown):
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", markdown, flags=re.DOTALL | re.MULTILINE)


WITH_FORMULAS = [
    "guide/model.md",
    "choosing_a_likelihood.md",
    "choosing_an_objective.md",
    "choosing_a_prior.md",
]


@pytest.mark.parametrize("page", WITH_FORMULAS)
def test_formulas_have_mathml(page):
    formulas = re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", without_code(text(page)), re.DOTALL)
    assert len(formulas) > 3
    for block, inline in formulas:
        assert "</math>" in mathml.mathml((block or inline).strip(), as_block=bool(block))


def test_log_x_has_a_space():
    assert "mspace" in mathml.mathml(r"\log x", as_block=False)
    assert "mspace" not in mathml.mathml(r"\log(x)", as_block=False)


def test_pictures_of_the_site_have_a_twin_for_dark_pages():
    shown = {
        (path.parent / picture).resolve()
        for path in DOCS.rglob("[!_]*.md")
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]*_static/[^)]+)\)", path.read_text())
    }
    assert len(shown) > 3
    for picture in shown:
        twin = picture.with_name(f"{picture.stem}_dark{picture.suffix}")
        assert picture.is_file()
        assert twin.is_file(), f"docs/make_pictures.py makes {twin.name}"
        assert max(picture.stat().st_size, twin.stat().st_size) < 400_000


def test_the_first_picture_is_small():
    first = re.search(r"!\[[^\]]*\]\((.+?)\)", (DOCS.parent / "README.md").read_text())[1]
    assert (DOCS.parent / first).stat().st_size <= 200_000


def test_a_figure_for_a_dark_page_keeps_what_has_a_colour():
    figure, ax = plt.subplots()
    (line,), (black,) = ax.plot([1, 2], color="#3f90da"), ax.plot([2, 1], color="k")
    points = ax.scatter([0, 1], [0, 1], c=[0, 1], cmap="viridis")
    colours = points.get_facecolor()
    label, legend = ax.set_xlabel("x"), ax.legend(["a", "b"])
    dark.darken(figure)
    assert (line.get_color(), black.get_color()) == ("#3f90da", dark.INK)
    assert label.get_color() == legend.get_texts()[0].get_color() == dark.INK
    assert to_hex(legend.get_frame().get_facecolor()) == dark.PAPER
    assert {to_hex(spine.get_edgecolor()) for spine in ax.spines.values()} == {dark.INK}
    np.testing.assert_array_equal(points.get_facecolor(), colours)
    plt.close(figure)


def test_a_thumbnail_is_of_a_panel_and_leaves_the_figure_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dark", dark)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4))
    for ax, colour in zip(axes, ["#ff0000", "#00ff00", "#0000ff"], strict=True):
        ax.set_facecolor(colour)
    figure.suptitle("three")
    extension("thumbnails").save_thumbnail(figure, [1], tmp_path / "plot")
    light, night = (plt.imread(tmp_path / f"plot_thumbnail{end}.png") for end in ("", "_dark"))
    assert light.shape == night.shape == (453, 648, 4)
    colours = {to_hex(pixel) for pixel in light[::9, ::9].reshape(-1, 4)}
    assert {"#ffffff", "#00ff00"} <= colours
    assert not {"#ff0000", "#0000ff"} & colours
    assert (light[0, 0, 3], night[0, 0, 3]) == (1, 0)  # what is white is transparent on a dark page
    assert len(figure.axes) == 3
    assert figure.get_size_inches().tolist() == [12, 4]
    plt.close(figure)


@pytest.mark.parametrize("urls", [{}, {"Repository": "https://host/skvae", "Issues": "https://i"}])
def test_the_header_has_the_version_and_the_links_that_there_are(urls, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "docs").mkdir()
    lines = [f'{name} = "{url}"\n' for name, url in urls.items()]
    (tmp_path / "pyproject.toml").write_text(
        "[project.urls]\n" * bool(urls) + "".join(lines) or "[project]"
    )
    conf = tmp_path / "docs/conf.py"
    conf.write_text(text("conf.py"))
    options = runpy.run_path(str(conf))["html_theme_options"]
    assert {link["name"]: link["url"] for link in options["icon_links"]} == urls
    assert options["navbar_end"][:2] == ["version", "navbar-icon-links"]
    assert "{{ version }}" in text("_templates/version.html")


def site_links(page):
    """Return the links of a page after the site has changed them."""
    source = [text(page)]
    env = SimpleNamespace(doc2path=lambda name: DOCS / name)
    pages.lead_to_pages(SimpleNamespace(env=env), page, source)
    return re.findall(r"\]\(([^)]+)\)", source[0])


@pytest.mark.parametrize("page", [str(path.relative_to(DOCS)) for path in DOCS.rglob("[!_]*.md")])
def test_no_link_of_the_site_leaves_the_documents(page):
    for link in site_links(page):
        assert link.startswith(("http", "/")) or (DOCS / page).parent.joinpath(
            link
        ).resolve().is_relative_to(DOCS)


def test_links_to_the_repository_become_pages():
    assert "/benchmarks.md" in site_links("guide/training.md")
    assert "/auto_examples/plot_digits.rst" in site_links("guide/pictures.md")


KNOWN = [
    "skvae.load",
    "skvae.VariationalAutoencoder.transform",
    "skvae.sampling.LatentDensitySampler",
    "skvae.sampling.LatentDensitySampler.sample",
]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("transform(X)", "skvae.VariationalAutoencoder.transform"),
        ("vae.transform(X)", "skvae.VariationalAutoencoder.transform"),
        ("LatentDensitySampler", "skvae.sampling.LatentDensitySampler"),
        ("LatentDensitySampler(vae).fit(X)", "skvae.sampling.LatentDensitySampler"),
        ("LatentDensitySampler.sample(2)", "skvae.sampling.LatentDensitySampler.sample"),
        ("skvae.load", "skvae.load"),
        ("transform", None),
        ("load", None),
        ("PCA(n_components=2)", None),
        ("skvae.nothing", None),
        ("0 to K−1", None),
    ],
)
def test_names_that_become_links(code, name):
    assert names.target(code, KNOWN) == name


PUBLIC = {
    name: getattr(module, name)
    for module in (
        *(getattr(skvae, name) for name in ("display", "likelihoods", "metrics", "objectives")),
        *(getattr(skvae, name) for name in ("posteriors", "priors", "sampling")),
        skvae,
    )
    for name in module.__all__
}


def right_column(page):
    """Return the code of the last column of a page's first table."""
    table = re.search(r"^\|.*?(?=\n\n)", text(page), re.DOTALL | re.MULTILINE)[0]
    cells = [row.rstrip("| ").rpartition(" | ")[2] for row in table.splitlines()[2:]]
    return [code.rstrip("=") for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


def callee(function):
    """Return what a name or an attribute in a table stands for, or None where it is not ours."""
    if isinstance(function, ast.Name):
        ours = PUBLIC.get(function.id)
        return ours or getattr(VariationalAutoencoder, function.id, None)
    owner = function.value
    if isinstance(owner, ast.Name) and owner.id in ("vae", "skvae", *PUBLIC):
        owner = {"vae": VariationalAutoencoder, "skvae": skvae, **PUBLIC}[owner.id]
        return getattr(owner, function.attr)
    return None


def check_call(call):
    """Bind the arguments of a call of ours to its signature; return whether it is one."""
    function = callee(call.func)
    if function is None:
        return False
    named = {keyword.arg: None for keyword in call.keywords}
    positional = list(call.args)
    if inspect.isfunction(function) and "self" in inspect.signature(function).parameters:
        positional.append(None)
    inspect.signature(function).bind_partial(*positional, **named)
    return True


FROM = sorted(path.name for path in (DOCS / "coming_from").glob("*.md"))


@pytest.mark.parametrize("page", ["guide/model.md", *(f"coming_from/{name}" for name in FROM)])
def test_calls_in_tables_are_calls_of_ours(page):
    known = {*vars(VariationalAutoencoder(max_epochs=1, random_state=0).fit(X)), "linear_range"}
    known |= {*vars(VAEOutlierDetector()), "offset_"}
    calls = 0
    for code in right_column(page):
        parameter = re.match(r"(\w+)=(?!=)", code)
        if parameter or re.fullmatch(r"\w+_", code):
            name = parameter[1] if parameter else code
            assert name in known or hasattr(VariationalAutoencoder, name), code
        tree = ast.walk(ast.parse(code))
        calls += sum(check_call(node) for node in tree if isinstance(node, ast.Call))
    assert calls > 2


def test_there_are_five_equations():
    assert re.findall(r"^\| \$\((\d)\)", text("guide/model.md"), re.MULTILINE) == list("12345")


# The recipes, with what stands behind the services replaced


class Service:
    """Remembers what it is told, and is not copied."""

    def __init__(self):
        self.told = []
        self.info = SimpleNamespace(run_id="run")

    def __deepcopy__(self, memo):
        return self

    def watch(self, module):
        self.told.append(module)

    def log(self, values):
        self.told.append(values)

    def log_metric(self, run_id, key, value, step):
        self.told.append((key, value, step))

    def upload_file(self, path_or_fileobj, path_in_repo, repo_id):
        self.told.append((path_or_fileobj.read(), path_in_repo, repo_id))


def fit(callback):
    return VariationalAutoencoder(max_epochs=2, callbacks=[callback], random_state=0).fit(X)


def test_mlflow_gets_the_history():
    service = Service()
    logger = MlflowLogger(service, service, create_artifact=False, terminate_after_train=False)
    history = fit(logger).history_
    for epoch in (1, 2):
        assert ("train_kl", history[epoch - 1]["train_kl"], epoch) in service.told


def test_wandb_gets_the_history():
    run = Service()
    history = fit(WandbLogger(run, save_model=False)).history_
    module, *rows = run.told
    assert isinstance(module, torch.nn.Module)
    assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in history]


def test_the_hub_gets_the_weights():
    hub = Service()
    storage = HfHubStorage(hub, path_in_repo="weights.pt", repo_id="me/digits-vae")
    vae = fit(
        TrainEndCheckpoint(f_params=storage, f_optimizer=None, f_criterion=None, f_history=None)
    )
    ((data, path, repo),) = hub.told
    assert (path, repo) == ("weights.pt", "me/digits-vae")
    weights = torch.load(io.BytesIO(data), weights_only=True)
    for name, weight in vae.net_.module_.state_dict().items():
        np.testing.assert_array_equal(weights[name], weight)


def test_the_gallery_begins_with_what_is_there():
    gallery = extension("gallery")
    there = {path.name for path in (DOCS.parent / "examples").glob("*.py")}
    assert {*gallery.FIRST, *gallery.LAST} <= there
    order = sorted(there, key=gallery.order)
    assert order[: len(gallery.FIRST)] == gallery.FIRST
    assert order[-len(gallery.LAST) :] == gallery.LAST
