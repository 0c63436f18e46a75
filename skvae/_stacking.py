"""What other models add to the networks of an imputer: as much as hidden values say.

Networks follow curves, and are noisier than simpler models where rows are few. A factor analysis
is a variational autoencoder without hidden layers, whose posterior is known exactly; a mixture of
them follows groups of rows, the nearest rows tell what repeats itself, and trees tell each column
by steps of the others. All are fitted to the same values, and the shares that they have in an
estimate are those by which values that none was shown are told best: stacking (Breiman 1996,
https://doi.org/10.1007/BF00117832).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.optimize import nnls

from skvae._clusters import Clusters
from skvae._factor_analysis import FEWEST_ROWS, factor_analysis
from skvae._neighbours import Neighbours
from skvae._numbers import ROUNDING
from skvae._trees import Trees

MOST_ROWS = 20_000
"""So many tell all factors."""

FACTORS = 32
"""More than networks have components: exact expectations do not mind."""

LEAST_NOISE = 1e-3
"""Of a column's variance: what is missing is often all but told by the rest."""

TOLERANCE = 1e-3
"""Nats per row that count as progress."""


class Partner(Protocol):
    """A model of standardised rows."""

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean of whole rows given what is observed of them."""

    def draw(self, rows: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of whole rows given what is observed of them."""


@dataclass(frozen=True)
class Partners:
    """The models of a table with gaps that are stacked with networks.

    Parameters
    ----------
    loc, scale : ndarray of shape (n_features,)
        By which columns are standardised.
    models : tuple of Partner
        Of standardised rows.
    """

    loc: np.ndarray
    scale: np.ndarray
    models: tuple[Partner, ...]

    @classmethod
    def none(cls, n_features: int) -> Partners:
        """Return that there are none, of so many columns."""
        return cls(np.zeros(n_features), np.ones(n_features), ())

    @classmethod
    def of(cls, values: np.ndarray, seed: int) -> Partners:
        """Return those of a table; none where rows are too few.

        Parameters
        ----------
        values : ndarray of shape (n, n_features)
            NaN where one is missing.
        seed : int
            Decides what of them is random.
        """
        n_features = values.shape[1]
        if len(values) < FEWEST_ROWS:
            return cls.none(n_features)
        values = values.astype(np.float64)
        counts = np.maximum((~np.isnan(values)).sum(0), 1)  # a rare column may be empty here
        loc = np.nansum(values, 0) / counts
        scale = np.sqrt(np.nansum(np.square(values - loc), 0) / counts)
        # What rounding leaves of a constant is no spread.
        scale = np.where(scale > ROUNDING * np.abs(loc), scale, 1.0)
        rows = (values - loc) / scale
        n_factors, least = min(FACTORS, n_features), np.full(n_features, LEAST_NOISE)
        factors = factor_analysis(rows, n_factors, least, TOLERANCE)
        clusters = Clusters.of(rows, factors)
        neighbours, trees = Neighbours.of(rows, clusters), Trees.of(rows, clusters, seed)
        return cls(loc, scale, (factors, clusters, neighbours, trees))

    def expected(self, values: np.ndarray) -> np.ndarray:
        """Return the means of whole rows given what is observed, ``(n_models, n, n_features)``.

        Parameters
        ----------
        values : ndarray of shape (n, n_features)
            NaN where one is missing.
        """
        rows = (values - self.loc) / self.scale
        means = [model.expected(rows) * self.scale + self.loc for model in self.models]
        return np.reshape(means, (len(means), *values.shape))

    def draws(
        self, values: np.ndarray, n_draws: int, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Yield draws of whole rows of each model, ``(n_draws, n, n_features)``.

        Parameters
        ----------
        values : ndarray of shape (n, n_features)
            NaN where one is missing.
        n_draws : int
            Of each row.
        rng : numpy.random.Generator
            Decides the draws.
        """
        rows = (values - self.loc) / self.scale
        for model in self.models:
            yield model.draw(rows, n_draws, rng) * self.scale + self.loc

    def some(self, are_used: np.ndarray) -> Partners:
        """Return some of the models.

        Parameters
        ----------
        are_used : ndarray of bool, shape (n_models,)
            Which.
        """
        chosen = zip(self.models, are_used, strict=True)
        return replace(self, models=tuple(model for model, is_used in chosen if is_used))


def shares_of(x: np.ndarray, estimates: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the shares of several estimates, which add up to 1, of least squared error.

    Parameters
    ----------
    x : ndarray of shape (n_values,)
        Values.
    estimates : ndarray of shape (n_models, n_values)
        Of them. Where it does not matter, the first has all.
    scale : ndarray of shape (n_values,)
        In units of which errors count.

    Returns
    -------
    shares : ndarray of shape (n_models,)
        None is negative.
    """
    errors = ((estimates - x) / scale).T
    # One row more asks for the sum 1: it falls short of it, in the same direction from 0.
    weight = np.sqrt(np.square(errors).sum()) or 1.0
    asked = np.append(np.zeros(len(errors)), weight)
    shares, _ = nnls(np.vstack([errors, np.full(len(estimates), weight)]), asked)
    return shares / shares.sum()


def mixed(
    networks: np.ndarray,
    others: Iterable[np.ndarray],
    shares: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return draws, each of one of several models with the probability of its share.

    Parameters
    ----------
    networks : ndarray of shape (n_draws, n, ...)
        Draws of the first model, of rows or of single values.
    others : iterable of ndarray of shape (n_draws, n, ...)
        Of each of the others.
    shares : ndarray of shape (n_models,)
        Of each.
    rng : numpy.random.Generator
        Decides which.
    """
    model = rng.choice(len(shares), networks.shape[:2], p=shares)
    chosen = networks.copy()
    for number, draws in enumerate(others, start=1):
        mine = model == number
        chosen[mine] = draws[mine]
    return chosen
