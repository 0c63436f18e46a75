"""What goes in: rows, their statistics, and messages that name the cure."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import _check_sample_weight, validate_data

from skvae._training import Rows


def check_rows(estimator: Any, X: Any, reset: bool) -> Any:
    """Return X as a 2-D array or CSR matrix in its own dtype, checked.

    Raises
    ------
    ValueError, TypeError
        When X is not a matrix of finite numbers with the columns of ``fit``.
    """
    if isinstance(X, list | tuple):
        X = np.asarray(X)
    shape = getattr(X, "shape", ())
    if len(shape) > 2:
        raise ValueError(
            f"X has {len(shape)} dimensions, {tuple(shape)}, but images are rows here: expected "
            f"2, found array with dim {len(shape)}. Pass X.reshape(len(X), -1) with "
            f"image_shape={tuple(shape[1:])}."
        )
    try:
        return validate_data(estimator, X, accept_sparse="csr", dtype="numeric", reset=reset)
    except ValueError as error:
        if "could not convert" not in str(error) and "not compatible" not in str(error):
            raise
        raise ValueError(
            f"X must hold numbers: {error}. Encode strings, for example by OneHotEncoder."
        ) from error


def check_weight(sample_weight: Any, X: Any) -> np.ndarray | None:
    """Return ``sample_weight`` as an array of non-negative float64, or ``None``.

    Raises
    ------
    ValueError
        When it is negative, not finite, all zero, or of another length than X.
    """
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


def check_support(rows: Rows, likelihood: Any) -> None:
    """Check that every value lies where the likelihood has a density.

    Raises
    ------
    ValueError
        Naming the likelihood, the values found and the cure.
    """
    for block, _ in rows.blocks():
        if not bool(likelihood.support.check(torch.from_numpy(block)).all()):
            raise ValueError(
                f"X must hold {likelihood.requirement} under likelihood="
                f"{type(likelihood).__name__}, but it has values from {block.min():.6g} to "
                f"{block.max():.6g}. {likelihood.cure}"
            )
