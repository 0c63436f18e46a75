"""What colours the points: classes, or a quantity."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from skvae.display import _drawing

MAX_INTEGER_CLASSES = 20
"""Integers with more distinct values than this are a quantity."""

LEGEND_ROWS = 14
MAX_LEGEND = 3 * LEGEND_ROWS
"""A legend of more entries leaves no room for the points, and colours no difference."""


def labels(y: Any, n_samples: int) -> np.ndarray:
    """Return y as an array of one dimension and one type, checked against the rows."""
    y = np.asarray(y)
    if y.dtype == object:  # as pandas' nullable types; lists tell numpy what is in them
        y = np.array(y.tolist())
    y = column_or_1d(y)
    if len(y) != n_samples:
        raise ValueError(
            f"y has {len(y)} values, but X has {n_samples} rows. Pass the y of these rows, "
            "or y=None for one colour."
        )
    return y.astype(str) if y.dtype == object else y  # str sorts with None among the labels


def classes_of(y: np.ndarray | None) -> np.ndarray | None:
    """Return the distinct classes, or ``None`` for a quantity and for nothing."""
    if y is None or y.dtype.kind not in "bUSTiu":
        return None
    classes = np.unique(y)
    few = len(classes) <= MAX_INTEGER_CLASSES
    return classes if few or y.dtype.kind not in "iu" else None


def colours_of(y: np.ndarray | None, classes: np.ndarray | None) -> dict[str, Any]:
    """Return the keywords of scatter that colour the points."""
    if y is None:
        return {"c": _drawing.PALETTE[0]}
    if classes is None:
        return {"c": y, "cmap": "viridis"}
    return {"c": np.searchsorted(classes, y), "cmap": _class_colours(len(classes))}


def _class_colours(n_classes: int) -> Any:
    """Return a colour map of as many colours."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    if n_classes > len(_drawing.PALETTE):
        return matplotlib.colormaps["turbo"].resampled(n_classes)
    return ListedColormap(_drawing.PALETTE[:n_classes])
