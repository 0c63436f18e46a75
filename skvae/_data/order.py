"""The rows that a fit sees, in an order of their own: hashes, and weights that repeat rows.

A row of weight two is a row that is there twice. Weights that only scale the loss do not give
that, because the shuffling and the noise of a fit depend on the number of rows. So rows of
weight zero are dropped, the others are put into an order that depends on their content alone,
and whole-number weights repeat them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from skvae._data.chunked import ChunkedArray
from skvae._data.columns import Look
from skvae._data.rows import Rows
from skvae._world import world
from skvae.model import Batch

# Repeats are indices, eight bytes each; beyond this many, weights scale the loss instead.
MAX_REPEATED_ROWS = 10_000_000

CACHED_WORDS = 2**16

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def mix(words: np.ndarray) -> np.ndarray:
    """Scramble 64-bit words so that every input bit reaches every output bit.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014,
    https://doi.org/10.1145/2660193.2660195).
    """
    shifted = words >> np.uint64(30)
    words = words ^ shifted
    words *= _MIX_1
    words ^= np.right_shift(words, np.uint64(27), out=shifted)
    words *= _MIX_2
    words ^= np.right_shift(words, np.uint64(31), out=shifted)
    return words


def hash_rows(block: np.ndarray) -> np.ndarray:
    """Return one 64-bit number for each row, a function of the row's values alone.

    Parameters
    ----------
    block : ndarray of shape (n, n_features), float32 or float64
    """
    column = mix(np.arange(1, block.shape[1] + 1, dtype=np.uint64))
    # Few enough at a time for the temporaries to stay in the cache.
    size = max(1, CACHED_WORDS // block.shape[1])
    parts = [_sums(block[start : start + size], column) for start in range(0, len(block), size)]
    return mix(np.concatenate(parts)) if parts else np.empty(0, np.uint64)


def _sums(block: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return each row's sum of its scrambled values."""
    block = np.ascontiguousarray(block) + block.dtype.type(0)  # -0.0 becomes 0.0
    words = block.view(np.uint32 if block.itemsize == 4 else np.uint64) ^ column
    return mix(words).sum(axis=1, dtype=np.uint64)


def hash_all(rows: Rows) -> np.ndarray:
    """Return the hash of every row, its context and its label, a block at a time."""
    return np.concatenate([_hash_batch(rows.batch(some)) for some in rows.block_slices()])


def _hash_batch(batch: Batch) -> np.ndarray:
    hashes = hash_rows(batch.x.numpy())
    for beside in (batch.context, batch.label):
        if beside is not None:
            hashes = mix(hashes ^ mix(hash_rows(beside.reshape(len(hashes), -1).numpy())))
    return hashes


def check_weight(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Return ``sample_weight`` as an array of non-negative float64, or ``None``."""
    given = world().parts(sample_weight is not None)
    if not any(given):
        return None
    if not all(given):
        raise ValueError(
            f"sample_weight is given in process {given.index(True)}, but not in process "
            f"{given.index(False)}. Pass it in all processes. numpy.ones(n_samples) has the same "
            "effect as no weights."
        )
    if not np.asarray(sample_weight).any():
        raise ValueError(
            "sample_weight holds only zeros, so no row is left to fit. "
            "Give at least one row a positive weight."
        )
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return np.asarray(weight)


def weighted_rows(
    rows: Rows, sample_weight: np.ndarray | None, wants_detail: bool = False
) -> tuple[Rows, Look]:
    """Return the rows that a fit with these weights sees, in an order of their own.

    One pass over all of them, in the order in which they lie. The rows of a ChunkedArray stay in
    that order. What counts of a weight is what it is beside those of all processes.

    Parameters
    ----------
    rows : Rows
        All of X. Whether values are missing is found out here.
    sample_weight : ndarray of shape (n,) or None
        Not all zero.
    wants_detail : bool, default=False
        Whether distinct values are to be counted.

    Returns
    -------
    rows : Rows
        As a fit sees them.
    look : Look
        What the pass says of their columns.
    """
    rows = _with_weights(rows, sample_weight)
    look = Look.begin(rows, wants_detail)
    is_chunked = isinstance(rows.X, ChunkedArray)
    hashes = []
    with ThreadPoolExecutor(1) as pool:
        for some in rows.block_slices():
            batch = rows.batch(some, copy=False)
            # A block is in memory once, for the two that read it.
            hashed = None if is_chunked else pool.submit(_hash_batch, batch)
            look.add(batch.x.numpy())
            if hashed is not None:
                hashes.append(hashed.result())
    look = look.joined()
    if is_chunked:
        return rows, look
    return rows.subset(np.argsort(np.concatenate(hashes), kind="stable")), look


def _with_weights(rows: Rows, weight: np.ndarray | None) -> Rows:
    if weight is None:
        return rows
    kept = np.flatnonzero(weight)
    are_whole = bool(np.all(weight == np.round(weight)))
    each = world().parts((are_whole, weight[kept].sum(), len(kept)))
    all_are_whole, totals, counts = zip(*each, strict=True)
    if all(all_are_whole) and sum(totals) <= MAX_REPEATED_ROWS:
        return rows.subset(np.repeat(np.arange(len(rows)), weight.astype(np.int64)))
    return rows.subset(kept).with_weight(weight[kept] / (sum(totals) / sum(counts)))
