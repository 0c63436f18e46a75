"""How many epochs fit the data: ``max_epochs="auto"``."""

from __future__ import annotations

import math

# Measured in benchmarks/defaults.py.
STEPS = 3000
FEWEST, MOST = 30, 1000


def default_epochs(n_rows: int, batch_size: int) -> int:
    """Return the number of epochs that gives about ``STEPS`` steps of the optimiser."""
    steps = math.ceil(n_rows / batch_size)
    return min(max(math.ceil(STEPS / steps), FEWEST), MOST)
