"""What displays of rows have in common: rows as pictures, or as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skvae.display._heat_map import draw_heat_map


class PicturesOrHeatMap:
    """What displays of rows have in common.

    Rows that have an ``image_shape`` are pictures: the display draws them in ``_draw_pictures``
    and puts them into ``image_``. Else ``_groups`` returns what a heat map shows, and what its
    values are.
    """

    image_shape: Sequence[int] | None
    feature_names: Sequence[str] | None
    image_: Any
    _draw_pictures: Any
    _groups: Any

    def _draw(self, ax: Any, imshow_kwargs: Mapping[str, Any] | None, **options: Any) -> Self:
        self.colorbar_: Any = None
        if self.image_shape is None:
            groups, label = self._groups(**options)
            drawn = draw_heat_map(ax, groups, label, self.feature_names, imshow_kwargs)
            self.image_, self.colorbar_ = drawn
        else:
            self._draw_pictures(ax, imshow_kwargs, **options)
        self.ax_ = self.image_.axes
        self.figure_ = self.ax_.figure
        return self

    def _tiles(self, rows: np.ndarray) -> np.ndarray:
        """Return rows, ``(..., n_features)``, as pictures."""
        return rows.reshape(*rows.shape[:-1], *(self.image_shape or ()))
