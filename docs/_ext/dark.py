"""Pictures for a dark page: figures drawn anew, and files that have a dark twin."""

from pathlib import Path

import numpy as np

INK, PAPER = "#ced6dd", "#14181e"
"""What is black and what is white in a figure becomes these, the theme's own."""


def darken(figure):
    """Give a figure of matplotlib the colours of a dark page; to be saved transparent."""
    from matplotlib.colors import to_rgba_array
    from matplotlib.patches import Patch

    backgrounds = [figure.patch, *(ax.patch for ax in figure.axes)]
    for artist in figure.findobj():
        for name in ("color", "edgecolor", "markeredgecolor", "markerfacecolor"):
            known = hasattr(artist, f"get_{name}") and hasattr(artist, f"set_{name}")
            if known and _is_dark_grey(getattr(artist, f"get_{name}")(), to_rgba_array):
                getattr(artist, f"set_{name}")(INK)
        if isinstance(artist, Patch) and artist not in backgrounds:
            if artist.get_facecolor()[:3] == (1, 1, 1):
                artist.set_facecolor(PAPER)
            elif _is_dark_grey(artist.get_facecolor(), to_rgba_array) and artist.get_fill():
                artist.set_facecolor(INK)


def _is_dark_grey(colours, to_rgba_array):
    """Return whether there is one colour, without a hue, and dark."""
    if isinstance(colours, str) and colours in ("none", "auto"):
        return False
    rgba = to_rgba_array(colours)
    return len(rgba) == 1 and rgba[0, 3] > 0 and np.ptp(rgba[0, :3]) < 0.05 and rgba[0, 0] < 0.5


def pair(app, doctree):
    """Show a picture NAME.png only on a light page where there is a NAME_dark.png."""
    from docutils import nodes

    folder = Path(app.env.doc2path(app.env.docname)).parent
    for image in list(doctree.findall(nodes.image)):
        path = Path(image["uri"])
        twin = path.with_name(f"{path.stem}_dark{path.suffix}")
        there = Path(app.srcdir, *twin.parts[1:]) if twin.is_absolute() else folder / twin
        if not there.is_file():
            continue
        other = image.deepcopy()
        other["uri"] = twin.as_posix()
        image["classes"].append("only-light")
        other["classes"].append("only-dark")
        image.replace_self([image, other])


def setup(app):
    """Listen for pages that were read, before their pictures are collected."""
    app.connect("doctree-read", pair, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
