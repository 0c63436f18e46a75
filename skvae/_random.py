"""Streams of random numbers: each a function of the seed, its purpose and the epoch.

Nothing is carried from one epoch to the next, so a fit that was interrupted, pickled,
moved to another machine and continued draws the numbers of one that was not.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from sklearn.utils import check_random_state


class Stream(IntEnum):
    """What random numbers are for."""

    INITIALIZATION = 0
    SPLIT = 1
    TRAINING = 2
    VALIDATION = 3
    SAMPLING = 4
    NOISE = 5  # dropout, and objectives that draw
    LABELS = 6  # draws that place classes


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Return one seed; ``None`` takes fresh entropy and leaves numpy's global state alone."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def generator(
    seed: int, stream: Stream, epoch: int = 0, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return the generator of a stream in an epoch."""
    state = np.random.SeedSequence([seed, int(stream), epoch]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) >> 1)
