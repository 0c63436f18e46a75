"""Checkpoints: a fit that was killed goes on from its last file as if nothing had happened."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor

from skvae import _modelfile
from skvae._training.batches import n_batches
from skvae._training.net import Epochs, plain_history
from skvae._training.state import load_arrays, state_arrays
from skvae._version import __version__
from skvae._world import world

LONGEST_SHARE = 1 / 20
"""The share of the time that writing may take: where epochs are short, not each is written."""


class Checkpoint(Callback):
    """Write the state of a fit to a file at the end of an epoch, and go on from such a file.

    That is weights, optimiser, history, the labels that rows have, and what callbacks with
    ``state_dict`` and ``load_state_dict`` say. Random numbers are functions of the epoch.

    Parameters
    ----------
    key : str or None
        What is fitted to what: the name of the file. ``None``: nothing is written.
    """

    def __init__(self, key: str | None) -> None:
        self.key = key
        folder = None if key is None else world().checkpoint
        self.path_ = None if folder is None else folder / f"{key}.safetensors"
        self.found_ = None if self.path_ is None else world().of_first(self._read)
        self.written_ = time.monotonic()
        self.seconds_ = 0.0

    @property
    def n_epochs(self) -> int:
        """How many epochs of this fit the file holds."""
        return 0 if self.found_ is None else self.found_["n_epochs"]

    def _read(self) -> dict[str, Any] | None:
        assert self.path_ is not None
        if not self.path_.exists():
            return None
        document, arrays = _modelfile.read(self.path_)
        return _modelfile.decode({"dict": document["state"]}, "state", arrays, {}, {})

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Go on from the file, if it is there."""
        self.n_before_ = len(net.history)
        state, self.found_ = self.found_, None
        if state is None:
            return
        load_arrays(net, state["arrays"])
        for group, lr in zip(net.optimizer_.param_groups, state["lr"], strict=True):
            group["lr"] = lr
        net.history = Epochs.after(state["history"])
        if state["labels"] is not None:
            X.set_labels(state["labels"][world().place])
        for (_, callback), kept in zip(_with_state(net), state["callbacks"], strict=True):
            callback.load_state_dict(_as_tensors(kept))
        batches = {"epoch": len(net.history)}
        if net.iterator_train.keywords["max_steps"] is not None:
            n_done = state["n_epochs"] * n_batches(X.n_in_all(), net.batch_size)
            batches["max_steps"] = max(0, net.iterator_train.keywords["max_steps"] - n_done)
        net.iterator_train = partial(net.iterator_train, **batches)

    def on_epoch_end(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Write the file, unless the last one is so new that it would cost too much time."""
        if self.path_ is None:
            return
        labels = None
        if dataset_train.label is not None:
            labels = world().parts(dataset_train.labels())
        if world().rank:
            return
        n_epochs = len(net.history) - self.n_before_
        is_due = time.monotonic() - self.written_ >= self.seconds_ / LONGEST_SHARE
        if not is_due and n_epochs < net.max_epochs:
            return
        start = time.monotonic()
        state = {
            "arrays": state_arrays(net),
            "lr": [group["lr"] for group in net.optimizer_.param_groups],
            "history": plain_history(net),
            "n_epochs": n_epochs,
            "labels": labels,
            "callbacks": [_as_arrays(callback.state_dict()) for _, callback in _with_state(net)],
        }
        header = {"class": "checkpoint", "versions": {"skvae": __version__}}
        _modelfile.write_here(self.path_, header, state, {})
        self.written_ = time.monotonic()
        self.seconds_ = self.written_ - start


def _with_state(net: Any) -> list[tuple[str, Any]]:
    return [
        (name, callback)
        for name, callback in net.callbacks_
        if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")
    ]


def _as_arrays(value: Any) -> Any:
    """Return a state with arrays in place of its tensors, that may go on changing."""
    if isinstance(value, dict):
        return {key: _as_arrays(item) for key, item in value.items()}
    return value.detach().cpu().numpy().copy() if isinstance(value, Tensor) else value


def _as_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_tensors(item) for key, item in value.items()}
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value
