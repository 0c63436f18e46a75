"""Numbers that callers give: numpy's are taken, bool is refused, wherever a number is taken."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

import skvae
from skvae import VariationalAutoencoder, metrics
from skvae.display import (
    ComponentDisplay,
    InterpolationDisplay,
    LatentSpaceDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    TraversalDisplay,
)
from skvae.sampling import FlowDensity, LatentDensitySampler, interpolate
from tests.test_sampling import StandardNormal

IMAGES = load_digits().data[:60] / 16


@pytest.fixture(scope="module")
def vae():
    params = {"hidden_layer_sizes": (8,), "conv_channels": (4,), "random_state": 0}
    return VariationalAutoencoder(3, image_shape=(8, 8), max_epochs=1, **params).fit(IMAGES)


@pytest.fixture(scope="module")
def sampler(vae):
    return LatentDensitySampler(vae, random_state=0).fit(IMAGES)


def shown(display, *names):
    """Return what a display is made of."""
    return [np.asarray(getattr(display, name)) for name in names]


def manifold(vae, **params):
    return shown(ManifoldDisplay.from_estimator(vae, **{"n": 2} | params), "tiles", "values")


def traversal(vae, **params):
    return shown(TraversalDisplay.from_estimator(vae, **{"n": 2} | params), "rows", "values")


def latent(vae, **params):
    display = LatentSpaceDisplay.from_estimator(vae, IMAGES, **params)
    return [*shown(display, "Z"), str(display.ellipses_ and len(display.ellipses_.get_offsets()))]


def paths(vae, **params):
    display = InterpolationDisplay.from_estimator(vae, IMAGES, **{"n": 2, "n_paths": 1} | params)
    return shown(display, "paths")


def samples(vae, **params):
    display = SampleGridDisplay.from_estimator(vae, random_state=0, **params)
    return [*shown(display, "samples"), str(display.image_.get_array().shape)]


def reconstructed(vae, **params):
    return shown(ReconstructionDisplay.from_estimator(vae, IMAGES, **params), "originals")


def bars(vae, **params):
    kl, active = vae.kl_per_component_, vae.active_components_
    display = ComponentDisplay(kl_per_component=kl, active_components=active, **params).plot()
    return [np.asarray(display.threshold_line_.get_ydata())]


@pytest.fixture
def page(tmp_path):
    """What explore writes."""
    return lambda vae, **params: [
        skvae.explore(vae, IMAGES, path=tmp_path / "a.html", **{"grid": 2} | params).read_text()
    ]


def flow(vae, n_samples=2, **params):
    params = {"n_steps": 2, "batch_size": 4} | params
    density = FlowDensity(StandardNormal(), random_state=0, **params).fit(
        vae.transform(IMAGES)[:, :2]
    )
    return [density.sample(n_samples)]


TAKEN = [
    (manifold, "n", 3, np.int64),
    (manifold, "components", 1, np.int32),
    (manifold, "linear_range", 1.0, np.float32),
    (traversal, "n", 3, np.uint8),
    (traversal, "n_components", 2, np.int64),
    (latent, "components", 1, np.int64),
    (latent, "ellipses", 2.0, np.float32),
    (lambda vae, **p: latent(vae, ellipses=1, **p), "max_ellipses", 5, np.int64),
    (paths, "n", 3, np.int64),
    (paths, "n_paths", 2, np.int64),
    (samples, "n_samples", 3, np.int16),
    (samples, "n_columns", 3, np.int64),
    (reconstructed, "n_images", 2, np.int64),
    (bars, "threshold", 0.5, np.float32),
    ("page", "grid", 3, np.int64),
    ("page", "components", 1, np.int64),
    (lambda vae, n: [interpolate(vae, IMAGES[0], IMAGES[1], n)], "n", 3, np.int64),
    ("sampler.sample", "n_samples", 3, np.int64),
    ("sampler.sample_latent", "n_samples", 3, np.int64),
    (flow, "n_samples", 3, np.int64),
    (flow, "n_steps", 3, np.int64),
    (flow, "batch_size", 3, np.int64),
    (flow, "learning_rate", 0.5, np.float32),
    (lambda vae, **p: [metrics.bits_per_dim(vae, IMAGES, **p)], "n_levels", 17, np.int64),
    (
        lambda vae, **p: [metrics.bits_per_dim(vae, IMAGES, **p)],
        "n_importance_samples",
        2,
        np.int64,
    ),
    (lambda vae, **p: [metrics.active_units(vae, IMAGES, **p)], "threshold", 0.5, np.float32),
    (
        lambda vae, **p: [metrics.make_log_likelihood_scorer(**p)(vae, IMAGES)],
        "n_importance_samples",
        2,
        np.int64,
    ),
]


@pytest.fixture(params=TAKEN, ids=lambda case: f"{getattr(case[0], '__name__', case[0])}-{case[1]}")
def case(request, vae):
    """A function of one number, that number, and numpy's type for it."""
    call, name, value, kind = request.param
    if isinstance(call, str):
        fixture, *method = call.split(".")
        call = request.getfixturevalue(fixture)
        if method:
            method = getattr(call, *method)
            return (lambda number: [method(**{name: number})]), value, kind
    return (lambda number: call(vae, **{name: number})), value, kind


def test_numbers_of_numpy_are_numbers(case):
    call, value, kind = case
    for one, other in zip(call(value), call(kind(value)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [True, np.True_, "2"])
def test_what_is_no_number_is_refused(case, value):
    call, *_ = case
    with pytest.raises(TypeError, match=r"must be an? "):
        call(value)
    assert plt.get_fignums() == []
