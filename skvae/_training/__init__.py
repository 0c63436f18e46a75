"""The training engine: a skorch net, its batches, devices and history."""

from skvae._training.batches import n_batches
from skvae._training.budget import default_epochs, epochs_of
from skvae._training.convergence import undertrained
from skvae._training.devices import available_device, resolve_device
from skvae._training.fitting import kept_epoch, train
from skvae._training.net import (
    OPTIMIZERS,
    TrainingPlan,
    VAENet,
    make_net,
    n_held_out,
    plain_history,
    split,
)
from skvae._training.progress import follow
from skvae._training.schedules import SCHEDULES
from skvae._training.state import load_arrays, state_arrays
from skvae._training.whole_step import resolve_compile

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "TrainingPlan",
    "VAENet",
    "available_device",
    "default_epochs",
    "epochs_of",
    "follow",
    "kept_epoch",
    "load_arrays",
    "make_net",
    "n_batches",
    "n_held_out",
    "plain_history",
    "resolve_compile",
    "resolve_device",
    "split",
    "state_arrays",
    "train",
    "undertrained",
]
