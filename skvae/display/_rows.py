"""Rows that are given, rebuilt, drawn or passed on the way: pictures, or heat maps of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import _safe_indexing

from skvae.display import _drawing
from skvae.display._drawing import Groups, PicturesOrHeatMap, standardised
from skvae.display._model import FittedModel, first_rows
from skvae.sampling import interpolate


@dataclass(kw_only=True, eq=False, repr=False)
class ReconstructionDisplay(PicturesOrHeatMap):
    """Rows of X, their reconstructions and what is left: pictures, or a heat map for tables.

    Pictures stand over their reconstructions, and these over the residuals, original minus
    reconstruction, where white is 0 and red is more in the original; of pictures in colours,
    each channel is grey at 0. Both extremes are the greatest residual shown.

    In the heat map a row of X is a column, to have room for the names of the features:
    originals on the left, then reconstructions, then residuals, all in their order. Each
    feature has the mean and the standard deviation of the originals shown as its origin and
    unit, so that features of any scale are seen beside each other; residuals have the same
    unit.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    originals : ndarray of shape (n_images, n_features)
        Rows.
    reconstructions : ndarray of shape (n_images, n_features)
        Their reconstructions.
    image_shape : tuple of int, default=None
        ``(height, width)`` or ``(height, width, channels)`` of a row. ``None``: a heat map.
    feature_names : array-like of str of shape (n_features,), default=None
        Names for the heat map.

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The pictures and their reconstructions, stitched into one, or the heat map.
    residual_image_ : matplotlib.image.AxesImage or None
        The residuals of pictures.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map, or of the residuals of grey pictures.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    ManifoldDisplay : What the decoder makes of a grid of points.

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
        """Reconstruct the first rows of X and plot both, and their difference.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``transform`` and ``inverse_transform``: a
            :class:`~skvae.VariationalAutoencoder`, a pipeline that ends in one, or for
            comparison :class:`~sklearn.decomposition.PCA`.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows; the first of them are shown.
        n_images : int, default=10
            How many, at most.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, channels)`` of a row; one entry may be
            −1. ``None``: that of the estimator; without one, the rows are a table.
        residuals : bool, default=True
            Show what is left of a row without its reconstruction.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults, of everything but the
            residuals of pictures.
        residual_kwargs : dict, default=None
            The same of the residuals of pictures.

        Returns
        -------
        display : ReconstructionDisplay
            Drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, or ``n_images`` is not
            positive.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        shape = model.image_shape(image_shape)
        rows = first_rows(X, _drawing.check_positive(n_images, "n_images"))
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

        Of pictures, black is 0 and white is 1, unless values leave that range: then black
        is the least and white the greatest of originals and reconstructions together.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        residuals : bool, default=True
            Show what is left of a row without its reconstruction.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults, of everything but the
            residuals of pictures.
        residual_kwargs : dict, default=None
            The same of the residuals of pictures.

        Returns
        -------
        display : ReconstructionDisplay
            Itself.
        """
        self.residual_image_: Any = None
        return self._draw(ax, imshow_kwargs, residuals=residuals, residual_kwargs=residual_kwargs)

    def _draw_pictures(
        self, ax: Any, imshow_kwargs: Any, *, residuals: bool, residual_kwargs: Any
    ) -> None:
        tiles = self._tiles(np.stack([self.originals, self.reconstructions]))
        n_rows, n_images = 2 + residuals * (1 + _drawing.GAP), tiles.shape[1]
        ax = _drawing.tile_axes(ax, n_rows, n_images, tiles, left=1.2 + 0.5 * residuals)
        self.image_ = _drawing.draw_tiles(ax, tiles, imshow_kwargs)
        if residuals:
            self._draw_residuals(ax, tiles[:1] - tiles[1:], residual_kwargs or {})
        _drawing.separate_tiles(ax, tiles, linewidth=2)
        heights = [1, 0, -1 - _drawing.GAP][: 2 + residuals]
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
        place: dict[str, Any] = {"limits": (-most, most), "corner": (0, -1 - _drawing.GAP)}
        self.residual_image_ = _drawing.draw_tiles(ax, tiles, kwargs, **place)
        if in_colours:
            return
        beside = ax.inset_axes([1.01, 0, 0.012, 1 / (3 + _drawing.GAP)])
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


@dataclass(kw_only=True, eq=False, repr=False)
class SampleGridDisplay(PicturesOrHeatMap):
    """Rows drawn from the model: a grid of pictures, or a heat map for tables.

    Below each picture, or on the right of the heat map, the row of X that is nearest to it can
    be shown, to see whether the model invents or remembers. It is recommended to use
    :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_features)
        Drawn rows.
    nearest : ndarray of shape (n_samples, n_features), default=None
        The row of X that is nearest to each. ``None``: not shown.
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
        The pictures, stitched into one, or the heat map.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    ReconstructionDisplay : What the model makes of rows that there are.

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
            Fitted, with ``sample``: a :class:`~skvae.VariationalAutoencoder`, or a pipeline
            that ends in one, whose steps before are inverted.
        X : array-like or sparse matrix of shape (n_rows, n_features), default=None
            Rows among which the nearest to each drawn row is shown, such as those of ``fit``:
            by Euclidean distance, of a table with every feature in its standard deviations.
            ``None``: none.
        n_samples : int, default=50
            How many.
        n_columns : int, default=10
            Pictures in a row of the grid.
        mean : bool, default=True
            E[x|z], as is usual for pictures; ``False``: a draw of x, with the noise of the
            likelihood, as comparisons with rows of a table need.
        random_state : int, RandomState instance or None, default=None
            Decides the draws; as in :meth:`skvae.VariationalAutoencoder.sample`.
        image_shape : tuple of int, default=None
            ``(height, width)`` or ``(height, width, channels)`` of a row; one entry may be
            −1. ``None``: that of the estimator; without one, the rows are a table.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : SampleGridDisplay
            Drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, or ``n_samples`` or ``n_columns``
            is not positive.
        TypeError
            When the estimator has no ``sample``, or a step before it no ``inverse_transform``.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        shape = model.image_shape(image_shape)
        n_samples = _drawing.check_positive(n_samples, "n_samples")
        _drawing.check_positive(n_columns, "n_columns")
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

        Of pictures, black is 0 and white is 1, unless values leave that range: then black
        is the least and white the greatest.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        n_columns : int, default=10
            Pictures in a row of the grid.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : SampleGridDisplay
            Itself.

        Raises
        ------
        ValueError
            When ``n_columns`` is not positive.
        """
        n_columns = _drawing.check_positive(n_columns, "n_columns")
        return self._draw(ax, imshow_kwargs, n_columns=min(n_columns, len(self.samples)))

    def _draw_pictures(self, ax: Any, imshow_kwargs: Any, *, n_columns: int) -> None:
        grids = [self._grid(rows, n_columns) for _, rows in self._kinds]
        tiles = np.stack(grids, axis=1).reshape(-1, *grids[0].shape[1:])
        left = 0.1 if self.nearest is None else 0.9
        ax = _drawing.tile_axes(ax, len(tiles), n_columns, tiles, left=left)
        self.image_ = _drawing.draw_tiles(ax, tiles, imshow_kwargs)
        _drawing.separate_tiles(ax, tiles, linewidth=1)
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
            When the estimator has no ``posterior``.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        model.part("posterior", "which the paths join the means of")
        shape = model.image_shape(image_shape)
        rows = first_rows(X, _drawing.check_positive(n_paths, "n_paths") + 1)
        originals = model.floats(rows)
        if len(originals) < 2:
            raise ValueError(f"X has {len(originals)} rows. Pass two or more to go between.")
        n = _drawing.check_positive(n, "n", least=2)
        seen = model.encode(rows)
        starts, ends = (_safe_indexing(seen, part) for part in (slice(0, -1), slice(1, None)))
        paths = interpolate(model.last, starts, ends, n, method=method)
        decoded = model.decode(paths.reshape(-1, paths.shape[-1]))
        display = cls(
            originals=originals,
            paths=decoded.reshape(len(paths), n, -1),
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
        far = 1 + 2 * _drawing.GAP
        limits = _drawing.black_and_white(np.concatenate([self.originals, *self.paths]))
        ax = _drawing.tile_axes(ax, n_paths, n + 2 * far, tiles, below=0.3)
        self.image_ = _drawing.draw_tiles(ax, tiles, imshow_kwargs, limits=limits)
        for ends, place in ((originals[:-1], -far), (originals[1:], n - 1 + far)):
            self.original_images_.append(
                _drawing.draw_tiles(ax, ends, imshow_kwargs, limits=limits, corner=(place, 0))
            )
        _drawing.separate_tiles(ax, tiles, linewidth=1)
        ax.set_yticks([])
        ax.set_xticks([-far, (n - 1) / 2, n - 1 + far], ["original", "decoded path", "original"])
        ax.tick_params(length=0)

    def _groups(self) -> tuple[Groups, str]:
        groups = [("original", self.originals[:1])]
        for path, end in zip(self.paths, self.originals[1:], strict=True):
            groups += [("decoded path", path), ("original", end[None])]
        return standardised(groups, self.feature_moments)
