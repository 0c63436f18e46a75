"""Pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skvae.display import _drawing

GAP = 0.15
"""Distance between groups of pictures, in pictures."""


def stitch(tiles: np.ndarray) -> np.ndarray:
    """Join pictures ``(rows, columns, H, W[, C])`` into one, ``(rows*H, columns*W[, C])``."""
    rows, columns, height, width, *channels = tiles.shape
    image = tiles.swapaxes(1, 2).reshape(rows * height, columns * width, *channels)
    return image[..., 0] if channels == [1] else image


def black_and_white(tiles: np.ndarray) -> tuple[float, float]:
    """Return 0 and 1, unless the values leave that range: then their extremes."""
    return min(0.0, float(np.nanmin(tiles))), max(1.0, float(np.nanmax(tiles)))


def draw_tiles(
    ax: Any,
    tiles: np.ndarray,
    imshow_kwargs: Mapping[str, Any] | None,
    *,
    limits: tuple[float, float] | None = None,
    corner: tuple[float, float] = (0.0, 0.0),
) -> Any:
    """Draw pictures ``(rows, columns, H, W[, C])`` side by side, each one unit wide and high.

    NaN stay blank. The limits are the values of black and white, by default those of
    :func:`black_and_white`; the middle of the lower left picture is in the corner.
    """
    rows, columns, height, width = tiles.shape[:4]
    image = stitch(tiles)
    low, high = limits or black_and_white(tiles)
    if image.ndim == 3:  # for colours, imshow scales nothing
        image = np.nan_to_num((image - low) / (high - low), nan=1.0)
    left, bottom = corner[0] - 0.5, corner[1] - 0.5
    extent = (left, left + columns, bottom, bottom + rows)
    defaults = {"cmap": "gray", "extent": extent, "aspect": height / width}
    artist = ax.imshow(image, **defaults | dict(imshow_kwargs or {}))
    if not {"vmin", "vmax", "norm"} & set(imshow_kwargs or {}):
        artist.set_clim(low, high)
    ax.set(xlim=ax.dataLim.intervalx, ylim=ax.dataLim.intervaly)  # of all groups of pictures
    ax.spines[:].set_visible(False)
    ax.patch.set_visible(False)
    return artist


def tile_axes(
    ax: Any, rows: float, columns: float, tiles: np.ndarray, left: float = 0.1, below: float = 0.1
) -> Any:
    """Return the axes given, or those of a new figure that so many such pictures fill.

    Labels need room on the left and below, in inches.
    """
    if ax is not None:
        return ax
    ratio = rows * tiles.shape[2] / (columns * tiles.shape[3])
    size = min(7.0, 5.0 / ratio) + left, min(7.0 * ratio, 5.0) + below
    return _drawing.new_axes(figsize=size, layout="compressed")  # knows of fixed aspects


def separate_tiles(ax: Any, tiles: np.ndarray, linewidth: float) -> None:
    """Draw white lines between pictures."""
    rows, columns = tiles.shape[:2]
    ax.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    ax.grid(False)  # that of some style sheets
    ax.grid(which="minor", color="white", linewidth=linewidth)
    ax.tick_params(which="minor", length=0)
