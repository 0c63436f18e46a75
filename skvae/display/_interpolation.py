"""A display of decoded points on paths from row to row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils import _safe_indexing

from skvae._numbers import whole
from skvae.display import _tiles
from skvae.display._heat_map import Groups, standardised
from skvae.display._model import FittedModel, first_rows
from skvae.display._pictures_or_heat_map import PicturesOrHeatMap
from skvae.sampling import interpolate


@dataclass(kw_only=True, eq=False, repr=False)
class InterpolationDisplay(PicturesOrHeatMap):
    """Decoded points on paths through the latent space, from each row to the next.

    Each path is a row of pictures: the original at one end, the decoded path, and the original at
    the other end. The path starts and ends at the reconstructions of the originals. For a table, a
    heat map shows the same in its columns. It is recommended to use :meth:`from_estimator`. All
    parameters are stored as attributes.

    Parameters
    ----------
    originals : ndarray of shape (n_paths + 1, n_features)
        The rows that the paths join.
    paths : ndarray of shape (n_paths, n, n_features)
        Decoded points of the path from ``originals[i]`` to ``originals[i + 1]``.
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
        The pictures of the paths, joined into one, or the heat map.
    original_images_ : list of matplotlib.image.AxesImage
        The pictures on the left and on the right. Empty for a table.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    skvae.sampling.interpolate : Returns the paths as an array.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import InterpolationDisplay
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    >>> display = InterpolationDisplay.from_estimator(vae, X[:3], n=8)
    >>> display.paths.shape
    (2, 8, 64)
    >>> plt.close(display.figure_)
    """

    originals: np.ndarray
    paths: np.ndarray
    image_shape: Sequence[int] | None = None
    feature_names: Sequence[str] | None = None
    feature_moments: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n: int = 10,
        n_paths: int = 8,
        method: str = "linear",
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Decode paths from each row of X to the next, and plot them.

        Parameters
        ----------
        estimator : estimator instance
            A fitted :class:`~skvae.VariationalAutoencoder`, or a pipeline that ends in one.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Two rows or more. The first ``n_paths + 1`` of them are joined.
        n : int, default=10
            Number of points on each path, including both ends.
        n_paths : int, default=8
            Largest number of paths.
        method : {"linear", "spherical"}, default="linear"
            The path between two posterior means; see :func:`skvae.sampling.interpolate`.
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
        display : InterpolationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When X has fewer than two rows, the rows are not pictures of ``image_shape``, ``n`` is
            below 2, ``n_paths`` is not positive, or ``method`` has another value.
        TypeError
            When the estimator holds no autoencoder, or a parameter that must be a number is not
            one.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        model.attribute("posterior", "which the paths join the means of")
        shape = model.image_shape(image_shape)
        rows = first_rows(X, whole(n_paths, "n_paths") + 1)
        originals = model.floats(rows)
        if len(originals) < 2:
            raise ValueError(f"X has {len(originals)} rows. Pass two or more to go between.")
        n = whole(n, "n", least=2)
        starts, ends = (_safe_indexing(rows, kept) for kept in (slice(0, -1), slice(1, None)))
        display = cls(
            originals=originals,
            paths=interpolate(estimator, starts, ends, n, method=method),
            image_shape=shape,
            feature_names=model.feature_names,
            feature_moments=model.feature_moments() if shape is None else None,
        )
        return display.plot(ax, imshow_kwargs=imshow_kwargs)

    def plot(self, ax: Any = None, *, imshow_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the originals and the paths.

        In pictures, black is 0 and white is 1. If values lie outside of this range, black is the
        smallest and white the largest value of originals and paths together.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : InterpolationDisplay
            The display itself.
        """
        self.original_images_: list[Any] = []
        return self._draw(ax, imshow_kwargs)

    def _draw_pictures(self, ax: Any, imshow_kwargs: Any) -> None:
        tiles, originals = self._tiles(self.paths), self._tiles(self.originals[:, None])
        n_paths, n = tiles.shape[:2]
        far = 1 + 2 * _tiles.GAP
        limits = _tiles.black_and_white(np.concatenate([self.originals, *self.paths]))
        ax = _tiles.tile_axes(ax, n_paths, n + 2 * far, tiles, below=0.3)
        self.image_ = _tiles.draw_tiles(ax, tiles, imshow_kwargs, limits=limits)
        for ends, place in ((originals[:-1], -far), (originals[1:], n - 1 + far)):
            self.original_images_.append(
                _tiles.draw_tiles(ax, ends, imshow_kwargs, limits=limits, corner=(place, 0))
            )
        _tiles.separate_tiles(ax, tiles, linewidth=1)
        ax.set_yticks([])
        ax.set_xticks([-far, (n - 1) / 2, n - 1 + far], ["original", "decoded path", "original"])
        ax.tick_params(length=0)

    def _groups(self) -> tuple[Groups, str]:
        groups = [("original", self.originals[:1])]
        for path, end in zip(self.paths, self.originals[1:], strict=True):
            groups += [("decoded path", path), ("original", end[None])]
        return standardised(groups, self.feature_moments)
