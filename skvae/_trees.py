"""Trees that tell each column by the others.

A forest finds steps and exceptions that neither curves nor distances follow: missForest (Stekhoven
and Bühlmann 2012, https://doi.org/10.1093/bioinformatics/btr597) with extremely randomised trees
(Geurts, Ernst and Wehenkel 2006, https://doi.org/10.1007/s10994-006-6226-1). It takes one round,
because a mixture of factor analyses has filled the gaps of the other columns before. A draw is a
value of a row that fell into the same leaf (Meinshausen 2006,
https://www.jmlr.org/papers/v7/meinshausen06a.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from skvae._clusters import Clusters

N_TREES, LEAF = 10, 5
"""Trees of a column, and rows in a leaf at least. (On digits with 20 % missing, 50 trees with
leaves of 2 rows told hidden pixels as well, and took 170 MB.)"""

MOST_ROWS, WORK, FEWEST_ROWS = 5000, 2**23, 50
"""Forests see so many rows, and so many times the square of the columns, which is seconds. Where
these are fewer than the last number, there are none."""


@dataclass(frozen=True)
class _Forest:
    """The trees of one column, and what fell into their leaves.

    Parameters
    ----------
    trees : ExtraTreesRegressor
        Of the other columns, in their order.
    values : ndarray of shape (n,)
        What the column has in the rows of ``fit``.
    order : ndarray of shape (n_trees, n)
        The numbers of these rows, for each tree in the order of its leaves.
    leaves : ndarray of shape (n_trees, n)
        The leaves, in this order.
    """

    trees: ExtraTreesRegressor
    values: np.ndarray
    order: np.ndarray
    leaves: np.ndarray

    @classmethod
    def of(cls, others: np.ndarray, values: np.ndarray, seed: int) -> _Forest:
        """Return a forest that was fitted to the values that a column has."""
        trees = ExtraTreesRegressor(N_TREES, min_samples_leaf=LEAF, random_state=seed)
        leaves = trees.fit(others, values).apply(others).T.astype(np.int32)
        order = np.argsort(leaves, axis=1, kind="stable").astype(np.int32)
        return cls(trees, values, order, np.take_along_axis(leaves, order, 1))

    def draw(self, others: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of the column, ``(n_draws, n)``: of a tree by chance, a row of its leaf."""
        leaves = self.trees.apply(others).T
        tree = rng.integers(0, N_TREES, (n_draws, len(others)))
        place = rng.random(tree.shape)
        drawn = np.empty(tree.shape)
        for number, (of_fit, mine) in enumerate(zip(self.leaves, leaves, strict=True)):
            first, end = (np.searchsorted(of_fit, mine, side) for side in ("left", "right"))
            draw, row = np.nonzero(tree == number)
            inside = (place[draw, row] * (end - first)[row]).astype(np.int64)
            drawn[draw, row] = self.values[self.order[number, first[row] + inside]]
        return drawn


@dataclass(frozen=True)
class Trees:
    """The forests of standardised rows.

    Parameters
    ----------
    clusters : Clusters
        By which gaps are filled: those of the other columns, and those of columns without a forest.
    forests : dict
        From the number of a column to its forest.
    """

    clusters: Clusters
    forests: dict[int, _Forest]

    @classmethod
    def of(cls, rows: np.ndarray, clusters: Clusters, seed: int) -> Trees:
        """Return a forest of each column that has values enough, if the work is bounded.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        clusters : Clusters
            Of these rows.
        seed : int
            Decides the splits.
        """
        n = min(len(rows), MOST_ROWS, WORK // rows.shape[1] ** 2)
        if n < FEWEST_ROWS or rows.shape[1] < 2:
            return cls(clusters, {})
        some = rows[np.linspace(0, len(rows) - 1, n).round().astype(np.int64)]
        filled, observed = clusters.filled(some), ~np.isnan(some)
        forests = {}
        for column in np.flatnonzero(observed.sum(0) >= FEWEST_ROWS).tolist():
            seen = observed[:, column]
            others = np.delete(filled[seen], column, 1)
            forests[column] = _Forest.of(others, some[seen, column], seed)
        return cls(clusters, forests)

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean over the trees of what is missing, in whole rows.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        """
        expected = self.clusters.filled(rows)
        for column, forest, at, others in self._missing(rows, expected.copy()):
            expected[at, column] = forest.trees.predict(others)
        return expected

    def draw(self, rows: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of whole rows, of values of rows in the same leaf, ``(n_draws, n, d)``.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        n_draws : int
            Of each row.
        rng : numpy.random.Generator
            Decides the draws, of each value by itself.
        """
        filled = self.clusters.filled(rows)
        drawn = np.repeat(filled[np.newaxis], n_draws, 0)
        for column, forest, at, others in self._missing(rows, filled):
            drawn[:, at, column] = forest.draw(others, n_draws, rng)
        return drawn

    def _missing(
        self, rows: np.ndarray, filled: np.ndarray
    ) -> Iterator[tuple[int, _Forest, np.ndarray, np.ndarray]]:
        """Yield a column, its forest, the rows that lack it, and what these have else."""
        for column, forest in self.forests.items():
            at = np.flatnonzero(np.isnan(rows[:, column]))
            if len(at):
                yield column, forest, at, np.delete(filled[at], column, 1)
