"""Results for each row that need not be in memory: lazy ones, and those written to ``out``."""

from __future__ import annotations

import mmap
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from skvae._data import Rows, is_lazy, shared_mapping
from skvae._training import follow


def is_dask(X: Any) -> bool:
    """Return whether X is a dask array.

    Parameters
    ----------
    X : object
        Anything.
    """
    return is_lazy(X) and hasattr(X, "map_blocks") and hasattr(X, "rechunk")


def lazily(model: Any, name: str, X: Any, shape: tuple[int, ...], dtype: Any, **kwargs: Any) -> Any:
    """Return what a method of a model says of the rows of a dask array, as a dask array.

    It has the chunks of rows that X has. Nothing is computed yet.

    Parameters
    ----------
    model : estimator
        Fitted; the copy that computes the chunks, on other machines too.
    name : str
        Of the method.
    X : dask.array.Array of shape (n_samples, n_features)
        Rows.
    shape : tuple of int
        Of the result of one row.
    dtype : dtype
        Of the result.
    **kwargs
        Of the method.
    """
    whole_rows = X.rechunk({1: -1})
    of_block = partial(_of_block, model=model, name=name, shape=shape, dtype=dtype, kwargs=kwargs)
    return whole_rows.map_blocks(
        of_block,
        dtype=dtype,
        chunks=(whole_rows.chunks[0], *((size,) for size in shape)),
        drop_axis=[] if shape else [1],
        meta=np.empty((0,) * (1 + len(shape)), dtype),
        name=f"{name}-{uuid.uuid4().hex}",  # a model is not what dask can tell from another
    )


def _of_block(
    block: np.ndarray,
    model: Any,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    kwargs: dict[str, Any],
) -> np.ndarray:
    if not len(block):
        return np.empty((0, *shape), dtype)
    return getattr(model, name)(block, **kwargs)


def of_rows(
    rows: Rows,
    function: Callable[[Rows], np.ndarray],
    shape: tuple[int, ...],
    out: Any = None,
    title: str | None = None,
) -> Any:
    """Return what a function says of rows; written to ``out`` some megabytes of rows at a time.

    Parameters
    ----------
    rows : Rows
        All of them.
    function : callable
        Of some rows, to an array with a result for each.
    shape : tuple of int
        Of the result of one row.
    out : array-like of shape (n_samples, *shape), default=None
        What slices can be written to. ``None``: a new array.
    title : str, default=None
        Of a progress bar, where there is to be one.

    Raises
    ------
    ValueError
        When ``out`` has another shape.
    """
    if out is None:
        return function(rows)
    wanted = len(rows), *shape
    if tuple(getattr(out, "shape", ())) != wanted:
        raise ValueError(
            f"out must be an array of shape {wanted}, such as numpy.lib.format.open_memmap or "
            f"zarr.create_array make, but it is {type(out).__name__} of shape "
            f"{getattr(out, 'shape', None)}."
        )
    parts = rows.parts()
    mapping = shared_mapping(out)
    for some, part in parts if title is None else follow(parts, len(rows), title):
        out[some] = function(part)
        if mapping is not None:
            # What was written is the file's, and need not be counted as ours.
            mapping.madvise(mmap.MADV_DONTNEED)
    return out
