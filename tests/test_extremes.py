"""Rows that are as far from the rest as floats reach: every number that comes out is one."""

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer

from skvae import VariationalAutoencoder
from skvae.distributions import positive
from skvae.likelihoods import (
    LIKELIHOODS,
    Gaussian,
    Laplace,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflatedNegativeBinomial,
)
from skvae.posteriors import POSTERIORS, InverseAutoregressiveFlow
from skvae.priors import PRIORS, FlowPrior, VampPrior
from tests.pairs import covering

RNG = np.random.RandomState(0)
N = 8
REAL = RNG.randn(N, 4)
COUNTS = RNG.poisson(3.0, (N, 4)).astype(float)
BINARY = (REAL > 0).astype(float)
ONE_HOT = np.column_stack([BINARY[:, :2], 1 - BINARY[:, :2]])[:, [0, 2, 1, 3]]


def reals(largest):
    """Wild values of both signs, in one column and in all."""
    values = np.array([1e2, 1e4, 1e30, largest])
    alone = np.column_stack([values, np.zeros((len(values), 3))])
    return np.vstack([alone, -alone, np.outer(values, np.ones(4)), np.outer(-values, np.ones(4))])


def counts(largest):
    return np.abs(reals(largest))


def edges(largest):
    return np.array([[0.0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0.5, 1 / largest]])


def mixed(largest):
    """Two real columns, a count and a coin."""
    wild = reals(largest)
    return np.column_stack([wild[:, :2], np.abs(wild[:, 2]), np.arange(len(wild)) % 2])


CASES = {
    "bernoulli": (BINARY, lambda _: np.array([[0.0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0.5, 1e-30]])),
    "continuous_bernoulli": (
        RNG.rand(N, 4),
        lambda _: np.array([[0.0, 0, 0, 0], [1, 1, 1, 1e-30]]),
    ),
    "gaussian": (REAL, reals),
    "student_t": (REAL, reals),
    "laplace": (REAL, reals),
    "rounded_gaussian": (COUNTS - 3, lambda largest: reals(largest).round()),
    "log_normal": (np.exp(REAL), lambda largest: counts(largest) + 1e-30),
    "zero_inflated_log_normal": (np.exp(REAL) * (REAL < 0.5), counts),
    "poisson": (COUNTS, counts),
    "negative_binomial": (COUNTS, counts),
    "zero_inflated_negative_binomial": (COUNTS, counts),
    "categorical": (ONE_HOT, lambda _: ONE_HOT[:3]),
    "mixed": (np.column_stack([REAL[:, :2], COUNTS[:, 0], BINARY[:, 0]]), mixed),
}
"""What each likelihood is fitted to, and rows in its support that a largest float allows."""


def test_there_are_rows_for_every_name():
    assert set(CASES) == {name for name in LIKELIHOODS if name != "auto"}


def vae(**params):
    quick = {"max_epochs": 1, "hidden_layer_sizes": (6,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


def assert_finite(model, wild):
    """No result is NaN or infinite; no row is a trillion times likelier than an ordinary one."""
    score, weighted = model.score_samples(wild), model.score_samples(wild, n_importance_samples=3)
    for result in (score, weighted, model.transform(wild), *model.posterior(wild)):
        assert result.dtype == wild.dtype
        assert np.isfinite(result).all()
    assert max(score.max(), weighted.max()) < 100
    assert (model.posterior(wild)[1] > 0).all()


SMALL_PRIORS = {"vamp": VampPrior(2), "flow": FlowPrior(1, (8,), 4)}
SMALL_POSTERIORS = {"flow": InverseAutoregressiveFlow(2, (8,), 4)}
"""In place of the parts that take their time."""

# What comes of far rows is for encoder and likelihood to say: these meet in every size.
MODELS = covering(list(CASES), list(PRIORS), list(product(POSTERIORS, (1, 50))))


# scikit-learn's own check of X, a sum of +3e38 and -3e38 over and over
@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning")
@pytest.mark.parametrize(("likelihood", "prior", "posterior"), MODELS)
def test_every_model_is_finite_everywhere(likelihood, prior, posterior):
    posterior_family, n_components = posterior
    X, extremes = CASES[likelihood]
    model = vae(
        n_components=n_components,
        likelihood=likelihood,
        prior=SMALL_PRIORS.get(prior, prior),
        posterior_family=SMALL_POSTERIORS.get(posterior_family, posterior_family),
    ).fit(X)
    for dtype in (np.float32, np.float64):
        assert_finite(model, extremes(float(np.finfo(dtype).max)).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("likelihood", "X", "extremes"),
    [
        (Gaussian("row"), REAL, reals),
        (Gaussian(0.01), REAL, reals),
        (Laplace("shared"), 1e-3 * REAL, reals),
        (StudentT(2.0, "row"), 1e4 + REAL, reals),
        (Poisson("total"), COUNTS, counts),
        (NegativeBinomial("shared", "total"), COUNTS, counts),
        (ZeroInflatedNegativeBinomial(size_factor="total"), COUNTS, counts),
    ],
    ids=lambda v: repr(v)[:40] if hasattr(v, "support") else "",
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning")
def test_every_kind_of_noise(likelihood, X, extremes, dtype):
    assert_finite(
        vae(likelihood=likelihood).fit(X), extremes(float(np.finfo(dtype).max)).astype(dtype)
    )


FARTHER = np.outer([1e1, 1e3, 1e5, 1e7, 1e9], np.ones(4))


@pytest.mark.parametrize("posterior_family", POSTERIORS)
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "laplace", "poisson"])
def test_the_farther_the_less_likely(likelihood, posterior_family):
    """Saturation must not make of the strangest row an ordinary one."""
    path = False if posterior_family == "flow" else "auto"  # of a flow: see the next test
    model = vae(likelihood=likelihood, posterior_family=posterior_family, linear_path=path)
    assert (np.diff(model.fit(CASES[likelihood][0]).score_samples(FARTHER)) < 0).all()


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "laplace", "poisson"])
def test_a_linear_path_behind_a_flow_saturates_far_out(likelihood):
    """Its z is decoded farther out than the row is, which from 1e7 on is a little closer to it."""
    model = vae(likelihood=likelihood, posterior_family="flow").fit(CASES[likelihood][0])
    scores = model.score_samples(FARTHER)
    assert (np.diff(scores[:4]) < 0).all()
    assert scores[4] < 0.99 * scores[3]


def test_a_bound_beyond_the_largest_float_is_the_lowest():
    X = 1e-6 * REAL
    model = vae(likelihood=Gaussian(1e-17)).fit(X)
    wild = np.full((1, 4), 1e30, np.float32)
    for n_importance_samples in (1, 3):
        score = model.score_samples(wild, n_importance_samples=n_importance_samples)
        assert score[0] == np.finfo(np.float32).min


@pytest.mark.parametrize("deviations", [1e3, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_wild_value_in_a_row_of_measurements(deviations, dtype):
    X = load_breast_cancer().data
    model = vae(max_epochs=20, hidden_layer_sizes=(32,)).fit(X)
    wild = X[:30] + deviations * np.diag(X.std(0))
    for n_importance_samples in (1, 50):
        params = {"n_importance_samples": n_importance_samples}
        scores = model.score_samples(wild.astype(dtype), **params)
        assert np.isfinite(scores).all()
        assert scores.max() < model.score_samples(X.astype(dtype), **params).min()


@pytest.mark.parametrize(("wild", "seed"), [(100.0, 8), (2000.0, 2)])
def test_a_fit_on_rows_with_one_wild_value_succeeds(wild, seed):
    X = np.random.RandomState(seed).randn(3000, 3)
    X[7, 1] = wild
    model = VariationalAutoencoder(max_epochs=13, random_state=seed).fit(X)
    assert model.score_samples(X).argmin() == 7


@pytest.mark.parametrize("family", POSTERIORS)
def test_scales_have_a_floor_and_ordinary_ones_are_as_they_were(family):
    head = POSTERIORS[family]()
    head.initialize(5, 3, torch.Generator().manual_seed(0))
    features = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
    far = head(1e6 * features)
    assert (far.stddev > 0).all()
    assert torch.isfinite(far.log_prob(far.reparameterize(torch.ones(9, 3)))).all()
    raw = torch.linspace(-13, 50, 99)
    assert torch.equal(positive(raw), torch.nn.functional.softplus(raw))


def test_weights_that_are_no_numbers_still_show():
    """Only what is out of a float's range is brought back into it."""
    model = vae().fit(REAL)
    with torch.no_grad():
        next(model.encoder_.parameters()).fill_(np.nan)
    for n_importance_samples in (1, 3):
        scores = model.score_samples(REAL, n_importance_samples=n_importance_samples)
        assert np.isnan(scores).all()
