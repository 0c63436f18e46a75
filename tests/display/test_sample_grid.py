"""New rows."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.neighbors import NearestNeighbors

from skvae.display import SampleGridDisplay
from tests.display.models import IRIS, X, shown, texts


@pytest.mark.parametrize("mean", [True, False])
def test_pictures_are_what_sample_returns(images, mean):
    display = SampleGridDisplay.from_estimator(
        images, n_samples=6, n_columns=3, mean=mean, random_state=1
    )
    rows = images.sample(6, mean=mean, random_state=1)
    tiles = rows.reshape(2, 3, 8, 8)
    expected = np.vstack([np.hstack(row) for row in tiles])
    np.testing.assert_allclose(shown(display), expected, rtol=1e-6)


def test_what_is_left_of_the_grid_is_blank(images, colours):
    display = SampleGridDisplay.from_estimator(images, n_samples=5, n_columns=3)
    blank = np.ma.getmaskarray(np.ma.masked_invalid(display.image_.get_array()))
    assert blank[8:, 16:].all()
    assert blank.sum() == 64
    display.figure_.canvas.draw()
    assert display.image_.get_clim() == (0, 1)
    coloured = SampleGridDisplay.from_estimator(colours, n_samples=5, n_columns=3)
    assert (shown(coloured)[2:, 6:] == 1).all()


def test_fewer_samples_than_columns(images):
    assert shown(SampleGridDisplay.from_estimator(images, n_samples=2)).shape == (8, 16)


def test_the_nearest_row_stands_below_each_picture(images):
    display = SampleGridDisplay.from_estimator(images, X, n_samples=6, n_columns=3)
    _, nearest = NearestNeighbors(n_neighbors=1).fit(X).kneighbors(display.samples)
    np.testing.assert_array_equal(display.nearest, X[nearest[:, 0]])
    image = shown(display)
    for i in (0, 1):
        for kind, rows in enumerate((display.samples, display.nearest)):
            top = 8 * (2 * i + kind)
            expected = np.hstack(rows[3 * i : 3 * i + 3].reshape(3, 8, 8))
            np.testing.assert_array_equal(image[top : top + 8], expected)
    assert texts(display.ax_.get_yticklabels()) == ["nearest row", "sample"] * 2
    assert list(display.ax_.get_yticks()) == [0, 1, 2, 3]


def test_a_table_is_drawn_behind_a_pipeline_in_the_units_of_x(pipe):
    display = SampleGridDisplay.from_estimator(
        pipe, IRIS.data, n_samples=9, mean=False, random_state=3
    )
    before, vae = pipe[:-1], pipe[-1]
    rows = before.inverse_transform(vae.sample(9, random_state=3))
    np.testing.assert_allclose(display.samples, rows)
    drawn = before.inverse_transform(vae.sample(1000, random_state=0))
    unit = drawn.std(axis=0)
    _, nearest = (
        NearestNeighbors(n_neighbors=1).fit(IRIS.data.to_numpy() / unit).kneighbors(rows / unit)
    )
    np.testing.assert_array_equal(display.nearest, IRIS.data.to_numpy()[nearest[:, 0]])
    image = shown(display)
    both = np.vstack([rows, display.nearest])
    np.testing.assert_allclose(image, ((both - drawn.mean(axis=0)) / unit).T, rtol=1e-6)
    assert texts(display.ax_.get_xticklabels()) == ["sample", "nearest row"]
    assert texts(display.ax_.get_yticklabels()) == IRIS.feature_names


def test_a_table_in_its_own_units():
    rows = np.arange(12.0).reshape(3, 4)
    display = SampleGridDisplay(samples=rows).plot()
    np.testing.assert_array_equal(shown(display), rows.T)
    assert display.colorbar_.ax.get_ylabel() == "value"
    assert texts(display.ax_.get_xticklabels()) == ["sample"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_samples": 0}, "^n_samples=0"),
        ({"n_columns": 0}, "^n_columns=0"),
        ({"image_shape": (7, 7)}, "^image_shape="),
    ],
)
def test_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        SampleGridDisplay.from_estimator(images, **params)
    assert plt.get_fignums() == []
