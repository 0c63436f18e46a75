"""Likelihoods: identities over a list of objects, and what each adds."""

import copy
import itertools
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import distributions as td

import skvae
from skvae import VariationalAutoencoder, _modelfile, _state, likelihoods
from skvae._data import Columns, Reader
from skvae._data.rows import Rows
from skvae.likelihoods import (
    LIKELIHOODS,
    Auto,
    Bernoulli,
    Categorical,
    CategoricalCodes,
    ContinuousBernoulli,
    Gaussian,
    Laplace,
    Likelihood,
    LogNormal,
    Mixed,
    NegativeBinomial,
    Poisson,
    RoundedGaussian,
    StudentT,
    ZeroInflatedLogNormal,
    ZeroInflatedNegativeBinomial,
)
from tests.foreign import LaplaceLikelihood

REAL = [[0.0, 1.5, -20.0, 1e5], [3.0, 1.0, 1e-3, -1e5]]
COUNTS = [[0.0, 1.0, 7.0, 1e5], [0.0, 0.0, 0.0, 0.0]]
ONE_HOT = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]]
CODES = [[0.0, 1.0, 2.0, 0.0], [2.0, 2.0, 1.0, 1.0]]
WHOLE = [[0.0, 2007.0, -20.0, 1e9], [3.0, 2009.0, 0.0, 1e9 - 1e5]]
POSITIVE = [[1e-3, 1.5, 20.0, 1e5], [3.0, 1.0, 1e-3, 1e9]]
SPENT = [[0.0, 1.5, 20.0, 1e5], [3.0, 0.0, 1e-3, 0.0]]
MIXED = [[-3.5, 1.0, 2.0, 1e5], [1e4, 0.0, 0.0, 0.0]]
BLOCKS = [("gaussian", [0]), ("bernoulli", [1]), (CategoricalCodes(3), [2]), ("poisson", [3])]

REALS = [
    *[cls(scale) for cls in (Gaussian, Laplace) for scale in ("feature", "shared", "row", 0.7)],
    StudentT(), StudentT(3.0, "shared"), StudentT(2.5, "row"), StudentT(None, 0.7),
    Gaussian("row", correlated=True), Laplace(correlated=True), StudentT(correlated=True),
]  # fmt: skip
ROUNDED = [RoundedGaussian(scale) for scale in ("feature", "shared", "row", 0.7)]
FAR = [[200.0, 25.0, 40.0, 27.0], [210.0, 26.0, 45.0, 27.0]]
FROM_ZERO = [
    *[(Gaussian(scale, low=0.0), FAR) for scale in ("feature", "shared", "row", 0.7)],
    *[(RoundedGaussian(scale, low=0), FAR) for scale in ("feature", "shared", "row", 0.7)],
]
LOG_NORMALS = [LogNormal(scale) for scale in ("feature", "shared", "row", 0.7)]
INFLATED = [ZeroInflatedLogNormal(), ZeroInflatedLogNormal("row")]
COUNTERS = [
    Poisson(), Poisson("total"), NegativeBinomial(), NegativeBinomial("shared", "total"),
    ZeroInflatedNegativeBinomial(), ZeroInflatedNegativeBinomial("shared", "total"),
]  # fmt: skip
CASES = [
    *[(likelihood, REAL) for likelihood in REALS],
    *[(likelihood, WHOLE) for likelihood in ROUNDED],
    *FROM_ZERO,
    *[(likelihood, POSITIVE) for likelihood in LOG_NORMALS],
    *[(likelihood, SPENT) for likelihood in INFLATED],
    *[(likelihood, COUNTS) for likelihood in COUNTERS],
    (Bernoulli(), ONE_HOT), (ContinuousBernoulli(), ONE_HOT),
    (Categorical(), ONE_HOT), (Categorical([2, 2]), ONE_HOT), (CategoricalCodes(3), CODES),
    (Mixed(BLOCKS), MIXED), (Mixed([(Categorical(), slice(2)), ("laplace", [3, 2])]), ONE_HOT),
]  # fmt: skip
every = pytest.mark.parametrize(("likelihood", "x"), CASES, ids=lambda v: repr(v)[:60])


def named(part):
    """Return what a block of columns has for a likelihood, in short."""
    if isinstance(part, str):
        return part
    low = getattr(part, "low", None)
    return repr(part) if low is None else f"{type(part).__name__} from {low:g}"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(likelihood, x=ONE_HOT, dtype=torch.float32):
    """Return a copy that has met the columns of x, in a model of the given precision."""
    x = torch.as_tensor(x).double()
    scale = x.std(0, unbiased=False)
    likelihood = copy.deepcopy(likelihood)
    likelihood.initialize(x.mean(0), torch.where(scale > 0, scale, 1.0))
    if getattr(likelihood, "correlated", False):
        torch.nn.init.normal_(likelihood.whitening, std=0.3, generator=generator())
    return likelihood if dtype == torch.float32 else likelihood.to(dtype)


def params_for(likelihood, *shape, dtype=torch.float32, size=1.0):
    shape = (*shape, likelihood.n_params)
    return size * torch.randn(shape, generator=generator(1), dtype=torch.float64).to(dtype)


def columns_of(x, names=None, kinds=None, n_levels=None):
    """What the door knows of the columns of x, as ``resolve`` is told."""
    return Columns(Rows(np.asarray(x, dtype=np.float64)), names, kinds, n_levels)


class OnlyNames:
    """Columns whose values nobody has looked at."""

    def __init__(self, names, n):
        self.names, self.n = names, n

    def __len__(self):
        return self.n


class TestInterface:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @every
    def test_shapes(self, likelihood, x, dtype):
        likelihood = fitted(likelihood, x, dtype)
        rows = torch.tensor(x, dtype=dtype)
        p = likelihood(params_for(likelihood, 3, 2, 4, dtype=dtype))
        assert p.batch_shape == (3, 2)
        assert p.event_shape == (4,)
        assert p.log_prob(rows).shape == (3, 2)
        assert p.log_prob(rows).dtype == dtype
        assert p.mean.shape == (3, 2, 4)
        assert p.sample((5,), generator=generator()).shape == (5, 3, 2, 4)
        assert likelihood.embed(rows).shape[:-1] == (2,)
        assert torch.isfinite(likelihood.embed(rows)).all()

    @pytest.mark.parametrize("wide_rows", [False, True])
    @every
    def test_log_prob_is_the_sum_of_its_terms(self, likelihood, x, wide_rows):
        likelihood = fitted(likelihood, x)
        rows = torch.tensor(x, dtype=torch.float64 if wide_rows else torch.float32)
        p = likelihood(params_for(likelihood, 3, 2, 4))
        terms = p.log_prob_terms(rows)
        assert terms.shape == (3, 2, 4)
        assert terms.dtype == p.log_prob(rows).dtype
        torch.testing.assert_close(terms.sum(-1), p.log_prob(rows))

    def test_terms_are_in_the_order_of_the_columns(self):
        """A change of one value changes the term of its column alone."""
        likelihood = fitted(Mixed(BLOCKS[::-1]), MIXED)
        p, x = likelihood(params_for(likelihood, 2, 4)), torch.tensor(MIXED)
        terms = p.log_prob_terms(x)
        for column, value in enumerate([9.0, 0.5, 1.0, 3.0]):
            moved = x.index_fill(1, torch.tensor(column), value)
            changed = (p.log_prob_terms(moved) != terms).any(0)
            assert changed.nonzero().flatten().tolist() == [column]

    @every
    def test_float64_rows_in_a_float32_model(self, likelihood, x):
        likelihood = fitted(likelihood, x)
        p = likelihood(params_for(likelihood, 2, 4))
        wide = p.log_prob(torch.tensor(x).double())
        torch.testing.assert_close(wide.float(), p.log_prob(torch.tensor(x)), rtol=1e-4, atol=1e-4)

    @every
    def test_float32_is_close_to_float64(self, likelihood, x):
        wide = fitted(likelihood, x, torch.float64)
        narrow = copy.deepcopy(wide).to(torch.float32)
        params = params_for(wide, 2, 4)
        exact = wide(params.double()).log_prob(torch.tensor(x).double())
        close = narrow(params).log_prob(torch.tensor(x))
        torch.testing.assert_close(close, exact.float(), rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize("size", [0.0, 1.0, 50.0, -50.0])
    @every
    def test_gradients_are_finite_at_the_edges(self, likelihood, x, size):
        likelihood = fitted(likelihood, x)
        params = params_for(likelihood, 2, 4, size=0.0) + size
        params.requires_grad_()
        p = likelihood(params)
        log_p = p.log_prob(torch.tensor(x)).sum()
        leaves = [params, *likelihood.parameters()]
        gradients = torch.autograd.grad(log_p, leaves, allow_unused=True)
        assert torch.isfinite(log_p)
        assert torch.isfinite(p.mean).all()
        assert all(torch.isfinite(g).all() for g in gradients if g is not None)

    @every
    def test_samples_have_the_mean_and_lie_in_the_support(self, likelihood, x):
        likelihood = fitted(likelihood, torch.tensor(x).clamp(-9, 9))
        p = likelihood(params_for(likelihood, 4, size=0.3))
        draws = p.sample((10_000,), generator=generator())
        assert likelihood.support.check(draws).all()
        discrete = p.mean % 1 == 0  # codes: the mean is the most probable one
        error = p.variance.sqrt() / 100
        close = (draws.mean(0) - p.mean).abs() < 4.5 * error + 1e-6
        assert (close | discrete).all()

    @every
    def test_only_the_generator_decides(self, likelihood, x):
        before = torch.get_rng_state()
        likelihood = fitted(likelihood, x)
        p = likelihood(params_for(likelihood, 3, 4))
        first, second, other = (p.sample((9,), generator=generator(seed)) for seed in (0, 0, 1))
        assert torch.equal(first, second)
        assert not torch.equal(first, other)
        assert torch.equal(before, torch.get_rng_state())

    @every
    def test_state_is_all_that_fitting_leaves(self, likelihood, x):
        one = fitted(likelihood, x)
        other = copy.deepcopy(likelihood)
        other.initialize(torch.zeros(4).double(), torch.ones(4).double())
        other.load_state_dict(one.state_dict())
        params, rows = params_for(one, 2, 4), torch.tensor(x)
        assert torch.equal(one(params).log_prob(rows), other(params).log_prob(rows))
        assert torch.equal(one.embed(rows), other.embed(rows))

    @every
    def test_parameters_survive_clone_and_a_file(self, likelihood, x):
        assert repr(clone(likelihood)) == repr(likelihood)
        if "slice" not in repr(likelihood):
            encoded = _modelfile._encode(likelihood, "likelihood", {}, _state.PARTS)
            decoded = _modelfile.decode(encoded, "likelihood", {}, _state.PARTS, {})
            assert repr(decoded) == repr(likelihood)

    # Codes have no mean; those of the other two are bounded, or made of these.
    @pytest.mark.parametrize(
        ("likelihood", "x"),
        [
            case
            for case in CASES
            if not isinstance(case[0], CategoricalCodes | Mixed | ContinuousBernoulli)
            and case[0] not in LOG_NORMALS[1::2]  # whose scale is no column's
        ],
        ids=lambda v: repr(v)[:60],
    )
    def test_starts_at_the_mean_of_the_columns(self, likelihood, x):
        likelihood = fitted(likelihood, x)
        start = likelihood(torch.zeros(4, likelihood.n_params)).mean
        torch.testing.assert_close(
            start.double(), torch.tensor(x).double().mean(0), rtol=1e-3, atol=1e-3
        )


class TestTotalMass:
    @pytest.mark.parametrize("likelihood", REALS, ids=repr)
    def test_real(self, likelihood):
        likelihood = fitted(likelihood, [[10.0], [40.0]], torch.float64)
        p = likelihood(params_for(likelihood, 1, dtype=torch.float64))
        x = p.mean + torch.sinh(torch.linspace(-25, 25, 200_001).double()).unsqueeze(1)
        mass = torch.trapezoid(p.log_prob(x).exp(), x[:, 0]).detach()
        assert mass.item() == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("likelihood", [c for c in COUNTERS if c.size_factor is None], ids=repr)
    def test_counts(self, likelihood):
        likelihood = fitted(likelihood, [[1.0], [9.0]], torch.float64)
        p = likelihood(params_for(likelihood, 1, dtype=torch.float64))
        x = torch.arange(5000).double().unsqueeze(1)
        assert p.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize(
        ("likelihood", "values"),
        [
            (Bernoulli(), [(0, 1)] * 3),
            (Categorical([2, 3]), [(0, 1)] * 5),
            (CategoricalCodes(4), [range(4)] * 3),
            (Mixed([("bernoulli", 1), (CategoricalCodes(3), [2]), ("poisson", 0)]),
             [range(60), (0, 1), range(3)]),
        ],
        ids=lambda v: repr(v)[:60],
    )  # fmt: skip
    def test_discrete(self, likelihood, values):
        grid = torch.tensor(list(itertools.product(*values))).double()
        likelihood = fitted(likelihood, torch.full((2, len(values)), 0.4), torch.float64)
        grid = grid[likelihood.support.check(grid).reshape(len(grid), -1).all(-1)]
        p = likelihood(params_for(likelihood, len(values), dtype=torch.float64))
        assert p.log_prob(grid).exp().sum().item() == pytest.approx(1, abs=1e-9)

    def test_mixed_of_real_and_binary(self):
        likelihood = fitted(Mixed([("bernoulli", 1), ("laplace", 0)]), [[2, 0], [5, 1.0]])
        p = likelihood(params_for(likelihood, 2))
        x = torch.linspace(-40, 50, 100_001)
        mass = sum(
            torch.trapezoid(p.log_prob(torch.stack([x, torch.full_like(x, b)], 1)).exp(), x)
            for b in (0.0, 1.0)
        )
        assert mass.item() == pytest.approx(1, abs=1e-3)


class TestClosedForms:
    def moved(self, likelihood, params):
        """Location and scale in the units of X, and rows far from standard."""
        x = torch.tensor([[1e4, 1e-3], [1e4 + 3, 4e-3], [1e4 - 1, 1e-3]]).double()
        likelihood = fitted(likelihood, x, torch.float64)
        p = likelihood(params)
        scale = likelihood._standardized_scale(params) * likelihood.column_scale
        return x, SimpleNamespace(log_prob=p.log_prob(x).detach(), mean=p.mean), scale.detach()

    def test_laplace_in_the_units_of_x(self):
        x, p, scale = self.moved(Laplace("row"), params_for(Laplace("row"), 3, 2).double())
        exact = stats.laplace.logpdf(x, p.mean, scale).sum(1)
        np.testing.assert_allclose(p.log_prob, exact, rtol=1e-9)

    @pytest.mark.parametrize("df", [1.5, 2.5, 30.0, 1e7, None])
    def test_student_t_in_the_units_of_x(self, df):
        x, p, scale = self.moved(StudentT(df), params_for(StudentT(), 3, 2).double())
        exact = stats.t.logpdf(x, df or 10.0, p.mean, scale).sum(1)
        np.testing.assert_allclose(p.log_prob, exact, rtol=1e-6)

    def test_rounded_gaussian(self):
        likelihood = fitted(RoundedGaussian(2.5), WHOLE, torch.float64)
        p = likelihood(params_for(likelihood, 2, 4, size=1e-5, dtype=torch.float64))
        x = p.mean.round().numpy() + np.array([[0.0, 3, -6, 5], [1, 0, 5, -2]])
        exact = np.log(
            stats.norm.cdf(x + 0.5, p.mean, 2.5) - stats.norm.cdf(x - 0.5, p.mean, 2.5)
        ).sum(1)
        np.testing.assert_allclose(p.log_prob(torch.tensor(x)), exact, rtol=1e-6)

    @pytest.mark.parametrize("loc", [2008.3, -0.5, 1e9])
    @pytest.mark.parametrize("scale", [1e-2, 0.8, 300.0])
    def test_rounded_gaussian_is_a_distribution(self, loc, scale):
        likelihood = RoundedGaussian(scale)
        likelihood.initialize(torch.tensor([loc]).double(), torch.ones(1).double())
        p = likelihood(torch.zeros(1, 1))
        x = round(loc) + torch.arange(-4000, 4000).double().unsqueeze(1)
        assert p.log_prob(x).double().exp().sum().item() == pytest.approx(1, abs=1e-4)
        draws = p.sample((20_000,), generator())
        assert (draws % 1 == 0).all()
        if scale > 0.5:
            assert draws.std().item() == pytest.approx((scale**2 + 1 / 12) ** 0.5, rel=0.03)
            assert draws.mean().item() == pytest.approx(loc, abs=0.03 * scale)

    @pytest.mark.parametrize("loc", [300.0, 2.3, -0.5, -40.0])
    @pytest.mark.parametrize("low", [-3, 0, 1.7])
    def test_truncated_at_a_lower_end(self, loc, low):
        """Of real numbers as in SciPy; of whole ones, all from the end up add up to 1."""
        start = torch.tensor([loc]).double(), torch.ones(1).double()
        real, whole = Gaussian(2.0, low=low), RoundedGaussian(2.0, low=low)
        real.initialize(*start), whole.initialize(*start)
        params = torch.zeros(1, 1).double()
        x = np.maximum(low, loc) + np.array([[0.0], [0.3], [5.0]])
        exact = stats.truncnorm((low - loc) / 2, np.inf, loc, 2)
        p = real(params)
        np.testing.assert_allclose(p.log_prob(torch.tensor(x)), exact.logpdf(x)[:, 0], rtol=1e-6)
        np.testing.assert_allclose(p.mean[0], exact.mean(), rtol=1e-6)
        np.testing.assert_allclose(p.variance[0], exact.var(), rtol=1e-4)
        least = np.ceil(low)
        counted = whole(params).log_prob(least + torch.arange(4000.0).double().unsqueeze(1)).exp()
        assert counted.sum().item() == pytest.approx(1, abs=1e-6)
        for made, end in ((p, low), (whole(params), least)):
            draws = made.sample((20_000,), generator())
            assert draws.min() >= end
            assert draws.mean().item() == pytest.approx(made.mean.item(), abs=0.1)

    @pytest.mark.parametrize("low", ["0", float("inf"), True])
    def test_the_lower_end_is_a_number(self, low):
        with pytest.raises(ValueError, match="low of Gaussian"):
            fitted(Gaussian(low=low), SPENT)

    @pytest.mark.parametrize(("likelihood", "x"), FROM_ZERO, ids=repr)
    def test_values_below_the_lower_end_are_refused(self, likelihood, x):
        likelihood = fitted(likelihood, x)
        likelihood.check(torch.tensor(x))
        with pytest.raises(ValueError, match=r"from 0 up.*from -1 to .*smaller low"):
            likelihood.check(-torch.ones(1, 4))

    @pytest.mark.parametrize("size", [0.0, 2.0])
    @torch.no_grad()
    def test_log_normal(self, size):
        likelihood = fitted(LogNormal("row"), POSITIVE, torch.float64)
        params = params_for(likelihood, 2, 4, size=size, dtype=torch.float64)
        p, x = likelihood(params), torch.tensor(POSITIVE).double()
        sigma = likelihood._standardized_scale(params) * likelihood.column_scale
        mu = likelihood.loc + likelihood.column_scale * params[..., 0]
        frozen = stats.lognorm(sigma, scale=mu.exp())
        np.testing.assert_allclose(p.log_prob(x), frozen.logpdf(x).sum(1), rtol=1e-9)
        np.testing.assert_allclose(p.mean, frozen.mean(), rtol=1e-9)
        np.testing.assert_allclose(p.variance, frozen.var(), rtol=1e-7)

    def test_zero_inflated_log_normal(self):
        inflated = fitted(ZeroInflatedLogNormal(0.9), SPENT, torch.float64)
        params = params_for(inflated, 2, 4, dtype=torch.float64)
        x = torch.tensor(SPENT).double()
        zeros = torch.sigmoid(params[..., 1] + inflated.zero_logit).numpy()
        mu = inflated.loc + inflated.column_scale * params[..., 0]
        positive = stats.lognorm(0.9, scale=mu.exp()).logpdf(np.where(x > 0, x, 1))
        exact = np.where(x == 0, np.log(zeros), np.log1p(-zeros) + positive).sum(1)
        np.testing.assert_allclose(inflated(params).log_prob(x), exact, rtol=1e-6)

    def test_log_normals_start_at_the_logarithms_and_the_zeros(self):
        x = np.where(np.random.RandomState(0).rand(400, 2) < 0.3, 0.0, 1.0)
        x *= np.exp(np.random.RandomState(1).normal([2.0, -20.0], [1.0, 0.1], (400, 2)))
        likelihood = fitted(ZeroInflatedLogNormal(), x)
        likelihood.observe(columns_of(x))
        logs = np.log(np.where(x > 0, x, np.nan))
        np.testing.assert_allclose(likelihood.loc, np.nanmean(logs, 0))
        np.testing.assert_allclose(likelihood.column_scale, np.nanstd(logs, 0))
        p = likelihood(torch.zeros(1, 2, 2))
        np.testing.assert_allclose(p.log_prob_terms(torch.zeros(1, 2)).detach().exp()[0],
                                   (x == 0).mean(0), rtol=1e-5)  # fmt: skip
        embedded = likelihood.embed(torch.tensor(x))
        assert embedded.shape == (400, 4)
        np.testing.assert_array_equal(embedded[:, 2:], x == 0)

    def test_student_t_has_the_variance_of_its_samples(self):
        p = fitted(StudentT(8.0, 0.5), REAL)(torch.zeros(4, 1))
        draws = p.sample((40_000,), generator=generator())
        assert draws.var(0).numpy() == pytest.approx(p.variance.numpy(), rel=0.05)
        assert p.variance.numpy() == pytest.approx(0.25 * 8 / 6)

    def test_learned_df_stays_where_the_variance_exists(self):
        likelihood = fitted(StudentT(), REAL)
        for logit in (-1e3, 1e3):
            likelihood.df_logit.data.fill_(logit)
            p = likelihood(torch.zeros(1, 4, 1))
            assert torch.isfinite(p.variance).all()
            assert torch.isfinite(p.log_prob(torch.tensor(REAL))).all()

    def test_poisson(self):
        likelihood = fitted(Poisson(), COUNTS)
        p = likelihood(params_for(likelihood, 2, 4))
        exact = stats.poisson.logpmf(COUNTS, p.mean.double()).sum(1)
        np.testing.assert_allclose(p.log_prob(torch.tensor(COUNTS)), exact, rtol=1e-4)

    @pytest.mark.parametrize("inflated", [False, True])
    def test_negative_binomial(self, inflated):
        cls = ZeroInflatedNegativeBinomial if inflated else NegativeBinomial
        likelihood = fitted(cls(), COUNTS, torch.float64)
        p = likelihood(params_for(likelihood, 2, 4, dtype=torch.float64))
        base = p.base_dist.base if inflated else p.base_dist
        r, mean = base.log_r.exp().detach(), base.mean
        exact = stats.nbinom.pmf(COUNTS, r, r / (r + mean))
        if inflated:
            zeros = torch.sigmoid(p.base_dist.logits).numpy()
            exact = zeros * (np.array(COUNTS) == 0) + (1 - zeros) * exact
        log_p = p.log_prob(torch.tensor(COUNTS)).detach()
        np.testing.assert_allclose(log_p, np.log(exact).sum(1), rtol=1e-8)

    def test_negative_binomial_of_large_r_is_poisson_in_float32(self):
        counts, poisson = fitted(NegativeBinomial(), COUNTS), fitted(Poisson(), COUNTS)
        counts.log_r.data.fill_(1e3)  # bounded: r = 1e6
        params = torch.full((2, 4, 1), -8.0)
        x = torch.tensor([[0.0, 1.0, 3.0, 17.0], [0.0, 0.0, 0.0, 5.0]])
        torch.testing.assert_close(
            counts(params).log_prob(x), poisson(params).log_prob(x), rtol=1e-4, atol=1e-4
        )

    def test_negative_binomial_starts_at_the_moments(self):
        x = torch.tensor([[2.0, 3.0], [10.0, 3.0]])  # variance 16 around 6; then constant
        for dispersion in ("feature", "shared"):
            p = fitted(NegativeBinomial(dispersion), x)(torch.zeros(2, 1))
            assert torch.isfinite(p.variance).all()
        p = fitted(NegativeBinomial(), x[:, :1])(torch.zeros(1, 1))
        assert p.variance.item() == pytest.approx(16, rel=1e-4)

    def test_categorical_is_torchs_in_each_group(self):
        likelihood = fitted(Categorical([1, 3, 2]), torch.full((2, 6), 0.3))
        params = params_for(likelihood, 5, 6, size=30.0)
        x = torch.tensor([1.0, 0, 0, 1, 1, 0])
        logits = params[..., 0] + likelihood.loc
        exact = sum(
            td.OneHotCategorical(logits=logits[:, part]).log_prob(x[part])
            for part in (slice(0, 1), slice(1, 4), slice(4, 6))
        )
        p = likelihood(params)
        torch.testing.assert_close(p.log_prob(x), exact)
        torch.testing.assert_close(p.mean[:, 1:4].sum(1), torch.ones(5))

    def test_mixed_is_the_sum_of_its_blocks(self):
        likelihood = fitted(Mixed(BLOCKS), MIXED)
        params, x = params_for(likelihood, 3, 2, 4), torch.tensor(MIXED)
        terms = [
            part(params[..., columns, : part.n_params]).log_prob(x[:, columns])
            for columns, part in likelihood.blocks_
        ]
        torch.testing.assert_close(likelihood(params).log_prob(x), sum(terms))


class TestRobust:
    """Student's t with columns standardised by their quartiles."""

    X = np.random.default_rng(0).normal([5.0, -3.0], [2.0, 1e-3], (4000, 2))

    def met(self, x):
        likelihood = fitted(StudentT(robust=True), x)
        likelihood.observe(columns_of(x))
        return likelihood

    def test_what_outliers_do_not_move(self):
        wild = self.X.copy()
        wild[::20] = 1e12
        wild[1::20] = np.nan
        for x in (self.X, wild):
            likelihood = self.met(x)
            np.testing.assert_allclose(likelihood.loc, [5, -3], rtol=0.05)
            np.testing.assert_allclose(likelihood.column_scale, [2, 1e-3], rtol=0.2)

    def test_the_encoder_sees_ends_and_the_density_does_not(self):
        likelihood = self.met(self.X)
        far = torch.tensor([[1e3, -3.0], [1e6, -3.0]])
        embedded = likelihood.embed(far)
        assert (embedded[:, 0] == 10).all()
        near, farther = likelihood(torch.zeros(2, 2, 1)).log_prob(far)
        assert farther < near - 10

    def test_a_column_of_mostly_one_value(self):
        x = np.zeros((400, 2))
        x[:40] = 1.0
        likelihood = self.met(x)
        np.testing.assert_allclose(likelihood.column_scale, x.std(0))
        np.testing.assert_allclose(likelihood.loc, [0, 0])

    def test_refuses_what_is_neither(self):
        with pytest.raises(ValueError, match="robust of StudentT is 'yes'"):
            fitted(StudentT(robust="yes"), self.X)


class TestCounts:
    @pytest.mark.parametrize("likelihood", COUNTERS, ids=repr)
    def test_samples_are_whole(self, likelihood):
        likelihood = fitted(likelihood, COUNTS)
        draws = likelihood(torch.zeros(4, likelihood.n_params)).sample((100,), generator())
        assert (draws % 1 == 0).all()
        assert (draws >= 0).all()

    @pytest.mark.parametrize(
        "cls", [Poisson, NegativeBinomial, ZeroInflatedNegativeBinomial], ids=lambda c: c.__name__
    )
    def test_size_factors_scale_the_mean_of_a_row(self, cls):
        x = torch.tensor([[1.0, 3.0], [5.0, 7.0]])  # typical total 8
        plain, scaled = fitted(cls(), x), fitted(cls(size_factor="total"), x)
        params = params_for(plain, 2, 2)
        double = params.clone()
        double[..., 0] += np.log(2.0) / plain.log_scale
        row = torch.tensor([[4.0, 12.0]])  # total 16, so s = 2
        torch.testing.assert_close(scaled(params).log_prob(row), plain(double).log_prob(row))
        assert torch.equal(scaled(params).mean, plain(params).mean)
        torch.testing.assert_close(scaled.embed(row), plain.embed(row / 2))
        empty = torch.zeros(1, 2)
        assert torch.isfinite(scaled(params).log_prob(empty)).all()

    @pytest.mark.parametrize("mean", [0.05, 3.0, 2000.0, 1e6])
    @pytest.mark.parametrize("r", [0.5, 1e9])
    def test_the_encoder_sees_counts_standardized(self, mean, r):
        x = torch.tensor(np.random.RandomState(0).negative_binomial(r, r / (r + mean), (2000, 1)))
        likelihood = fitted(NegativeBinomial(), x)
        embedded = likelihood.embed(x.double())
        assert abs(embedded.mean()) < 1
        assert embedded.abs().max() < 20
        assert embedded.std() < 2.5
        if x.double().std() > 1:
            assert embedded.std() > 0.7
        # One unit of the decoder's output moves the mean by the column's spread, or less.
        moved = likelihood(torch.ones(1, 1)).mean / likelihood(torch.zeros(1, 1)).mean
        spread = max(x.double().std().item(), mean**0.5) / mean
        assert moved.log().item() == pytest.approx(min(np.log1p(spread**2) ** 0.5, 1), rel=0.1)

    @pytest.mark.parametrize("likelihood", COUNTERS, ids=repr)
    def test_columns_without_a_count(self, likelihood):
        likelihood = fitted(likelihood, torch.zeros(3, 4))
        p = likelihood(torch.zeros(1, 4, likelihood.n_params))
        assert torch.isfinite(p.log_prob(torch.tensor(COUNTS))).all()


class TestCategories:
    @pytest.mark.parametrize("sizes", [[1, 3, 2], [6], [2, 2, 2]])
    def test_exactly_one_in_each_group(self, sizes):
        likelihood = fitted(Categorical(sizes), torch.full((2, 6), 0.3))
        p = likelihood(params_for(likelihood, 3, 6, size=5.0))
        for part in p.sample((500,), generator()).split(sizes, -1):
            assert set(part.unique().tolist()) <= {0.0, 1.0}
            assert (part.sum(-1) == 1).all()

    def test_codes_come_as_often_as_they_are_probable(self):
        likelihood = fitted(CategoricalCodes(3), CODES)
        params = params_for(likelihood, 4)
        draws = likelihood(params).sample((10_000,), generator())
        for column, logits in enumerate(params):
            wanted = logits.softmax(-1)
            found = torch.bincount(draws[:, column].long(), minlength=3) / len(draws)
            assert ((found - wanted).abs() < 4.5 * (wanted * (1 - wanted) / 10_000).sqrt()).all()
        assert torch.equal(likelihood(params).mean, params.argmax(-1).float())

    def test_codes_enter_the_encoder_one_hot(self):
        embedded = fitted(CategoricalCodes(3), CODES).embed(torch.tensor([[0.0, 2.0, 5.0]]))
        assert embedded.tolist() == [[1, 0, 0, 0, 0, 1, 0, 0, 0]]

    @pytest.mark.parametrize(
        ("means", "groups"),
        [
            ([0.5, 0.5, 0.1, 0.7, 0.2], [0, 0, 1, 1, 1]),
            ([0.5, 0.5, 0.0, 0.3, 0.7], [0, 0, 0, 1, 1]),  # never seen: with those before
            ([0.0, 1.0, 1.0], [0, 0, 1]),
            ([1 / 3] * 6, [0, 0, 0, 1, 1, 1]),
            ([0.5, 0.6, 0.9], [0, 0, 0]),  # not one-hot: the rows are then refused
            ([3.0, 90.0], [0, 0]),
            ([-1.0, -2.0], [0, 0]),
            ([0.0, 0.0], [0, 0]),
        ],
    )
    def test_groups_are_found_by_the_means(self, means, groups):
        likelihood = Categorical()
        loc = torch.tensor(means).double()
        likelihood.initialize(loc, torch.ones_like(loc))
        assert likelihood.groups.tolist() == groups


# Columns that nearly determine each other, two by two.
PAIRS = np.kron(np.eye(16), [[1.0, 1.0], [0.0, 0.1]])
NORMAL = np.random.default_rng(0).normal(size=(80, 8)) @ PAIRS[:8, :8]
WIDE = np.random.default_rng(0).normal(size=(310, 31)) @ PAIRS[:31, :31]


def factors(n, n_columns, k):
    """Return rows of a factor analysis."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(k, n_columns))
    return rng.normal(size=(n, k)) @ loadings + rng.normal(size=(n, n_columns))


class TestResolve:
    @every
    def test_what_is_not_open_stays(self, likelihood, x):
        resolved = likelihood.resolve(columns_of(x))
        assert not likelihood.left_open
        assert resolved is likelihood or isinstance(likelihood, Mixed)

    @pytest.mark.parametrize("name", LIKELIHOODS)
    def test_nothing_is_left_open(self, name):
        likelihood = LIKELIHOODS[name]()
        assert likelihood.left_open == (name in ("auto", "mixed"))
        resolved = likelihood.resolve(columns_of(ONE_HOT))
        assert not resolved.left_open
        assert torch.isfinite(fitted(resolved).embed(torch.ones(2, 4))).all()

    @pytest.mark.parametrize(
        ("x", "chosen"),
        [
            ([[0.0, 1.0], [1.0, 1.0]], Bernoulli()),
            ([[0.0, 0.5], [1.0, 1.0]], ContinuousBernoulli()),
            (
                [
                    [0.01, 0.5],
                    [0.02, 0.6],
                    [0.03, 0.4],
                    *[[0.021, 0.51 + i / 99] for i in range(30)],
                ],
                StudentT(scale="row"),
            ),
            ([[0.0, 1.0], [1.0, 2.0]], Gaussian()),
            ([[-0.1, 1.0], [1.0, 1.0]], Gaussian()),
        ],
    )
    def test_auto_goes_by_the_values(self, x, chosen):
        resolved = Auto().resolve(columns_of(x))
        assert repr(resolved) == repr(chosen)
        resolved.check(torch.tensor(x))

    def test_auto_alone_says_what_it_needs(self):
        with pytest.raises(ValueError, match=r"Auto chooses .*likelihood='auto'"):
            Auto().initialize(torch.zeros(2), torch.ones(2))

    def test_mixed_goes_by_what_is_declared_and_then_by_values(self):
        x = [[0.0, 0, 2, 0.5, 0, 1, 0], [1.0, 3, -1, 2.0, 1, 0, 2]]
        kinds = ["real", "whole", "whole", None, "boolean", None, "category"]
        columns = columns_of(x, kinds=kinds, n_levels=[0, 0, 0, 0, 0, 0, 3])
        blocks = [(named(part), found) for part, found in Mixed().resolve(columns).blocks]
        assert blocks == [
            ("Gaussian from 0", [0, 3]),
            ("negative_binomial", [1]),
            ("rounded_gaussian", [2]),
            ("bernoulli", [4, 5]),
            ("CategoricalCodes(n_categories=3)", [6]),
        ]

    @pytest.mark.parametrize(
        ("name", "draw"),
        [
            ("negative_binomial", lambda r: r.poisson(2, 500)),
            ("negative_binomial", lambda r: r.negative_binomial(1, 0.001, 500)),
            ("negative_binomial", lambda r: np.exp(r.normal(10, 1, 500)).astype(int)),
            ("rounded_gaussian", lambda r: r.integers(2007, 2010, 500)),
            ("rounded_gaussian", lambda r: 10**6 + np.arange(500)),
            ("rounded_gaussian", lambda r: r.normal(0, 5, 500).round()),
            ("rounded_gaussian", lambda r: r.normal(6800, 500, 500).round()),
            ("RoundedGaussian from 0", lambda r: r.normal(4800, 500, 500).round()),
            ("RoundedGaussian from 0", lambda r: r.integers(1, 6, 500)),
            ("bernoulli", lambda r: r.integers(0, 2, 500)),
            ("gaussian", lambda r: r.normal(size=500)),
            ("gaussian", lambda r: r.normal(30, 2, 500)),
            ("Gaussian from 0", lambda r: r.normal(20, 3, 500)),
            ("Gaussian from 0", lambda r: 9 + np.minimum(5, r.standard_t(3, 500)).clip(-5)),
            ("log_normal", lambda r: np.exp(r.normal(-9, 0.5, 500))),
            (
                "zero_inflated_log_normal",
                lambda r: np.exp(r.normal(3, 1, 500)) * (r.random(500) < 0.7),
            ),
            ("zero_inflated_log_normal", lambda r: r.exponential(10, 500)),
            ("Gaussian from 0", lambda r: np.where(r.random(500) < 0.5, 0.25, 0.75)),
            ("gaussian", lambda r: np.full(500, 2.5)),
        ],
    )
    def test_mixed_goes_by_what_the_columns_are(self, name, draw):
        x = draw(np.random.default_rng(0))
        ((part, columns),) = Mixed().resolve(columns_of(x[:, None])).blocks
        assert (named(part), columns) == (name, [0])

    def test_auto_takes_grey_values_for_what_piles_up_at_an_end(self):
        digits = load_digits().data / 16
        rng = np.random.default_rng(0)
        words = rng.poisson(0.1, (300, 40)) * rng.random((300, 40))
        for grey in (digits, 1 - digits, 0.6 + 0.4 * digits, words / words.max()):
            assert isinstance(Auto().resolve(columns_of(grey)), ContinuousBernoulli)
        photographs = Columns(Rows(rng.beta(3, 3, (300, 48))), is_image=True)
        assert isinstance(Auto().resolve(photographs), ContinuousBernoulli)
        votes = rng.dirichlet([5, 3, 1, *[0.2] * 8], 400).round(4)
        skewed = np.exp(rng.normal(size=(400, 5)))
        numbers = [load_iris().data, load_wine().data, skewed, rng.random((400, 4))]
        for x in (votes, *map(MinMaxScaler().fit_transform, numbers)):
            assert isinstance(Auto().resolve(columns_of(x)), Gaussian | StudentT)

    @pytest.mark.parametrize(
        ("draw", "chosen"),
        [
            (lambda r: r.normal(5, 2, (400, 3)), Gaussian),
            (lambda r: r.uniform(-1, 1, (400, 3)), Gaussian),
            (lambda r: r.standard_t(3, (400, 3)), StudentT),
            (lambda r: r.standard_t(3, (400, 3)) * 1e150, StudentT),
            (lambda r: np.vstack([r.normal(size=(400, 3)), [[1e9] * 3]]), StudentT),
            (lambda r: np.zeros((20, 3)) - 1, Gaussian),
        ],
    )
    def test_auto_takes_students_t_for_heavy_tails(self, draw, chosen):
        x = draw(np.random.default_rng(0))
        assert type(Auto().resolve(columns_of(x))) is chosen
        assert type(Auto().resolve(Columns(Rows(x), is_image=True))) is Gaussian

    @pytest.mark.parametrize("heavy", [False, True])
    @pytest.mark.parametrize(
        ("n", "chosen", "of_a_map"),
        [
            (79, ("feature", 0.0, False), ("feature", 0.0, False)),
            (80, ("row", 0.5, True), ("feature", 0.5, True)),
        ],
    )
    def test_auto_takes_noise_by_row_where_rows_are_many(self, n, chosen, of_a_map, heavy):
        rng = np.random.default_rng(0)
        x = rng.standard_t(2.5, (n, 8)) if heavy else rng.normal(size=(n, 8))
        x = x @ PAIRS[:8, :8]  # no few components explain four of them
        plain = "feature", 0.0, False
        # No component of a map is to tell how noisy a row is, and pixels were not measured.
        for columns, expected in (
            (columns_of(x), chosen),
            (Columns(Rows(x), n_components=3), chosen),
            (Columns(Rows(x), n_components=2), of_a_map),
            (Columns(Rows(x), n_components=2, is_image=True), plain),
        ):
            likelihood = Auto().resolve(columns)
            assert (likelihood.scale, likelihood.evenness, likelihood.correlated) == expected
        for k, expected in ((2, of_a_map), (3, chosen)):
            likelihood = VariationalAutoencoder(k, max_steps=1, random_state=0).fit(x).likelihood_
            assert (likelihood.scale, likelihood.evenness, likelihood.correlated) == expected

    @pytest.mark.parametrize(
        ("x", "n_components", "expected"),
        [
            (np.random.default_rng(0).normal(size=(39, 4)), 3, ("feature", 0.0, False)),
            (np.random.default_rng(0).normal(size=(2010, 201)), 3, ("row", 0.0, False)),
            (np.random.default_rng(0).normal(size=(2010, 201)), 2, ("feature", 0.5, False)),
            (np.random.default_rng(0).normal(size=(100, 1)), 3, ("row", 0.0, False)),
            (np.where(np.eye(80, 8), np.nan, NORMAL), 3, ("row", 0.5, True)),
            (np.where(np.eye(310, 31), np.nan, WIDE), 3, ("row", 0.0, False)),
            (WIDE, 3, ("row", 0.5, True)),
            (NORMAL[:, :7], 4, ("row", 0.0, False)),
            (factors(400, 7, 6), 3, ("row", 0.5, True)),
            (NORMAL[:, :4], 2, ("feature", 0.5, False)),
            (factors(300, 30, 3), 3, ("row", 0.0, False)),
            (factors(300, 30, 2), 2, ("feature", 0.5, False)),
            (factors(3000, 30, 3), 2, ("feature", 0.5, True)),
            (np.c_[factors(400, 12, 3), np.ones(400)], 3, ("row", 0.0, False)),
            (np.where(np.eye(400, 12), np.nan, factors(400, 12, 3)), 3, ("row", 0.0, False)),
            (np.c_[NORMAL, NORMAL.sum(1)].repeat(2, 0), 3, ("row", 0.5, True)),
        ],
        ids=[
            *["few rows", "many columns", "and a map", "one column"],
            *["gaps", "gaps in many columns", "as many without"],
            *["any covariance", "not any", "of a map"],
            *["factors", "factors of a map", "more factors", "and a constant", "factors with gaps"],
            "a sum",
        ],
    )
    def test_auto_leaves_noise_uncorrelated_where_it_costs_too_much(
        self, x, n_components, expected
    ):
        likelihood = Auto().resolve(Columns(Rows(x), n_components=n_components))
        assert (likelihood.scale, likelihood.evenness, likelihood.correlated) == expected

    def test_auto_warns_where_it_is_in_doubt(self):
        rng = np.random.default_rng(0)
        numbers = rng.random((200, 4))
        piled = np.where(rng.random((200, 4)) < 0.3, 0.0, numbers)
        X = np.column_stack([numbers[:, :2], piled[:, :3]])
        with pytest.warns(UserWarning, match=r"60%.*grey values.*'continuous_bernoulli'") as caught:
            vae = VariationalAutoencoder(max_epochs=1, random_state=0).fit(X)
        assert caught[0].filename == __file__
        assert isinstance(vae.likelihood_, ContinuousBernoulli)
        with pytest.warns(UserWarning, match=r"40%.*real numbers.*'gaussian'.*are grey"):
            Auto().resolve(columns_of(np.column_stack([numbers[:, :3], piled[:, :2]])))

    def test_who_takes_what(self):
        made = {name: cls() for name, cls in LIKELIHOODS.items()}
        unit = {"bernoulli", "continuous_bernoulli"}
        assert {name for name, one in made.items() if one.reads_bytes} == unit
        assert {name for name, one in made.items() if one.reads_bytes_of_images} == unit | {"auto"}
        assert {name for name, one in made.items() if one.takes_categories} == {"mixed"}


STUCK = [[1.0, 7.0, 2.0], [3.0, 7.0, -2.0]]
MOVING = [[1.0, 7.0, 2.0], [3.0, 9.0, -2.0]]


class TestMeet:
    @pytest.mark.parametrize("likelihood", REALS, ids=repr)
    def test_a_stuck_column_is_standardized_when_it_moves(self, likelihood):
        met, wanted = fitted(likelihood, STUCK), fitted(likelihood, MOVING)
        buffers = [b.data_ptr() for b in met.buffers()]
        for parameter in met.parameters():
            parameter.data += 0.3
        met.meet([1], torch.tensor([8.0]).double(), torch.tensor([1.0]).double())
        x = torch.tensor(MOVING)
        assert torch.equal(met.embed(x), wanted.embed(x))
        # The other columns keep what they learnt; this one starts anew.
        for name, parameter in met.named_parameters():
            if len(parameter) == 3:
                start = getattr(wanted, name)
                if parameter.ndim == 2:  # of the correlations, no draw but 0
                    assert not parameter[1].any()
                    assert not parameter[:, 1].any()
                    start, parameter = start.diagonal(), parameter.diagonal()
                else:
                    assert parameter[1] == start[1]
                torch.testing.assert_close(parameter[[0, 2]], start[[0, 2]] + 0.3)
        assert [b.data_ptr() for b in met.buffers()] == buffers

    @pytest.mark.parametrize("cls", [Gaussian, Laplace, StudentT, RoundedGaussian])
    @pytest.mark.parametrize("scale", ["feature", "shared", "row"])
    def test_a_constant_column_adds_no_free_nats(self, cls, scale):
        likelihood = fitted(cls(scale=scale), STUCK)
        likelihood.observe(columns_of(STUCK))
        for parameter in likelihood.parameters():
            parameter.data -= 0.3
        params = params_for(likelihood, 2, 3, size=0.0) - 2 * (scale == "row")
        params[..., 0] = 0
        terms = likelihood(params).log_prob_terms(torch.tensor(STUCK))[:, 1]
        unit = fitted(cls(scale=1.0), STUCK)(torch.zeros(2, 3, 1))
        torch.testing.assert_close(terms, unit.log_prob_terms(torch.tensor(STUCK))[:, 1],
                                   rtol=0, atol=0.15)  # fmt: skip
        likelihood.meet([1], torch.tensor([8.0]).double(), torch.tensor([1.0]).double())
        assert likelihood.varies.all()

    @every
    def test_all_may_be_told(self, likelihood, x):
        met = fitted(likelihood, x)
        before = [b.clone() for b in met.buffers()]
        met.meet([2, 0], torch.tensor([8.0, 1.0]), torch.tensor([1.0, 2.0]))
        kept = all(torch.equal(*both) for both in zip(before, met.buffers(), strict=True))
        learns = type(REALS[0]).__base__, Poisson
        assert kept != any(isinstance(part, learns) for part in met.modules())

    @pytest.mark.parametrize("cls", [Poisson, NegativeBinomial, ZeroInflatedNegativeBinomial])
    @pytest.mark.parametrize("size_factor", [None, "total"])
    def test_counts_are_as_if_they_had_been_known(self, cls, size_factor):
        loc, scale = torch.tensor([2.0, 500.0, 0.5]), torch.tensor([2.0, 90.0, 1.0])
        met, wanted = cls(size_factor=size_factor), cls(size_factor=size_factor)
        wanted.initialize(loc=loc, scale=scale)
        met.initialize(loc=torch.tensor([2.0, 0.0, 0.5]), scale=torch.tensor([2.0, 1.0, 1.0]))
        met.meet([1], loc[1:2].double(), scale[1:2].double())
        for one, other in zip(met.buffers(), wanted.buffers(), strict=True):
            torch.testing.assert_close(one, other)

    def test_blocks_are_told_of_their_own_columns(self):
        blocks = [("bernoulli", [0]), (LaplaceLikelihood(), [4]), (Gaussian(), [3, 1, 2])]
        met = fitted(Mixed(blocks), torch.zeros(2, 5))
        met.meet([2, 0, 3, 4], torch.arange(4.0), torch.arange(1.0, 5))
        gaussian = met.blocks_[2][1]
        assert gaussian.loc.tolist() == [2, 0, 0]
        assert gaussian.column_scale.tolist() == [3, 1, 1]


class TestMessages:
    def test_a_likelihood_that_inherits_nothing_is_checked_too(self):
        foreign = LaplaceLikelihood()
        foreign.support = td.constraints.positive
        Likelihood.check(foreign, torch.ones(2, 2))
        message = "numbers under likelihood=LaplaceLikelihood.*-1 to 3 in a place. None needed"
        with pytest.raises(ValueError, match=message):
            Likelihood.check(foreign, torch.tensor([[-1.0, 3.0]]), " in a place")
        mixed = fitted(Mixed([("gaussian", [1]), (foreign, [0, 2])]), [[1.0, -1, 1]])
        with pytest.raises(ValueError, match=r"LaplaceLikelihood.*in its columns \[0, 2\]"):
            mixed.check(torch.tensor([[1.0, 1.0, -1.0]]))

    @pytest.mark.parametrize("likelihood", [Bernoulli(), ContinuousBernoulli()], ids=repr)
    def test_the_first_cure_hides_nothing(self, likelihood):
        with pytest.raises(ValueError, match=r"gaussian.*MinMaxScaler\(\).*clip.*cut off"):
            likelihood.check(torch.tensor([[0.5, 40.0]]))

    @pytest.mark.parametrize(
        ("likelihood", "x", "message"),
        [
            (Poisson(), [[0.5, 1]], "counts.*Poisson.*0.5 to 1.*likelihood='gaussian'"),
            (NegativeBinomial(), [[-1, 1]], "counts.*NegativeBinomial.*-1 to 1.*Round"),
            (Categorical(), [[1, 1], [0, 1], [0, 0]], "one-hot.*OneHotEncoder.*group_sizes"),
            (Categorical([1, 1]), [[1, 0]], "one-hot.*OneHotEncoder.*group_sizes"),
            (CategoricalCodes(3), [[0, 3]], "from 0 to 2.*OrdinalEncoder"),
            (Mixed([("gaussian", 0), ("poisson", [2, 1])]), [[-0.5, 3, 0.5]],
             r"counts.*Poisson.*0.5 to 3 in its columns \[2, 1\].*Round"),
        ],
        ids=lambda v: repr(v)[:40],
    )  # fmt: skip
    def test_support(self, likelihood, x, message):
        x = np.array(x, dtype=float)
        with pytest.raises(ValueError, match=message):
            fitted(likelihood, x).check(torch.tensor(x))

    @every
    def test_support_holds(self, likelihood, x):
        fitted(likelihood, x).check(torch.tensor(x))

    @pytest.mark.parametrize(
        ("likelihood", "message"),
        [
            (Laplace("wide"), "scale of Laplace is 'wide'"),
            (StudentT(min_scale=2), "min_scale of StudentT is 2"),
            (LogNormal(evenness=1.5), r"evenness of LogNormal is 1\.5; it must lie in \[0, 1\]"),
            (Laplace(correlated="no"), r"correlated of Laplace is 'no'; it must be True or False"),
            (StudentT(3.0, 0.7, correlated=True), r"scale is 0\.7; correlated noise needs"),
            (Gaussian("shared", correlated=True), "Gaussian is True, but scale is 'shared'"),
            (Gaussian(low=0.0, correlated=True), r"low is 0\.0; a truncated .*low=None or corr"),
            (StudentT(df=1.0), "df of StudentT is 1.0"),
            (StudentT(df="all"), "df of StudentT is 'all'"),
            (Poisson("row"), "size_factor of Poisson is 'row'; it must be None or 'total'"),
            (NegativeBinomial("row"), "dispersion of NegativeBinomial is 'row'.*'shared'"),
            (Categorical([2, 3]), r"group_sizes of Categorical is \[2, 3\].*add up to the 4"),
            (Categorical([5, -1]), r"group_sizes"),
            (Categorical([2.0, 2.0]), r"group_sizes"),
            (Categorical([]), r"group_sizes"),
            (CategoricalCodes(0), "n_categories of CategoricalCodes is 0"),
            (CategoricalCodes(2.5), "n_categories"),
            (Mixed(), "Mixed has no blocks.*likelihood='mixed'"),
            (Mixed([("gaussian", [0, 1, 2])]), "Column 3 is in 0 blocks"),
            (Mixed([("gaussian", [0, 1, 2, 3]), ("poisson", 3)]), "Column 3 is in 2 blocks"),
            (Mixed([("gaussian", [0, 1, 2, 4])]), "Column 4 .* is not in X, which has 4 columns"),
            (Mixed([("gaussian", "age")]), "Column 'age' .* without names"),
            (Mixed([("gauss", slice(None))]), "'gauss' in the blocks of Mixed"),
            (Mixed([("likelihood", slice(None))]), "'likelihood' in the blocks.*'student_t'"),
        ],
        ids=lambda v: repr(v)[:40],
    )  # fmt: skip
    def test_parameters(self, likelihood, message):
        with pytest.raises(ValueError, match=message):
            likelihood.initialize(torch.zeros(4).double(), torch.ones(4).double())


FRAME = pd.DataFrame(
    {
        "height": [1.5, 1.7, 1.6, 2.0],
        "member": [True, False, True, True],
        "colour": pd.Categorical(["red", "blue", "red", "red"], ["red", "green", "blue"]),
        "visits": [3, 0, 7, 1],
        "balance": [3, -4, 7, 1],
        "size": pd.Categorical([2, 1, 2, 1]),
        "shape": pd.Categorical(["a", "b", "c", "a"]),
        "age": np.array([1.0, 0.0, 1.0, 0.0], np.float32),
        "flag": pd.array([0, 1, 1, 0], dtype="UInt8"),
    }
)


def learnt(X, likelihood=None):
    """Return what is learnt of X: the reader, rows in their own order, and columns."""
    return Reader.learn(VariationalAutoencoder(), X, Mixed() if likelihood is None else likelihood)


class TestFrames:
    def test_mixed_by_types(self):
        _, rows, columns = learnt(FRAME)
        found = Mixed().resolve(columns)
        blocks = [(named(part), list(FRAME.columns[columns])) for part, columns in found.blocks]
        assert blocks == [
            ("Gaussian from 0", ["height", "age"]),
            ("bernoulli", ["member", "flag"]),
            ("CategoricalCodes(n_categories=3)", ["colour", "shape"]),
            ("negative_binomial", ["visits"]),
            ("rounded_gaussian", ["balance"]),
            ("CategoricalCodes(n_categories=2)", ["size"]),
        ]
        fitted(found, rows.block(slice(None))).check(rows.take(slice(None)))

    def test_mixed_by_values(self):
        X = np.array([[0.0, 2.0, -1.0, 0.5], [1.0, 0.0, 4.0, 1.0]])
        blocks = [(named(part), found) for part, found in Mixed().resolve(learnt(X)[2]).blocks]
        assert blocks == [
            ("bernoulli", [0]),
            ("negative_binomial", [1]),
            ("rounded_gaussian", [2]),
            ("Gaussian from 0", [3]),
        ]

    def test_names_become_indices(self):
        blocks = [("gaussian", ["c", "a"]), (Poisson(), "b"), ("laplace", slice(3, None))]
        resolved = Mixed(blocks).resolve(OnlyNames(list("abcde"), 5))
        assert [columns for _, columns in resolved.blocks] == [[2, 0], [1], [3, 4]]
        assert blocks[0] == ("gaussian", ["c", "a"])

    @pytest.mark.parametrize(
        ("blocks", "message"),
        [
            ([("gaussian", ["a", "z"])], r"Column 'z' .* which has the columns \['a', 'b'\]"),
            ([("gaussian", ["a"])], "Column 'b' is in 0 blocks"),
            ([("gaussian", ["a", "b", "a"])], "Column 'a' is in 2 blocks"),
        ],
    )
    def test_messages_name_the_column(self, blocks, message):
        with pytest.raises(ValueError, match=message):
            Mixed(blocks).resolve(OnlyNames(["a", "b"], 2))

    def test_codes_are_those_of_fit(self):
        reader, *_ = learnt(FRAME)
        assert reader.categories == {
            "colour": ["red", "green", "blue"], "size": [1, 2], "shape": ["a", "b", "c"],
        }  # fmt: skip
        later = FRAME.assign(
            colour=pd.Categorical(["blue", "blue", "red", "red"]), size=[2, 2, 1, 1]
        )
        codes = reader.floats(later)
        assert codes[:, 2].tolist() == [2, 2, 0, 0]
        assert codes[:, 5].tolist() == [1, 1, 0, 0]
        assert later["colour"].tolist() == ["blue", "blue", "red", "red"]

    def test_unseen_categories(self):
        estimator = VariationalAutoencoder()
        reader, *_ = Reader.learn(estimator, FRAME, Mixed())
        other = FRAME.assign(colour=pd.Categorical(["red", "pink", "red", "red"]))
        with pytest.raises(ValueError, match=r"'colour' holds 'pink'.*'green'.*missing"):
            reader.read(estimator, other)

    def test_numpy_rows_and_frames_without_categories_pass(self):
        for X, likelihood in (
            (FRAME[["height", "visits"]].to_numpy(), Mixed()),
            (FRAME[["height"]], Mixed()),
            (FRAME[["height", "size"]].astype(float), Gaussian()),
        ):
            assert learnt(X, likelihood)[0].categories == {}
        X = np.random.default_rng(0).normal(size=(20, 2))
        model = VariationalAutoencoder(max_epochs=1).fit(X)
        assert Reader({"colour": ["red"]}).read(model, X).X is X


class TestFrameInAnEstimator:
    """A data frame with categories through all verbs, warm starts and files."""

    frame = pd.concat([FRAME] * 8, ignore_index=True)

    def fitted(self, **params):
        quick = {"likelihood": "mixed", "max_epochs": 2, "random_state": 0}
        return VariationalAutoencoder(**(quick | params)).fit(self.frame)

    def test_verbs(self):
        vae = self.fitted()
        assert vae.categories_["colour"] == ["red", "green", "blue"]
        drawn = vae.sample(50)
        assert drawn.shape == (50, FRAME.shape[1])
        colour = list(FRAME.columns).index("colour")
        assert set(drawn[:, colour]) <= {0, 1, 2}
        assert np.isfinite(vae.score(self.frame))
        # Categories are those of fit, whatever order another frame has them in.
        other = self.frame.assign(colour=pd.Categorical(self.frame["colour"].astype(str)))
        np.testing.assert_array_equal(vae.transform(other), vae.transform(self.frame))

    @pytest.mark.parametrize("continued", ["warm_start", "partial_fit"])
    def test_continues(self, continued):
        if continued == "partial_fit":
            vae = self.fitted().partial_fit(self.frame)
        else:
            vae = self.fitted(warm_start=True).fit(self.frame)
        assert vae.n_iter_ > 2

    def test_travels(self, tmp_path):
        vae = self.fitted()
        vae.save(tmp_path / "model")
        for other in (skvae.load(tmp_path / "model"), pickle.loads(pickle.dumps(vae))):
            assert other.categories_ == vae.categories_
            np.testing.assert_array_equal(
                other.score_samples(self.frame), vae.score_samples(self.frame)
            )

    def test_names_of_columns_in_blocks(self, tmp_path):
        blocks = [("gaussian", ["height", "balance", "age"]), ("poisson", "visits")]
        blocks += [("bernoulli", ["flag", "member"])]
        names = ["age", "member", "height", "visits", "balance", "flag"]
        frame = self.frame[names]
        vae = self.fitted_blocks(frame, blocks)
        assert vae.likelihood_.blocks_[0][0] == [2, 4, 0]
        vae.save(tmp_path / "model")
        np.testing.assert_array_equal(
            skvae.load(tmp_path / "model").transform(frame), vae.transform(frame)
        )
        assert vae.set_params(warm_start=True).fit(frame).n_iter_ == 4

    def test_intervals_and_dates_are_categories_too(self, tmp_path):
        frame = self.frame.assign(size=pd.cut(self.frame["height"], 3))
        vae = VariationalAutoencoder(likelihood="mixed", max_epochs=1, random_state=0).fit(frame)
        vae.save(tmp_path / "model")
        np.testing.assert_array_equal(
            skvae.load(tmp_path / "model").transform(frame), vae.transform(frame)
        )

    @pytest.mark.parametrize("columns", [np.arange(3), range(3), slice(0, 3), [0, 1, 2]], ids=repr)
    def test_columns_in_any_form(self, columns):
        X = self.frame[["height", "balance", "age", "visits"]].to_numpy()
        vae = self.fitted_blocks(X, [("gaussian", columns), ("poisson", 3)])
        assert vae.likelihood_.blocks_[0][0] == [0, 1, 2]

    def test_what_a_file_cannot_hold_is_asked_for_by_its_parameter(self, tmp_path):
        X = self.frame[["height", "balance", "age"]].to_numpy()
        blocks = [(LaplaceLikelihood(), [0, 1]), ("gaussian", [2])]
        vae = self.fitted_blocks(X, blocks)
        vae.save(tmp_path / "model")
        with pytest.raises(ValueError, match=r"skvae\.load\(path, likelihood=\.\.\.\)"):
            skvae.load(tmp_path / "model")
        other = skvae.load(tmp_path / "model", likelihood=Mixed(blocks))
        np.testing.assert_array_equal(other.score_samples(X), vae.score_samples(X))

    def fitted_blocks(self, frame, blocks):
        return VariationalAutoencoder(likelihood=Mixed(blocks), max_epochs=2, random_state=0).fit(
            frame
        )


def test_a_likelihood_that_widens_rows_is_refused_for_images():
    X = np.random.RandomState(0).randint(3, size=(20, 4)).astype(float)
    vae = VariationalAutoencoder(likelihood=likelihoods.CategoricalCodes(3), image_shape=(2, 2))
    with pytest.raises(ValueError, match=r"CategoricalCodes.*not images of image_shape"):
        vae.fit(X)


@pytest.mark.parametrize("family", ["Gaussian", "Laplace", "StudentT"])
def test_scales_by_row_start_near_the_columns_own(family):
    """Damped: initial weights must not make scales of a thousandth, and huge losses."""
    X = np.random.RandomState(0).randn(200, 30)
    likelihood = getattr(likelihoods, family)(scale="row")
    vae = VariationalAutoencoder(8, likelihood=likelihood, max_epochs=1, random_state=0).fit(X)
    assert vae.history_[0]["train_loss"] < 5 * 30


class TestEvenness:
    @staticmethod
    def gradients(likelihood, params, x, training=True):
        """Return a row's log-density, and its gradients in the outputs and in the noise."""
        params = params.clone().requires_grad_()
        log_prob = likelihood.train(training)(params).log_prob(x)
        parameters = list(likelihood.parameters())
        return log_prob, *torch.autograd.grad(log_prob.sum(), [params, *parameters])

    @pytest.mark.parametrize("evenness", [0.2, 1.0])
    @pytest.mark.parametrize(
        ("likelihood", "x"),
        [case for case in CASES if isinstance(case[0], likelihoods._location_scale.LocationScale)],
        ids=lambda v: repr(v)[:40],
    )
    def test_a_share_of_the_means_gradient_is_even_and_only_in_training(
        self, likelihood, x, evenness
    ):
        likelihood = fitted(likelihood, x, torch.float64)
        for parameter in likelihood.parameters():
            torch.nn.init.normal_(parameter, std=0.1, generator=generator())
        rows = torch.tensor(x, dtype=torch.float64)
        params = params_for(likelihood, *rows.shape, dtype=torch.float64, size=0.1)
        given = self.gradients(likelihood, params, rows)
        likelihood.evenness = evenness
        for ours, theirs in zip(
            self.gradients(likelihood, params, rows, training=False), given, strict=True
        ):
            assert torch.equal(ours, theirs)
        ours = self.gradients(likelihood, params, rows)
        for i, (one, other) in enumerate(zip(ours, given, strict=True)):
            if i != 1:  # the value, and the parameters of the noise
                assert torch.equal(one, other)
        assert torch.equal(ours[1][..., 1:], given[1][..., 1:])
        # Outputs of 0 are noise that does not depend on the row.
        with torch.no_grad():
            variance = likelihood._standardized_scale(torch.zeros_like(params[0])).square()
            if likelihood.correlated:
                below = torch.tril(likelihood.whitening, -1).numpy()
                mixing = np.linalg.inv(np.eye(len(below)) + below)
                variance = variance * torch.from_numpy(np.square(mixing).sum(1))
        # Of a zero that is no log-normal nothing is to be learned.
        seen = (rows > 0) | torch.tensor(not isinstance(likelihood, ZeroInflatedLogNormal))
        u = likelihood.embed(torch.where(seen, rows, 1.0))[..., :4]
        even = torch.where(seen, (u - params[..., 0]).clamp(-5, 5), 0.0) / variance.mean()
        expected = (1 - evenness) * given[1][..., 0] + evenness * even
        torch.testing.assert_close(ours[1][..., 0], expected)

    def test_a_wild_value_pulls_no_harder_than_one_of_5_deviations(self):
        likelihood = fitted(StudentT(evenness=1.0), [[-1.0, -1.0], [1.0, 1.0]])
        x = torch.tensor([[1e9, 0.0], [6.0, 0.0], [4.0, 0.0], [torch.inf, 0.0]])
        gradient = self.gradients(likelihood, torch.zeros(4, 2, 1), x)[1][..., 0, 0]
        assert gradient[0] == gradient[1] == gradient[3] > gradient[2] > 0

    def test_constant_columns_take_no_part_in_the_mean_variance(self):
        likelihood = Gaussian(evenness=1.0)
        likelihood.initialize(torch.zeros(3).double(), torch.ones(3).double())
        likelihood.varies[2] = False
        torch.nn.init.constant_(likelihood.log_scale, -0.1)
        x = torch.ones(1, 3, dtype=torch.float64)
        gradient = self.gradients(likelihood, torch.zeros(1, 3, 1), x)[1][..., 0]
        variance = likelihood._standardized_scale(torch.zeros(3, 1)).square()[0]
        torch.testing.assert_close(gradient, (1 / variance).expand(1, 3).float())

    def test_squared_errors_of_normal_columns_count_alike_at_1(self):
        likelihood = Gaussian(evenness=1.0)
        likelihood.initialize(torch.zeros(4).double(), torch.tensor([1.0, 2, 3, 4]).double())
        torch.nn.init.normal_(likelihood.log_scale, generator=generator())
        x = torch.randn(5, 4, dtype=torch.float64, generator=generator())
        params = params_for(likelihood, 5, 4, dtype=torch.float64)
        _, gradient, _ = self.gradients(likelihood, params, x)
        variance = likelihood._standardized_scale(params).square().mean()
        expected = (likelihood.embed(x) - params[..., 0]) / variance
        torch.testing.assert_close(gradient[..., 0], expected)

    @pytest.mark.parametrize("load", [load_iris, load_diabetes])
    def test_rows_are_reconstructed_better_than_by_pca(self, load):
        X = StandardScaler().fit_transform(load().data)
        pca = PCA(2).fit(X)
        error = {}
        for evenness in (0.0, 1.0):
            likelihood = Gaussian(evenness=evenness)
            model = VariationalAutoencoder(2, likelihood=likelihood, max_epochs=40, random_state=0)
            error[evenness] = np.square(model.fit(X).reconstruct(X) - X).mean()
        reached = np.square(pca.inverse_transform(pca.transform(X)) - X).mean()
        assert error[1.0] < reached < error[0.0]


class TestParameters:
    def test_objects_that_were_given_do_not_change(self):
        given = Gaussian("shared")
        mixed = fitted(Mixed([(given, slice(None))]), REAL)
        assert not list(given.parameters())
        assert mixed.blocks[0][1] == slice(None)
        assert len(list(mixed.parameters())) == 1

    def test_foreign_likelihoods_are_blocks(self):
        likelihood = fitted(Mixed([(LaplaceLikelihood(), [0, 1]), ("poisson", [3, 2])]), REAL)
        x = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
        p = likelihood(torch.zeros(1, 4, 1))
        assert p.log_prob(x).shape == (1,)
        assert p.sample(generator=generator()).shape == (1, 4)

    def test_blocks_of_blocks(self):
        inner = Mixed([("poisson", 1), ("gaussian", 0)])
        likelihood = fitted(Mixed([("bernoulli", [1]), (inner, [2, 0, 3][:2])]), [[1, 0, 3.5]] * 2)
        likelihood.check(torch.tensor([[1.0, 0, 3.5]]))
        with pytest.raises(ValueError, match="counts"):
            likelihood.check(torch.tensor([[1.5, 0, 3.5]]))

    def test_nested_parameters(self):
        class Outer(Gaussian):
            def __init__(self, inner=None, scale=1.0):
                super().__init__(scale)
                self.inner = inner

            @classmethod
            def _parameter_names(cls):
                return ["inner", "scale"]

        outer = Outer(StudentT(df=4.0))
        assert outer.get_params()["inner__df"] == 4.0
        assert set(outer.get_params(deep=False)) == {"inner", "scale"}
        outer.set_params(inner__df=5.0, scale="row")
        assert (outer.inner.df, outer.scale) == (5.0, "row")
        outer.set_params(inner__scale="row", inner=Laplace())
        assert outer.inner.scale == "row"
        assert isinstance(outer.inner, Laplace)
        with pytest.raises(ValueError, match=r"inner=None of Outer has no parameters"):
            outer.set_params(inner=None, inner__df=1)
        with pytest.raises(ValueError, match="Outer has no parameter 'width'"):
            outer.set_params(width__x=1)


TABLES = {
    "real": np.random.RandomState(0).standard_t(3, (60, 4)),
    "counts": np.random.RandomState(0).negative_binomial(2, 0.3, (60, 4)),
    "one_hot": np.eye(4)[np.random.RandomState(0).randint(4, size=60)],
    "mixed": np.random.RandomState(0).randint(0, 2, (60, 4)) * [1.5, 1, 1, 3],
}


@pytest.mark.parametrize(
    ("likelihood", "table"),
    [
        (Laplace(), "real"), (StudentT(), "real"), (Poisson(), "counts"),
        (NegativeBinomial(size_factor="total"), "counts"),
        (ZeroInflatedNegativeBinomial("shared"), "counts"), (Categorical(), "one_hot"),
        (Mixed([("gaussian", 0), ("bernoulli", [1, 2]), ("negative_binomial", 3)]), "mixed"),
    ],
    ids=lambda v: repr(v)[:40],
)  # fmt: skip
def test_end_to_end(likelihood, table):
    X = TABLES[table]
    model = VariationalAutoencoder(likelihood=likelihood, max_epochs=2, random_state=0).fit(X)
    assert np.isfinite(model.score(X))
    assert model.reconstruct(X).shape == X.shape
    model.likelihood_.check(torch.from_numpy(model.sample(20)))


IN_BETWEEN = {
    "gaussian": (Gaussian(), [-1.0, 0.5, 3.0], []),
    "bernoulli": (Bernoulli(), [0.0, 0.5, 1.0], [[0.0, 2.0, 1.0], [-0.1, 0.0, 1.0]]),
    "poisson": (Poisson(), [0.0, 5.0, 2.0], [[0.0, 0.5, 2.0], [0.0, -1.0, 2.0], [0.2, 0.3, 0.3]]),
    "log_normal": (LogNormal(), [0.1, 5.0, 2.0], [[0.0, 1.0, 2.0]]),
    "rounded": (RoundedGaussian(), [-3.0, 5.0, 2.0], [[-3.0, 0.25, 5.0]]),
    "mixed": (Mixed([("poisson", [0]), ("gaussian", [1])]), [0.0, 5.0, 2.0], [[0.0, 0.5, 2.0]]),
}


@pytest.mark.parametrize("name", IN_BETWEEN)
def test_extremes_show_what_a_look_at_all_rows_finds(name):
    likelihood, fine, others = IN_BETWEEN[name]
    for column, is_fine in [(fine, True), *((other, False) for other in others)]:
        x = np.column_stack([column, [1.0, 1.0, np.nan]])
        columns = columns_of(x)
        likelihood.initialize(columns.mean, columns.scale)
        assert likelihood.holds(columns) is is_fine
        if is_fine:
            likelihood.check(torch.from_numpy(x))
        else:
            with pytest.raises(ValueError, match="X must hold"):
                likelihood.check(torch.from_numpy(x))


def test_extremes_show_nothing_of_other_supports():
    columns = columns_of([[1.0, 0.0], [0.0, 1.0]])
    assert not Categorical([2]).holds(columns)

    class Even(Gaussian):
        support = torch.distributions.constraints.multinomial

    class Checking(Gaussian):
        def check(self, x, where=""):
            raise ValueError

    assert not Even().holds(columns)
    assert not Checking().holds(columns)
