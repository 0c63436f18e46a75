"""Arrays that are read a chunk at a time: those of HDF5, zarr, dask, and whatever can be sliced."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from torch import Tensor

from skvae._data.mapped import MappedFile, shared_mapping

CHUNK_BYTES = 2**20
"""Chunks that are smaller are read several at a time."""
WINDOW_BYTES = 2**26
"""Chunks that lie in memory together, and the rows of which are shuffled together."""


def is_lazy(X: Any) -> bool:
    """Return whether X is no matrix in memory, but something that gives some of its rows.

    It has ``shape``, ``dtype`` and slicing, and either says how it is cut into chunks, or has
    none of the protocols by which arrays in memory are exchanged.
    """
    if isinstance(X, np.ndarray | np.generic | Tensor) or scipy.sparse.issparse(X):
        return False
    if not all(hasattr(X, name) for name in ("shape", "dtype", "__getitem__")):
        return False
    in_memory = ("__array_interface__", "__dlpack__", "__array_struct__", "iloc", "columns")
    return hasattr(X, "chunks") or not any(hasattr(X, name) for name in in_memory)


class ChunkedArray:
    """A matrix of which only slices are read, and few of its chunks are in memory at a time.

    Rows in file order are read chunk by chunk, each once. Rows in any order are read from the
    chunks of a *window*, which somebody has said will be wanted together.

    Parameters
    ----------
    X : object
        With ``shape`` (two-dimensional), ``dtype`` and slicing; slices are arrays, or sparse, or
        have ``compute``, as those of dask do. A memory-mapped array is one as well.
    """

    def __init__(self, X: Any) -> None:
        mapping = shared_mapping(X)
        self._source: Any = X if mapping is None else MappedFile(X, mapping)
        self.shape: tuple[int, int] = (int(X.shape[0]), int(X.shape[1]))
        self.dtype = np.dtype(X.dtype)
        self.edges = _edges(X, self.shape, self.dtype.itemsize)
        self._chunk: tuple[int, np.ndarray] | None = None
        self._wanted: np.ndarray | None = None
        self._windows: list[_Window] = []

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype)

    @property
    def n_chunks(self) -> int:
        """How many there are."""
        return len(self.edges) - 1

    @property
    def nbytes(self) -> int:
        """What all of it would take."""
        return self.shape[0] * self.row_bytes

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return self.shape[1] * self.dtype.itemsize

    @property
    def window_size(self) -> int:
        """How many chunks are in memory together."""
        largest = int(np.diff(self.edges).max()) * self.row_bytes
        return max(1, WINDOW_BYTES // max(1, largest))

    def __getitem__(self, positions: np.ndarray | slice) -> np.ndarray:
        if isinstance(positions, slice):
            start, stop, _ = positions.indices(self.shape[0])
            return self._between(start, stop)
        block = np.empty((len(positions), self.shape[1]), self.dtype)
        self._read_window()
        left = np.ones(len(positions), bool)
        for window in self._windows:
            at = window.find(positions)
            found = left & (at >= 0)
            block[found] = window.rows[at[found]]
            left &= ~found
        chunks = np.searchsorted(self.edges, positions, "right") - 1
        for chunk in np.unique(chunks[left]):
            here = left & (chunks == chunk)
            block[here] = self._read(chunk)[positions[here] - self.edges[chunk]]
        return block

    def expect(self, chunks: np.ndarray) -> None:
        """Announce chunks whose rows will be wanted together, in any order; read when they are."""
        self._wanted = np.sort(chunks)

    def _read_window(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is None or any(np.array_equal(wanted, w.chunks) for w in self._windows):
            return
        # The window before is kept: a batch may have rows of both.
        self._windows = self._windows[-1:]
        self._windows.append(_Window(wanted, self.edges, self.shape[1], self.dtype))
        for chunk, rows in self._windows[-1].parts():
            rows[:] = self._slice(self.edges[chunk], self.edges[chunk + 1])

    def _between(self, start: int, stop: int) -> np.ndarray:
        """Return a slice of rows, a view of a chunk where they are in one."""
        if stop <= start:
            return np.empty((0, self.shape[1]), self.dtype)
        first, last = np.searchsorted(self.edges, [start, stop - 1], "right") - 1
        parts = [
            self._read(chunk)[max(start - self.edges[chunk], 0) : stop - self.edges[chunk]]
            for chunk in range(first, last + 1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _read(self, chunk: int) -> np.ndarray:
        """Return a chunk; the last one is still there."""
        if self._chunk is None or self._chunk[0] != chunk:
            self._chunk = None  # or two were in memory
            self._chunk = int(chunk), self._slice(self.edges[chunk], self.edges[chunk + 1])
        return self._chunk[1]

    def _slice(self, start: int, stop: int) -> np.ndarray:
        some = self._source[int(start) : int(stop)]
        some = some.compute() if hasattr(some, "compute") else some
        some = some.toarray() if scipy.sparse.issparse(some) else some
        return np.asarray(some, self.dtype)


class _Window:
    """Some chunks, side by side in memory."""

    def __init__(self, chunks: np.ndarray, edges: np.ndarray, width: int, dtype: Any) -> None:
        self.chunks, self.edges = chunks, edges
        sizes = edges[chunks + 1] - edges[chunks]
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.rows = np.empty((self.starts[-1], width), dtype)

    def parts(self) -> Any:
        """Yield each chunk with its rows, to be filled."""
        for i, chunk in enumerate(self.chunks):
            yield chunk, self.rows[self.starts[i] : self.starts[i + 1]]

    def find(self, positions: np.ndarray) -> np.ndarray:
        """Return where rows of X are among these; −1: nowhere."""
        at = np.searchsorted(self.edges[self.chunks], positions, "right") - 1
        chunk = self.chunks[np.maximum(at, 0)]
        is_here = (at >= 0) & (positions < self.edges[chunk + 1])
        found = positions - self.edges[chunk] + self.starts[np.maximum(at, 0)]
        return np.where(is_here, found, -1)


def _edges(X: Any, shape: tuple[int, int], itemsize: int) -> np.ndarray:
    """Return where chunks of rows begin and end: X's own, several together where they are small."""
    row_bytes = max(1, shape[1] * itemsize)
    at_least = max(1, CHUNK_BYTES // row_bytes)
    chunks = getattr(X, "chunks", None)
    own = chunks[0] if chunks else at_least
    if isinstance(own, tuple):  # dask gives the size of each
        ends = np.concatenate([[0], np.cumsum(own)]).astype(np.int64)
        kept = [0]
        for end in ends.tolist():
            if end - kept[-1] >= at_least or end == shape[0] > kept[-1]:
                kept.append(end)
        return np.array(kept)
    size = int(own) * -(-at_least // int(own))
    return np.append(np.arange(0, max(shape[0], 1), size), shape[0])
