"""What the displays share: axes, colours, checks, and pictures from rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from operator import index
from typing import Any

import numpy as np

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

SIGNED = "RdBu_r"
"""Colours of values around 0, told apart with any colour vision."""

GAP = 0.15
"""Distance between groups of pictures, in pictures."""


def new_axes(ncols: int = 1, layout: str = "constrained", **figure: Any) -> Any:
    """Return the axes of a new figure that makes room for whatever is beside them."""
    import matplotlib.pyplot as plt

    return plt.subplots(ncols=ncols, layout=layout, **figure)[1]


def beside(ax: Any) -> dict[str, Any]:
    """Return the place of a legend: on the right, if a layout engine makes room for it there."""
    if ax.figure.get_layout_engine() is None:
        return {"loc": "upper right", "fontsize": "small"}
    return {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}


def canonical(kwargs: Mapping[str, Any] | None, artist: type) -> dict[str, Any]:
    """Return a user's keywords without aliases, so that they replace our defaults."""
    from matplotlib import cbook

    return dict(cbook.normalize_kwargs(dict(kwargs or {}), artist))


# Checks


def check_components(
    components: int | Sequence[int], n_components: int, most: int | None = None
) -> tuple[int, ...]:
    """Return distinct components that exist, ``most`` of them at most.

    Raises
    ------
    ValueError
        Naming those that do not.
    """
    chosen = tuple(index(k) for k in np.atleast_1d(components))
    if n_components == 1 and chosen == (0, 1):  # the default of every display
        return (0,)
    distinct = 0 < len(set(chosen)) == len(chosen) <= (most or n_components)
    if not distinct or min(chosen) < 0 or max(chosen) >= n_components:
        how_many = "one or two distinct" if most == 2 else "distinct"
        raise ValueError(
            f"components={components!r} must be {how_many} components out of "
            f"0, ..., {n_components - 1}: the model has n_components={n_components}."
        )
    return chosen


def check_positive(value: int, name: str, least: int = 1) -> int:
    """Return a whole number that is at least 1."""
    if value < least or value != int(value):
        kind = "a positive whole number" if least == 1 else f"a whole number of at least {least}"
        raise ValueError(f"{name}={value!r} must be {kind}.")
    return int(value)


def check_ascending(ends: Any, name: str, least: float, most: float) -> tuple[float, float]:
    """Return two ends in order, strictly inside the bounds."""
    if np.shape(ends) != (2,) or not least < ends[0] < ends[1] < most:
        raise ValueError(f"{name}={ends!r} must be (low, high) with {least} < low < high < {most}.")
    return float(ends[0]), float(ends[1])


def latent_values(
    n: int,
    quantile_range: Sequence[float],
    linear_range: float | Sequence[float] | None,
    quantiles: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return n latent values of every component, ascending.

    At equally spaced quantiles; where there is a linear range, equally spaced themselves, and
    of shape ``(1, n)``.
    """
    n = check_positive(n, "n")
    if linear_range is not None:
        ends = (-linear_range, linear_range) if isinstance(linear_range, Real) else linear_range
        low, high = check_ascending(ends, "linear_range", -np.inf, np.inf)
        return np.linspace(low, high, n)[None]
    return quantiles(levels(n, quantile_range))


def levels(n: int, quantile_range: Sequence[float]) -> np.ndarray:
    """Return n equally spaced shares of a distribution."""
    low, high = check_ascending(quantile_range, "quantile_range", 0, 1)
    return np.linspace(low, high, n)


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


# Pictures


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
    """Draw pictures side by side, each one unit wide and high.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    tiles : ndarray of shape (rows, columns, height, width[, channels])
        NaN stay blank.
    imshow_kwargs : dict
        Over the defaults.
    limits : pair of float, default=None
        The values of black and white. ``None``: those of :func:`black_and_white`.
    corner : pair of float, default=(0.0, 0.0)
        Where the middle of the lower left picture is.

    Returns
    -------
    image : matplotlib.image.AxesImage
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
    """Return the axes given, or those of a new figure that so many pictures fill.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    rows, columns : float
        How many pictures.
    tiles : ndarray of shape (..., ..., height, width[, channels])
        Some of them.
    left, below : float, default=0.1
        The width of the labels on the left and the height of those below, inches.
    """
    if ax is not None:
        return ax
    ratio = rows * tiles.shape[2] / (columns * tiles.shape[3])
    size = min(7.0, 5.0 / ratio) + left, min(7.0 * ratio, 5.0) + below
    return new_axes(figsize=size, layout="compressed")  # knows of fixed aspects


def separate_tiles(ax: Any, tiles: np.ndarray, linewidth: float) -> None:
    """Draw white lines between pictures."""
    rows, columns = tiles.shape[:2]
    ax.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    ax.grid(False)  # that of some style sheets
    ax.grid(which="minor", color="white", linewidth=linewidth)
    ax.tick_params(which="minor", length=0)


def value_ticks(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return where round latent values lie between the tiles, and their names."""
    from matplotlib.ticker import MaxNLocator

    nice = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(values[0], values[-1])
    nice = nice[(nice >= values[0]) & (nice <= values[-1])]
    return np.interp(nice, values, np.arange(len(values))), [number(value) for value in nice]


def round_below(value: float) -> float:
    """Return the greatest of …, 0.1, 0.2, 0.5, 1, 2, 5, … up to a positive value."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * max(step for step in (1, 2, 5) if step <= value / power * (1 + 1e-9)))


def number(value: float) -> str:
    """Return a number with few digits and a proper minus."""
    return f"{value:.3g}".replace("-", "−")
