"""Sample weights: a row of weight two is a row that is there twice.

Weights that only scale the loss do not give that, because the shuffling and the noise of
a fit depend on the number of rows. So rows of weight zero are dropped, the others are put
into an order that depends on their content alone, and whole-number weights repeat them.
"""

from __future__ import annotations

import numpy as np

from skvae._training.rows import Rows

# Repeats are indices, eight bytes each; beyond this many, weights scale the loss instead.
MAX_REPEATED_ROWS = 10_000_000

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(words: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words so that every input bit reaches every output bit.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014,
    https://doi.org/10.1145/2660193.2660195).
    """
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))


def hash_rows(block: np.ndarray) -> np.ndarray:
    """Return one 64-bit number for each row, a function of the row's values alone.

    Parameters
    ----------
    block : ndarray of shape (n, n_features), float32 or float64
    """
    block = np.ascontiguousarray(block) + block.dtype.type(0)  # -0.0 becomes 0.0
    words = block.view(np.uint32 if block.itemsize == 4 else np.uint64).astype(np.uint64)
    column = mix(np.arange(1, words.shape[1] + 1, dtype=np.uint64))
    return mix(mix(words ^ column).sum(axis=1, dtype=np.uint64))


def hash_all(rows: Rows) -> np.ndarray:
    """Return the hash of every row, a block at a time."""
    return np.concatenate([hash_rows(block) for block, _ in rows.blocks()])


def weighted_rows(X: object, sample_weight: np.ndarray | None) -> Rows:
    """Return the rows that a fit with these weights sees, in an order of their own.

    Parameters
    ----------
    X : ndarray, memmap or CSR matrix of shape (n, n_features)
    sample_weight : ndarray of shape (n,) or None
        Not all zero.
    """
    rows = Rows(X)
    if sample_weight is not None:
        kept = np.flatnonzero(sample_weight)
        rows, sample_weight = rows.subset(kept), sample_weight[kept]
    order = np.argsort(hash_all(rows), kind="stable")
    if sample_weight is None:
        return rows.subset(order)
    return _with_weights(rows.subset(order), sample_weight[order])


def _with_weights(rows: Rows, weight: np.ndarray) -> Rows:
    whole = np.all(weight == np.round(weight)) and weight.sum() <= MAX_REPEATED_ROWS
    if whole:
        return rows.subset(np.repeat(np.arange(len(rows)), weight.astype(np.int64)))
    return Rows(rows.X, rows.index, weight / weight.mean())
