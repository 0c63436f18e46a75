"""The training engine: rows cut into batches, a skorch net, devices and history."""

from skvae._training.budget import default_epochs
from skvae._training.devices import available_device, resolve_device
from skvae._training.net import (
    OPTIMIZERS,
    TrainingPlan,
    VAENet,
    make_net,
    plain_history,
    split,
    train,
)
from skvae._training.progress import follow
from skvae._training.rows import Rows
from skvae._training.schedules import SCHEDULES
from skvae._training.state import load_arrays, state_arrays
from skvae._training.streams import Stream, draw_seed, generator
from skvae._training.weights import hash_rows, mix, weighted_rows

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Rows",
    "Stream",
    "TrainingPlan",
    "VAENet",
    "available_device",
    "default_epochs",
    "draw_seed",
    "follow",
    "generator",
    "hash_rows",
    "load_arrays",
    "make_net",
    "mix",
    "plain_history",
    "resolve_device",
    "split",
    "state_arrays",
    "train",
    "weighted_rows",
]
