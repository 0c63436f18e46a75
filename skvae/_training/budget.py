"""How long a fit lasts: in epochs, in steps, or as long as fits the data."""

from __future__ import annotations

import math

# Measured in benchmarks/defaults.py: 3,000 steps bring up to two thousand rows near their
# held-out optimum; more rows take more steps, but see fewer epochs.
STEPS = 3000
ROWS = 2000
MOST_EPOCHS = 1000


def default_epochs(n_rows: int, batch_size: int) -> int:
    """Return the epochs of ``STEPS`` steps, beyond ``ROWS`` rows of √(n_rows / ROWS) as many."""
    steps = STEPS * math.sqrt(max(1, n_rows / ROWS))
    return min(math.ceil(steps / math.ceil(n_rows / batch_size)), MOST_EPOCHS)


def epochs_of(
    max_epochs: int | str, max_steps: int | None, batch_size: int, n_rows: int, n_held_out: int
) -> int:
    """Return the epochs within both limits; the last may be cut short by its steps.

    ``max_epochs="auto"`` is no limit where there is one of steps.
    """
    by_epochs = None if isinstance(max_epochs, str) else int(max_epochs)
    if max_steps is None:
        return default_epochs(n_rows, batch_size) if by_epochs is None else by_epochs
    by_steps = math.ceil(max_steps / math.ceil((n_rows - n_held_out) / batch_size))
    return by_steps if by_epochs is None else min(by_epochs, by_steps)
