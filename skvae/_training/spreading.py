"""Labels spread over a graph of nearest neighbours.

Each node without a label gets the mean of its neighbours (Zhu, Ghahramani and Lafferty 2003,
https://www.aaai.org/Papers/ICML/2003/ICML03-118.pdf).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, dia_array
from sklearn.neighbors import NearestNeighbors

N_NEIGHBORS, N_STEPS = 8, 300
"""Of the graph, and of the spreading on it.

Fewer neighbours keep close groups apart, more are better where classes overlap. Six instead of ten
labelled digits better, but tables of overlapping classes worse; eight gained on digits and lost
next to nothing on the tables.
"""


def neighborhood(points: np.ndarray) -> csr_array:
    """Return the graph of nearest neighbours, ``(n, n)``: how near any two points are.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        At least two.
    """
    n, k = len(points), min(N_NEIGHBORS, len(points) - 1)
    distance, neighbor = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()
    # Each point has a scale of its own, the distance of its farthest neighbour.
    scale = np.maximum(distance[:, -1:], np.finfo(distance.dtype).tiny)
    near = np.exp(-4 * (distance / scale) ** 2)
    one_way = csr_array((near.ravel(), neighbor.ravel(), np.arange(0, n * k + 1, k)), (n, n))
    return one_way + one_way.T


def spread_labels(graph: csr_array, label: np.ndarray, n_classes: int) -> np.ndarray:
    """Return a label for each node of a graph, by the labels that some of them have.

    Parameters
    ----------
    graph : csr_array of shape (n, n)
        Weights of the edges.
    label : ndarray of shape (n,)
        Numbers of classes; NaN: unknown.
    n_classes : int
        How many there are.

    Returns
    -------
    guess : ndarray of shape (n,)
        As ``label``; NaN where no short path leads to a known one.
    """
    known = ~np.isnan(label)
    source = np.zeros((len(label), n_classes))
    source[known, label[known].astype(int)] = 1.0
    degree = graph.sum(1)
    average = dia_array((1 / np.maximum(degree, np.finfo(float).tiny)[None], [0]), graph.shape)
    average = average @ graph
    heat = source
    for _ in range(N_STEPS):
        heat = average @ heat
        heat[known] = source[known]
    # Each class gets the share of all that it has of the labels, however well these spread.
    balanced = heat * source.sum(0) / heat.sum(0)
    return np.where(known, label, np.where(heat.any(1), balanced.argmax(1), np.nan))
