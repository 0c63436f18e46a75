"""How long a fit lasts: in epochs, in steps, or as long as fits the data."""

from __future__ import annotations

import math

# Measured in benchmarks/defaults.py and benchmarks/real_tables.py: 3,000 steps bring up to two
# thousand rows near their held-out optimum; more rows take more steps, but see fewer epochs. A
# table of few rows for each column is soon learnt by heart.
STEPS = 3000
FEWEST_STEPS = 300
ROWS = 2000
ROWS_PER_COLUMN = 15
MOST_EPOCHS = 1000


def default_epochs(n_rows: int, batch_size: int, n_columns: int | None = None) -> int:
    """Return the epochs of ``STEPS`` steps, beyond ``ROWS`` rows of √(n_rows / ROWS) as many.

    ``n_columns`` is of a table; pixels are no columns. Below ``ROWS_PER_COLUMN`` rows for each
    it is fewer epochs in proportion, down to those of ``FEWEST_STEPS``.
    """
    steps_per_epoch = math.ceil(n_rows / batch_size)
    steps = STEPS * math.sqrt(max(1, n_rows / ROWS))
    epochs = min(math.ceil(steps / steps_per_epoch), MOST_EPOCHS)
    if n_columns is None:
        return epochs
    share = min(1.0, n_rows / (ROWS_PER_COLUMN * n_columns))
    return max(math.ceil(share * epochs), math.ceil(FEWEST_STEPS / steps_per_epoch))


def epochs_of(
    max_epochs: int | str,
    max_steps: int | None,
    batch_size: int,
    n_rows: int,
    n_held_out: int,
    n_columns: int | None = None,
) -> int:
    """Return the epochs within both limits; the last may be cut short by its steps.

    ``max_epochs="auto"`` is no limit where there is one of steps.
    """
    by_epochs = None if isinstance(max_epochs, str) else int(max_epochs)
    if max_steps is None:
        return default_epochs(n_rows, batch_size, n_columns) if by_epochs is None else by_epochs
    by_steps = math.ceil(max_steps / math.ceil((n_rows - n_held_out) / batch_size))
    return by_steps if by_epochs is None else min(by_epochs, by_steps)
