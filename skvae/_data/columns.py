"""What a likelihood asks of the columns: their names, kinds, and statistics of one pass."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from skvae._data.rows import Rows

DISTINCT_CAP = 256
"""Distinct values of a column are counted up to here: enough for bytes and for any category that
a network is shown as columns, and cheap, as most real columns reach it within a block."""

SOME_ROWS = 10_000
"""So many tell quartiles up to 1 % of the rows."""

NORMAL_RANGE = 1.3489795003921634
"""Between the quartiles of a normal variable lie so many standard deviations."""

EXACT_WHOLE = 2**53
"""From here on float64 does not hold every whole number."""

HEADROOM = 8
"""The largest float over this is where values end: sums and differences of some still fit."""


class Statistics(NamedTuple):
    """What one pass over all rows says of each column."""

    low: Tensor
    high: Tensor
    mean: Tensor
    scale: Tensor
    whole: Tensor
    missing: Tensor
    distinct: Tensor
    zeros: Tensor
    at_ends: Tensor
    log_mean: Tensor
    log_scale: Tensor


class Columns:
    """The columns of X, as a likelihood meets them.

    The statistics come from one pass over all rows, made when the first of them is read. They
    pass over missing values (NaN). Of a column that holds nothing else, ``low`` and ``high``
    are NaN, ``mean`` is 0 and ``scale`` 1.

    Parameters
    ----------
    rows : Rows
        With the weights that ``mean`` and ``scale`` are to have.
    names : list of str, default=None
        Their names, when X had any.
    kinds : sequence of {"real", "whole", "boolean", "category"} or None, default=None
        For each column, what a data frame declares it to be; ``None`` where nothing does.
    n_levels : sequence of int, default=None
        For each column, the number of its categories; 0 where it has none.
    is_image : bool, default=False
        Whether rows are images, and columns their pixels.
    """

    def __init__(
        self,
        rows: Rows,
        names: list[str] | None = None,
        kinds: Sequence[str | None] | None = None,
        n_levels: Sequence[int] | None = None,
        is_image: bool = False,
    ) -> None:
        self.rows = rows
        self.names = names
        self.kinds = list(kinds or [None] * rows.n_features)
        self.n_levels = list(n_levels or [0] * rows.n_features)
        self.is_image = is_image

    @classmethod
    def of(
        cls,
        rows: Rows,
        names: list[str] | None = None,
        kinds: Sequence[str | None] | None = None,
        n_levels: Sequence[int] | None = None,
        is_image: bool = False,
    ) -> Columns:
        """Return the columns of some rows."""
        return cls(rows, names, kinds, n_levels, is_image)

    def __len__(self) -> int:
        return self.rows.n_features

    def label(self, column: int) -> str:
        """Return how an error names a column."""
        return f"Column {column}" if self.names is None else f"Column {self.names[column]!r}"

    @property
    def low(self) -> Tensor:
        """The smallest value of each column, float64."""
        return self._statistics.low

    @property
    def high(self) -> Tensor:
        """The largest value of each column, float64."""
        return self._statistics.high

    @property
    def mean(self) -> Tensor:
        """The weighted mean of each column, float64."""
        return self._statistics.mean

    @property
    def scale(self) -> Tensor:
        """The weighted standard deviation of each column, float64; 1 where it is constant."""
        return self._statistics.scale

    @property
    def whole(self) -> Tensor:
        """Whether each column holds whole numbers only."""
        return self._statistics.whole

    @property
    def missing(self) -> Tensor:
        """The number of missing values of each column, int64."""
        return self._statistics.missing

    @property
    def distinct(self) -> Tensor:
        """The number of distinct values of each column, int64; ``DISTINCT_CAP`` is that or more."""
        return self._statistics.distinct

    @property
    def zeros(self) -> Tensor:
        """The share of each column's values that are exactly 0, float64."""
        return self._statistics.zeros

    @property
    def at_ends(self) -> Tensor:
        """The share of each column's values that are exactly ``low`` or ``high``, float64."""
        return self._statistics.at_ends

    @property
    def log_mean(self) -> Tensor:
        """The weighted mean of the logarithms of positive values, float64.

        It and ``log_scale`` are those of all of them only where no value is negative.
        """
        return self._statistics.log_mean

    @property
    def log_scale(self) -> Tensor:
        """Their weighted standard deviation, float64; 1 where they are constant."""
        return self._statistics.log_scale

    @property
    def constant(self) -> Tensor:
        """Whether each column holds one value only, as far as these rows tell."""
        return ~(self.low < self.high)

    @property
    def median(self) -> Tensor:
        """The median of each column, float64, of some rows, whatever their weight."""
        return self._quartiles[1]

    @property
    def robust_scale(self) -> Tensor:
        """The distance of the quartiles of each column, as standard deviations of a normal one.

        Float64; ``scale`` where half of the values are equal.
        """
        low, _, high = self._quartiles
        return torch.where(high > low, (high - low) / NORMAL_RANGE, self.scale)

    @cached_property
    def _quartiles(self) -> Tensor:
        some = self.rows.block(self.rows.spread(SOME_ROWS)).astype(np.float64)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            quartiles = np.nanquantile(some, [0.25, 0.5, 0.75], axis=0)
        return torch.from_numpy(np.where(np.isnan(quartiles), self.mean.numpy(), quartiles))

    @cached_property
    def kurtosis(self) -> Tensor:
        """The excess kurtosis of each column, float64; 0 where it is constant.

        Of some megabytes of rows: the order of rows has nothing to do with what they hold.
        """
        block, weight = next(self.rows.blocks())
        block = block.astype(np.float64)
        seen = ~np.isnan(block) * (1.0 if weight is None else weight[:, None])
        total = np.maximum(seen.sum(0), np.finfo(float).tiny)
        centered = np.where(seen > 0, block - np.nansum(seen * block, axis=0) / total, 0.0)
        largest = np.abs(centered).max(0)
        centered /= np.where(largest > 0, largest, 1.0)  # or fourth powers overflow
        second, fourth = ((seen * centered**power).sum(0) / total for power in (2, 4))
        varies = second > 0
        return torch.from_numpy(np.where(varies, fourth / np.where(varies, second, 1) ** 2 - 3, 0))

    @cached_property
    def _statistics(self) -> Statistics:
        moments, values = _Moments(len(self)), _Values(len(self), self.rows.dtype)
        logarithms = _Logarithms(len(self))
        # Values near the largest float overflow here; they are refused below.
        with np.errstate(all="ignore"):
            for block, weight in self.rows.blocks():
                moments.add(block, weight)
                values.add(block)
                logarithms.add(block, weight, values.low >= 0)
        self._check_whole_numbers(values)
        self._check_size(values, moments)
        return Statistics(
            low=torch.from_numpy(values.low),
            high=torch.from_numpy(values.high),
            mean=torch.from_numpy(moments.mean()),
            scale=torch.from_numpy(moments.scale()),
            whole=torch.from_numpy(values.whole),
            missing=torch.from_numpy(values.missing),
            distinct=torch.from_numpy(values.distinct),
            zeros=torch.from_numpy(values.share(values.n_zeros)),
            at_ends=torch.from_numpy(values.share(values.n_at_ends())),
            log_mean=torch.from_numpy(logarithms.mean()),
            log_scale=torch.from_numpy(logarithms.scale()),
        )

    def check_observed(self) -> None:
        """Raise ``ValueError`` where a column holds missing values alone."""
        empty = (self.missing == len(self.rows)).tolist()
        if any(empty):
            column = empty.index(True)
            raise ValueError(
                f"{self.label(column)} of X holds missing values (NaN) alone, so that there is "
                f"nothing to learn of it; so do {sum(empty)} of {len(empty)} columns. Drop it, or "
                "fit on rows in which it is observed."
            )

    def _check_whole_numbers(self, values: _Values) -> None:
        """Raise ``ValueError`` for whole numbers that float64 cannot tell apart."""
        declared = self.rows.X.dtype.kind in "iu"
        is_whole = np.array([declared or kind == "whole" for kind in self.kinds])
        size = values.size()
        blurred = is_whole & (size >= EXACT_WHOLE)
        if blurred.any():
            column = int(blurred.argmax())
            raise ValueError(
                f"{self.label(column)} of X holds whole numbers as large as {size[column]:.6g}, "
                "but float64 cannot tell whole numbers from 2**53 on apart. Drop the column if "
                "it holds identifiers, else subtract a start from it, such as its smallest value, "
                "before it becomes a float."
            )

    def _check_size(self, values: _Values, moments: _Moments) -> None:
        """Raise ``ValueError`` for values that floats of their type cannot compute with."""
        size, dtype = values.size(), self.rows.dtype
        too_large = (size > np.finfo(dtype).max / HEADROOM) | ~moments.is_finite()
        if too_large.any():
            column = int(too_large.argmax())
            wider = ", or pass X.astype(np.float64)" if dtype == np.float32 else ""
            raise ValueError(
                f"{self.label(column)} of X holds values as large as {size[column]:.6g}, too "
                f"large to compute with in {dtype.__name__}: their differences or squares "
                f"overflow. Divide the column by {size[column]:.0e}{wider}."
            )


class _Moments:
    """Weighted mean and standard deviation, added up over blocks."""

    def __init__(self, n_features: int) -> None:
        self.scaler = StandardScaler()
        self.n_features = n_features

    def add(self, block: np.ndarray, weight: np.ndarray | None) -> None:
        self.scaler.partial_fit(block, sample_weight=weight)
        # The next block would add to the NaN that a column without values has for a mean.
        self.scaler.mean_[self._unseen()] = 0.0

    def _unseen(self) -> np.ndarray:
        return np.broadcast_to(self.scaler.n_samples_seen_, self.n_features) == 0

    def is_finite(self) -> np.ndarray:
        seen = np.isfinite(self.scaler.mean_) & np.isfinite(self.scaler.var_)
        return seen | self._unseen()

    def mean(self) -> np.ndarray:
        return self.scaler.mean_

    def scale(self) -> np.ndarray:
        return np.where(self._unseen(), 1.0, self.scaler.scale_)


class _Logarithms:
    """Weighted mean and standard deviation of the logarithms of positive values."""

    def __init__(self, n_features: int) -> None:
        self.weight = np.zeros(n_features)
        # Sums around the mean of the first values: logarithms of a column far from 0 lie together.
        self.centre = np.zeros(n_features)
        self.sum = np.zeros(n_features)
        self.squares = np.zeros(n_features)

    def add(self, block: np.ndarray, weight: np.ndarray | None, wanted: np.ndarray) -> None:
        """Add the values of the columns that are wanted."""
        columns = np.flatnonzero(wanted)
        some = block[:, columns]
        weight = np.ones(len(block)) if weight is None else weight.astype(np.float64)
        is_positive = some > 0
        # All in float64, and 1 for the others: a masked logarithm takes longer.
        logs = np.log(np.where(is_positive, some, 1.0), dtype=np.float64)
        total = weight @ is_positive
        is_first = (self.weight[columns] == 0) & (total > 0)
        first = columns[is_first]
        self.centre[first] = (weight @ logs)[is_first] / total[is_first]
        logs -= self.centre[columns]
        logs *= is_positive
        self.weight[columns] += total
        self.sum[columns] += weight @ logs
        self.squares[columns] += weight @ np.square(logs, out=logs)

    def mean(self) -> np.ndarray:
        return self.centre + self.sum / np.where(self.weight > 0, self.weight, 1.0)

    def scale(self) -> np.ndarray:
        """Return the standard deviation; 1 where values are equal, or there are none."""
        weight = np.where(self.weight > 0, self.weight, 1.0)
        variance = self.squares / weight - (self.sum / weight) ** 2
        spread = np.sqrt(np.maximum(variance, 0.0))
        # Rounding leaves this much of equal values.
        rounding = 10 * np.finfo(np.float64).eps * np.maximum(np.abs(self.centre), 1.0)
        return np.where(spread > rounding, spread, 1.0)


class _Values:
    """Extremes, missing values, whole numbers and distinct values, added up over blocks."""

    def __init__(self, n_features: int, dtype: Any) -> None:
        self.low = np.full(n_features, np.nan)
        self.high = np.full(n_features, np.nan)
        self.missing = np.zeros(n_features, np.int64)
        self.n_rows = 0
        self.n_zeros = np.zeros(n_features, np.int64)
        self._n_low = np.zeros(n_features, np.int64)
        self._n_high = np.zeros(n_features, np.int64)
        self.whole = np.ones(n_features, bool)
        self.distinct = np.zeros(n_features, np.int64)
        # The distinct values of each column, sorted, as long as they are fewer than the cap.
        self._known = np.empty((n_features, 0), dtype)

    def add(self, block: np.ndarray) -> None:
        low, high = block.min(0), block.max(0)
        if np.isnan(low).any():
            low, high = np.fmin.reduce(block), np.fmax.reduce(block)
            self.missing += np.isnan(block).sum(0)
        # Values at an end that has moved count no more; NaN is no end yet.
        self._n_low[~(self.low <= low)] = 0
        self._n_high[~(self.high >= high)] = 0
        self.low, self.high = np.fmin(self.low, low), np.fmax(self.high, high)
        self._n_low += (block == self.low).sum(0)
        self._n_high += (block == self.high).sum(0)
        self.n_rows += len(block)
        self.n_zeros += (block == 0).sum(0)
        self._look_for_fractions(block)
        # Most columns of sparse rows hold one value in a block, and are done with one row.
        self._count(low[None], low == high)
        # Most columns of real numbers have enough distinct values in few rows.
        for some in (block[: 2 * DISTINCT_CAP], block[2 * DISTINCT_CAP :]):
            self._count(some, low < high)

    def n_at_ends(self) -> np.ndarray:
        """Return how many values are the lowest or the highest; of a constant column all."""
        return np.where(self.low < self.high, self._n_low + self._n_high, self._n_low)

    def share(self, count: np.ndarray) -> np.ndarray:
        """Return a count of values as a share of those seen; 0 where there is none."""
        return count / np.maximum(self.n_rows - self.missing, 1)

    def size(self) -> np.ndarray:
        """Return the largest magnitude in each column; 0 where there is none."""
        return np.nan_to_num(np.fmax(np.abs(self.low), np.abs(self.high)), posinf=np.inf)

    def _look_for_fractions(self, block: np.ndarray) -> None:
        some = block[:, self.whole]
        self.whole[self.whole] = ((np.floor(some) == some) | np.isnan(some)).all(0)

    def _count(self, block: np.ndarray, wanted: np.ndarray) -> None:
        """Count the values of the columns that are wanted and have not reached the cap."""
        columns = np.flatnonzero(wanted & (self.distinct < DISTINCT_CAP))
        width = self.distinct[columns].max(initial=0)
        values = np.concatenate([self._known[columns, :width], block[:, columns].T], axis=1)
        values.sort(axis=1)  # NaN come last
        is_new = ~np.isnan(values)
        is_new[:, 1:] &= values[:, 1:] != values[:, :-1]
        counts = is_new.sum(1)
        self.distinct[columns] = np.minimum(counts, DISTINCT_CAP)
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
