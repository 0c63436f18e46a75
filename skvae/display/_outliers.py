"""A display of why rows are unusual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skvae._numbers import whole
from skvae.display import _drawing, _tiles
from skvae.display._heat_map import Groups
from skvae.display._model import FittedModel, first_rows
from skvae.display._pictures_or_heat_map import PicturesOrHeatMap


@dataclass(kw_only=True, eq=False, repr=False)
class OutlierDisplay(PicturesOrHeatMap):
    """Display of why rows are unusual: how many nats each column contributes.

    The contributions are those that ``explain`` returns. One row of a table is drawn as a bar
    chart, with the most unusual column on top. Several rows are drawn as a heat map. There, each
    row is a column of colours with its score below; red is more unusual than expected, blue less.
    Both show the columns that are most unusual in any of the rows. Pictures are drawn above a map
    of what their pixels contribute.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    originals : ndarray of shape (n_rows, n_features)
        Rows.
    nats : ndarray of shape (n_rows, n_features)
        How much each column contributes to making the row unusual.
    scores : ndarray of shape (n_rows,)
        ``decision_function`` of the rows, in nats: negative for outliers.
    image_shape : tuple of int, default=None
        Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``. If
        ``None``, the rows are a table.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the columns.

    Attributes
    ----------
    bars_ : matplotlib.container.BarContainer or None
        The bars, for one row of a table.
    image_ : matplotlib.image.AxesImage or None
        The heat map, or the pictures.
    nats_image_ : matplotlib.image.AxesImage or None
        The map of what the pixels of pictures contribute.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of the nats.
    shown_ : ndarray of int, shape (n_shown,)
        The columns of a table that are shown, the most unusual first.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    skvae.VAEOutlierDetector.explain : Computes the contributions.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_wine
    >>> from skvae import VAEOutlierDetector
    >>> from skvae.display import OutlierDisplay
    >>> X = load_wine(as_frame=True).data
    >>> X.loc[0, "hue"] = 4.0
    >>> detector = VAEOutlierDetector(random_state=0).fit(X)
    >>> display = OutlierDisplay.from_estimator(detector, X[:1])
    >>> X.columns[display.shown_[0]]
    'hue'
    >>> plt.close(display.figure_)
    """

    originals: np.ndarray
    nats: np.ndarray
    scores: np.ndarray
    image_shape: Sequence[int] | None = None
    feature_names: Sequence[str] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_rows: int = 10,
        n_features: int = 15,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        bar_kwargs: Mapping[str, Any] | None = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Explain the first rows of X and plot what each column contributes.

        Parameters
        ----------
        estimator : estimator instance
            A fitted :class:`~skvae.VAEOutlierDetector`, or a pipeline that ends in one. The columns
            shown are those that the detector gets.
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, of which the first are shown.
        n_rows : int, default=10
            Largest number of rows.
        n_features : int, default=15
            Largest number of columns of a table.
        image_shape : tuple of int, default=None
            Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``. If
            ``None``, the ``image_shape`` of the model is used; if it has none, the rows are a
            table.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        bar_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.barh`. They replace the defaults.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow` of the nats. They replace the
            defaults.

        Returns
        -------
        display : OutlierDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            When the estimator has no ``explain``, or ``n_rows`` or ``n_features`` is not a whole
            number.
        ValueError
            When the rows are not pictures of ``image_shape``, or ``n_rows`` or ``n_features`` is
            not positive.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        if not hasattr(model.last, "explain"):
            raise TypeError(
                f"estimator is a {type(model.last).__name__}, which has no explain. Pass a fitted "
                "VAEOutlierDetector, or a pipeline that ends in one."
            )
        rows = model.encode(first_rows(X, whole(n_rows, "n_rows")))
        display = cls(
            originals=model.floats(rows),
            nats=model.last.explain(rows),
            scores=model.last.decision_function(rows),
            image_shape=model.image_shape(image_shape),
            feature_names=getattr(model.last, "feature_names_in_", None),
        )
        return display.plot(
            ax, n_features=n_features, bar_kwargs=bar_kwargs, imshow_kwargs=imshow_kwargs
        )

    def plot(
        self,
        ax: Any = None,
        *,
        n_features: int = 15,
        bar_kwargs: Mapping[str, Any] | None = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw what the columns contribute.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        n_features : int, default=15
            Largest number of columns of a table.
        bar_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.barh`. They replace the defaults.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow` of the nats. They replace the
            defaults.

        Returns
        -------
        display : OutlierDisplay
            The display itself.

        Raises
        ------
        ValueError, TypeError
            When ``n_features`` is not a positive whole number.
        """
        strangest = np.argsort(-self.nats.max(0), kind="stable")
        self.shown_ = strangest[: whole(n_features, "n_features")]
        self.bars_: Any = None
        self.image_: Any = None
        self.nats_image_: Any = None
        if self.image_shape is None and len(self.nats) == 1:
            return self._draw_bars(ax, bar_kwargs)
        self._draw(ax, imshow_kwargs)
        if self.image_shape is None:
            self._name_scores()
        return self

    @property
    def _names(self) -> list[str]:
        names = self.feature_names
        return [f"x{k}" if names is None else str(names[k]) for k in self.shown_]

    def _draw_bars(self, ax: Any, bar_kwargs: Mapping[str, Any] | None) -> Self:
        from matplotlib.patches import Rectangle

        n = len(self.shown_)
        if ax is None:
            ax = _drawing.new_axes(figsize=(6.4, float(np.clip(0.25 * n + 1, 2, 8))))
        nats = self.nats[0, self.shown_]
        colours = np.where(nats > 0, _drawing.PALETTE[2], _drawing.PALETTE[0]).tolist()
        kwargs = {"color": colours} | _drawing.canonical(bar_kwargs, Rectangle)
        self.bars_ = ax.barh(range(n), nats, **kwargs)
        values = [_drawing.number(value) for value in self.originals[0, self.shown_]]
        labels = [f"{name} = {value}" for name, value in zip(self._names, values, strict=True)]
        ax.set_yticks(range(n), labels)
        ax.invert_yaxis()
        ax.axvline(0, color="black", linewidth=0.8)
        ax.grid(False)
        ax.set(xlabel="nats", title=f"{_drawing.number(self.scores[0])} nats from the threshold")
        self.ax_, self.figure_, self.colorbar_ = ax, ax.figure, None
        return self

    def _draw(self, ax: Any, imshow_kwargs: Mapping[str, Any] | None, **options: Any) -> Self:
        named = self.feature_names
        try:
            # The heat map is one of the columns shown.
            self.feature_names = self._names if self.image_shape is None else named
            return super()._draw(ax, imshow_kwargs, **options)
        finally:
            self.feature_names = named

    def _groups(self, **_: Any) -> tuple[Groups, str]:
        return [("", self.nats[:, self.shown_])], "nats"

    def _name_scores(self) -> None:
        self.ax_.set_xticks(range(len(self.scores)), [_drawing.number(s) for s in self.scores])
        self.ax_.set_xlabel("nats from the threshold, negative for outliers")

    def _draw_pictures(self, ax: Any, imshow_kwargs: Any) -> None:
        tiles, nats = self._tiles(self.originals[np.newaxis]), self._tiles(self.nats[np.newaxis])
        if nats.ndim == 5:
            nats = nats.sum(-1)
        ax = _tiles.tile_axes(ax, 2 + _tiles.GAP, tiles.shape[1], tiles, left=1.0, below=0.3)
        self.image_ = _tiles.draw_tiles(ax, tiles, None)
        most = float(np.abs(nats).max()) or 1.0
        kwargs = {"cmap": _drawing.SIGNED} | dict(imshow_kwargs or {})
        place: dict[str, Any] = {"limits": (-most, most), "corner": (0, -1 - _tiles.GAP)}
        self.nats_image_ = _tiles.draw_tiles(ax, nats, kwargs, **place)
        beside = ax.inset_axes([1.01, 0, 0.012, 1 / (2 + _tiles.GAP)])
        end = _drawing.round_below(self.nats_image_.get_clim()[1])
        self.colorbar_ = ax.figure.colorbar(
            self.nats_image_, cax=beside, ticks=[-end, end], format="{x:+.3g}"
        )
        beside.tick_params(labelsize="small", length=2)
        ax.set_yticks([0, -1 - _tiles.GAP], ["row", "nats"])
        ax.set_xticks(range(len(self.scores)), [_drawing.number(s) for s in self.scores])
        ax.set_xlabel("nats from the threshold, negative for outliers")
        ax.tick_params(length=0)
