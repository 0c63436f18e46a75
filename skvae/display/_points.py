"""Rows as points: what colours them, the posterior spread around them, a grid of panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from skvae.display import _drawing

MAX_INTEGER_CLASSES = 20
"""Integers with more distinct values than this are a quantity."""

N_BINS = 30
"""Of the histograms in a pair grid."""

LEGEND_ROWS = 14
MAX_LEGEND = 3 * LEGEND_ROWS
"""A legend of more entries leaves no room for the points, and colours no difference."""


def labels(y: Any, n_samples: int) -> np.ndarray:
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


def classes_of(y: np.ndarray | None) -> np.ndarray | None:
    """Return the distinct classes, or ``None`` for a quantity and for nothing."""
    if y is None or y.dtype.kind not in "bUSTiu":
        return None
    classes = np.unique(y)
    few = len(classes) <= MAX_INTEGER_CLASSES
    return classes if few or y.dtype.kind not in "iu" else None


def colours_of(y: np.ndarray | None, classes: np.ndarray | None) -> dict[str, Any]:
    """Return the keywords of scatter that colour the points."""
    if y is None:
        return {"c": _drawing.PALETTE[0]}
    if classes is None:
        return {"c": y, "cmap": "viridis"}
    return {"c": np.searchsorted(classes, y), "cmap": _class_colours(len(classes))}


def _class_colours(n_classes: int) -> Any:
    """Return a colour map of as many colours."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    if n_classes > len(_drawing.PALETTE):
        return matplotlib.colormaps["turbo"].resampled(n_classes)
    return ListedColormap(_drawing.PALETTE[:n_classes])


class Points:
    """Points of one style, for any number of axes; y is classes, a quantity or nothing."""

    def __init__(
        self, y: np.ndarray | None, y_name: str | None, scatter_kwargs: Mapping[str, Any] | None
    ) -> None:
        from matplotlib.collections import PathCollection

        self.y, self.y_name = y, y_name
        self.classes = classes_of(y)
        self.given = _drawing.canonical(scatter_kwargs, PathCollection)
        if "color" in self.given:  # scatter refuses it beside c
            self.given["c"] = self.given.pop("color")
        self.colours = colours_of(y, self.classes)

    @property
    def keyed(self) -> str | None:
        """What tells the colours: ``"legend"``, ``"colorbar"`` or nothing."""
        if "c" in self.given or self.y is None:
            return None
        if self.classes is None:
            return "colorbar"
        return "legend" if len(self.classes) <= MAX_LEGEND else None

    def scatter(self, ax: Any, x: np.ndarray, y: np.ndarray, **defaults: Any) -> Any:
        """Draw the points; return the collection."""
        colours = {} if "c" in self.given else self.colours
        return ax.scatter(x, y, **defaults | colours | self.given)

    def plane(self, ax: Any, x: np.ndarray, y: np.ndarray, area: float = 1.0) -> Any:
        """Draw points that leave the density visible, however many; areas on a smaller panel."""
        size = area * np.clip(20_000 / len(x), 1, 30)
        alpha = np.clip(8_000 / len(x), 0.3, 0.8)
        return self.scatter(ax, x, y, s=size, alpha=alpha, linewidth=0.2)

    @property
    def in_strips(self) -> bool:
        """Whether points of one component lie side by side, as those of a class."""
        return self.y is None or self.classes is not None

    def strips(self, ax: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """Draw one component against y; return the collection and the heights."""
        if self.y is None:
            heights, style = np.zeros(len(x)), {"s": 200, "marker": "|"}
            ax.set_yticks([])
        elif self.classes is None:
            heights, style = self.y, {"s": 20, "marker": "o"}
        else:
            heights, style = self.colours["c"], {"s": 200, "marker": "|"}
            ax.set_yticks(range(len(self.classes)), [str(name) for name in self.classes])
        ax.set_ylabel(self.y_name or ("" if self.y is None else "y"))
        return self.scatter(ax, x, heights, alpha=0.4, linewidth=0.6, **style), heights

    def groups(self, scatter: Any) -> list[tuple[Any, np.ndarray | slice]]:
        """Return the colour in a scatter plot and the rows of each class, or of all rows."""
        if self.keyed == "legend" and self.classes is not None:
            codes = self.colours["c"]
            return [(scatter.to_rgba(k), codes == k) for k in range(len(self.classes))]
        scatter.update_scalarmappable()  # else known when drawn
        colours = np.unique(scatter.get_facecolors()[:, :3], axis=0)
        return [(colours[0] if len(colours) == 1 else _drawing.PALETTE[0], slice(None))]

    def legend(self, ax: Any, scatter: Any, **place: Any) -> Any:
        """Draw an entry for each class; return the legend."""
        handles, _ = scatter.legend_elements(num=None, alpha=1, markeredgewidth=0, markersize=6)
        names = [str(name) for name in self.classes] if self.classes is not None else []
        columns = -(-len(names) // LEGEND_ROWS)
        style: dict[str, Any] = {"title": self.y_name, "handletextpad": 0.1, "ncols": columns}
        return ax.legend(handles, names, **style | place)


class Spread:
    """The posterior spread of some rows: how far it reaches along each component.

    Of more rows than ``most``, evenly spaced ones are drawn.
    """

    def __init__(
        self, radius: np.ndarray, most: int | None, kwargs: Mapping[str, Any] | None
    ) -> None:
        n = len(radius)
        self.radius = radius
        self.rows = np.linspace(0, n - 1, min(most or n, n)).round().astype(int)
        self.kwargs = kwargs

    def ellipses(self, ax: Any, scatter: Any, Z: np.ndarray, pair: Sequence[int]) -> Any:
        """Draw an ellipse around points of two components, in the colours of the points."""
        from matplotlib.collections import EllipseCollection

        given = _drawing.canonical(self.kwargs, EllipseCollection)
        if "color" in given:  # it would fill them
            given["edgecolor"] = given.pop("color")
        colours = self._colours(scatter, len(Z))
        style = {"facecolor": "none", "edgecolor": colours, "linewidth": 0.7, "alpha": 0.6}
        centres, radius = Z[self.rows][:, pair], self.radius[self.rows][:, pair]
        drawn = EllipseCollection(
            widths=2 * radius[:, 0],
            heights=2 * radius[:, 1],
            angles=np.zeros(len(radius)),
            units="xy",
            offsets=centres,
            offset_transform=ax.transData,
            **style | given,
        )
        ax.add_collection(drawn, autolim=False)
        ax.update_datalim(np.vstack([centres - radius, centres + radius]))
        ax.autoscale_view()
        return drawn

    def lines(self, ax: Any, scatter: Any, z: np.ndarray, heights: np.ndarray, room: float) -> Any:
        """Draw a line for each mark, inside the room of a strip those of greater z higher."""
        from matplotlib.collections import LineCollection

        z, heights, radius = z[self.rows], heights[self.rows], self.radius[self.rows, 0]
        heights = heights + room * _ranks(z, heights)  # else lines would lie on each other
        style = {"color": self._colours(scatter, len(self.radius)), "linewidth": 0.7, "alpha": 0.6}
        style |= _drawing.canonical(self.kwargs, LineCollection)
        return ax.hlines(heights, z - radius, z + radius, **style)

    def _colours(self, scatter: Any, n: int) -> np.ndarray:
        scatter.update_scalarmappable()  # else known when drawn
        return np.broadcast_to(scatter.get_facecolors(), (n, 4))[self.rows]


def _ranks(z: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the rank of each value in its group, from −1/2 to 1/2."""
    ranks = np.empty(len(z))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        ranks[rows[np.argsort(z[rows])]] = (np.arange(len(rows)) + 0.5) / len(rows) - 0.5
    return ranks


class PairGrid:
    """Panels for the named columns of Z, in the place of some axes or in a new figure.

    ``axes`` are the panels, ``(n_shown, n_shown)``, ``None`` above the diagonal; ``scatters``,
    ``ellipses`` and ``histograms`` are what is drawn, row by row.
    """

    def __init__(self, ax: Any, Z: np.ndarray, names: Sequence[str]) -> None:
        self.Z, self.names = Z, names
        n = Z.shape[1]
        side = float(np.clip(1.5 * n + 1, 5, 12))
        self.ax = _drawing.new_axes(figsize=(side, side)) if ax is None else ax
        if self.ax.get_subplotspec() is None:
            raise ValueError(
                "ax is not a subplot, so that panels cannot take its place. Pass one made by "
                "plt.subplots or add_subplot, or ax=None."
            )
        self.ax.set_axis_off()
        places = self.ax.get_subplotspec().subgridspec(n, n)
        self.axes = np.full((n, n), None, dtype=object)
        for i, j in self._pairs(diagonal=True):
            self.axes[i, j] = self.ax.figure.add_subplot(places[i, j])
            self._label(i, j)
        self.scatters: list[Any] = []
        self.ellipses: list[Any] = []
        self.histograms: list[list[Any]] = []

    def _pairs(self, diagonal: bool = False) -> list[tuple[int, int]]:
        """Return row and column of the panels below the diagonal, or with it."""
        return [(i, j) for i in range(len(self.axes)) for j in range(i + diagonal)]

    def _label(self, i: int, j: int) -> None:
        """Name the axes of the last row and of the first column; the others repeat them."""
        panel, last = self.axes[i, j], len(self.axes) - 1
        panel.tick_params(labelbottom=i == last, labelleft=j == 0 and i > 0)
        if i == last:
            panel.set_xlabel(self.names[j])
        if i == j:
            panel.set_yticks([])
        elif j == 0:
            panel.set_ylabel(self.names[i])

    def draw(self, points: Points, spread: Spread | None) -> None:
        """Draw all panels, to one scale."""
        for i, j in self._pairs():
            panel = self.axes[i, j]
            self.scatters.append(points.plane(panel, self.Z[:, j], self.Z[:, i], area=0.5))
            if spread is not None:
                ellipses = spread.ellipses(panel, self.scatters[-1], self.Z, (j, i))
                self.ellipses.append(ellipses)
        limits = [self.axes[pair].axis() for pair in self._pairs()]
        low, high = np.min(limits), np.max(limits)
        for i, j in self._pairs():
            self.axes[i, j].set(xlim=(low, high), ylim=(low, high))
        edges = np.linspace(low, high, N_BINS + 1)
        self.histograms += [self._histogram(k, edges, points) for k in range(len(self.axes))]

    def _histogram(self, k: int, edges: np.ndarray, points: Points) -> list[Any]:
        """Draw the density of one component, of each class."""
        panel, drawn = self.axes[k, k], []
        for colour, rows in points.groups(self.scatters[0]):
            density, _ = np.histogram(self.Z[rows, k], edges, density=True)
            drawn.append(panel.stairs(density, edges, color=colour, linewidth=1.2))
            panel.stairs(density, edges, color=colour, alpha=0.15, fill=True)
        panel.set(xlim=edges[[0, -1]], ylim=(0, None))
        return drawn
