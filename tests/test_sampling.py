"""Sampling from fitted densities and interpolation."""

import copy
import pickle

import numpy as np
import pytest
import torch
import zuko
from scipy.stats import multivariate_normal
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from torch import nn

from skvae import VariationalAutoencoder
from skvae.sampling import FlowDensity, LatentDensitySampler, interpolate

X, Y = load_iris(return_X_y=True)


class StandardNormal(nn.Module):
    """A flow in name only: a torch distribution with neither base nor transform."""

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))

    def forward(self):
        return torch.distributions.MultivariateNormal(self.loc, torch.eye(2))


def nsf():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return zuko.flows.NSF(2, transforms=1, hidden_features=(16,))


DENSITIES = {
    "default": None,
    "mixture": GaussianMixture(3),
    "bayesian": BayesianGaussianMixture(n_components=2, max_iter=1000),
    "kernel": KernelDensity(bandwidth=0.2),
    "flow": FlowDensity(nsf(), n_steps=150, learning_rate=1e-2),
    "distribution": FlowDensity(StandardNormal(), n_steps=20),
}


@pytest.fixture(scope="module")
def vae():
    return VariationalAutoencoder(max_epochs=150, random_state=0).fit(X)


@pytest.fixture(scope="module", params=DENSITIES)
def sampler(request, vae):
    return LatentDensitySampler(vae, DENSITIES[request.param], random_state=0).fit(X)


@pytest.fixture(scope="module")
def by_class(vae):
    return LatentDensitySampler(vae, GaussianMixture(2), random_state=0).fit(X, Y)


# Drawing


def test_latents_have_the_moments_of_the_average_posterior(sampler, vae):
    loc, scale = vae.posterior(X)
    cov = np.cov(loc.T) + np.diag((scale**2).mean(0))
    Z = sampler.sample_latent(2000, random_state=1)
    assert Z.shape == (2000, 2)
    assert Z.mean(0) == pytest.approx(loc.mean(0), abs=0.25)
    assert np.sqrt(np.cov(Z.T).diagonal()) == pytest.approx(np.sqrt(cov.diagonal()), rel=0.2)


def test_rows_are_decoded_latents(sampler, vae):
    Z = sampler.sample_latent(50, random_state=1)
    means = sampler.sample(50, mean=True, random_state=1)
    assert means == pytest.approx(vae.inverse_transform(Z))
    rows = sampler.sample(50, random_state=1)
    assert rows.shape == (50, 4)
    assert not np.allclose(rows, means)
    assert rows.std(0) == pytest.approx(X.std(0), rel=0.5)


def test_random_state_decides_everything(sampler, vae):
    again = LatentDensitySampler(vae, sampler.density, random_state=0).fit(X)
    np.testing.assert_array_equal(again.sample(20), sampler.sample(20))
    np.testing.assert_array_equal(sampler.sample(20), sampler.sample(20))
    np.testing.assert_array_equal(
        sampler.sample(5, random_state=np.random.RandomState(3)),
        sampler.sample(5, random_state=np.random.RandomState(3)),
    )
    assert not np.allclose(sampler.sample(20, random_state=1), sampler.sample(20, random_state=2))
    state = np.random.RandomState(3)
    assert not np.allclose(sampler.sample(random_state=state), sampler.sample(random_state=state))


def test_no_random_state_is_fresh_entropy(vae):
    sampler = LatentDensitySampler(vae, KernelDensity()).fit(X)
    assert not np.allclose(sampler.sample(), sampler.sample())


def test_global_generators_stay_as_they_are(sampler, vae):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    LatentDensitySampler(vae, sampler.density).fit(X).sample(10)
    interpolate(vae, X[0], X[1])
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_draws_are_in_no_order(vae):
    """A mixture returns its draws component by component."""
    Z = LatentDensitySampler(vae, GaussianMixture(2), random_state=0).fit(X).sample_latent(400)
    halves = Z[:200, 0].mean() - Z[200:, 0].mean()
    assert abs(halves) < 0.5 * Z[:, 0].std()


def test_sampling_changes_nothing(sampler):
    before = pickle.dumps(sampler.densities_)
    sampler.sample(5, random_state=7)
    assert pickle.dumps(sampler.densities_) == before


# Classes


def test_classes_are_drawn_where_their_rows_lie():
    pixels, digits = load_digits(return_X_y=True)
    kept = digits < 4
    pixels, digits = pixels[kept] / 16, digits[kept]
    vae = VariationalAutoencoder(max_epochs=80, random_state=0).fit(pixels)
    sampler = LatentDensitySampler(vae, KernelDensity(bandwidth=0.1), random_state=0)
    sampler.fit(pixels, digits)
    classifier = KNeighborsClassifier(10).fit(pixels, digits)
    wanted = np.repeat([0, 1, 2, 3], 50)
    drawn = sampler.sample(200, y=wanted, mean=True)
    assert classifier.score(drawn, wanted) > 0.75  # of chance 0.25
    ones = sampler.sample(50, y=1, mean=True)
    assert (classifier.predict(ones) == 1).mean() > 0.7


def test_classes_without_labels_come_by_their_frequency(vae):
    kept = np.r_[0:50, 100:110]
    sampler = LatentDensitySampler(vae, GaussianMixture(1), random_state=0).fit(X[kept], Y[kept])
    assert sampler.classes_.tolist() == [0, 2]
    assert sampler.class_prior_ == pytest.approx([5 / 6, 1 / 6])
    drawn = sampler.sample(600, mean=True)
    nearest = KNeighborsClassifier(5).fit(X[kept], Y[kept]).predict(drawn)
    assert (nearest == 0).mean() == pytest.approx(5 / 6, abs=0.06)


def test_labels_are_of_any_type(vae):
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    sampler = LatentDensitySampler(vae, GaussianMixture(1), random_state=0).fit(X, names)
    assert sampler.sample(2, y=["setosa", "virginica"]).shape == (2, 4)
    assert sampler.sample(y="versicolor").shape == (1, 4)


def test_a_fit_without_labels_forgets_them(vae):
    sampler = LatentDensitySampler(vae, GaussianMixture(1), random_state=0).fit(X, Y).fit(X)
    assert sampler.classes_ is None
    assert len(sampler.densities_) == 1


# scikit-learn


def test_fitted_model_is_used_and_another_is_cloned(vae):
    assert LatentDensitySampler(vae, KernelDensity()).fit(X).vae_ is vae
    fresh = VariationalAutoencoder(max_epochs=2, random_state=0)
    sampler = LatentDensitySampler(fresh, KernelDensity()).fit(X)
    assert sampler.vae_ is not fresh
    assert not hasattr(fresh, "net_")
    assert sampler.n_features_in_ == 4


def test_templates_stay_as_they_are(vae):
    density, flow = GaussianMixture(2), nsf()
    before = copy.deepcopy(flow.state_dict())
    LatentDensitySampler(vae, density, random_state=0).fit(X)
    FlowDensity(flow, n_steps=2, random_state=0).fit(X[:, :2])
    assert not hasattr(density, "means_")
    assert density.random_state is None
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_sampler_is_cloned_set_shown_and_pickled(sampler):
    copied = clone(sampler).set_params(vae__n_components=3, random_state=5)
    assert copied.get_params()["vae__n_components"] == 3
    assert sampler.get_params()["vae__n_components"] == 2
    assert repr(sampler).startswith("LatentDensitySampler(")
    restored = pickle.loads(pickle.dumps(sampler))
    np.testing.assert_array_equal(restored.sample(4), sampler.sample(4))


def test_default_density_has_at_most_as_many_components_as_rows(vae):
    sampler = LatentDensitySampler(vae, random_state=0)
    assert sampler.fit(X[:4]).densities_[0].n_components == 4
    assert sampler.fit(X[:12]).densities_[0].n_components == 10


def test_a_density_of_the_users_without_random_state(vae):
    class Point(BaseEstimator):
        def fit(self, Z):
            self.mean_ = Z.mean(0)
            return self

        def sample(self, n):
            return np.tile(self.mean_, (n, 1))

    assert LatentDensitySampler(vae, Point(), random_state=0).fit(X).sample(3).shape == (3, 4)


# Flows


def test_flow_comes_near_the_density_of_its_rows():
    rng = np.random.RandomState(0)
    cov = np.array([[4.0, 1.5], [1.5, 1.0]])
    rows = rng.multivariate_normal([10, -3], cov, 800)
    density = FlowDensity(nsf(), n_steps=300, learning_rate=1e-2, random_state=0).fit(rows)
    fresh = rng.multivariate_normal([10, -3], cov, 800)
    exact = multivariate_normal([10, -3], cov).logpdf(fresh).mean()
    assert density.score_samples(fresh).mean() == pytest.approx(exact, abs=0.1)
    drawn = density.sample(2000)
    assert drawn.mean(0) == pytest.approx([10, -3], abs=0.25)
    assert np.cov(drawn.T) == pytest.approx(cov, abs=0.6)


def test_flow_of_a_constant_column_stays_finite():
    rows = np.column_stack([np.arange(10.0), np.full(10, 7.0)])
    density = FlowDensity(nsf(), n_steps=2, random_state=0).fit(rows)
    assert np.isfinite(density.score_samples(rows)).all()


def test_module_is_wrapped(vae):
    sampler = LatentDensitySampler(vae, StandardNormal(), random_state=0).fit(X)
    assert isinstance(sampler.densities_[0], FlowDensity)
    assert sampler.sample(3).shape == (3, 4)


@pytest.mark.parametrize("flow", [nsf(), StandardNormal()])
def test_flow_is_repeated_cloned_and_pickled(flow):
    rows = X[:, :2]
    density = FlowDensity(flow, n_steps=5, random_state=0)
    one, other = clone(density).fit(rows), clone(density).fit(rows)
    np.testing.assert_array_equal(one.sample(5), other.sample(5))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).sample(5), one.sample(5))
    assert not np.allclose(one.sample(5, random_state=1), one.sample(5, random_state=2))


# Interpolation


@pytest.mark.parametrize("method", ["linear", "spherical"])
def test_path_runs_from_one_reconstruction_to_the_other(vae, method):
    path = interpolate(vae, X[0], X[120], n=7, method=method)
    ends = vae.reconstruct(X[[0, 120]])
    assert path.shape == (7, 4)
    assert path[[0, -1]] == pytest.approx(ends)
    paths = interpolate(vae, X[:5], X[100:105], n=7, method=method)
    sampler = LatentDensitySampler(vae).fit(X)
    assert np.array_equal(sampler.interpolate(X[0], X[120], 7, method=method), path)
    assert paths.shape == (5, 7, 4)
    assert paths[0, [0, -1]] == pytest.approx(vae.reconstruct(X[[0, 100]]))


def test_paths_are_lines_and_arcs(vae):
    z1, z2 = vae.transform(X[[0, 120]])
    t = np.linspace(0, 1, 5)[:, None]
    linear = vae.inverse_transform((1 - t) * z1 + t * z2)
    assert interpolate(vae, X[0], X[120], 5) == pytest.approx(linear)
    omega = np.arccos(z1 @ z2 / np.linalg.norm(z1) / np.linalg.norm(z2))
    arc = (np.sin((1 - t) * omega) * z1 + np.sin(t * omega) * z2) / np.sin(omega)
    spherical = interpolate(vae, X[0], X[120], 5, method="spherical")
    assert spherical == pytest.approx(vae.inverse_transform(arc))
    assert spherical != pytest.approx(linear)


class Latent(VariationalAutoencoder):
    """A model whose rows are their own latent."""

    def __sklearn_is_fitted__(self):
        return True

    def posterior(self, X):
        return np.asarray(X), np.ones_like(X)

    def inverse_transform(self, Z):
        return Z


def test_arc_keeps_its_radius():
    path = interpolate(Latent(), np.array([2.0, 0, 0]), np.array([0, 2.0, 0]), method="spherical")
    assert np.linalg.norm(path, axis=1) == pytest.approx(np.full(10, 2.0))
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps == pytest.approx(np.full(9, steps[0]))


@pytest.mark.parametrize(
    "x2", [[3.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [2.0, 1e-9], [2.0, 1e-5]]
)
def test_arc_becomes_a_line_between_parallel_vectors(x2):
    ends = np.array([1.0, 0.0]), np.array(x2)
    line = interpolate(Latent(), *ends)
    assert interpolate(Latent(), *ends, method="spherical") == pytest.approx(line, abs=1e-6)


def test_precision_is_that_of_the_rows(vae):
    rows = X.astype(np.float32)
    path = interpolate(vae, rows[0], rows[1], method="spherical")
    assert path.dtype == np.float32


# Bad arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "cubic"}, ValueError, r"method='cubic' must be one of \['linear', 'sph"),
        ({"n": 1}, ValueError, "n=1 must be a whole number of at least 2"),
        ({"n": 2.5}, TypeError, "n=2.5 must be a whole number"),
        ({"x2": X[:2]}, ValueError, r"x1 has shape \(4,\), x2 \(2, 4\)"),
    ],
)
def test_bad_paths_are_refused(vae, arguments, error, message):
    with pytest.raises(error, match=message):
        interpolate(vae, **{"x1": X[0], "x2": X[1], **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples=0 must be a whole number of at least 1"),
        ({"y": 7}, r"y holds 7; the classes are \[0, 1, 2\]"),
        ({"n_samples": 3, "y": [0, 1]}, r"y has shape \(2,\), but n_samples=3"),
    ],
)
def test_bad_draws_are_refused(by_class, arguments, message):
    for draw in (by_class.sample, by_class.sample_latent):
        with pytest.raises(ValueError, match=message):
            draw(**arguments)


def test_labels_are_refused_where_there_were_none(vae):
    sampler = LatentDensitySampler(vae, KernelDensity()).fit(X)
    with pytest.raises(ValueError, match=r"y=1, but fit had no labels. Call fit\(X, y\)"):
        sampler.sample(y=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vae": 3}, "'vae' parameter of LatentDensitySampler"),
        ({"density": 3}, "'density' parameter of LatentDensitySampler"),
        ({"random_state": "x"}, "'random_state' parameter of LatentDensitySampler"),
    ],
)
def test_bad_parameters_are_refused(vae, arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentDensitySampler(**{"vae": vae, **arguments}).fit(X)


def test_bad_labels_are_refused(vae):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentDensitySampler(vae, KernelDensity()).fit(X, Y[:-1])
    with pytest.raises(ValueError, match="has a single row"):
        LatentDensitySampler(vae, KernelDensity()).fit(X[:51], Y[:51])


def test_bad_flows_are_refused():
    with pytest.raises(ValueError, match=r"flow is over vectors of shape \(2,\), but X has 4"):
        FlowDensity(nsf()).fit(X)
    with pytest.raises(ValueError, match="'n_steps' parameter of FlowDensity"):
        FlowDensity(nsf(), n_steps=0).fit(X[:, :2])
    with pytest.raises(ValueError, match="Lower learning_rate="):
        FlowDensity(nsf(), learning_rate=1e20, random_state=0).fit(X[:, :2])


def test_unfitted_objects_are_refused(vae):
    for call in (
        LatentDensitySampler(vae).sample,
        LatentDensitySampler(vae).sample_latent,
        FlowDensity(nsf()).sample,
        lambda: FlowDensity(nsf()).score_samples(X[:, :2]),
        lambda: interpolate(VariationalAutoencoder(), X[0], X[1]),
    ):
        with pytest.raises(NotFittedError):
            call()
