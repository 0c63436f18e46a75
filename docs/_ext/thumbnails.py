"""The thumbnails of the gallery: figures drawn anew at their size, for light and dark pages."""

import pickle
import re
from pathlib import Path

from dark import darken

THUMBNAIL = {"figsize": (3.6, 2.52), "dpi": 180}
"""As wide as it is shown, in inches, so that its text has the size of text; sharp at twice that."""


def save_thumbnail(figure, panels, path):
    """Save one panel of a figure or two at the size of a thumbnail, for light and dark pages.

    ``panels=None``: all of it, drawn anew where it is a single one, else made smaller.
    """
    copy = pickle.loads(pickle.dumps(figure))  # the figure itself stands on a page
    width, height = THUMBNAIL["figsize"]
    dpi = THUMBNAIL["dpi"]
    if panels is None and len(copy.axes) > 1:
        dpi *= min(width / copy.get_figwidth(), height / copy.get_figheight())
    else:
        chosen = [copy.axes[panel] for panel in panels or [0]]
        for ax in set(copy.axes) - set(chosen):
            ax.remove()
        for ax, place in zip(chosen, copy.add_gridspec(1, len(chosen)), strict=True):
            ax.set_subplotspec(place)
            ax.set_title(ax.get_title() if len(chosen) > 1 else "", size="small")
        for text in (copy._suptitle, *copy.legends):
            if text is not None:
                text.remove()
        copy.set_layout_engine("constrained")
        copy.set_size_inches(width, height)
    copy.savefig(f"{path}_thumbnail.png", dpi=dpi)
    darken(copy)
    copy.savefig(f"{path}_thumbnail_dark.png", dpi=dpi, transparent=True)


def show_thumbnails(app, doctree):
    """Show in the gallery the thumbnails saved here, or the file that an example names.

    sphinx-gallery has one for light pages only, of a whole figure, in which no text can be read.
    """
    from docutils import nodes
    from sphinx_gallery.py_source_parser import extract_file_config

    source = Path(app.srcdir)
    for image in doctree.findall(nodes.image):
        found = re.fullmatch(r"(.+)/thumb/sphx_glr_(.+)_thumb\.png", image["uri"])
        if found is None:
            continue
        folder, name = found.groups()
        text = (source.parent / "examples" / f"{name}.py").read_text(encoding="utf-8")
        named = extract_file_config(text).get("thumbnail_path")
        picture = f"/{named}" if named else f"{folder}/{name}_thumbnail.png"
        if (source / picture[1:]).is_file():  # of an example that was not run there is none
            image["uri"] = picture


def setup(app):
    """Listen for pages that were read, before dark looks for the twins of their pictures."""
    app.connect("doctree-read", show_thumbnails, priority=300)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
