"""Memory-mapped arrays that are read with few of their pages in memory."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

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


def shared_mapping(X: Any) -> mmap.mmap | None:
    """Return the mapped file behind an array; none where pages may hold what no file does."""
    mode = None
    while isinstance(X, np.ndarray):
        mode = X.mode if isinstance(X, np.memmap) else mode
        X = X.base
    shared = mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED")
    return X if shared and isinstance(X, mmap.mmap) else None
