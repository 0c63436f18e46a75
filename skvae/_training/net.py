"""The skorch net that trains a VAE: three seams overridden, the loop left as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch import NeuralNet
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochTimer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
)
from skorch.history import History
from skorch.utils import TeeGenerator
from torch import Tensor

from skvae._data import Rows
from skvae._parameters import check_number
from skvae._random import Stream
from skvae._training.batches import Batches
from skvae._training.callbacks import (
    DropBatches,
    RecordBound,
    SeedNoise,
    StopEarly,
    sums_of,
)
from skvae._training.devices import resolve_precision
from skvae._training.labels import GuessLabels
from skvae._training.progress import EpochBar
from skvae._training.schedules import SCHEDULES, ScheduleLearningRate, resolve_rate
from skvae._training.whole_step import WholeStep
from skvae._uncompiled import SGD, Adam, AdamW, RMSprop
from skvae._world import world
from skvae.model import VAE, Batch
from skvae.objectives import Bound

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(Adam, fused=True),
    "adamw": partial(AdamW, fused=True),
    "sgd": partial(SGD, fused=True, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop,
}


@dataclass
class TrainingPlan:
    """How to train: the estimator's parameters of that, resolved. Their defaults are its own."""

    objective: Any
    seed: int
    max_epochs: int
    max_steps: int | None
    batch_size: int
    learning_rate: float
    learning_rate_schedule: str
    optimizer: str
    weight_decay: float
    gradient_clip: float | None
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    callbacks: list[Any]
    verbose: int
    device: str
    precision: str
    compile: bool | str

    @classmethod
    def of(cls, params: Mapping[str, Any], **resolved: Any) -> TrainingPlan:
        """Return the plan of an estimator's parameters, some of which were resolved.

        Numbers of numpy become Python's, which is what torch and JSON take.
        """
        values: dict[str, Any] = {field.name: params.get(field.name) for field in fields(cls)}
        values |= resolved
        may_end_early = values["early_stopping"] or any(
            map(_ends_or_paces, values["callbacks"] or [])
        )
        rate, schedule = resolve_rate(
            values["learning_rate"],
            values["learning_rate_schedule"],
            values["optimizer"],
            has_known_end=not may_end_early,
        )
        values |= {"learning_rate": rate, "learning_rate_schedule": schedule}
        return cls(**{k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()})


def _ends_or_paces(callback: Any) -> bool:
    """Whether a callback ends a fit or sets its learning rate.

    As for skorch, it may be an object or a class, and come with its name.
    """
    callback = callback[1] if isinstance(callback, tuple) else callback
    kind = callback if isinstance(callback, type) else type(callback)
    return issubclass(kind, (EarlyStopping, LRScheduler))


WIDE = 4096
"""Inputs of a dense layer from which on its weights learn more slowly, in proportion."""


def share_of_rate(weight: Tensor) -> float:
    """Return the part of the learning rate that is for these weights.

    A step of Adam moves each of them by the learning rate, their gradients being of one sign
    for most rows, and so moves what the layer puts out by the learning rate times its inputs.
    Behind the convolutions of an image of 256 × 256 these are 262,144: the first step would
    throw z far out of the prior. The rule is that of Yang et al. 2022
    (https://arxiv.org/abs/2203.03466) for Adam, from ``WIDE`` on.
    """
    return min(1.0, WIDE / weight.shape[1]) if weight.ndim == 2 else 1.0


class Epochs(History):
    """skorch's history, which finds a row without a copy of the list of all of them."""

    @classmethod
    def after(cls, epochs: list[dict[str, Any]]) -> Epochs:
        """Return one that goes on behind these epochs; see ``plain_history``."""
        return cls({**row, "batches": []} for row in epochs)

    def __getitem__(self, i: Any) -> Any:
        """Return a row by its number, or what skorch does."""
        return list.__getitem__(self, i) if isinstance(i, int) else super().__getitem__(i)


class VAENet(NeuralNet):
    """A skorch net: its batches are ``({"batch", "noise"}, weight)``, its criterion an objective.

    The epochs are skorch's, with its callbacks and history. Of its methods are overridden

    - what a model of three distributions needs: ``initialize_criterion`` (an objective is no
      module), ``infer`` (precision), ``get_loss`` (the bound of a batch, and its sums),
      ``get_params_for_optimizer`` (which parameters decay);
    - what makes a step cheaper, by fewer calls and nothing read back from the device:
      ``run_single_epoch``, ``train_step``, ``notify`` with ``initialize_callbacks``,
      ``_set_training``.
    """

    def __init__(self, *args: Any, bfloat16: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bfloat16 = bfloat16
        self.whole_step: WholeStep | None = None

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        # The time of an epoch ends when the device has done its steps, for which the bound waits.
        return [("record_bound", RecordBound()), ("epoch_timer", EpochTimer())]

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
        decay = kwargs.pop("weight_decay")
        weights: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in named:
            # Biases and the gains of normalisation have one dimension.
            is_weight = name.startswith(("encoder.", "decoder.")) and parameter.ndim > 1
            (weights if is_weight else others).append(parameter)
        kinds = [(share_of_rate(weight), decay) for weight in weights] + [(1.0, 0.0)] * len(others)
        # One group where one will do: each costs a call of the optimiser in every step. The
        # order stays: the optimiser's state is saved by it.
        groups = [
            {
                "params": [parameter for parameter, _ in some],
                "lr": kwargs["lr"] * share,
                "share": share,
                "weight_decay": decay,
            }
            for (share, decay), some in groupby(
                zip(weights + others, kinds, strict=True), key=itemgetter(1)
            )
        ]
        return [groups], kwargs

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call those callbacks that have this method: for a step, few do."""
        getattr(self, method_name)(self, **kwargs)
        for method in self.listening(method_name):
            method(self, **kwargs)

    def listening(self, method_name: str) -> list[Callable[..., None]]:
        """Return that method of the callbacks that have it."""
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
            batches[-1][f"{prefix}_batch_size"] = batch[0]["batch"].x.shape[0]
            self.notify("on_batch_end", batch=batch, training=training, **step)
            del step, loss  # or the next step would need memory beside this one's
            n_batches += 1
        self.history.record(f"{prefix}_batch_count", n_batches)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take one step of the optimiser, compiled where that was asked for."""
        return self.eager_step(batch) if self.whole_step is None else self.whole_step(batch)

    def eager_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take one step of the optimiser, which never asks for the loss a second time."""
        self.optimizer_.zero_grad()
        step = self.train_step_single(batch, **fit_params)
        self.update(batch)
        return step

    def update(self, batch: Any) -> None:
        """Let the optimiser go by the gradients that a batch has given the parameters."""
        world().sum_gradients(self.module_.parameters())
        parameters = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        self.optimizer_.step()

    def _set_training(self, training: bool = True) -> None:
        """Change the mode where it changes: it takes a walk through all modules."""
        if self.module_.training is not training:
            super()._set_training(training)

    def infer(self, x: dict[str, Any], **fit_params: Any) -> Any:
        """Run the model on a batch, in bfloat16 where that was asked for."""
        try:
            if not self.bfloat16:
                return self.module_(**x, **fit_params)
            with torch.autocast(torch.device(self.device).type, torch.bfloat16):
                return self.module_(**x, **fit_params)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ValueError(
                f"batch_size={self.batch_size} makes a batch of one row, from which the "
                "torch.nn.BatchNorm in encoder or decoder cannot compute a variance. Set another "
                "batch_size, or use torch.nn.LayerNorm."
            ) from error

    def get_loss(
        self, y_pred: tuple[Any, ...], y_true: Tensor | None, X: Any = None, training: bool = False
    ) -> Tensor:
        """Return the batch's mean loss, rows weighted by ``y_true``."""
        epoch = len(self.history) - 1 if training else None
        bound = self.bound(self.criterion_, y_pred, X["batch"], epoch)
        self.add_to_sums(len(bound.loss), sums_of(bound), training)
        return bound.loss.mean()

    def add_to_sums(self, n_rows: int, terms: Tensor, training: bool) -> None:
        """Take in the sums of the terms over a batch, if its rows are this process's."""
        sums = self.sums_[training]
        if world().share:
            sums.add(n_rows, terms)

    @staticmethod
    def bound(objective: Any, joint: Any, batch: Batch, epoch: Any) -> Bound:
        """Return the bound of a batch, its rows weighted."""
        bound = objective(batch.x, *joint, epoch=epoch)
        if batch.weight is None:
            return bound
        return Bound(*(term * batch.weight for term in bound))

    def epoch_means(self) -> dict[str, float]:
        """Return the epoch's mean terms in nats per row, ``train_*`` and ``valid_*``."""
        return {
            f"{'train' if training else 'valid'}_{name}": value
            for training, sums in self.sums_.items()
            for name, value in zip(Bound._fields, sums.means(), strict=True)
        }


def make_net(module: VAE, plan: TrainingPlan, history: list[dict[str, Any]]) -> VAENet:
    """Return an initialised net around the module, its history continued from ``history``."""
    batches = partial(
        Batches,
        latent_dim=module.latent_dim,
        n_samples=_n_samples(plan.objective),
        seed=plan.seed,
        device=plan.device,
    )
    is_compiled = plan.compile not in (False, "replay")
    precision = resolve_precision(plan.precision, plan.device, module, is_compiled)
    net = VAENet(
        module,
        criterion=plan.objective,
        optimizer=OPTIMIZERS[plan.optimizer],
        optimizer__weight_decay=plan.weight_decay,
        lr=plan.learning_rate,
        max_epochs=plan.max_epochs,
        batch_size=plan.batch_size,
        iterator_train=partial(batches, shuffle=True, epoch=len(history), max_steps=plan.max_steps),
        iterator_valid=batches,
        train_split=None,
        callbacks=_callbacks(plan),
        verbose=int(plan.verbose > 1),
        device=plan.device,
        bfloat16=precision == "bfloat16",
    )
    net.initialize()
    for parameter in module.parameters():
        parameter.data = channels_last(parameter.data)
    net.history = Epochs.after(history)
    ways = {"compile"} if is_compiled else set()
    # A callback of someone else's may change what a replayed step would not notice.
    if plan.compile and not plan.callbacks:
        ways.add("replay")
    if ways:
        net.whole_step = WholeStep(net, ways, is_asked=plan.compile is True)
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
    ours: list[Any] = [SeedNoise(plan.seed), GuessLabels(plan.seed)]
    if plan.learning_rate_schedule != "constant":
        factor = SCHEDULES[plan.learning_rate_schedule]
        ours.append(ScheduleLearningRate(factor, plan.max_steps))
    if plan.gradient_clip is not None:
        ours.append(GradientNormClipping(plan.gradient_clip))
    if plan.verbose:
        ours.append(EpochBar() if plan.verbose == 1 else PrintLog(keys_ignored=BOOKKEEPING))
    # What stops a fit comes last: the user's have then seen the epoch in which it did.
    last: list[Any] = [DropBatches()]
    if plan.early_stopping:
        last.append(
            StopEarly(
                patience=plan.n_iter_no_change,
                threshold=plan.tol,
                threshold_mode="abs",
                load_best=True,
            )
        )
    return [*ours, *clone(plan.callbacks, safe=False), *last]


BOOKKEEPING = ["batches", "train_batch_count", "valid_batch_count"]


def plain_history(net: VAENet) -> list[dict[str, Any]]:
    """Return one dict for each finished epoch, without skorch's bookkeeping."""
    return [
        {name: value for name, value in row.items() if name not in BOOKKEEPING}
        for row in net.history
        if "train_loss" in row and "dur" in row
    ]


def n_held_out(n_rows: int, validation_fraction: float) -> int:
    """Return how many of these rows early stopping holds out.

    Raises
    ------
    ValueError
        When none would be left.
    """
    n_valid = int(np.ceil(validation_fraction * n_rows))
    if n_valid >= n_rows:
        raise ValueError(
            f"early_stopping=True with validation_fraction={validation_fraction} leaves no "
            f"row to train on: X has {n_rows} row(s), n_samples={n_rows}. "
            "Give more rows or set early_stopping=False."
        )
    return n_valid


def split(rows: Rows, plan: TrainingPlan) -> tuple[Rows, Rows | None]:
    """Hold out rows for early stopping, where the plan has it.

    No class loses its last label: those that would keep all of theirs.
    """
    if not plan.early_stopping:
        return rows, None
    n_valid = n_held_out(len(rows), plan.validation_fraction)
    order = np.random.RandomState(plan.seed + Stream.SPLIT).permutation(len(rows))
    held_out, kept = order[:n_valid], order[n_valid:]
    if rows.label is not None:
        labels = rows.labels()
        is_needed = ~np.isnan(labels[held_out]) & ~np.isin(labels[held_out], labels[kept])
        held_out, kept = held_out[~is_needed], np.append(kept, held_out[is_needed])
    if not any(world().parts(len(held_out))):
        return rows, None
    return rows.subset(np.sort(kept)), rows.subset(np.sort(held_out))
