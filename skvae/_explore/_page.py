"""A page of one file: arrays and pictures as text, and a policy that forbids the network."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

SCRIPTS = ("base.js", "columns.js", "plane.js", "rows.js", "saving.js", "controls.js", "main.js")


def pack(values: Any, dtype: str) -> str:
    """Return numbers as base64 of their bytes, little-endian, in the type that the page reads."""
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def png(image: np.ndarray) -> str:
    """Return a picture of bytes, ``(H, W)`` or ``(H, W, 3 or 4)``, as an address that holds it."""
    from PIL import Image  # comes with matplotlib

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def render(title: str, description: str, contents: dict[str, Any]) -> str:
    """Return the page; the scripts read the contents, which JSON can hold."""
    style, script = _text("page.css"), "\n".join(map(_text, SCRIPTS))
    return Template(_text("page.html")).substitute(
        title=html.escape(title),
        description=html.escape(description),
        policy=html.escape(
            "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
            f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
        ),
        style=style,
        script=script,
        contents=_embeddable(contents),
    )


def _text(name: str) -> str:
    return (files("skvae._explore") / name).read_text("utf-8")


def _digest(source: str) -> str:
    """Return what lets the policy allow this source and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _embeddable(contents: dict[str, Any]) -> str:
    """Return JSON that no HTML parser takes for a tag or a comment, whatever the user's text."""
    text = json.dumps(contents, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
