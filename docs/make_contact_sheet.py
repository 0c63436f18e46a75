"""One picture with a picture of every example, for the README.

    python docs/make_contact_sheet.py

takes them from the gallery that the last ``sphinx-build`` left in ``docs/auto_examples``, or from
the folder given, and writes ``docs/_static/gallery.png``.
"""

import re
import sys
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
PICTURES = {
    "plot_quickstart_table": 1,
    "plot_digits": 1,
    "plot_mnist": 2,
    "plot_latent_space": 2,
    "plot_comparison": 1,
    "plot_own_network": 1,
    "plot_choosing_a_likelihood": 1,
    "plot_anomaly": 1,
    "plot_pipeline_and_search": 1,
    "plot_out_of_core": 1,
}
"""Every example in the order to read them, and which of its pictures stands for it."""


def title(name):
    """Return the title in the docstring of an example."""
    return re.match(r'"""\n=+\n(.+)\n', (EXAMPLES / f"{name}.py").read_text())[1].replace("`", "")


def draw(folder):
    """Return a figure of the pictures with their titles."""
    figure, axes = plt.subplots(4, 3, figsize=(12, 12), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    for (name, number), ax in zip(PICTURES.items(), axes.flat, strict=False):
        ax.imshow(plt.imread(folder / "images" / f"sphx_glr_{name}_{number:03}.png"))
        ax.set_title(title(name), fontsize=11)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "auto_examples"
    buffer = BytesIO()
    draw(folder).savefig(buffer, dpi=90)
    sheet = Image.open(buffer).convert("RGB").quantize(192)  # a third of the bytes
    sheet.save(DOCS / "_static" / "gallery.png", optimize=True)
