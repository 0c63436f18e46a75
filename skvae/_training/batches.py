"""Minibatches with their noise, for skorch's ``iterator_train`` and ``iterator_valid``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from skvae._training.rows import Rows
from skvae._training.streams import Stream, generator


class Store(Protocol):
    """Where batches are cut from."""

    def take(self, positions: Tensor) -> Tensor:
        """Return rows as floats on the device."""
        ...


class Streamed:
    """Rows that stay where they are and travel a batch at a time."""

    def __init__(self, rows: Rows, device: str) -> None:
        self.rows, self.device = rows, device

    def take(self, positions: Tensor) -> Tensor:
        """Return rows as floats on the device."""
        return self.rows.take(positions.cpu().numpy(), self.device)


class Resident:
    """Rows that lie on the device, in the type they came in, for as long as this object."""

    def __init__(self, rows: Rows, device: str) -> None:
        self.rows = rows
        dtype = torch.from_numpy(rows.raw(slice(0, 0))).dtype
        self.raw = torch.empty((len(rows), rows.n_features), dtype=dtype, device=device)
        for part in rows.parts(4096):
            self.raw[part] = torch.from_numpy(rows.raw(part)).to(device)

    def take(self, positions: Tensor) -> Tensor:
        """Return rows as floats on the device."""
        return self.rows.scaled(self.raw[positions])


def store(rows: Rows, device: str) -> Store:
    """Put the rows on the device when they take at most half of what is free there."""
    if torch.device(device).type != "cuda":
        return Streamed(rows, device)
    free, _ = torch.cuda.mem_get_info(device)
    fits = len(rows) * rows.n_features * rows.raw_dtype.itemsize <= free / 2
    return Resident(rows, device) if fits else Streamed(rows, device)


class Batches:
    """Iterate over rows as ``({"x", "noise"}, weight)``, once for each epoch.

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
        device: str = "cpu",
    ) -> None:
        self.n_rows = len(rows)
        self.store = store(rows, device)
        weight = None if rows.weight is None else torch.from_numpy(rows.weight)
        self.weight = None if weight is None else weight.float().to(device)
        self.batch_size = batch_size
        self.noise_shape = (n_samples, latent_dim)
        self.seed = seed
        self.epoch = epoch
        self.shuffle = shuffle
        self.device = device

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def _order(self) -> tuple[Tensor, torch.Generator]:
        """Return the order of the rows in this epoch, and the generator of its noise."""
        if not self.shuffle:
            return torch.arange(self.n_rows), generator(
                self.seed, Stream.VALIDATION, device=self.device
            )
        order = generator(self.seed, Stream.TRAINING, 2 * self.epoch)
        noise = generator(self.seed, Stream.TRAINING, 2 * self.epoch + 1, self.device)
        self.epoch += 1
        return torch.randperm(self.n_rows, generator=order), noise

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor | None]]:
        order, noise = self._order()
        for positions in order.to(self.device).split(self.batch_size):
            x = self.store.take(positions)
            z = torch.randn(
                (len(positions), *self.noise_shape), generator=noise, device=self.device
            )
            yield {"x": x, "noise": z}, None if self.weight is None else self.weight[positions]
