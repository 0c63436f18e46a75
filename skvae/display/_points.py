"""Rows as points, and the posterior spread around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skvae.display import _drawing
from skvae.display._classes import LEGEND_ROWS, MAX_LEGEND, classes_of, colours_of


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
