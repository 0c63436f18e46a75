"""The figures of the examples: for a light page and for a dark one."""

import re
from pathlib import Path
from textwrap import indent

from dark import darken

# sphinx-gallery looks up the names in an example, these among them; in each of its processes.
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401 - registers the classes
    enable_iterative_imputer,  # noqa: F401 - registers the class
)
from sphinx_gallery.scrapers import matplotlib_scraper
from thumbnails import save_thumbnail


def scrape(block, block_vars, gallery_conf):
    """Save each figure as it is, and once more for a dark page, both at twice their size, too."""
    import matplotlib.pyplot as plt

    figures = [plt.figure(number) for number in plt.get_fignums()]
    paths = block_vars["image_path_iterator"].paths
    n_before = len(paths)
    light = matplotlib_scraper(block, block_vars, gallery_conf)  # closes the figures
    dark = light
    options = block_vars["file_conf"]
    for number, figure in enumerate(figures, start=n_before + 1):
        path = Path(paths[number - 1])
        if number == options.get("thumbnail_number", 1):
            thumbnail = path.with_name(Path(block_vars["src_file"]).stem)
            save_thumbnail(figure, options.get("thumbnail_panels"), thumbnail)
        darken(figure)
        for size, end in ((1, ""), (2, "_2_00x")):
            target = path.with_name(f"{path.stem}_dark{end}.png")
            figure.savefig(target, dpi=size * figure.dpi, transparent=True)
        dark = re.sub(rf"{path.stem}(_2_00x)?\.png", rf"{path.stem}_dark\1.png", dark)
    shown = {"only-light": light, "only-dark": dark} if figures else {}
    return "".join(f"\n.. container:: {on}\n{indent(rst, '    ')}\n" for on, rst in shown.items())
