"""Each component against each, below a diagonal of histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skvae.display import _drawing
from skvae.display._points import Points, Spread

N_BINS = 30
"""Of the histograms in a pair grid."""


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
                "ax is not a subplot, so it cannot be divided into panels. Pass one made by "
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
