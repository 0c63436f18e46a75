"""Intervals that are widened by values that the model has not seen."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from skvae._conformal import LEVELS, ROUNDING, Ends, Widening

RNG = np.random.default_rng(0)


def reals(n):
    """Return that values are not whole, and lose nothing."""
    return np.zeros(n, bool), np.zeros(n)


class TestEnds:
    def test_quantiles(self):
        draws = RNG.normal(size=(20000, 3)) * [1, 2, 3]
        ends = Ends.of(draws, 0.9, *reals(3))
        assert_allclose(ends.high / [1, 2, 3], norm.ppf(0.95), atol=0.05)
        assert_allclose(ends.low / [1, 2, 3], norm.ppf(0.05), atol=0.05)
        assert_allclose(ends.middle / [1, 2, 3], 0, atol=0.05)
        low, high = ends.widened(1.0, reals(3)[0])
        assert_allclose([low, high], [ends.low, ends.high])

    @pytest.mark.parametrize("are_whole", [False, True])
    @pytest.mark.parametrize("factor", [0.0, 0.03, 0.5, 1.0, 1.7])
    def test_a_value_is_held_from_its_factor_on(self, factor, are_whole):
        draws = np.exp(RNG.normal(size=(50, 400)))
        draws = np.floor(4 * draws) if are_whole else draws
        are_whole = np.full(400, are_whole)
        x = RNG.permuted(draws, axis=0)[0] + 2 * are_whole
        ends = Ends.of(draws, 0.8, are_whole, np.full(400, 1e-9))
        low, high = ends.widened(factor, are_whole)
        assert_array_equal((low <= x) & (x <= high), ends.factors(x) <= factor)

    def test_whole_numbers_stay_so(self):
        are_whole = np.ones(100, bool)
        draws = RNG.poisson(3.0, (41, 100))
        ends = Ends.of(draws, 0.9, are_whole, np.full(100, 1e-9))
        low, high = ends.widened(1.0, are_whole)
        quantiles = np.quantile(draws, [0.05, 0.95], axis=0)
        assert_array_equal([low, high], np.round(quantiles))
        for factor in (0.01, 0.4, 2.3):
            low, high = ends.widened(factor, are_whole)
            assert_array_equal([low, high], np.round([low, high]))
            assert (low <= high).all()

    def test_an_interval_of_no_width(self):
        ends = Ends.of(np.zeros((5, 2)), 0.9, *reals(2))
        assert_array_equal(ends.factors(np.array([0.0, 1.0])), [0, np.inf])

    @pytest.mark.parametrize(
        ("n_others", "factor"), [(0, 0.0), (0, 1.3), (80, 0.0), (80, 0.9), (140, 1.0), (140, 1.3)]
    )
    def test_values_that_repeat_are_held(self, n_others, factor):
        """Also those of three models, each of which has another rounding of them."""
        often = np.array([0.1, 1e-9, 0.0, -2.3])
        each = []
        for loc in (0.3, 1.7, 5.1):
            draws = np.repeat((often - loc)[None] + loc, 200, 0)
            draws[200 - n_others :] += RNG.exponential(size=(n_others, 4))
            each.append(Ends.of(draws, 0.9, reals(4)[0], np.full(4, 10 * ROUNDING)))
        ends = Ends(*np.mean(each, axis=0))
        assert (ends.low != often).any()
        low, high = ends.widened(factor, reals(4)[0])
        assert_array_equal((low <= often) & (often <= high), True)
        assert (ends.factors(often) <= factor).all()


class TestWidening:
    @pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
    def test_it_mends_what_the_model_says(self, spread):
        """Draws are too narrow or too wide by a factor, and that is found."""
        draws, x = RNG.normal(size=(400, 2000)), RNG.normal(size=2000)
        widening = Widening.of(x, spread * draws, *reals(2000))
        is_usual = (LEVELS > 0.3) & (LEVELS < 0.99)
        assert_allclose(widening.factors[is_usual] * spread, 1, atol=0.1)

    @pytest.mark.parametrize("n", [19, 20, 57, 200])
    def test_another_value_is_held_with_the_probability(self, n):
        """(n + 1) · level of n + 1 exchangeable values, whatever the model: here a wrong one."""
        level, held = 0.95, []
        for _ in range(300):
            draws = RNG.exponential(size=(30, n + 10))
            x = RNG.standard_t(3, n + 10)
            widening = Widening.of(x[:n], draws[:, :n], *reals(n))
            low, high = Ends.of(draws[:, n:], level, *reals(10)).widened(
                widening.at(level), reals(10)[0]
            )
            held.append(((low <= x[n:]) & (x[n:] <= high)).mean())
        expected = np.ceil((n + 1) * level) / (n + 1)
        assert np.mean(held) == pytest.approx(expected, abs=4 * np.std(held) / 300**0.5)

    def test_few_values(self):
        draws = RNG.normal(size=(100, 3))
        assert_array_equal(Widening.of(np.empty(0), draws[:, :0], *reals(0)).factors, 1)
        near, far = np.zeros(3), np.array([0.0, 0, 10])
        assert Widening.of(near, draws, *reals(3)).at(0.95) == 1
        needed = Ends.of(draws, 0.95, *reals(3)).factors(far).max()
        assert Widening.of(far, draws, *reals(3)).at(0.95) == pytest.approx(needed)
        assert Widening.of(far, 0 * draws, *reals(3)).at(0.95) == 1

    def test_between_levels(self):
        widening = Widening.of(RNG.normal(size=500), RNG.normal(size=(50, 500)), *reals(500))
        at = [widening.at(level) for level in (0.95, 0.96, 0.97)]
        assert at[1] == pytest.approx((at[0] + at[2]) / 2)
        assert widening.at(0.9999) == widening.factors[-1]
