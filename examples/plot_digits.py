"""
===================================
Images: digits, from 64 pixels to 2
===================================

Images are rows of a matrix, too. Here are the 1,797 handwritten digits that come with scikit-learn,
with 8 × 8 pixels each. Two variational autoencoders learn them without labels: one with all
defaults, whose networks are dense, and one that knows that the rows are images. A fifth of the
digits is held out for the scores and pictures.

``python examples/plot_digits.py`` prints the same and writes the pictures into ``pictures/``.
"""

# %%
# Two models
# ----------
# Divided by 16, the pixels lie in [0, 1], and ``likelihood="auto"`` chooses a density on this
# interval. ``image_shape`` makes the networks convolutional.

import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder

torch.set_num_threads(1)  # on networks as small as these, threads wait for each other

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.2, stratify=y, random_state=0
)
dense = VariationalAutoencoder(n_components=2, random_state=0)
convolutional = VariationalAutoencoder(n_components=2, image_shape=(8, 8), random_state=0)
models = {"dense": dense, "convolutional": convolutional}
for name, vae in models.items():
    start = time.perf_counter()
    vae.fit(X_train)
    seconds = time.perf_counter() - start
    print(f"{name}: {vae.n_iter_} epochs of {len(X_train)} rows in {seconds:.0f} s")

# %%
# What they have learned
# ----------------------
# The bound says how probable the held-out digits are. ``n_importance_samples`` makes it tighter.
# The KL of a component says how much it tells about a digit, in nats.

for name, vae in models.items():
    elbo = vae.score_samples(X_test)
    error = elbo.std() / len(elbo) ** 0.5
    print(f"{name}: {type(vae.likelihood_).__name__}")
    closer = vae.score_samples(X_test, n_importance_samples=100)
    print(f"  elbo, training rows      {vae.score(X_train):.1f} nats per row")
    print(f"  elbo, held-out rows      {elbo.mean():.1f} ± {error:.1f} nats per row")
    print(f"  the same with 100 draws  {closer.mean():.1f}")
    print(f"  KL of each component     {vae.kl_per_component_.round(2)} nats")

# %%
# The accuracy of nearest neighbours says whether two numbers distinguish the digits. The same is
# computed for PCA, the best *linear* map to two numbers.

from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

models["PCA"] = PCA(2).fit(X_train)
print(f"{'held-out rows':15s}{'10-NN accuracy':>16s}{'squared error of a pixel':>27s}")
for name, model in models.items():
    neighbours = KNeighborsClassifier(10).fit(model.transform(X_train), y_train)
    accuracy = neighbours.score(model.transform(X_test), y_test)
    error = ((X_test - model.inverse_transform(model.transform(X_test))) ** 2).mean()
    print(f"{name:15s}{accuracy:16.3f}{error:27.3f}")

# %%
# Pictures
# --------
# On the left are the held-out digits in the latent plane. On the right are images that the decoder
# draws at a grid of points in the same plane. Below are held-out digits and their reconstructions
# from two numbers.

from skvae.display import (
    HistoryDisplay,
    LatentSpaceDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
)

ink = {"image_shape": (8, 8), "imshow_kwargs": {"cmap": "gray_r", "interpolation": "nearest"}}
# sphinx_gallery_thumbnail_panels = [1]
figure, axes = plt.subplot_mosaic(
    [["rows", "grid"], ["trip", "trip"]],
    figsize=(10, 6.4),
    width_ratios=[1.15, 1],
    height_ratios=[4, 1.1],
    layout="constrained",
)
LatentSpaceDisplay.from_estimator(dense, X_test, y_test, ax=axes["rows"])
axes["rows"].set_title("Held-out digits in the latent plane")
ManifoldDisplay.from_estimator(dense, n=16, ax=axes["grid"], **ink)
axes["grid"].set_title("The plane, decoded")
ReconstructionDisplay.from_estimator(
    dense, X_test, n_images=18, residuals=False, ax=axes["trip"], **ink
)

folder = Path("pictures")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "digits.png", dpi=90)
print(f"wrote {folder / 'digits.png'}")

# %%
# This is the course of training:

history = HistoryDisplay.from_estimator(dense)
history.figure_.savefig(folder / "digits_history.png", dpi=90)
print(f"wrote {folder / 'digits_history.png'}")

# %%
# Summary
# -------
# - Two numbers from a VAE distinguish digits far better than two from PCA, and the reconstruction
#   error is smaller. The table above has the numbers.
# - The plane has no holes: every point of it decodes to something like a digit.
# - For 64 pixels, dense networks are as good as convolutions. For larger images they are not; see
#   :doc:`/auto_examples/plot_mnist`.
