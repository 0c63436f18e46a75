"""
======================
Reading a latent space
======================

With more than two components, there is no single plane to look at. These pictures show what each
component does, how sure the model is, whether its samples are new, and whether points between two
rows make sense. At the end there is a page that you can explore with the pointer. The rows are
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
vae = VariationalAutoencoder(6, image_shape=(8, 8), max_epochs=60, random_state=0).fit(X)

# %%
# Which components are used
# -------------------------
# The KL of a component says how much it tells about a row. A component that tells nothing is not
# active, and could be left out.

ComponentDisplay.from_estimator(vae)
plt.show()

# %%
# What each component does
# ------------------------
# This is a held-out three. In each row, one component changes and the others stay constant.

TraversalDisplay.from_estimator(vae, X_test, x=X_test[y_test == 3][0])
plt.show()

# %%
# All pairs of planes
# -------------------
# If you ask for more than two components, a grid of planes is drawn. Here are the four components
# that tell the most.

strongest = vae.kl_per_component_.argsort()[::-1][:4]
LatentSpaceDisplay.from_estimator(vae, X_test, y_test, components=strongest)
plt.show()

# %%
# How sure the model is
# ---------------------
# The posterior of a row is a cloud around its mean. The ellipses have the size of one standard
# deviation. Where they are small compared to the distance to the next colour, the classes are well
# separated.

# sphinx_gallery_thumbnail_number = 4
LatentSpaceDisplay.from_estimator(
    vae, X_test[:150], y_test[:150], components=strongest[:2], ellipses=1.0
)
plt.show()

# %%
# From one digit to another
# -------------------------
# These are decoded points on straight lines between held-out digits. At the ends are the digits
# themselves.

InterpolationDisplay.from_estimator(vae, X_test[:12], n_paths=6)
plt.show()

# %%
# Reconstructions
# ---------------

ReconstructionDisplay.from_estimator(vae, X_test, n_images=12)
plt.show()

# %%
# Draws from the model
# --------------------
# These digits are drawn by the model. Below each of them is the most similar training digit, so
# that you can see whether the model only repeats these.

SampleGridDisplay.from_estimator(vae, X, n_samples=32, n_columns=8, random_state=0)
plt.show()

# %%
# A page to explore
# -----------------
# ``skvae.explore`` writes one HTML file that needs no server and no network. Move the pointer over
# the plane to see the decoded image. Here the model has two components. As the last line of a cell,
# a notebook shows the page, and so does this gallery.

from pathlib import Path
from tempfile import mkdtemp

plane = VariationalAutoencoder(2, max_epochs=60, random_state=0).fit(X)
path = Path(mkdtemp()) / "digits.html"
explore(plane, X_test, y_test, path, image_shape=(8, 8), title="Held-out digits")

# %%
# Summary
# -------
# Look at the KL first, because pictures of a component that tells nothing are useless. Then change
# one component at a time. The axes have no names and no fixed order; only the pictures show what
# they mean.
