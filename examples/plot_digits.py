"""
=================================================
Handwritten digits, from 64 pixels to two numbers
=================================================

A variational autoencoder with all defaults learns from the 1,797 digits of
:func:`~sklearn.datasets.load_digits`, and a convolutional one, which is told that the rows
are images. Neither sees a label. A fifth of the rows is held out: they are what is scored
and shown.

Run ``python examples/plot_digits.py --out DIR`` to write the pictures elsewhere.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # files only, no window

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skvae import VariationalAutoencoder
from skvae.display import (
    HistoryDisplay,
    LatentSpaceDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
)

# %%
# The data
# --------
# Each row holds the 8 × 8 pixels of one digit, between 0 and 16. Divided by 16 they lie in
# [0, 1], where ``likelihood="auto"`` chooses a density on that interval.


def held_out_digits():
    """Return ``X_train, X_test, y_train, y_test``; the same in every run."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.2, stratify=y, random_state=0)


# %%
# What the model has learned
# --------------------------
# The bound says how probable the held-out rows are. The nearest neighbours say whether two
# latent numbers keep the digits apart; PCA, the best *linear* map to two numbers, is asked
# the same. On 64 pixels dense networks serve as well as convolutions; on larger images they
# do not, see ``plot_mnist.py``.


def neighbours_accuracy(embedding, X_train, X_test, y_train, y_test):
    """Return the accuracy of 10 nearest neighbours among the latent training rows."""
    neighbours = KNeighborsClassifier(10).fit(embedding.transform(X_train), y_train)
    return neighbours.score(embedding.transform(X_test), y_test)


def squared_error(embedding, X):
    """Return the mean squared error of a pixel after a round trip through the latent."""
    return np.mean((X - embedding.inverse_transform(embedding.transform(X))) ** 2)


def report_bound(name, vae, X_train, X_test):
    """Print the likelihood, the bound and its tighter form, and what the components carry."""
    elbo = vae.score_samples(X_test)
    closer = vae.score_samples(X_test, n_importance_samples=100)
    error = elbo.std() / np.sqrt(len(elbo))
    print(f"{name}: likelihood chosen {type(vae.likelihood_).__name__}")
    print(f"  elbo, training rows      {vae.score(X_train):.1f} nats per row")
    print(f"  elbo, held-out rows      {elbo.mean():.1f} ± {error:.1f} nats per row")
    print(f"  the same with 100 draws  {closer.mean():.1f}")
    print(f"  KL of each component     {vae.kl_per_component_.round(2)} nats")


def compare(embeddings, X_train, X_test, y_train, y_test):
    """Print the models side by side."""
    rows = [("held-out rows, two components", embeddings)]
    models = embeddings.values()
    accuracies = [neighbours_accuracy(e, X_train, X_test, y_train, y_test) for e in models]
    rows.append(("10-nearest-neighbour accuracy", [f"{a:.3f}" for a in accuracies]))
    rows.append(("squared error of a pixel", [f"{squared_error(e, X_test):.3f}" for e in models]))
    for name, cells in rows:
        print(f"{name:30s}" + "".join(f"{cell:>15s}" for cell in cells))


# %%
# Pictures
# --------
# On the left, where the encoder puts the held-out digits. On the right, what the decoder
# draws at a grid of points of the same plane. Below, held-out digits and what is left of
# them after the passage through two numbers.


def draw_model(vae, X, y):
    """Return a figure of the latent plane from both sides, and of reconstructions."""
    figure, axes = plt.subplot_mosaic(
        [["rows", "grid"], ["round trip", "round trip"]],
        figsize=(10, 6),
        width_ratios=[1.15, 1],
        height_ratios=[4, 1],
        layout="constrained",
    )
    LatentSpaceDisplay.from_estimator(vae, X, y, ax=axes["rows"])
    axes["rows"].set_title("Held-out digits in the latent plane")
    ink = {"cmap": "gray_r", "interpolation": "nearest"}
    pictures = {"image_shape": (8, 8), "imshow_kwargs": ink}
    ManifoldDisplay.from_estimator(vae, n=16, ax=axes["grid"], **pictures)
    axes["grid"].set_title("The plane, decoded")
    ReconstructionDisplay.from_estimator(vae, X, n_images=18, ax=axes["round trip"], **pictures)
    return figure


def draw_history(vae):
    """Return a figure of the loss and its terms over the epochs."""
    return HistoryDisplay.from_estimator(vae).figure_


def save(figure, path):
    """Write a figure and print where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
    print(f"wrote {path}")


def main():
    parser = argparse.ArgumentParser(description="Train on load_digits and draw what was learned.")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for pictures")
    out = parser.parse_args().out
    torch.set_num_threads(1)  # on small networks threads mostly wait for each other

    X_train, X_test, y_train, y_test = held_out_digits()
    vae = VariationalAutoencoder(n_components=2, random_state=0)
    convolutional = clone(vae).set_params(image_shape=(8, 8))
    models = {"dense": vae, "convolutional": convolutional}
    for name, model in models.items():
        start = time.perf_counter()
        model.fit(X_train)
        print(f"{name} networks trained on {len(X_train)} rows, {model.n_iter_} epochs, ", end="")
        print(f"{time.perf_counter() - start:.0f} s")
        report_bound(name, model, X_train, X_test)

    models["PCA"] = PCA(2).fit(X_train)
    compare(models, X_train, X_test, y_train, y_test)
    save(draw_model(vae, X_test, y_test), out / "digits.png")
    save(draw_history(vae), out / "digits_history.png")


if __name__ == "__main__":
    main()
