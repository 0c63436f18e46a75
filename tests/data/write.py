"""Write the files of this format version: ``python -m tests.data.write``, once for each.

Every later skvae must load them and give the numbers beside them, so nothing is overwritten.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits

from skvae import VariationalAutoencoder
from skvae._modelfile import FORMAT_VERSION
from skvae.likelihoods import Gaussian
from skvae.objectives import ELBO, CyclicalAnnealing
from skvae.priors import FlowPrior, MixtureOfGaussians

FOLDER = Path(__file__).parent / f"v{FORMAT_VERSION}"
NAMES = ["height", "weight", "age", "pulse", "grip"]
CHECKED = 12
"""Rows whose numbers are kept."""


def table():
    """Return 60 rows of five columns that follow from two."""
    z = np.random.RandomState(0).normal(size=(60, 2))
    noise = np.random.RandomState(1).normal(size=(60, 5))
    return z @ np.random.RandomState(2).normal(size=(2, 5)) + 0.3 * noise


def frame(X):
    """Return the mixed table of these codes: a real, a count, a boolean and a category."""
    colours = pd.Categorical.from_codes(X[:, 3].astype(int), ["red", "green", "blue"])
    return pd.DataFrame(
        {
            "length": X[:, 0],
            "visits": X[:, 1].astype(int),
            "member": X[:, 2].astype(bool),
            "colour": colours,
        }
    )


def codes():
    """Return the numbers of a mixed table."""
    random = np.random.RandomState(3)
    columns = random.normal(size=60), random.poisson(4, 60), random.rand(60) < 0.4
    return np.column_stack([*columns, random.randint(3, size=60)]).astype(float)


def digits():
    """Return 60 images."""
    return load_digits().data[:60] / 16


def named(X):
    """Return the table with names of its columns."""
    return pd.DataFrame(X, columns=NAMES)


def as_given(X):
    """Return the rows as they are."""
    return X


FULL = {"prior": MixtureOfGaussians(3), "posterior_family": "full"}
PARTS = {
    "likelihood": Gaussian("shared"),
    "objective": ELBO(beta=CyclicalAnnealing(4, n_cycles=2)),
    "optimizer": "sgd",
    "learning_rate": 1e-4,
}
MODELS = {
    "table": (table, as_given, {}),
    "images": (digits, as_given, {"image_shape": (8, 8), "conv_channels": (2, 3)}),
    "mixed": (codes, frame, {"likelihood": "mixed"}),
    "mixture_full": (table, as_given, FULL),
    "flow": (table, as_given, {"prior": FlowPrior(1, (4,), 4)}),
    "parts": (table, as_given, PARTS),
    "early_stopping": (table, as_given, {"early_stopping": True, "n_iter_no_change": 2}),
    "named": (table, named, {"normalization": "batch", "activation": "gated"}),
}
"""For each file the rows as numbers, what makes of them what ``fit`` was given, and how."""


def main():
    """Fit and write; refuse where there is a file."""
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name, (rows, given, params) in MODELS.items():
        path = FOLDER / f"{name}.safetensors"
        if path.exists():
            sys.exit(f"{path.name} of format version {FORMAT_VERSION} is there; it must stay.")
        X = rows()
        model = VariationalAutoencoder(
            hidden_layer_sizes=(6,), max_epochs=4, batch_size=16, random_state=0, **params
        ).fit(given(X))
        model.save(path)
        X = X[:CHECKED]
        numbers = {"transform": model.transform, "score_samples": model.score_samples}
        expected = {key: method(given(X)) for key, method in numbers.items()}
        np.savez_compressed(path.with_suffix(".npz"), X=X, **expected)


if __name__ == "__main__":
    main()
