"""
====================
Networks of your own
====================

``encoder=`` and ``decoder=`` take torch modules. This is useful if columns have an order that dense
layers do not use: time series, spectra, sequences. Here the rows are simulated heartbeats of an
electrocardiogram, with three waves of random height, width and place. The example measures the
advantage of convolutions along time.
"""

# %%
# 400 heartbeats of 128 samples
# -----------------------------

import numpy as np
from sklearn.model_selection import train_test_split

rng = np.random.default_rng(0)
n = 1400
time = np.linspace(0, 1, 128)
centre = rng.uniform(0.35, 0.6, (n, 1))  # where in the window the beat falls
stretch = rng.uniform(0.7, 1.2, (n, 1))
heights = rng.uniform(0.7, 1.3, (3, n, 1)) * np.reshape([0.2, 1.0, 0.4], (3, 1, 1))
X = sum(
    height * np.exp(-0.5 * ((time - centre - offset * stretch) / (width * stretch)) ** 2)
    for height, offset, width in zip(heights, (-0.18, 0, 0.22), (0.03, 0.012, 0.05), strict=True)
)
X = X + rng.normal(0, 0.03, X.shape)
X_train, X_test = train_test_split(X, train_size=400, random_state=0)

# %%
# Two modules
# -----------
# The encoder maps a batch ``(n, 128)`` to any number of features. The decoder maps z,
# ``(n, n_components)``, to features. The last layers, which compute the parameters of q(z|x) and
# p(x|z), are added, so the modules need not know about likelihoods. Training starts from copies of
# the weights of these modules, so you set the seed for them.

import torch
from torch import nn

torch.manual_seed(0)


def down(n_in, n_out):
    return nn.Sequential(nn.Conv1d(n_in, n_out, 7, stride=2, padding=3), nn.GELU())


def up(n_in, n_out):
    return nn.Sequential(nn.ConvTranspose1d(n_in, n_out, 8, stride=2, padding=3), nn.GELU())


n_components = 5
encoder = nn.Sequential(
    nn.Unflatten(1, (1, 128)), down(1, 16), down(16, 32), down(32, 32), nn.Flatten()
)
decoder = nn.Sequential(
    nn.Linear(n_components, 32 * 16),
    nn.GELU(),
    nn.Unflatten(1, (32, 16)),
    up(32, 32),
    up(32, 16),
    up(16, 8),
    nn.Flatten(),
)

# %%
# Dense layers against convolutions
# ---------------------------------
# Everything else is the same: rows, likelihood, epochs.

from skvae import VariationalAutoencoder

dense = VariationalAutoencoder(n_components, max_epochs=150, random_state=0)
own = VariationalAutoencoder(
    n_components, encoder=encoder, decoder=decoder, max_epochs=150, random_state=0
)
models = {"dense layers": dense, "own convolutions": own}
print(f"{'':20s}{'training bound':>17s}{'held-out bound':>17s}{'squared error':>16s}")
for name, model in models.items():
    model.fit(X_train)
    error = ((X_test - model.reconstruct(X_test)) ** 2).mean()
    print(f"{name:20s}{model.score(X_train):17.1f}{model.score(X_test):17.1f}{error:16.5f}")

# %%
# The noise alone has a squared error of 0.03². Dense layers have to learn every place of a wave
# separately. A convolution finds a wave at every place.

import matplotlib.pyplot as plt

# sphinx_gallery_thumbnail_panels = [0]
figure, axes = plt.subplots(2, 3, figsize=(10, 4.6), sharex=True, sharey=True, layout="constrained")
for row, (name, model) in zip(axes, models.items(), strict=True):
    for ax, x, back in zip(row, X_test, model.reconstruct(X_test[:3]), strict=False):
        ax.plot(time, x, color="#94a4a2", linewidth=1, label="held-out beat")
        ax.plot(time, back, color="#bd1f01", label="reconstruction")
    row[0].set_ylabel(name)
for ax in axes[1]:
    ax.set_xlabel("seconds")
axes[0, 0].legend(frameon=False, fontsize="small", loc="upper left")
plt.show()

# %%
# The model is an estimator like any other: it can be cloned, searched over and pickled. A saved
# file holds its weights; ``skvae.load(path, encoder=encoder, decoder=decoder)`` needs the code of
# the modules.
