"""What the displays share: axes, colours, checks, latent values and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


# Numbers


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
