"""Rows of a table as columns of colours, in groups side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from skvae.display import _drawing

MAX_NAMED_FEATURES = 40
"""More names than this do not fit beside a heat map."""

Groups: TypeAlias = list[tuple[str, np.ndarray]]
"""Groups of rows with their names."""


def standardised(
    groups: Groups, moments: tuple[np.ndarray, np.ndarray] | None
) -> tuple[Groups, str]:
    """Return groups in units of each feature's standard deviation, and what the values are."""
    if moments is None:
        return groups, "value"
    middle, unit = moments
    label = "standard deviations from the mean"
    return [(name, (rows - middle) / unit) for name, rows in groups], label


def draw_heat_map(
    ax: Any,
    groups: Groups,
    label: str,
    feature_names: Sequence[str] | None,
    imshow_kwargs: Mapping[str, Any] | None,
) -> tuple[Any, Any]:
    """Draw groups of rows on one scale, whose middle colour is 0; return image and colour bar.

    A row is a column, to have room for the names of the features.
    """
    names, matrices = zip(*groups, strict=True)
    rows = np.vstack(matrices)
    n_features = rows.shape[1]
    if ax is None:
        ax = _drawing.new_axes(figsize=_figsize(n_features, len(groups)))
    most = np.abs(rows).max() or 1.0
    defaults = {"cmap": _drawing.SIGNED, "vmin": -most, "vmax": most, "aspect": "auto"}
    if "norm" in (imshow_kwargs or {}):  # which has limits of its own
        del defaults["vmin"], defaults["vmax"]
    image = ax.imshow(rows.T, **defaults | dict(imshow_kwargs or {}))
    colorbar = ax.figure.colorbar(image, ax=ax, label=label)
    ends = np.cumsum([0, *map(len, matrices)]) - 0.5
    for end in ends[1:-1]:
        ax.axvline(end, color="black", linewidth=1.5)
    ax.set_xticks((ends[1:] + ends[:-1]) / 2, names)
    ax.grid(False)
    ax.tick_params(length=0)
    _name_features(ax, n_features, feature_names)
    return image, colorbar


def _figsize(n_features: int, n_groups: int) -> tuple[float, float]:
    """Return inches: a line of text for each feature, room for the names of the groups."""
    return float(np.clip(1.1 * n_groups + 3, 6.4, 12)), float(np.clip(0.22 * n_features, 3, 8) + 1)


def _name_features(ax: Any, n_features: int, feature_names: Sequence[str] | None) -> None:
    if n_features > MAX_NAMED_FEATURES or feature_names is None:
        from matplotlib.ticker import MaxNLocator

        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylabel("feature")
    else:
        size = "medium" if n_features <= 20 else "small"
        ax.set_yticks(range(n_features), feature_names, fontsize=size)
