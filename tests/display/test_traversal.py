"""One component after the other."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import norm

from skvae.display import TraversalDisplay
from tests.display.models import IRIS, X, shown, small, texts


def test_one_component_moves_and_the_others_stay(images):
    display = TraversalDisplay.from_estimator(images, n=4, linear_range=(-1, 2), z=[0.5, -1, 2])
    order = np.argsort(-images.kl_per_component_)
    np.testing.assert_array_equal(display.components, order)
    image = shown(display)
    for i, k in enumerate(order):
        for j, value in enumerate(np.linspace(-1, 2, 4)):
            z = np.array([0.5, -1, 2])
            z[k] = value
            decoded = images.inverse_transform(z[None])[0].reshape(8, 8)
            tile = image[8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
            np.testing.assert_allclose(tile, decoded, rtol=1e-5)


def test_rows_are_named_with_their_kl_in_descending_order(images):
    display = TraversalDisplay.from_estimator(images, n_components=2)
    kl = images.kl_per_component_
    order = np.argsort(-kl)[:2]
    assert texts(display.ax_.get_yticklabels()) == [
        f"component {k}, {kl[k]:.2f} nats" for k in order
    ]
    top, bottom = display.ax_.get_yticks()
    assert top > bottom
    assert shown(display).shape == (16, 88)


def test_values_are_quantiles_of_the_prior(images):
    display = TraversalDisplay.from_estimator(images, n=5, quantile_range=(0.1, 0.9))
    np.testing.assert_array_equal(display.base, 0)
    np.testing.assert_allclose(norm.cdf(display.values), [np.linspace(0.1, 0.9, 5)] * 3)
    assert display.ax_.get_xlabel() == "value of the component"
    at = np.interp(display.ax_.get_xticks(), range(5), display.values[0])
    named = [float(text.replace("−", "-")) for text in texts(display.ax_.get_xticklabels())]
    np.testing.assert_allclose(at, named, atol=1e-12)


def test_values_are_quantiles_of_posterior_means(images):
    display = TraversalDisplay.from_estimator(images, X, n=5, quantile_range=(0.1, 0.9))
    expected = np.quantile(images.transform(X), np.linspace(0.1, 0.9, 5), axis=0).T
    np.testing.assert_allclose(display.values, expected[display.components])
    assert display.ax_.get_xlabel() == "quantile of the component"
    at = np.interp(display.ax_.get_xticks(), range(5), display.levels)
    np.testing.assert_allclose(at, [float(text) for text in texts(display.ax_.get_xticklabels())])


def test_values_are_quantiles_of_a_learned_prior():
    vae = small(prior="mixture", image_shape=(8, 8)).fit(X)
    display = TraversalDisplay.from_estimator(vae, n=3)
    assert (display.values[0] != display.values[1]).any()
    np.testing.assert_allclose(display.base[display.components], display.values[:, 1])


def test_the_base_point_is_that_of_a_row(images, table):
    expected = images.transform(X[7:8])[0]
    for x in (X[7], X[7:8], X[7].tolist()):
        display = TraversalDisplay.from_estimator(images, x=x, n=2)
        np.testing.assert_array_equal(display.base, expected)
        np.testing.assert_allclose(display.base_row, images.reconstruct(X[7:8])[0], rtol=1e-6)
    frame = IRIS.data
    for x in (frame.iloc[[7]], frame.iloc[7]):
        display = TraversalDisplay.from_estimator(table, x=x, n=2)
        np.testing.assert_array_equal(display.base, table.transform(frame.iloc[[7]])[0])


def test_a_table_shows_how_far_features_move(pipe):
    display = TraversalDisplay.from_estimator(pipe, n=3, n_components=2, linear_range=1)
    drawn = pipe[:-1].inverse_transform(pipe[-1].sample(1000, random_state=0))
    decoded, base = pipe.inverse_transform(np.eye(3)), pipe.inverse_transform(np.zeros((1, 3)))
    image = shown(display)
    assert image.shape == (4, 6)
    for i, k in enumerate(display.components):
        change = (decoded[k] - base[0]) / drawn.std(axis=0)
        np.testing.assert_allclose(image[:, 3 * i + 2], change, rtol=1e-5)
        np.testing.assert_allclose(image[:, 3 * i + 1], 0, atol=1e-6)
    assert texts(display.ax_.get_yticklabels()) == IRIS.feature_names
    first = f"{display.components[0]}\n{display.kl[0]:.2f}"
    assert texts(display.ax_.get_xticklabels())[0] == first
    assert display.ax_.get_xlabel() == "component, its KL in nats; value from −1 to 1"
    assert display.image_.norm.vmin == -display.image_.norm.vmax
    assert "standard deviations" in display.colorbar_.ax.get_ylabel()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 0}, "^n=0"),
        ({"n_components": 0}, "^n_components=0"),
        ({"quantile_range": (0.9, 0.1)}, "^quantile_range="),
        ({"linear_range": (1, 1)}, "^linear_range="),
        ({"image_shape": (7, 7)}, "^image_shape="),
        ({"x": X[:2]}, "^x holds 2 rows"),
        ({"z": [0, 0]}, r"^z has shape \(2,\), but the model has 3"),
        ({"z": [0, 0, 0], "x": X[0]}, "^x and z are both given"),
    ],
)
def test_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        TraversalDisplay.from_estimator(images, **params)
    assert plt.get_fignums() == []


def test_values_that_are_not_shared_and_of_unknown_quantile():
    rows = np.random.default_rng(0).random((2, 3, 4))
    computed = {
        "rows": rows,
        "values": np.array([[0, 1, 2], [0, 2, 4]]),
        "components": np.array([0, 1]),
        "kl": np.array([2.0, 1.0]),
        "base": np.zeros(2),
        "base_row": rows[0, 0],
    }
    pictures = TraversalDisplay(**computed, image_shape=(2, 2)).plot()
    assert len(pictures.ax_.get_xticks()) == 0
    table = TraversalDisplay(**computed).plot()
    assert pictures.ax_.get_xlabel() == "ascending values of the component"
    assert table.ax_.get_xlabel() == "component, its KL in nats; ascending values"
    assert table.colorbar_.ax.get_ylabel() == "change of the feature"
    np.testing.assert_allclose(shown(table)[:, 0], 0)


def test_a_row_of_a_data_frame_of_several_types():
    frame = IRIS.data.assign(species=pd.Categorical.from_codes(IRIS.target, list("abc")))
    vae = small(likelihood="mixed").fit(frame)
    display = TraversalDisplay.from_estimator(vae, frame, x=frame.iloc[[0]])
    np.testing.assert_array_equal(display.base, vae.transform(frame.iloc[[0]])[0])
