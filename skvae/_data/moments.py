"""Location and scale of columns that the rows so far say too little of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae._data.columns import Columns
from skvae._world import world

FEW_ROWS = 100
"""So many rows, of a stream, tell a standard deviation up to 7 %."""


class Moved(NamedTuple):
    """Columns whose moments are known better now."""

    indices: list[int]
    loc: Tensor
    scale: Tensor


class Moments(NamedTuple):
    """Moments so far of the columns that are not settled: they grow with the rows to come.

    These are the columns that have had one value only, or none, and in the first calls of
    ``partial_fit`` all. Many rows that hold one value count for one: more of the same say nothing
    of a column's spread.
    """

    columns: np.ndarray
    """Indices, int64."""
    n_rows: np.ndarray
    """Rows behind each in which it was observed, float64."""
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, columns: Columns, is_streamed: bool) -> Moments | None:
        """Return those of the first rows; ``None`` where all columns are settled."""
        found = cls._found(columns, np.arange(len(columns)))
        return found._unsettled(is_streamed)

    def merged(self, columns: Columns, is_streamed: bool) -> tuple[Moments | None, Moved]:
        """Return what is left unsettled after more rows, and the columns that moved."""
        new = self._found(columns, self.columns)
        n_rows = self.n_rows + new.n_rows
        total = np.maximum(n_rows, 1)  # a column may not have been observed yet
        mean = (self.n_rows * self.mean + new.n_rows * new.mean) / total
        squares = sum(
            some.n_rows * (some.variance + (some.mean - mean) ** 2) for some in (self, new)
        )
        both = Moments(self.columns, n_rows, mean, squares / total)
        varies = both.variance > 0
        moves = varies | ((self.n_rows == 0) & (new.n_rows > 0))
        scale = np.where(varies, np.sqrt(both.variance), 1.0)
        moved = Moved(
            both.columns[moves].tolist(),
            torch.from_numpy(both.mean[moves]),
            torch.from_numpy(scale[moves]),
        )
        return both._unsettled(is_streamed), moved

    def are_those_of(self, columns: Columns) -> bool:
        """Whether the rows hold nothing but the value of every column, all of them constant."""
        if self.variance.any() or not self.n_rows.all():
            return False
        blocks = columns.rows.blocks()
        are_those = all(bool((block[:, self.columns] == self.mean).all()) for block, _ in blocks)
        return all(world().parts(are_those))

    def is_valid(self, n_features: int) -> bool:
        """Whether a fit to so many columns could have made this."""
        shape = np.shape(self.columns)
        return all(
            isinstance(values, np.ndarray)
            and values.shape == shape
            and len(shape) == 1
            and values.dtype == (np.int64 if name == "columns" else np.float64)
            and np.isfinite(values).all()
            for name, values in self._asdict().items()
        ) and bool(((self.columns >= 0) & (self.columns < n_features)).all())

    @classmethod
    def _found(cls, columns: Columns, indices: np.ndarray) -> Moments:
        constant = columns.constant.numpy()[indices]
        n_rows = columns.n_rows - columns.missing.numpy()[indices].astype(np.float64)
        # The mean of equal numbers may be off by a rounding; a constant's scale is 1 by convention.
        is_one = constant & (n_rows > 0)
        mean = np.where(is_one, columns.low.numpy()[indices], columns.mean.numpy()[indices])
        variance = np.where(constant, 0.0, columns.scale.numpy()[indices] ** 2)
        return cls(indices, _counted(n_rows, constant), mean, variance)

    def _unsettled(self, is_streamed: bool) -> Moments | None:
        constant = self.variance == 0
        kept = constant | (is_streamed & (self.n_rows < FEW_ROWS))
        if not kept.any():
            return None
        counted = self._replace(n_rows=_counted(self.n_rows, constant))
        return Moments(*(values[kept] for values in counted))


def _counted(n_rows: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return how many rows count."""
    return np.where(constant & (n_rows >= FEW_ROWS), 1.0, n_rows)
