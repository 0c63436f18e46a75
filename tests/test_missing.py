"""Missing values: what is not observed has no say, and nothing else changes."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from torch import nn

import skvae
from skvae import VariationalAutoencoder
from skvae._data import Reader
from skvae._data.order import hash_all
from skvae._factor_analysis import factor_analysis
from skvae.distributions import Independent, MultivariateNormal, Normal, Observed
from skvae.likelihoods import (
    Categorical,
    CategoricalCodes,
    Gaussian,
    Likelihood,
    Mixed,
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
)
from skvae.metrics import bits_per_dim, reconstruction_error
from skvae.model import VAE, Batch
from skvae.objectives import ELBO, OBJECTIVES
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS

IRIS = load_iris().data
RNG = np.random.default_rng(0)
GONE = RNG.random(IRIS.shape) < 0.3
GONE[:2] = True  # nothing is observed of two rows
GAPS = np.where(GONE, np.nan, IRIS)


def vae(**params):
    return VariationalAutoencoder(
        **({"max_epochs": 3, "hidden_layer_sizes": (8,), "random_state": 0} | params)
    )


def with_gaps(X, gone=GONE):
    return np.where(gone, np.nan, X)


COUNTS = RNG.poisson(3.0, IRIS.shape).astype(float)
POSITIVE = np.exp(RNG.normal(size=IRIS.shape))
ONE_HOT = np.eye(4)[RNG.integers(0, 4, len(IRIS))]
MIXED = np.hstack([COUNTS, POSITIVE, IRIS])
# The likelihood, and rows that it takes.
LIKELIHOODS = [
    ("auto", IRIS),
    ("gaussian", IRIS),
    (Gaussian(scale="row"), IRIS),
    (Gaussian("row", evenness=0.3, correlated=True), IRIS),
    ("student_t", IRIS),
    ("laplace", IRIS),
    ("log_normal", POSITIVE),
    ("zero_inflated_log_normal", POSITIVE * (COUNTS > 1)),
    ("rounded_gaussian", COUNTS),
    ("bernoulli", (COUNTS > 2).astype(float)),
    ("continuous_bernoulli", IRIS / 8),
    ("poisson", COUNTS),
    ("negative_binomial", COUNTS),
    (Poisson(size_factor="total"), COUNTS),
    (NegativeBinomial(size_factor="total"), COUNTS),
    (ZeroInflatedNegativeBinomial(size_factor="total"), COUNTS),
    (CategoricalCodes(int(COUNTS.max()) + 1), COUNTS),
    (Categorical([4]), ONE_HOT),
    ("mixed", MIXED),
]
IDS = [name if isinstance(name, str) else repr(name) for name, _ in LIKELIHOODS]


def removed(X, likelihood):
    """Return X with gaps; the columns of one category are missing together."""
    gone = np.resize(GONE.T, X.shape[::-1]).T
    if isinstance(likelihood, Categorical):
        gone = np.repeat(gone[:, :1], X.shape[1], 1)
    return with_gaps(X, gone)


@pytest.fixture(scope="module", params=LIKELIHOODS, ids=IDS)
def fitted(request):
    likelihood, X = request.param
    X = removed(X, likelihood)
    return vae(likelihood=likelihood).fit(X), X


class TestLikelihoods:
    """Every likelihood takes rows with gaps, with nothing of its own to do it."""

    def test_all_results_are_finite(self, fitted):
        model, X = fitted
        for result in (model.transform(X), *model.posterior(X), model.reconstruct(X)):
            assert np.isfinite(result).all()
        assert np.isfinite(model.score_samples(X)).all()
        assert np.isfinite(model.score_samples(X, n_importance_samples=3)).all()

    def test_of_nothing_the_score_is_zero(self, fitted):
        model, X = fitted
        nothing = np.full_like(X[:3], np.nan)
        assert_array_equal(model.score_samples(nothing), 0)
        assert_array_equal(model.score_samples(nothing, n_importance_samples=3), 0)
        reconstruction, kl = model.elbo_terms(X)
        is_empty = np.isnan(X).all(1)
        assert (kl[~is_empty] > 0).all()
        assert not kl[is_empty].any()
        assert (reconstruction[~is_empty] != 0).all()

    def test_the_terms_of_observed_values_are_those_of_whole_rows(self, fitted):
        """log p(x_o|z) is a sum over columns: gaps leave the terms of the others as they are."""
        model, X = fitted
        family = model.likelihood_
        has_totals = getattr(family, "size_factor", None) is not None
        rows = torch.from_numpy(np.where(np.isnan(X), np.nanmax(X, 0), X))
        if isinstance(family, Categorical):
            rows = torch.from_numpy(ONE_HOT)
        rows, seen = rows[5:25], torch.from_numpy(~np.isnan(X[5:25]))
        z = torch.randn(3, 20, 2, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            p = model.net_.module_.likelihood(z)
            if has_totals:
                p = p.given_row(rows)
            whole = p.log_prob_terms(rows)
            terms = Observed(p).log_prob_terms(rows.masked_fill(~seen, torch.nan))
        assert not terms[..., ~seen].any()
        if not getattr(family, "correlated", False):
            assert_array_equal(terms[..., seen].numpy(), whole[..., seen].numpy())
            return
        # The terms of a column go by those before it, of which none may be missing.
        first = seen.cummin(-1).values
        assert first.any()
        assert_allclose(terms[..., first].numpy(), whole[..., first].numpy(), atol=1e-4)

    def test_gradients_are_finite(self, fitted):
        model, X = fitted
        module = model._copy().net_.module_
        batch = Batch(torch.from_numpy(X), has_missing=True)
        bound = ELBO()(batch.x, *module(batch, torch.zeros(1, len(X), 2)))
        loss = bound.loss.mean()
        parameters = [p for p in module.parameters() if p.requires_grad]
        for gradient in torch.autograd.grad(loss, parameters, allow_unused=True):
            assert gradient is None or bool(gradient.isfinite().all())

    def test_rows_do_not_depend_on_their_company(self, fitted):
        model, X = fitted
        assert_allclose(model.score_samples(X[::-1])[::-1], model.score_samples(X), atol=1e-9)
        whole = X[~np.isnan(X).any(1)]
        among = model.score_samples(X)[~np.isnan(X).any(1)]
        assert_allclose(model.score_samples(whole), among, atol=1e-9)

    def test_a_file_keeps_the_model(self, fitted, tmp_path):
        model, X = fitted
        model.save(tmp_path / "model.safetensors")
        for other in (
            skvae.load(tmp_path / "model.safetensors"),
            pickle.loads(pickle.dumps(model)),
        ):
            assert_array_equal(other.transform(X), model.transform(X))
            assert_array_equal(other.score_samples(X), model.score_samples(X))


def parts():
    for name, registry in (
        ("objective", OBJECTIVES), ("prior", PRIORS), ("posterior_family", POSTERIORS)
    ):  # fmt: skip
        yield from ({name: value} for value in registry)
    yield from ({"early_stopping": True}, {"linear_path": False}, {"batch_size": 1})
    yield {"image_shape": (2, 2), "conv_channels": (4,)}


@pytest.mark.parametrize("params", list(parts()), ids=str)
def test_every_part_meets_gaps(params):
    model = vae(**params, max_epochs=1).fit(GAPS)
    assert np.isfinite(model.transform(GAPS)).all()
    assert np.isfinite(model.score(GAPS))
    model.partial_fit(GAPS[:50])
    model.partial_fit(IRIS)
    assert np.isfinite(model.score(GAPS))


class TestWholeRows:
    """Where nothing is missing, nothing is different."""

    @pytest.mark.parametrize(("likelihood", "X"), LIKELIHOODS, ids=IDS)
    def test_the_bound_has_the_same_bits(self, likelihood, X):
        module = vae(likelihood=likelihood, max_epochs=1).fit(X).net_.module_.eval()
        x, noise = torch.from_numpy(X), torch.zeros(1, len(X), 2)
        with torch.no_grad():
            whole, looked_at = (module(Batch(x, has_missing=h), noise) for h in (False, True))
            one, other = whole.likelihood.log_prob(x), looked_at.likelihood.log_prob(x)
        assert_array_equal(whole.z.numpy(), looked_at.z.numpy())
        # The sum over the columns may have another order: that over blocks of columns first.
        assert_allclose(one.numpy(), other.numpy(), rtol=0 if likelihood != "mixed" else 1e-6)

    def test_no_distribution_is_wrapped_and_the_encoder_is_told_nothing(self):
        model = vae().fit(IRIS)
        module = model.net_.module_
        joint = module(model._read(IRIS).batch(slice(0, 5)), torch.zeros(1, 5, 2))
        assert isinstance(joint.likelihood, Independent)
        assert not module.encoder.sees_missing

    def test_a_model_of_whole_rows_takes_gaps(self):
        model = vae(max_epochs=30).fit(IRIS)
        assert np.isfinite(model.score(GAPS))
        assert model.score(IRIS) == vae(max_epochs=30).fit(IRIS).score(IRIS)


TENTHS = np.round(GAPS * 10)
FRAME = pd.DataFrame(TENTHS, columns=list("abcd"))
CONTAINERS = {
    "masked": np.ma.MaskedArray(np.round(IRIS * 10), GONE),
    "masked integers": np.ma.MaskedArray(np.round(IRIS * 10).astype(int), GONE),
    "list": [[None if v != v else v for v in row] for row in TENTHS.tolist()],
    "objects": np.where(GONE, pd.NA, TENTHS.astype(object)),
    "other NaN": np.where(GONE, -np.float64(np.nan), TENTHS),
    "pandas": FRAME,
    "pandas nullable": FRAME.astype("Float64"),
    "pandas integers": FRAME.astype("Int64"),
    "pandas arrow": FRAME.astype("Int32").astype("int32[pyarrow]"),
    "pandas objects": FRAME.astype(object).where(~GONE, None),
    "polars": pl.from_pandas(FRAME.astype("Int64")),
    "polars NaN": pl.DataFrame(TENTHS, schema=list("abcd")),
    "arrow": pa.table(pl.from_pandas(FRAME.astype("Int64")).to_arrow()),
    "tensor": torch.from_numpy(TENTHS),
    "CSR": scipy.sparse.csr_array(TENTHS),
    "CSC": scipy.sparse.csc_matrix(TENTHS),
}


class TestContainers:
    """The same model, whatever says that a value is missing."""

    @pytest.mark.parametrize("container", CONTAINERS)
    def test_transform(self, container):
        expected = vae().fit(TENTHS)
        X = CONTAINERS[container]
        model = vae().fit(X)
        assert_array_equal(model.transform(X), expected.transform(TENTHS))
        assert_array_equal(model.score_samples(X), expected.score_samples(TENTHS))

    def test_a_mapped_file(self, tmp_path):
        np.save(tmp_path / "X.npy", GAPS)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
        assert_array_equal(vae().fit(X).transform(X), vae().fit(GAPS).transform(GAPS))
        np.save(tmp_path / "X.npy", np.where(GONE, np.inf, IRIS))
        with pytest.raises(ValueError, match="infinity"):
            vae().fit(np.load(tmp_path / "X.npy", mmap_mode="r"))

    def test_float32(self):
        model = vae().fit(GAPS.astype(np.float32))
        assert model.transform(GAPS.astype(np.float32)).dtype == np.float32

    def test_all_patterns_of_bits_are_one_missing_value(self):
        words = np.full(4, np.nan).view(np.uint64) + np.arange(4, dtype=np.uint64)
        X = np.where(GONE, words.view(np.float64), IRIS)
        reader = Reader()
        one, other = (reader.read(vae().fit(IRIS), rows) for rows in (X, GAPS))
        assert_array_equal(hash_all(one), hash_all(other))

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
    def test_categories(self, missing):
        colours = RNG.choice(["red", "green", "blue"], 60).astype(object)
        colours[::7] = missing
        number = RNG.normal(size=60)
        frame = pd.DataFrame({"colour": pd.Categorical(colours), "number": number})
        model = vae(likelihood="mixed", max_epochs=2).fit(frame)
        assert model.categories_ == {"colour": ["blue", "green", "red"]}
        assert np.isfinite(model.score_samples(frame)).all()
        codes = model._reader.floats(frame)[:, 0]
        assert_array_equal(np.isnan(codes), pd.isna(frame["colour"]))


class TestColumns:
    def test_moments_are_those_of_the_observed_values(self):
        likelihood = vae(max_epochs=1, likelihood="gaussian").fit(GAPS).likelihood_
        assert_allclose(likelihood.loc, np.nanmean(GAPS, 0))
        assert_allclose(likelihood.column_scale, np.nanstd(GAPS, 0))

    def test_the_same_likelihood_is_guessed(self):
        for likelihood, X in (("auto", POSITIVE), ("mixed", MIXED), ("auto", IRIS / 8)):
            rows = np.where(np.arange(len(X))[:, None] % 10 == 0, np.nan, X)
            one, other = (
                vae(likelihood=likelihood, max_epochs=1).fit(data).likelihood_
                for data in (X[~np.isnan(rows).any(1)], rows)
            )
            assert repr(one) == repr(other)

    def test_totals_are_those_that_the_observed_counts_tell(self):
        """A count that is missing changes neither the total nor the others' expectation."""
        poisson = Poisson(size_factor="total")
        poisson.initialize(torch.tensor([1.0, 2.0, 5.0]), torch.ones(3))
        x = torch.tensor([[2.0, 4.0, 10.0], [2.0, 4.0, torch.nan], [torch.nan] * 3])
        mean = poisson(torch.zeros(3, 3, 1)).given_row(x).mean
        expected = torch.tensor([[2.0, 4, 10], [2.0, 4, 10], [1.0, 2, 5]])
        torch.testing.assert_close(mean, expected)
        torch.testing.assert_close(poisson.embed(x)[1, :2], poisson.embed(x)[0, :2])

    def test_a_column_of_which_nothing_is_known(self):
        X = IRIS.copy()
        X[:, 2] = np.nan
        with pytest.raises(
            ValueError, match=r"Column 2 of X holds only missing values .*Drop such"
        ):
            vae().fit(X)
        with pytest.raises(ValueError, match="Column 'c'"):
            vae().fit(pd.DataFrame(X, columns=list("abcd")))
        assert np.isfinite(vae().fit(IRIS).transform(X)).all()

    def test_a_column_of_which_the_first_chunk_knows_nothing(self):
        X = IRIS.copy()
        X[:, 2] = np.nan
        assert np.isfinite(vae().partial_fit(X).reconstruct(X)).all()
        # What a column is has to be seen, and something has to be there.
        with pytest.raises(
            ValueError, match=r"Column 2 of X holds only missing values .*Drop such"
        ):
            vae(likelihood="mixed").partial_fit(X)
        with pytest.raises(ValueError, match="true of 4 of 4 columns"):
            vae().partial_fit(np.full((9, 4), np.nan))

    def test_part_of_a_one_hot_category(self):
        X = ONE_HOT.copy()
        X[3, 1] = np.nan
        X[5:7, 0] = np.nan
        with pytest.raises(ValueError, match=r"NaN in some .* set all of them"):
            vae(likelihood=Categorical([4])).fit(X)
        blocks = [("gaussian", 4), (Categorical([4]), slice(0, 4))]
        beside = np.column_stack([X, X[:, 3]])
        with pytest.raises(ValueError, match=r"in its columns \[0, 1, 2, 3\]\. With likelihood"):
            vae(likelihood=Mixed(blocks)).fit(beside)
        X[[3, 5, 6]] = np.nan
        assert np.isfinite(vae(likelihood=Categorical([4])).fit(X).transform(X)).all()
        X[0] = [np.nan, 1, 0, 1]
        with pytest.raises(ValueError, match="set all of them"):
            vae(likelihood=Categorical([4])).fit(X)
        X[0] = 1
        with pytest.raises(ValueError, match="exactly one 1 in each group"):
            vae(likelihood=Categorical([4])).fit(X)

    def test_values_out_of_the_support_are_found_beside_gaps(self):
        with pytest.raises(ValueError, match=r"values between 0 and 1 .* from 0.1 to 7.9"):
            vae(likelihood="bernoulli").fit(GAPS)


class Correlated(Likelihood):
    """One whose density does not split into columns."""

    def forward(self, params):
        return MultivariateNormal(params[..., 0], torch.eye(params.shape[-2]))


class Plain(Likelihood):
    """The least that a likelihood can be."""

    def forward(self, params):
        return Independent(Normal(params[..., 0], torch.ones(())))


def test_likelihoods_of_ones_own():
    assert np.isfinite(vae(likelihood=Plain()).fit(GAPS).score(GAPS))
    with pytest.raises(TypeError, match=r"MultivariateNormal does not split .*log_prob_terms"):
        vae(likelihood=Correlated()).fit(GAPS)
    assert np.isfinite(vae(likelihood=Correlated()).fit(IRIS).score(IRIS))


def test_metrics_count_observed_values():
    model = vae().fit(GAPS)
    errors = np.square(GAPS - model.reconstruct(GAPS))
    assert reconstruction_error(model, GAPS) == pytest.approx(np.nanmean(errors))
    bits = -model.score_samples(GAPS).sum() / np.log(2)
    assert bits_per_dim(model, GAPS) == pytest.approx(bits / (~np.isnan(GAPS)).sum())


# Where the answers are known: factor analysis


def factor_model(seed=0, n=400, d=5):
    rng = np.random.default_rng(seed)
    weight, noise = rng.normal(size=(d, 2)), rng.uniform(0.2, 0.6, d)
    X = rng.normal(size=(n, 2)) @ weight.T + rng.normal(size=(n, d)) * np.sqrt(noise) + 3.0
    return X, np.where(rng.random(X.shape) < 0.3, np.nan, X), weight, noise


def exact(row, mean, weight, noise):
    """Return log p(x_o) and E[x | x_o] in closed form."""
    covariance = weight @ weight.T + np.diag(noise)
    o = ~np.isnan(row)
    if not o.any():
        return 0.0, mean
    inside = covariance[np.ix_(o, o)]
    expected = mean + covariance[:, o] @ np.linalg.solve(inside, row[o] - mean[o])
    log_p = multivariate_normal(mean[o], inside).logpdf(row[o])
    return float(log_p), np.where(o, row, expected)


class ExactEncoder(nn.Module):
    """q(z|x) = p(z|x_o) of a factor analysis: a full normal."""

    sees_missing = True

    def __init__(self, weight, noise):
        super().__init__()
        self.weight, self.noise = torch.from_numpy(weight), torch.from_numpy(noise)

    def forward(self, embedded):
        x, missing = embedded.chunk(2, -1)
        precision = (1 - missing) / self.noise
        information = torch.eye(2) + torch.einsum(
            "di,nd,dj->nij", self.weight, precision, self.weight
        )
        covariance = information.inverse()
        loc = torch.einsum("nij,nj->ni", covariance, (precision * x) @ self.weight)
        return MultivariateNormal(loc, torch.linalg.cholesky(covariance))


class TestFactorAnalysis:
    def test_with_the_exact_posterior_the_bound_is_log_p_of_the_observed(self):
        X, gaps, weight, noise = factor_model()

        class Decoder(nn.Module):
            def forward(self, z):
                return (z @ torch.from_numpy(weight).T).unsqueeze(-1)

        class Noise(Likelihood):
            def embed(self, x):
                return x - 3.0

            def forward(self, params):
                scale = torch.from_numpy(noise).sqrt()
                return Independent(Normal(3.0 + params[..., 0], scale))

        family = Noise()
        family.register_parameter("precision", nn.Parameter(torch.zeros(1, dtype=torch.float64)))
        prior = PRIORS["normal"]()
        prior.initialize(2)
        model = VAE(prior.double(), ExactEncoder(weight, noise), Decoder(), family, 2, 5)
        noise_of_z = torch.randn(
            500, len(X), 2, generator=torch.Generator().manual_seed(0)
        ).double()
        noise_of_z = torch.cat([noise_of_z, -noise_of_z])
        batch = Batch(torch.from_numpy(gaps), has_missing=True)
        joint = model(batch, noise_of_z)
        log_weight = (
            joint.likelihood.log_prob(batch.x)
            + joint.prior.log_prob(joint.z)
            - joint.posterior.log_prob(joint.z)
        )
        expected = [exact(row, np.full(5, 3.0), weight, noise)[0] for row in gaps]
        # p(x_o, z) / q(z|x_o) is p(x_o), whatever z.
        assert_allclose(log_weight.detach().numpy(), np.tile(expected, (1000, 1)), atol=1e-9)

    @pytest.mark.parametrize("posterior_family", ["diagonal", "full"])
    def test_a_trained_model_comes_near(self, posterior_family):
        _, gaps, *_ = factor_model(n=1000)
        model = vae(
            hidden_layer_sizes=(64,),
            decoder=nn.Identity(),
            posterior_family=posterior_family,
            likelihood="gaussian",
            learning_rate=1e-2,
            learning_rate_schedule="cosine",
            max_epochs=60,
        ).fit(gaps)
        mean = model.inverse_transform(np.zeros((1, 2)))[0]
        weight = (model.inverse_transform(np.eye(2)) - mean).T
        with torch.no_grad():
            noise = model.likelihood_(torch.zeros(1, 5, 1)).variance[0].double().numpy()
        log_p, expected = zip(*(exact(row, mean, weight, noise) for row in gaps), strict=True)
        bound = model.score_samples(gaps, n_importance_samples=200)
        assert bound.mean() == pytest.approx(np.mean(log_p), abs=0.02)
        rows = model._read(gaps)
        found = model._inference(np.float64).expected(rows, 1000)
        errors = np.where(np.isnan(gaps), found - np.array(expected), 0)
        assert np.abs(errors).sum() / np.isnan(gaps).sum() < 0.02

    def test_the_start_is_found_by_em(self):
        """It is as good a factor analysis of rows with gaps as of rows without."""
        X, gaps, weight, noise = factor_model(n=4000)
        factors = factor_analysis(gaps, 2, np.full(5, 1e-3))
        assert_allclose(factors.loadings @ factors.loadings.T, weight @ weight.T, atol=0.25)
        assert_allclose(factors.noise, noise, atol=0.08)
        assert_allclose(factors.mean, 3.0, atol=0.1)

        def log_p(of):
            terms = [exact(row, of.mean, of.loadings, of.noise)[0] for row in gaps]
            return np.mean(terms)

        whole = factor_analysis(X, 2, np.full(5, 1e-3))
        assert log_p(factors) > log_p(whole) - 1e-3

    def test_the_start_of_few_rows_and_rare_columns(self):
        _, gaps, *_ = factor_model(n=8)
        gaps[:, 0] = np.nan
        gaps[0, 0] = 1.0
        factors = factor_analysis(gaps, 4, np.full(5, 1e-3))
        assert all(np.isfinite(values).all() for values in factors)
        assert (factors.noise > 0).all()
