"""A display of rows drawn from the model, and of the rows of X that are nearest to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from skvae._numbers import whole
from skvae.display import _tiles
from skvae.display._heat_map import Groups, standardised
from skvae.display._model import FittedModel
from skvae.display._pictures_or_heat_map import PicturesOrHeatMap


@dataclass(kw_only=True, eq=False, repr=False)
class SampleGridDisplay(PicturesOrHeatMap):
    """Rows drawn from the model: a grid of pictures, or a heat map for tables.

    The row of X that is nearest to each drawn row can be shown below each picture, or at the right
    of the heat map. It shows whether the model makes new rows or repeats those of ``fit``. It is
    recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
        Drawn rows.
    nearest : ndarray of shape (n_samples, n_features), default=None
        The row of X that is nearest to each drawn row. If ``None``, these are not shown.
    image_shape : tuple of int, default=None
        Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``. If
        ``None``, a heat map is drawn.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the features, for the heat map.
    feature_moments : pair of ndarray of shape (n_features,), default=None
        Mean and standard deviation of each feature, which are its origin and its unit in the heat
        map. If ``None``, these are 0 and 1.

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The pictures, joined into one, or the heat map.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    ReconstructionDisplay : Shows how the model reconstructs given rows.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import SampleGridDisplay
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    >>> display = SampleGridDisplay.from_estimator(vae, X, n_samples=12)
    >>> display.nearest.shape
    (12, 64)
    >>> plt.close(display.figure_)
    """

    samples: np.ndarray
    nearest: np.ndarray | None = None
    image_shape: Sequence[int] | None = None
    feature_names: Sequence[str] | None = None
    feature_moments: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n_samples: int = 50,
        n_columns: int = 10,
        mean: bool = True,
        random_state: int | np.random.RandomState | None = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw rows from a fitted estimator and plot them.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with ``sample``: a :class:`~skvae.VariationalAutoencoder`, or a
            pipeline that ends in one. The steps before the model are inverted.
        X : array-like or sparse matrix of shape (n_rows, n_features), default=None
            Rows such as those of ``fit``. For each drawn row, the nearest of them is shown, by
            Euclidean distance; the features of a table are divided by their standard deviations. If
            ``None``, no nearest rows are shown.
        n_samples : int, default=50
            Number of rows to draw.
        n_columns : int, default=10
            Number of pictures in a row of the grid.
        mean : bool, default=True
            Show E[x|z], as is usual for pictures. ``False`` shows random draws of x with the noise
            of the likelihood, which are needed for a comparison with rows of a table.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws, as in :meth:`skvae.VariationalAutoencoder.sample`.
        image_shape : tuple of int, default=None
            Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``; one
            entry may be −1. If ``None``, the ``image_shape`` of the estimator is used; if it has
            none, the rows are a table.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : SampleGridDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, or ``n_samples`` or ``n_columns``
            is not positive.
        TypeError
            When the estimator has no ``sample``, a step before it has no ``inverse_transform``, or
            a parameter that must be a number is not one.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        shape = model.image_shape(image_shape)
        n_samples = whole(n_samples, "n_samples")
        whole(n_columns, "n_columns")
        samples = model.sample(n_samples, mean=mean, random_state=random_state)
        moments = model.feature_moments() if shape is None else None
        nearest = None if X is None else _nearest(samples, model.floats(X), moments)
        display = cls(
            samples=samples,
            nearest=nearest,
            image_shape=shape,
            feature_names=model.feature_names,
            feature_moments=moments,
        )
        return display.plot(ax, n_columns=n_columns, imshow_kwargs=imshow_kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        n_columns: int = 10,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the rows.

        In pictures, black is 0 and white is 1. If values lie outside of this range, black is the
        smallest and white the largest value.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        n_columns : int, default=10
            Number of pictures in a row of the grid.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : SampleGridDisplay
            The display itself.

        Raises
        ------
        ValueError
            When ``n_columns`` is not positive.
        TypeError
            When it is not a whole number.
        """
        n_columns = whole(n_columns, "n_columns")
        return self._draw(ax, imshow_kwargs, n_columns=min(n_columns, len(self.samples)))

    def _draw_pictures(self, ax: Any, imshow_kwargs: Any, *, n_columns: int) -> None:
        grids = [self._grid(rows, n_columns) for _, rows in self._kinds]
        tiles = np.stack(grids, axis=1).reshape(-1, *grids[0].shape[1:])
        left = 0.1 if self.nearest is None else 0.9
        ax = _tiles.tile_axes(ax, len(tiles), n_columns, tiles, left=left)
        self.image_ = _tiles.draw_tiles(ax, tiles, imshow_kwargs)
        _tiles.separate_tiles(ax, tiles, linewidth=1)
        ax.set(xticks=[], yticks=[])
        ax.tick_params(length=0)
        if self.nearest is not None:
            names = ["nearest row", "sample"] * len(grids[0])
            ax.set_yticks(range(len(tiles)), names)
            for y in range(2, len(tiles), 2):
                ax.axhline(y - 0.5, color="white", linewidth=5)

    def _grid(self, rows: np.ndarray, n_columns: int) -> np.ndarray:
        """Return pictures in a grid; what is left of its last row is NaN."""
        blank = np.full((-len(rows) % n_columns, rows.shape[1]), np.nan)
        return self._tiles(np.vstack([rows, blank]).reshape(-1, n_columns, rows.shape[1]))

    def _groups(self, **_: Any) -> tuple[Groups, str]:
        return standardised(self._kinds, self.feature_moments)

    @property
    def _kinds(self) -> Groups:
        """The rows that are shown, by their names."""
        near = [] if self.nearest is None else [("nearest row", self.nearest)]
        return [("sample", self.samples), *near]


def _nearest(
    samples: np.ndarray, rows: np.ndarray, moments: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """Return the nearest row to each sample, features in their standard deviations."""
    unit = 1.0 if moments is None else moments[1]
    return rows[pairwise_distances_argmin(samples / unit, rows / unit)]
