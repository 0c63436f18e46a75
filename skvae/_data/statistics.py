"""Statistics of columns that are added up over pieces of rows, in whatever order these come.

Those of pieces that lie elsewhere are taken in by ``join``, and then they are those of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

DISTINCT_CAP = 256
"""Distinct values of a column are counted up to here: enough for bytes and for any category that
a network is shown as columns, and cheap, as most real columns reach it within a block."""

PIECE_VALUES = 2**16
"""So many values at a time: the temporaries stay in the cache."""

BITS = 39
ROUNDING = 1.5 * 2.0 ** (52 - BITS)
"""Adding this to a number of [-1, 1] rounds it to a multiple of 2**-BITS."""
UNITS_OF_ROUNDING = int(np.float64(ROUNDING).view(np.int64))
"""The bits of the sum, as an integer, are these and the number's multiple of 2**-BITS."""
EXACT_ROWS = 2 ** (62 - BITS)
"""The multiples of so many numbers have a sum that an int64 holds."""
LEAST_VARIANCE = 2.0 ** (1 - BITS)
"""What rounding may leave of equal numbers."""


def pieces(n_rows: int, n_features: int) -> Iterator[slice]:
    """Yield the positions of some rows after others, as many as stay in the cache."""
    size = max(1, PIECE_VALUES // n_features)
    for start in range(0, n_rows, size):
        yield slice(start, start + size)


class ExactSum:
    """Sums of columns of numbers of [-1, 1], to the last bit whatever the order of the rows.

    Every number is rounded to a multiple of 2**-39, and these are added up as integers.
    """

    def __init__(self, n_features: int) -> None:
        self._total = np.zeros(n_features, object)
        self._some = torch.zeros(n_features, dtype=torch.int64)
        self._n_some = 0

    def add(self, values: Tensor) -> None:
        """Add a piece of rows, float64, which is overwritten."""
        if self._n_some + len(values) > EXACT_ROWS:
            self._flush()
        # What overflows here comes back where UNITS_OF_ROUNDING are taken off.
        self._some += values.add_(ROUNDING).view(torch.int64).sum(0)
        self._n_some += len(values)

    def join(self, other: ExactSum) -> None:
        """Add the numbers of another sum."""
        self._total = self.units() + other.units()

    def _flush(self) -> None:
        offset = self._n_some * UNITS_OF_ROUNDING % 2**64
        self._some -= offset - 2**64 if offset >= 2**63 else offset
        self._total += self._some.numpy()
        self._some.zero_()
        self._n_some = 0

    def units(self) -> np.ndarray:
        """Return the sums as Python's integers, in units of 2**-39."""
        self._flush()
        return self._total


class Moments:
    """Weighted means and standard deviations, the same for the same rows in any order.

    Parameters
    ----------
    low, high : ndarray of shape (n_features,)
        Between which all values lie; NaN: none of the column counts.
    has_missing : bool
        Whether values may be NaN.
    largest_weight : float, default=1.0
        No weight is larger.
    """

    def __init__(
        self, low: np.ndarray, high: np.ndarray, has_missing: bool, largest_weight: float = 1.0
    ) -> None:
        self.centre = low / 2 + high / 2
        # Powers of two, by which dividing is exact, and by which no division overflows.
        self.reach = _power_above(np.nan_to_num(high / 2 - low / 2))
        self.has_missing = has_missing
        self.unit = float(_power_above(np.asarray(largest_weight)))
        n_features = len(self.centre)
        self.weights, self.sums, self.squares = (ExactSum(n_features) for _ in range(3))

    def add(self, piece: np.ndarray, weight: np.ndarray | None) -> None:
        """Add a piece of rows."""
        # By torch, which takes half of NumPy's time for columns and a row.
        x = torch.from_numpy(piece.astype(np.float64))
        x.sub_(torch.from_numpy(self.centre)).mul_(torch.from_numpy(1 / self.reach))
        w = torch.ones(len(x), 1, dtype=torch.float64)
        if weight is not None:
            w = torch.from_numpy(weight[:, None] / self.unit)
        if self.has_missing:
            seen = ~x.isnan()
            x.nan_to_num_(0.0)
            w = w * seen
        square = x.square()
        if weight is not None:
            x *= w
            square *= w
        self.weights.add(w)
        self.sums.add(x)
        self.squares.add(square)

    def join(self, other: Moments) -> None:
        """Take in the rows of another one, between the same values."""
        self.weights.join(other.weights)
        self.sums.join(other.sums)
        self.squares.join(other.squares)

    def mean(self) -> np.ndarray:
        """Return the means; 0 where there is no value."""
        weights, sums, _ = self._units()
        return np.nan_to_num(self.centre) + self.reach * (sums / weights).astype(np.float64)

    def scale(self) -> np.ndarray:
        """Return the standard deviations; 1 where values are equal, or there is none."""
        weights, sums, squares = self._units()
        # In integers, so that nothing cancels.
        variance = ((squares * weights - sums * sums) / (weights * weights)).astype(np.float64)
        varies = variance > LEAST_VARIANCE
        return np.where(varies, self.reach * np.sqrt(np.where(varies, variance, 1.0)), 1.0)

    def _units(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weights, sums, squares = (s.units() for s in (self.weights, self.sums, self.squares))
        return np.where(weights == 0, 1, weights), sums, squares


def _power_above(values: np.ndarray) -> np.ndarray:
    """Return powers of two that are larger; 1 for 0."""
    exponent = np.frexp(values)[1]
    return np.where(values > 0, np.ldexp(1.0, np.maximum(exponent, -1000)), 1.0)


class Values:
    """Extremes, missing values, whole numbers, zeros and values at the ends."""

    def __init__(self, n_features: int) -> None:
        self.low = np.full(n_features, np.nan)
        self.high = np.full(n_features, np.nan)
        self.missing = np.zeros(n_features, np.int64)
        self.n_rows = 0
        self.n_zeros = np.zeros(n_features, np.int64)
        self._n_low = np.zeros(n_features, np.int64)
        self._n_high = np.zeros(n_features, np.int64)
        self.whole = np.ones(n_features, bool)

    def add(self, piece: np.ndarray) -> None:
        """Add a piece of rows."""
        low, high = piece.min(0), piece.max(0)
        if np.isnan(low).any():
            low, high = np.fmin.reduce(piece), np.fmax.reduce(piece)
            self.missing += _count(np.isnan(piece))
        # Values at an end that has moved count no more; NaN moves none.
        self._n_low[low < self.low] = 0
        self._n_high[high > self.high] = 0
        self.low, self.high = np.fmin(self.low, low), np.fmax(self.high, high)
        self._n_low += _count_of(piece, self.low, low == self.low)
        self._n_high += _count_of(piece, self.high, high == self.high)
        self.n_zeros += _count_of(piece, np.zeros_like(low), (low <= 0) & (high >= 0))
        self.n_rows += len(piece)
        self.whole &= np.isnan(low) | (np.floor(low) == low)
        open_ = self.whole & (low < high)
        some = piece if open_.all() else piece[:, open_]
        self.whole[open_] = ((np.floor(some) == some) | np.isnan(some)).all(0)

    def join(self, other: Values) -> None:
        """Take in the rows of another one."""
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        for one in (self, other):  # values at an end that has moved count no more
            one._n_low[one.low != low] = 0
            one._n_high[one.high != high] = 0
        self._n_low += other._n_low
        self._n_high += other._n_high
        self.low, self.high = low, high
        self.missing += other.missing
        self.n_rows += other.n_rows
        self.n_zeros += other.n_zeros
        self.whole &= other.whole

    def n_at_ends(self) -> np.ndarray:
        """Return how many values are the lowest or the highest; of a constant column all."""
        return np.where(self.low < self.high, self._n_low + self._n_high, self._n_low)

    def share(self, count: np.ndarray) -> np.ndarray:
        """Return a count of values as a share of those seen; 0 where there is none."""
        return count / np.maximum(self.n_rows - self.missing, 1)

    def size(self) -> np.ndarray:
        """Return the largest magnitude in each column; 0 where there is none."""
        return np.nan_to_num(np.fmax(np.abs(self.low), np.abs(self.high)), posinf=np.inf)


def _count(mask: np.ndarray) -> np.ndarray:
    """Return how many are true in each column: bytes are added up several times as fast."""
    byte = mask.view(np.uint8)
    total = np.zeros(mask.shape[1], np.int64)
    for start in range(0, len(byte), 255):
        total += byte[start : start + 255].sum(0, np.uint8)
    return total


def _count_of(piece: np.ndarray, values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return how often each column has its value, which only the named columns have."""
    values = values.astype(piece.dtype)
    if 4 * columns.sum() > len(columns):  # to copy many takes longer than to look at all
        return _count(piece == values)
    counts = np.zeros(len(columns), np.int64)
    counts[columns] = _count(piece[:, columns] == values[columns])
    return counts


class Distinct:
    """Numbers of distinct values."""

    def __init__(self, n_features: int, dtype: Any) -> None:
        self.counts = np.zeros(n_features, np.int64)
        # The distinct values of each column, sorted, as long as they are fewer than the cap.
        self._known = np.empty((n_features, 0), dtype)

    def add(self, block: np.ndarray) -> None:
        """Add a block of rows."""
        open_ = np.flatnonzero(self.counts < DISTINCT_CAP)
        # Most columns of real numbers have enough distinct values in few rows.
        self._count(block[: 2 * DISTINCT_CAP, open_], open_)
        open_ = np.flatnonzero(self.counts < DISTINCT_CAP)
        rest = block[2 * DISTINCT_CAP :, open_]
        # Most columns of sparse rows hold one value in a block, and are done with one row.
        is_one = (rest == rest[:1]).all(0)
        self._count(rest[:1, is_one], open_[is_one])
        self._count(rest[:, ~is_one], open_[~is_one])

    def join(self, other: Distinct) -> None:
        """Take in the rows of another one."""
        self.counts[other.counts == DISTINCT_CAP] = DISTINCT_CAP
        open_ = np.flatnonzero(self.counts < DISTINCT_CAP)
        self._count(other._known[open_].T, open_)

    def _count(self, block: np.ndarray, columns: np.ndarray) -> None:
        """Count the values of the columns that have not reached the cap."""
        width = self.counts[columns].max(initial=0)
        values = np.concatenate([self._known[columns, :width], block.T], axis=1)
        values.sort(axis=1)  # NaN come last
        is_new = ~np.isnan(values)
        is_new[:, 1:] &= values[:, 1:] != values[:, :-1]
        counts = is_new.sum(1)
        self.counts[columns] = np.minimum(counts, DISTINCT_CAP)
        kept = counts < DISTINCT_CAP
        self._keep(columns[kept], values[kept], is_new[kept])

    def _keep(self, columns: np.ndarray, values: np.ndarray, chosen: np.ndarray) -> None:
        """Keep the chosen values of each of some columns side by side, filled up with NaN."""
        counts = chosen.sum(1)
        wider = counts.max(initial=0) - self._known.shape[1]
        if wider > 0:
            self._known = np.pad(self._known, ((0, 0), (0, wider)), constant_values=np.nan)
        packed = np.full((len(values), self._known.shape[1]), np.nan, values.dtype)
        packed[np.arange(packed.shape[1]) < counts[:, None]] = values[chosen]
        self._known[columns] = packed
