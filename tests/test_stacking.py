"""Models beside the networks of an imputer, and the shares that they get."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import ExtraTreesRegressor

import skvae._clusters
import skvae._neighbours
import skvae._trees
from skvae._clusters import Clusters
from skvae._factor_analysis import factor_analysis
from skvae._neighbours import Neighbours
from skvae._stacking import Partners, mixed, shares_of
from skvae._trees import LEAF, N_TREES, Trees


def standardised(X):
    return (X - X.mean(0)) / X.std(0)


WINE, IRIS = (standardised(load().data) for load in (load_wine, load_iris))


def with_gaps(X, share=0.2, seed=0):
    gone = np.random.default_rng(seed).random(X.shape) < share
    return gone, np.where(gone, np.nan, X)


def clusters_of(rows):
    return Clusters.of(rows, factor_analysis(rows, 4, np.full(rows.shape[1], 1e-3)))


def conditionals(model, row):
    """Return mean and covariance of what a row lacks in each group, and the group's probability."""
    seen = ~np.isnan(row)
    found, weights = [], []
    for share, group in zip(model.shares, model.groups, strict=True):
        covariance = group.loadings @ group.loadings.T + np.diag(group.noise)
        of_seen = covariance[np.ix_(seen, seen)]
        weight = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(of_seen)
        mean = group.mean[~seen] + weight @ (row - group.mean)[seen]
        left = covariance[np.ix_(~seen, ~seen)] - weight @ covariance[np.ix_(seen, ~seen)]
        density = multivariate_normal(group.mean[seen], of_seen).pdf(row[seen])
        found.append((mean, left))
        weights.append(share * density)
    return found, np.array(weights) / np.sum(weights)


class TestClusters:
    def test_expectations_and_draws_are_those_of_the_mixture(self):
        gone, gaps = with_gaps(WINE)
        model = clusters_of(gaps)
        some = np.flatnonzero(gone.any(1) & ~gone.all(1))[:6]
        expected = model.expected(gaps[some])
        draws = model.draw(gaps[some], 20_000, np.random.default_rng(0))
        for row, mean, drawn in zip(gaps[some], expected, draws.swapaxes(0, 1), strict=True):
            lacks = np.isnan(row)
            found, weights = conditionals(model, row)
            means = np.array([one for one, _ in found])
            exact = weights @ means
            assert_allclose(mean[lacks], exact, atol=1e-8)
            assert_allclose(drawn[:, lacks].mean(0), exact, atol=0.05)
            apart = means - exact
            spread = sum(w * left for w, (_, left) in zip(weights, found, strict=True))
            spread += (weights[:, None] * apart).T @ apart
            assert_allclose(np.cov(drawn[:, lacks].T).reshape(spread.shape), spread, atol=0.05)

    def test_steps_make_rows_likelier(self, monkeypatch):
        _, gaps = with_gaps(IRIS)

        def log_p(n):
            monkeypatch.setattr(skvae._clusters, "ITERATIONS", (n, n))
            model = clusters_of(gaps)
            p = np.zeros(len(gaps))
            for share, group in zip(model.shares, model.groups, strict=True):
                covariance = group.loadings @ group.loadings.T + np.diag(group.noise)
                for number, (row, seen) in enumerate(zip(gaps, ~np.isnan(gaps), strict=True)):
                    if seen.any():
                        normal = multivariate_normal(group.mean[seen], covariance[seen][:, seen])
                        p[number] += share * normal.pdf(row[seen])
            return np.log(p[p > 0]).mean()

        steps = [log_p(n) for n in (0, 1, 3, 10)]
        assert (np.diff(steps) > 0).all()

    @pytest.mark.parametrize(("n", "n_groups"), [(3, 1), (20, 2), (60, 3), (400, 8), (1500, 20)])
    def test_as_many_groups_as_rows_tell(self, n, n_groups):
        rows = np.random.default_rng(0).normal(size=(n, 3))
        model = clusters_of(rows)
        assert len(model.groups) == n_groups
        assert model.shares.sum() == pytest.approx(1)

    def test_no_more_groups_than_different_rows(self):
        rows = np.repeat([[0.0, 1.0], [1.0, 0.0]], 100, axis=0)
        assert len(clusters_of(rows).groups) == 2

    def test_lines_in_groups(self):
        """Groups whose columns depend on each other in opposite ways: on the whole, in none."""
        rng = np.random.default_rng(0)
        which, z = rng.integers(0, 2, 400), rng.normal(size=400)
        X = np.column_stack([z, np.where(which, z, -z), 4 * which])
        X = standardised(X + 0.05 * rng.normal(size=X.shape))
        gone, gaps = with_gaps(X)
        error = np.abs(clusters_of(gaps).expected(gaps) - X)
        sure = gone[:, 1] & ~gone[:, 0] & ~gone[:, 2]
        assert error[sure, 1].mean() < 0.1
        linear = np.abs(factor_analysis(gaps, 2, np.full(3, 1e-3)).expected(gaps) - X)
        assert linear[sure, 1].mean() > 0.5

    def test_empty_rows_and_columns(self):
        _, gaps = with_gaps(IRIS)
        gaps[:, 1] = np.nan
        gaps[0] = np.nan
        model = clusters_of(gaps)
        assert np.isfinite(model.expected(gaps)).all()
        means = np.array([group.mean for group in model.groups])
        assert_allclose(model.expected(gaps[:1])[0], model.shares @ means)


class TestNeighbours:
    def test_they_are_the_weighted_mean_of_the_nearest_that_have_a_value(self):
        gone, gaps = with_gaps(WINE, 0.4)
        clusters = clusters_of(gaps)
        filled = np.where(gone, clusters.expected(gaps), gaps)
        counts = np.where(gone, 0.1, 1)
        expected = Neighbours.of(gaps, clusters).expected(gaps)
        draws = Neighbours.of(gaps, clusters).draw(gaps, 500, np.random.default_rng(0))
        for row, column in np.argwhere(gone)[::25]:
            squares = np.square(filled - filled[row])
            distances = np.sqrt(np.average(squares, axis=1, weights=counts * counts[row]))
            donors = [i for i in np.argsort(distances) if not gone[i, column]][:5]
            assert row not in donors
            mean = np.average(gaps[donors, column], weights=1 / distances[donors])
            assert expected[row, column] == pytest.approx(mean)
            assert set(draws[:, row, column]) == set(gaps[donors, column])
            assert draws[:, row, column].mean() == pytest.approx(mean, abs=0.3)

    def test_draws_of_a_row_are_of_one_donor(self):
        rows = np.random.default_rng(0).normal(size=(60, 4))
        model = Neighbours.of(rows, clusters_of(rows))
        draws = model.draw(
            rows[:3] + np.array([0, 0, np.nan, np.nan]), 50, np.random.default_rng(0)
        )
        pairs = {tuple(row) for row in rows[:, 2:]}
        assert {tuple(row) for row in draws[:, :, 2:].reshape(-1, 2)} <= pairs

    def test_twins(self):
        """Each row comes six times: what one of them lacks, another one tells."""
        X = np.repeat(np.random.default_rng(0).normal(size=(50, 8)), 6, axis=0)
        gone, gaps = with_gaps(X, 0.1)
        clusters = clusters_of(gaps)

        def error(model):
            return np.sqrt(np.mean((model.expected(gaps) - X)[gone] ** 2))

        assert error(Neighbours.of(gaps, clusters)) < 0.3 * error(clusters)

    def test_a_value_that_none_has_is_that_of_the_clusters(self):
        _, gaps = with_gaps(IRIS)
        gaps[:, 1] = np.nan
        clusters = clusters_of(gaps)
        model = Neighbours.of(gaps, clusters)
        assert_allclose(model.expected(gaps)[:, 1], clusters.expected(gaps)[:, 1])
        draws = model.draw(gaps, 3, np.random.default_rng(0))
        assert_allclose(draws[:, :, 1], np.tile(clusters.expected(gaps)[:, 1], (3, 1)))

    def test_memory_is_bounded(self, monkeypatch):
        """Distances of all pairs would take 64 MB."""
        rows = np.random.default_rng(0).normal(size=(4000, 4))
        _, gaps = with_gaps(rows)
        clusters = clusters_of(gaps[:200])
        monkeypatch.setattr(skvae._neighbours, "MOST_ROWS", 2000)
        model = Neighbours.of(gaps, clusters)
        assert model.filled.shape == (2000, 4)
        whole = model.expected(gaps)
        monkeypatch.setattr(skvae._neighbours, "BLOCK", 2**16)
        tracemalloc.start()
        assert_allclose(model.expected(gaps), whole)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16e6


class TestTrees:
    def test_they_are_those_of_scikit_learn(self):
        gone, gaps = with_gaps(WINE)
        clusters = clusters_of(gaps)
        model = Trees.of(gaps, clusters, 7)
        filled = clusters.filled(gaps)
        expected = model.expected(gaps)
        assert_array_equal(expected[~gone], gaps[~gone])
        for column in (0, 9):
            lacks, others = gone[:, column], np.delete(filled, column, 1)
            trees = ExtraTreesRegressor(N_TREES, min_samples_leaf=LEAF, random_state=7)
            trees.fit(others[~lacks], gaps[~lacks, column])
            assert_array_equal(expected[lacks, column], trees.predict(others[lacks]))

    def test_draws_are_values_of_the_same_leaves(self):
        gone, gaps = with_gaps(WINE)
        model = Trees.of(gaps, clusters_of(gaps), 0)
        expected, draws = model.expected(gaps), model.draw(gaps, 3000, np.random.default_rng(0))
        assert_array_equal(draws[:, ~gone], np.tile(gaps[~gone], (3000, 1)))
        for row, column in np.argwhere(gone)[::40]:
            drawn = draws[:, row, column]
            assert set(drawn) <= set(gaps[:, column])
            assert drawn.mean() == pytest.approx(expected[row, column], abs=0.1)
            assert drawn.std() > 0

    def test_steps(self):
        """A column that jumps where another passes a level."""
        rng = np.random.default_rng(0)
        X = standardised(np.column_stack([x := rng.normal(size=(600, 2)), (x[:, 0] > 0.3) * 1.0]))
        gone, gaps = with_gaps(X)
        clusters = clusters_of(gaps)
        sure = gone[:, 2] & ~gone[:, 0]

        def error(model):
            return np.sqrt(np.mean((model.expected(gaps) - X)[sure, 2] ** 2))

        assert error(Trees.of(gaps, clusters, 0)) < 0.25 < error(factor_analysis(
            gaps, 2, np.full(3, 1e-3)))  # fmt: skip

    def test_columns_without_a_forest_are_those_of_the_clusters(self, monkeypatch):
        _, gaps = with_gaps(IRIS)
        gaps[:120, 1] = np.nan
        clusters = clusters_of(gaps)
        model = Trees.of(gaps, clusters, 0)
        assert set(model.forests) == {0, 2, 3}
        assert_array_equal(model.expected(gaps)[:, 1], clusters.filled(gaps)[:, 1])
        monkeypatch.setattr(skvae._trees, "WORK", 16 * 49)
        wide = Trees.of(gaps, clusters, 0)
        assert wide.forests == {}
        assert_array_equal(wide.expected(gaps), clusters.filled(gaps))
        assert_array_equal(
            wide.draw(gaps, 2, np.random.default_rng(0)), [clusters.filled(gaps)] * 2
        )

    def test_the_seed_decides(self):
        _, gaps = with_gaps(IRIS)
        clusters = clusters_of(gaps)
        one, same, other = (Trees.of(gaps, clusters, seed).expected(gaps) for seed in (0, 0, 1))
        assert_array_equal(one, same)
        assert not np.array_equal(one, other)


class TestPartners:
    def test_units_do_not_matter(self):
        _, gaps = with_gaps(IRIS)
        loc, scale = np.array([3.0, -10.0, 0.0, 1000.0]), np.array([0.1, 30.0, 1.0, 50.0])
        one, other = Partners.of(gaps, 0), Partners.of(gaps * scale + loc, 0)
        assert len(one.models) == 4
        assert_allclose(other.expected(gaps * scale + loc), one.expected(gaps) * scale + loc)
        draws = [
            np.stack(list(partners.draws(rows, 4, np.random.default_rng(0))))
            for partners, rows in ((one, gaps), (other, gaps * scale + loc))
        ]
        assert_allclose(draws[1], draws[0] * scale + loc, atol=1e-8)

    def test_some(self):
        _, gaps = with_gaps(IRIS)
        partners = Partners.of(gaps, 0)
        some = partners.some(np.array([True, False, True, False]))
        assert_array_equal(some.expected(gaps), partners.expected(gaps)[[0, 2]])

    def test_a_constant_that_was_rounded_has_no_spread(self):
        rng = np.random.default_rng(0)
        X = np.column_stack([rng.normal(size=(90, 3)), np.full(90, -0.7)])
        assert np.abs(X[:, 3].mean() - X[0, 3]) > 0
        new = X[:5].copy()
        new[:, 0], new[:, 3] = np.nan, 30.0
        expected = Partners.of(X, 0).expected(new)
        assert np.abs(expected[:, :, 0]).max() < 30

    def test_too_few_rows_have_none(self):
        partners = Partners.of(IRIS[:2], 0)
        assert partners.models == ()
        assert partners.expected(IRIS).shape == (0, *IRIS.shape)
        assert list(partners.draws(IRIS, 2, np.random.default_rng(0))) == []


class TestShares:
    @pytest.mark.parametrize("seed", range(4))
    def test_they_are_the_weights_of_least_error(self, seed):
        rng = np.random.default_rng(seed)
        x, scale = rng.normal(size=300), rng.uniform(0.5, 2, size=300)
        estimates = x + rng.uniform(0.3, 1.5, size=(4, 1)) * rng.normal(size=(4, 300))
        estimates[3] = 0.5 * (estimates[2] + rng.normal(size=300))
        shares = shares_of(x, estimates, scale)

        def error(shares):
            return np.mean(((x - shares @ estimates) / scale) ** 2)

        best = minimize(
            error,
            np.full(4, 0.25),
            bounds=4 * [(0, 1)],
            constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1},
            options={"ftol": 1e-12},
        )
        assert_allclose(shares, best.x, atol=1e-4)
        assert shares.sum() == pytest.approx(1)
        assert (shares >= 0).all()

    def test_corners(self):
        rng = np.random.default_rng(0)
        x, other = rng.normal(size=(2, 500))
        scale = np.ones(500)
        assert_allclose(shares_of(x, np.stack([x, other]), scale), [1, 0])
        assert_allclose(shares_of(x, np.stack([other, x]), scale), [0, 1], atol=1e-12)
        assert_allclose(shares_of(x, np.stack([other, other]), scale), [1, 0])
        assert_allclose(shares_of(x[:0], np.empty((3, 0)), scale[:0]), [1, 0, 0])
        assert_allclose(shares_of(x, x[None], scale), [1])

    def test_draws_are_mixed_by_their_shares(self):
        rng = np.random.default_rng(0)
        networks, *others = (np.full((400, 50, 3), value, np.float32) for value in range(3))
        chosen = mixed(networks, others, np.array([0.5, 0.2, 0.3]), rng)
        assert (chosen == chosen[:, :, :1]).all()
        for value, share in enumerate((0.5, 0.2, 0.3)):
            assert (chosen == value).mean() == pytest.approx(share, abs=0.02)
        assert (networks == 0).all()
        assert chosen.dtype == np.float32
