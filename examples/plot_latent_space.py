"""
======================
Reading a latent space
======================

With more than two components there is no single plane to look at. These are the pictures that say
what each component does, how sure the model is, whether what it draws is new, and whether what
lies between two rows makes sense; and a page to explore with the pointer. The rows are
scikit-learn's digits.
"""

# %%
# Six components
# --------------

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder, explore
from skvae.display import (
    ComponentDisplay,
    InterpolationDisplay,
    LatentSpaceDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    TraversalDisplay,
)

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.3, stratify=y, random_state=0)
vae = VariationalAutoencoder(
    6, image_shape=(8, 8), learning_rate=3e-3, max_epochs=60, random_state=0
).fit(X)

# %%
# Which components are used
# -------------------------
# The KL of a component is what it tells about a row. One that tells nothing is not active, and
# could be left out.

ComponentDisplay.from_estimator(vae)
plt.show()

# %%
# What each component does
# ------------------------
# A held-out three, with one component changed in each row while the others stay.

TraversalDisplay.from_estimator(vae, X_test, x=X_test[y_test == 3][0])
plt.show()

# %%
# All pairs of planes
# -------------------
# With more than two components asked for, a grid of planes. Here are the four that tell the most.

strongest = vae.kl_per_component_.argsort()[::-1][:4]
LatentSpaceDisplay.from_estimator(vae, X_test, y_test, components=strongest)
plt.show()

# %%
# How sure the model is
# ---------------------
# The posterior of a row is a cloud around its mean; the ellipses hold a standard deviation. Where
# they are small beside the distance to the next colour, the classes are told apart.

LatentSpaceDisplay.from_estimator(
    vae, X_test[:150], y_test[:150], components=strongest[:2], ellipses=1.0
)
plt.show()

# %%
# From one digit to another
# -------------------------
# Straight lines between held-out digits, decoded. The ends are the digits themselves.

InterpolationDisplay.from_estimator(vae, X_test[:12], n_paths=6)
plt.show()

# %%
# There and back, and what was lost
# ---------------------------------

ReconstructionDisplay.from_estimator(vae, X_test, n_images=12)
plt.show()

# %%
# Draws from the model
# --------------------
# None of these digits was ever written. Beside each draw stands the training digit most like it,
# to see that they were not learned by heart.

SampleGridDisplay.from_estimator(vae, X, n_samples=32, n_columns=8, random_state=0)
plt.show()

# %%
# A page to explore
# -----------------
# ``skvae.explore`` writes one HTML file that needs no server and no network: move the pointer over
# the plane, and the decoder's answer is shown beside it. For a plane, two components. As the last
# line of a cell, a notebook shows the page, and so does this gallery.

from pathlib import Path
from tempfile import mkdtemp

plane = VariationalAutoencoder(2, max_epochs=60, learning_rate=3e-3, random_state=0).fit(X)
path = Path(mkdtemp()) / "digits.html"
explore(plane, X_test, y_test, path, image_shape=(8, 8), title="Held-out digits")

# %%
# What to take home
# -----------------
# Look at the KL first: a component that tells nothing has no picture worth looking at. Then
# change one component at a time. The axes have no names and no order of their own; what they mean
# is what the pictures show.
