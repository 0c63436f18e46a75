"""What X comes in: a matrix of any kind, or something else, which is named with a cure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import sklearn
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skvae._data.chunked import WINDOW_BYTES, ChunkedArray, is_lazy
from skvae._data.objects import floats_of_objects
from skvae._data.shapes import check_dimensions


def as_matrix(X: Any) -> Any:
    """Return X as something that scikit-learn's validation takes, or as a ChunkedArray.

    Data frames, sparse matrices and arrays of numbers are returned as they are, tensors as views;
    masked values are missing, NaN. What is not in memory is a ChunkedArray, or an array where
    it is small.

    Raises
    ------
    TypeError
        When X is no matrix, or a tensor while scikit-learn dispatches to its library.
    ValueError
        When X has more than two dimensions, or rows of different lengths.
    """
    for stranger in _STRANGERS:
        if stranger.is_one(X):
            raise TypeError(f"X is of type {type(X).__name__}, {stranger.says(X)}")
    if isinstance(X, ChunkedArray):
        return X
    if is_lazy(X):
        return _array_of_lazy(X)
    if isinstance(X, torch.Tensor):
        X = _array_of_tensor(X)
    elif isinstance(X, Sequence):
        X = _array_of_list(X)
    if isinstance(X, np.ma.MaskedArray):
        X = _filled(X)
    check_dimensions(X)
    if isinstance(X, np.ndarray) and X.dtype.names:
        raise ValueError(
            f"X is an array of records with the fields {list(X.dtype.names)}. Pass "
            "numpy.lib.recfunctions.structured_to_unstructured(X), or pandas.DataFrame(X)."
        )
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2:
        return floats_of_objects(X)
    return X


def is_of_bytes(X: Any) -> bool:
    """Return whether an array, or each of a list of rows, is of uint8.

    Where some are masked, ``as_matrix`` makes floats of them, and they are bytes all the same.
    """
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(map(is_of_bytes, X))
    return getattr(X, "dtype", None) in (np.uint8, torch.uint8)


def check_dates(X: Any) -> None:
    """Raise ``ValueError`` for an array of dates or durations, which numpy turns into numbers."""
    if X.dtype.kind == "M":
        raise ValueError(
            f"X must hold numbers: it holds dates, {X.dtype}. Pass the time since a start as a "
            "number, for example in days: (X - numpy.datetime64('2000-01-01')) / "
            "numpy.timedelta64(1, 'D')."
        )
    if X.dtype.kind == "m":
        raise ValueError(
            f"X must hold numbers: it holds durations, {X.dtype}. Pass them as a number, for "
            "example in days: X / numpy.timedelta64(1, 'D')."
        )


# Matrices in disguise


def _array_of_lazy(X: Any) -> Any:
    """Return what gives some of its rows as a ChunkedArray; what fits a window, as an array."""
    check_dimensions(X)
    if len(X.shape) != 2:
        return X[:]  # for scikit-learn to refuse
    if any(np.isnan(size) for size in X.shape):
        raise ValueError(
            "X does not know its number of rows. Call X.compute_chunk_sizes() first, which counts "
            "them."
        )
    if np.dtype(X.dtype).kind not in "biuf":
        raise TypeError(
            f"X must hold numbers: it is an array of {X.dtype} that is read a chunk at a time. "
            "Convert its values to numbers first."
        )
    array = ChunkedArray(X)
    return array[:] if array.nbytes <= WINDOW_BYTES else array


def _array_of_tensor(X: torch.Tensor) -> np.ndarray:
    """Return a view of a tensor, with its shape checked first: the cure speaks of tensors."""
    if X.device.type != "cpu":
        raise TypeError(
            f"X is a tensor on {X.device}. Pass X.cpu(). The parameter device= sets where the "
            "model is trained."
        )
    if X.layout != torch.strided:
        raise TypeError(f"X is a tensor of layout {X.layout}. Pass X.to_dense().")
    check_dimensions(X)
    try:
        # Also of a tensor that requires a gradient.
        return X.numpy(force=True)
    except TypeError as error:
        raise TypeError(
            f"X is a tensor of {X.dtype}, which numpy does not support. Pass X.float()."
        ) from error


def _array_of_list(X: Sequence[Any]) -> np.ndarray:
    """Return an array of a list of rows, which may be tensors or masked."""
    rows = [_array_of_tensor(row) if isinstance(row, torch.Tensor) else row for row in X]
    is_masked = any(isinstance(row, np.ma.MaskedArray) for row in rows)
    try:
        array = np.ma.stack(rows) if is_masked else np.asarray(rows)
    except ValueError as error:
        _check_lengths(rows)
        raise error
    check_dimensions(array, "Make an array of the list, X = numpy.asarray(X). ")
    return array


def _check_lengths(rows: list[Any]) -> None:
    """Raise ``ValueError`` for rows of different lengths."""
    shapes = [np.shape(row) if hasattr(row, "shape") else (_length(row),) for row in rows]
    (usual, _), *others = Counter(shapes).most_common()
    if others:
        different = [i for i, shape in enumerate(shapes) if shape != usual]
        first = ", ".join(f"X[{i}] has {_words(shapes[i])}" for i in different[:3])
        raise ValueError(
            f"X is a list of rows of different lengths: {len(different)} of {len(rows)} rows "
            f"differ from the {_words(usual)} of the others: {first}. Give every row the same "
            "length, or drop the rows that differ."
        )


def _length(row: Any) -> int:
    return len(row) if hasattr(row, "__len__") and not isinstance(row, str | bytes) else 1


def _words(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} values" if len(shape) == 1 else f"shape {shape}"


def _filled(X: np.ma.MaskedArray) -> np.ndarray:
    """Return the values of a masked array, NaN in place of those that are masked."""
    if not np.ma.count_masked(X):
        return np.ma.getdata(X)
    if X.dtype.kind in "OUSMm":  # what is no number has errors of its own
        return np.ma.filled(X.astype(object), None)
    return np.ma.filled(X.astype(np.result_type(X.dtype, np.float32)), np.nan)


# What is no matrix


class _Stranger(NamedTuple):
    """A kind of object that is no matrix."""

    is_one: Callable[[Any], bool]
    says: Callable[[Any], str]


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda X: all(hasattr(X, name) for name in names)


def _is_dispatched(X: Any) -> bool:
    """Whether scikit-learn has been told to answer in the library that X is of."""
    return (
        sklearn.get_config()["array_api_dispatch"]
        and not isinstance(X, np.ndarray | np.generic)
        and (isinstance(X, torch.Tensor) or hasattr(X, "__array_namespace__"))
    )


def _without_dispatch(X: Any) -> str:
    cure = "numpy.asarray(X)"
    if isinstance(X, torch.Tensor):
        cure = f"X{'.detach()' if X.requires_grad else ''}{_to_cpu(X)}.numpy()"
    return (
        "and array_api_dispatch=True asks for results of the same library, but skvae returns numpy "
        f"arrays. Pass {cure}, or call sklearn.set_config(array_api_dispatch=False)."
    )


def _to_cpu(X: torch.Tensor) -> str:
    return "" if X.device.type == "cpu" else ".cpu()"


_LAZY = {"polars": "collect", "dask": "compute", "pyspark": "toPandas", "duckdb": "df"}
_LAZY |= {"ibis": "to_pandas"}
"""What makes data of a lazy frame, by the library."""


def _lazy_cure(X: Any) -> str | None:
    """Return the method that makes data of a lazy frame; ``None`` where X is none."""
    method = _LAZY.get(type(X).__module__.split(".")[0].lstrip("_"))
    is_array = hasattr(X, "chunks")  # dask's arrays are arrays for numpy
    return method if method and hasattr(X, method) and not is_array else None


def _path(X: Any) -> str:
    return (
        f"a path or a text, {str(X)[:80]!r}, and not the rows themselves. Read the file first, for "
        "example with pandas.read_csv(X), or with numpy.load(X, mmap_mode='r') if it is larger "
        "than memory."
    )


def _annotated(X: Any) -> str:
    return (
        "which holds several matrices and their annotations. Pass one of the matrices. If adata "
        "is X, these are adata.X, adata.layers[...] and adata.obsm[...]."
    )


def _multimodal(X: Any) -> str:
    name = next(iter(X.mod), "name")
    return (
        f"which holds a matrix for each of {_few(X.mod)}. Pass one of the matrices. If mdata is "
        f"X, one of them is mdata.mod[{name!r}].X."
    )


def _backed(X: Any) -> str:
    return (
        "a matrix that is still in its file and stored by columns, so rows cannot be read from it. "
        "Pass X.to_memory(), or write the file from a scipy csr_matrix, which is stored by rows."
    )


def _mapping(X: Any) -> str:
    whole = [key for key in X if len(getattr(X[key], "shape", ())) > 1]
    if whole:
        return f"with the keys {_few(X)}. Pass the matrix that it holds: X[{whole[0]!r}]."
    return (
        f"with the keys {_few(X)}. Pass a data frame, pandas.DataFrame(X), or its values as "
        "columns: numpy.column_stack(list(X.values()))."
    )


def _few(X: Mapping[Any, Any]) -> str:
    keys = list(X)
    return f"{keys}" if len(keys) <= 8 else f"{keys[:8]} and {len(keys) - 8} more"


def _loader(X: Any) -> str:
    return (
        "which yields batches. Collect them with numpy.concatenate(list(X)), or with "
        "numpy.concatenate([batch[0] for batch in X]) if a batch is a tuple, or call partial_fit "
        "with each batch. The estimator makes its own batches, of batch_size rows."
    )


def _dataset(X: Any) -> str:
    return (
        "which yields one row at a time. Collect the rows with "
        "numpy.stack([X[i] for i in range(len(X))]), or with "
        "numpy.stack([X[i][0] for i in range(len(X))]) if an item is a tuple."
    )


def _iterator(X: Any) -> str:
    return (
        "which can be iterated over, but is not a matrix. Collect what it yields with "
        "numpy.stack(list(X)) if these are rows, or with numpy.concatenate(list(X)) if these are "
        "batches, or call partial_fit with each batch."
    )


def _anything(X: Any) -> str:
    return (
        "which is not a matrix. Pass an array, a sparse matrix or a data frame of shape "
        "(n_samples, n_features)."
    )


def _is_backed_by_columns(X: Any) -> bool:
    """Whether X is a CSC matrix in the file of an AnnData; a CSR matrix gives rows."""
    is_backed = _has("group", "backend", "to_memory")(X)
    return is_backed and getattr(X, "format", "csc") == "csc"


def _is_matrix_like(X: Any) -> bool:
    """Whether numpy, scikit-learn or a data frame library can make something of X.

    Numbers are left to scikit-learn, which says that they have no dimensions.
    """
    known = isinstance(X, np.ndarray | torch.Tensor | Sequence | Number | np.generic | memoryview)
    return (
        known
        or is_lazy(X)
        or scipy.sparse.issparse(X)
        or any(hasattr(X, name) for name in _PROTOCOLS)
    )


_PROTOCOLS = ("__array__", "__array_interface__", "__array_namespace__", "columns", "__buffer__")

_STRANGERS = [
    _Stranger(_is_dispatched, _without_dispatch),
    _Stranger(lambda X: isinstance(X, str | bytes | os.PathLike), _path),
    _Stranger(_has("mod", "obs", "var"), _multimodal),
    _Stranger(_has("obs", "var", "layers"), _annotated),
    _Stranger(_is_backed_by_columns, _backed),
    _Stranger(
        lambda X: _lazy_cure(X) is not None,
        lambda X: f"which holds no rows yet. Pass X.{_lazy_cure(X)}().",
    ),
    # scipy's dictionaries of keys are matrices.
    _Stranger(lambda X: isinstance(X, Mapping) and not scipy.sparse.issparse(X), _mapping),
    _Stranger(lambda X: isinstance(X, DataLoader), _loader),
    _Stranger(lambda X: isinstance(X, IterableDataset), _iterator),
    _Stranger(lambda X: isinstance(X, Dataset) and not _is_matrix_like(X), _dataset),
    _Stranger(lambda X: isinstance(X, Iterable) and not _is_matrix_like(X), _iterator),
    _Stranger(lambda X: not _is_matrix_like(X), _anything),
]
"""In the order in which they are looked for."""
