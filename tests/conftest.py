"""One torch thread, the array API switched on, no display."""

import os

# Before any import: without it scikit-learn skips its check of array API input in silence.
os.environ["SCIPY_ARRAY_API"] = "1"
os.environ["MPLBACKEND"] = "agg"

import torch

torch.set_num_threads(1)
