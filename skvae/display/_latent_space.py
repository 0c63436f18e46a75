"""A display of the rows in the latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import clone

from skvae._numbers import real, whole
from skvae.display import _classes, _drawing
from skvae.display._model import FittedModel
from skvae.display._pair_grid import PairGrid
from skvae.display._points import Points, Spread


@dataclass(kw_only=True, eq=False, repr=False)
class LatentSpaceDisplay:
    """Scatter plot of posterior means, coloured by class or by a quantity.

    Two components are drawn as a plane, one component as a strip, and three or more as a pair grid:
    each component against each other below the diagonal, and histograms (a density for each class)
    on the diagonal. The posterior spread of the rows can be drawn around the points. A projection
    of the components can be drawn instead of the components. It is recommended to use
    :meth:`from_estimator`. All parameters are stored as attributes.

    Classes (strings, booleans, or integers with at most 20 distinct values) each have a colour and
    an entry in the legend. Any other ``y`` is a quantity with a colour bar. To choose the other
    kind, change the type of ``y``: ``y.astype(str)`` or ``y.astype(float)``. The colours of up to
    ten classes can be told apart with any kind of colour vision.

    With one component, the horizontal axis is the component. The vertical axis is ``y``: a strip of
    marks for each class, or the value of a quantity. Without ``y`` there is one strip.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_shown)
        Posterior means of the components shown, or their projection.
    components : sequence of int
        The numbers of these components, or of the components that were projected.
    y : ndarray of shape (n_samples,), default=None
        Classes or a quantity. If ``None``, all points have one colour.
    y_name : str, default=None
        Title of the legend or the colour bar.
    scale : ndarray of shape (n_samples, n_shown), default=None
        Posterior standard deviations, for ellipses.
    names : sequence of str of length n_shown, default=None
        Names of the axes. If ``None``, these are ``"component 0"`` and so on.

    Attributes
    ----------
    scatter_ : matplotlib.collections.PathCollection
        The points. In a pair grid, a list, row by row.
    ellipses_ : matplotlib.collections.Collection or None
        The posterior spread: ellipses, or lines along a strip. In a pair grid, a list.
    histograms_ : list of list of matplotlib.patches.StepPatch
        The histograms of each component in a pair grid, one for each class. Otherwise empty.
    legend_ : matplotlib.legend.Legend or None
        The legend of the classes.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of a quantity.
    ax_ : matplotlib.axes.Axes
        The axes. In a pair grid, the axes whose place the panels take.
    axes_ : ndarray of matplotlib.axes.Axes, of shape (1, 1) or (n_shown, n_shown)
        The panels. ``None`` above the diagonal.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    ManifoldDisplay : Shows pictures that are decoded from the same plane.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import LatentSpaceDisplay
    >>> iris = load_iris(as_frame=True)
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(iris.data)
    >>> species = iris.target_names[iris.target]
    >>> display = LatentSpaceDisplay.from_estimator(vae, iris.data, species)
    >>> display.Z.shape
    (150, 2)
    >>> plt.close(display.figure_)
    """

    Z: np.ndarray
    components: Sequence[int]
    y: np.ndarray | None = None
    y_name: str | None = None
    scale: np.ndarray | None = None
    names: Sequence[str] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: int | Sequence[int] | None = None,
        projection: Any = None,
        ellipses: float | None = None,
        max_ellipses: int | None = 200,
        ax: Any = None,
        scatter_kwargs: Mapping[str, Any] | None = None,
        ellipse_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Plot the rows of X in the latent space of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with ``transform``: a :class:`~skvae.VariationalAutoencoder`, or a
            pipeline that ends in one.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes or a quantity that colour the points. The name of a pandas Series is the title
            of the legend or the colour bar.
        components : int or sequence of int, default=None
            One component for strips; two for a plane, on the horizontal and the vertical axis; more
            for a pair grid, such as ``range(5)``. If ``None``, the first two are drawn, or with a
            projection all of them are projected.
        projection : transformer, default=None
            A transformer such as ``PCA(2)`` or ``TSNE()`` that reduces the posterior means of
            ``components`` to fewer columns. A clone of it is fitted with ``fit_transform``.
        ellipses : float, default=None
            Size of the ellipses that show the posterior spread of rows, in standard deviations from
            the centre. In a plane, the ellipse of one standard deviation holds 0.39 of an
            independent normal posterior, that of two holds 0.86. For a full posterior, correlations
            are not drawn. If ``None``, no ellipses are drawn.
        max_ellipses : int, default=200
            Largest number of rows that get an ellipse. If there are more rows, evenly spaced ones
            get one. ``None`` means all rows.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on; a pair grid takes their place. If ``None``, a new figure is made.
        scatter_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.scatter`. They replace the defaults.
        ellipse_kwargs : dict, default=None
            Keyword arguments for :class:`matplotlib.collections.EllipseCollection`, or with one
            component for :meth:`matplotlib.axes.Axes.hlines`. They replace the defaults.

        Returns
        -------
        display : LatentSpaceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When ``components`` are not in the model, ``y`` does not have one value for each row,
            ``ellipses`` or ``max_ellipses`` is not positive, or ellipses are asked for together
            with a projection.
        TypeError
            When ``projection`` has no ``fit_transform``, ellipses are asked for and the estimator
            has no ``posterior``, or a parameter that must be a number is not one.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        if ellipses is not None:
            _check_ellipses(ellipses, max_ellipses, projection)
            Z, scale = model.posterior(X, "which ellipses are drawn from")
        else:
            Z, scale = model.transform(X), None
        chosen = _chosen(components, Z.shape[1], projection is not None)
        y_name = None if getattr(y, "name", None) is None else str(y.name)
        y = None if y is None else _classes.labels(y, len(Z))
        Z, names = _projected(projection, Z[:, list(chosen)])
        scale = None if scale is None else scale[:, list(chosen)]
        display = cls(Z=Z, components=chosen, y=y, y_name=y_name, scale=scale, names=names)
        return display.plot(
            ax,
            ellipses=ellipses,
            max_ellipses=max_ellipses,
            scatter_kwargs=scatter_kwargs,
            ellipse_kwargs=ellipse_kwargs,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        ellipses: float | None = None,
        max_ellipses: int | None = 200,
        scatter_kwargs: Mapping[str, Any] | None = None,
        ellipse_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the points.

        The legend is placed beside the axes if the figure has a layout engine that makes room for
        it, as a new figure has. Otherwise it is placed in the upper right corner of the axes. In a
        pair grid it is placed above the diagonal.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on; a pair grid takes their place. If ``None``, a new figure is made.
        ellipses : float, default=None
            Size of the ellipses in standard deviations of the posterior, which are taken from
            ``scale``. If ``None``, no ellipses are drawn.
        max_ellipses : int, default=200
            Largest number of rows that get an ellipse. If there are more rows, evenly spaced ones
            get one. ``None`` means all rows.
        scatter_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.scatter`. They replace the defaults.
            With ``c`` or ``color`` in it there is no legend.
        ellipse_kwargs : dict, default=None
            Keyword arguments for :class:`matplotlib.collections.EllipseCollection`, or with one
            component for :meth:`matplotlib.axes.Axes.hlines`. They replace the defaults.

        Returns
        -------
        display : LatentSpaceDisplay
            The display itself.

        Raises
        ------
        ValueError
            When ellipses are asked for without a ``scale``, ``ellipses`` or ``max_ellipses`` is not
            positive, or a pair grid is to take the place of axes that are not a subplot.
        TypeError
            When ``ellipses`` is not a number, or ``max_ellipses`` is not a whole number.
        """
        self.legend_: Any = None
        self.colorbar_: Any = None
        self.ellipses_: Any = None
        self.histograms_: list[Any] = []
        spread = self._spread(ellipses, max_ellipses, ellipse_kwargs)
        points = Points(self.y, self.y_name, scatter_kwargs)
        names = self.names or [f"component {k}" for k in self.components]
        draw = {1: self._draw_strips, 2: self._draw_plane}
        draw.get(self.Z.shape[1], self._draw_grid)(ax, names, points, spread)
        self.figure_ = self.ax_.figure
        return self

    def _spread(
        self, ellipses: float | None, max_ellipses: int | None, kwargs: Mapping[str, Any] | None
    ) -> Spread | None:
        """Return what is drawn around the points."""
        if ellipses is None:
            return None
        _check_ellipses(ellipses, max_ellipses)
        if self.scale is None:
            raise ValueError(
                f"ellipses={ellipses!r}, but there is no scale to draw them from. Pass ellipses "
                "to from_estimator."
            )
        return Spread(ellipses * self.scale, max_ellipses, kwargs)

    def _draw_strips(
        self, ax: Any, names: Sequence[str], points: Points, spread: Spread | None
    ) -> None:
        """Draw one component against y."""
        self.ax_ = _drawing.new_axes(figsize=(6, 5)) if ax is None else ax
        self.axes_ = np.array([[self.ax_]])
        self.scatter_, heights = points.strips(self.ax_, self.Z[:, 0])
        if spread is not None:
            room = 0.6 * points.in_strips
            self.ellipses_ = spread.lines(self.ax_, self.scatter_, self.Z[:, 0], heights, room)
        self.ax_.set_xlabel(names[0])

    def _draw_plane(
        self, ax: Any, names: Sequence[str], points: Points, spread: Spread | None
    ) -> None:
        """Draw two components, to the same scale, as the prior knows no direction."""
        self.ax_ = _drawing.new_axes(figsize=(6, 5)) if ax is None else ax
        self.axes_ = np.array([[self.ax_]])
        self.scatter_ = points.plane(self.ax_, *self.Z.T)
        if spread is not None:
            self.ellipses_ = spread.ellipses(self.ax_, self.scatter_, self.Z, (0, 1))
        shared = [self.ax_.get_shared_x_axes(), self.ax_.get_shared_y_axes()]
        alone = any(len(group.get_siblings(self.ax_)) == 1 for group in shared)
        self.ax_.set_aspect("equal", adjustable="datalim" if alone else "box")
        self.ax_.set(xlabel=names[0], ylabel=names[1])
        self._draw_key(points, self.ax_, self.scatter_, _drawing.beside(self.ax_))

    def _draw_grid(
        self, ax: Any, names: Sequence[str], points: Points, spread: Spread | None
    ) -> None:
        """Draw each component against each."""
        grid = PairGrid(ax, self.Z, names)
        grid.draw(points, spread)
        self.ax_, self.axes_ = grid.ax, grid.axes
        self.scatter_, self.histograms_ = grid.scatters, grid.histograms
        self.ellipses_ = grid.ellipses or None
        corner = {"loc": "upper right", "frameon": False}  # above the diagonal
        self._draw_key(points, grid.ax, grid.scatters[0], corner)

    def _draw_key(self, points: Points, ax: Any, scatter: Any, place: dict[str, Any]) -> None:
        """Draw the legend of classes, or the scale of a quantity."""
        if points.keyed == "legend":
            self.legend_ = points.legend(ax, scatter, **place)
        elif points.keyed == "colorbar":
            panels = [panel for panel in self.axes_.flat if panel is not None]
            self.colorbar_ = ax.figure.colorbar(scatter, ax=panels, label=self.y_name)


def _chosen(
    components: int | Sequence[int] | None, n_components: int, projected: bool
) -> tuple[int, ...]:
    """Return the components to show, or to project."""
    if components is None:
        components = range(n_components) if projected else (0, 1)
    return _drawing.check_components(components, n_components)


def _projected(projection: Any, Z: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
    """Return fewer columns, and their names."""
    if projection is None:
        return Z, None
    if not hasattr(projection, "fit_transform"):
        raise TypeError(
            f"projection={projection!r} has no fit_transform. Pass a transformer such as PCA(2)."
        )
    Z = np.asarray(clone(projection).fit_transform(Z))
    return Z, [f"{type(projection).__name__.lower()}{k}" for k in range(Z.shape[1])]


def _check_ellipses(ellipses: float, max_ellipses: int | None, projection: Any = None) -> None:
    if not real(ellipses, "ellipses") > 0:
        raise ValueError(
            f"ellipses={ellipses!r} must be a positive number of standard deviations, or None."
        )
    if max_ellipses is not None:
        whole(max_ellipses, "max_ellipses")
    if projection is not None:
        raise ValueError(
            f"ellipses={ellipses!r} are drawn for components, but projection={projection!r} shows "
            "other axes. Leave one of them out."
        )
