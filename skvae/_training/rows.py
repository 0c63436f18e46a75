"""Rows: a matrix that is cut into tensors a batch at a time and never copied whole."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.utils.data import Dataset

BLOCK_BYTES = 2**24
"""What one block of a pass over all rows takes."""
KEPT_BYTES = 2**26
"""Pages of a mapped file that are in memory at a time."""
FAULT_BYTES = 2**21
"""What reading one row of a mapped file may bring in: Linux maps large folios around it."""


class MappedFile:
    """A memory-mapped array that is read with few of its pages in memory.

    The system counts pages that were read as the process's own until it needs the memory;
    here they are given back at once. Nothing is lost: they are the file's.
    """

    def __init__(self, X: np.ndarray, mapping: mmap.mmap) -> None:
        self.X, self.mapping = X, mapping

    def __getitem__(self, positions: np.ndarray | slice) -> np.ndarray:
        row_bytes = self.X.dtype.itemsize * self.X.shape[1]
        index: Any = positions
        if isinstance(positions, slice):
            index = range(*positions.indices(len(self.X)))
        else:
            row_bytes += FAULT_BYTES
        step = max(1, KEPT_BYTES // row_bytes)
        block = np.empty((len(index), self.X.shape[1]), self.X.dtype)
        for start in range(0, len(index), step):
            some = index[start : start + step]
            within = slice(some.start, some.stop) if isinstance(some, range) else some
            block[start : start + step] = self.X[within]
            self.mapping.madvise(mmap.MADV_DONTNEED)
        return block


def _shared_mapping(X: Any) -> mmap.mmap | None:
    """Return the mapped file behind an array; none where pages may hold what no file does."""
    mode = None
    while isinstance(X, np.ndarray):
        mode = X.mode if isinstance(X, np.memmap) else mode
        X = X.base
    shared = mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED")
    return X if shared and isinstance(X, mmap.mmap) else None


class Rows(Dataset):
    """Some rows of an array, memmap or CSR matrix, in a given order, with weights.

    Parameters
    ----------
    X : ndarray, memmap or CSR matrix of shape (n, n_features)
        The source; it is only ever indexed.
    index : ndarray of int, default=None
        The rows of X that this holds, repeats allowed. ``None``: all, in order.
    weight : ndarray of shape (len(index),), default=None
        A weight for each.
    unit : float, default=1.0
        The value of X that is read as 1: 255 for the bytes of an image.
    """

    def __init__(
        self,
        X: Any,
        index: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        unit: float = 1.0,
    ) -> None:
        self.X = X
        self.index = index
        self.weight = weight
        self.unit = unit
        # float32 where it holds every value of X exactly, else float64.
        self.dtype = np.float32 if np.can_cast(X.dtype, np.float32) else np.float64
        mapping = _shared_mapping(X)
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

    def subset(self, positions: np.ndarray) -> Rows:
        """Return the rows at the given positions of this object."""
        weight = None if self.weight is None else self.weight[positions]
        index = positions if self.index is None else self.index[positions]
        return Rows(self.X, index, weight, self.unit)

    def raw(self, positions: np.ndarray | slice, copy: bool = True) -> np.ndarray:
        """Return rows, dense, in ``raw_dtype``; without ``copy``, a view where there can be one."""
        block = self._source[positions if self.index is None else self.index[positions]]
        if scipy.sparse.issparse(block):
            block = block.toarray()
        # Slices are views of X; torch wants what it could write to.
        shared = block.base is not None and copy
        block = np.array(block) if shared else block
        return np.require(block, self.raw_dtype, ["C", "W"])

    def scaled(self, raw: Tensor) -> Tensor:
        """Return raw rows as floats, in units of ``unit``."""
        x = raw.to(torch.float64 if self.dtype == np.float64 else torch.float32)
        return x if self.unit == 1 else x / self.unit

    def take(self, positions: np.ndarray | slice, device: str = "cpu", copy: bool = True) -> Tensor:
        """Return rows as a tensor of floats on a device; ``copy`` as in ``raw``."""
        return self.scaled(torch.from_numpy(self.raw(positions, copy)).to(device))

    def block(self, positions: np.ndarray | slice) -> np.ndarray:
        """Return rows as an array of ``dtype``."""
        return self.take(positions).numpy()

    def spread(self, n: int) -> Tensor:
        """Return at most ``n`` rows, evenly spread, as a tensor."""
        positions = np.linspace(0, len(self) - 1, min(n, len(self))).round().astype(np.int64)
        return self.take(positions)

    def parts(self, size: int) -> Iterator[slice]:
        """Yield the positions of all rows in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield all rows in order, with their weights, some megabytes at a time."""
        row_bytes = self.n_features * np.dtype(self.dtype).itemsize
        for part in self.parts(max(1, BLOCK_BYTES // row_bytes)):
            yield self.block(part), None if self.weight is None else self.weight[part]

    def batches(
        self, size: int, device: str = "cpu", copy: bool = True
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows in order as ``(positions, tensor)``, ``size`` at a time."""
        for part in self.parts(size):
            yield part, self.take(part, device, copy)
