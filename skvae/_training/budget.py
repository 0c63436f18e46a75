"""How many epochs fit the data: ``max_epochs="auto"``."""

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
