"""The plane: components of the rows, and where the decoder is asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from skvae._explore._page import pack
from skvae._numbers import whole
from skvae.display import _drawing
from skvae.display._model import FittedModel

MARGIN = 1.05
"""How much wider the plane is than what its rows span."""


class Plane:
    """Components to choose two of, and a grid of nodes for each pair, over the range of the rows.

    Both axes of a pair have one scale, as the prior knows no direction. A single component is
    a strip. Parameters are those of :func:`skvae.explore`, with the posterior means Z of the rows
    and how many components are offered where none are named.
    """

    def __init__(
        self,
        model: FittedModel,
        Z: np.ndarray,
        components: int | Sequence[int] | None,
        grid: int,
        n_offered: int,
    ) -> None:
        grid = whole(grid, "grid", least=2)
        self.Z, self.n_components = Z, Z.shape[1]
        self.are_most_active = components is None and self.n_components > 2
        wanted = _most_active(model, Z, n_offered) if components is None else components
        self.components = _drawing.check_components(wanted, self.n_components)
        self.pairs: list[tuple[int, ...]] = [*combinations(self.components, 2)]
        self.pairs = self.pairs or [self.components]
        self.n_nodes = (grid if len(self.components) > 1 else 1, grid)

    def ends(self, pair: tuple[int, ...]) -> list[tuple[float, float]]:
        """Return the ends of each component of a pair: of one length, around the rows."""
        shown = self.Z[:, list(pair)].astype(float)
        low, high = shown.min(axis=0), shown.max(axis=0)
        reach = MARGIN * (high - low).max() / 2 or 1.0  # 1 when all rows are one point
        return [(middle - reach, middle + reach) for middle in ((low + high) / 2).tolist()]

    def nodes(self) -> np.ndarray:
        """Return z of each node: pair by pair, from the lowest line up; the other components 0."""
        Z = np.zeros((len(self.pairs), self.n_nodes[0] * self.n_nodes[1], self.n_components))
        for nodes, pair in zip(Z, self.pairs, strict=True):
            axes = np.meshgrid(*[np.linspace(*ends, self.n_nodes[1]) for ends in self.ends(pair)])
            nodes[:, list(pair)] = np.column_stack([axis.ravel() for axis in axes])
        return Z.reshape(-1, self.n_components).astype(self.Z.dtype)

    def rows_at_nodes(self) -> np.ndarray:
        """Return how many rows are nearest to each node."""
        counts = []
        for pair in self.pairs:
            low, high = np.array(self.ends(pair)).T
            steps = (self.Z[:, list(pair)] - low) / (high - low) * (self.n_nodes[1] - 1)
            right, *up = steps.round().astype(int).T
            nodes = right + self.n_nodes[1] * (up[0] if up else 0)
            counts.append(np.bincount(nodes, minlength=self.n_nodes[0] * self.n_nodes[1]))
        return np.concatenate(counts)

    def contents(self) -> dict[str, Any]:
        """Return what the page reads: all components, so that it knows what is near in them."""
        return {
            "names": [f"component {k}" for k in range(self.n_components)],
            "pairs": [{"components": pair, "ends": self.ends(pair)} for pair in self.pairs],
            "nodes": self.n_nodes,
            "points": pack(self.Z, "<f4"),
        }

    def description(self) -> str:
        """Return what is shown, in a sentence or two."""
        rows, offered = f"{len(self.Z):,} rows", len(self.components)
        plural = "s" if offered > 1 else ""
        *first, last = map(str, self.components)
        shown = f"component{plural} {', '.join(first)}{' and ' if first else ''}{last}"
        if self.n_components == offered == len(self.pairs[0]):
            return f"{rows}; {shown}."
        most = f", the {'two' if offered == 2 else offered} most active" * self.are_most_active
        of = f" of {self.n_components}" * (offered < self.n_components)
        choice = ", two at a time" * (offered > 2)
        others = self.n_components - len(self.pairs[0])
        held = "the other one is" if others == 1 else f"the other {others} are"
        return f"{rows}; {shown}{of}{most}{choice}. To decode, {held} held at 0."


def _most_active(model: FittedModel, Z: np.ndarray, n_offered: int) -> tuple[int, ...]:
    """Return the components that carry most: first two in ascending order, then the next."""
    activity = getattr(model.model, "kl_per_component_", Z.var(axis=0))
    order = np.argsort(-activity, kind="stable")[:n_offered].tolist()
    return (*sorted(order[:2]), *order[2:])
