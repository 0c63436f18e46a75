"""Rows and small models that the displays show."""

import numpy as np
from sklearn.datasets import load_digits, load_iris

from skvae import VariationalAutoencoder

DIGITS, LABELS = load_digits(return_X_y=True)
X, LABELS = DIGITS[:300] / 16, LABELS[:300]
IRIS = load_iris(as_frame=True)
COLOURED = np.random.default_rng(0).random((50, 2 * 3 * 3))


def small(**params):
    params = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0} | params
    return VariationalAutoencoder(**params, conv_channels=(4,), beta=0.01)


def shown(display):
    """Draw for good, as layout and ticks come late; return the picture."""
    display.figure_.canvas.draw()
    return np.asarray(display.image_.get_array())


def texts(labels):
    """Return what labels say."""
    return [label.get_text() for label in labels]
