"""One picture with a picture of every example, for the README.

    python docs/make_contact_sheet.py

takes them from the gallery that the last ``sphinx-build`` left in ``docs/auto_examples``, or from
the folder given, and writes ``docs/_static/gallery.png``.
"""

import re
import sys
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
NAMES = [
    "plot_quickstart_table",
    "plot_digits",
    "plot_mnist",
    "plot_colour_patches",
    "plot_latent_space",
    "plot_own_network",
    "plot_choosing_a_likelihood",
    "plot_anomaly",
    "plot_comparison",
    "plot_missing_values",
    "plot_missing_pixels",
    "plot_conditional_digits",
    "plot_cells",
    "plot_few_labels",
    "plot_pipeline_and_search",
    "plot_out_of_core",
]
"""Every example, in the order to read them."""


def title(name):
    """Return the title in the docstring of an example."""
    return re.match(r'"""\n=+\n(.+)\n', (EXAMPLES / f"{name}.py").read_text())[1].replace("`", "")


def draw(folder):
    """Return a figure of the thumbnails with their titles."""
    figure = plt.figure(figsize=(13, 10.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06, hspace=0, wspace=0.02)
    grid = figure.add_gridspec(4, 4)
    for name, cell in zip(NAMES, grid, strict=True):
        ax = figure.add_subplot(cell, anchor="N")
        ax.imshow(plt.imread(folder / "images" / f"{name}_thumbnail.png"))
        ax.set_title(textwrap.fill(title(name), 40), fontsize=11)
        ax.set_axis_off()
    return figure


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "auto_examples"
    draw(folder).savefig(DOCS / "_static" / "gallery.png", dpi=75)
