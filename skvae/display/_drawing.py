"""What the displays share: axes, colours, checks, and rows as pictures or heat maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from skvae._numbers import real, whole

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

MAX_NAMED_FEATURES = 40
"""More names than this do not fit beside a heat map."""

Groups: TypeAlias = list[tuple[str, np.ndarray]]
"""Groups of rows with their names."""

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


# Rows as pictures or as heat maps


class PicturesOrHeatMap:
    """What displays of rows have in common.

    Rows that have an ``image_shape`` are pictures: the display draws them in ``_draw_pictures``
    and puts them into ``image_``. Else ``_groups`` returns what a heat map shows, and what its
    values are.
    """

    image_shape: Sequence[int] | None
    feature_names: Sequence[str] | None
    image_: Any
    _draw_pictures: Any
    _groups: Any

    def _draw(self, ax: Any, imshow_kwargs: Mapping[str, Any] | None, **options: Any) -> Self:
        self.colorbar_: Any = None
        if self.image_shape is None:
            groups, label = self._groups(**options)
            drawn = draw_heat_map(ax, groups, label, self.feature_names, imshow_kwargs)
            self.image_, self.colorbar_ = drawn
        else:
            self._draw_pictures(ax, imshow_kwargs, **options)
        self.ax_ = self.image_.axes
        self.figure_ = self.ax_.figure
        return self

    def _tiles(self, rows: np.ndarray) -> np.ndarray:
        """Return rows, ``(..., n_features)``, as pictures."""
        return rows.reshape(*rows.shape[:-1], *(self.image_shape or ()))


# Checks


def check_components(
    components: int | Sequence[int], n_components: int, most: int | None = None
) -> tuple[int, ...]:
    """Return distinct components that exist, ``most`` of them at most."""
    given: Any = components if np.ndim(components) else [components]
    chosen = tuple(whole(k, "components", least=None) for k in given)
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


def check_ascending(ends: Any, name: str, least: float, most: float) -> tuple[float, float]:
    """Return two ends in order, strictly inside the bounds."""
    low, high = (real(end, name) for end in ends) if np.shape(ends) == (2,) else (most, least)
    if not least < low < high < most:
        raise ValueError(f"{name}={ends!r} must be (low, high) with {least} < low < high < {most}.")
    return low, high


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
    n = whole(n, "n")
    if linear_range is not None:
        ends: Any = linear_range
        if not np.ndim(linear_range):
            end = real(linear_range, "linear_range")
            ends = (-end, end)
        low, high = check_ascending(ends, "linear_range", -np.inf, np.inf)
        return np.linspace(low, high, n)[None]
    return quantiles(levels(n, quantile_range))


def levels(n: int, quantile_range: Sequence[float]) -> np.ndarray:
    """Return n equally spaced shares of a distribution."""
    low, high = check_ascending(quantile_range, "quantile_range", 0, 1)
    return np.linspace(low, high, n)


def resolve_image_shape(image_shape: Sequence[int], n_features: int) -> tuple[int, ...]:
    """Return the shape with its −1 filled in, ``(H, W)`` or ``(H, W, C)``, as imshow takes it."""
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


# Heat maps


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
        ax = new_axes(figsize=_figsize(n_features, len(groups)))
    most = np.abs(rows).max() or 1.0
    defaults = {"cmap": SIGNED, "vmin": -most, "vmax": most, "aspect": "auto"}
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
