"""Minibatches with their noise, for skorch's ``iterator_train`` and ``iterator_valid``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from skvae._data import ChunkedArray, Rows, sent
from skvae._random import Stream, generator
from skvae._world import world
from skvae.model import Batch

FEW_BYTES = 2**20
"""Rows on a CPU that take no more are copied, so that a batch is cut out of them faster."""


class Store(Protocol):
    """Where batches are cut from.

    Attributes
    ----------
    order_device : str
        Where the order of the rows is wanted.
    """

    order_device: str

    def take(self, positions: Tensor) -> Batch:
        """Return rows as floats on the device, with what is known beside them."""
        ...


class Streamed:
    """Rows that stay where they are and travel a batch at a time."""

    order_device = "cpu"

    def __init__(self, rows: Rows, device: str) -> None:
        self.rows, self.device = rows, device

    def take(self, positions: Tensor) -> Batch:
        """Return rows as floats on the device, with what is known beside them."""
        return self.rows.batch(positions.numpy(), self.device)


class Resident:
    """Rows that lie on the device, in the type they came in, for as long as this object."""

    def __init__(self, rows: Rows, device: str) -> None:
        self.rows = rows
        self.device = self.order_device = device
        self._copy()

    def _copy(self) -> None:
        rows = self.rows
        self.copied = rows.X, rows.label
        beside = rows.beside(slice(None), self.device)
        self.beside = {name: value for name, value in beside.items() if value is not None}
        dtype = torch.from_numpy(rows.raw(slice(0, 0))).dtype
        self.raw = torch.empty((len(rows), rows.n_features), dtype=dtype, device=self.device)
        for some in rows.slices(4096):
            self.raw[some] = sent(torch.from_numpy(rows.raw(some)), self.device)

    def take(self, positions: Tensor) -> Batch:
        """Return rows as floats on the device, with what is known beside them."""
        # A callback may have set other rows, or labels that were guessed.
        if self.rows.X is not self.copied[0] or self.rows.label is not self.copied[1]:
            self._copy()
        beside = {name: value[positions] for name, value in self.beside.items()}
        x = self.rows.scaled(self.raw[positions])
        return Batch(x, **beside, has_missing=self.rows.has_missing)


def store(rows: Rows, device: str) -> Store:
    """Put the rows on the device when they take at most half of what is free there.

    In the memory of a CPU they lie anyway, and few of them once more: whole and dense, so that a
    batch of a small table is cut out by one call of torch. Those of a ChunkedArray lie elsewhere.
    """
    n_bytes = len(rows) * rows.n_features * rows.raw_dtype.itemsize
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        fits = n_bytes <= free / 2
    else:
        fits = n_bytes <= FEW_BYTES and not isinstance(rows.X, ChunkedArray)
    return Resident(rows, device) if fits else Streamed(rows, device)


class Batches:
    """Iterate over rows as ``({"batch", "noise"}, weight)``, once for each epoch.

    Order and noise are those of whole batches, and this process gets its part of each; where it
    has rows of its own, they are those of these, and a batch has rows of all processes.

    Parameters
    ----------
    rows : Rows
    batch_size : int
    latent_dim, n_samples : int
        Width of the noise, and draws for each row.
    seed : int
    epoch : int
        Number of the first epoch.
    shuffle : bool
        New order and noise in every epoch (training), or always the same (validation).
    max_steps : int or None
        Batches in all epochs together.
    device : str
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        latent_dim: int,
        n_samples: int,
        seed: int,
        epoch: int = 0,
        shuffle: bool = False,
        max_steps: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.rows = rows
        self.n_rows = world().parts(len(rows))
        self.store = store(rows.or_one(), device)
        self.batch_size = batch_size
        self.latent_dim, self.n_samples = latent_dim, n_samples
        self.seed = seed
        self.epoch = epoch
        self.shuffle = shuffle
        self.steps_left = math.inf if max_steps is None else max_steps
        self.device = device

    def __len__(self) -> int:
        return n_batches(sum(self.n_rows), self.batch_size)

    def _order(self) -> tuple[Iterator[Tensor], torch.Generator]:
        """Return the order of the rows in this epoch, in parts, and the generator of its noise."""
        drawn = partial(generator, self.seed, rank=world().place)
        if not self.shuffle:
            return self.rows.in_order(), drawn(Stream.VALIDATION, device=self.device)
        order = drawn(Stream.TRAINING, 2 * self.epoch)
        noise = drawn(Stream.TRAINING, 2 * self.epoch + 1, self.device)
        self.epoch += 1
        return self.rows.shuffled(order), noise

    def _positions(self, order: Iterator[Tensor]) -> Iterator[tuple[Tensor, slice]]:
        """Yield the rows of each batch, and which of them are for this process."""
        device = self.store.order_device
        left = torch.empty(0, dtype=torch.int64, device=device)
        for n, mine in world().batches(self.n_rows, self.batch_size):
            while left.shape[0] < n:
                part = next(order).to(device)
                left = torch.cat([left, part]) if left.shape[0] else part
            # Where it has none of the batch, some row stands in, which does not count.
            yield left[:n] if n else left.new_zeros(1), mine
            left = left[n:]

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Tensor | None]]:
        order, generator = self._order()
        for positions, mine in self._positions(order):
            if not self.steps_left:
                break
            self.steps_left -= 1
            batch = self.store.take(positions[mine])
            shape = self.n_samples, positions.shape[0], self.latent_dim
            noise = torch.randn(shape, generator=generator, device=self.device)
            yield {"batch": batch, "noise": noise[:, mine]}, batch.weight


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return how many batches an epoch has."""
    return -(-n_rows // batch_size)
