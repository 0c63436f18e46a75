"""Where the rows lie in the latent space."""

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

    Two components are a plane; one component is a strip; three or more are a pair grid, each
    against each below the diagonal, histograms (a density for each class) on it. The posterior
    spread of the rows can be drawn around them, and a projection takes the place of components.
    It is recommended to use :meth:`from_estimator`. All parameters are stored as attributes.

    Classes (strings, booleans, or integers of at most 20 distinct values) have a colour
    and a legend entry each; any other ``y`` is a quantity with a colour bar. Change the
    type of ``y`` to have the other: ``y.astype(str)``, ``y.astype(float)``. Up to ten
    classes have colours that are told apart with any colour vision.

    With one component the horizontal axis is the component and the vertical axis is
    ``y``: a strip of marks for each class, the value of a quantity, or one strip.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_shown)
        Posterior means of the components shown, or what a projection makes of them.
    components : sequence of int
        Which components they are, or were made of.
    y : ndarray of shape (n_samples,), default=None
        Classes or a quantity. ``None``: one colour.
    y_name : str, default=None
        What ``y`` is, for the legend or the colour bar.
    scale : ndarray of shape (n_samples, n_shown), default=None
        Posterior standard deviations, for ellipses.
    names : sequence of str of length n_shown, default=None
        Of the axes. ``None``: ``"component 0"`` and so on.

    Attributes
    ----------
    scatter_ : matplotlib.collections.PathCollection
        The points; a list, row by row, in a pair grid.
    ellipses_ : matplotlib.collections.Collection or None
        The posterior spread: ellipses, or lines along a strip; a list in a pair grid.
    histograms_ : list of list of matplotlib.patches.StepPatch
        Those of each component in a pair grid, for each class; else empty.
    legend_ : matplotlib.legend.Legend or None
        The legend of the classes.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of a quantity.
    ax_ : matplotlib.axes.Axes
        The axes; in a pair grid those whose place the panels take.
    axes_ : ndarray of matplotlib.axes.Axes, of shape (1, 1) or (n_shown, n_shown)
        The panels; ``None`` above the diagonal.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    ManifoldDisplay : What the decoder makes of the same plane.

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
        """Plot where a fitted estimator puts the rows of X.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``transform``: a :class:`~skvae.VariationalAutoencoder`, or a
            pipeline that ends in one.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes or a quantity to colour them by. The name of a pandas Series is the
            title of the legend or colour bar.
        components : int or sequence of int, default=None
            One for strips; two for a plane, along the horizontal and the vertical axis; more
            for a pair grid, such as ``range(5)``. ``None``: the first two, or with a
            projection all.
        projection : transformer, default=None
            Makes fewer columns of the posterior means of ``components``: a clone of it is
            fitted to them by ``fit_transform``, such as ``PCA(2)`` or ``TSNE()``.
        ellipses : float, default=None
            Draw the posterior spread of rows: axes of the ellipse are so many standard
            deviations from its middle. In a plane, one standard deviation of an independent
            normal posterior holds 0.39 of it, two 0.86. Those of a full posterior are drawn
            without their correlation. ``None``: none.
        max_ellipses : int, default=200
            Rows that have one, at most: of more, evenly spaced ones. ``None``: all rows.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; a pair grid takes its place. ``None``: a new figure.
        scatter_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.scatter`, over the defaults.
        ellipse_kwargs : dict, default=None
            For :class:`matplotlib.collections.EllipseCollection`, or
            :meth:`matplotlib.axes.Axes.hlines` with one component, over the defaults.

        Returns
        -------
        display : LatentSpaceDisplay
            Drawn.

        Raises
        ------
        ValueError
            When ``components`` are not in the model, ``y`` is not one value for each row,
            ``ellipses`` or ``max_ellipses`` is not positive, or there are ellipses and a
            projection, which has none.
        TypeError
            When ``projection`` has no ``fit_transform``, there are ellipses and the estimator
            has no ``posterior``, or what should be a number is not.
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

        The legend stands beside axes whose figure has a layout engine that makes room for
        it, as a new figure has, and else in their upper right corner; above the diagonal of a
        pair grid.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; a pair grid takes its place. ``None``: a new figure.
        ellipses : float, default=None
            Standard deviations of the posterior to draw, from ``scale``. ``None``: none.
        max_ellipses : int, default=200
            Rows that have one, at most: of more, evenly spaced ones. ``None``: all rows.
        scatter_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.scatter`, over the defaults. With ``c`` or
            ``color`` in it there is no legend.
        ellipse_kwargs : dict, default=None
            For :class:`matplotlib.collections.EllipseCollection`, or
            :meth:`matplotlib.axes.Axes.hlines` with one component, over the defaults.

        Returns
        -------
        display : LatentSpaceDisplay
            Itself.

        Raises
        ------
        ValueError
            When there is no ``scale`` for ``ellipses``, these or ``max_ellipses`` are not
            positive, or a pair grid shall take the place of axes that are not a subplot.
        TypeError
            When ``ellipses`` or ``max_ellipses`` is not a number, or not a whole one.
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
            f"ellipses={ellipses!r} belong to components, and projection={projection!r} shows "
            "none. Leave one of them out."
        )
