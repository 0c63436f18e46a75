"""One torch thread, the array API switched on, no display."""

import os

# Before any import: without it scikit-learn skips its check of array API input in silence.
os.environ["SCIPY_ARRAY_API"] = "1"
os.environ["MPLBACKEND"] = "agg"
# For BLAS, and for the processes that tests start: threads of tests that run side by side would
# wait for each other in every operation.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_figures_left():
    """Close what a test has drawn: which tests follow in its process is left to chance."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
