"""
===========================
Colours, and how many steps
===========================

Rows may be images in colour; ``image_shape`` is then ``(height, width, 3)``. Here they are small
pieces of two photographs that come with scikit-learn. A model describes the 768 numbers of each
piece by 32 numbers. To see the result, a whole photograph is cut into pieces, each piece is encoded
and decoded, and they are put together again.

The same pictures show why you should count *steps*. A step is one update of the networks, with one
batch of 128 rows. Ten epochs are 4,690 steps on 60,000 rows, but only 50 on 600 rows. After so few
steps, convolutional networks draw only squares of one colour.
"""

# %%
# Pieces of photographs
# ---------------------
# The right third of the first photograph is held out.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d

from skvae import VariationalAutoencoder

torch.set_num_threads(1)  # on networks as small as these, threads wait for each other

SIZE, SEEN = 16, 416
china, flower = (load_sample_image(f"{name}.jpg") / np.float32(255) for name in ("china", "flower"))
pieces = [
    extract_patches_2d(photograph, (SIZE, SIZE), max_patches=2000, random_state=0)
    for photograph in (china[:, :SEEN], flower)
]
X = np.concatenate(pieces).reshape(4000, -1)
print(f"{len(X):,} rows of {X.shape[1]} values from {X.min()} to {X.max()}")

# %%
# Few steps, and enough
# ---------------------
# ``max_steps`` says how long to train, for any number of rows. Dense networks, without
# ``image_shape``, begin as a linear model and need few steps. They are good enough for pieces as
# small as these.

common = {"n_components": 32, "likelihood": "gaussian", "random_state": 0}
images = {"image_shape": (SIZE, SIZE, 3), "conv_channels": (16, 32)}
models = {
    "convolutions, 60 steps": VariationalAutoencoder(max_steps=60, **common, **images),
    "convolutions, 400 steps": VariationalAutoencoder(max_steps=400, **common, **images),
    "dense, 500 steps": VariationalAutoencoder(max_steps=500, **common),
}
for vae in models.values():
    vae.fit(X)

# %%
# A photograph, encoded and decoded
# ---------------------------------
# Each piece is described by 32 numbers.


def cut(photograph):
    """Return the pieces of a photograph as rows, line by line."""
    up, right = (n // SIZE for n in photograph.shape[:2])
    grid = photograph[: up * SIZE, : right * SIZE].reshape(up, SIZE, right, SIZE, 3)
    return grid.swapaxes(1, 2).reshape(up * right, -1)


def together(rows, n_columns):
    """Return rows as one picture of so many pieces in a line."""
    grid = rows.reshape(-1, n_columns, SIZE, SIZE, 3).swapaxes(1, 2)
    return grid.reshape(len(rows) // n_columns * SIZE, n_columns * SIZE, 3).clip(0, 1)


rows, n_columns = cut(china), china.shape[1] // SIZE
pictures = {"the photograph": rows}
pictures |= {name: vae.reconstruct(rows) for name, vae in models.items()}
# sphinx_gallery_thumbnail_panels = [1, 2]
figure, axes = plt.subplots(2, 2, figsize=(11, 7.6), layout="constrained")
for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=True):
    ax.imshow(together(picture, n_columns))
    ax.axvline(SEEN, color="white", linestyle=":")
    ax.set_title(title)
    ax.set_axis_off()
plt.show()

# %%
# The part to the right of the dotted line was not used in training. PCA with as many components is
# the best *linear* map. It is very good here, because the relation of neighbouring pixels is nearly
# linear.

from sklearn.decomposition import PCA

held_out = rows[np.arange(len(rows)) % n_columns >= SEEN // SIZE]
for name, model in {**models, "PCA": PCA(32).fit(X)}.items():
    again = model.inverse_transform(model.transform(held_out))
    error = ((again - held_out) ** 2).mean() ** 0.5
    print(f"{name:25s}{error:.3f} root mean squared error of held-out pieces")

# %%
# New pieces
# ----------
# These are decoded draws from the prior. After few steps they are hardly more than the mean of all
# rows.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, (name, vae) in zip(axes, models.items(), strict=True):
    ax.imshow(together(vae.sample(60, mean=True, random_state=1), 10))
    ax.set_title(name)
    ax.set_axis_off()
plt.show()
