"""A display of rows, their reconstructions and the residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skvae._numbers import whole
from skvae.display import _drawing, _tiles
from skvae.display._heat_map import Groups, standardised
from skvae.display._model import FittedModel, first_rows
from skvae.display._pictures_or_heat_map import PicturesOrHeatMap


@dataclass(kw_only=True, eq=False, repr=False)
class ReconstructionDisplay(PicturesOrHeatMap):
    """Rows of X, their reconstructions and the residuals: pictures, or a heat map for tables.

    From top to bottom there are pictures, their reconstructions, and the residuals (original minus
    reconstruction). In the residuals, white is 0, and red means that the original is larger; for
    pictures in colour, each channel is grey at 0. The scale ends at the largest residual shown.

    In the heat map, a row of X is a column, so that there is room for the names of the features.
    The originals are on the left, then come the reconstructions, then the residuals, in the same
    order. Each feature is standardised by the mean and the standard deviation of the originals
    shown, so that features of any scale can be compared. Residuals have the same unit.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    originals : ndarray of shape (n_images, n_features)
        Rows.
    reconstructions : ndarray of shape (n_images, n_features)
        Their reconstructions.
    image_shape : tuple of int, default=None
        Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``. If
        ``None``, a heat map is drawn.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the features, for the heat map.

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The pictures and their reconstructions, joined into one, or the heat map.
    residual_image_ : matplotlib.image.AxesImage or None
        The residuals of pictures.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map, or of the residuals of grey pictures.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    ManifoldDisplay : Shows pictures that are decoded from a grid of points.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import ReconstructionDisplay
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(vae, X[100:], n_images=6)
    >>> display.reconstructions.shape
    (6, 64)
    >>> plt.close(display.figure_)
    """

    originals: np.ndarray
    reconstructions: np.ndarray
    image_shape: Sequence[int] | None = None
    feature_names: Sequence[str] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_images: int = 10,
        image_shape: Sequence[int] | None = None,
        residuals: bool = True,
        ax: Any = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
        residual_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Reconstruct the first rows of X, and plot rows, reconstructions and differences.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with ``transform`` and ``inverse_transform``: a
            :class:`~skvae.VariationalAutoencoder`, a pipeline that ends in one, or for comparison
            :class:`~sklearn.decomposition.PCA`.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows, of which the first are shown.
        n_images : int, default=10
            Largest number of rows.
        image_shape : tuple of int, default=None
            Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``; one
            entry may be −1. If ``None``, the ``image_shape`` of the estimator is used; if it has
            none, the rows are a table.
        residuals : bool, default=True
            Whether to show the residuals.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`, for everything except the
            residuals of pictures. They replace the defaults.
        residual_kwargs : dict, default=None
            The same for the residuals of pictures.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, or ``n_images`` is not
            positive.
        TypeError
            When ``n_images`` is not a whole number.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        shape = model.image_shape(image_shape)
        rows = first_rows(X, whole(n_images, "n_images"))
        display = cls(
            originals=model.floats(rows),
            reconstructions=model.inverse_transform(model.transform(rows)),
            image_shape=shape,
            feature_names=model.feature_names,
        )
        return display.plot(
            ax, residuals=residuals, imshow_kwargs=imshow_kwargs, residual_kwargs=residual_kwargs
        )

    def plot(
        self,
        ax: Any = None,
        *,
        residuals: bool = True,
        imshow_kwargs: Mapping[str, Any] | None = None,
        residual_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw originals, reconstructions and residuals.

        In pictures, black is 0 and white is 1. If values lie outside of this range, black is the
        smallest and white the largest value of originals and reconstructions together.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        residuals : bool, default=True
            Whether to show the residuals.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`, for everything except the
            residuals of pictures. They replace the defaults.
        residual_kwargs : dict, default=None
            The same for the residuals of pictures.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.
        """
        self.residual_image_: Any = None
        return self._draw(ax, imshow_kwargs, residuals=residuals, residual_kwargs=residual_kwargs)

    def _draw_pictures(
        self, ax: Any, imshow_kwargs: Any, *, residuals: bool, residual_kwargs: Any
    ) -> None:
        tiles = self._tiles(np.stack([self.originals, self.reconstructions]))
        n_rows, n_images = 2 + residuals * (1 + _tiles.GAP), tiles.shape[1]
        ax = _tiles.tile_axes(ax, n_rows, n_images, tiles, left=1.2 + 0.5 * residuals)
        self.image_ = _tiles.draw_tiles(ax, tiles, imshow_kwargs)
        if residuals:
            self._draw_residuals(ax, tiles[:1] - tiles[1:], residual_kwargs or {})
        _tiles.separate_tiles(ax, tiles, linewidth=2)
        heights = [1, 0, -1 - _tiles.GAP][: 2 + residuals]
        last = "residual" if self.colorbar_ else "residual (grey: 0)"
        ax.set_yticks(heights, ["original", "reconstruction", last][: 2 + residuals])
        ax.set_xticks([])
        ax.tick_params(length=0)

    def _draw_residuals(self, ax: Any, tiles: np.ndarray, residual_kwargs: Any) -> None:
        """Draw differences below the pictures, grey ones with their scale beside them."""
        in_colours = tiles.shape[4:] not in ((), (1,))
        tiles = tiles[..., :3] if in_colours else tiles  # opaque
        most = float(np.abs(tiles).max()) or 1.0
        kwargs = {"cmap": _drawing.SIGNED} | dict(residual_kwargs)
        place: dict[str, Any] = {"limits": (-most, most), "corner": (0, -1 - _tiles.GAP)}
        self.residual_image_ = _tiles.draw_tiles(ax, tiles, kwargs, **place)
        if in_colours:
            return
        beside = ax.inset_axes([1.01, 0, 0.012, 1 / (3 + _tiles.GAP)])
        end = _drawing.round_below(self.residual_image_.get_clim()[1])
        self.colorbar_ = ax.figure.colorbar(
            self.residual_image_, cax=beside, ticks=[-end, end], format="{x:+.3g}"
        )
        beside.tick_params(labelsize="small", length=2)

    def _groups(self, *, residuals: bool, **_: Any) -> tuple[Groups, str]:
        spread = self.originals.std(axis=0)
        moments = self.originals.mean(axis=0), np.where(spread > 0, spread, 1)
        rows = [("original", self.originals), ("reconstruction", self.reconstructions)]
        groups, label = standardised(rows, moments)
        left = (self.originals - self.reconstructions) / moments[1]
        return groups + [("residual", left)] * residuals, label
