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
"""Pages of a mapped file that may stay in memory before they are given back."""
FAULT_BYTES = 2**16
"""A page fault maps up to so much of the file around the row that was asked for."""


class MappedPages:
    """The pages that reading a memory-mapped array has brought into the process.

    The system counts them as the process's own until it needs the memory; here they are
    given back as they have been read. Nothing is lost: they are the file's.
    """

    def __init__(self, X: Any) -> None:
        self._mapping = _shared_mapping(X)
        self._touched = 0

    def touch(self, block: np.ndarray) -> None:
        """Note that the rows of a block were read; give pages back when they are many."""
        if self._mapping is None:
            return
        self._touched += max(block.nbytes, len(block) * FAULT_BYTES)
        if self._touched > KEPT_BYTES:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


def _shared_mapping(X: Any) -> mmap.mmap | None:
    """Return the mapped file behind an array; none behind a private copy of its pages."""
    while isinstance(X, np.ndarray):
        if getattr(X, "mode", "r") == "c" or not hasattr(mmap, "MADV_DONTNEED"):
            return None
        X = X.base
    return X if isinstance(X, mmap.mmap) else None


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
        self._pages = MappedPages(X)

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

    def raw(self, positions: np.ndarray | slice) -> np.ndarray:
        """Return a dense copy of rows, in ``raw_dtype``."""
        block = self.X[positions if self.index is None else self.index[positions]]
        if scipy.sparse.issparse(block):
            block = block.toarray()
        fresh = isinstance(block.base, type(None)) and block.dtype == self.raw_dtype
        copy = block if fresh else np.array(block, self.raw_dtype)
        self._pages.touch(block)
        return np.require(copy, requirements=["C", "W"])

    def scaled(self, raw: Tensor) -> Tensor:
        """Return raw rows as floats, in units of ``unit``."""
        x = raw.to(torch.float64 if self.dtype == np.float64 else torch.float32)
        return x if self.unit == 1 else x / self.unit

    def take(self, positions: np.ndarray | slice, device: str = "cpu") -> Tensor:
        """Return rows as a tensor of floats on a device."""
        return self.scaled(torch.from_numpy(self.raw(positions)).to(device))

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

    def batches(self, size: int, device: str = "cpu") -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows in order as ``(positions, tensor)``, ``size`` at a time."""
        for part in self.parts(size):
            yield part, self.take(part, device)
