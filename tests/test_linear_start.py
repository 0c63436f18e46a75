"""Training of a table starts at the linear model of its rows."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from skvae import VariationalAutoencoder
from skvae._factor_analysis import factor_analysis, gain_of_covariance, principal_components
from skvae.likelihoods import (
    Bernoulli,
    Categorical,
    CategoricalCodes,
    Gaussian,
    Laplace,
    LogNormal,
    Mixed,
    NegativeBinomial,
    Poisson,
    RoundedGaussian,
    StudentT,
    ZeroInflatedLogNormal,
    ZeroInflatedNegativeBinomial,
)
from skvae.networks import LinearPath

TABLES = {"wine": load_wine().data, "breast cancer": load_breast_cancer().data}
AT_START = {"max_steps": 1, "learning_rate": 1e-12, "random_state": 0}


def log_density(factors, rows):
    """Return the mean log-density of rows under the linear model."""
    covariance = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
    return stats.multivariate_normal(factors.mean, covariance).logpdf(rows).mean()


def standardized(name):
    return StandardScaler().fit_transform(TABLES[name])


@pytest.mark.filterwarnings("ignore:FactorAnalysis did not converge")
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_factor_analysis_is_that_of_scikit_learn(name, k):
    rows = standardized(name)
    ours = factor_analysis(rows, k, np.full(rows.shape[1], 1e-6))
    theirs = FactorAnalysis(k, max_iter=5000, tol=1e-6, svd_method="lapack").fit(rows)
    assert log_density(ours, rows) == pytest.approx(theirs.score(rows), abs=0.01)


@pytest.mark.parametrize("n", [40, 100, 1500])  # fewer than columns, about as many, more
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilistic_pca_keeps_what_it_should_of_the_covariance(n, dtype):
    X = load_digits().data[:n]  # pixels at the edge are constant
    rows = np.column_stack([X, X.sum(1)]).astype(dtype)
    ours = principal_components(rows, 3, np.full(65, 1e-6))
    variances, axes = np.linalg.eigh(np.cov(rows.astype(np.float64).T, bias=True))
    variances[:-3] = variances[:-3].mean()  # Tipping and Bishop 1999
    covariance = ours.loadings @ ours.loadings.T + np.diag(ours.noise)
    expected = axes * variances @ axes.T
    assert covariance == pytest.approx(expected, rel=1e-4, abs=1e-4 * expected.max())


@pytest.mark.filterwarnings("ignore:FactorAnalysis did not converge")
@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_gain_of_a_covariance_is_that_over_factor_analysis(k):
    rows = standardized("wine")
    theirs = FactorAnalysis(k, max_iter=5000, tol=1e-6, svd_method="lapack").fit(rows)
    gain, n_parameters = gain_of_covariance(rows, k, np.full(13, 1e-9))
    whole = EmpiricalCovariance().fit(rows)
    assert gain == pytest.approx(whole.score(rows) - theirs.score(rows), abs=0.01)
    # Of a covariance, and of loadings up to a rotation, and noise.
    assert n_parameters == 13 * 14 / 2 - (13 * k - k * (k - 1) / 2 + 13)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("k", [2, 4])
def test_the_posterior_of_the_factors_is_diagonal(name, k):
    rows = standardized(name)
    factors = factor_analysis(rows, k, np.full(rows.shape[1], 1e-6))
    precision = np.eye(k) + (factors.loadings / factors.noise[:, None]).T @ factors.loadings
    assert precision == pytest.approx(np.diag(1 + factors.information), rel=1e-6, abs=1e-6)
    # E[z|x] = (I + WᵀΨ⁻¹W)⁻¹ WᵀΨ⁻¹ (x − mean)
    exact = np.linalg.solve(precision, (factors.loadings / factors.noise[:, None]).T)
    assert factors.regression() == pytest.approx(exact, rel=1e-6, abs=1e-9)


@pytest.mark.filterwarnings("ignore:FactorAnalysis did not converge")
@pytest.mark.parametrize(("n", "d", "k"), [(150, 4, 3), (500, 6, 5), (30, 5, 5)])
def test_of_equally_likely_solutions_it_takes_one_that_restores_rows(n, d, k):
    """With so many components any covariance fits; PCA's leave the least to the noise."""
    rng = np.random.default_rng(0)
    mixing = np.diag([3.0, 2, 1, *[0.3] * (d - 3)]) + np.eye(d, k=1) / 2
    rows = StandardScaler().fit_transform(rng.normal(size=(n, d)) @ mixing)
    ours = factor_analysis(rows, k, np.full(d, 1e-6), near_pca=True)
    theirs = FactorAnalysis(k, max_iter=5000, tol=1e-6, svd_method="lapack").fit(rows)
    pca = PCA(min(k, d - 1)).fit(rows)
    assert log_density(ours, rows) > theirs.score(rows) - 0.01

    def error(restored):
        return np.square(rows - restored).sum()

    error_of_pca = error(pca.inverse_transform(pca.transform(rows)))
    error_of_theirs = error(theirs.transform(rows) @ theirs.components_ + theirs.mean_)
    assert error(ours.expected(rows)) < min(1.3 * error_of_pca, 0.3 * error_of_theirs)


def test_no_factor_is_idle():
    """Columns that vary by themselves: noise or factors may explain them, at hardly any loss."""
    rows = np.random.default_rng(0).normal(size=(2000, 5))
    factors = factor_analysis(rows, 3, np.full(5, 1e-6))
    assert (factors.information > 1).all()
    independent = stats.norm(rows.mean(0), rows.std(0)).logpdf(rows).sum(1).mean()
    assert log_density(factors, rows) > independent - 0.25


@pytest.mark.parametrize("posterior_family", ["diagonal", "full"])
@pytest.mark.parametrize("scale", ["feature", "row"])
@pytest.mark.parametrize("name", TABLES)
def test_training_starts_at_the_likelihood_of_factor_analysis(name, scale, posterior_family):
    rows = standardized(name)
    vae = VariationalAutoencoder(
        2, likelihood=Gaussian(scale), posterior_family=posterior_family, **AT_START
    )
    theirs = FactorAnalysis(2, max_iter=5000, tol=1e-6, svd_method="lapack").fit(rows)
    assert vae.fit(rows).score(rows) == pytest.approx(theirs.score(rows), abs=0.02)


def normal_score(rows):
    """Return the mean log-density of rows under the normal distribution with their moments."""
    return stats.multivariate_normal(rows.mean(0), np.cov(rows.T, bias=True)).logpdf(rows).mean()


@pytest.mark.parametrize("posterior_family", ["diagonal", "full"])
@pytest.mark.parametrize("scale", ["feature", "row"])
@pytest.mark.parametrize("name", TABLES)
def test_with_correlated_noise_it_starts_at_pca_and_the_likelihood_of_a_whole_normal(
    name, scale, posterior_family
):
    rows = standardized(name)
    likelihood = Gaussian(scale, correlated=True)
    vae = VariationalAutoencoder(
        2, likelihood=likelihood, posterior_family=posterior_family, **AT_START
    ).fit(rows)
    # Eigenvalues of the columns of breast cancer go down to 1e-4.
    assert vae.score(rows) == pytest.approx(normal_score(rows), abs=0.2)
    assert vae.score_samples(rows, n_importance_samples=200).mean() == pytest.approx(
        normal_score(rows), abs=0.2
    )
    components, pca = vae.transform(rows), PCA(2).fit_transform(rows)
    correlation = np.corrcoef(components.T, pca.T)[:2, 2:]
    np.testing.assert_allclose(np.abs(correlation), np.eye(2), atol=0.01)


@pytest.mark.parametrize("sees", [False, True])
def test_with_correlated_noise_a_context_starts_with_its_effect(sees):
    """Told to the encoder or not, it leaves the likelihood of x given c of one normal of both."""
    X = StandardScaler().fit_transform(load_wine().data)
    context = np.eye(3)[load_wine().target]
    effect = np.stack([X[load_wine().target == i].mean(0) for i in range(3)])
    rest = X - effect[load_wine().target]
    vae = VariationalAutoencoder(2, likelihood=Gaussian(correlated=True), **AT_START)
    vae._fit(X, None, False, context=context, encoder_sees_context=sees)
    rows = vae._read(X, context)
    reconstruction, kl = vae._inference(rows.dtype).terms(rows)
    reached = (reconstruction - kl).mean()
    if sees:
        assert reached == pytest.approx(normal_score(rest), abs=0.1)
    else:
        assert normal_score(X) < reached < normal_score(rest)


@pytest.mark.parametrize(("name", "most"), [("wine", 0.25), ("breast cancer", 7.0)])
def test_with_gaps_correlated_noise_starts_near_where_it_does_without(name, most):
    """Gaps that were filled by means would cost .3 and 13 nats, factor analysis costs .9 and 17."""
    rows = standardized(name)
    gaps = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
    scores = [
        VariationalAutoencoder(2, likelihood=likelihood, **AT_START).fit(gaps).score(rows)
        for likelihood in (Gaussian(), Gaussian(correlated=True))
    ]
    assert scores[0] < normal_score(rows) - 2 * most
    assert scores[1] > normal_score(rows) - most


def rows_for(likelihood):
    """Return rows that the likelihood takes, which vary together."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6))
    if isinstance(likelihood, Poisson):
        return rng.poisson(np.exp(1 + factor / 2)).astype(float)
    if isinstance(likelihood, Bernoulli):
        return (factor + rng.logistic(size=factor.shape) > 0).astype(float)
    if isinstance(likelihood, CategoricalCodes):
        return np.digitize(factor + rng.logistic(size=factor.shape), [-1, 1]).astype(float)
    if isinstance(likelihood, Categorical):
        return np.eye(3)[np.digitize(factor + rng.logistic(size=factor.shape), [-1, 1])].reshape(
            300, 18
        )
    if isinstance(likelihood, RoundedGaussian):
        return np.round(5 * factor + rng.normal(size=factor.shape))
    if isinstance(likelihood, ZeroInflatedLogNormal):
        return np.exp(factor) * (factor + rng.logistic(size=factor.shape) > -2)
    if isinstance(likelihood, LogNormal):
        return np.exp(factor + rng.normal(size=factor.shape) / 2)
    if isinstance(likelihood, Mixed):
        counts = rows_for(Poisson())
        return np.hstack([factor[:, :2] + rng.normal(size=(300, 2)), counts[:, 2:]])
    return factor + rng.normal(size=factor.shape) / 2


LIKELIHOODS = [
    Gaussian(),
    Gaussian("shared"),
    Gaussian("row"),
    Gaussian(0.5),
    StudentT(),
    StudentT(df=1.5),
    Laplace(),
    LogNormal(),
    ZeroInflatedLogNormal(),
    ZeroInflatedLogNormal("row"),
    RoundedGaussian(),
    Poisson(),
    Poisson(size_factor="total"),
    NegativeBinomial(),
    NegativeBinomial("shared"),
    NegativeBinomial(size_factor="total"),
    ZeroInflatedNegativeBinomial(),
    Bernoulli(),
    Categorical(),
    CategoricalCodes(3),
    Mixed([("gaussian", [0, 1]), ("negative_binomial", [2, 3, 4, 5])]),
    Mixed([("continuous_bernoulli", []), (StudentT(), [0, 1]), ("poisson", [2, 3, 4, 5])]),
]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_the_start_is_above_a_short_training_from_nothing(likelihood):
    rows = rows_for(likelihood)
    started = VariationalAutoencoder(2, likelihood=likelihood, **AT_START).fit(rows)
    params = {"max_steps": 60, "random_state": 0, "linear_path": False, "dropout": 0.0}
    from_nothing = VariationalAutoencoder(2, likelihood=likelihood, **params).fit(rows)
    assert started.score(rows) > from_nothing.score(rows)
    assert started.active_components_.all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS[::4], ids=repr)
def test_training_does_not_throw_the_start_away(likelihood):
    rows = rows_for(likelihood)
    started = VariationalAutoencoder(2, likelihood=likelihood, **AT_START).fit(rows)
    trained = VariationalAutoencoder(2, likelihood=likelihood, max_steps=100, random_state=0)
    assert trained.fit(rows).score(rows) > started.score(rows) - 0.5


@pytest.mark.parametrize(
    ("params", "has_path"),
    [
        ({}, True),
        ({"linear_path": False}, False),
        ({"likelihood": "continuous_bernoulli"}, False),
        ({"likelihood": "continuous_bernoulli", "linear_path": True}, True),
        ({"likelihood": "student_t", "prior": "vamp"}, True),
        ({"image_shape": (8, 8)}, False),
        ({"image_shape": (8, 8), "linear_path": True}, False),
        ({"hidden_layer_sizes": ()}, False),  # nothing to be beside
        ({"encoder": torch.nn.Linear(64, 8)}, False),
        ({"decoder": torch.nn.Linear(2, 8)}, False),
    ],
    ids=str,
)
def test_who_has_a_linear_path(params, has_path):
    X = load_digits().data / 16
    params = {"likelihood": "gaussian"} | params
    vae = VariationalAutoencoder(2, max_steps=1, **params).fit(X[:200])
    paths = [m for m in vae.net_.module_.modules() if isinstance(m, LinearPath)]
    assert len(paths) == 2 * has_path
    assert vae._architecture.dropout == (0.1 if vae._architecture.linear_path else 0.0)


@pytest.mark.parametrize("has_path", [True, False])
def test_features_beside_a_linear_path_do_not_all_bend_at_the_origin(has_path):
    vae = VariationalAutoencoder(2, likelihood="gaussian", linear_path=has_path, **AT_START)
    vae.fit(standardized("wine"))
    for body in (vae.net_.module_.encoder.body, vae.net_.module_.decoder[0]):
        hidden = next(layer for layer in body.modules() if isinstance(layer, torch.nn.Linear))
        assert (hidden.bias.abs().mean().item() > 0.01) == has_path


def hard_rows(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    if kind == "constant":
        X[:, 2] = 7.0
    if kind == "all constant":
        X[:] = 7.0
    if kind == "collinear":
        X[:, 4] = X[:, 0] + X[:, 1]
        X[:, 3] = X[:, 2]
    if kind == "nearly constant":
        X[:, 2] = 0.0
        X[0, 2] = 1e-9
    if kind == "far":
        X = 1e9 + X
    if kind == "wide":
        X = rng.normal(size=(8, 400))
    if kind == "three rows":
        X = X[:3]
    if kind == "one row":
        X = X[:1]
    if kind == "wild":
        X[0, 0] = 1e12
    return X


HARD = ["constant", "all constant", "collinear", "nearly constant", "far", "wide", "three rows"]
HARD += ["one row", "wild"]


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t"])
@pytest.mark.filterwarnings("ignore:No component is active")
def test_hard_rows_start_finite(kind, likelihood):
    X = hard_rows(kind)
    vae = VariationalAutoencoder(7, likelihood=likelihood, max_steps=3, random_state=0).fit(X)
    assert np.isfinite(vae.score_samples(X)).all()
    assert np.isfinite(vae.transform(X + 1)).all()


def test_a_context_beside_the_rows_starts_with_its_effect():
    """Of an encoder that is told more comes of it than of one that has to guess."""
    X = load_iris().data
    context = np.eye(3)[load_iris().target]
    plain = VariationalAutoencoder(2, likelihood="gaussian", **AT_START).fit(X)
    scores = [plain.score(X)]
    for sees in (False, True):
        given = VariationalAutoencoder(2, likelihood="gaussian", **AT_START)
        given._fit(X, None, False, context=context, encoder_sees_context=sees)
        rows = given._read(X, context)
        reconstruction, kl = given._inference(rows.dtype).terms(rows)
        scores.append((reconstruction - kl).mean())
    assert (np.diff(scores) > 0.3).all()


@pytest.mark.parametrize("kind", [*HARD, "counts"])
@pytest.mark.parametrize("sees", [False, True])
@pytest.mark.filterwarnings("ignore:No component is active")
def test_hard_rows_beside_a_context_start_about_as_well(kind, sees):
    """One that has to be guessed costs more where there is hardly any noise."""
    rng = np.random.default_rng(0)
    likelihood = NegativeBinomial(size_factor="total") if kind == "counts" else "gaussian"
    rare = np.array([0.0, 0.01, 1.0, 5.0, 20.0])  # a column of zeros among them
    X = rng.poisson(rare, (200, 5)).astype(float) if kind == "counts" else hard_rows(kind)
    plain = VariationalAutoencoder(3, likelihood=likelihood, **AT_START).fit(X)
    told = VariationalAutoencoder(3, likelihood=likelihood, **AT_START)
    context = np.eye(3)[rng.integers(0, 3, len(X))]
    told._fit(X, None, False, context=context, encoder_sees_context=sees)
    rows = told._read(X, context)
    reconstruction, kl = told._inference(rows.dtype).terms(rows)
    assert (reconstruction - kl).mean() > plain.score(X) - (3 if sees else 12)
    assert np.isfinite(told._inference(rows.dtype).transform(told._read(X + 1, context))).all()


def test_sparse_cells_of_any_depth_keep_their_types_apart():
    """Counts of cells with size factors collapsed to one cloud when training began from nothing."""
    rng = np.random.default_rng(0)
    profiles = np.tile(rng.gamma(0.5, 1.0, 300), (5, 1))
    for profile in profiles:
        changed = rng.random(300) < 0.15
        profile[changed] *= np.exp(rng.normal(0, 1.5, changed.sum()))
    profiles /= profiles.sum(1, keepdims=True)
    y = rng.integers(5, size=500)
    mean = profiles[y] * rng.lognormal(6, 0.6, 500)[:, None]
    X = rng.poisson(rng.gamma(2.0, mean / 2)).astype(np.float32)
    cells = NegativeBinomial(size_factor="total")
    Z = VariationalAutoencoder(10, likelihood=cells, random_state=0).fit_transform(X)
    assert cross_val_score(KNeighborsClassifier(10), Z, y, cv=5).mean() > 0.95
