"""What rows are called, a column at a time: classes, quantities or names, and their colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from skvae._explore._page import pack
from skvae.display import _classes, _drawing

N_SHADES = 128
MISSING = "#94a4a2"


def colours() -> dict[str, Any]:
    """Return the colours that all columns share: shades of a quantity, and what is missing."""
    import matplotlib
    from matplotlib.colors import to_hex

    viridis = matplotlib.colormaps["viridis"].resampled(N_SHADES)
    shades = [to_hex(viridis(k)) for k in range(N_SHADES)]
    return {"shades": shades, "missing": MISSING, "plain": _drawing.PALETTE[0]}


def colours_of_classes(texts: Any) -> list[str]:
    """Return a colour for each class; none where there are too many to be told apart."""
    from matplotlib.colors import to_hex

    if not 0 < len(texts) <= _classes.MAX_LEGEND:
        return []
    shades = _classes.colours_of(np.arange(len(texts)), np.arange(len(texts)))["cmap"]
    return [to_hex(shades(k)) for k in range(len(texts))]


def _classes_or_names(title: str, values: np.ndarray, are_classes: bool) -> dict[str, Any]:
    distinct, codes = np.unique(values, return_inverse=True)
    texts = distinct.astype(str).tolist()
    colours = colours_of_classes(texts) if are_classes else []
    return {"title": title, "texts": texts, "codes": pack(codes, "<u4"), "colours": colours}


def _quantity(title: str, values: np.ndarray) -> dict[str, Any]:
    values = np.where(np.isfinite(values), values.astype(float), np.nan)
    known = values[~np.isnan(values)]
    ends = (known.min().item(), known.max().item()) if len(known) else (0.0, 1.0)
    return {"title": title, "values": pack(values, "<f4"), "ends": ends}


def _column(title: str, values: Any, n_samples: int) -> dict[str, Any]:
    """Return a column of the kind that its values are."""
    values = _classes.labels(values, n_samples)
    classes = _classes.classes_of(values)
    are_classes = classes is not None and len(classes) <= _classes.MAX_LEGEND
    if not are_classes and values.dtype.kind in "iuf":
        return _quantity(title, values)
    return _classes_or_names(title, values, are_classes)


def make_labels(labels: Any, n_samples: int) -> list[dict[str, Any]]:
    """Return what the page reads of each column of labels; of none, one without a text."""
    if labels is None:
        return [_classes_or_names("", np.full(n_samples, ""), are_classes=False)]
    if isinstance(labels, Mapping):
        named = {str(name): values for name, values in labels.items()}
        shapes = {np.shape(values) for values in named.values()}
        shape = (*shapes.pop(), len(named)) if len(shapes) == 1 else tuple(shapes)
    else:
        labels = np.array(labels, dtype=object) if isinstance(labels, list | tuple) else labels
        shape = np.shape(labels)
        named = {}
    if shape[:1] != (n_samples,) or len(shape) > 2 or shape[1:] == (0,):
        raise ValueError(
            f"labels has the shape {shape}, but X has {n_samples} rows. Pass one label for each, "
            f"of shape ({n_samples},), or several, of shape ({n_samples}, n_columns), or "
            "labels=None."
        )
    if named:
        return [_column(title, values, n_samples) for title, values in named.items()]
    if len(shape) == 1:
        title = "" if getattr(labels, "name", None) is None else str(labels.name)
        return [_column(title, labels, n_samples)]
    titles = map(str, getattr(labels, "columns", [f"label {k}" for k in range(shape[1])]))
    return [
        _column(title, _safe_indexing(labels, k, axis=1), n_samples)
        for k, title in enumerate(titles)
    ]
