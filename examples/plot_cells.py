"""
======================
Cells from two batches
======================

Genes are counted in single cells, in two batches that differ in every gene, in how much was read,
and in how many cells there are of each type. A model of counts that is told the batch describes
the cells without it: clusters are then types of cells, and not batches.

The cells are simulated, so that one knows what should be found. The guide has the same with an
``.h5ad`` file and scanpy.
"""

# %%
# Cells
# -----
# Counts are negative binomial. A fifth of the genes tell one type from the others; the batch moves
# every gene by a random factor, of which the logarithm has a standard deviation of .8.

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
# As usual, by principal components of log-counts; and by a model that is told the batch. The size
# factor takes care of the depth, and a prior that is a mixture lets types be groups.

totals = np.asarray(counts.sum(axis=1))
pca = PCA(10, random_state=0).fit_transform(np.log1p(counts.toarray() / totals * np.median(totals)))
vae = VariationalAutoencoder(
    n_components=10,
    likelihood=NegativeBinomial(size_factor="total"),
    prior="mixture",
    learning_rate=3e-3,
    max_steps=600,
    random_state=0,
)
model = ConditionalVAE(vae).fit(counts, batch)
Z = model.transform(counts)

# %%
# A map of both
# -------------
# Above, every type falls into two pieces, one for each batch. Below, types are left, each with
# cells of both batches.

columns = {"batch": (batch, "Set1"), "type": (kind, "Dark2")}
# sphinx_gallery_thumbnail_panels = [2, 3]
fig, axes = plt.subplots(2, 2, figsize=(8, 8), layout="constrained")
for row, (name, points) in zip(axes, {"PCA": pca, "told the batch": Z}.items(), strict=True):
    plane = TSNE(random_state=0).fit_transform(points)
    for ax, (title, (values, cmap)) in zip(row, columns.items(), strict=True):
        ax.scatter(*plane.T, c=values, cmap=cmap, vmin=0, vmax=8, s=6)
        ax.set(xticks=[], yticks=[], title=f"{name}: by {title}")
plt.show()

# %%
# Clusters
# --------
# Four of them, and how well they agree with the types: 1 is perfect, 0 is chance.

for name, points in {"PCA": pca, "told the batch": Z}.items():
    clusters = KMeans(4, n_init=10, random_state=0).fit_predict(points)
    print(f"{name}: {adjusted_rand_score(kind, clusters):.2f}")

# %%
# A gene as if of one batch
# -------------------------
# ``translate`` gives the expression that the model expects of a cell, had it been in the given
# batch. Within a type no difference between the batches should be left; the effects in the
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
