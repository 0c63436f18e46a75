"""Rows beside their reconstructions."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA

from skvae import VariationalAutoencoder
from skvae.display import ReconstructionDisplay
from tests.display.models import COLOURED, IRIS, X, shown, texts

LABELLED = ["original", "reconstruction", "residual"]


def test_originals_stand_over_reconstructions(images):
    display = ReconstructionDisplay.from_estimator(images, X, n_images=4)
    expected = np.vstack(
        [np.hstack(rows[:4].reshape(4, 8, 8)) for rows in (X, images.reconstruct(X))]
    )
    np.testing.assert_allclose(shown(display), expected, rtol=1e-5)
    assert texts(display.ax_.get_yticklabels()) == LABELLED
    np.testing.assert_allclose(display.ax_.get_yticks(), [1, 0, -1.15])
    alone = ReconstructionDisplay.from_estimator(images, X, n_images=4, residuals=False)
    np.testing.assert_array_equal(shown(alone), shown(display))
    assert texts(alone.ax_.get_yticklabels()) == LABELLED[:2]
    assert alone.residual_image_ is alone.colorbar_ is None


def test_residuals_are_signed_and_0_is_the_middle_of_their_colours(images):
    display = ReconstructionDisplay.from_estimator(images, X, n_images=4)
    expected = np.hstack((X - images.reconstruct(X))[:4].reshape(4, 8, 8))
    np.testing.assert_allclose(display.residual_image_.get_array(), expected, atol=1e-6)
    low, high = display.residual_image_.get_clim()
    assert low == -high
    np.testing.assert_allclose(high, np.abs(expected).max(), rtol=1e-5)
    assert display.colorbar_.mappable is display.residual_image_
    assert list(display.colorbar_.get_ticks()) == [-0.5, 0.5]  # the greatest is 0.6
    left, right, bottom, top = display.residual_image_.get_extent()
    assert (left, right, top - bottom) == (-0.5, 3.5, 1)
    assert top < display.image_.get_extent()[2]
    assert display.ax_.get_ylim() == (bottom, display.image_.get_extent()[3])


def test_residuals_of_colours_are_grey_where_nothing_is_left():
    left = np.zeros_like(COLOURED[:1])
    left[0, [0, 4]] = 0.2, -0.1
    display = ReconstructionDisplay(
        originals=COLOURED[:1] + left, reconstructions=COLOURED[:1], image_shape=(2, 3, 3)
    ).plot()
    expected = 0.5 + left / 0.4
    np.testing.assert_allclose(display.residual_image_.get_array().ravel(), expected[0])
    assert display.colorbar_ is None
    assert texts(display.ax_.get_yticklabels())[2] == "residual (grey: 0)"


def test_residuals_of_transparent_pictures_are_opaque():
    rows = np.random.default_rng(0).random((2, 2 * 2 * 4))
    display = ReconstructionDisplay(
        originals=rows, reconstructions=rows[::-1], image_shape=(2, 2, 4)
    ).plot()
    expected = (rows - rows[::-1]).reshape(2, 2, 2, 4)[..., :3]
    shape = display.residual_image_.get_array().shape
    assert shape == (2, 4, 3)
    np.testing.assert_allclose(
        display.residual_image_.get_array(),
        np.hstack(0.5 + expected / 2 / np.abs(expected).max()),
    )


def test_residual_kwargs_replace_defaults(images):
    display = ReconstructionDisplay.from_estimator(
        images, X, residual_kwargs={"cmap": "PuOr", "vmin": -1, "vmax": 1}
    )
    assert display.residual_image_.get_cmap().name == "PuOr"
    assert display.residual_image_.get_clim() == (-1, 1)
    assert display.image_.get_cmap().name == "gray"


def test_no_residual_at_all():
    display = ReconstructionDisplay(originals=X[:2], reconstructions=X[:2], image_shape=(8, 8))
    assert (display.plot().residual_image_.get_array() == 0).all()
    display.figure_.canvas.draw()


def test_bytes_are_shares_of_their_unit():
    rows = (X * 255).astype(np.uint8)
    vae = VariationalAutoencoder(image_shape=(8, 8), max_epochs=1, random_state=0).fit(rows)
    display = ReconstructionDisplay.from_estimator(vae, rows, n_images=3)
    np.testing.assert_allclose(display.originals, rows[:3] / 255)
    assert display.reconstructions.max() <= 1


def test_categories_of_a_data_frame_are_codes():
    frame = IRIS.data.assign(species=pd.Categorical.from_codes(IRIS.target, list("abc")))
    vae = VariationalAutoencoder(likelihood="mixed", max_epochs=1, random_state=0).fit(frame)
    display = ReconstructionDisplay.from_estimator(vae, frame[::10], n_images=20)
    np.testing.assert_array_equal(display.originals[:, 4], IRIS.target[::10])
    np.testing.assert_array_equal(display.originals[:, :4], IRIS.data[::10])


@pytest.mark.parametrize("kind", [csr_matrix, pd.DataFrame, np.ndarray.tolist, np.asfortranarray])
def test_rows_of_any_kind(line, kind):
    display = ReconstructionDisplay.from_estimator(line, kind(X), n_images=3, image_shape=(8, 8))
    np.testing.assert_array_equal(display.originals, X[:3])
    np.testing.assert_allclose(display.reconstructions, line.reconstruct(X[:3]))


def test_fewer_rows_than_images(images):
    assert len(ReconstructionDisplay.from_estimator(images, X[:2]).originals) == 2


@pytest.mark.parametrize("scale", [1, 255])
def test_colours_fill_the_range_that_imshow_knows(scale):
    rows = COLOURED * scale
    display = ReconstructionDisplay(originals=rows, reconstructions=rows, image_shape=(2, 3, 3))
    image = shown(display.plot())
    top = image[:2, :3].ravel()
    np.testing.assert_allclose(top, rows[0] / (1 if scale == 1 else rows.max()))


@pytest.mark.parametrize(
    ("rows", "limits"),
    [(X / 2, (0, 1)), (X * 16, (0, 16)), (X - 0.5, (-0.5, 1))],
    ids=["dim", "whole", "centred"],
)
def test_black_is_0_and_white_is_1_unless_values_leave_them(rows, limits):
    display = ReconstructionDisplay(originals=rows, reconstructions=rows, image_shape=(8, 8))
    assert display.plot().image_.get_clim() == limits


def test_a_table_is_a_heat_map_with_names(table):
    frame = IRIS.data.assign(**{IRIS.feature_names[0]: 5.0}).iloc[::-20]
    display = ReconstructionDisplay.from_estimator(table, frame)
    image, rows = shown(display), frame.to_numpy()
    assert image.shape == (4, 3 * len(frame))
    original, reconstruction, residual = np.hsplit(image, 3)
    np.testing.assert_allclose(original[0], 0)
    scaled = (table.reconstruct(frame) - rows.mean(0))[:, 1:] / rows.std(0)[1:]
    np.testing.assert_allclose(reconstruction[1:], scaled.T, rtol=1e-6)
    np.testing.assert_allclose(residual, original - reconstruction, atol=1e-9)
    assert texts(display.ax_.get_yticklabels()) == IRIS.feature_names
    assert texts(display.ax_.get_xticklabels()) == LABELLED
    assert display.image_.norm.vmin == -display.image_.norm.vmax
    without = ReconstructionDisplay.from_estimator(table, frame, residuals=False)
    np.testing.assert_array_equal(shown(without), image[:, : 2 * len(frame)])


@pytest.mark.parametrize("kwargs", [{"norm": "linear"}, {"cmap": "PuOr"}])
def test_a_heat_map_takes_the_scale_given(table, kwargs):
    display = ReconstructionDisplay.from_estimator(table, IRIS.data, imshow_kwargs=kwargs)
    assert display.image_.get_cmap().name == kwargs.get("cmap", "RdBu_r")
    display.figure_.canvas.draw()


def test_other_estimators_for_comparison():
    display = ReconstructionDisplay.from_estimator(PCA(n_components=64).fit(X), X, n_images=2)
    np.testing.assert_allclose(display.reconstructions, X[:2], atol=1e-10)


@pytest.mark.parametrize(
    ("params", "message"), [({"n_images": 0}, "n_images=0"), ({"image_shape": (7, 7)}, "7, 7")]
)
def test_reconstruction_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay.from_estimator(images, X, **params)
    assert plt.get_fignums() == []
