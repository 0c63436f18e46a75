"""Whether a fit ended before the bound had levelled off, by the curve of its epochs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from skvae._training.net import TrainingPlan

# Measured on the curves of 76 tables, iris, wine, breast cancer, diabetes, digits, MNIST and CIFAR.
# Where the second half of 10 or 20 epochs brought more than this share of the whole rise, the
# default budget brought 5 nats per row more (median), elsewhere 1.3. At the end of the default
# budget, too, two of the 83 have more.
STEEP = 0.3
LEAST_NATS = 1.0
"""Nats per row that the second half must have brought to be worth a warning."""
LEAST_EPOCHS = 6
"""Fewer epochs have no curve, and are a trial of something else."""


def late_rise(curve: np.ndarray) -> float:
    """Return the nats that the second half of the epochs brought, 0 where that is not steep.

    Ends and middle are means over a fifth of the epochs; the rise must be three times
    the noise of those means, as the epochs of the second half show it.
    """
    width = max(1, len(curve) // 5)
    start = len(curve) // 2 - 1 - width // 2
    middle, end = curve[start : start + width].mean(), curve[-width:].mean()
    noise = np.diff(curve[len(curve) // 2 :]).std() / math.sqrt(width)
    rise = float(end - middle)
    is_steep = rise > max(LEAST_NATS, 3 * noise, STEEP * (curve.max() - curve[0]))
    return rise if is_steep else 0.0


def undertrained(
    history: list[dict[str, Any]], n_epochs: int, plan: TrainingPlan, budget: int
) -> str | None:
    """Return what to say of a fit whose bound still rose steeply at its end, else ``None``.

    Judged is what is maximised and the elbo, both: an objective's weights may change in the
    course of a fit. Silent are a fit that was stopped, by early stopping for one, one of few
    epochs, and one of the default budget or more: there, the second half of 1 in 40 fits still
    brings three tenths of the rise. The history goes back to the first of all epochs,
    ``n_epochs`` are those of this call, ``budget`` those that ``max_epochs="auto"`` gives.
    """
    is_whole = LEAST_EPOCHS <= n_epochs == plan.max_epochs
    if not is_whole or len(history) >= budget:
        return None
    loss, reconstruction, kl = np.array(
        [[row[f"train_{name}"] for name in ("loss", "reconstruction", "kl")] for row in history]
    ).T
    rise = min(late_rise(-loss), late_rise(reconstruction - kl))
    if not rise:
        return None
    unset = "" if plan.max_steps is None else " and max_steps=None"
    return (
        f"The bound still rose when training ended: by {rise:.2g} nats per row over the second "
        f"half of {len(history)} epochs. More training would probably improve the model. Try "
        f'max_epochs="auto"{unset}, here {budget} epochs, or a larger learning_rate.'
    )
