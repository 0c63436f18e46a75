"""Intervals of a model, widened until they hold as many values as they say.

A network that is fitted to few rows is too sure of what it has not seen. How much too sure, values
tell that were hidden from it: how many times its own interval, about the median, must be widened to
hold each of them? Among n such values, the ``(n + 1) · level``-th smallest factor makes intervals
that hold another value with that probability, whatever the model, as long as the two are
exchangeable: conformal prediction (Vovk et al. 2005), of quantiles that a model predicts (Romano,
Patterson and Candès 2019, https://arxiv.org/abs/1905.03222), here by a factor in place of their
shift, so that columns and rows of any spread share it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

ROUNDING = 2.0**-48
"""What some sums leave of a number, in parts of the largest of its column.

Values that repeat themselves, such as zeros, are ends of intervals themselves: they are held
however the sums were rounded that they come from.
"""

LEVELS = np.array([*np.arange(0.05, 0.95, 0.05), 0.95, 0.97, 0.98, 0.99, 0.995])
"""Probabilities at which factors are computed; between them they are interpolated."""


class Ends(NamedTuple):
    """Intervals of the model itself, each about a median.

    Attributes
    ----------
    low, middle, high : ndarray of shape (..., n_values), float64
        Quantiles.
    rounding : ndarray of shape (..., n_values), float64
        So much beyond an end is held as well.
    """

    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    rounding: np.ndarray

    @classmethod
    def of(
        cls,
        draws: np.ndarray,
        level: float | np.ndarray,
        are_whole: np.ndarray,
        rounding: np.ndarray,
    ) -> Ends:
        """Return those of draws, each of which has half a tail beyond either end.

        Parameters
        ----------
        draws : ndarray of shape (n_draws, ..., n_values)
            Of each value.
        level : float or ndarray of shape (n_levels,)
            The probability that the model gives an interval; of several, ends have an axis more,
            the first.
        are_whole : ndarray of bool, shape (n_values,)
            Values that are whole numbers: ends are half-way to the next one, beyond the last
            number that belongs to the interval.
        rounding : ndarray of shape (n_values,)
            What may be lost of real numbers.
        """
        level = np.asarray(level)
        tails = np.stack([(1 - level) / 2, np.full(level.shape, 0.5), (1 + level) / 2])
        quantiles = np.quantile(draws, tails, axis=0).astype(np.float64)
        quantiles[..., are_whole] = np.round(quantiles[..., are_whole])
        low, middle, high = quantiles
        rounding = np.broadcast_to(np.where(are_whole, 0.0, rounding), middle.shape)
        return cls(low - are_whole / 2, middle, high + are_whole / 2, rounding)

    def factors(self, x: np.ndarray) -> np.ndarray:
        """Return how many times as wide as it is each interval must be to hold a value.

        Parameters
        ----------
        x : ndarray of shape (..., n_values)
            Values; infinity comes for one that an interval of no width does not hold.
        """
        beyond = np.abs(x - self.middle) - self.rounding
        width = np.where(x < self.middle, self.middle - self.low, self.high - self.middle)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(beyond <= 0, 0.0, beyond / width)

    def widened(self, factor: float, are_whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return low and high ends of intervals that are so many times as wide.

        Parameters
        ----------
        factor : float
            Not negative.
        are_whole : ndarray of bool, shape (n_values,)
            As in ``of``.
        """
        low = self.middle - factor * (self.middle - self.low) - self.rounding
        high = self.middle + factor * (self.high - self.middle) + self.rounding
        nearest = np.round(self.middle)
        return (
            np.where(are_whole, np.minimum(np.ceil(low), nearest), low),
            np.where(are_whole, np.maximum(np.floor(high), nearest), high),
        )


@dataclass(frozen=True)
class Widening:
    """By which factor the intervals of a model are widened.

    Parameters
    ----------
    factors : ndarray of shape (len(LEVELS),)
        At each of the levels.
    """

    factors: np.ndarray

    @classmethod
    def of(
        cls, x: np.ndarray, draws: np.ndarray, are_whole: np.ndarray, rounding: np.ndarray
    ) -> Widening:
        """Return what values ask for that the model has not seen.

        Where they are fewer than a level needs, it is the largest factor that any of them asks
        for, and 1 at least.

        Parameters
        ----------
        x : ndarray of shape (n_values,)
            Values.
        draws : ndarray of shape (n_draws, n_values)
            Of the model, in their place.
        are_whole, rounding : ndarray of shape (n_values,)
            As in ``Ends.of``.
        """
        if not len(x):
            return cls(np.ones(len(LEVELS)))
        ends = Ends.of(draws, LEVELS, are_whole, rounding)
        pairs = zip(ends.factors(x), LEVELS, strict=True)
        return cls(np.array([_quantile(factors, level) for factors, level in pairs]))

    def at(self, level: float) -> float:
        """Return the factor at a level.

        Parameters
        ----------
        level : float
            In (0, 1).
        """
        return float(np.interp(level, LEVELS, self.factors))


def _quantile(factors: np.ndarray, level: float) -> float:
    """Return the conformal quantile; where there is none, the largest factor, and 1 at least."""
    place = math.ceil((len(factors) + 1) * level)
    found = np.sort(factors)[place - 1] if place <= len(factors) else np.inf
    if np.isfinite(found):
        return float(found)
    return float(max(1.0, factors[np.isfinite(factors)].max(initial=0.0)))
