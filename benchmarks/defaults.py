"""Claim: a fit with the default width and number of epochs ends near its held-out optimum.

For each data set and each of a few widths, the held-out elbo of fits of 100 steps of the
optimiser, and of a third of the default's, as many, and three times as many. Every fit is one
cycle of the learning rate. The default width and the steps that ``max_epochs="auto"`` gives are
marked by a star. Asserted at the end: the default has at least 85 % of what the best width and the
best number of steps gain over 100 steps of the default width. (A table starts at its factor
analysis: where training then gains .1 to .5 nats in all, the share says little, and what the
default is below the best is printed beside it.)

    python benchmarks/defaults.py [--data DIR] [--only NAME ...]

DIR holds the idx files of MNIST; without it MNIST is left out. About half an hour on one core.
"""

import argparse
import gzip
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split

from skvae import UndertrainedWarning, VariationalAutoencoder
from skvae._training import default_epochs

SHORTEST = 100
"""Steps from which on the gain is counted."""
SHARES = (1 / 3, 1, 3)
"""Lengths of fits, in units of the default's."""
WIDTHS = ((32,), (64, 32), (128, 64), (256, 128))
LEAST_SHARE = 0.85


def tables():
    """Yield the names and rows of scikit-learn's tables."""
    for name in ("iris", "wine", "diabetes", "breast_cancer", "digits"):
        X = getattr(datasets, f"load_{name}")().data
        yield name, X / 16 if name == "digits" else X


def mnist(folder):
    """Yield the names and rows of a part of MNIST, and of all its training images."""
    with gzip.open(Path(folder) / "train-images-idx3-ubyte.gz") as file:
        X = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    X = (X / np.float32(255)).astype(np.float32)
    yield "mnist 5,000", X[:6250]
    yield "mnist 60,000", X


def follow(train, test, width):
    """Return ``{steps: held-out elbo}`` of fits of different length, and the default's steps."""
    batches = -(-len(train) // 128)
    auto = default_epochs(len(train), 128, train.shape[1])
    shares = (SHORTEST / (auto * batches), *SHARES)
    curve = {}
    for epochs in sorted({max(1, round(share * auto)) for share in shares}):
        model = VariationalAutoencoder(
            random_state=0, hidden_layer_sizes=width, max_epochs=epochs
        ).fit(train)
        curve[epochs * batches] = model.score(test)
    return curve, auto * batches


def measure(name, X):
    """Print a data set's curves; return the default's share of the greatest gain, and its loss."""
    train, test = train_test_split(X, test_size=0.2, random_state=0)
    # The default hangs on the likelihood too, which a fit chooses.
    default = VariationalAutoencoder(max_steps=1).fit(train)._architecture.hidden_layer_sizes
    best = -np.inf
    for width in sorted({*WIDTHS, default}) if len(train) < 3000 else [default]:
        curve, auto = follow(train, test, width)
        best = max(best, *curve.values())
        if width == default:
            start, reached = next(iter(curve.values())), curve[auto]
        shown = (f"{s}{'*' if s == auto else ''}:{elbo:.2f}" for s, elbo in curve.items())
        star = "*" if width == default else ""
        print(f"{name:13s} {f'{width}{star}':12s}", *shown, flush=True)
    return (reached - start) / (best - start), best - reached


def main():
    """Measure, and assert the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx files of MNIST")
    parser.add_argument("--only", nargs="*", help="names of data sets")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UndertrainedWarning)  # the short ones are
    rows = dict(tables()) | (dict(mnist(arguments.data)) if arguments.data else {})
    names = arguments.only or list(rows)
    shares = {name: measure(name, rows[name]) for name in names}
    for name, (share, lost) in shares.items():
        print(f"{name:13s} {share:.2f} of the gain, {lost:.2f} nats below the best")
    assert min(share for share, _ in shares.values()) >= LEAST_SHARE


if __name__ == "__main__":
    main()
