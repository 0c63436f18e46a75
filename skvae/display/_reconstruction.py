"""Rows beside what the model makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils import _safe_indexing

from skvae.display import _drawing

MAX_NAMED_FEATURES = 30
"""More names than this do not fit beside a heat map."""


def _dense(rows: Any) -> np.ndarray:
    """Return a matrix, of any kind that estimators take, as floats."""
    return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, dtype=float)


def _unit(estimator: Any, rows: Any) -> float:
    """Return the value of X that the estimator reads as 1: 255 for images of bytes."""
    is_bytes = getattr(rows, "dtype", None) == np.uint8
    return getattr(estimator, "unit_", 1.0) if is_bytes else 1.0


class ReconstructionDisplay:
    """Rows of X with their reconstructions: pictures, or a heat map for tables.

    Pictures stand over their reconstructions. In the heat map a row of X is a column, to
    have room for the names of the features, with the originals on the left and the
    reconstructions on the right, both in their order. Each feature has the mean and the
    standard deviation of the originals shown as its origin and unit, so that features of
    any scale are seen beside each other.

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
        The pictures, stitched into one, or the heat map.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the heat map.
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

    def __init__(
        self,
        *,
        originals: np.ndarray,
        reconstructions: np.ndarray,
        image_shape: Sequence[int] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.originals = originals
        self.reconstructions = reconstructions
        self.image_shape = image_shape
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_images: int = 10,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Reconstruct the first rows of X and plot both.

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
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

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

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_wine
        >>> from skvae import VariationalAutoencoder
        >>> from skvae.display import ReconstructionDisplay
        >>> X = load_wine(as_frame=True).data
        >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
        >>> display = ReconstructionDisplay.from_estimator(vae, X.sample(8, random_state=0))
        >>> display.originals.shape
        (8, 13)
        >>> plt.close(display.figure_)
        """
        shape = _drawing.image_shape_of(estimator, image_shape)
        rows = _safe_indexing(X, slice(0, _drawing.check_positive(n_images, "n_images")))
        display = cls(
            originals=_dense(rows) / _unit(estimator, rows),
            reconstructions=_dense(estimator.inverse_transform(estimator.transform(rows))),
            image_shape=shape,
            feature_names=getattr(estimator, "feature_names_in_", None),
        )
        return display.plot(ax, imshow_kwargs=imshow_kwargs)

    def plot(self, ax: Any = None, *, imshow_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw originals and reconstructions.

        Of pictures, black is 0 and white is 1, unless values leave that range: then black
        is the least and white the greatest of originals and reconstructions together.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        imshow_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.imshow`, over the defaults.

        Returns
        -------
        display : ReconstructionDisplay
            Itself.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skvae.display import ReconstructionDisplay
        >>> X = np.random.default_rng(0).random((5, 12))
        >>> display = ReconstructionDisplay(originals=X, reconstructions=X, image_shape=(3, 4))
        >>> display.plot(imshow_kwargs={"cmap": "gray_r"}).image_.get_array().shape
        (6, 20)
        >>> plt.close(display.figure_)
        """
        self.colorbar_: Any = None
        both = np.stack([self.originals, self.reconstructions])
        draw = self._draw_table if self.image_shape is None else self._draw_pictures
        draw(ax, both, imshow_kwargs)
        self.ax_.tick_params(length=0)
        return self

    def _draw_pictures(self, ax: Any, both: np.ndarray, imshow_kwargs: Any) -> None:
        tiles = both.reshape(*both.shape[:2], *(self.image_shape or ()))
        if ax is None:
            ax = _drawing.new_axes(figsize=_drawing.tiles_figsize(tiles, left=1.2))
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = _drawing.draw_tiles(ax, tiles, imshow_kwargs)
        _drawing.separate_tiles(ax, tiles, linewidth=2)
        ax.set_yticks([1, 0], ["original", "reconstruction"])
        ax.set_xticks([])

    def _draw_table(self, ax: Any, both: np.ndarray, imshow_kwargs: Any) -> None:
        self.ax_ = _drawing.new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        n_rows = len(self.originals)
        spread = self.originals.std(axis=0)
        scaled = (both - self.originals.mean(axis=0)) / np.where(spread > 0, spread, 1)
        most = np.abs(scaled).max()
        defaults = {"cmap": "RdBu_r", "vmin": -most, "vmax": most, "aspect": "auto"}
        self.image_ = self.ax_.imshow(np.vstack(scaled).T, **defaults | dict(imshow_kwargs or {}))
        self.colorbar_ = self.figure_.colorbar(
            self.image_, ax=self.ax_, label="standard deviations from the mean"
        )
        self.ax_.axvline(n_rows - 0.5, color="black", linewidth=1.5)
        self.ax_.set_xticks([n_rows / 2 - 0.5, 1.5 * n_rows - 0.5], ["original", "reconstruction"])
        self._name_features()

    def _name_features(self) -> None:
        n_features = self.originals.shape[1]
        if self.feature_names is None or n_features > MAX_NAMED_FEATURES:
            self.ax_.set_ylabel("feature")
        else:
            self.ax_.set_yticks(range(n_features), self.feature_names)
