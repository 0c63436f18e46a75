"""
======================
Cells from two batches
======================

Genes are counted in single cells of two batches. The batches differ in every gene, in how much was
read, and in the number of cells of each type. A model of counts that knows the batch describes the
cells without the effect of the batch: clusters are then types of cells, and not batches.

The cells are simulated, so that the right result is known. The guide does the same with an
``.h5ad`` file and scanpy.
"""

# %%
# Cells
# -----
# Counts are negative binomial. A fifth of the genes distinguish a type from the others. The batch
# multiplies every gene by a random factor, whose logarithm has a standard deviation of .8.

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score

from skvae import ConditionalVAE, VariationalAutoencoder
from skvae.likelihoods import NegativeBinomial

N_CELLS, N_GENES = 900, 300
rng = np.random.default_rng(0)
shares = [[0.5, 0.2, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]
batch = rng.integers(2, size=N_CELLS)
kind = np.array([rng.choice(4, p=shares[b]) for b in batch])
of_type = rng.normal(0, 1, (4, N_GENES)) * (rng.random((4, N_GENES)) < 0.2)
of_batch = rng.normal(0, 0.8, (2, N_GENES))
expression = np.exp(rng.normal(0, 1, N_GENES) + of_type[kind] + of_batch[batch])
depth = np.array([1000, 400])[batch] * rng.lognormal(0, 0.5, N_CELLS)
mean = depth[:, None] * expression / expression.sum(axis=1, keepdims=True)
counts = scipy.sparse.csr_matrix(rng.poisson(rng.gamma(2, mean / 2)))
zeros = 1 - counts.nnz / (N_CELLS * N_GENES)
print(f"{N_CELLS} cells × {N_GENES} genes, {zeros:.0%} of the counts are 0")

# %%
# Ten numbers for each cell
# -------------------------
# One way is the usual one: principal components of log-counts. The other is a model that knows the
# batch. The size factor handles the depth of a cell, and with a mixture as the prior, types can be
# groups.

totals = np.asarray(counts.sum(axis=1))
pca = PCA(10, random_state=0).fit_transform(np.log1p(counts.toarray() / totals * np.median(totals)))
vae = VariationalAutoencoder(
    n_components=10,
    likelihood=NegativeBinomial(size_factor="total"),
    prior="mixture",
    learning_rate=1e-2,
    max_steps=600,
    random_state=0,
)
model = ConditionalVAE(vae).fit(counts, batch)
Z = model.transform(counts)

# %%
# A map of both
# -------------
# In the upper row, every type is divided into two groups, one for each batch. In the lower row,
# each type is one group with cells of both batches.

columns = {"batch": (batch, "Set1"), "type": (kind, "Dark2")}
# sphinx_gallery_thumbnail_panels = [2, 3]
fig, axes = plt.subplots(2, 2, figsize=(8, 8), layout="constrained")
for row, (name, points) in zip(axes, {"PCA": pca, "ConditionalVAE": Z}.items(), strict=True):
    plane = TSNE(random_state=0).fit_transform(points)
    for ax, (title, (values, cmap)) in zip(row, columns.items(), strict=True):
        ax.scatter(*plane.T, c=values, cmap=cmap, vmin=0, vmax=8, s=6)
        ax.set(xticks=[], yticks=[], title=f"{name}: by {title}")
plt.show()

# %%
# Clusters
# --------
# The cells are divided into four clusters. The number says how well these agree with the types: 1
# is perfect, 0 is chance.

for name, points in {"PCA": pca, "ConditionalVAE": Z}.items():
    clusters = KMeans(4, n_init=10, random_state=0).fit_predict(points)
    print(f"{name}: {adjusted_rand_score(kind, clusters):.2f}")

# %%
# A gene as if of one batch
# -------------------------
# ``translate`` returns the expression that a cell would have in the given batch, according to the
# model. Within a type, there should then be no difference between the batches. The effects in the
# simulation are known.

ratios = {"as measured": [], "as if of batch 0": []}
scaled = counts.toarray() / totals * np.median(totals)
for name, values in zip(ratios, (scaled, model.translate(counts, 0)), strict=True):
    for some in range(4):
        means = [values[(kind == some) & (batch == b)].mean(axis=0) + 0.01 for b in (0, 1)]
        ratios[name].append(np.log(means[1] / means[0]))
effect = of_batch[1] - of_batch[0]
fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharey=True, layout="constrained")
for ax, (name, ratio) in zip(axes, ratios.items(), strict=True):
    ax.axhline(0, color="0.8", zorder=0)
    ax.scatter(effect, np.mean(ratio, axis=0), s=6, color="C0")
    ax.set(title=name, xlabel="effect of the batch on a gene", ylim=(-3, 3))
axes[0].set_ylabel("batch 1 over batch 0 within a type, log")
plt.show()
