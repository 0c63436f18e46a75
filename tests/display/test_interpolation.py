"""The way from row to row."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.sparse import csr_matrix

from skvae.display import InterpolationDisplay
from skvae.sampling import interpolate
from tests.display.models import COLOURED, IRIS, X, shown, texts


@pytest.mark.parametrize("method", ["linear", "spherical"])
def test_paths_join_neighbours_between_their_originals(images, method):
    display = InterpolationDisplay.from_estimator(images, X[:4], n=5, method=method)
    image = shown(display)
    for i in range(3):
        path = interpolate(images, X[i], X[i + 1], 5, method=method).reshape(5, 8, 8)
        np.testing.assert_allclose(image[8 * i : 8 * i + 8], np.hstack(path), rtol=1e-5)
    left, right = display.original_images_
    np.testing.assert_array_equal(left.get_array(), np.vstack(X[:3].reshape(3, 8, 8)))
    np.testing.assert_array_equal(right.get_array(), np.vstack(X[1:4].reshape(3, 8, 8)))
    assert left.get_extent()[1] < display.image_.get_extent()[0]
    assert right.get_extent()[0] > display.image_.get_extent()[1]
    assert display.ax_.get_xlim() == (left.get_extent()[0], right.get_extent()[1])
    assert texts(display.ax_.get_xticklabels()) == ["original", "decoded path", "original"]


def test_the_first_rows_are_joined(images):
    display = InterpolationDisplay.from_estimator(images, X, n=3, n_paths=2)
    np.testing.assert_array_equal(display.originals, X[:3])
    assert display.paths.shape == (2, 3, 64)


@pytest.mark.parametrize("kind", [csr_matrix, pd.DataFrame, np.ndarray.tolist])
def test_rows_of_any_kind(line, kind):
    display = InterpolationDisplay.from_estimator(line, kind(X[:2]), n=3, image_shape=(8, 8))
    np.testing.assert_allclose(display.paths[0], interpolate(line, X[0], X[1], 3))


def test_pictures_share_black_and_white():
    rows = np.random.default_rng(0).random((5, 16)) * 3
    ends = rows[[0, 4]] * 2 - 1
    display = InterpolationDisplay(originals=ends, paths=rows[None], image_shape=(4, 4)).plot()
    images = [display.image_, *display.original_images_]
    assert {image.get_clim() for image in images} == {(ends.min(), ends.max())}
    coloured = InterpolationDisplay(
        originals=COLOURED[:2] * 255, paths=COLOURED[None, :3], image_shape=(2, 3, 3)
    ).plot()
    top = coloured.original_images_[0].get_array().ravel()
    np.testing.assert_allclose(top, COLOURED[0] / COLOURED[:2].max())


def test_a_table_goes_through_a_pipeline_and_back(pipe):
    display = InterpolationDisplay.from_estimator(pipe, IRIS.data.iloc[[0, 60, 120]], n=4)
    rows = IRIS.data.to_numpy()[[0, 60, 120]]
    Z = pipe.transform(IRIS.data.iloc[[0, 60, 120]])
    ends = pipe.inverse_transform(Z)
    for i in (0, 1):
        np.testing.assert_allclose(display.paths[i][[0, -1]], ends[[i, i + 1]], rtol=1e-5)
        half = pipe.inverse_transform((2 * Z[[i]] + Z[[i + 1]]) / 3)[0]
        np.testing.assert_allclose(display.paths[i][1], half, rtol=1e-5)
    image = shown(display)
    assert image.shape == (4, 3 + 2 * 4)
    drawn = pipe[:-1].inverse_transform(pipe[-1].sample(1000, random_state=0))
    scaled = (rows - drawn.mean(axis=0)) / drawn.std(axis=0)
    np.testing.assert_allclose(image[:, [0, 5, 10]], scaled.T, rtol=1e-5)
    names = ["original", "decoded path", "original", "decoded path", "original"]
    assert texts(display.ax_.get_xticklabels()) == names
    assert texts(display.ax_.get_yticklabels()) == IRIS.feature_names


def test_a_table_in_its_own_units():
    rows = np.arange(12.0).reshape(3, 4)
    display = InterpolationDisplay(originals=rows[[0, 2]], paths=rows[None]).plot()
    np.testing.assert_array_equal(shown(display), rows[[0, 0, 1, 2, 2]].T)
    assert display.colorbar_.ax.get_ylabel() == "value"
    assert display.original_images_ == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 1}, "^n=1 must be a whole number of at least 2"),
        ({"n_paths": 0}, "^n_paths=0"),
        ({"method": "straight"}, "^method='straight'"),
        ({"image_shape": (7, 7)}, "^image_shape="),
        ({"X": X[:1]}, "^X has 1 rows. Pass two or more"),
    ],
)
def test_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        InterpolationDisplay.from_estimator(images, **{"X": X} | params)
    assert plt.get_fignums() == []
