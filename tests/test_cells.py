"""The biologist's story, from a file of counts and batches to clusters, without anndata."""

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.testing import assert_array_equal
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from skvae import ConditionalVAE, VariationalAutoencoder
from skvae.likelihoods import NegativeBinomial


def simulate(n_cells, n_genes, seed=0):
    """Return counts, batches and types: other shares of the types, effects and depths by batch."""
    rng = np.random.default_rng(seed)
    shares = np.array([[0.5, 0.2, 0.2, 0.1], [0.1, 0.3, 0.3, 0.3]])
    types = rng.normal(0, 1, (4, n_genes)) * (rng.random((4, n_genes)) < 0.2)
    batch = rng.integers(2, size=n_cells)
    kind = np.array([rng.choice(4, p=shares[b]) for b in batch])
    effects = rng.normal(0, 0.3, (2, n_genes))
    share = np.exp(rng.normal(0, 1, n_genes) + types[kind] + effects[batch])
    depth = np.array([1200, 500])[batch] * rng.lognormal(0, 0.5, n_cells)
    mean = depth[:, None] * share / share.sum(1, keepdims=True)
    return rng.poisson(rng.gamma(2.0, mean / 2.0)), batch, kind


def separation(Z, batch, kind):
    """Return how much the share of a batch varies among 20 neighbours of one type.

    By chance .11, the standard deviation of the mean of 20 draws; .5 where batches lie apart.
    """
    near = NearestNeighbors(n_neighbors=20)
    shares = []
    for one in np.unique(kind):
        some = kind == one
        positions = near.fit(Z[some]).kneighbors(return_distance=False)
        shares.append(batch[some][positions].mean(1))
    return np.mean([share.std() for share in shares])


def test_from_a_file_to_clusters(tmp_path):
    counts, batch, kind = simulate(1200, 200)
    scipy.sparse.save_npz(tmp_path / "counts.npz", scipy.sparse.csc_matrix(counts))
    obs = pd.DataFrame({"batch": pd.Categorical.from_codes(batch, ["a", "b", "unused"])})
    obs.to_pickle(tmp_path / "obs.pkl")

    X = scipy.sparse.load_npz(tmp_path / "counts.npz").tocsr()
    obs = pd.read_pickle(tmp_path / "obs.pkl")
    train, held = np.arange(800), np.arange(800, 1200)
    likelihood = NegativeBinomial(size_factor="total")
    settings = {
        "likelihood": likelihood,
        "prior": "mixture",
        "learning_rate": 1e-2,
        "max_steps": 400,
    }
    vae = VariationalAutoencoder(10, **settings, random_state=0)
    model = ConditionalVAE(vae).fit(X[train], obs["batch"].iloc[train])
    assert_array_equal(model.classes_, ["a", "b"])
    Z = model.transform(X)

    neighbours = KNeighborsClassifier(15).fit(Z[train], kind[train])
    assert neighbours.score(Z[held], kind[held]) >= 0.98
    clusters = KMeans(4, n_init=10, random_state=0).fit(Z[train]).predict(Z[held])
    assert adjusted_rand_score(kind[held], clusters) >= 0.7
    assert separation(Z, batch, kind) < 0.15
