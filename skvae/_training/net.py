"""The skorch net that trains a VAE: three seams overridden, the loop left as it is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, GradientNormClipping, PrintLog
from skorch.history import History
from skorch.utils import TeeGenerator
from torch import Tensor

from skvae._parameters import check_number
from skvae._training.batches import Batches
from skvae._training.callbacks import (
    DropBatches,
    RecordBound,
    SeedNoise,
    StopEarly,
)
from skvae._training.devices import resolve_precision
from skvae._training.process import flushed_denormals, kept_heap
from skvae._training.progress import EpochBar
from skvae._training.rows import Rows
from skvae._training.schedules import SCHEDULES, ScheduleLearningRate
from skvae._training.streams import Stream
from skvae.model import VAE
from skvae.objectives import Bound

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, fused=True, momentum=0.9, nesterov=True),
    "rmsprop": torch.optim.RMSprop,
}


@dataclass
class TrainingPlan:
    """How to train: the estimator's parameters of that, resolved."""

    objective: Any
    seed: int
    max_epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    learning_rate_schedule: str = "constant"
    optimizer: str = "adam"
    weight_decay: float = 0.0
    gradient_clip: float | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    callbacks: list[Any] = field(default_factory=list)
    verbose: int = 0
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False


class VAENet(NeuralNet):
    """A skorch net: its batches are ``({"x", "noise"}, weight)``, its criterion an objective.

    The epochs are skorch's, with its callbacks and history. The steps within are ours: they
    make fewer calls, and read nothing back from the device.
    """

    def __init__(self, *args: Any, bfloat16: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bfloat16 = bfloat16

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer()), ("record_bound", RecordBound())]

    def initialize_criterion(self) -> VAENet:
        """Take the objective as it is; skorch would call one that is no module."""
        self.criterion_ = self.criterion
        return self

    def initialize_callbacks(self) -> VAENet:
        """Forget which callbacks listen to what."""
        super().initialize_callbacks()
        self.listeners_: dict[str, list[Callable[..., None]]] = {}
        return self

    def get_params_for_optimizer(self, prefix: str, named_parameters: Any) -> Any:
        """Split the parameters: weight decay is for the networks' weights alone."""
        named = list(named_parameters)
        _, kwargs = super().get_params_for_optimizer(prefix, named)
        weights: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in named:
            # Biases and the gains of normalisation have one dimension.
            decays = name.startswith(("encoder.", "decoder.")) and parameter.ndim > 1
            (weights if decays else others).append(parameter)
        decay = kwargs.pop("weight_decay")
        # One group where one will do: each costs a call of the optimiser in every step.
        groups = [{"params": weights + others}]
        if decay:
            groups = [{"params": weights, "weight_decay": decay}, {"params": others}]
        return [groups], kwargs

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call those callbacks that have this method: for a step, few do."""
        getattr(self, method_name)(self, **kwargs)
        for method in self._listening(method_name):
            method(self, **kwargs)

    def _listening(self, method_name: str) -> list[Callable[..., None]]:
        if method_name not in self.listeners_:
            idle = getattr(Callback, method_name)
            methods = [getattr(callback, method_name) for _, callback in self.callbacks_]
            heard = [method for method in methods if getattr(method, "__func__", None) is not idle]
            self.listeners_[method_name] = heard
        return self.listeners_[method_name]

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Run the steps of an epoch; ``on_batch_end`` gets the loss as a tensor.

        skorch reads it as a number in every step, and so waits for the device. Here the
        history holds a number only where there is nothing to wait for.
        """
        if iterator is None:
            return
        batches = self.history[-1]["batches"]
        n_batches = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            step["loss"] = loss = step["loss"].detach()
            batches[-1][f"{prefix}_loss"] = loss.item() if loss.is_cpu else loss
            batches[-1][f"{prefix}_batch_size"] = len(batch[0]["x"])
            self.notify("on_batch_end", batch=batch, training=training, **step)
            del step, loss  # or the next step would need memory beside this one's
            n_batches += 1
        self.history.record(f"{prefix}_batch_count", n_batches)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take one step of the optimiser, which never asks for the loss a second time."""
        self.optimizer_.zero_grad()
        step = self.train_step_single(batch, **fit_params)
        parameters = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        self.optimizer_.step()
        return step

    def _set_training(self, training: bool = True) -> None:
        """Change the mode where it changes: it takes a walk through all modules."""
        if self.module_.training is not training:
            super()._set_training(training)

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Any:
        """Run the model on a batch, in bfloat16 where that was asked for."""
        if not self.bfloat16:
            return self.module_(**x, **fit_params)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            return self.module_(**x, **fit_params)

    def get_loss(
        self, y_pred: tuple[Any, ...], y_true: Tensor | None, X: Any = None, training: bool = False
    ) -> Tensor:
        """Return the batch's mean loss, rows weighted by ``y_true``."""
        epoch = len(self.history) - 1 if training else None
        bound = self.criterion_(X["x"], *y_pred, epoch=epoch)
        if y_true is not None:
            bound = Bound(*(term * y_true for term in bound))
        self.sums_[training].add(bound)
        return bound.loss.mean()

    def epoch_means(self) -> dict[str, float]:
        """Return the epoch's mean terms in nats per row, ``train_*`` and ``valid_*``."""
        return {
            f"{'train' if training else 'valid'}_{name}": value
            for training, sums in self.sums_.items()
            for name, value in zip(Bound._fields, sums.means(), strict=True)
        }


def check_compiler(device: str) -> None:
    """Raise ``ValueError`` where ``torch.compile`` has no compiler to call."""
    compiler = os.environ.get("CXX", "g++")
    if torch.device(device).type == "cpu" and shutil.which(compiler) is None:
        raise ValueError(
            f"compile=True needs a C++ compiler, and {compiler!r} is not on the PATH. "
            "Install one, or set compile=False."
        )


def make_net(module: VAE, plan: TrainingPlan, history: list[dict[str, Any]]) -> VAENet:
    """Return an initialised net around the module, its history continued from ``history``."""
    if plan.compile:
        check_compiler(plan.device)
        # On CUDA as graphs, which are launched as one.
        mode = "reduce-overhead" if torch.device(plan.device).type == "cuda" else "default"
        module.encoder.compile(mode=mode)
        module.decoder.compile(mode=mode)
    batches = partial(
        Batches,
        latent_dim=module.prior().event_shape[0],
        n_samples=_n_samples(plan.objective),
        seed=plan.seed,
        device=plan.device,
    )
    net = VAENet(
        module,
        criterion=plan.objective,
        optimizer=OPTIMIZERS[plan.optimizer],
        optimizer__weight_decay=plan.weight_decay,
        lr=plan.learning_rate,
        max_epochs=plan.max_epochs,
        batch_size=plan.batch_size,
        iterator_train=partial(batches, shuffle=True, epoch=len(history)),
        iterator_valid=batches,
        train_split=None,
        callbacks=_callbacks(plan),
        verbose=int(plan.verbose > 1),
        device=plan.device,
        bfloat16=resolve_precision(plan.precision, plan.device, module) == "bfloat16",
    )
    net.initialize()
    for parameter in module.parameters():
        parameter.data = channels_last(parameter.data)
    net.history = History({**row, "batches": []} for row in history)
    return net


def _n_samples(objective: Any) -> int:
    """Return the draws of z that an objective asks for, which may be foreign."""
    what = f"n_samples of {type(objective).__name__}"
    must = "it must be a positive whole number."
    return check_number(objective.n_samples, what, must, lambda value: value >= 1, int)


def channels_last(weight: Tensor) -> Tensor:
    """Lay out a convolution's weights as rows that are images lie: the fastest way.

    Slots of the optimiser must be laid out alike: its fused kernels go by position in memory.
    """
    return weight.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight


def _callbacks(plan: TrainingPlan) -> list[Any]:
    """Return our callbacks around copies of the user's, which skorch would change."""
    ours: list[Any] = [SeedNoise(plan.seed)]
    if plan.learning_rate_schedule != "constant":
        ours.append(ScheduleLearningRate(SCHEDULES[plan.learning_rate_schedule]))
    if plan.gradient_clip is not None:
        ours.append(GradientNormClipping(plan.gradient_clip))
    if plan.early_stopping:
        ours.append(
            StopEarly(
                patience=plan.n_iter_no_change,
                threshold=plan.tol,
                threshold_mode="abs",
                load_best=True,
            )
        )
    if plan.verbose:
        ours.append(EpochBar() if plan.verbose == 1 else PrintLog(keys_ignored=BOOKKEEPING))
    return [*ours, *clone(plan.callbacks, safe=False), DropBatches()]


BOOKKEEPING = ["batches", "train_batch_count", "valid_batch_count"]


def plain_history(net: VAENet) -> list[dict[str, Any]]:
    """Return one dict for each finished epoch, without skorch's bookkeeping."""
    return [
        {name: value for name, value in row.items() if name not in BOOKKEEPING}
        for row in net.history
        if "train_loss" in row and "dur" in row
    ]


def split(rows: Rows, plan: TrainingPlan) -> tuple[Rows, Rows | None]:
    """Hold out rows for early stopping, where the plan has it.

    Raises
    ------
    ValueError
        When one of the two parts would be empty.
    """
    if not plan.early_stopping:
        return rows, None
    n_valid = int(np.ceil(plan.validation_fraction * len(rows)))
    if n_valid >= len(rows):
        raise ValueError(
            f"early_stopping=True with validation_fraction={plan.validation_fraction} leaves no "
            f"row to train on: X has {len(rows)} row(s), n_samples={len(rows)}. "
            "Give more rows or set early_stopping=False."
        )
    order = np.random.RandomState(plan.seed + Stream.SPLIT).permutation(len(rows))
    return rows.subset(np.sort(order[n_valid:])), rows.subset(np.sort(order[:n_valid]))


def train(net: VAENet, rows: Rows, held_out: Rows | None) -> bool:
    """Run ``net.max_epochs`` epochs; return whether Ctrl-C cut the last one short."""
    net.train_split = lambda dataset: (dataset, held_out)
    with kept_heap(), flushed_denormals():
        net.partial_fit(rows)
    net.train_split = None
    return len(plain_history(net)) < len(net.history)
