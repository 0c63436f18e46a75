"""
===================================================
Against PCA, FactorAnalysis, MLPRegressor and t-SNE
===================================================

There are five ways from the 64 pixels of a digit to two numbers. All of them learn from the same
four fifths of the digits, without labels, and are measured on the last fifth. Labels are used only
at the end, to see by nearest neighbours whether the two numbers distinguish the digits.
"""

# %%
# Five models, two components each
# --------------------------------
# scikit-learn has no autoencoder, but ``MLPRegressor`` can be used as one: a network that predicts
# X from X through a layer of two units. Its layers are as wide as those of the VAE. It has no
# ``transform``, so a few lines compute the output of this layer from its weights.

import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor

from skvae import VariationalAutoencoder

warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs for either network
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, test_size=0.2, stratify=y, random_state=0
)


class Autoencoder(MLPRegressor):
    """MLPRegressor of X on X, with a way to its narrowest layer."""

    def transform(self, X):
        for weights, intercepts in zip(self.coefs_[:3], self.intercepts_[:3], strict=True):
            X = np.tanh(X @ weights + intercepts)
        return X


models = {
    "PCA": PCA(2),
    "FactorAnalysis": FactorAnalysis(2),
    "MLPRegressor": Autoencoder(
        hidden_layer_sizes=(256, 128, 2, 128, 256),
        activation="tanh",
        max_iter=200,
        n_iter_no_change=200,
        random_state=0,
    ),
    "t-SNE": TSNE(2, random_state=0),
    "VAE": VariationalAutoencoder(2, random_state=0),
}

# %%
# What is measured
# ----------------
# The measures are the accuracy of 10 nearest neighbours among the latent training rows, the squared
# error of a pixel after reconstruction, and the seconds of ``fit``. They are computed on held-out
# digits if the model has a ``transform``. t-SNE has none, and no way back. Its map is made from all
# digits together, including the held-out ones, and its accuracy is that of this map. This is an
# advantage.


def way_back(model, Z, X):
    """Return the rows decoded from Z, in the way each model has."""
    if isinstance(model, Autoencoder):
        return model.predict(X)
    if isinstance(model, FactorAnalysis):
        return Z @ model.components_ + model.mean_
    return model.inverse_transform(Z)


latents, table = {}, {}
for name, model in models.items():
    start = time.perf_counter()
    if isinstance(model, TSNE):
        Z = model.fit_transform(np.vstack([X_train, X_test]))
        Z_train, Z_test = Z[: len(X_train)], Z[len(X_train) :]
        seconds, error = time.perf_counter() - start, np.nan
    else:
        model.fit(X_train, X_train)
        seconds = time.perf_counter() - start
        Z_train, Z_test = model.transform(X_train), model.transform(X_test)
        error = np.mean((X_test - way_back(model, Z_test, X_test)) ** 2)
    accuracy = KNeighborsClassifier(10).fit(Z_train, y_train).score(Z_test, y_test)
    latents[name], table[name] = Z_test, (accuracy, error, seconds)

print(f"{'':16s}{'10-NN accuracy':>16s}{'squared error':>16s}{'seconds':>10s}")
for name, (accuracy, error, seconds) in table.items():
    print(f"{name:16s}{accuracy:16.3f}{error:16.4f}{seconds:10.1f}")

# %%
# The five maps
# -------------

import matplotlib.pyplot as plt

from skvae.display import LatentSpaceDisplay

# sphinx_gallery_thumbnail_panels = [3, 4]
figure, axes = plt.subplots(2, 3, figsize=(11, 7.4), layout="constrained")
for (name, Z), ax in zip(latents.items(), axes.flat, strict=False):
    display = LatentSpaceDisplay(Z=Z, components=(0, 1), y=y_test)
    display.plot(ax, scatter_kwargs={"s": 12})
    handles = display.legend_.legend_handles
    display.legend_.remove()
    ax.set(title=f"{name}: {table[name][0]:.2f}", aspect="auto", xlabel="", ylabel="")
axes.flat[-1].set_axis_off()
axes.flat[-1].legend(handles, range(10), title="digit", ncols=2, loc="center", frameon=False)
figure.suptitle("Held-out digits in two components, and the accuracy of their neighbours")
plt.show()

# %%
# Summary
# -------
# - **PCA** and **FactorAnalysis** take milliseconds. With more components they are often good
#   enough. With two, different digits overlap.
# - **MLPRegressor** is trained only for the squared error. It has no density and cannot draw
#   samples, because it does not know where in its plane the digits lie.
# - **t-SNE** separates the classes best. But it is only a map: a new digit cannot be placed on it,
#   and a point cannot be decoded.
# - The **VAE** places new rows, decodes points, and has a density, so that one number says how well
#   it describes held-out digits. It takes seconds, not milliseconds.

print(f"held-out bound of the VAE: {models['VAE'].score(X_test):.1f} nats per digit")
