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

    The first component grows to the right, the second one upward. The other components are at the
    median of the prior, which is zero for a standard normal prior. It is recommended to use
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
        Latent values along the vertical axis, ascending. If ``None``, these are ``values``.

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The pictures, joined into one.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    LatentSpaceDisplay : Shows the rows in the same plane.
    TraversalDisplay : Shows one component after the other.

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
        """Decode a grid of points and plot them as pictures.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with ``inverse_transform``: a :class:`~skvae.VariationalAutoencoder`,
            or a pipeline that ends in one.
        n : int, default=20
            Number of pictures along each axis.
        components : int or pair of int, default=(0, 1)
            Components on the horizontal and the vertical axis, or one component for a strip. It can
            be left out for a model of one component. The other components are at the median of the
            prior.
        quantile_range : pair of float, default=(0.02, 0.98)
            The grid lies at equally spaced quantiles of the prior of each component, from the first
            number to the second. So each row and each column of pictures stands for the same share
            of the prior. Quantiles of a learned prior are those of 32,768 draws, the same in every
            call. For an estimator without a prior, the standard normal distribution is used.
        linear_range : float or pair of float, default=None
            If given, it replaces ``quantile_range``: the grid lies at equally spaced latent values
            from the first number to the second, or from minus the number to the number.
        image_shape : tuple of int, default=None
            Shape of a decoded row as a picture: ``(height, width)`` or
            ``(height, width, channels)``; one entry may be −1. If ``None``, the ``image_shape`` of
            the estimator is used.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : ManifoldDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, ``components`` are not in the model,
            ``n`` is not positive, or a range does not ascend (for ``quantile_range``, between 0 and
            1).
        TypeError
            When a parameter that must be a number is not one.
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

        Black is 0 and white is 1. If values lie outside of this range, black is the smallest and
        white the largest value; the same holds for colours. The centre of ``tiles[i, j]`` is at
        ``(j, i)`` of the axes. So a latent value z lies at ``np.interp(z, values, range(n))``; use
        ``vertical_values`` for the vertical axis.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : ManifoldDisplay
            The display itself.
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
