"""A display of what each component does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skvae._numbers import whole
from skvae.display import _drawing, _tiles
from skvae.display._heat_map import Groups
from skvae.display._model import FittedModel
from skvae.display._pictures_or_heat_map import PicturesOrHeatMap


@dataclass(kw_only=True, eq=False, repr=False)
class TraversalDisplay(PicturesOrHeatMap):
    """Decoded rows for which one component changes and the others stay at a base point.

    There is a row of pictures for each component, beginning with the one that has the largest KL.
    For a table, there is a heat map with a group of columns for each component, which shows how far
    each feature is from its value at the base point. It is recommended to use
    :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    rows : ndarray of shape (n_shown, n, n_features)
        Decoded rows: ``rows[i, j]`` where component ``components[i]`` is ``values[i, j]``.
    values : ndarray of shape (n_shown, n)
        Latent values of each component, ascending.
    components : ndarray of shape (n_shown,)
        The numbers of these components.
    kl : ndarray of shape (n_shown,)
        KL of the components in nats, averaged over rows.
    base : ndarray of shape (n_components,)
        The base point: the latent values of the components that do not change.
    base_row : ndarray of shape (n_features,)
        The base point, decoded.
    levels : ndarray of shape (n,), default=None
        The quantiles at which ``values`` lie. ``None`` means that ``values`` are equally spaced.
    image_shape : tuple of int, default=None
        Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``. If
        ``None``, a heat map is drawn.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the features, for the heat map.
    feature_scale : ndarray of shape (n_features,), default=None
        The unit of each feature in the heat map. If ``None``, these are the units of X.

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
    ComponentDisplay : Shows how much each component carries.
    ManifoldDisplay : Shows two components at once.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import TraversalDisplay
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(4, image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    >>> display = TraversalDisplay.from_estimator(vae, X, x=X[0], n=7)
    >>> display.rows.shape
    (4, 7, 64)
    >>> plt.close(display.figure_)
    """

    rows: np.ndarray
    values: np.ndarray
    components: np.ndarray
    kl: np.ndarray
    base: np.ndarray
    base_row: np.ndarray
    levels: np.ndarray | None = None
    image_shape: Sequence[int] | None = None
    feature_names: Sequence[str] | None = None
    feature_scale: np.ndarray | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n: int = 11,
        n_components: int = 10,
        x: Any = None,
        z: Any = None,
        quantile_range: Sequence[float] = (0.02, 0.98),
        linear_range: float | Sequence[float] | None = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        imshow_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Change one component after the other, decode the points, and plot them.

        Parameters
        ----------
        estimator : estimator instance
            A fitted :class:`~skvae.VariationalAutoencoder`, or a pipeline that ends in one.
        X : array-like or sparse matrix of shape (n_samples, n_features), default=None
            Rows whose posterior means define the quantiles. If ``None``, quantiles of the prior are
            used.
        n : int, default=11
            Number of values of each component.
        n_components : int, default=10
            Largest number of components to show. Those with the largest KL are shown.
        x : array-like of shape (n_features,) or (1, n_features), default=None
            A row of X whose posterior mean is the base point.
        z : array-like of shape (n_components,), default=None
            The base point itself. If neither ``z`` nor ``x`` is given, the base point is the median
            of the prior, which is the origin for a standard normal prior.
        quantile_range : pair of float, default=(0.02, 0.98)
            The values lie at equally spaced quantiles from the first number to the second.
        linear_range : float or pair of float, default=None
            If given, it replaces ``quantile_range``: the values are equally spaced from the first
            number to the second, or from minus the number to the number.
        image_shape : tuple of int, default=None
            Shape of a decoded row as a picture: ``(height, width)`` or
            ``(height, width, channels)``; one entry may be −1. If ``None``, the ``image_shape`` of
            the estimator is used; if it has none, the rows are a table.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : TraversalDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When the rows are not pictures of ``image_shape``, ``n`` or ``n_components`` is not
            positive, a range does not ascend (for ``quantile_range``, between 0 and 1), ``x`` is
            not one row, ``z`` is not one point, or both are given.
        TypeError
            When the estimator has no ``kl_per_component_``, or a parameter that must be a number is
            not one.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        kl = np.asarray(model.attribute("kl_per_component_", "which rows are sorted by"))
        shape = model.image_shape(image_shape)
        order = np.argsort(-kl, kind="stable")
        order = order[: whole(n_components, "n_components")]
        values = _drawing.latent_values(n, quantile_range, linear_range, _quantiles_of(model, X))
        values = np.broadcast_to(values, (len(kl), values.shape[1]))[order]
        base = _base(model, x, z)
        Z = np.tile(base, (*values.shape, 1))
        for i, k in enumerate(order):
            Z[i, :, k] = values[i]
        decoded = model.inverse_transform(np.vstack([base, Z.reshape(-1, len(kl))]))
        display = cls(
            rows=decoded[1:].reshape(*values.shape, -1),
            values=values,
            components=order,
            kl=kl[order],
            base=base,
            base_row=decoded[0],
            levels=None if linear_range is not None else _drawing.levels(n, quantile_range),
            image_shape=shape,
            feature_names=model.feature_names,
            feature_scale=model.feature_moments()[1] if shape is None else None,
        )
        return display.plot(ax, imshow_kwargs=imshow_kwargs)

    def plot(self, ax: Any = None, *, imshow_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the decoded rows.

        In pictures, black is 0 and white is 1. If values lie outside of this range, black is the
        smallest and white the largest value. In the heat map, a feature that falls is blue, and one
        that rises is red.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        imshow_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.imshow`. They replace the defaults.

        Returns
        -------
        display : TraversalDisplay
            The display itself.
        """
        self._draw(ax, imshow_kwargs)
        if self.image_shape is None:
            self._name_groups()
        return self

    def _draw_pictures(self, ax: Any, imshow_kwargs: Any) -> None:
        n_shown, n = self.values.shape
        tiles = self._tiles(self.rows)
        ax = _tiles.tile_axes(ax, n_shown, n, tiles, left=1.8, below=0.5)
        self.image_ = _tiles.draw_tiles(ax, tiles, imshow_kwargs)
        _tiles.separate_tiles(ax, tiles, linewidth=1)
        named = zip(self.components, self.kl, strict=True)
        names = [f"component {k}, {kl:.2f} nats" for k, kl in named]
        ax.set_yticks(range(n_shown)[::-1], names)
        ax.tick_params(axis="y", length=0)
        name, values = self._columns()
        ax.set_xlabel(f"{name} of the component")
        ax.set_xticks(*(([], []) if values is None else _drawing.value_ticks(values)))

    def _groups(self) -> tuple[Groups, str]:
        unit = 1.0 if self.feature_scale is None else self.feature_scale
        changes = (self.rows - self.base_row) / unit
        names = [f"{k}\n{kl:.2f}" for k, kl in zip(self.components, self.kl, strict=True)]
        label = "change of the feature" + ", standard deviations" * (self.feature_scale is not None)
        return list(zip(names, changes, strict=True)), label

    def _name_groups(self) -> None:
        span, values = self._columns()
        if values is not None:
            span += f" from {_drawing.number(values[0])} to {_drawing.number(values[-1])}"
        self.image_.axes.set_xlabel(f"component, its KL in nats; {span}")

    def _columns(self) -> tuple[str, np.ndarray | None]:
        """Return what the columns are, and what they are for every component alike."""
        if (self.values == self.values[:1]).all():
            return "value", self.values[0]
        return ("ascending values", None) if self.levels is None else ("quantile", self.levels)


def _quantiles_of(model: FittedModel, X: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return the quantiles of every component in the prior, or in the posterior means of X."""
    if X is None:
        return model.prior_quantiles
    Z = model.transform(X)
    return lambda levels: np.quantile(Z, levels, axis=0).T


def _base(model: FittedModel, x: Any, z: Any) -> np.ndarray:
    """Return the base point."""
    if x is not None and z is not None:
        raise ValueError("x and z are both given. Pass a row or a latent point.")
    if x is not None:
        if hasattr(x, "to_frame"):  # a row of a data frame, whose names belong to it
            x = x.to_frame().T.infer_objects()
        base = model.transform(np.asarray(x)[None] if np.ndim(x) == 1 else x)
        if len(base) != 1:
            raise ValueError(f"x holds {len(base)} rows. Pass one, such as X[:1].")
        return base[0]
    if z is None:
        return model.prior_quantiles(np.array([0.5]))[:, 0]
    base = np.asarray(z, dtype=float)
    if base.shape != (model.n_components,):
        raise ValueError(
            f"z has shape {base.shape}, but the model has {model.n_components} components. Pass "
            "a value for each."
        )
    return base
