"""Rows and what is decoded, as pictures or as the values of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import _safe_indexing

from skvae._explore._labels import colours_of_classes
from skvae._explore._model import ExploredModel
from skvae._explore._page import pack, png
from skvae.display import _tiles

BLOCK_ROWS = 1024
MAX_PIXELS = 2**23
"""Of all pictures of a kind: what a browser unpacks in a tenth of a second."""
MAX_FEATURES = 32
"""More than this no one reads while the pointer moves."""


class Source:
    """The rows of X as the numbers that come out again, a block at a time."""

    def __init__(self, model: ExploredModel, X: Any, n_samples: int) -> None:
        self.model, self.n_samples = model, n_samples
        X = model.rows(X)
        self.X = X.tocsr() if hasattr(X, "tocsr") else X  # what can be cut by rows

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows in order."""
        for start in range(0, self.n_samples, BLOCK_ROWS):
            block = slice(start, min(start + BLOCK_ROWS, self.n_samples))
            yield self.model.floats(_safe_indexing(self.X, block))


def pictures(source: Source, tiles: np.ndarray) -> dict[str, Any]:
    """Return pictures of all rows, and of the nodes, ``(n_sheets, n_up, n_right, H, W[, C])``.

    Their scale is that of the rows: where there are none, a decoder may go far beyond.
    """
    n_sheets, up, right, *shape = tiles.shape
    ends = [(float(np.nanmin(block)), float(np.nanmax(block))) for block in source.blocks()]
    low, high = min(0.0, *(end[0] for end in ends)), max(1.0, *(end[1] for end in ends))

    def small(n_images: int, blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, str]:
        """Return so many pictures as bytes, and a note of their size where it changed."""
        by = int(np.ceil(np.sqrt(max(1, n_images * shape[0] * shape[1] / MAX_PIXELS))))
        images = (_reduced(block.reshape(-1, *shape), by) for block in blocks)
        note = "" if by == 1 else f"shown at 1/{by} of {shape[1]} × {shape[0]} pixels"
        return np.concatenate([_as_bytes(image, low, high) for image in images]), note

    rows, rows_note = small(source.n_samples, source.blocks())
    nodes, nodes_note = small(n_sheets * up * right, tiles)
    sheets = nodes.reshape(n_sheets, up, right, *nodes.shape[1:])[:, ::-1]
    sources = [png(_tiles.stitch(sheet)) for sheet in sheets]
    return {
        "rows": {"sources": [png(_sheet(rows))], "size": rows.shape[1:3], "note": rows_note},
        "decoded": {"sources": sources, "size": nodes.shape[1:3], "note": nodes_note},
        "note": "" if (low, high) == (0, 1) else f"Black is {low:.3g}, white {high:.3g}.",
    }


def _reduced(images: np.ndarray, smaller: int) -> np.ndarray:
    """Return means over squares of so many pixels; those at the far ends may be narrower."""
    for axis in (1, 2):
        length = images.shape[axis]
        starts = np.arange(0, length, smaller)
        widths = np.diff(starts, append=length).reshape([-1] + [1] * (images.ndim - axis - 1))
        images = np.add.reduceat(images, starts, axis=axis) / widths
    return images


def _as_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    shares = (np.clip(values, low, high) - low) / (high - low)
    return np.nan_to_num(shares * 255).round().astype(np.uint8)


def _sheet(images: np.ndarray) -> np.ndarray:
    """Return pictures side by side on a sheet that is about square."""
    n, height, width = images.shape[:3]
    columns = int(np.ceil(np.sqrt(n * height / width)))
    lines = -(-n // columns)
    missing = np.zeros((lines * columns - n, *images.shape[1:]), np.uint8)
    tiles = np.concatenate([images, missing]).reshape(lines, columns, *images.shape[1:])
    return _tiles.stitch(tiles)


def table(source: Source, decoded: np.ndarray, n_near: np.ndarray) -> dict[str, Any]:
    """Return values of all rows, and at the nodes; so many rows are near each of these."""
    n_features = decoded.shape[1]
    given = source.model.feature_names
    names = [f"feature {k}" for k in range(n_features)] if given is None else list(map(str, given))
    levels = source.model.categories
    shown = _most_changing(source, decoded, n_near)
    rows = np.concatenate([block[:, shown] for block in source.blocks()])
    known = np.fmin.reduce(rows), np.fmax.reduce(rows)  # these pass over missing values
    texts = [list(map(str, levels.get(names[k], []))) for k in shown]
    features = [
        {"name": names[k], "ends": ends, "levels": level, "colours": colours_of_classes(level)}
        for k, ends, level in zip(shown, np.nan_to_num(known).T.tolist(), texts, strict=True)
    ]
    few = f"The {len(shown)} of {n_features:,} features that change most over the plane."
    return {
        "features": features,
        "rows": pack(rows, "<f4"),
        "decoded": pack(decoded[:, shown], "<f4"),
        "note": "" if len(shown) == n_features else few,
    }


def _most_changing(source: Source, decoded: np.ndarray, n_near: np.ndarray) -> list[int]:
    """Return the features to show: by the standard deviation of what is decoded near rows.

    In units of that of the rows themselves.
    """
    if decoded.shape[1] <= MAX_FEATURES:
        return list(range(decoded.shape[1]))
    scaler = StandardScaler()
    for block in source.blocks():
        scaler.partial_fit(block)
    mean = np.average(decoded, axis=0, weights=n_near)
    change = np.average((decoded - mean) ** 2, axis=0, weights=n_near) / scaler.scale_**2
    return sorted(np.argsort(-change, kind="stable")[:MAX_FEATURES].tolist())
