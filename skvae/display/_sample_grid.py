"""New rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from skvae.display import _drawing
from skvae.display._heat_map import draw_heat_map
from skvae.display._model import FittedModel


class SampleGridDisplay:
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

    def __init__(
        self,
        *,
        samples: np.ndarray,
        nearest: np.ndarray | None = None,
        image_shape: Sequence[int] | None = None,
        feature_names: Sequence[str] | None = None,
        feature_moments: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.samples = samples
        self.nearest = nearest
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.feature_moments = feature_moments

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

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_wine
        >>> from skvae import VariationalAutoencoder
        >>> from skvae.display import SampleGridDisplay
        >>> X = load_wine(as_frame=True).data
        >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
        >>> display = SampleGridDisplay.from_estimator(vae, n_samples=20, mean=False)
        >>> display.samples.shape
        (20, 13)
        >>> plt.close(display.figure_)
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

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skvae.display import SampleGridDisplay
        >>> samples = np.random.default_rng(0).random((6, 12))
        >>> display = SampleGridDisplay(samples=samples, image_shape=(3, 4)).plot(n_columns=3)
        >>> display.image_.get_array().shape
        (6, 12)
        >>> plt.close(display.figure_)
        """
        self.colorbar_: Any = None
        n_columns = _drawing.check_positive(n_columns, "n_columns")
        if self.image_shape is None:
            self._draw_table(ax, imshow_kwargs)
        else:
            self._draw_pictures(ax, min(n_columns, len(self.samples)), imshow_kwargs)
        self.ax_ = self.image_.axes
        self.figure_ = self.ax_.figure
        self.ax_.tick_params(length=0)
        return self

    def _draw_pictures(self, ax: Any, n_columns: int, imshow_kwargs: Any) -> None:
        kinds = [self.samples] if self.nearest is None else [self.samples, self.nearest]
        grids = [self._grid(rows, n_columns) for rows in kinds]
        tiles = np.stack(grids, axis=1).reshape(-1, *grids[0].shape[1:])
        left = 0.1 if self.nearest is None else 0.9
        ax = _drawing.tile_axes(ax, len(tiles), n_columns, tiles, left=left)
        self.image_ = _drawing.draw_tiles(ax, tiles, imshow_kwargs)
        _drawing.separate_tiles(ax, tiles, linewidth=1)
        ax.set(xticks=[], yticks=[])
        if self.nearest is not None:
            names = ["nearest row", "sample"] * len(grids[0])
            ax.set_yticks(range(len(tiles)), names)
            for y in range(2, len(tiles), 2):
                ax.axhline(y - 0.5, color="white", linewidth=5)

    def _grid(self, rows: np.ndarray, n_columns: int) -> np.ndarray:
        """Return pictures in a grid; what is left of its last row is NaN."""
        blank = np.full((-len(rows) % n_columns, rows.shape[1]), np.nan)
        return np.vstack([rows, blank]).reshape(-1, n_columns, *(self.image_shape or ()))

    def _draw_table(self, ax: Any, imshow_kwargs: Any) -> None:
        middle, unit = self.feature_moments or (0.0, 1.0)
        groups = [("sample", (self.samples - middle) / unit)]
        if self.nearest is not None:
            groups.append(("nearest row", (self.nearest - middle) / unit))
        label = "standard deviations from the mean" if self.feature_moments else "value"
        self.image_, self.colorbar_ = draw_heat_map(
            ax, groups, label, self.feature_names, imshow_kwargs
        )


def _nearest(
    samples: np.ndarray, rows: np.ndarray, moments: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """Return the nearest row to each sample, features in their standard deviations."""
    unit = 1.0 if moments is None else moments[1]
    return rows[pairwise_distances_argmin(samples / unit, rows / unit)]
