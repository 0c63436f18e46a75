"""
=======================
Data larger than memory
=======================

Rows need not be in memory. A file that is mapped, ``np.memmap``, goes into ``fit`` as it is and is
read a batch at a time; or rows come in pieces, from a database or a camera, and ``partial_fit``
learns from each. Here the rows are 300,000 patches of two photographs, 8 × 8 pixels in
colour.
"""

# %%
# A file of patches
# -----------------
# scikit-learn brings the two photographs. Bytes stay bytes, in the file and in memory; they are
# divided by 255 a batch at a time.

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
# ``tracemalloc`` counts what Python and numpy take in memory meanwhile, a good part of which is
# not rows, but the code that is imported in a first fit. One pass is enough for so many rows.

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
# In pieces, as they come
# -----------------------
# Each call of ``partial_fit`` is one pass over the rows it gets, in batches. The first call
# decides what has to be decided from data. Pieces should be mixed: a model that sees a thousand
# temples and then a thousand flowers ends with the flowers. Here a permutation of row numbers
# mixes them.

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
# The photographs, cut into patches, each patch reduced to 12 numbers, and put together again.

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
# What to take home
# -----------------
# Memory is a matter of the batch, not of the file. Use ``fit`` on a memmap where rows can be read
# in any order, ``partial_fit`` where they arrive. The two end alike, as the table says.

del X, patches
folder.cleanup()
