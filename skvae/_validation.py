"""What goes in: rows, their statistics, and messages that name the cure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import _check_sample_weight, validate_data

from skvae import likelihoods
from skvae._training import Rows


def category_levels(X: Any, likelihood: Any) -> dict[str, list[Any]]:
    """Return the categories of every column of type category in a DataFrame.

    None without a DataFrame, and under a likelihood that gives columns no types of their own.
    """
    mixed = isinstance(likelihood, likelihoods.Mixed) or str(likelihood) == "mixed"
    if not (mixed and _is_frame(X)):
        return {}
    return {
        str(name): [_plain(value) for value in dtype.categories.tolist()]
        for name, dtype in zip(X.columns, X.dtypes, strict=True)
        if _is_category(dtype)
    }


def _plain(category: Any) -> Any:
    """Return a category as a file can hold it: intervals and dates by their text."""
    return category if isinstance(category, str | int | float) else str(category)


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "dtypes")


def _is_category(dtype: Any) -> bool:
    return bool(getattr(dtype, "name", "") == "category")


def encode_categories(X: Any, levels: dict[str, list[Any]]) -> Any:
    """Return a copy of a DataFrame with codes in place of the categories of some columns.

    The codes are positions in ``levels``, which :func:`category_levels` returned.
    """
    X = X.copy()
    for name in X.columns:
        if str(name) in levels:
            X[name] = _codes(X[name], levels[str(name)], name)
    return X


def _codes(values: Any, categories: list[Any], name: Any) -> np.ndarray:
    """Return the position of every value among the categories."""
    code_of = {category: code for code, category in enumerate(categories)}
    codes = np.array([code_of.get(_plain(value), -1) for value in values], np.float32)
    if (codes < 0).any():
        value = list(values)[int(codes.argmin())]
        raise ValueError(
            f"Column {name!r} holds {value!r}, which is none of the categories of fit, "
            f"{categories}. Drop or impute such rows, or fit with the category among the "
            "column's categories."
        )
    return codes


def check_rows(
    estimator: Any, X: Any, reset: bool, levels: dict[str, list[Any]] | None = None
) -> Any:
    """Return X as a 2-D array or CSR matrix in its own dtype, checked.

    It must have the estimator's ``n_features_in_`` and ``feature_names_in_``, unless ``reset``
    sets these. Codes take the place of categories where X is a DataFrame.
    """
    if isinstance(X, list | tuple):
        X = np.asarray(X)
    if levels and hasattr(X, "iloc") and _is_frame(X):
        X = encode_categories(X, levels)
    shape = getattr(X, "shape", ())
    if len(shape) > 2:
        raise ValueError(
            f"X has {len(shape)} dimensions, {tuple(shape)}, but images are rows here: expected "
            f"2, found array with dim {len(shape)}. Pass X.reshape(len(X), -1) with "
            f"image_shape={tuple(shape[1:])}."
        )
    # A mapped file is checked a block at a time: whole, it would be read into memory.
    mapped = isinstance(X, np.memmap)
    options: dict[str, Any] = {"accept_sparse": "csr", "dtype": "numeric", "reset": reset}
    try:
        checked = validate_data(estimator, X, ensure_all_finite=not mapped, **options)
        if mapped and checked.dtype.kind == "f":
            _check_finite(Rows(checked), type(estimator).__name__)
        return checked
    except ValueError as error:
        if "could not convert" not in str(error) and "not compatible" not in str(error):
            raise
        raise ValueError(
            f"X must hold numbers: {error}. Encode strings, for example by OneHotEncoder."
        ) from error


def _check_finite(rows: Rows, name: str) -> None:
    for block, _ in rows.blocks():
        assert_all_finite(block, input_name="X", estimator_name=name)


def unit_of(X: Any, likelihood: Any, is_image: bool) -> float:
    """Return the value of X that is read as 1: 255 for the bytes of images, else 1.

    Bytes are those of images when some are above 1 and the likelihood is one of values in
    [0, 1], or may become one for rows that are images.
    """
    reads_bytes = getattr(likelihood, "reads_bytes", False)
    if is_image:
        reads_bytes = getattr(likelihood, "reads_bytes_of_images", reads_bytes)
    if X.dtype != np.uint8 or not reads_bytes:
        return 1.0
    return 255.0 if any((block > 1).any() for block, _ in Rows(X).blocks()) else 1.0


def check_weight(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Return ``sample_weight`` as an array of non-negative float64, or ``None``."""
    if sample_weight is None:
        return None
    if not np.asarray(sample_weight).any():
        raise ValueError(
            "sample_weight holds only zeros, so that no row is left to fit. "
            "Give at least one row a positive weight."
        )
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    return np.asarray(weight)


def column_moments(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return location and scale of the columns, weighted, as float64 tensors."""
    scaler = StandardScaler()
    for block, weight in rows.blocks():
        scaler.partial_fit(block, sample_weight=weight)
    return torch.from_numpy(scaler.mean_), torch.from_numpy(scaler.scale_)


def auto_likelihood(rows: Rows) -> str:
    """Return the name of the likelihood for ``"auto"``: by the values that X holds."""
    binary = True
    for block, _ in rows.blocks():
        if block.min() < 0 or block.max() > 1:
            return "gaussian"
        binary = binary and bool(np.isin(block, (0, 1)).all())
    return "bernoulli" if binary else "continuous_bernoulli"


def is_left_open(likelihood: Any) -> bool:
    """Whether the likelihood is a name that leaves the choice to the data of ``fit``."""
    if isinstance(likelihood, str):
        return likelihood in ("auto", "mixed")
    return getattr(likelihood, "left_open", False)


def resolve_likelihood(
    likelihood: Any, X: Any, rows: Rows, feature_names: Sequence[str] | None = None
) -> Any:
    """Return a likelihood, a name or an object, with nothing left open.

    ``"auto"`` becomes a name, ``"mixed"`` a ``Mixed`` by the types of the columns, and in a
    ``Mixed`` names of columns become indices. All else is returned as it is. X is what the user
    gave, as a DataFrame has types of columns; ``rows`` are the same, checked.
    """
    if isinstance(likelihood, str):
        if likelihood == "auto":
            return auto_likelihood(rows)
        return mixed_likelihood(X, rows) if likelihood == "mixed" else likelihood
    if is_left_open(likelihood):
        return mixed_likelihood(X, rows) if likelihood.takes_categories else auto_likelihood(rows)
    if hasattr(likelihood, "resolve"):
        return likelihood.resolve(_Names(range(rows.n_features), feature_names))
    return likelihood


class _Names:
    """Columns of which only the names are known."""

    kinds = n_levels = low = high = whole = None

    def __init__(self, columns: range, names: Any) -> None:
        self.columns, self.names = columns, None if names is None else list(names)

    def __len__(self) -> int:
        return len(self.columns)


def mixed_likelihood(X: Any, rows: Rows) -> likelihoods.Mixed:
    """Return the likelihood for ``"mixed"``: by a DataFrame's types, else by values.

    Columns of booleans, or of only the integers 0 and 1, are Bernoulli, categories
    CategoricalCodes, integers NegativeBinomial where none is negative, all others
    Gaussian. Without a DataFrame whole numbers count as integers.
    """
    dtypes = list(X.dtypes) if _is_frame(X) else [None] * rows.n_features
    columns: dict[Any, list[int]] = {}
    for column, (dtype, by_value) in enumerate(zip(dtypes, _kinds_by_value(rows), strict=True)):
        columns.setdefault(_column_likelihood(dtype, by_value), []).append(column)
    return likelihoods.Mixed(
        [
            (likelihoods.CategoricalCodes(key) if isinstance(key, int) else key, members)
            for key, members in columns.items()
        ]
    )


def _column_likelihood(dtype: Any, by_value: str) -> str | int:
    """Return the name of a column's likelihood, or the number of its categories."""
    if _is_category(dtype):
        return len(dtype.categories)
    kind = getattr(dtype, "kind", None)
    if kind == "f" or by_value == "real":
        return "gaussian"
    return "bernoulli" if by_value == "binary" else "negative_binomial"


def _kinds_by_value(rows: Rows) -> list[str]:
    """Return ``"binary"``, ``"count"`` or ``"real"`` for every column."""
    binary = count = np.ones(rows.n_features, dtype=bool)
    for block, _ in rows.blocks():
        binary = binary & np.isin(block, (0, 1)).all(0)
        count = count & ((block >= 0) & (block % 1 == 0)).all(0)
    return np.where(binary, "binary", np.where(count, "count", "real")).tolist()


def check_support(rows: Rows, likelihood: Any) -> None:
    """Check that every value lies where the likelihood has a density."""
    for block, _ in rows.blocks():
        getattr(likelihood, "check", partial(likelihoods.Likelihood.check, likelihood))(
            torch.from_numpy(block)
        )
