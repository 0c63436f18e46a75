"""Learning rates that change in the course of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

from skvae._training.batches import n_batches

PEAK = 0.3
"""Where in its course one cycle is at its largest."""


def cosine(progress: float) -> float:
    """Fall from 1 to 0 along half a cosine."""
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float) -> float:
    """Rise from 1/25 to 1, then fall as the cosine."""
    if progress < PEAK:
        return 0.04 + 0.96 * progress / PEAK
    return cosine((progress - PEAK) / (1 - PEAK))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": cosine,
    "one_cycle": one_cycle,
}
"""The learning rate as a fraction of its largest value, over the progress of a fit."""

# Measured in benchmarks/real_tables.py and benchmarks/digits.py: one cycle up to 3e-3 brings a fit
# further than 1e-3 throughout, at the same cost. A schedule has to know where training ends.
PEAK_RATE = 3e-3
CONSTANT_RATE = 1e-3


def resolve_rate(
    rate: float | str, schedule: str, optimizer: str, has_known_end: bool
) -> tuple[float, str]:
    """Return the learning rate and the schedule that ``"auto"`` stands for.

    Steps of SGD are as large as the gradient, so that no rate suits all models: it gets the
    smaller one.
    """
    if schedule == "auto":
        schedule = "one_cycle" if has_known_end else "constant"
    if isinstance(rate, str):
        is_steady = schedule == "constant" or optimizer == "sgd"
        rate = CONSTANT_RATE if is_steady else PEAK_RATE
    return rate, schedule


class ScheduleLearningRate(Callback):
    """Set the learning rate before every step.

    Parameters
    ----------
    factor : callable
        Maps progress in [0, 1) to a factor.
    max_steps : int or None
        Where the fit ends, if its epochs have not ended it before.
    """

    def __init__(self, factor: Callable[[float], float], max_steps: int | None = None) -> None:
        self.factor = factor
        self.max_steps = max_steps

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Start at the first step."""
        self.step_ = 0
        n_steps = net.max_epochs * n_batches(X.n_in_all(), net.batch_size)
        self.n_steps_ = n_steps if self.max_steps is None else min(n_steps, self.max_steps)

    def state_dict(self) -> dict[str, Any]:
        """Return how far it has come, for a checkpoint."""
        return {"step_": self.step_}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.step_ = state["step_"]

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the rate of this step."""
        if training:
            for group in net.optimizer_.param_groups:
                group["lr"] = net.lr * group["share"] * self.factor(self.step_ / self.n_steps_)
            self.step_ += 1
