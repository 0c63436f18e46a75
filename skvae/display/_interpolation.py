"""Decoded points on the way from row to row."""

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
    """Decoded points on the way through the latent space from row to row.

    Each path is a row of pictures: an original, the decoded path, which starts and ends at the
    reconstructions, and the original at its other end. Of a table, a heat map with the same
    in its columns. It is recommended to use :meth:`from_estimator`. All parameters are stored
    as attributes.

    Parameters
    ----------
    originals : ndarray of shape (n_paths + 1, n_features)
        The rows that the paths join.
    paths : ndarray of shape (n_paths, n, n_features)
        Decoded points of the path from ``originals[i]`` to ``originals[i + 1]``.
    image_shape : tuple of int, default=None
        ``(height, width)`` or ``(height, width, channels)`` of a row. ``None``: a heat map.
    feature_names : array-like of str of shape (n_features,), default=None
        Names for the heat map.
    feature_moments : pair of ndarray of shape (n_features,), default=None
        Mean and standard deviation, the origin and the unit of each feature in the heat map.
        ``None``: 0 and 1.

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The pictures of the paths, stitched into one, or the heat map.
    original_images_ : list of matplotlib.image.AxesImage
        The pictures on the left, and on the right; empty for a table.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skvae.sampling.interpolate : The paths themselves.

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
        """Go from each row of X to the next, and plot the ways.

        Parameters
        ----------
        estimator : estimator instance
            Fitted: a :class:`~skvae.VariationalAutoencoder`, or a pipeline that ends in one.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Two rows or more; the first ``n_paths + 1`` of them are joined.
        n : int, default=10
            Points of each path, both ends included.
        n_paths : int, default=8
            How many, at most.
        method : {"linear", "spherical"}, default="linear"
            The path between two posterior means; see :func:`skvae.sampling.interpolate`.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, channels)`` of a row; one entry may be
            −1. ``None``: that of the estimator; without one, the rows are a table.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : InterpolationDisplay
            Drawn.

        Raises
        ------
        ValueError
            When X has fewer than two rows, these are not pictures of ``image_shape``, ``n`` is
            below 2, ``n_paths`` is not positive, or ``method`` is neither.
        TypeError
            When the estimator holds no autoencoder, or what should be a number is not.
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
        """Draw originals and paths.

        Of pictures, black is 0 and white is 1, unless values leave that range: then black
        is the least and white the greatest of originals and paths together.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : InterpolationDisplay
            Itself.
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
