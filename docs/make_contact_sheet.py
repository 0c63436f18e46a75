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
PICTURES = {
    "plot_quickstart_table": 1,
    "plot_digits": 1,
    "plot_mnist": 2,
    "plot_colour_patches": 1,
    "plot_latent_space": 4,
    "plot_own_network": 1,
    "plot_choosing_a_likelihood": 1,
    "plot_anomaly": 3,
    "plot_comparison": 1,
    "plot_missing_values": 1,
    "plot_missing_pixels": 1,
    "plot_conditional_digits": 2,
    "plot_cells": 1,
    "plot_few_labels": 1,
    "plot_pipeline_and_search": 1,
    "plot_out_of_core": 1,
}
"""Every example in the order to read them, and which of its pictures stands for it."""


def title(name):
    """Return the title in the docstring of an example."""
    return re.match(r'"""\n=+\n(.+)\n', (EXAMPLES / f"{name}.py").read_text())[1].replace("`", "")


def draw(folder):
    """Return a figure of the pictures with their titles."""
    figure = plt.figure(figsize=(13, 10.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06, hspace=0, wspace=0.02)
    grid = figure.add_gridspec(4, 4)
    for (name, number), cell in zip(PICTURES.items(), grid, strict=True):
        ax = figure.add_subplot(cell, anchor="N")
        ax.imshow(plt.imread(folder / "images" / f"sphx_glr_{name}_{number:03}.png"))
        ax.set_title(textwrap.fill(title(name), 40), fontsize=11)
        ax.set_axis_off()
    return figure


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "auto_examples"
    draw(folder).savefig(DOCS / "_static" / "gallery.png", dpi=75)
