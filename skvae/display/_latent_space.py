"""Where the rows lie in the latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils import column_or_1d

from skvae.display import _drawing

MAX_INTEGER_CLASSES = 20
"""Integers with more distinct values than this are a quantity."""

LEGEND_ROWS = 14
MAX_LEGEND = 3 * LEGEND_ROWS
"""A legend of more entries leaves no room for the points, and colours no difference."""


def _labels(y: Any, n_samples: int) -> np.ndarray:
    """Return y as an array of one dimension and one type, checked against the rows."""
    y = np.asarray(y)
    if y.dtype == object:  # as pandas' nullable types; lists tell numpy what is in them
        y = np.array(y.tolist())
    y = column_or_1d(y)
    if len(y) != n_samples:
        raise ValueError(
            f"y has {len(y)} values, but X has {n_samples} rows. Pass the y of these rows, "
            "or y=None for one colour."
        )
    return y.astype(str) if y.dtype == object else y  # str sorts with None among the labels


def _classes(y: np.ndarray) -> np.ndarray | None:
    """Return the distinct classes, or ``None`` for a quantity."""
    if y.dtype.kind not in "bUSTiu":
        return None
    classes = np.unique(y)
    few = len(classes) <= MAX_INTEGER_CLASSES
    return classes if few or y.dtype.kind not in "iu" else None


def _class_colours(n_classes: int) -> Any:
    """Return a colour map of as many colours."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    if n_classes > len(_drawing.PALETTE):
        return matplotlib.colormaps["turbo"].resampled(n_classes)
    return ListedColormap(_drawing.PALETTE[:n_classes])


class LatentSpaceDisplay:
    """Scatter plot of posterior means, coloured by class or by a quantity.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Classes (strings, booleans, or integers of at most 20 distinct values) have a colour
    and a legend entry each; any other ``y`` is a quantity with a colour bar. Change the
    type of ``y`` to have the other: ``y.astype(str)``, ``y.astype(float)``. Up to ten
    classes have colours that are told apart with any colour vision.

    With one component the horizontal axis is the component and the vertical axis is
    ``y``: a strip of marks for each class, the value of a quantity, or one strip.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, 1) or (n_samples, 2)
        Posterior means of the components shown.
    components : sequence of int
        Which components they are.
    y : ndarray of shape (n_samples,), default=None
        Classes or a quantity. ``None``: one colour.
    y_name : str, default=None
        What ``y`` is, for the legend or the colour bar.

    Attributes
    ----------
    scatter_ : matplotlib.collections.PathCollection
        The points.
    legend_ : matplotlib.legend.Legend or None
        The legend of the classes.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        The scale of a quantity.
    ax_ : matplotlib.axes.Axes
        The axes.
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

    def __init__(
        self,
        *,
        Z: np.ndarray,
        components: Sequence[int],
        y: np.ndarray | None = None,
        y_name: str | None = None,
    ) -> None:
        self.Z = Z
        self.components = components
        self.y = y
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: int | Sequence[int] = (0, 1),
        ax: Any = None,
        scatter_kwargs: Mapping[str, Any] | None = None,
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
        components : int or pair of int, default=(0, 1)
            Components along the horizontal and the vertical axis; one for strips. A model
            of one component needs none.
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        scatter_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.scatter`, over the defaults.

        Returns
        -------
        display : LatentSpaceDisplay
            Drawn.

        Raises
        ------
        ValueError
            When ``components`` are not in the model or ``y`` is not one value for each row.
        NotFittedError
            When the estimator is not fitted.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_diabetes
        >>> from skvae import VariationalAutoencoder
        >>> from skvae.display import LatentSpaceDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> vae = VariationalAutoencoder(n_components=3, max_epochs=5, random_state=0).fit(X)
        >>> display = LatentSpaceDisplay.from_estimator(
        ...     vae, X, y, components=(0, 2), scatter_kwargs={"cmap": "cividis"}
        ... )
        >>> display.ax_.get_ylabel()
        'component 2'
        >>> plt.close(display.figure_)
        """
        Z = np.asarray(estimator.transform(X))
        components = _drawing.check_components(components, Z.shape[1])
        name = None if getattr(y, "name", None) is None else str(y.name)
        y = None if y is None else _labels(y, len(Z))
        display = cls(Z=Z[:, list(components)], components=components, y=y, y_name=name)
        return display.plot(ax, scatter_kwargs=scatter_kwargs)

    def plot(self, ax: Any = None, *, scatter_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the points.

        The legend stands beside axes whose figure has a layout engine that makes room for
        it, as a new figure has, and else in their upper right corner.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw. ``None``: a new figure.
        scatter_kwargs : dict, default=None
            For :meth:`matplotlib.axes.Axes.scatter`, over the defaults. With ``c`` or
            ``color`` in it there is no legend.

        Returns
        -------
        display : LatentSpaceDisplay
            Itself.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> import numpy as np
        >>> from skvae.display import LatentSpaceDisplay
        >>> Z = np.random.default_rng(0).normal(size=(50, 2))
        >>> display = LatentSpaceDisplay(Z=Z, components=(0, 1)).plot()
        >>> plt.close(display.figure_)
        """
        given = self._given(scatter_kwargs)
        classes = None if self.y is None else _classes(self.y)
        self.ax_ = _drawing.new_axes(figsize=(6, 5)) if ax is None else ax
        self.figure_ = self.ax_.figure
        self.legend_: Any = None
        self.colorbar_: Any = None
        draw = self._draw_strips if self.Z.shape[1] == 1 else self._draw_plane
        draw(classes, self._colours(classes), given)
        self.ax_.set_xlabel(f"component {self.components[0]}")
        return self

    def _given(self, scatter_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
        from matplotlib.collections import PathCollection

        given = _drawing.canonical(scatter_kwargs, PathCollection)
        if "color" in given:  # scatter refuses it beside c
            given["c"] = given.pop("color")
        return given

    def _colours(self, classes: np.ndarray | None) -> dict[str, Any]:
        """Return the keywords that colour the points."""
        if self.y is None:
            return {"c": _drawing.PALETTE[0]}
        if classes is None:
            return {"c": self.y, "cmap": "viridis"}
        return {"c": np.searchsorted(classes, self.y), "cmap": _class_colours(len(classes))}

    def _draw_plane(
        self, classes: np.ndarray | None, colours: dict[str, Any], given: dict[str, Any]
    ) -> None:
        """Draw two components, to the same scale, as the prior knows no direction."""
        size = np.clip(20_000 / len(self.Z), 1, 30)
        defaults = {"s": size, "alpha": 0.8, "linewidth": 0.2} | colours
        self.scatter_ = self.ax_.scatter(*self.Z.T, **_merged(defaults, given))
        shared = [self.ax_.get_shared_x_axes(), self.ax_.get_shared_y_axes()]
        alone = any(len(group.get_siblings(self.ax_)) == 1 for group in shared)
        self.ax_.set_aspect("equal", adjustable="datalim" if alone else "box")
        self.ax_.set_ylabel(f"component {self.components[1]}")
        if "c" in given or self.y is None:
            return
        if classes is None:
            self.colorbar_ = self.figure_.colorbar(self.scatter_, ax=self.ax_, label=self.y_name)
        elif len(classes) <= MAX_LEGEND:
            self._draw_legend(classes)

    def _draw_legend(self, classes: np.ndarray) -> None:
        beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}
        roomy = self.figure_.get_layout_engine() is not None
        handles, _ = self.scatter_.legend_elements(num=None, alpha=1, markeredgewidth=0)
        self.legend_ = self.ax_.legend(
            handles,
            [str(name) for name in classes],
            title=self.y_name,
            fontsize="medium" if roomy else "small",
            handletextpad=0.1,
            ncols=-(-len(classes) // LEGEND_ROWS),
            **beside if roomy else {"loc": "upper right"},
        )

    def _draw_strips(
        self, classes: np.ndarray | None, colours: dict[str, Any], given: dict[str, Any]
    ) -> None:
        """Draw one component against y."""
        defaults = {"s": 200, "alpha": 0.4, "linewidth": 0.6, "marker": "|"} | colours
        heights = np.zeros(len(self.Z)) if self.y is None else colours["c"]
        if self.y is not None and classes is None:
            defaults |= {"s": 20, "marker": "o"}
        self.scatter_ = self.ax_.scatter(self.Z[:, 0], heights, **_merged(defaults, given))
        if self.y is None:
            self.ax_.set_yticks([])
        elif classes is not None:
            self.ax_.set_yticks(range(len(classes)), [str(name) for name in classes])
        self.ax_.set_ylabel(self.y_name or ("" if self.y is None else "y"))


def _merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of scatter: a colour of the user's needs no colour map of ours."""
    if "c" in given:
        defaults.pop("cmap", None)
    return defaults | given
