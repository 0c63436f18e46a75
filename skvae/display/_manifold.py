"""Pictures decoded from a grid over the latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skvae.display import _drawing, _tiles
from skvae.display._model import FittedModel


@dataclass(kw_only=True, eq=False, repr=False)
class ManifoldDisplay:
    """Pictures decoded from a grid over the latent space.

    The first component grows to the right, the second upward; the others are at the median of
    the prior, which is zero for a standard normal one. It is recommended to use
    :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    tiles : ndarray of shape (n, n, height, width) or (n, n, height, width, channels)
        The pictures: ``tiles[i, j]`` is decoded where the second component is
        ``vertical_values[i]`` and the first is ``values[j]``. With one component,
        ``(1, n, height, width)`` and so on.
    values : ndarray of shape (n,)
        Latent values along the horizontal axis, ascending.
    components : sequence of int
        The one or two components.
    vertical_values : ndarray of shape (n,), default=None
        Those along the vertical axis. ``None``: the same.

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
    TraversalDisplay : One component after the other.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import ManifoldDisplay
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    >>> display = ManifoldDisplay.from_estimator(vae, n=3, linear_range=1.5)
    >>> display.tiles.shape, display.values
    ((3, 3, 8, 8), array([-1.5,  0. ,  1.5]))
    >>> plt.close(display.figure_)
    """

    tiles: np.ndarray
    values: np.ndarray
    components: Sequence[int]
    vertical_values: np.ndarray | None = None

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
            of one component needs none. The others are at the median of the prior.
        quantile_range : pair of float, default=(0.02, 0.98)
            The grid is at equally spaced quantiles of the prior of each component from the
            first to the second, so that each row and each column of pictures stands for the
            same share of it. Those of a learned prior are taken from 32,768 draws, the same
            in every call; an estimator without a prior has the standard normal's.
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
        TypeError
            When what should be a number is not.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        chosen = _drawing.check_components(components, model.n_components, most=2)
        shape = model.required_image_shape(image_shape)
        values = _drawing.latent_values(
            n, quantile_range, linear_range, lambda p: model.prior_quantiles(p)[list(chosen)]
        )
        axes = np.broadcast_to(values, (len(chosen), values.shape[1]))
        grid = np.meshgrid(*axes)
        Z = np.tile(model.prior_quantiles(np.array([0.5])).T, (grid[0].size, 1))
        Z[:, chosen] = np.column_stack([axis.ravel() for axis in grid])
        tiles = model.inverse_transform(Z).reshape(-1, axes.shape[1], *shape)
        vertical = axes[1] if len(chosen) == 2 else None
        display = cls(tiles=tiles, values=axes[0], components=chosen, vertical_values=vertical)
        return display.plot(ax, imshow_kwargs=imshow_kwargs)

    def plot(self, ax: Any = None, *, imshow_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the pictures.

        Black is 0 and white is 1, unless values leave that range: then black is the least
        and white the greatest, for colours too. ``tiles[i, j]`` is centred at ``(j, i)`` of
        the axes, so a latent value z lies at ``np.interp(z, values, range(n))``, on the vertical
        axis with ``vertical_values``.

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
        """
        rows, columns = self.tiles.shape[:2]
        self.ax_ = _tiles.tile_axes(ax, rows, columns, self.tiles, left=0.5, below=0.5)
        self.figure_ = self.ax_.figure
        self.image_ = _tiles.draw_tiles(self.ax_, self.tiles[::-1], imshow_kwargs)
        _tiles.separate_tiles(self.ax_, self.tiles, linewidth=0.5)
        self.ax_.set_xticks(*_drawing.value_ticks(self.values))
        self.ax_.set_xlabel(f"component {self.components[0]}")
        if len(self.components) == 1:
            self.ax_.set_yticks([])
            return self
        vertical = self.values if self.vertical_values is None else self.vertical_values
        self.ax_.set_yticks(*_drawing.value_ticks(vertical))
        self.ax_.set_ylabel(f"component {self.components[1]}")
        return self
