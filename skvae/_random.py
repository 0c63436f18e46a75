"""Streams of random numbers: each a function of the seed, its purpose and the epoch.

Nothing is carried from one epoch to the next, so a fit that was interrupted, pickled,
moved to another machine and continued draws the numbers of one that was not.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from sklearn.utils import check_random_state

from skvae._world import world


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
    """Return one seed; ``None`` takes fresh entropy and leaves numpy's global state alone.

    Fresh is what all processes of :func:`skvae.data_parallel` have drawn together there.
    """
    if random_state is None:
        return world().fresh_seed()
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def generator(
    seed: int, stream: Stream, epoch: int = 0, device: str | torch.device = "cpu", rank: int = 0
) -> torch.Generator:
    """Return the generator of a stream in an epoch, in one of the processes that train."""
    of_rank = [rank] if rank else []
    entropy = [seed, int(stream), epoch, *of_rank]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) >> 1)
