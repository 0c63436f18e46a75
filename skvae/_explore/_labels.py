"""What rows are called: classes, quantities or names, and their colours."""

from __future__ import annotations

from typing import Any

import numpy as np

from skvae._explore._page import pack
from skvae.display import _classes, _drawing

N_SHADES = 128
MISSING = "#94a4a2"
GOLDEN = 0.618
"""The golden section: its multiples, modulo 1, spread rows evenly over the height of a lane."""


class Names:
    """A text for each row and one colour: what labels are when they are nothing else."""

    legend = False
    ends: tuple[float, float] | None = None

    def __init__(self, values: np.ndarray, title: str = "") -> None:
        distinct, self.text = np.unique(values, return_inverse=True)
        self.texts = distinct.astype(str)
        self.title = title

    @property
    def colours(self) -> list[str]:
        """Colours that points have."""
        return [_drawing.PALETTE[0]]

    @property
    def colour(self) -> np.ndarray:
        """Which of them each point has."""
        return np.zeros(len(self.text))

    def contents(self) -> dict[str, Any]:
        """Return what the page reads."""
        return {
            "title": self.title,
            "texts": self.texts.tolist(),
            "text": pack(self.text, "<u4"),
            "colours": self.colours,
            "colour": pack(self.colour, "<u2"),
            "legend": self.legend,
            "ends": self.ends,
        }

    def strip(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the height of each row in a strip, and the vertical axis: one lane."""
        return _spread(len(self.text)), {"name": "", "ends": (-0.6, 0.6), "lanes": [""]}


class Classes(Names):
    """A colour, an entry of the legend and a lane for each class."""

    legend = True

    @property
    def colours(self) -> list[str]:
        """One for each class."""
        from matplotlib.colors import to_hex

        shades = _classes.colours_of(self.texts, self.texts)["cmap"]
        return [to_hex(shades(k)) for k in range(len(self.texts))]

    @property
    def colour(self) -> np.ndarray:
        """That of the class."""
        return self.text

    def strip(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the height of each row in a strip, and the vertical axis: a lane a class."""
        ends = -0.6, len(self.texts) - 0.4
        axis = {"name": self.title, "ends": ends, "lanes": self.texts.tolist()}
        return self.text + _spread(len(self.text)), axis


class Quantity(Names):
    """A shade for each value, from the least to the greatest; values may be missing."""

    ends: tuple[float, float]

    def __init__(self, values: np.ndarray, title: str = "") -> None:
        super().__init__(np.array([f"{value:.6g}" for value in values]), title)
        self.values = np.where(np.isfinite(values), values.astype(float), np.nan)
        self.known = ~np.isnan(self.values)
        known = self.values[self.known]
        self.ends = (known.min().item(), known.max().item()) if len(known) else (0.0, 1.0)

    @property
    def colours(self) -> list[str]:
        """Shades in ascending order, then that of missing values."""
        import matplotlib
        from matplotlib.colors import to_hex

        shades = matplotlib.colormaps["viridis"].resampled(N_SHADES)
        return [to_hex(shades(k)) for k in range(N_SHADES)] + [MISSING]

    @property
    def colour(self) -> np.ndarray:
        """The shade of each value."""
        low, high = self.ends
        shade = (self.values - low) / ((high - low) or 1) * (N_SHADES - 1)
        return np.where(self.known, np.nan_to_num(shade).round(), N_SHADES)

    def strip(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the values, missing ones as the least, and their axis."""
        low, high = self.ends
        reach = 0.05 * (high - low) or 1.0
        axis = {"name": self.title or "label", "ends": (low - reach, high + reach)}
        return np.where(self.known, self.values, low), axis


def _spread(n_samples: int) -> np.ndarray:
    return (np.arange(n_samples) * GOLDEN % 1 - 0.5) * 0.7


def make_labels(labels: Any, n_samples: int) -> Names:
    """Return labels of the kind that the values are, one for each row."""
    if labels is None:
        return Names(np.full(n_samples, ""))
    if np.shape(labels) != (n_samples,):
        raise ValueError(
            f"labels has the shape {np.shape(labels)}, but X has {n_samples} rows. Pass one "
            f"label for each, of shape ({n_samples},), or labels=None."
        )
    title = "" if getattr(labels, "name", None) is None else str(labels.name)
    values = _classes.labels(labels, n_samples)
    classes = _classes.classes_of(values)
    if classes is not None and len(classes) <= _classes.MAX_LEGEND:
        return Classes(values, title)
    return Quantity(values, title) if values.dtype.kind in "iuf" else Names(values, title)
