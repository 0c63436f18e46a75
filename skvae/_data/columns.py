"""What a likelihood asks of the columns: their names, kinds, and statistics of one pass."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae._data.rows import BLOCK_BYTES, Rows
from skvae._data.statistics import Distinct, Moments, Values, pieces
from skvae._factor_analysis import gain_of_covariance
from skvae._world import world

SOME_ROWS = 10_000
"""So many tell quartiles up to 1 % of the rows."""

LEAST_NOISE = 1e-5
"""The share of a column's variance that no other determines, at least."""

NORMAL_RANGE = 1.3489795003921634
"""Between the quartiles of a normal variable lie so many standard deviations."""

EXACT_WHOLE = 2**53
"""From here on float64 does not hold every whole number."""

HEADROOM = 8
"""The largest float over this is where values end: sums and differences of some still fit."""

LARGEST = np.sqrt(np.finfo(np.float64).max) / HEADROOM
"""Squares of larger numbers overflow."""


class Look(NamedTuple):
    """What a first pass over all rows, in the order of their source, says of each column."""

    values: Values
    distinct: Distinct | None

    @classmethod
    def at(cls, rows: Rows, counts_distinct: bool = False) -> Look:
        """Look at all rows, those of other processes too."""
        look = cls.begin(rows, counts_distinct)
        for block, _ in rows.in_source_order().blocks():
            look.add(block)
        return look.joined()

    @classmethod
    def begin(cls, rows: Rows, counts_distinct: bool) -> Look:
        """Return one that has seen no rows yet."""
        distinct = Distinct(rows.n_features, rows.dtype) if counts_distinct else None
        return cls(Values(rows.n_features), distinct)

    def add(self, block: np.ndarray) -> None:
        """Look at a block."""
        for some in pieces(*block.shape):
            self.values.add(block[some])
        if self.distinct is not None:
            self.distinct.add(block)

    def joined(self) -> Look:
        """Return what it says together with those of other processes, at their rows."""
        first, *others = world().parts(self)
        for other in others:
            first.values.join(other.values)
            if first.distinct is not None and other.distinct is not None:
                first.distinct.join(other.distinct)
        return first


class Columns:
    """The columns of X, as a likelihood meets them.

    They are those of the rows of all processes, which have to ask for them together. The
    statistics come from two passes over all rows in the order of their source, each made when
    the first of its results is read: extremes and counts, then moments, which are the same in
    whatever order the rows come. Distinct values and logarithms are a part of these where they
    are wanted, and else a pass of their own. All pass over missing values (NaN). Of a column that
    holds nothing else, ``low`` and ``high`` are NaN, ``mean`` is 0 and ``scale`` 1.

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
    wants_detail : bool, default=False
        Whether distinct values and logarithms are wanted.
    look : Look, default=None
        The first pass, where it was made already.
    n_components : int, default=None
        How many components are to describe them, where it is known.
    """

    def __init__(
        self,
        rows: Rows,
        names: list[str] | None = None,
        kinds: Sequence[str | None] | None = None,
        n_levels: Sequence[int] | None = None,
        is_image: bool = False,
        wants_detail: bool = False,
        look: Look | None = None,
        n_components: int | None = None,
    ) -> None:
        self.rows = rows
        self.names = names
        self.kinds = list(kinds or [None] * rows.n_features)
        self.n_levels = list(n_levels or [0] * rows.n_features)
        self.is_image = is_image
        self.wants_detail = wants_detail
        self.n_components = n_components
        self._given_look = look

    def __len__(self) -> int:
        return self.rows.n_features

    def label(self, column: int) -> str:
        """Return how an error names a column."""
        return f"Column {column}" if self.names is None else f"Column {self.names[column]!r}"

    @property
    def n_rows(self) -> int:
        """The rows that were looked at."""
        return self._look.values.n_rows

    @property
    def low(self) -> Tensor:
        """The smallest value of each column, float64."""
        return torch.from_numpy(self._values.low)

    @property
    def high(self) -> Tensor:
        """The largest value of each column, float64."""
        return torch.from_numpy(self._values.high)

    @property
    def mean(self) -> Tensor:
        """The weighted mean of each column, float64."""
        return self._moments[0]

    @property
    def scale(self) -> Tensor:
        """The weighted standard deviation of each column, float64; 1 where it is constant."""
        return self._moments[1]

    @property
    def whole(self) -> Tensor:
        """Whether each column holds whole numbers only."""
        return torch.from_numpy(self._values.whole)

    @property
    def missing(self) -> Tensor:
        """The number of missing values of each column, int64."""
        return torch.from_numpy(self._values.missing)

    @property
    def distinct(self) -> Tensor:
        """The number of distinct values of each column, int64; ``DISTINCT_CAP`` is that or more."""
        return torch.from_numpy(self._distinct.counts)

    @property
    def zeros(self) -> Tensor:
        """The share of each column's values that are exactly 0, float64."""
        return torch.from_numpy(self._values.share(self._values.n_zeros))

    @property
    def at_ends(self) -> Tensor:
        """The share of each column's values that are exactly ``low`` or ``high``, float64."""
        return torch.from_numpy(self._values.share(self._values.n_at_ends()))

    @property
    def log_mean(self) -> Tensor:
        """The weighted mean of the logarithms of positive values, float64.

        It and ``log_scale`` are those of all of them only where no value is negative.
        """
        return self._logarithms[0]

    @property
    def log_scale(self) -> Tensor:
        """Their weighted standard deviation, float64; 1 where they are constant."""
        return self._logarithms[1]

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
        some = self.rows.some(SOME_ROWS).X.astype(np.float64)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            quartiles = np.nanquantile(some, [0.25, 0.5, 0.75], axis=0)
        return torch.from_numpy(np.where(np.isnan(quartiles), self.mean.numpy(), quartiles))

    @cached_property
    def kurtosis(self) -> Tensor:
        """The excess kurtosis of each column, float64; 0 where it is constant.

        Of some megabytes of rows: the order of rows has nothing to do with what they hold.
        """
        row_bytes = len(self) * self.rows.dtype().itemsize
        some = self.rows.some(max(1, BLOCK_BYTES // row_bytes))
        weight, block = some.weight, some.X.astype(np.float64)
        seen = ~np.isnan(block) * (1.0 if weight is None else weight[:, None])
        total = np.maximum(seen.sum(0), np.finfo(float).tiny)
        centered = np.where(seen > 0, block - np.nansum(seen * block, axis=0) / total, 0.0)
        largest = np.abs(centered).max(0)
        centered /= np.where(largest > 0, largest, 1.0)  # or fourth powers overflow
        second, fourth = ((seen * centered**power).sum(0) / total for power in (2, 4))
        varies = second > 0
        return torch.from_numpy(np.where(varies, fourth / np.where(varies, second, 1) ** 2 - 3, 0))

    def varies_beyond(self, n_components: int) -> bool:
        """Return whether columns vary together in more ways than components can explain.

        Of some rows, by the criterion of Akaike 1974 (https://doi.org/10.1109/TAC.1974.1100705):
        one normal distribution of whole rows against factor analysis. One half of a parameter's
        cost is that it fits the rows looked at, and the other, all rows that teach it.
        """
        some = self.rows.some(SOME_ROWS).X.astype(np.float64)
        rows = np.nan_to_num((some - self.mean.numpy()) / self.scale.numpy())
        rows = rows[:, np.ptp(rows, axis=0) > 0]
        if rows.shape[1] < 2:
            return False
        least_noise = np.full(rows.shape[1], LEAST_NOISE)
        gain, n_parameters = gain_of_covariance(rows, n_components, least_noise)
        return gain > n_parameters / 2 * (1 / len(rows) + 1 / self.n_rows)

    # The passes

    @cached_property
    def _look(self) -> Look:
        if self._given_look is not None:
            return self._given_look
        return Look.at(self.rows, self.wants_detail)

    @cached_property
    def _values(self) -> Values:
        values = self._look.values
        self._check_whole_numbers(values)
        self._check_size(values)
        return values

    @cached_property
    def _distinct(self) -> Distinct:
        found = self._look.distinct or Look.at(self.rows, counts_distinct=True).distinct
        assert found is not None
        return found

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and scale; the logarithms come along where they are wanted."""
        has_missing = bool(self._values.missing.any())
        moments = self._moments_between(self._values.low, self._values.high, has_missing)
        logarithms = self._log_moments() if self.wants_detail else None
        for piece, weight in self._pieces():
            moments.add(piece, weight)
            if logarithms is not None:
                logarithms.add(_logarithms(piece), weight)
        if logarithms is not None:
            self._logarithms = _found(logarithms)
        return _found(moments)

    @cached_property
    def _logarithms(self) -> tuple[Tensor, Tensor]:
        if self.wants_detail:
            _ = self._moments
            return self._logarithms
        logarithms = self._log_moments()
        for piece, weight in self._pieces():
            logarithms.add(_logarithms(piece), weight)
        return _found(logarithms)

    def _log_moments(self) -> Moments:
        """Return the moments of no logarithms yet: those of columns without negative values."""
        low, high = self._values.low, self._values.high
        tiny = np.finfo(self.rows.dtype).tiny
        is_wanted = (low >= 0) & (high > 0)
        least = np.where(is_wanted, np.maximum(low, tiny), np.nan)
        most = np.where(is_wanted, high, np.nan)
        return self._moments_between(np.log(least), np.log(most), has_missing=True)

    def _moments_between(self, low: np.ndarray, high: np.ndarray, has_missing: bool) -> Moments:
        weight = self.rows.weight
        largest = world().parts(1.0 if weight is None else weight.max())
        return Moments(low, high, has_missing, max(largest))

    def _pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for block, weight in self.rows.in_source_order().blocks():
            for some in pieces(*block.shape):
                yield block[some], None if weight is None else weight[some]

    def check_observed(self, more_to_come: bool = False) -> None:
        """Raise ``ValueError`` where a column holds missing values alone.

        Where there are more rows to come, only if all columns do.
        """
        empty = (self.missing == self.n_rows).tolist()
        if all(empty) if more_to_come else any(empty):
            column = empty.index(True)
            raise ValueError(
                f"{self.label(column)} of X holds only missing values (NaN), so nothing can be "
                f"learned about it. This is true of {sum(empty)} of {len(empty)} columns. Drop "
                "such columns, or fit on rows in which they have values."
            )

    def _check_whole_numbers(self, values: Values) -> None:
        """Raise ``ValueError`` for whole numbers that float64 cannot tell apart."""
        declared = self.rows.X.dtype.kind in "iu"
        is_whole = np.array([declared or kind == "whole" for kind in self.kinds])
        size = values.size()
        blurred = is_whole & (size >= EXACT_WHOLE)
        if blurred.any():
            column = int(blurred.argmax())
            raise ValueError(
                f"{self.label(column)} of X holds whole numbers as large as {size[column]:.6g}, "
                "but float64 cannot represent every whole number from 2**53 on. If the column "
                "holds identifiers, drop it. Otherwise subtract a constant from it, such as its "
                "smallest value, before it is converted to floats."
            )

    def _check_size(self, values: Values) -> None:
        """Raise ``ValueError`` for values that floats of their type cannot compute with."""
        size, dtype = values.size(), self.rows.dtype
        too_large = size > min(np.finfo(dtype).max / HEADROOM, LARGEST)
        if too_large.any():
            column = int(too_large.argmax())
            wider = ", or pass X.astype(np.float64)" if dtype == np.float32 else ""
            raise ValueError(
                f"{self.label(column)} of X holds values as large as {size[column]:.6g}, too "
                f"large to compute with in {dtype.__name__}: their differences or squares "
                f"overflow. Divide the column by {size[column]:.0e}{wider}."
            )


def _found(moments: Moments) -> tuple[Tensor, Tensor]:
    """Return mean and scale of what all processes have added up."""
    moments, *others = world().parts(moments)
    for other in others:
        moments.join(other)
    return torch.from_numpy(moments.mean()), torch.from_numpy(moments.scale())


def _logarithms(piece: np.ndarray) -> np.ndarray:
    """Return the logarithms of positive values in float64, NaN in place of others."""
    return np.log(np.where(piece > 0, piece, np.nan), dtype=np.float64)
