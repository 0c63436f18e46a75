"""What the decoder makes of a plane through the latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from skvae.display import _drawing


def _grid_values(
    n: int, quantile_range: Sequence[float], linear_range: Real | float | Sequence[float] | None
) -> np.ndarray:
    """Return n latent values, ascending."""
    n = _drawing.check_positive(n, "n")
    if linear_range is not None:
        ends = (-linear_range, linear_range) if isinstance(linear_range, Real) else linear_range
        low, high = _ascending(ends, "linear_range", -np.inf, np.inf)
        return np.linspace(low, high, n)
    low, high = _ascending(quantile_range, "quantile_range", 0, 1)
    return np.array([NormalDist().inv_cdf(p) for p in np.linspace(low, high, n)])


def _ascending(ends: Any, name: str, least: float, most: float) -> tuple[float, float]:
    """Return two ends in order, strictly inside the bounds."""
    if np.shape(ends) != (2,) or not least < ends[0] < ends[1] < most:
        raise ValueError(f"{name}={ends!r} must be (low, high) with {least} < low < high < {most}.")
    return float(ends[0]), float(ends[1])


def _ticks(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return where round latent values lie between the tiles, and their names."""
    from matplotlib.ticker import MaxNLocator

    nice = MaxNLocator(nbins=6, steps=[1, 2, 5, 10]).tick_values(values[0], values[-1])
    nice = nice[(nice >= values[0]) & (nice <= values[-1])]
    names = [f"{value:g}".replace("-", "−") for value in nice]
    return np.interp(nice, values, np.arange(len(values))), names


class ManifoldDisplay:
    """Pictures decoded from a grid over the latent space.

    The first component grows to the right, the second upward; the others are zero. It is
    recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    tiles : ndarray of shape (n, n, height, width) or (n, n, height, width, channels)
        The pictures: ``tiles[i, j]`` is decoded where the second component is
        ``values[i]`` and the first is ``values[j]``. With one component,
        ``(1, n, height, width)`` and so on.
    values : ndarray of shape (n,)
        Latent values along each axis, ascending.
    components : sequence of int
        The one or two components.

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The pictures, stitched into one.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    LatentSpaceDisplay : Where the rows lie in the same plane.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import ManifoldDisplay
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    >>> display = ManifoldDisplay.from_estimator(vae, n=12)
    >>> display.tiles.shape
    (12, 12, 8, 8)
    >>> plt.close(display.figure_)
    """

    def __init__(self, *, tiles: np.ndarray, values: np.ndarray, components: Sequence[int]) -> None:
        self.tiles = tiles
        self.values = values
        self.components = components

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n: int = 20,
        components: int | Sequence[int] = (0, 1),
        quantile_range: Sequence[float] = (0.02, 0.98),
        linear_range: float | Sequence[float] | None = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Decode a grid of points and plot the pictures.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``inverse_transform``: a :class:`~skvae.VariationalAutoencoder`, or
            a pipeline that ends in one.
        n : int, default=20
            Pictures along each axis.
        components : int or pair of int, default=(0, 1)
            Components along the horizontal and the vertical axis; one for a strip. A model
            of one component needs none. The other components are zero.
        quantile_range : pair of float, default=(0.02, 0.98)
            The grid is at equally spaced quantiles of the standard normal distribution from
            the first to the second, so that each tile stands for the same share of a
            standard normal prior.
        linear_range : float or pair of float, default=None
            Instead: equally spaced latent values from the first to the second, or from
            minus the number to the number.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, channels)`` of a decoded row; one entry
            may be −1. ``None``: that of the estimator.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : ManifoldDisplay
            Drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, ``components`` are not in the
            model, ``n`` is not positive, or a range does not ascend (inside 0 and 1 for
            ``quantile_range``).
        NotFittedError
            When the estimator is not fitted.

        Examples
        --------
        A model with dense layers, on rows that are pictures all the same:

        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_digits
        >>> from skvae import VariationalAutoencoder
        >>> from skvae.display import ManifoldDisplay
        >>> X = load_digits().data / 16
        >>> vae = VariationalAutoencoder(n_components=5, max_epochs=2, random_state=0).fit(X)
        >>> display = ManifoldDisplay.from_estimator(
        ...     vae, n=3, components=(0, 4), linear_range=1.5, image_shape=(8, 8)
        ... )
        >>> display.values
        array([-1.5,  0. ,  1.5])
        >>> plt.close(display.figure_)
        """
        n_components = len(estimator.get_feature_names_out())
        chosen = _drawing.check_components(components, n_components)
        shape = _drawing.image_shape_of(estimator, image_shape)
        if shape is None:
            raise ValueError(
                "image_shape=None, here and in the estimator: a grid of decoded rows can be "
                "shown when they are pictures. Pass image_shape=(height, width)."
            )
        values = _grid_values(n, quantile_range, linear_range)
        grid = np.meshgrid(*[values] * len(chosen))
        Z = np.zeros((grid[0].size, n_components))
        Z[:, chosen] = np.column_stack([axis.ravel() for axis in grid])
        tiles = np.asarray(estimator.inverse_transform(Z)).reshape(-1, len(values), *shape)
        return cls(tiles=tiles, values=values, components=chosen).plot(
            ax, imshow_kwargs=imshow_kwargs
        )

    def plot(self, ax: Any = None, *, imshow_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the pictures.

        Black is 0 and white is 1, unless values leave that range: then black is the least
        and white the greatest, for colours too. ``tiles[i, j]`` is centred at ``(j, i)`` of
        the axes, so a latent value z lies at ``np.interp(z, values, range(n))``.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : ManifoldDisplay
            Itself.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skvae.display import ManifoldDisplay
        >>> tiles = np.random.default_rng(0).random((1, 3, 4, 4))
        >>> display = ManifoldDisplay(tiles=tiles, values=np.array([-1, 0, 1]), components=(0,))
        >>> display.plot(imshow_kwargs={"cmap": "gray_r"}).image_.get_array().shape
        (4, 12)
        >>> plt.close(display.figure_)
        """
        if ax is None:
            ax = _drawing.new_axes(figsize=_drawing.tiles_figsize(self.tiles, left=0.5))
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = _drawing.draw_tiles(ax, self.tiles[::-1], imshow_kwargs)
        _drawing.separate_tiles(ax, self.tiles, linewidth=0.5)
        ticks, names = _ticks(self.values)
        ax.set_xticks(ticks, names)
        ax.set_xlabel(f"component {self.components[0]}")
        if len(self.components) == 1:
            ax.set_yticks([])
            return self
        ax.set_yticks(ticks, names)
        ax.set_ylabel(f"component {self.components[1]}")
        return self
