"""Rows: a matrix that is cut into tensors a batch at a time and never copied whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.utils.data import Dataset


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
    """

    def __init__(
        self, X: Any, index: np.ndarray | None = None, weight: np.ndarray | None = None
    ) -> None:
        self.X = X
        self.index = np.arange(X.shape[0]) if index is None else index
        self.weight = weight
        # float32 where it holds every value of X exactly, else float64.
        self.dtype = np.float32 if np.can_cast(X.dtype, np.float32) else np.float64

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self.X.shape[1]

    def subset(self, positions: np.ndarray) -> Rows:
        """Return the rows at the given positions of this object."""
        weight = None if self.weight is None else self.weight[positions]
        return Rows(self.X, self.index[positions], weight)

    def block(self, positions: np.ndarray | slice) -> np.ndarray:
        """Return rows as a writable, contiguous, dense array of ``dtype``."""
        block = self.X[self.index[positions]]
        if scipy.sparse.issparse(block):
            block = block.toarray()
        return np.require(block, self.dtype, ["C", "W"])

    def take(self, positions: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """Return rows as a tensor, and their weights."""
        x = torch.from_numpy(self.block(positions))
        if self.weight is None:
            return x, None
        return x, torch.from_numpy(self.weight[positions].astype(np.float32))

    def spread(self, n: int) -> Tensor:
        """Return at most ``n`` rows, evenly spread, as a tensor."""
        positions = np.linspace(0, len(self) - 1, min(n, len(self))).round().astype(np.int64)
        return torch.from_numpy(self.block(positions))

    def blocks(self, size: int = 4096) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield all rows in order, with their weights, ``size`` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.block(part), None if self.weight is None else self.weight[part]

    def batches(self, size: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows in order as ``(positions, tensor)``, ``size`` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, min(start + size, len(self)))
            yield part, torch.from_numpy(self.block(part))
