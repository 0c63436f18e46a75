"""Scores and measures: closed forms of normal distributions, identities, scikit-learn's tools."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VariationalAutoencoder, metrics
from skvae.likelihoods import Gaussian
from skvae.metrics import _aggregate
from skvae.posteriors import _START

SCORERS = [
    metrics.elbo_scorer,
    metrics.log_likelihood_scorer,
    metrics.bits_per_dim_scorer,
    metrics.reconstruction_scorer,
]
MEASURES = [
    metrics.bits_per_dim,
    metrics.reconstruction_error,
    metrics.rate_distortion,
    metrics.active_units,
    metrics.mutual_information,
    metrics.aggregate_kl,
    metrics.total_correlation,
]
IRIS, SPECIES = load_iris(return_X_y=True)
FEW = IRIS[::3]


@pytest.fixture(scope="module", params=["diagonal", "full", "flow"])
def fitted(request):
    vae = VariationalAutoencoder(posterior_family=request.param, max_epochs=40, random_state=0)
    return vae.fit(IRIS)


@pytest.fixture(scope="module")
def vae():
    return VariationalAutoencoder(max_epochs=40, random_state=0).fit(IRIS)


def linear(loc_weight, scale, X, family="diagonal"):
    """An autoencoder with q(z|x) = N(loc_weight x, diag scale²) of any family."""
    vae = VariationalAutoencoder(
        len(scale),
        hidden_layer_sizes=(),
        max_epochs=1,
        learning_rate=1e-12,  # a flow then stays the identity that it starts as
        likelihood=Gaussian(),
        posterior_family=family,
        random_state=0,
    ).fit(X)
    head = vae.encoder_.head
    head = getattr(head, "base", head)
    d = len(scale)
    layers = [head.loc, head.tril] if family == "full" else [head.moments]
    with torch.no_grad():
        weight = torch.cat([layer.weight for layer in layers]).zero_()
        bias = torch.cat([layer.bias for layer in layers]).zero_()
        weight[:d] = torch.tensor(loc_weight * X.std(0))
        bias[:d] = torch.tensor(loc_weight @ X.mean(0))
        bias[d : 2 * d] = torch.tensor(np.log(np.expm1(scale))) - _START
        n_out = [layer.out_features for layer in layers]
        for layer, rows, values in zip(layers, weight.split(n_out), bias.split(n_out), strict=True):
            layer.weight.copy_(rows)
            layer.bias.copy_(values)
    loc, stddev = vae.posterior(X)
    np.testing.assert_allclose(loc, X @ np.transpose(loc_weight), atol=1e-5)
    np.testing.assert_allclose(stddev, np.broadcast_to(scale, stddev.shape), atol=1e-2)
    return vae


def normal_rows(n=1200):
    """Rows with the sample moments of N(0, I)."""
    u = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(n, dtype=torch.float64)
    Z = ndtri(u.numpy())
    return (Z - Z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(Z.T, ddof=0))).T


LOC_WEIGHT, SCALE = np.array([[0.8, 0.2], [0.5, -0.3]]), np.array([0.5, 0.6])


@pytest.fixture(scope="module")
def known():
    """A model, its rows and the covariance of its q(z), which is normal."""
    X = normal_rows()
    cov = LOC_WEIGHT @ LOC_WEIGHT.T + np.diag(SCALE**2)
    return linear(LOC_WEIGHT, SCALE, X), X, cov


# Closed forms


def test_mutual_information_of_a_normal_channel(known):
    vae, X, cov = known
    exact = 0.5 * np.linalg.slogdet(cov)[1] - np.log(SCALE).sum()
    assert metrics.mutual_information(vae, X) == pytest.approx(exact, abs=0.02)


def test_aggregate_kl_of_a_normal_channel(known):
    vae, X, cov = known
    exact = 0.5 * (np.trace(cov) - 2 - np.linalg.slogdet(cov)[1])
    assert metrics.aggregate_kl(vae, X) == pytest.approx(exact, abs=0.02)


def test_total_correlation_is_that_of_the_correlation_matrix(known):
    vae, X, cov = known
    corr = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    exact = -0.5 * np.linalg.slogdet(corr)[1]
    assert exact > 0.05
    assert metrics.total_correlation(vae, X) == pytest.approx(exact, abs=0.02)


def test_rate_of_a_normal_channel(known):
    vae, X, cov = known
    exact = 0.5 * (np.trace(cov) - 2 - 2 * np.log(SCALE).sum())
    assert metrics.rate_distortion(vae, X).rate == pytest.approx(exact, abs=1e-5)


def test_aggregate_matches_the_prior_where_it_should():
    weight, scale = np.diag([0.8, 0.6]), np.array([0.6, 0.8])
    vae = linear(weight, scale, normal_rows())
    assert metrics.aggregate_kl(vae, normal_rows()) == pytest.approx(0, abs=0.02)
    assert metrics.total_correlation(vae, normal_rows()) == pytest.approx(0, abs=0.02)


def test_mutual_information_ends_at_the_log_of_the_rows():
    X = normal_rows(100)
    vae = linear(np.eye(2), np.array([1e-3, 1e-3]), X)
    assert metrics.mutual_information(vae, X) == pytest.approx(math.log(100), abs=1e-3)
    assert metrics.mutual_information(vae, X) <= math.log(100) + 1e-5
    assert metrics.mutual_information(vae, X[:1]) == pytest.approx(0, abs=1e-5)


def test_aggregate_agrees_with_the_mixture_written_out(fitted):
    """Every row's posterior at every draw, straight from the distributions."""
    rows = fitted._read(IRIS[:40])
    inference = fitted._inference(np.float64)
    z, log_posterior = inference.draws(rows)
    with torch.no_grad():
        posterior = inference.model.posterior(torch.from_numpy(IRIS[:40]))
        draws = torch.from_numpy(z).transpose(0, 1)
        own = posterior.log_prob(draws)
        pairs = posterior.log_prob(draws.flatten(0, 1).unsqueeze(1))
    log_mean = torch.logsumexp(pairs, -1).numpy() - math.log(40)
    assert log_posterior == pytest.approx(own.numpy().T)
    information = own.numpy().ravel().mean() - log_mean.mean()
    assert metrics.mutual_information(fitted, IRIS[:40]) == pytest.approx(information)


# Identities


def test_rate_is_mutual_information_and_aggregate_kl(fitted):
    rate = metrics.rate_distortion(fitted, FEW).rate
    information = metrics.mutual_information(fitted, FEW)
    distance = metrics.aggregate_kl(fitted, FEW)
    assert rate == pytest.approx(information + distance)
    assert 0.5 < information < math.log(50)
    assert 0 < distance < rate


def test_aggregate_kl_is_an_expectation_under_the_aggregate(fitted):
    """E[log q(z) − log p(z)] over the same draws, which aggregate_kl does not use."""
    draws = _aggregate.Draws.of(fitted, FEW)
    with torch.no_grad():
        log_prior = draws.inference.prior.log_prob(draws.z).numpy()
    direct = (draws.log_aggregate() - log_prior).mean()
    assert metrics.aggregate_kl(fitted, FEW) == pytest.approx(direct, abs=0.05)


def test_elbo_is_minus_rate_and_distortion(fitted):
    rate, distortion = metrics.rate_distortion(fitted, FEW)
    assert -(rate + distortion) == pytest.approx(fitted.score(FEW))


@pytest.mark.parametrize("family", ["full", "flow"])
@pytest.mark.parametrize("measure", [metrics.mutual_information, metrics.total_correlation])
def test_families_agree_where_they_are_the_same(measure, family):
    X = normal_rows(80)
    vae, other = (linear(LOC_WEIGHT, SCALE, X, name) for name in ("diagonal", family))
    # The marginals of a flow have the moments of 32 points.
    assert measure(other, X) == pytest.approx(measure(vae, X), abs=5e-3)


def test_bits_are_scaled_nats(vae):
    bits = metrics.bits_per_dim(vae, IRIS)
    assert bits * 4 * math.log(2) == pytest.approx(-vae.score(IRIS))
    assert metrics.bits_per_dim_scorer(vae, IRIS) == -bits
    assert metrics.bits_per_dim(vae, IRIS, 64) < bits


def test_levels_are_the_units_of_the_density():
    """Modelling x in [0, 1) with n_levels given is modelling n_levels · x without."""
    levels = load_digits().data[:300]
    X = (levels + np.random.RandomState(0).rand(*levels.shape)) / 17
    params = {"likelihood": Gaussian(), "max_epochs": 2, "random_state": 0}
    small = VariationalAutoencoder(**params).fit(X)
    large = VariationalAutoencoder(**params).fit(17 * X)
    bits = metrics.bits_per_dim(small, X, n_levels=17)
    assert bits == pytest.approx(metrics.bits_per_dim(small, X) + math.log2(17))
    assert bits == pytest.approx(metrics.bits_per_dim(large, 17 * X), abs=0.05)


def test_reconstruction_error_is_that_of_reconstruct(vae):
    error = np.square(IRIS - vae.reconstruct(IRIS)).mean()
    assert metrics.reconstruction_error(vae, IRIS) == pytest.approx(error)
    assert metrics.reconstruction_scorer(vae, IRIS) == pytest.approx(-error)


def test_active_units_are_those_whose_mean_moves():
    X = normal_rows(200)
    vae = linear(np.array([[0.5, 0.0], [0.0, 0.05]]), SCALE, X)
    assert metrics.active_units(vae, X).tolist() == [True, False]
    assert metrics.active_units(vae, X, threshold=0.001).tolist() == [True, True]
    assert metrics.active_units(vae, X, threshold=0.3).tolist() == [False, False]


# The mutual information gap


@pytest.mark.parametrize(
    ("weight", "low", "high"),
    [
        (np.diag([1.0, 1.0]), 0.8, 1.0),  # a component of its own
        (np.array([[1.0, 0.0], [1.0, 0.0]]), 0.0, 0.01),  # two that say the same
        (np.array([[0.0, 1.0], [0.0, 0.5]]), 0.0, 0.05),  # none
    ],
)
def test_gap_is_of_the_components_that_carry_the_factor(weight, low, high):
    rng = np.random.RandomState(0)
    factor = rng.randint(2, size=400)
    X = np.column_stack([4.0 * factor - 2, rng.randn(400)])
    vae = linear(weight, np.array([0.5, 0.5]), X)
    assert low <= metrics.mutual_information_gap(vae, X, factor) <= high


def test_gap_of_several_factors_is_the_mean_and_values_are_names():
    rng = np.random.RandomState(0)
    one, other = rng.randint(2, size=(2, 300))
    X = 4.0 * np.column_stack([one, other]) - 2 + rng.randn(300, 2) * 0.1
    vae = linear(np.array([[1.0, 0.2], [0.0, 1.0]]), np.array([0.5, 0.5]), X)
    gaps = [metrics.mutual_information_gap(vae, X, v) for v in (one, other)]
    both = metrics.mutual_information_gap(vae, X, np.column_stack([one, other]))
    assert both == pytest.approx(np.mean(gaps))
    named = np.where(one == 1, "yes", "no")
    assert metrics.mutual_information_gap(vae, X, named) == pytest.approx(gaps[0])
    assert all(0 <= gap <= 1 for gap in gaps)


def test_gap_of_one_component_is_its_own_information():
    factor = np.repeat([0, 1], 100)
    X = np.column_stack([4.0 * factor - 2, normal_rows(200)[:, 0]])
    vae = linear(np.array([[1.0, 0.0]]), np.array([0.5]), X)
    assert metrics.mutual_information_gap(vae, X, factor) == pytest.approx(1, abs=0.01)


def test_gap_of_every_family_lies_between_its_bounds(fitted):
    assert 0 <= metrics.mutual_information_gap(fitted, FEW, SPECIES[::3]) <= 1


# Order, repeats, memory


@pytest.mark.parametrize("measure", [*SCORERS, *MEASURES])
def test_order_of_the_rows_is_nothing(vae, measure):
    order = np.random.RandomState(0).permutation(len(IRIS))
    np.testing.assert_allclose(measure(vae, IRIS[order]), measure(vae, IRIS), rtol=1e-9)
    np.testing.assert_array_equal(measure(vae, IRIS), measure(vae, IRIS))


def test_order_of_the_rows_is_nothing_for_the_gap(vae):
    order = np.random.RandomState(0).permutation(len(IRIS))
    gap = metrics.mutual_information_gap(vae, IRIS, SPECIES)
    shuffled = metrics.mutual_information_gap(vae, IRIS[order], SPECIES[order])
    assert shuffled == pytest.approx(gap, rel=1e-9)


def test_size_of_the_blocks_is_nothing(vae, monkeypatch):
    values = [measure(vae, IRIS) for measure in MEASURES]
    monkeypatch.setattr(_aggregate, "N_DENSITIES", 700)
    monkeypatch.setattr(_aggregate, "BATCH_SIZE", 32)
    for measure, value in zip(MEASURES, values, strict=True):
        np.testing.assert_allclose(measure(vae, IRIS), value, rtol=1e-9)


def test_rows_of_float32_give_nearly_the_same(vae):
    for measure in MEASURES:  # another hash, so other noise
        np.testing.assert_allclose(measure(vae, IRIS.astype("f")), measure(vae, IRIS), atol=0.05)


def test_global_generators_stay_as_they_are(vae):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    for measure in MEASURES:
        measure(vae, IRIS)
    metrics.mutual_information_gap(vae, IRIS, SPECIES)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


# scikit-learn


@pytest.mark.parametrize("scorer", SCORERS)
def test_scorers_select_in_a_search_over_a_pipeline(scorer):
    vae = VariationalAutoencoder(max_epochs=3, random_state=0)
    pipe = make_pipeline(StandardScaler(), vae)
    grid = {"variationalautoencoder__n_components": [1, 2]}
    search = GridSearchCV(pipe, grid, scoring=scorer, cv=2, error_score="raise")
    search.fit(IRIS, SPECIES)
    scaled = search.best_estimator_[:-1].transform(IRIS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(IRIS) == pytest.approx(scorer(search.best_estimator_[-1], scaled))


def test_scorers_work_side_by_side_and_alone():
    vae = VariationalAutoencoder(max_epochs=3, random_state=0)
    scoring = {"elbo": metrics.elbo_scorer, "error": metrics.reconstruction_scorer}
    search = GridSearchCV(vae, {"beta": [0.5, 1.0]}, scoring=scoring, refit="elbo", cv=2)
    assert {"mean_test_elbo", "mean_test_error"} <= set(search.fit(IRIS).cv_results_)
    scores = cross_val_score(vae, IRIS, scoring=metrics.elbo_scorer, cv=2)
    assert scores == pytest.approx(cross_val_score(vae, IRIS, cv=2))


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_see_through_pipelines(vae, measure):
    nested = Pipeline([("inner", Pipeline([("vae", vae)]))])
    np.testing.assert_array_equal(measure(nested, IRIS), measure(vae, IRIS))


def test_log_likelihood_scorer_is_the_mean_bound(vae):
    scorer = metrics.make_log_likelihood_scorer(10)
    bound = vae.score_samples(IRIS, n_importance_samples=10).mean()
    assert scorer(vae, IRIS) == pytest.approx(bound)
    assert metrics.make_log_likelihood_scorer(1)(vae, IRIS) == pytest.approx(vae.score(IRIS))
    assert vae.score(IRIS) < scorer(vae, IRIS) < metrics.log_likelihood_scorer(vae, IRIS) + 0.02


@pytest.mark.parametrize("copied", [clone, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_log_likelihood_scorer_is_copied_and_shown(vae, copied):
    scorer = metrics.make_log_likelihood_scorer(10)
    assert repr(copied(scorer)) == "LogLikelihoodScorer(n_importance_samples=10)"
    assert copied(scorer)(vae, IRIS) == scorer(vae, IRIS)


# Bad arguments


@pytest.mark.parametrize("measure", [*SCORERS, *MEASURES])
def test_what_is_not_a_fitted_model_is_refused(measure):
    with pytest.raises(TypeError, match=r"StandardScaler.*Pass the fitted model"):
        measure(StandardScaler().fit(IRIS), IRIS)
    with pytest.raises(NotFittedError):
        measure(VariationalAutoencoder(), IRIS)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (IRIS[:, 0], "Column 0 of factors is continuous.*KBinsDiscretizer"),
        (np.column_stack([SPECIES, np.ones(150)]), "Column 1 of factors is constant"),
        (SPECIES[:-1], "inconsistent numbers of samples"),
        (SPECIES.reshape(150, 1, 1), "factors has 3 dimensions"),
    ],
)
def test_bad_factors_are_refused(vae, factors, message):
    with pytest.raises(ValueError, match=message):
        metrics.mutual_information_gap(vae, IRIS, factors)


def test_bad_numbers_are_refused(vae):
    with pytest.raises(ValueError, match="n_importance_samples=0 must be"):
        metrics.make_log_likelihood_scorer(0)
    with pytest.raises(ValueError, match="n_levels=1 must be"):
        metrics.bits_per_dim(vae, IRIS, n_levels=1)
    with pytest.raises(ValueError, match="threshold=-1 must be"):
        metrics.active_units(vae, IRIS, threshold=-1)


def test_rows_outside_the_support_are_refused():
    X = (IRIS.mean(0) < IRIS).astype(float)
    vae = VariationalAutoencoder(max_epochs=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="Bernoulli"):
        metrics.rate_distortion(vae, IRIS)
