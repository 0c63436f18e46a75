"""What the displays share: axes, colours, components, and pictures from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""Ten colours told apart with any colour vision: Petroff, https://arxiv.org/abs/2107.02270"""


def new_axes(ncols: int = 1, **figure: Any) -> Any:
    """Return the axes of a new figure that makes room for whatever is beside them."""
    import matplotlib.pyplot as plt

    return plt.subplots(ncols=ncols, layout="constrained", **figure)[1]


def canonical(kwargs: Mapping[str, Any] | None, artist: type) -> dict[str, Any]:
    """Return a user's keywords without aliases, so that they replace our defaults."""
    from matplotlib import cbook

    return dict(cbook.normalize_kwargs(dict(kwargs or {}), artist))


def check_components(components: int | Sequence[int], n_components: int) -> tuple[int, ...]:
    """Return one or two distinct components that exist.

    Raises
    ------
    ValueError
        Naming those that do not.
    """
    chosen = tuple(index(k) for k in np.atleast_1d(components))
    if n_components == 1 and chosen == (0, 1):  # the default of every display
        return (0,)
    distinct = len(set(chosen)) == len(chosen) and len(chosen) in (1, 2)
    if not distinct or min(chosen) < 0 or max(chosen) >= n_components:
        raise ValueError(
            f"components={components!r} must be one or two distinct components out of "
            f"0, ..., {n_components - 1}: the model has n_components={n_components}."
        )
    return chosen


def check_positive(value: int, name: str) -> int:
    """Return a whole number that is at least 1."""
    if value < 1 or value != int(value):
        raise ValueError(f"{name}={value!r} must be a positive whole number.")
    return int(value)


def resolve_image_shape(image_shape: Sequence[int], n_features: int) -> tuple[int, ...]:
    """Return the shape with its −1 filled in, ``(H, W)`` or ``(H, W, C)``, as imshow takes it.

    Raises
    ------
    ValueError
        When rows of ``n_features`` do not have that shape, or it is not that of a picture.
    """
    try:
        shape = np.broadcast_to(0.0, n_features).reshape(tuple(image_shape)).shape
    except (TypeError, ValueError):
        shape = ()
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,), (4,)):
        raise ValueError(
            f"image_shape={image_shape!r} does not make pictures of rows of {n_features} values. "
            "Pass image_shape=(height, width), or (height, width, channels) with 1, 3 or 4 "
            "channels, whose product is the number of values."
        )
    return shape


def image_shape_of(estimator: Any, image_shape: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the shape of a row as a picture: the one given, else the estimator's, or ``None``."""
    check_is_fitted(estimator)
    if image_shape is None:
        image_shape = getattr(estimator, "image_shape", None)
    return (
        None if image_shape is None else resolve_image_shape(image_shape, estimator.n_features_in_)
    )


def stitch(tiles: np.ndarray) -> np.ndarray:
    """Join pictures ``(rows, columns, H, W[, C])`` into one, ``(rows*H, columns*W[, C])``."""
    rows, columns, height, width, *channels = tiles.shape
    image = tiles.swapaxes(1, 2).reshape(rows * height, columns * width, *channels)
    return image[..., 0] if channels == [1] else image


def draw_tiles(ax: Any, tiles: np.ndarray, imshow_kwargs: Mapping[str, Any] | None) -> Any:
    """Draw pictures side by side, each one unit wide and high, the lower left at the origin.

    Black is 0 and white is 1, unless the values leave that range: then their extremes.
    """
    rows, columns, height, width = tiles.shape[:4]
    image = stitch(tiles)
    low, high = min(0.0, float(image.min())), max(1.0, float(image.max()))
    if image.ndim == 3:  # for colours, imshow scales nothing
        image = (image - low) / (high - low)
    extent = (-0.5, columns - 0.5, -0.5, rows - 0.5)
    defaults = {"cmap": "gray", "extent": extent, "aspect": height / width}
    artist = ax.imshow(image, **defaults | dict(imshow_kwargs or {}))
    if not {"vmin", "vmax", "norm"} & set(imshow_kwargs or {}):
        artist.set_clim(low, high)
    ax.spines[:].set_visible(False)
    return artist


def tiles_figsize(tiles: np.ndarray, left: float) -> tuple[float, float]:
    """Return a size in inches that the pictures fill, with labels of a width on the left."""
    rows, columns, height, width = tiles.shape[:4]
    ratio = rows * height / (columns * width)
    return min(7.0, 5.0 / ratio) + left, min(7.0 * ratio, 5.0) + 0.5


def separate_tiles(ax: Any, tiles: np.ndarray, linewidth: float) -> None:
    """Draw white lines between pictures."""
    rows, columns = tiles.shape[:2]
    ax.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    ax.grid(False)  # that of some style sheets
    ax.grid(which="minor", color="white", linewidth=linewidth)
    ax.tick_params(which="minor", length=0)
