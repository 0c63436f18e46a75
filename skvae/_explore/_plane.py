"""The plane: components of the rows, and where the decoder is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skvae._explore._labels import Names
from skvae._explore._page import pack
from skvae._numbers import whole
from skvae.display import _drawing
from skvae.display._model import FittedModel

MARGIN = 1.05
"""How much wider the plane is than what its rows span."""


class Plane:
    """One or two components of the rows, and a grid of nodes over the range of the rows.

    Two axes have one scale, as the prior knows no direction. Beside a single component the
    labels are the vertical axis. Parameters are those of :func:`skvae.explore`, and the posterior
    means Z of the rows.
    """

    def __init__(
        self, model: FittedModel, Z: np.ndarray, components: int | Sequence[int] | None, grid: int
    ) -> None:
        grid = whole(grid, "grid", least=2)
        self.n_components = Z.shape[1]
        self.are_most_active = components is None and self.n_components > 2
        wanted = _most_active(model, Z) if components is None else components
        self.components = _drawing.check_components(wanted, self.n_components, most=2)
        self.dtype, self.shown = Z.dtype, Z[:, list(self.components)]
        self.n_nodes = (grid if len(self.components) == 2 else 1, grid)

    def ends(self) -> list[tuple[float, float]]:
        """Return the ends of each component: of one length, around the rows."""
        low, high = self.shown.min(axis=0).astype(float), self.shown.max(axis=0).astype(float)
        reach = MARGIN * (high - low).max() / 2 or 1.0  # 1 when all rows are one point
        return [(middle - reach, middle + reach) for middle in ((low + high) / 2).tolist()]

    def nodes(self) -> np.ndarray:
        """Return z of each node, from the lowest line to the highest; other components are 0."""
        axes = np.meshgrid(*[np.linspace(*ends, self.n_nodes[1]) for ends in self.ends()])
        Z = np.zeros((axes[0].size, self.n_components), self.dtype)
        Z[:, list(self.components)] = np.column_stack([axis.ravel() for axis in axes])
        return Z

    def rows_at_nodes(self) -> np.ndarray:
        """Return how many rows are nearest to each node."""
        low, high = np.array(self.ends()).T
        steps = (self.shown - low) / (high - low) * (self.n_nodes[1] - 1)
        right, *up = steps.round().astype(int).T
        nodes = right + self.n_nodes[1] * (up[0] if up else 0)
        return np.bincount(nodes, minlength=self.n_nodes[0] * self.n_nodes[1])

    def contents(self, labels: Names) -> dict[str, Any]:
        """Return what the page reads."""
        named = zip(self.components, self.ends(), strict=True)
        axes: list[dict[str, Any]] = [{"name": f"component {k}", "ends": e} for k, e in named]
        points = self.shown
        if len(axes) == 1:
            heights, axis = labels.strip()
            axes, points = [*axes, axis], np.column_stack([points, heights])
        return {"axes": axes, "nodes": self.n_nodes, "points": pack(points, "<f4")}

    def description(self) -> str:
        """Return what is shown, in a sentence or two."""
        plural = "s" if len(self.components) == 2 else ""
        shown = f"component{plural} {' and '.join(map(str, self.components))}"
        rows = f"{len(self.shown):,} rows"
        others = self.n_components - len(self.components)
        if not others:
            return f"{rows}; {shown}."
        most = ", the two most active" if self.are_most_active else ""
        held = "the other one is" if others == 1 else f"the other {others} are"
        return f"{rows}; {shown} of {self.n_components}{most}. To decode, {held} held at 0."


def _most_active(model: FittedModel, Z: np.ndarray) -> tuple[int, ...]:
    """Return the one or two components that carry most, in ascending order."""
    activity = getattr(model.model, "kl_per_component_", Z.var(axis=0))
    return tuple(sorted(np.argsort(-activity, kind="stable")[:2].tolist()))
