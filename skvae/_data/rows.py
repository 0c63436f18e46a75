"""Rows: a matrix that is cut into tensors a batch at a time and never copied whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.utils.data import Dataset

from skvae._data.chunked import ChunkedArray
from skvae._data.mapped import MappedFile, shared_mapping
from skvae._world import world
from skvae.model import Batch

BLOCK_BYTES = 2**24
"""What one block of a pass over all rows takes."""


ORDERED_ROWS = 2**20
"""Positions in order that are made at a time."""


class Rows(Dataset):
    """Some rows of an array, memmap or CSR matrix, in a given order, with what is beside them.

    Parameters
    ----------
    X : ndarray, memmap, CSR matrix or ChunkedArray of shape (n, n_features)
        The source; it is only ever indexed.
    index : ndarray of int, default=None
        The rows of X that this holds, repeats allowed; those of a ChunkedArray are in its order.
        ``None``: all, in order.
    weight : ndarray of shape (len(index),), default=None
        A weight for each of them.
    unit : float, default=1.0
        The value of X that is read as 1: 255 for the bytes of an image.
    context : ndarray of shape (n, n_context), default=None
        What each row of X is given; like X, it is only ever indexed.
    label : ndarray of shape (n,), default=None
        The number of a class for each row of X, NaN where it is unknown.
    has_missing : bool, default=False
        Whether X may hold NaN, which stands for a value that was not observed.
    """

    def __init__(
        self,
        X: Any,
        index: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        unit: float = 1.0,
        context: np.ndarray | None = None,
        label: np.ndarray | None = None,
        has_missing: bool = False,
    ) -> None:
        self.X = X
        self.index = index
        self.weight = weight
        self.unit = unit
        self.context = context
        self.label = label
        self.has_missing = has_missing

    @property
    def X(self) -> Any:  # noqa: N802 - scikit-learn's name
        """The source. A callback may set another of the same shape, drawn anew for its epoch."""
        return self._X

    @X.setter
    def X(self, X: Any) -> None:  # noqa: N802 - the same
        self._X = X
        # float32 where it holds every value of X exactly, else float64.
        self.dtype = np.float32 if np.can_cast(X.dtype, np.float32) else np.float64
        mapping = shared_mapping(X)
        self._source: Any = X if mapping is None else MappedFile(X, mapping)

    def __len__(self) -> int:
        return self.X.shape[0] if self.index is None else len(self.index)

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self.X.shape[1]

    @property
    def raw_dtype(self) -> np.dtype:
        """The type in which rows travel to the device: bytes as they are."""
        return self.X.dtype if self.X.dtype.itemsize == 1 else np.dtype(self.dtype)

    # Other rows

    def subset(self, positions: np.ndarray) -> Rows:
        """Return the rows at the given positions of this object."""
        weight = None if self.weight is None else self.weight[positions]
        return self._with(self._of_x(positions), weight)

    def with_weight(self, weight: np.ndarray) -> Rows:
        """Return the same rows with other weights."""
        return self._with(self.index, weight)

    def without(self, hidden: np.ndarray) -> Rows:
        """Return the same rows, some values of which were not observed.

        Parameters
        ----------
        hidden : ndarray of bool, shape X.shape
            Which, of a dense X.
        """
        X = np.where(hidden, np.nan, self.X).astype(self.dtype)
        beside = self.unit, self.context, self.label
        has_missing = self.has_missing or bool(hidden.any())
        return Rows(X, self.index, self.weight, *beside, has_missing=has_missing)

    def with_context(self, context: np.ndarray | None) -> Rows:
        """Return the same rows with another context for each row of X."""
        beside = self.unit, context, self.label, self.has_missing
        return Rows(self.X, self.index, self.weight, *beside)

    def or_one(self) -> Rows:
        """Return the same rows, or where these are none, one of X that stands in for them."""
        if len(self):
            return self
        return self._with(np.zeros(1, np.int64), None if self.weight is None else np.ones(1))

    def in_source_order(self) -> Rows:
        """Return the same rows, repeats side by side, in the order in which X has them."""
        if self.index is None:
            return self
        order = np.argsort(self.index, kind="stable")
        index = self.index[order]
        weight = None if self.weight is None else self.weight[order]
        is_whole = len(index) == self.X.shape[0] and bool((np.diff(index) == 1).all())
        return self._with(None if is_whole else index, weight)

    def _with(self, index: np.ndarray | None, weight: np.ndarray | None) -> Rows:
        beside = self.unit, self.context, self.label, self.has_missing
        return Rows(self.X, index, weight, *beside)

    def _of_x(self, positions: Any) -> Any:
        """Return positions among the rows of X."""
        return positions if self.index is None else self.index[positions]

    def labels(self) -> np.ndarray:
        """Return the label of each row, NaN where it is unknown; there must be some."""
        assert self.label is not None
        return self.label if self.index is None else self.label[self.index]

    def set_labels(self, labels: np.ndarray) -> None:
        """Give each row another label; rows of X that are not among these lose theirs."""
        self.label = np.full(self.X.shape[0], np.nan)
        self.label[slice(None) if self.index is None else self.index] = labels

    # Some of them

    def raw(self, positions: np.ndarray | slice, copy: bool = True) -> np.ndarray:
        """Return rows, dense, in ``raw_dtype``; without ``copy``, a view where there can be one."""
        block = self._source[self._of_x(positions)]
        if scipy.sparse.issparse(block):
            block = block.toarray()
        # Slices are views of X; torch wants what it could write to.
        shared = block.base is not None and (copy or self.has_missing)
        block = np.array(block) if shared else block
        block = np.require(block, self.raw_dtype, ["C", "W"])
        if self.has_missing:
            block[np.isnan(block)] = np.nan  # which has many patterns of bits: rows are hashed
        return block

    def scaled(self, raw: Tensor) -> Tensor:
        """Return raw rows as floats, in units of ``unit``."""
        x = raw.to(torch.float64 if self.dtype == np.float64 else torch.float32)
        return x if self.unit == 1 else x / self.unit

    def take(self, positions: np.ndarray | slice, device: str = "cpu", copy: bool = True) -> Tensor:
        """Return rows as a tensor of floats on a device; ``copy`` as in ``raw``."""
        return self.scaled(sent(torch.from_numpy(self.raw(positions, copy)), device))

    def batch(self, positions: np.ndarray | slice, device: str = "cpu", copy: bool = True) -> Batch:
        """Return rows on a device with what is beside them; ``copy`` as in ``raw``."""
        x = self.take(positions, device, copy)
        return Batch(x, **self.beside(positions, device), has_missing=self.has_missing)

    def block(self, positions: np.ndarray | slice) -> np.ndarray:
        """Return rows as an array of ``dtype``."""
        return self.take(positions).numpy()

    def spread(self, n: int) -> np.ndarray:
        """Return the positions of at most ``n`` rows, evenly spread.

        Of a ChunkedArray, over as many of its chunks as one window holds, evenly spread.
        """
        if isinstance(self.X, ChunkedArray):
            n_chunks = self.X.n_chunks
            chunks = _evenly(n_chunks, min(self.X.window_size, n_chunks))
            positions = self._in_chunks(chunks)
            return positions[_evenly(len(positions), min(n, len(positions)))]
        return _evenly(len(self), min(n, len(self)))

    def some(self, n: int) -> Rows:
        """Return about ``n`` of the rows of all processes, evenly spread, in memory."""
        mine = self.spread(world().n_of(n, len(self)))
        at = self._of_x(mine)
        block, weight, context, label = (
            None if values is None else world().joined(values)
            for values in (
                self.block(mine),
                None if self.weight is None else self.weight[mine],
                None if self.context is None else self.context[at],
                None if self.label is None else self.label[at],
            )
        )
        has_missing = any(world().parts(self.has_missing))
        return Rows(block, None, weight, 1.0, context, label, has_missing)

    def n_in_all(self) -> int:
        """Return how many rows all processes have together."""
        return sum(world().parts(len(self)))

    def beside(self, positions: Any, device: str = "cpu") -> dict[str, Tensor | None]:
        """Return what is known beside rows, by its name in a batch."""
        at = self._of_x(positions)
        return {
            "context": _tensor(self.context, at, self.dtype, device),
            "label": _tensor(self.label, at, self.dtype, device),
            "weight": _tensor(self.weight, positions, np.float32, device),
        }

    # All of them

    def shuffled(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield all positions in random order; what is in memory at a time, of a ChunkedArray.

        Its chunks come in random order, and the rows of some of them, a window, in random order.
        """
        if not isinstance(self.X, ChunkedArray):
            yield torch.randperm(len(self), generator=generator)
            return
        chunks = torch.randperm(self.X.n_chunks, generator=generator).numpy()
        for start in range(0, len(chunks), self.X.window_size):
            positions = self._in_chunks(chunks[start : start + self.X.window_size])
            order = torch.randperm(len(positions), generator=generator)
            yield torch.from_numpy(positions)[order]

    def in_order(self) -> Iterator[Tensor]:
        """Yield all positions in order."""
        for some in self.slices(ORDERED_ROWS):
            yield torch.arange(some.start, some.stop)

    def _in_chunks(self, chunks: np.ndarray) -> np.ndarray:
        """Return the positions of the rows in some chunks of the source, which will be wanted."""
        self.X.expect(chunks)
        edges = self.X.edges
        starts, stops = edges[chunks], edges[chunks + 1]
        if self.index is not None:
            starts, stops = np.searchsorted(self.index, starts), np.searchsorted(self.index, stops)
        return np.concatenate([np.arange(*ends) for ends in zip(starts, stops, strict=True)])

    def slices(self, size: int) -> Iterator[slice]:
        """Yield the positions of all rows in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))

    def block_slices(self) -> Iterator[slice]:
        """Yield the positions of all rows in order, some megabytes at a time."""
        row_bytes = self.n_features * np.dtype(self.dtype).itemsize
        return self.slices(max(1, BLOCK_BYTES // row_bytes))

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield all rows in order, to be read, with their weights, some megabytes at a time."""
        for some in self.block_slices():
            block = self.take(some, copy=False).numpy()
            yield block, None if self.weight is None else self.weight[some]

    def parts(self) -> Iterator[tuple[slice, Rows]]:
        """Yield all rows in order as ``(positions, rows)``, in memory, some megabytes at a time."""
        for some in self.block_slices():
            at = self._of_x(some)
            weight, context, label = (
                None if values is None else values[index]
                for values, index in ((self.weight, some), (self.context, at), (self.label, at))
            )
            X = self.raw(some, copy=False)
            yield some, Rows(X, None, weight, self.unit, context, label, self.has_missing)

    def n_observed(self) -> int:
        """Return how many values are not missing."""
        if not self.has_missing:
            return len(self) * self.n_features
        return sum(int((~np.isnan(block)).sum()) for block, _ in self.blocks())

    def batches(
        self, size: int, device: str = "cpu", copy: bool = True
    ) -> Iterator[tuple[slice, Batch]]:
        """Yield all rows in order as ``(positions, batch)``, ``size`` at a time."""
        for some in self.slices(size):
            yield some, self.batch(some, device, copy)


def _evenly(n: int, n_some: int) -> np.ndarray:
    return np.linspace(0, n - 1, n_some).round().astype(np.int64)


def sent(tensor: Tensor, device: str) -> Tensor:
    """Return a tensor of the CPU on a device.

    A GPU is sent it from pinned memory: from there it fetches it by itself, while Python goes on,
    where else each batch would wait for the steps before it. torch keeps the memory until then.
    """
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _tensor(
    values: np.ndarray | None, positions: np.ndarray | slice, dtype: Any, device: str
) -> Tensor | None:
    """Return a copy of some values as a tensor, or ``None`` where there are none."""
    if values is None:
        return None
    return sent(torch.from_numpy(np.array(values[positions], dtype)), device)
