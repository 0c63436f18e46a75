"""Groups of rows, each with a factor analysis of its own: a mixture of factor analysers.

Where rows come in groups, columns vary together in another way within each than between them. The
conditional means and draws of missing values are exact in such a mixture, as they are in a single
factor analysis (Ghahramani and Hinton 1996, http://mlg.eng.cam.ac.uk/zoubin/papers/tr-96-1.pdf).
Groups of few rows borrow from the others: their loadings and their noise are drawn towards what
all groups have in common, by as much as some rows would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans

from skvae._factor_analysis import Factors, expectations, factor_analysis

MOST_ROWS = 5000
"""So many tell of groups."""

ROWS, LEAST, MOST = 50, 3, 20
"""There is a group for so many rows, but at least and at most so many groups."""

FEWEST = 10
"""Rows of a group: where there are less, groups are fewer than ``LEAST``."""

FACTORS = 4
"""Of each group."""

COMMON = 10.0
"""So many rows is what all groups have in common worth, to each."""

MEAN = 1e-2
"""So many rows is the mean of the table worth, to that of each group: it may lack a column."""

LEAST_NOISE = 1e-2
"""Of a column's variance: in one group, a column may be all but constant."""

TOLERANCE = 1e-3
"""Nats per row that count as progress."""

ITERATIONS, OPERATIONS = (5, 40), 1e10
"""At least and at most so many; and between, what they may cost: seconds."""


class _Moments(NamedTuple):
    """What the regression of rows on (z, 1) needs, of the rows that one group has."""

    weight: np.ndarray
    counts: np.ndarray
    squares: np.ndarray
    products: np.ndarray
    second: np.ndarray

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        observed: np.ndarray,
        share: np.ndarray,
        z: np.ndarray,
        second: np.ndarray,
    ) -> _Moments:
        """Return those of rows of which it has the given shares."""
        mine = observed * share[:, None]
        moments = mine.T @ second.reshape(len(x), -1)
        return cls(
            share.sum(),
            mine.sum(0),
            share @ np.square(x),
            (x * share[:, None]).T @ z,
            moments.reshape(x.shape[1], *second.shape[1:]),
        )

    def left(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of squares that a regression leaves of each column."""
        told = np.einsum("di,dij,dj->d", weights, self.second, weights)
        return self.squares - 2 * (weights * self.products).sum(1) + told


@dataclass(frozen=True)
class Clusters:
    """A mixture of factor analyses, of standardised rows.

    Parameters
    ----------
    shares : ndarray of shape (n_groups,)
        The probability of each.
    groups : tuple of Factors
        One for each.
    """

    shares: np.ndarray
    groups: tuple[Factors, ...]

    @classmethod
    def of(cls, rows: np.ndarray, factors: Factors) -> Clusters:
        """Return the groups of some rows, by maximum likelihood, with what they have in common.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        factors : Factors
            Of all rows: groups are first looked for among rows that these fill.
        """
        some = np.linspace(0, len(rows) - 1, min(MOST_ROWS, len(rows))).round().astype(np.int64)
        rows = rows[some]
        n, d = rows.shape
        filled = np.where(np.isnan(rows), factors.expected(rows), rows)
        n_groups = int(np.clip(n // ROWS, min(LEAST, max(1, n // FEWEST)), MOST))
        n_groups = min(n_groups, len(np.unique(filled, axis=0)))
        means = KMeans(n_groups, n_init=10, random_state=0).fit(filled)
        centres, labels = means.cluster_centers_, means.labels_
        within = rows - centres[labels]
        start = factor_analysis(within, min(FACTORS, d), np.full(d, LEAST_NOISE), TOLERANCE)
        groups = tuple(start._replace(mean=start.mean + centre) for centre in centres)
        return cls(_smoothed(np.bincount(labels, minlength=n_groups)), groups)._fitted(rows)

    def _fitted(self, rows: np.ndarray) -> Clusters:
        """Return what some steps of EM make of them."""
        observed = (~np.isnan(rows)).astype(float)
        x = np.where(observed, rows, 0.0)
        cost = 4 * x.size * len(self.groups) * (self.groups[0].loadings.shape[1] + 1) ** 2
        found, before = self, -np.inf
        for _ in range(int(np.clip(OPERATIONS / cost, *ITERATIONS))):
            each = [expectations(group, x, observed) for group in found.groups]
            shares, log_p = found._posterior([log_p for *_, log_p in each])
            if log_p.mean() - before < TOLERANCE:
                break
            before = log_p.mean()
            found = found._step(
                [
                    _Moments.of(x, observed, share, z, second)
                    for share, (z, second, _) in zip(shares.T, each, strict=True)
                ]
            )
        return Clusters(found.shares, tuple(Factors.turned(*group[:3]) for group in found.groups))

    def _step(self, each: list[_Moments]) -> Clusters:
        """Return the groups that what is expected makes likeliest."""
        k = self.groups[0].loadings.shape[1]
        # The loadings that they have in common: one observation's worth of none.
        second = np.sum([of.second[:, :k, :k] for of in each], 0) + np.eye(k)
        centred = [
            of.products[:, :k] - of.second[:, :k, k] * group.mean[:, None]
            for of, group in zip(each, self.groups, strict=True)
        ]
        products = np.sum(centred, 0)
        common = np.linalg.solve(second, products[..., None])[..., 0]
        worth = np.diag([COMMON] * k + [MEAN])
        regressions = [
            np.linalg.solve(
                of.second + worth,
                (of.products + np.pad(COMMON * common, ((0, 0), (0, 1))))[..., None],
            )[..., 0]
            for of in each
        ]
        left = [of.left(weights) for of, weights in zip(each, regressions, strict=True)]
        noise = np.sum(left, 0) / np.maximum(np.sum([of.counts for of in each], 0), 1)
        groups = tuple(
            Factors(
                weights[:, k],
                weights[:, :k],
                np.maximum((own + COMMON * noise) / (of.counts + COMMON), LEAST_NOISE),
                np.zeros(k),
            )
            for of, weights, own in zip(each, regressions, left, strict=True)
        )
        return Clusters(_smoothed(np.array([of.weight for of in each])), groups)

    def _posterior(self, log_p: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return to which groups rows belong, by log p(x) in each, and log p(x)."""
        joint = np.stack(log_p, 1) + np.log(self.shares)
        most = joint.max(1, keepdims=True)
        odds = np.exp(joint - most)
        total = odds.sum(1, keepdims=True)
        return odds / total, (most + np.log(total))[:, 0]

    def _looked_at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return to which groups rows belong, and their expectation in each: of some rows."""
        observed = (~np.isnan(rows)).astype(float)
        x = np.where(observed, rows, 0.0)
        each = [expectations(group, x, observed) for group in self.groups]
        shares, _ = self._posterior([log_p for *_, log_p in each])
        means = [
            z @ np.column_stack([group.loadings, group.mean]).T
            for group, (z, *_) in zip(self.groups, each, strict=True)
        ]
        return shares, np.stack(means)

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean of whole rows given what is observed of them.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        """
        each = [self._looked_at(rows[some]) for some in self.groups[0].blocks(rows)]
        return np.concatenate([np.einsum("nk,knd->nd", *looked_at) for looked_at in each])

    def filled(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with what is expected in the place of what is missing.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        """
        return np.where(np.isnan(rows), self.expected(rows), rows)

    def draw(self, rows: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of whole rows given what is observed of them, ``(n_draws, n, n_features)``.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        n_draws : int
            Of each row.
        rng : numpy.random.Generator
            Decides the draws.
        """
        shares = [self._looked_at(rows[some])[0] for some in self.groups[0].blocks(rows)]
        below = np.concatenate(shares).cumsum(1)[:, :-1]
        group_of = (rng.random((n_draws, len(rows), 1)) > below).sum(-1)
        drawn = np.empty((n_draws, *rows.shape))
        for number, group in enumerate(self.groups):
            mine = group_of == number
            drawn[mine] = group.draw(rows[np.nonzero(mine)[1]], 1, rng)[0]
        return drawn


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Return shares of groups, each of which has a row more than it has."""
    return (counts + 1) / (counts.sum() + len(counts))
