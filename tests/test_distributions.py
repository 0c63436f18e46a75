"""Distributions against torch's, quadrature and their own samples."""

import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as td

from skvae.distributions import (
    Affine,
    Bernoulli,
    Blocks,
    ContinuousBernoulli,
    Correlated,
    GivenTotal,
    Independent,
    Laplace,
    NegativeBinomial,
    Normal,
    Observed,
    OneHotCategorical,
    Poisson,
    StudentT,
    ZeroInflated,
)

LOGITS = torch.tensor([-200, -30, -5, -1, -0.11, -0.09, -1e-3, 0, 1e-6, 0.09, 0.11, 2, 14, 300.0])
LOGITS = LOGITS.double()


def generator():
    return torch.Generator().manual_seed(0)


def trapezoid_grid():
    """Points of [0, 1], dense towards both ends where the density of a large |η| lives."""
    half = torch.logspace(-8, 0, 20_001, dtype=torch.float64) / 2
    return torch.cat([torch.zeros(1), half, 1 - half.flip(0)[1:], torch.ones(1)]).double()


def test_continuous_bernoulli_agrees_with_torch_where_torch_is_exact():
    eta = torch.tensor([-5.0, -1, -0.05, 0.05, 1, 5]).double()
    x = torch.linspace(0, 1, 7).double().unsqueeze(1)
    ours, theirs = (
        ContinuousBernoulli(eta),
        td.ContinuousBernoulli(logits=eta, lims=(0.4999, 0.5001)),
    )
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(ours.icdf(x), theirs.icdf(x), rtol=1e-6, atol=1e-6)


def test_continuous_bernoulli_is_a_density_with_that_mean():
    x = trapezoid_grid().unsqueeze(1)
    p = ContinuousBernoulli(LOGITS)
    density = p.log_prob(x).exp()
    torch.testing.assert_close(
        torch.trapezoid(density, x, dim=0), torch.ones_like(LOGITS), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(torch.trapezoid(x * density, x, dim=0), p.mean, rtol=1e-4, atol=1e-4)


def test_continuous_bernoulli_moments_are_the_derivatives_of_the_normalizer():
    eta = LOGITS.clone().requires_grad_()
    p = ContinuousBernoulli(eta)
    (slope,) = torch.autograd.grad(p.log_normalizer.sum(), eta)
    torch.testing.assert_close(slope, p.mean, rtol=1e-6, atol=1e-9)
    (curvature,) = torch.autograd.grad(p.mean.sum(), eta)
    torch.testing.assert_close(curvature, p.variance, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_density_at_a_residual_is_that_of_torch_at_the_value(dtype):
    loc, scale, residual = torch.randn(3, 50, 3, generator=generator(), dtype=dtype)
    scale = scale.exp()
    df = torch.full((3,), 2.5, dtype=dtype)
    value = loc + scale * residual
    cut = Normal(loc, scale).above(value.min(0).values - 1)
    for ours, theirs in (
        (Normal(loc, scale), td.Normal(loc, scale).log_prob(value)),
        (Laplace(loc, scale), td.Laplace(loc, scale).log_prob(value)),
        (StudentT(df, loc, scale), td.StudentT(df, loc, scale).log_prob(value)),
        (cut, cut.log_prob(value)),
    ):
        torch.testing.assert_close(ours.log_prob_of_residual(residual), theirs)
        torch.testing.assert_close(ours.log_prob(value), theirs)
    left = td.Normal(loc.double(), scale.double()).cdf(cut.low.double())
    expected = td.Normal(loc, scale).log_prob(value) - (1 - left).log().to(dtype)
    torch.testing.assert_close(cut.log_prob_of_residual(residual), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_gradients_are_finite_at_the_edges(dtype):
    eta = LOGITS.to(dtype).requires_grad_()
    for x in (0.0, 0.5, 1.0):
        value = ContinuousBernoulli(eta).log_prob(torch.tensor(x, dtype=dtype)).sum()
        (slope,) = torch.autograd.grad(value, eta)
        assert torch.isfinite(slope).all()


def test_continuous_bernoulli_quantiles_invert_the_distribution_function():
    u = torch.linspace(0.01, 0.99, 9).double().unsqueeze(1)
    eta = LOGITS[LOGITS != 0]
    x = ContinuousBernoulli(eta).icdf(u)
    # F(x) = (e^{ηx} − 1)/(e^η − 1), computed from whichever end does not overflow.
    forward = torch.where(
        eta > 0,
        (torch.exp(eta * (x - 1)) - torch.exp(-eta)) / -torch.expm1(-eta),
        torch.expm1(eta * x) / torch.expm1(eta),
    )
    torch.testing.assert_close(forward, u.expand_as(forward), rtol=1e-9, atol=1e-9)


def test_bernoulli_is_torchs_on_0_and_1_and_the_cross_entropy_between():
    eta, x = LOGITS[1:-1], torch.tensor([0.0, 1.0]).double().unsqueeze(1)
    torch.testing.assert_close(
        Bernoulli(eta).log_prob(x), td.Bernoulli(logits=eta).log_prob(x), rtol=1e-9, atol=1e-12
    )
    grey = torch.full_like(eta, 0.3)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(eta, grey, reduction="none")
    torch.testing.assert_close(Bernoulli(eta).log_prob(grey), -entropy)


def test_affine_is_the_normal_of_the_right_units():
    loc, scale = torch.tensor([1e4, -3.0]).double(), torch.tensor([1e-3, 50.0]).double()
    base = Normal(torch.tensor([0.5, -1.0]).double(), torch.tensor([0.2, 3.0]).double())
    exact = td.Normal(loc + scale * base.mean, scale * base.stddev)
    x = exact.sample((5,))
    p = Affine(base, loc, scale)
    torch.testing.assert_close(p.log_prob(x), exact.log_prob(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(p.mean, exact.mean)
    torch.testing.assert_close(p.variance, exact.variance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", [Normal, Laplace, lambda m, s: StudentT(3 * s, m, s)])
def test_affine_is_finite_at_the_largest_float(noise, dtype):
    ones = torch.ones(2, dtype=dtype)
    p = Affine(noise(0 * ones, 1e-3 * ones), -ones.double(), 1e-3 * ones.double())
    for value in (torch.finfo(dtype).max, -torch.finfo(dtype).max):
        assert torch.isfinite(p.log_prob(value * ones)).all()
        assert (p.log_prob(value * ones) < p.log_prob(1e3 * ones)).all()


@pytest.mark.parametrize(
    "p",
    [
        Bernoulli(torch.tensor([-2.0, 0.0, 3.0])),
        ContinuousBernoulli(torch.tensor([-9.0, 0.0, 3.0])),
        Normal(torch.tensor([-9.0, 0.0, 3.0]), torch.tensor([0.1, 1.0, 3.0])),
        Independent(Normal(torch.tensor([-9.0, 0.0, 3.0]), torch.tensor([0.1, 1.0, 3.0]))),
        Independent(Affine(Normal(torch.zeros(3), torch.ones(3)), torch.ones(3), torch.ones(3))),
        Laplace(torch.tensor([-9.0, 0.0, 3.0]), torch.tensor([0.1, 1.0, 3.0])),
        StudentT(torch.tensor([2.5, 4.0, 90.0]), torch.zeros(3), torch.tensor([0.1, 1.0, 3.0])),
        Poisson(torch.tensor([-3.0, 0.0, 9.0])),
        NegativeBinomial(torch.tensor([-3.0, 0.0, 9.0]), torch.tensor([0.0, -1.0, 10.0])),
        ZeroInflated(Poisson(torch.tensor([-1.0, 0.0, 9.0])), torch.tensor([-9.0, 0.0, 2.0])),
        GivenTotal(
            Poisson(torch.tensor([-1.0, 0.0, 9.0])), torch.tensor([5.0]), torch.full((3,), 1 / 3)
        ),
        OneHotCategorical(torch.tensor([-1.0, 0.5, 3.0]), torch.tensor([0, 0, 1])),
        Blocks(
            [
                (torch.tensor([2, 0]), Independent(Poisson(torch.zeros(2)))),
                (torch.tensor([1]), Independent(Normal(torch.zeros(1), torch.ones(1)))),
            ]
        ),
    ],
    ids=lambda p: type(p).__name__,
)
class TestSampling:
    def test_mean_of_the_samples(self, p):
        x = p.sample((20_000,), generator=generator())
        assert x.shape == (20_000, 3)
        error = x.double().std(0) / np.sqrt(len(x))
        assert ((x.double().mean(0) - p.mean).abs() < 4.5 * error + 1e-6).all()

    def test_variance_of_the_samples(self, p):
        x = p.sample((20_000,), generator=generator()).double()
        spread = (x - x.mean(0)).square().std(0) / np.sqrt(len(x))
        assert ((x.var(0) - p.variance).abs() < 6 * spread + 1e-6).all()

    def test_only_the_generator_decides(self, p):
        before = torch.get_rng_state()
        first, second = (p.sample((5,), generator=generator()) for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(before, torch.get_rng_state())


class TestIntervals:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("centre", [0.0, 1e-3, 0.3, -2.0, 5.0, 30.0])
    @pytest.mark.parametrize("width", [1e-9, 1e-4, 0.01, 0.049, 0.051, 0.2, 1.0, 5.0, 100.0])
    def test_are_those_of_the_distribution_function(self, centre, width, dtype):
        """The integral of the density, relative to its value at the centre."""
        p = Normal(torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype))
        found = p.log_prob_interval(torch.tensor([centre], dtype=dtype), torch.tensor(width))
        above = stats.norm.logsf(abs(centre) + np.array([-0.5, 0.5]) * width)
        if width > 0.04:
            exact = above[0] + np.log(-np.expm1(above[1] - above[0]))
        else:
            exact = stats.norm.logpdf(centre) + np.log(width) + (centre**2 - 1) * width**2 / 24
        assert found.item() == pytest.approx(exact, rel=1e-5, abs=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("centre", [0.0, 40.0, -200.0, 1e4, 1e6, 4e9])
    @pytest.mark.parametrize("width", [1e-9, 0.049, 0.051, 1.0, 1e4])
    def test_are_finite_with_their_gradients_in_the_far_tails(self, centre, width, dtype):
        loc = torch.zeros(1, dtype=dtype, requires_grad=True)
        scale = torch.ones(1, dtype=dtype, requires_grad=True)
        value = torch.tensor([centre], dtype=dtype)
        log_p = Normal(loc, scale).log_prob_interval(value, torch.tensor([width], dtype=dtype))
        gradients = torch.autograd.grad(log_p.sum(), [loc, scale])
        assert torch.isfinite(log_p).all()
        assert log_p <= 0
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        # Towards the value, where it does not lie within the interval.
        assert gradients[0] * centre >= 0


def test_compiled_they_keep_their_digits_near_zero():
    """torch's compiler makes exp − 1 of expm1, which is 0 for what is small."""
    near = torch.tensor([0.0, 1e-30, 1e-8, 1e-4, 1e-2, 0.099, 0.3, 5.0]).repeat(8)
    logits = torch.cat([near, -near])

    def densities(x, u):
        return (
            ContinuousBernoulli(u).log_prob(x),
            Normal(u, torch.ones_like(u)).log_prob_interval(x, torch.full_like(u, 0.05)),
            Normal(u, torch.ones_like(u)).log_prob_interval(x, torch.full_like(u, 1.0)),
        )

    x = torch.full_like(logits, 0.3)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own import of its compiler
        compiled = torch.compile(densities)(x, logits)
    for found, expected in zip(compiled, densities(x, logits), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


class TestCorrelated:
    """Against dense linear algebra: ``x = loc + D · W⁻¹ · noise``."""

    LOC = torch.randn(6, 4, generator=generator()).double()
    SCALE = torch.rand(6, 4, generator=generator()).double() + 0.2
    WHITENING = torch.tril(torch.randn(4, 4, generator=generator()).double(), -1) + torch.eye(4)
    MIX = torch.linalg.inv(WHITENING)
    COVARIANCE = SCALE.unsqueeze(-1) * (MIX @ MIX.T) * SCALE.unsqueeze(-2)
    X = 2 * torch.randn(6, 4, generator=generator()).double()
    GONE = torch.tensor(
        [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    ).bool()
    SHAPES = (Normal, Laplace, lambda m, s: StudentT(torch.full_like(s, 4.0), m, s))

    def correlated(self, shape=Normal, whitening=WHITENING):
        return Correlated(shape(self.LOC, self.SCALE), whitening)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_density_is_that_of_a_linear_map_of_independent_noise(self, shape):
        p = self.correlated(shape)
        noise = ((self.X - self.LOC) / self.SCALE) @ self.WHITENING.T
        unit = shape(torch.zeros(4).double(), torch.ones(4).double())
        # The determinant of D · W⁻¹ is that of D.
        expected = unit.log_prob(noise).sum(-1) - self.SCALE.log().sum(-1)
        torch.testing.assert_close(p.log_prob(self.X).sum(-1), expected)
        assert p.log_prob(self.X).shape == p.batch_shape == (6, 4)
        of_rows = Independent(p)
        assert (of_rows.batch_shape, of_rows.event_shape) == ((6,), (4,))
        torch.testing.assert_close(of_rows.log_prob(self.X), expected)

    def test_only_what_is_below_the_diagonal_of_w_is_read(self):
        p, same = (
            self.correlated(),
            self.correlated(whitening=self.WHITENING + torch.ones(4).diag()),
        )
        same.whitening += torch.triu(torch.full((4, 4), torch.nan), 0)
        told, like_told = (
            one.given_row(self.X.masked_fill(self.GONE, torch.nan)) for one in (p, same)
        )
        for one, other in ((p, same), (told, like_told)):
            assert torch.equal(one.log_prob(self.X), other.log_prob(self.X))
            assert torch.equal(one.mean, other.mean)
            draws = [some.sample((2,), generator=generator()) for some in (one, other)]
            assert torch.equal(*draws)
        assert torch.equal(p.variance, same.variance)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_moments_are_those_of_its_draws(self, shape):
        p = self.correlated(shape)
        draws = p.sample((400_000,), generator=generator())
        torch.testing.assert_close(p.mean, self.LOC)
        torch.testing.assert_close(draws.mean(0), p.mean, rtol=0, atol=0.05)
        variance = shape(self.LOC, self.SCALE).variance / self.SCALE.square()
        covariance = self.COVARIANCE * variance[0, 0]
        torch.testing.assert_close(p.variance, covariance.diagonal(dim1=1, dim2=2))
        residual = draws - p.mean
        found = torch.einsum("sni,snj->nij", residual, residual) / len(draws)
        assert ((found - covariance).abs().amax((1, 2)) < 0.1 * p.variance.amax(1)).all()

    def test_it_is_the_multivariate_normal(self):
        exact = td.MultivariateNormal(self.LOC, self.COVARIANCE)
        p = self.correlated()
        torch.testing.assert_close(p.log_prob(self.X).sum(-1), exact.log_prob(self.X))

    def test_above_the_diagonal_nothing_is_read(self):
        p, other = self.correlated(), self.correlated(whitening=self.WHITENING + self.MIX.T.triu(1))
        assert torch.equal(p.log_prob(self.X), other.log_prob(self.X))
        assert torch.equal(p.variance, other.variance)

    def test_gaps_leave_the_marginal_and_the_conditional(self):
        x = self.X.masked_fill(self.GONE, torch.nan)
        units = torch.tensor([1.0, 10.0, 0.1, 3.0]).double()
        p = Independent(Affine(self.correlated(), self.MIX[3], units))
        told = p.given_row(x)
        terms = Observed(p).log_prob_terms(x)
        draws = told.sample((200_000,), generator=generator())
        for row in range(6):
            gone, seen = self.GONE[row].numpy(), ~self.GONE[row].numpy()
            mean = (self.MIX[3] + units * self.LOC[row]).numpy()
            covariance = (units[:, None] * self.COVARIANCE[row] * units).numpy()
            value, drawn = x[row].numpy(), draws[:, row].numpy()
            between, among = covariance[gone][:, seen], covariance[seen][:, seen]
            weights = between @ np.linalg.inv(among)
            expected, left = mean.copy(), covariance[gone][:, gone] - weights @ between.T
            expected[seen] = value[seen]
            expected[gone] += weights @ (value - mean)[seen]
            np.testing.assert_allclose(told.mean[row], expected, rtol=1e-9)
            np.testing.assert_allclose(
                drawn[:, seen], np.broadcast_to(value[seen], (len(drawn), seen.sum()))
            )
            scale = np.sqrt(np.diag(covariance))[gone]
            assert (np.abs(drawn.mean(0) - expected)[gone] < 0.02 * scale).all()
            found = np.atleast_2d(np.cov(drawn[:, gone].T)) if gone.any() else left
            assert (np.abs(found - left) < 0.02 * scale[:, None] * scale).all()
            log_p = (
                stats.multivariate_normal(mean[seen], among).logpdf(value[seen])
                if seen.any()
                else 0.0
            )
            assert terms[row].sum().item() == pytest.approx(log_p)
            assert not terms[row][gone].any()

    def test_columns_that_determine_each_other_keep_their_digits(self):
        """Conditional deviations are a thousandth of the marginal ones; a value in float32."""
        whitening = torch.eye(4).index_put(
            (torch.tensor([1, 2, 3]), torch.tensor([0, 1, 0])), torch.tensor([-1e3, -1.0, -1e3])
        )
        x = torch.tensor([[0.3, torch.nan, 302.0, 299.0], [torch.nan, 100.0, 101.0, 99.0]])
        near, exact = (
            Observed(
                Independent(
                    Correlated(Normal(torch.zeros(4).to(t), torch.ones(4).to(t)), whitening.to(t))
                )
            )
            for t in (torch.float32, torch.float64)
        )
        expected = exact.log_prob(x.double())
        torch.testing.assert_close(near.log_prob(x).double(), expected, rtol=1e-2, atol=1e-2)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_rows_without_gaps_are_as_if_not_told(self, shape):
        p = self.correlated(shape)
        told = p.given_row(self.X)
        torch.testing.assert_close(told.log_prob(self.X), p.log_prob(self.X))
        torch.testing.assert_close(told.mean, self.X)
        torch.testing.assert_close(told.sample((2,), generator=generator())[1], self.X)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_what_is_observed_has_a_density_whatever_the_noise(self, shape):
        """Of one column that is observed alone it integrates to 1, with the column's variance."""
        p = Independent(self.correlated(shape))
        far = torch.linspace(-300, 300, 600_001).double()
        rows = torch.full((len(far), 1, 4), torch.nan).double()
        rows[:, 0, 2] = far
        density = Observed(p).log_prob(rows).exp()
        assert density.shape == (len(far), 6)
        torch.testing.assert_close(
            torch.trapezoid(density, far, dim=0), torch.ones(6).double(), rtol=0, atol=1e-4
        )
        moment = torch.trapezoid(density * (far[:, None] - p.mean[:, 2]).square(), far, dim=0)
        torch.testing.assert_close(moment, p.variance[:, 2], rtol=0.02, atol=0)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_gradients_are_finite_with_gaps(self, shape):
        loc, scale = self.LOC.clone().requires_grad_(), self.SCALE.clone().requires_grad_()
        whitening = self.WHITENING.clone().requires_grad_()
        p = Observed(Independent(Correlated(shape(loc, scale), whitening)))
        x = self.X.masked_fill(self.GONE, torch.nan)
        for gradient in torch.autograd.grad(p.log_prob(x).sum(), [loc, scale, whitening]):
            assert gradient.isfinite().all()
            assert gradient.any()
