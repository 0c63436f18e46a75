"""Claim: the parts of skvae, put together as the papers did, reach the papers' densities.

Negative log-likelihood of MNIST's test images in nats, estimated by the importance-weighted
bound of 5,000 draws for each image, beside what was published for the same network:

    python benchmarks/density.py --data DIR --rows vae iwae5     # some rows, up to 40 min each
    python benchmarks/density.py --data DIR --quick              # two short rows, asserted

DIR holds the four idx.gz files of MNIST; without it they come from fetch_openml. The papers
train for 3,280 epochs of batches of 20; here a cosine schedule and larger batches reach
their numbers in a fraction of that, and every line says in how many epochs and minutes.
Each row runs on one thread. "dynamic": every epoch draws its binary images anew from the
grey values, and the test images are drawn once, from a fixed seed; "static": the training
images too are drawn once; "grey": no draw, the cross-entropy of grey values, as in torch's
example.
"""

import argparse
import gzip
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback

from skvae import VariationalAutoencoder
from skvae.objectives import IWAE
from skvae.posteriors import InverseAutoregressiveFlow
from skvae.priors import VampPrior

N_IMPORTANCE_SAMPLES = 5000


@dataclass
class Row:
    """One line of the table."""

    published: float
    reach: float
    binarization: str
    params: dict
    n_train: int = 60_000
    metric: str = "nll"
    then: list[dict] = field(default_factory=list)  # further courses of training

    @property
    def n_epochs(self):
        return sum(course.get("max_epochs", 0) for course in (self.params, *self.then))


BURDA = {"n_components": 50, "hidden_layer_sizes": (200, 200), "activation": "tanh"}
BURDA |= {"batch_size": 100, "learning_rate": 2e-3}
GATED = {"n_components": 40, "hidden_layer_sizes": (300, 300), "activation": "gated"}
GATED |= {"batch_size": 100, "learning_rate": 5e-4}

ROWS = {
    "vae": Row(86.76, 86.4, "dynamic", BURDA | {"max_epochs": 900}),
    "iwae5": Row(85.54, 85.2, "dynamic", BURDA | {"objective": IWAE(5, True), "max_epochs": 300}),
    "iwae50": Row(84.78, 84.6, "dynamic", BURDA | {"objective": IWAE(50, True), "max_epochs": 60}),
    "gated": Row(84.45, 84.45, "dynamic", GATED | {"max_epochs": 300}),
    "vamp": Row(
        82.43,
        82.43,
        "dynamic",
        GATED | {"prior": VampPrior(500), "kl_warmup_epochs": 20, "max_epochs": 200},
    ),
    "flow": Row(
        85.1,
        85.1,
        "static",
        GATED
        | {
            "posterior_family": InverseAutoregressiveFlow(4, (320,)),
            "dropout": 0.1,
            "max_epochs": 200,
        },
    ),
    "short": Row(
        100.31,
        95.0,
        "static",
        {"n_components": 128, "hidden_layer_sizes": (512, 512), "batch_size": 128}
        | {"max_epochs": 77, "learning_rate": 1e-3},
        n_train=50_000,
    ),
    "example": Row(
        105.56,
        105.0,
        "grey",
        {"n_components": 20, "hidden_layer_sizes": (400,), "batch_size": 128}
        | {"max_epochs": 10, "learning_rate": 4e-3, "learning_rate_schedule": "one_cycle"},
        metric="loss",
    ),
}
QUICK = ("example", "short")


def load_mnist(directory):
    """Return training and test pixels, uint8."""
    if directory is None:
        from sklearn.datasets import fetch_openml

        pixels = fetch_openml("mnist_784", version=1, as_frame=False).data.astype(np.uint8)
        return pixels[:60_000], pixels[60_000:]
    files = (f"{part}-images-idx3-ubyte.gz" for part in ("train", "t10k"))
    return tuple(
        np.frombuffer(gzip.open(Path(directory) / name).read(), np.uint8, offset=16).reshape(
            -1, 784
        )
        for name in files
    )


def binarize(pixels, seed):
    """Draw binary images, each pixel 1 with the probability of its grey value."""
    uniform = np.random.default_rng(seed).random(pixels.shape, dtype=np.float32)
    return (255 * uniform < pixels).astype(np.uint8)


class DynamicBinarization(Callback):
    """Draw the training images anew in every epoch."""

    def __init__(self, pixels):
        self.pixels = pixels

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        dataset_train.X = binarize(self.pixels, seed=[0, len(net.history)])


class Report(Callback):
    """Print a line now and then."""

    def on_epoch_end(self, net, **kwargs):
        last = net.history[-1]
        if last["epoch"] % 10 == 0:
            print(
                {k: round(last[k], 3) for k in ("epoch", "train_loss", "train_kl", "dur")},
                flush=True,
            )


def train(row, pixels):
    """Return the fitted model of a row, and the minutes of CPU that took."""
    start = time.process_time()
    X = pixels[: row.n_train] / np.float32(255) if row.binarization == "grey" else None
    X = binarize(pixels[: row.n_train], seed=0) if X is None else X
    callbacks = [Report()]
    if row.binarization == "dynamic":
        callbacks.append(DynamicBinarization(pixels[: row.n_train]))
    defaults = {"likelihood": "bernoulli", "random_state": 0, "learning_rate_schedule": "cosine"}
    vae = VariationalAutoencoder(**(defaults | row.params), callbacks=callbacks).fit(X)
    for course in row.then:
        vae.set_params(warm_start=True, **course).fit(X)
    return vae.set_params(callbacks=None), (time.process_time() - start) / 60


def evaluate(vae, row, pixels, n_importance_samples):
    """Return figures of the test images."""
    X = pixels / np.float32(255) if row.binarization == "grey" else binarize(pixels, seed=1)
    figures = {"loss": -vae.score(X)}
    if row.metric == "nll":
        start = time.process_time()
        nll = -vae.score_samples(X, n_importance_samples=n_importance_samples)
        figures["nll"] = float(nll.mean(dtype=np.float64))
        figures["standard_error"] = float(nll.std() / math.sqrt(len(nll)))
        figures["importance_samples"] = n_importance_samples
        figures["evaluation_minutes"] = (time.process_time() - start) / 60
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx.gz files of MNIST")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK}, fewer draws")
    parser.add_argument("--save", help="folder for the fitted models")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train_pixels, test_pixels = load_mnist(args.data)
    missed = []
    for name in QUICK if args.quick else args.rows:
        row = ROWS[name]
        vae, minutes = train(row, train_pixels)
        if args.save:
            vae.save(Path(args.save) / f"{name}.safetensors")
        figures = {"row": name, "epochs": row.n_epochs, "minutes": minutes}
        figures |= evaluate(vae, row, test_pixels, 100 if args.quick else N_IMPORTANCE_SAMPLES)
        figures |= {"published": row.published, "reach": row.reach}
        print(json.dumps(figures), flush=True)
        if figures[row.metric] > row.reach:
            missed.append(f"{name}: {figures[row.metric]:.2f} > {row.reach}")
    assert not missed, missed


if __name__ == "__main__":
    main()
