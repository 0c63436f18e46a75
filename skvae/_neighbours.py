"""Rows that lie near, and what values they have: a hot deck.

Where rows repeat themselves, or nearly so, a missing value is told best by the rows that are most
alike (Andridge and Little 2010, https://doi.org/10.1111/j.1751-5823.2010.00103.x). Rows with gaps
may have few columns in common, so distances count what a mixture fills in as well, for less. Only
values that were observed are donated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skvae._clusters import Clusters

MOST_ROWS = 5000
"""So many can be donors."""

DONORS, NEAR = 5, 50
"""So many are of a value, among so many that are nearest to the row."""

GUESSED = 0.1
"""What a value counts for in distances that was filled in, where one that was observed is 1."""

LEAST_DISTANCE = 1e-6
"""From which on the nearer donor does not count for more, in standard deviations of columns."""

BLOCK = 2**22
"""So many distances, or values of rows that are near, are looked at at a time."""


class _Offered(NamedTuple):
    """What some rows are offered.

    ``values`` and ``weights`` are of shape (n, DONORS, n_features). The nearest donor comes first,
    and weights add up to 1 over donors.
    """

    rows: slice
    values: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Neighbours:
    """The donors of standardised rows.

    Parameters
    ----------
    clusters : Clusters
        By which gaps are filled before distances are measured.
    filled : ndarray of shape (n_donors, n_features)
        The donors.
    observed : ndarray of bool, shape (n_donors, n_features)
        Which of their values they can give.
    """

    clusters: Clusters
    filled: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, clusters: Clusters) -> Neighbours:
        """Return some rows as donors.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        clusters : Clusters
            Of these rows.
        """
        some = np.linspace(0, len(rows) - 1, min(MOST_ROWS, len(rows))).round().astype(np.int64)
        observed = ~np.isnan(rows[some])
        return cls(clusters, clusters.filled(rows[some]), observed)

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the weighted mean of what the nearest donors have, of whole rows.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        """
        return np.concatenate([(some.values * some.weights).sum(1) for some in self._offered(rows)])

    def draw(self, rows: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of whole rows, of the values of donors, ``(n_draws, n, n_features)``.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        n_draws : int
            Of each row.
        rng : numpy.random.Generator
            Decides which donor it is: the same for the whole row, as far as it has the values.
        """
        drawn = np.empty((n_draws, *rows.shape))
        for some in self._offered(rows):
            n, _, d = some.values.shape
            place = rng.random((n_draws, n, 1))
            donor = np.zeros((n_draws, n, d), np.int8)
            for before in some.weights.cumsum(1)[:, :-1].swapaxes(0, 1):
                donor += place >= before
            # Where donors are fewer, the last ones weigh nothing, whatever the rounding of sums.
            donor = np.minimum(donor, (some.weights > 0).sum(1) - 1)
            drawn[:, some.rows] = some.values[np.arange(n)[:, None], donor, np.arange(d)]
        return drawn

    def _offered(self, rows: np.ndarray) -> Iterator[_Offered]:
        """Yield what each row is offered, some rows at a time."""
        n_donors, d = self.filled.shape
        n_near = min(NEAR, n_donors)
        size = max(1, BLOCK // max(n_donors, n_near * d))
        for start in range(0, max(1, len(rows)), size):
            mine = slice(start, min(start + size, len(rows)))
            filled, observed = self.clusters.filled(rows[mine]), ~np.isnan(rows[mine])
            distances = self._distances(filled, observed)
            near = np.argpartition(distances, n_near - 1, axis=1)[:, :n_near]
            distances = np.take_along_axis(distances, near, 1)
            order = np.argsort(distances, axis=1, kind="stable")
            near, distances = (np.take_along_axis(one, order, 1) for one in (near, distances))
            # Of each column, the nearest that have it come first, in their order.
            have = self.observed[near]
            first = np.argsort(~have, axis=1, kind="stable")[:, :DONORS]
            values = np.take_along_axis(self.filled[near], first, 1)
            have = np.take_along_axis(have, first, 1)
            weights = have / np.take_along_axis(distances[:, :, None], first, 1)
            # What none of them has is what the row is filled with.
            have_none = ~have.any(1)
            values[:, 0] = np.where(have_none, filled, values[:, 0])
            weights[:, 0] += have_none
            yield _Offered(mine, values, weights / weights.sum(1, keepdims=True))

    def _distances(self, filled: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return those of some rows from all donors: roots of weighted mean squares, not 0."""
        mine, theirs = (np.where(known, 1.0, GUESSED) for known in (observed, self.observed))
        squares = (mine * np.square(filled)) @ theirs.T
        squares -= 2 * (mine * filled) @ (theirs * self.filled).T
        squares += mine @ (theirs * np.square(self.filled)).T
        squares /= mine @ theirs.T
        return np.sqrt(np.maximum(squares, LEAST_DISTANCE**2))
