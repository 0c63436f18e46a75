"""Minibatches with their noise, for skorch's ``iterator_train`` and ``iterator_valid``."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from skvae._training.rows import Rows
from skvae._training.streams import Stream, generator


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
        self.rows = rows
        self.batch_size = batch_size
        self.noise_shape = (n_samples, latent_dim)
        self.seed = seed
        self.epoch = epoch
        self.shuffle = shuffle
        self.device = device

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def _order(self) -> tuple[Tensor, torch.Generator]:
        """Return the order of the rows in this epoch, and the generator of its noise."""
        if not self.shuffle:
            return torch.arange(len(self.rows)), generator(
                self.seed, Stream.VALIDATION, device=self.device
            )
        order = generator(self.seed, Stream.TRAINING, 2 * self.epoch)
        noise = generator(self.seed, Stream.TRAINING, 2 * self.epoch + 1, self.device)
        self.epoch += 1
        return torch.randperm(len(self.rows), generator=order), noise

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor | None]]:
        order, noise = self._order()
        for positions in order.split(self.batch_size):
            x, weight = self.rows.take(positions.numpy())
            shape = (len(x), *self.noise_shape)
            z = torch.randn(shape, generator=noise, device=self.device)
            yield {"x": x.to(self.device), "noise": z}, weight
