"""
=======================
Data larger than memory
=======================

Rows need not be in memory. A mapped file, ``np.memmap``, can be passed to ``fit`` and is read one
batch at a time. If rows come in pieces, from a database or a camera, ``partial_fit`` learns from
each piece. Here the rows are 300,000 patches of two photographs, with 8 × 8 pixels in colour.
"""

# %%
# A file of patches
# -----------------
# The two photographs come with scikit-learn. Bytes stay bytes, in the file and in memory. They are
# divided by 255 one batch at a time.

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_images
from sklearn.feature_extraction.image import extract_patches_2d

temple, flower = load_sample_images().images
folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
path = Path(folder.name) / "patches.bin"
with open(path, "wb") as file:
    for photograph in (temple, flower):
        patches = extract_patches_2d(photograph, (8, 8), max_patches=150_000, random_state=0)
        file.write(patches.tobytes())
X = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, 8 * 8 * 3)
print(f"{len(X):,} rows, {path.stat().st_size / 1e6:.1f} MB on disk")

# %%
# From the file, in one call
# --------------------------
# ``tracemalloc`` measures the memory that Python and numpy use during the fit. A large part of it
# is not rows, but code that is imported in the first fit. One epoch is enough for this number
# of rows.

import tracemalloc

from skvae import VariationalAutoencoder

settings = {
    "n_components": 12,
    "hidden_layer_sizes": (128,),
    "likelihood": "continuous_bernoulli",  # pixels; a first piece need not tell of all values
    "batch_size": 256,
    "learning_rate": 3e-3,
    "random_state": 0,
}
tracemalloc.start()
mapped = VariationalAutoencoder(**settings, max_epochs=1).fit(X)
print(f"at most {tracemalloc.get_traced_memory()[1] / 1e6:.1f} MB of arrays in memory")
tracemalloc.stop()

# %%
# In pieces
# ---------
# Each call of ``partial_fit`` is one epoch over the rows that you pass, in batches. The first call
# decides everything that has to be decided from data. Pieces should be mixed: a model that sees a
# thousand temples and then a thousand flowers remembers the flowers better. Here, a permutation of
# the row numbers mixes them.

rng = np.random.default_rng(0)
streamed = VariationalAutoencoder(**settings)
for piece in np.array_split(rng.permutation(len(X)), 12):
    streamed.partial_fit(X[np.sort(piece)])
print(f"{streamed.n_iter_} calls of partial_fit")
some = X[:: len(X) // 2000]
for name, model in {"fit on the file": mapped, "partial_fit": streamed}.items():
    print(f"{name:16s}{model.score(some):8.1f} nats per patch")

# %%
# What was learned
# ----------------
# The photographs are cut into patches, each patch is reduced to 12 numbers, and they are put
# together again.

import matplotlib.pyplot as plt


def there_and_back(photograph):
    """Return a photograph after each of its patches went through the model."""
    height, width = (side - side % 8 for side in photograph.shape[:2])
    tiles = photograph[:height, :width].reshape(height // 8, 8, width // 8, 8, 3).swapaxes(1, 2)
    back = streamed.reconstruct(tiles.reshape(-1, 192)).reshape(tiles.shape)
    return back.swapaxes(1, 2).reshape(height, width, 3)


# sphinx_gallery_thumbnail_panels = [0, 2]
figure, axes = plt.subplots(2, 2, figsize=(10, 6.9), layout="constrained")
for ax, title, picture in zip(
    axes.T.flat,
    ["192 bytes a patch", "12 numbers a patch"] * 2,
    [temple, there_and_back(temple), flower, there_and_back(flower)],
    strict=True,
):
    ax.imshow(picture)
    ax.set_title(title)
    ax.set_axis_off()
plt.show()

# %%
# Summary
# -------
# The memory that is needed depends on the batch, not on the file. Use ``fit`` with a memmap if rows
# can be read in any order, and ``partial_fit`` if they arrive over time. The results are similar,
# as the table shows.

del X, patches
folder.cleanup()
