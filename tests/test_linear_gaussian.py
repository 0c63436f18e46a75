"""Where log p(x) is known: a linear decoder with Gaussian noise is factor analysis."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis

from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian
from skvae.objectives import ELBO, IWAE, BetaTCVAE, CyclicalAnnealing, InfoVAE


def latent_plane(noise, seed=0, n=2000):
    rng = np.random.RandomState(seed)
    return rng.randn(n, 2) @ rng.randn(2, 8) + rng.randn(n, 8) * noise


FEATURE_NOISE = np.array([0.6, 0.5, 0.4, 0.7, 0.4, 0.8, 0.3, 0.5])
UNITS = np.array([1e-3, 1, 1e4, 1, 10, 100, 1, 0.1])
CASES = {
    "feature": (latent_plane(FEATURE_NOISE), FactorAnalysis(2, tol=1e-4)),
    "shared": (latent_plane(0.5), PCA(2)),
}


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    """A linear VAE, its data, and the model that is exact for the same family."""
    X, reference = CASES[request.param]
    vae = VariationalAutoencoder(
        hidden_layer_sizes=(),
        likelihood=Gaussian(request.param),
        max_epochs=60,
        learning_rate=1e-2,
        learning_rate_schedule="cosine",  # Adam's noise dies down
        random_state=0,
    )
    return vae.fit(X), X, reference.fit(X)


def exact_log_likelihood(vae, X):
    """log N(x; m, W Wᵀ + Ψ), the marginal of the fitted model in closed form."""
    mean = vae.inverse_transform(np.zeros((1, 2)))[0]
    weight = (vae.inverse_transform(np.eye(2)) - mean).T
    with torch.no_grad():
        p = vae.likelihood_(torch.zeros(1, X.shape[1], 1))
        noise = p.variance[0].double().numpy()
    return multivariate_normal(mean, weight @ weight.T + np.diag(noise)).logpdf(X)


def test_fits_as_well_as_the_exact_method(fitted):
    vae, X, reference = fitted
    assert vae.score(X) == pytest.approx(reference.score(X), abs=0.06)
    assert vae.score(X) < reference.score(X)


def test_bound_meets_the_exact_log_likelihood_from_below(fitted):
    vae, X, _ = fitted
    exact = exact_log_likelihood(vae, X).mean()
    assert exact - 0.05 < vae.score(X) < exact + 1e-3


def test_importance_weighted_bound_rises_towards_it(fitted):
    vae, X, _ = fitted
    exact = exact_log_likelihood(vae, X).mean()
    bounds = [vae.score_samples(X, n_importance_samples=k).mean() for k in (1, 4, 16, 64)]
    assert np.diff(bounds).min() > -0.002  # equal at the optimum, up to the error of a mean
    assert bounds[-1] > bounds[0]
    assert exact - 0.005 < bounds[-1] < exact + 0.002


def test_error_of_the_score_is_far_below_a_fiftieth_of_a_nat(fitted):
    """Against the bound's closed form: q and p(x|z) are normal, p's mean is linear in z."""
    vae, X, _ = fitted
    loc, scale = vae.posterior(X)
    mean = vae.inverse_transform(np.zeros((1, 2)))[0]
    weight = vae.inverse_transform(np.eye(2)) - mean
    with torch.no_grad():
        noise = vae.likelihood_(torch.zeros(1, X.shape[1], 1)).variance[0].double().numpy()
    residual = X - vae.inverse_transform(loc)
    squares = residual**2 + scale**2 @ weight**2
    reconstruction = -0.5 * (squares / noise + np.log(2 * np.pi * noise)).sum(1)
    kl = 0.5 * (loc**2 + scale**2 - 1 - 2 * np.log(scale)).sum(1)
    exact = (reconstruction - kl).mean()
    assert vae.score(X) == pytest.approx(exact, abs=0.01)
    error = vae.score_samples(X) - (reconstruction - kl)
    assert error.std() / np.sqrt(len(X)) < 0.02


# At the optimum of the elbo the average posterior is the prior and the components are
# independent, so what the other objectives add is zero there too.
OBJECTIVES = {
    "elbo": ELBO(),
    "warm-up": ELBO(kl_warmup_epochs=10),
    "cycles": ELBO(beta=CyclicalAnnealing(20)),
    "iwae": IWAE(8),
    "beta_tcvae": BetaTCVAE(beta=2.0),
    "infovae": InfoVAE(mmd=10.0),
}
TRAINING = {"hidden_layer_sizes": (), "max_epochs": 50, "learning_rate": 1e-2}
TRAINING |= {"learning_rate_schedule": "cosine", "random_state": 0, "likelihood": "gaussian"}


def gaps(X, **params):
    """Exact log-likelihood minus the elbo, and minus the importance-weighted bound."""
    vae = VariationalAutoencoder(**(TRAINING | params)).fit(X)
    exact = exact_log_likelihood(vae, X)
    bounds = vae.score_samples(X), vae.score_samples(X, n_importance_samples=100)
    return [(exact - bound).mean() for bound in bounds], exact.mean()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_meets_the_exact_log_likelihood_from_below(name):
    X, reference = CASES["feature"]
    (elbo, weighted), exact = gaps(X, objective=OBJECTIVES[name])
    # IWAE asks for a posterior to draw from, which may be too wide, not for the closest.
    assert -1e-3 < elbo < (0.5 if name == "iwae" else 0.05)
    assert -0.005 < weighted < 0.01
    assert exact == pytest.approx(reference.fit(X).score(X), abs=0.1)


def test_the_doubly_reparameterized_gradient_stays_at_the_optimum():
    X, _ = CASES["feature"]
    vae = VariationalAutoencoder(**TRAINING, warm_start=True).fit(X)
    objective = IWAE(8, doubly_reparameterized=True)
    vae.set_params(objective=objective, learning_rate=2e-3, max_epochs=20).fit(X)
    exact = exact_log_likelihood(vae, X).mean()
    assert exact - 0.1 < vae.score(X) < exact + 1e-3


@pytest.mark.parametrize("family", ["full", "flow"])
def test_every_posterior_family_holds_the_exact_posterior(family):
    (elbo, weighted), _ = gaps(CASES["feature"][0], posterior_family=family)
    assert -1e-3 < elbo < 0.05
    assert -0.005 < weighted < 0.01


@pytest.mark.parametrize("objective", ["elbo", "iwae", "beta_tcvae", "infovae"])
def test_far_from_the_optimum_the_bound_is_below(objective):
    params = {"objective": objective, "max_epochs": 3, "linear_path": False}
    (elbo, weighted), _ = gaps(CASES["feature"][0], **params)
    assert elbo > 0.5
    assert -0.005 < weighted < elbo


def test_units_of_x_shift_the_score_by_the_jacobian():
    """Columns of 1e-3 and 1e4, far from 0, train exactly like standardised ones."""
    X = latent_plane(FEATURE_NOISE, n=500)
    params = {"hidden_layer_sizes": (), "max_epochs": 100}
    params |= {"learning_rate": 1e-2, "random_state": 0}
    plain = VariationalAutoencoder(**params).fit(X)
    raw = X * UNITS + 1e3 * UNITS
    scaled = VariationalAutoencoder(**params).fit(raw)
    assert scaled.score(raw) == pytest.approx(plain.score(X) - np.log(UNITS).sum(), abs=0.05)
    assert scaled.sample(2000).std(0) == pytest.approx(raw.std(0), rel=0.2)
    assert scaled.reconstruct(raw).mean(0) == pytest.approx(raw.mean(0), rel=1e-3)


def test_scale_of_a_constant_column_stays_finite():
    X = np.column_stack([latent_plane(0.5, n=200), np.full(200, 7.0)])
    vae = VariationalAutoencoder(max_epochs=30, random_state=0).fit(X)
    assert np.isfinite(vae.score(X))
    assert vae.inverse_transform(np.zeros((1, 2)))[0, -1] == pytest.approx(7, abs=0.2)
