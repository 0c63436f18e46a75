"""Claim: with the default networks and "auto" epochs, a fit ends near its held-out optimum.

For each data set and each of a few widths, the held-out elbo is followed over the steps of
the optimiser (warm starts continue bit for bit). "auto" is the number of steps that the
default budget gives. At the end: the default's held-out elbo is within 3 % of the width of
the range between the first and the best figure of its row, or the row is named.

    python benchmarks/defaults.py [--data DIR]

DIR holds the idx files of MNIST; without it MNIST is left out.
"""

import argparse
import gzip
import time
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder
from skvae._training import default_epochs

STEPS = (100, 300, 1000, 2000, 3000, 5000, 10_000)
WIDTHS = ((), (32,), (64, 32), (256, 128))
MOST_SECONDS = 150


def tables():
    for name in ("iris", "wine", "diabetes", "breast_cancer", "digits"):
        X = getattr(datasets, f"load_{name}")().data
        yield name, X / 16 if name == "digits" else X


def mnist(folder):
    with gzip.open(Path(folder) / "train-images-idx3-ubyte.gz") as file:
        X = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    return (X / np.float32(255)).astype(np.float32)


def follow(X, **params):
    """Yield (steps, held-out elbo) as a fit goes on, and the elbo of "auto"."""
    train, test = train_test_split(X, test_size=0.2, random_state=0)
    batches = -(-len(train) // 128)
    auto = default_epochs(len(train), 128)
    epochs = sorted({max(1, round(s / batches)) for s in STEPS} | {auto})
    model = VariationalAutoencoder(random_state=0, warm_start=True, **params)
    start, done = time.perf_counter(), 0
    for epoch in epochs:
        if time.perf_counter() - start > MOST_SECONDS and epoch > auto:
            return
        model.set_params(max_epochs=epoch - done).fit(train)
        done = epoch
        yield epoch * batches, model.score(test), epoch == auto


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx files of MNIST")
    parser.add_argument("--components", type=int, default=2)
    folder = parser.parse_args().data
    torch.set_num_threads(1)
    rows = list(tables())
    if folder:
        X = mnist(folder)
        rows += [("mnist 5,000", X[:6250]), ("mnist 48,000", X)]
    behind = []
    for name, X in rows:
        for width in WIDTHS if len(X) < 3000 else WIDTHS[-1:]:
            points = list(follow(X, hidden_layer_sizes=width))
            elbo = np.array([p[1] for p in points])
            auto = next(e for _, e, is_auto in points if is_auto)
            line = "  ".join(f"{s}{'*' if a else ''}:{e:.2f}" for s, e, a in points)
            print(f"{name:14s} {width!s:11s} {line}", flush=True)
            if width == WIDTHS[-1] and elbo.max() - auto > 0.03 * (elbo.max() - elbo[0]):
                behind.append(f"{name}: auto {auto:.2f}, best {elbo.max():.2f}")
    print("behind their best:", behind or "none")


if __name__ == "__main__":
    main()
