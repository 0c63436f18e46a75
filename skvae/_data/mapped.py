"""Memory-mapped arrays that are read with few of their pages in memory."""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

KEPT_BYTES = 2**26
"""Pages of a mapped file that are in memory at a time."""
FAULT_BYTES = 2**21
"""What reading one row of a mapped file may bring in: Linux maps large folios around it."""

_MAPS = Path("/proc/self/maps")


class MappedFile:
    """A memory-mapped array that is read with few of its pages in memory.

    The system counts pages that were read as the process's own until it needs the memory;
    here they are given back at once. Nothing is lost: they are the file's. Rows that lie far
    apart are read from the file itself where it can be found, past the mapping, each of whose
    pages would be mapped and given back for one row.
    """

    def __init__(self, X: np.ndarray, mapping: mmap.mmap) -> None:
        self.X, self.mapping = X, mapping
        self._file = _File.behind(X)

    def __getitem__(self, positions: np.ndarray | slice) -> np.ndarray:
        if self._file is not None and not isinstance(positions, slice):
            return self._file.read(self.X, positions)
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


class _File:
    """The open file behind a mapped array whose rows lie in one piece each."""

    def __init__(self, descriptor: int, origin: int) -> None:
        self.descriptor, self.origin = descriptor, origin
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def behind(cls, X: np.ndarray) -> _File | None:
        """Return it; ``None`` where Linux does not name it, or its name is another file's now."""
        if X.strides[1] != X.itemsize or X.strides[0] < 0 or not _MAPS.exists():
            return None
        address = X.__array_interface__["data"][0]
        for line in _MAPS.read_text().splitlines():
            # Addresses, permissions, offset in the file, device, number of the file, its name.
            addresses, _, offset, _, number, *name = line.split(maxsplit=5)
            start, end = (int(end, 16) for end in addresses.split("-"))
            if not start <= address < end:
                continue
            try:
                descriptor = os.open(name[0], os.O_RDONLY)
            except (OSError, IndexError):
                return None
            if os.fstat(descriptor).st_ino == int(number):
                return cls(descriptor, int(offset, 16) + address - start)
            os.close(descriptor)
        return None

    def read(self, X: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return rows of X; those that follow one another are read at once."""
        block = np.empty((len(positions), X.shape[1]), X.dtype)
        left = block.reshape(-1).view(np.uint8).data
        row_bytes, stride = X.itemsize * X.shape[1], X.strides[0]
        follows = np.diff(positions) == (1 if stride == row_bytes else np.nan)
        first = np.flatnonzero(np.concatenate([[True], ~follows])[: len(positions)])
        sizes = np.diff(first, append=len(positions)) * row_bytes
        starts = positions[first].astype(np.int64) * stride + self.origin
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            while size:
                n_read = os.preadv(self.descriptor, [left[:size]], start)
                if not n_read:
                    raise OSError(
                        "The file that X is mapped from has become shorter. Make X again from a "
                        "complete file."
                    )
                left, start, size = left[n_read:], start + n_read, size - n_read
        return block


def shared_mapping(X: Any) -> mmap.mmap | None:
    """Return the mapped file behind an array; none where pages may hold what no file does."""
    mode = None
    while isinstance(X, np.ndarray):
        mode = X.mode if isinstance(X, np.memmap) else mode
        X = X.base
    shared = mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED")
    return X if shared and isinstance(X, mmap.mmap) else None
