"""The path of a page that was written, which a notebook shows as the page."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

LARGEST = 2**23
"""Bytes of a page beyond which a notebook shows the path alone: each output is kept in its file."""

HEIGHT, ZOOM = 860, 0.8
"""Pixels of the page, and how large a notebook shows them: from a width of some 700 pixels on, the
plane, its tools and what is decoded are in sight together."""


class WrittenPage(type(Path())):  # type: ignore[misc]  # the class of paths of this system
    """A path as any other. In a notebook it is shown as the page that the file holds.

    Paths that are made from it, such as its parent, are shown as paths, and so is one whose
    file is gone or larger than 8 MB.
    """

    _title: str | None = None

    @classmethod
    def of(cls, path: Path, title: str) -> WrittenPage:
        """Return the path of a page with a title."""
        page = cls(path)
        page._title = title
        return page

    def __repr__(self) -> str:
        return repr(Path(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Path, (str(self),)

    def _repr_html_(self) -> str | None:
        """Return a frame that holds the whole page; its script may run there and save files."""
        if self._title is None or not self.is_file() or self.stat().st_size > LARGEST:
            return None
        content = html.escape(self.read_text(encoding="utf-8"))
        return (
            f'<iframe title="{html.escape(self._title)}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {HEIGHT}px; zoom: {ZOOM}; border: 0" '
            f'srcdoc="{content}"></iframe>'
        )
