"""Claim: the parts of skvae, put together as the papers did, reach the papers' densities.

Negative log-likelihood of MNIST's test images in nats, estimated by the importance-weighted
bound of 5,000 draws for each image, beside what was published for the same network:

    python benchmarks/density.py --data DIR --rows vae iwae5     # some rows, up to 80 min each
    python benchmarks/density.py --data DIR --quick              # two short rows, asserted

What falls short: in a quarter of an hour to an hour of one thread only the two short rows (which
--quick asserts) and the published figures of vae and iwae5 were reached; README.md beside this
file has the figures. The script ends with an error that names the rows that were missed. With
--checkpoint a run that was ended goes on where it was, when it is started again.

DIR holds the four idx.gz files of MNIST; without it they come from fetch_openml. Row cifar reads
cifar10_6000.npz (5,000 + 1,000 images) from beside DIR. The papers train for up to 3,280 epochs
of batches of 20; here a cosine schedule and larger batches run for a fraction of that, and every
line says for how many epochs and minutes. Each row runs on one thread. "dynamic": every epoch
draws its binary images anew from the grey values, and the test images are drawn once, from a
fixed seed; "static": the training images too are drawn once; "grey": no draw, the cross-entropy
of grey values, as in torch's example; "dequantised": colour images (level + u) / 256 with u
uniform from a fixed seed, whose density bounds the bits of the whole levels.
"""

import argparse
import gzip
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback

import skvae
from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian
from skvae.objectives import IWAE
from skvae.posteriors import InverseAutoregressiveFlow
from skvae.priors import VampPrior

N_IMPORTANCE_SAMPLES = 5000


@dataclass
class Row:
    """One line of the table: a model, its data, what was published and what to reach."""

    data: str
    params: dict
    published: float | None = None
    reach: float = math.inf
    metric: str = "nll"
    n_train: int = 60_000
    then: dict | None = None  # a second course of training

    @property
    def n_epochs(self):
        return self.params["max_epochs"] + (self.then or {}).get("max_epochs", 0)


BURDA = {"n_components": 50, "hidden_layer_sizes": (200, 200), "activation": "tanh"}
GATED = {"n_components": 40, "hidden_layer_sizes": (300, 300), "activation": "gated"}
LONG = {"batch_size": 200, "learning_rate": 3e-3, "precision": "bfloat16", "compile": True}
GATED |= LONG | {"learning_rate": 1.5e-3}  # at 3e-3 the loss leaps
VAMP = {"prior": VampPrior(500), "kl_warmup_epochs": 20}
FLOW = {"posterior_family": InverseAutoregressiveFlow(2, (320,))}
SHORT = {"n_components": 128, "hidden_layer_sizes": (200, 200), "activation": "tanh"}
EXAMPLE = {"n_components": 20, "hidden_layer_sizes": (400,), "learning_rate": 4e-3}
CIFAR = {"n_components": 64, "image_shape": (32, 32, 3), "conv_channels": (32, 64, 128)}
CIFAR |= {"hidden_layer_sizes": (), "conv_block": "residual", "likelihood": Gaussian("row")}
CIFAR |= {"precision": "bfloat16"}
IWAE5 = BURDA | LONG | {"objective": IWAE(5, True), "max_epochs": 700}
K50 = {"objective": IWAE(50, True), "learning_rate": 1e-3}

ROWS = {
    "vae": Row("dynamic", BURDA | LONG | {"max_epochs": 900}, 86.76, 86.4),
    "iwae5": Row("dynamic", IWAE5, 85.54, 85.2),
    "iwae50": Row("dynamic", IWAE5, 84.78, 84.6, then=K50 | {"max_epochs": 60}),
    "gated": Row("dynamic", GATED | {"max_epochs": 300}, 84.45, 84.45),
    "vamp": Row("dynamic", GATED | VAMP | {"max_epochs": 300}, 82.43, 82.43),
    "flow": Row("static", GATED | FLOW | {"max_epochs": 80}, 85.1, 85.1),
    # 76 epochs of 391 batches: 29,716 steps.
    "short": Row(
        "static",
        SHORT | {"max_epochs": 76, "learning_rate": 2e-3},
        100.31,
        95.0,
        n_train=50_000,
    ),
    "example": Row(
        "grey",
        EXAMPLE | {"max_epochs": 10, "learning_rate_schedule": "one_cycle"},
        105.56,
        105.0,
        metric="loss",
    ),
    "cifar": Row("dequantised", CIFAR | {"max_epochs": 15}, metric="bits", n_train=5000),
}
QUICK = ("example", "short")


def load_mnist(directory):
    """Return training and test pixels, uint8."""
    if directory is None:
        from sklearn.datasets import fetch_openml

        pixels = fetch_openml("mnist_784", version=1, as_frame=False).data.astype(np.uint8)
        return pixels[:60_000], pixels[60_000:]
    files = (Path(directory) / f"{part}-images-idx3-ubyte.gz" for part in ("train", "t10k"))
    return tuple(
        np.frombuffer(gzip.open(file).read(), np.uint8, offset=16).reshape(-1, 784)
        for file in files
    )


def load(row, directory):
    """Return training and test pixels of a row, uint8."""
    if row.data != "dequantised":
        return load_mnist(directory)
    images = np.load(Path(directory).parent / "cifar10_6000.npz")
    return tuple(images[name].reshape(-1, 32 * 32 * 3) for name in ("x_train", "x_test"))


def binarize(pixels, seed):
    """Draw binary images, each pixel 1 with the probability of its grey value."""
    uniform = np.random.default_rng(seed).random(pixels.shape, dtype=np.float32)
    return (255 * uniform < pixels).astype(np.uint8)


def as_rows(pixels, data, seed):
    """Return pixels as a row's model takes them."""
    if data == "grey":
        return pixels / np.float32(255)
    if data == "dequantised":
        uniform = np.random.default_rng(seed).random(pixels.shape, dtype=np.float32)
        return np.minimum((pixels + uniform) / np.float32(256), np.float32(1))
    return binarize(pixels, seed)


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
    pixels = pixels[: row.n_train]
    X = as_rows(pixels, row.data, seed=0)
    callbacks = [Report(), *([DynamicBinarization(pixels)] if row.data == "dynamic" else [])]
    defaults = {"likelihood": "bernoulli", "linear_path": False, "learning_rate_schedule": "cosine"}
    defaults |= {"random_state": 0}
    vae = VariationalAutoencoder(**(defaults | row.params), callbacks=callbacks).fit(X)
    if row.then:
        vae.set_params(warm_start=True, **row.then).fit(X)
    return vae.set_params(callbacks=None), (time.process_time() - start) / 60


def evaluate(vae, row, pixels, n_importance_samples):
    """Return figures of the test images."""
    X = as_rows(pixels, row.data, seed=1)
    figures = {"loss": -vae.score(X)}
    if row.metric == "loss":
        return figures
    start = time.process_time()
    nll = -vae.score_samples(X, n_importance_samples=n_importance_samples).astype(np.float64)
    figures["nll"] = nll.mean()
    figures["standard_error"] = nll.std() / math.sqrt(len(nll))
    figures["importance_samples"] = n_importance_samples
    if row.metric == "bits":  # see skvae.metrics.bits_per_dim
        figures["bits"] = nll.mean() / (X.shape[1] * math.log(2)) + 8
    figures["evaluation_minutes"] = (time.process_time() - start) / 60
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx.gz files of MNIST")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK}, fewer draws")
    parser.add_argument("--draws", type=int, default=N_IMPORTANCE_SAMPLES, help="for each image")
    parser.add_argument("--save", help="folder for the fitted models")
    parser.add_argument("--checkpoint", help="folder from which a run that was ended goes on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    missed = []
    for name in QUICK if args.quick else args.rows:
        row = ROWS[name]
        train_pixels, test_pixels = load(row, args.data)
        with skvae.data_parallel(checkpoint=args.checkpoint):
            vae, minutes = train(row, train_pixels)
        if args.save:
            vae.save(Path(args.save) / f"{name}.safetensors")
        figures = {"row": name, "epochs": row.n_epochs, "minutes": minutes}
        figures |= evaluate(vae, row, test_pixels, 100 if args.quick else args.draws)
        figures |= {"published": row.published, "reach": row.reach}
        print(json.dumps(figures), flush=True)
        if figures[row.metric] > row.reach:
            missed.append(f"{name}: {figures[row.metric]:.2f} > {row.reach}")
    assert not missed, missed


if __name__ == "__main__":
    main()
