"""The grid of pictures decoded from a plane."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from scipy.stats import norm
from sklearn.decomposition import PCA

from skvae.display import ManifoldDisplay
from skvae.distributions import Independent, Normal
from skvae.priors import Prior
from tests.display.models import X, shown, small


def tile_at(display, z):
    """Return the pixels drawn where the axes say that z is, for a linear grid."""
    image, n = shown(display), len(display.values)
    column, row = (np.searchsorted(display.values, value) for value in z)
    x, y = display.ax_.transData.transform([column, row])
    left, bottom = display.image_.get_window_extent().p0
    right, top = display.image_.get_window_extent().p1
    column, row = int((x - left) / (right - left) * n), int((top - y) / (top - bottom) * n)
    height, width = image.shape[0] // n, image.shape[1] // n
    return image[row * height : (row + 1) * height, column * width : (column + 1) * width]


@pytest.mark.parametrize("z", [(-2, -2), (-2, 1), (0, 2), (2, -1)])
def test_a_tile_is_decoded_where_the_axes_say(images, z):
    display = ManifoldDisplay.from_estimator(images, n=5, components=(2, 0), linear_range=2)
    decoded = images.inverse_transform([[z[1], 0, z[0]]])[0].reshape(8, 8)
    np.testing.assert_allclose(tile_at(display, z), decoded, rtol=1e-5)
    assert display.ax_.get_xlabel() == "component 2"
    assert display.ax_.get_ylabel() == "component 0"


def test_a_tile_of_colours(colours):
    display = ManifoldDisplay.from_estimator(colours, n=3, linear_range=(0, 2))
    decoded = colours.inverse_transform([[2, 1]])[0].reshape(2, 3, 3)
    np.testing.assert_allclose(tile_at(display, (2, 1)), decoded, rtol=1e-5)
    assert display.ax_.get_aspect() == 2 / 3


@pytest.mark.parametrize("shape", [(8, 8, 1), (4, 16), (-1, 16)])
def test_image_shape_overrides(images, shape):
    display = ManifoldDisplay.from_estimator(images, n=2, image_shape=shape)
    assert shown(display).shape == ((16, 16) if shape == (8, 8, 1) else (8, 32))


def test_the_grid_is_at_quantiles_of_the_prior(images):
    display = ManifoldDisplay.from_estimator(images, n=7, quantile_range=(0.1, 0.6))
    np.testing.assert_allclose(norm.cdf(display.values), np.linspace(0.1, 0.6, 7))


def test_ticks_lie_at_latent_values(images):
    display = ManifoldDisplay.from_estimator(images, n=20)
    labels = [float(text.get_text().replace("−", "-")) for text in display.ax_.get_xticklabels()]
    assert labels == [-2, -1, 0, 1, 2]
    at = np.interp(display.ax_.get_xticks(), range(20), display.values)
    np.testing.assert_allclose(at, labels, atol=1e-12)
    np.testing.assert_array_equal(display.ax_.get_xticks(), display.ax_.get_yticks())


@pytest.mark.parametrize("components", [(0, 1), 0])
def test_one_component_is_a_strip(line, components):
    display = ManifoldDisplay.from_estimator(
        line, n=4, components=components, linear_range=1, image_shape=(8, 8)
    )
    decoded = line.inverse_transform(np.linspace(-1, 1, 4)[:, None]).reshape(4, 8, 8)
    np.testing.assert_allclose(shown(display), np.hstack(decoded), rtol=1e-5)


def test_one_tile(images):
    display = ManifoldDisplay.from_estimator(images, n=1, quantile_range=(0.5, 0.6))
    assert shown(display).shape == (8, 8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"quantile_range": (0, 0.5)}, "quantile_range="),
        ({"quantile_range": (0.5, 0.5)}, "quantile_range="),
        ({"linear_range": (2, 1)}, "linear_range="),
        ({"linear_range": -1}, "linear_range="),
        ({"image_shape": (8, 9)}, r"image_shape=\(8, 9\)"),
        ({"image_shape": (64,)}, r"image_shape=\(64,\)"),
        ({"image_shape": (8, 4, 2)}, "1, 3 or 4 channels"),
    ],
)
def test_manifold_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        ManifoldDisplay.from_estimator(images, **params)
    assert plt.get_fignums() == []


def test_a_table_has_no_manifold_without_a_shape(table):
    with pytest.raises(ValueError, match=r"Pass image_shape=\(height, width\)"):
        ManifoldDisplay.from_estimator(table)


@pytest.mark.parametrize("components", [(0, 3), (1, 1), (0, 1, 2), ()])
def test_components_that_are_not_there(images, components):
    with pytest.raises(ValueError, match=r"^components=.* one or two distinct .* out of 0, ..., 2"):
        ManifoldDisplay.from_estimator(images, components=components)
    assert plt.get_fignums() == []


# Learned priors


class ShiftedPrior(Prior):
    """A learned normal prior, whose parameters are those of its distribution."""

    def initialize(self, latent_dim):
        self.loc = torch.nn.Parameter(torch.arange(latent_dim) + 1.0)
        self.scale = torch.nn.Parameter(torch.full((latent_dim,), 2.0))

    def forward(self):
        return Independent(Normal(self.loc, self.scale))


class StudentT(torch.distributions.StudentT):
    """Without quantiles in torch, and drawn here from a generator."""

    def sample(self, sample_shape=(), generator=None):
        normals = torch.randn(*sample_shape, 6, *self.batch_shape, generator=generator)
        return normals[..., 0, :] / normals[..., 1:, :].square().mean(-2).sqrt()


class HeavyPrior(Prior):
    """Independent components that do not know their quantiles."""

    def initialize(self, latent_dim):
        self.register_buffer("df", torch.full((latent_dim,), 5.0))

    def forward(self):
        return Independent(StudentT(self.df))


PRIORS = ["mixture", "vamp", "flow", ShiftedPrior(), HeavyPrior()]


@pytest.fixture(scope="module", params=PRIORS, ids=str)
def learned(request):
    return small(n_components=3, prior=request.param, image_shape=(8, 8), dropout=0.5).fit(X)


def test_the_grid_is_at_quantiles_of_a_learned_prior(learned):
    display = ManifoldDisplay.from_estimator(learned, n=5, components=(2, 0))
    generator = torch.Generator().manual_seed(1)
    z = learned.net_.module_.prior().sample((50_000,), generator=generator).detach().numpy()
    shares = np.linspace(0.02, 0.98, 5)
    for values, k in ((display.values, 2), (display.vertical_values, 0)):
        below = (z[:, k, None] < values).mean(axis=0)
        np.testing.assert_allclose(below, shares, atol=0.012)  # the error of two samples
    middle = np.median(z[:, 1])
    decoded = learned.inverse_transform([[display.vertical_values[4], middle, display.values[1]]])
    np.testing.assert_allclose(display.tiles[4, 1], decoded.reshape(8, 8), atol=0.02)


def test_quantiles_of_a_learned_prior_repeat(learned):
    displays = [ManifoldDisplay.from_estimator(learned, n=3) for _ in range(2)]
    np.testing.assert_array_equal(displays[0].values, displays[1].values)


def test_both_axes_have_their_own_ticks():
    tiles = np.zeros((3, 3, 2, 2))
    values, vertical = np.array([-1.0, 0, 1]), np.array([2.0, 4, 6])
    display = ManifoldDisplay(
        tiles=tiles, values=values, components=(0, 1), vertical_values=vertical
    ).plot()
    display.figure_.canvas.draw()
    for axis, at in ((display.ax_.xaxis, values), (display.ax_.yaxis, vertical)):
        named = [float(label.get_text().replace("−", "-")) for label in axis.get_ticklabels()]
        np.testing.assert_allclose(np.interp(axis.get_ticklocs(), range(3), at), named)


def test_an_estimator_without_a_prior_has_the_standard_normals():
    display = ManifoldDisplay.from_estimator(PCA(3).fit(X), n=5, image_shape=(8, 8))
    np.testing.assert_allclose(norm.cdf(display.values), np.linspace(0.02, 0.98, 5))
    assert (np.diff(display.values) > 0).all()
