"""Callbacks of our own on skorch's interface."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import Tensor

from skvae._random import Stream, generator
from skvae._world import world
from skvae.objectives import Bound


class Sums:
    """The terms of a bound, summed over batches on the device and read once.

    Nothing of a batch is kept: small tensors that stay would keep the heap from joining the
    large ones around them that go.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self.total: Tensor | float = 0.0

    def add(self, n_rows: int, terms: Tensor) -> None:
        """Take in the sums of the terms over the rows of a batch."""
        self.n_rows += n_rows
        self.total += terms

    def join(self) -> None:
        """Take in what the other processes have summed up."""
        if world().size == 1:
            return
        joined = torch.empty(1 + len(Bound._fields), dtype=torch.float64)
        joined[0] = self.n_rows
        joined[1:] = self.total
        world().total(joined)
        self.n_rows, self.total = int(joined[0]), joined[1:]

    def means(self) -> list[float]:
        """Return the mean of each term over all rows."""
        # Before a batch has had rows of this process there is no sum yet.
        total = torch.as_tensor(self.total).expand(len(Bound._fields))
        return (total / self.n_rows).tolist()


def sums_of(bound: Bound) -> Tensor:
    """Return the sum of each term over the rows, in float64."""
    return torch.stack([term.detach() for term in bound]).sum(1, dtype=torch.float64)


def check_loss(loss: float, net: Any) -> None:
    """Raise ``ValueError`` for a loss that is not finite, with its epoch and likely causes."""
    if not math.isfinite(loss):
        raise ValueError(
            f"The training loss became {loss} in epoch {len(net.history)}. Likely causes: "
            f"learning_rate={net.lr} is too large, or X holds outliers that are many standard "
            "deviations away. Lower learning_rate, or scale or clip X."
        )


class RecordBound(Callback):
    """Write the epoch's loss, reconstruction and KL to the history; stop at the first NaN.

    The losses of its batches, which a device may have kept, become numbers: callbacks of skorch
    take their mean.
    """

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the sums anew."""
        net.sums_ = defaultdict(Sums)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record the means over rows that the net has summed up.

        Raises
        ------
        ValueError
            When the epoch's training loss is not finite.
        """
        for sums in net.sums_.values():
            sums.join()
        for name, value in net.epoch_means().items():
            net.history.record(name, value)
        for name in ("train_loss", "valid_loss"):
            batches = [b for b in net.history[-1]["batches"] if isinstance(b.get(name), Tensor)]
            losses = torch.stack([b[name] for b in batches]).tolist() if batches else []
            for batch, loss in zip(batches, losses, strict=True):
                batch[name] = loss
        check_loss(net.history[-1]["train_loss"], net)


class SeedNoise(Callback):
    """Give what draws in training, dropout for one, a generator of its own in every epoch.

    That is every module, and the objective, that declares ``generator = None``.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Find them."""
        parts = [*net.module_.modules(), net.criterion_]
        self.drawing_ = [part for part in parts if getattr(part, "generator", 0) is None]

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set one generator for all."""
        if not self.drawing_:
            return
        rank = world().rank
        noise = generator(self.seed, Stream.NOISE, len(net.history), net.device, rank)
        for part in self.drawing_:
            part.generator = noise

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Take it away again: a generator cannot be copied with the model."""
        for part in self.drawing_:
            part.generator = None


class DropBatches(Callback):
    """Free the per-batch records of an epoch that is over: 100 epochs would pickle to 300 kB."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Empty the list; placed behind the user's callbacks, which may read it."""
        net.history[-1]["batches"].clear()


class StopEarly(EarlyStopping):
    """skorch's early stopping, idle in an epoch that has no held-out rows.

    And before classes have their places, if they are to get some: only then has the loss a term
    for labels.
    """

    _STATE = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")

    def state_dict(self) -> dict[str, Any]:
        """Return what it has seen so far, for a checkpoint."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in self._STATE:
            setattr(self, name, state[name])

    def on_epoch_end(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Compare the held-out loss with the best so far."""
        is_labelled = dataset_train.label is not None
        is_waiting = is_labelled and not net.module_.prior.is_placed
        if "valid_loss" in net.history[-1] and not is_waiting:
            super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
