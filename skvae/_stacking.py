"""What a linear model adds to the networks of an imputer: as much as hidden values say.

Factor analysis is a variational autoencoder without hidden layers, whose posterior is known
exactly. Networks follow curves that it cannot, and are noisier where rows are few. So both are
fitted to the same values, and the share that the linear one has in an estimate is the one by which
values that neither was shown are told best: stacking (Breiman 1996,
https://doi.org/10.1007/BF00117832).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skvae._linear_start import FEWEST_ROWS, Factors, factor_analysis

MOST_ROWS = 20_000
"""So many tell all factors."""

FACTORS = 32
"""More than networks have components: exact expectations do not mind."""

LEAST_NOISE = 1e-3
"""Of a column's variance: what is missing is often all but told by the rest."""

TOLERANCE = 1e-3
"""Nats per row that count as progress."""


@dataclass(frozen=True)
class LinearModel:
    """The factor analysis of a table with gaps.

    Parameters
    ----------
    loc, scale : ndarray of shape (n_features,)
        By which columns are standardised.
    factors : Factors
        Of standardised rows.
    """

    loc: np.ndarray
    scale: np.ndarray
    factors: Factors

    @classmethod
    def of(cls, values: np.ndarray) -> LinearModel | None:
        """Return that of a table; ``None`` where rows are too few.

        Parameters
        ----------
        values : ndarray of shape (n, n_features)
            NaN where one is missing.
        """
        if len(values) < FEWEST_ROWS:
            return None
        n_features = values.shape[1]
        values = values.astype(np.float64)
        counts = np.maximum((~np.isnan(values)).sum(0), 1)  # a rare column may be empty here
        loc = np.nansum(values, 0) / counts
        scale = np.sqrt(np.nansum(np.square(values - loc), 0) / counts)
        scale = np.where(scale > 0, scale, 1.0)
        rows = (values - loc) / scale
        n_factors, least = min(FACTORS, n_features), np.full(n_features, LEAST_NOISE)
        return cls(loc, scale, factor_analysis(rows, n_factors, least, TOLERANCE))

    def expected(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of whole rows given what is observed of them.

        Parameters
        ----------
        values : ndarray of shape (n, n_features)
            NaN where one is missing.
        """
        return self.factors.expected((values - self.loc) / self.scale) * self.scale + self.loc

    def draw(self, values: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of whole rows given what is observed of them, ``(n_draws, n, n_features)``.

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
        return self.factors.draw(rows, n_draws, rng) * self.scale + self.loc


def share_of(x: np.ndarray, networks: np.ndarray, linear: np.ndarray, scale: np.ndarray) -> float:
    """Return the share of the second of two estimates, in [0, 1], of least squared error.

    Parameters
    ----------
    x : ndarray of shape (n_values,)
        Values.
    networks, linear : ndarray of shape (n_values,)
        Estimates of them.
    scale : ndarray of shape (n_values,)
        In units of which errors count.
    """
    apart, left = (linear - networks) / scale, (x - networks) / scale
    squares = apart @ apart
    return float(np.clip(apart @ left / squares, 0, 1)) if squares > 0 else 0.0


def mixed(
    networks: np.ndarray, linear: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Return draws, each of the second kind with the probability of its share.

    Parameters
    ----------
    networks, linear : ndarray of shape (n_draws, n, ...)
        Draws, of rows or of single values.
    share : float
        Of the second.
    rng : numpy.random.Generator
        Decides which.
    """
    is_linear = rng.random(networks.shape[:2]) < share
    return np.where(
        is_linear.reshape(*is_linear.shape, *[1] * (networks.ndim - 2)), linear, networks
    )
