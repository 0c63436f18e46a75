"""The model card: true, deterministic, and Markdown."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError

import skvae
from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian, Mixed
from skvae.objectives import ELBO
from tests.foreign import LaplaceLikelihood, LaplacePrior, SquaredBound, mlp

markdown_it = pytest.importorskip("markdown_it")
X = load_iris().data
IMAGES = load_digits().data[:100] / 16


def vae(**params):
    quick = {"max_epochs": 3, "hidden_layer_sizes": (4,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


def without_front_matter(card):
    start, front, body = card.split("---\n", 2)
    assert not start
    return front, body


def tables(card):
    """Return the rows of every table, as a parser of Markdown reads them, by its section."""
    tokens = markdown_it.MarkdownIt().enable("table").parse(without_front_matter(card)[1])
    found, section, row = {}, None, []
    for token, following in zip(tokens, tokens[1:] + tokens[-1:], strict=True):
        if token.type == "heading_open":
            section = following.content
        elif token.type == "tr_open":
            row = []
        elif token.type in ("td_open", "th_open"):
            row.append("".join(child.content for child in following.children))
        elif token.type == "tr_close":
            found.setdefault(section, []).append(row)
    return found


def by_first(rows):
    return {row[0]: row[1:] for row in rows}


def test_front_matter_is_that_of_a_hub():
    yaml = pytest.importorskip("yaml")
    front, _ = without_front_matter(vae().fit(X).model_card())
    assert yaml.safe_load(front) == {
        "library_name": "skvae",
        "tags": ["skvae", "sklearn", "variational-autoencoder", "tabular"],
    }
    images = vae(image_shape=(8, 8), conv_channels=(2,)).fit(IMAGES).model_card()
    assert yaml.safe_load(without_front_matter(images)[0])["tags"][-1] == "images"


def test_says_what_the_model_is():
    model = vae(prior="mixture", posterior_family="full").fit(X, sample_weight=np.arange(150) % 3)
    found = tables(model.model_card())
    data, parts = by_first(found["Data of the fit"]), by_first(found["Model"])
    assert data["rows"] == ["150"]
    assert data["columns"] == ["4"]
    assert parts["prior p(z)"] == ["MixtureOfGaussians"]
    assert parts["posterior q(z|x)"] == ["FullNormal"]
    assert parts["likelihood p(x|z)"] == [repr(model.likelihood_)]
    n_weights = sum(p.numel() for p in model.net_.module_.parameters())
    assert parts["weights"] == [f"{n_weights:,}"]
    assert parts["epochs"] == ["3"]
    assert by_first(found["Versions"])["torch"] == [torch.__version__]


def test_says_which_likelihood_each_column_got():
    frame = pd.DataFrame({"length": X[:, 0], "year": np.arange(150) % 3 + 2007})
    model = vae(likelihood="mixed").fit(frame)
    parts = by_first(tables(model.model_card())["Model"])
    for indices, block in model.likelihood_.blocks_:
        (name,) = frame.columns[indices]
        assert parts[f"likelihood p(x|z) of {name}"] == [repr(block)]
    plain = by_first(tables(vae(likelihood="mixed").fit(X).model_card())["Model"])
    assert any("likelihood p(x|z) of 0" in name for name in plain)


def test_bounds_are_those_of_the_history():
    model = vae().fit(X)
    rows = by_first(tables(model.model_card())["Fit"])
    last = model.history_[-1]
    expected = [last["train_reconstruction"] - last["train_kl"]]
    expected += [last["train_reconstruction"], last["train_kl"]]
    assert_allclose([float(cell) for cell in rows["training rows"]], expected, rtol=1e-3)
    assert set(rows) == {"nats per row", "training rows"}


def test_early_stopping_shows_the_epoch_whose_weights_it_restored():
    """Found the long way: that epoch's weights give its held-out loss again."""
    params = {"learning_rate": 0.05, "max_epochs": 60, "n_iter_no_change": 3, "tol": 0.05}
    model = vae(early_stopping=True, validation_fraction=0.3, **params).fit(X)
    card = model.model_card()
    losses = [row["valid_loss"] for row in model.history_]
    epoch = int(re.search(r"in epoch (\d+) of", card)[1])
    assert epoch == len(losses) - params["n_iter_no_change"] < len(losses)
    shown = by_first(tables(card)["Fit"])["held-out rows"]
    assert_allclose(float(shown[0]), -losses[epoch - 1], rtol=1e-3)
    params["max_epochs"] = epoch  # nothing to restore: that epoch is the last
    again = vae(early_stopping=True, validation_fraction=0.3, **params).fit(X)
    assert again.n_iter_ == epoch
    assert_allclose(again.transform(X), model.transform(X), rtol=1e-5, atol=1e-6)


def test_partial_fit_after_early_stopping_shows_the_last_epoch():
    model = vae(early_stopping=True).fit(X).partial_fit(X)
    card = model.model_card()
    assert f"epoch {model.n_iter_} of {model.n_iter_}" in card
    assert "held-out rows" not in by_first(tables(card)["Fit"])


def test_rows_that_are_given_are_scored():
    model = vae().fit(X[::2])
    rows = by_first(tables(model.model_card(X[1::2]))["Fit"])
    scores = model.score_samples(X[1::2])
    mean, error = rows["75 rows given to model_card"][0].split(" ± ")
    assert_allclose(float(mean), scores.mean(), rtol=1e-3)
    assert_allclose(float(error), scores.std(ddof=1) / np.sqrt(75), rtol=0.05)
    assert "1 rows given" in model.model_card(X[:1])
    with pytest.raises(ValueError, match="features"):
        model.model_card(X[:, :2])


@pytest.mark.parametrize(
    ("rows", "params", "told"),
    [
        (X, {}, "Scores bound logarithms of densities. "),
        (IMAGES > 0.5, {}, "Scores bound logarithms of probabilities: they are at most 0."),
        (IMAGES, {}, "Scores bound logarithms of densities. "),
        (np.round(X), {"likelihood": "poisson"}, "probabilities: they are at most 0."),
        (np.eye(4)[[0, 1, 2, 3] * 9], {"likelihood": "categorical"}, "at most 0."),
        (
            np.round(X),
            {"likelihood": Mixed([(Gaussian(), [0, 1]), ("poisson", [2, 3])])},
            "densities of the real columns times probabilities of the discrete ones. ",
        ),
        (X, {"likelihood": LaplaceLikelihood()}, "Scores bound logarithms of densities. "),
    ],
    ids=["real", "binary", "grey", "counts", "one-hot", "mixed", "foreign"],
)
def test_says_what_a_score_is_of(rows, params, told):
    assert told in vae(**params).fit(rows).model_card()


def test_parameters_and_which_were_changed():
    model = vae(objective=ELBO(beta=2.0)).fit(X)
    shown = tables(model.model_card())["Parameters"][1:]
    params = model.get_params(deep=False)
    assert {row[0] for row in shown} == set(params)
    assert by_first(shown)["objective"] == [repr(ELBO(beta=2.0)), "'elbo'"]
    changed = {"max_epochs", "hidden_layer_sizes", "random_state", "objective"}
    assert {row[0] for row in shown[:4]} == changed
    assert set(re.findall(r"\*\*`(\w+)`\*\*", model.model_card())) == changed
    model.set_params(**VariationalAutoencoder().get_params(deep=False))
    assert "All are at their defaults" in model.model_card()


def test_components():
    model = vae(n_components=3).fit(X)
    card = model.model_card()
    rows = tables(card)["Components"][1:]
    assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)
    for number, kl, active in rows:
        assert_allclose(float(kl), model.kl_per_component_[int(number)], rtol=1e-2)
        assert (active == "yes") == model.active_components_[int(number)]
    assert f"{model.active_components_.sum()} of 3 are active" in card
    many = vae(n_components=25).fit(X).model_card()
    assert len(tables(many)["Components"]) == 21
    assert "The 20 with the largest kl are shown." in many


def test_the_code_for_loading_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoder = mlp(4, 6)
    model = vae(encoder=encoder, prior=LaplacePrior(), objective=SquaredBound()).fit(X)
    model.save("model.safetensors")
    card = model.model_card()
    assert "The file does not hold `encoder`, `objective`, `prior`: pass your own." in card
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    names = {"X": X, "encoder": encoder, "prior": LaplacePrior(), "objective": SquaredBound()}
    exec(code, names)
    assert (names["Z"] == model.transform(X)).all()
    assert f"skvae=={skvae.__version__}" in code


def test_the_same_text_for_the_same_model(tmp_path):
    model = vae(random_state=np.random.RandomState(0), callbacks=[]).fit(X)
    card = model.model_card()
    assert card == model.model_card()
    assert " at 0x" not in card
    assert "RandomState(MT19937)" in card
    plain = vae().fit(X)
    plain.save(tmp_path / "m")
    assert skvae.load(tmp_path / "m").model_card() == plain.model_card()


def test_names_cannot_break_out_of_their_cells():
    pd = pytest.importorskip("pandas")
    names = ["a|b", "`tick` ``two``", "<script>alert(1)</script>", "new\nline", "**bold**", ""]
    table = pd.DataFrame(np.random.RandomState(0).rand(30, 6), columns=names)
    table["pipe|kind"] = pd.Categorical(["x|y", "`z`", "w"] * 10)
    card = vae(likelihood="mixed").fit(table).model_card()
    data = by_first(tables(card)["Data of the fit"])
    shown = data["names"][0]
    for name in ("a|b", "`tick` ``two``", "<script>alert(1)</script>", "new line", "**bold**"):
        assert name in shown
    assert data["categories of pipe|kind"] == ["`z`, w, x|y"]
    html = markdown_it.MarkdownIt().enable("table").render(without_front_matter(card)[1])
    assert "<script>" not in html
    assert "<strong>bold" not in html


def test_many_names_and_long_values_are_cut():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(np.random.RandomState(0).rand(30, 50)).add_prefix("column")
    blocks = Mixed([("gaussian", [i]) for i in range(50)])
    card = vae(likelihood=blocks).fit(table).model_card()
    assert "`column19` and 30 more" in card
    assert max(map(len, card.splitlines())) < 1500


def test_bytes_of_images():
    rows = np.round(IMAGES * 255).astype(np.uint8)
    data = by_first(tables(vae(image_shape=(8, 8)).fit(rows).model_card())["Data of the fit"])
    assert data["unit"] == ["bytes, read as X / 255"]
    assert data["image shape"] == ["(8, 8)"]


def test_before_fit():
    with pytest.raises(NotFittedError):
        vae().model_card()
