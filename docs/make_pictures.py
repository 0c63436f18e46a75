"""The pictures of the front page, the README and "From zero", for light pages and for dark ones.

    python docs/make_pictures.py --data DIR

writes them into ``docs/_static``, each with a twin ``..._dark.png`` that the site shows on dark
pages. DIR holds the idx files of MNIST, packed or not; without it all but the first picture is
drawn. The first fit takes some minutes.
"""

import argparse
import gzip
import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib import patheffects
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder
from skvae.display import LatentSpaceDisplay, ManifoldDisplay, ReconstructionDisplay

STATIC = Path(__file__).parent / "_static"
sys.path.insert(0, str(STATIC.parent / "_ext"))
from dark import darken  # noqa: E402 - found by the line above

plt.rcParams |= {"font.size": 13, "axes.titlesize": 15, "svg.fonttype": "none"}


def save(draw, name, n_colours=256, **parts):
    """Draw a picture for both pages, with few colours, which makes files small.

    Each of ``parts`` is a box of it, (left, top, right, bottom) in pixels, to be saved by itself.
    """
    for end, is_dark in (("", False), ("_dark", True)):
        figure = draw(is_dark)
        if is_dark:
            darken(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=figure.dpi, transparent=is_dark)
        plt.close(figure)
        image = Image.open(buffer)
        image = image.quantize(n_colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        image.save(STATIC / f"{name}{end}.png", optimize=True)
        for part, box in parts.items():
            image.crop(box).save(STATIC / f"{part}{end}.png", optimize=True)


def greys(is_dark):
    """Return the colours of images: ink on paper."""
    return {"cmap": "gray" if is_dark else "gray_r", "interpolation": "nearest"}


def read(folder, stem, start):
    """Return the values in an idx file of bytes."""
    path = sorted(Path(folder).glob(f"{stem}*ubyte*"))[-1]
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        return np.frombuffer(file.read(), np.uint8, offset=start)


def draw_mnist(vae, X, y, is_dark):
    """Return three equal panels: rows in the plane, the plane decoded, and rows rebuilt."""
    # Panels of 672 pixels: twelve tiles, and two pixels of the picture for each of a digit.
    wide, high, side = 2156, 752, 672
    figure = plt.figure(figsize=(wide / 100, high / 100), dpi=100)
    lefts = [30, 742, 1454]
    axes = [figure.add_axes((left / wide, 30 / high, side / wide, side / high)) for left in lefts]
    shown = slice(0, 3000)
    LatentSpaceDisplay.from_estimator(vae, X[shown], y[shown], ax=axes[0], scatter_kwargs={"s": 16})
    axes[0].get_legend().remove()
    Z = vae.transform(X[shown])
    halo = [patheffects.withStroke(linewidth=5, foreground="#14181e" if is_dark else "white")]
    for digit in range(10):
        # At the row of this digit that has most of its own, and few of the others, around it.
        own = Z[y[shown] == digit]
        near, far = (
            (np.linalg.norm(own[:, None] - rows, axis=-1) < 0.25).sum(axis=1)
            for rows in (own, Z[y[shown] != digit])
        )
        text = {"size": 26, "weight": "bold", "ha": "center", "va": "center"}
        axes[0].text(*own[(near - far).argmax()], str(digit), path_effects=halo, **text)
    low, high = np.quantile(Z, [0.003, 0.997], axis=0)
    middle, reach = (low + high) / 2, (high - low).max() / 2
    for k, name in enumerate("xy"):
        axes[0].set(**{f"{name}lim": (middle[k] - reach, middle[k] + reach)})
    images = {"image_shape": (28, 28), "imshow_kwargs": greys(is_dark)}
    ManifoldDisplay.from_estimator(vae, n=12, ax=axes[1], **images)
    pairs = np.stack([X[:72], vae.reconstruct(X[:72])], axis=1).reshape(12, 12, 28, 28)
    axes[2].imshow(pairs.swapaxes(1, 2).reshape(336, 336), **greys(is_dark))
    titles = [
        "held-out digits, at two numbers each",
        "what the decoder draws at such numbers",
        "held-out digits, each beside its reconstruction",
    ]
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, size=21)
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set_visible(ax is axes[0])
    return figure


def draw_passage(vae, X, is_dark):
    """Return a row, its two numbers, and the row again."""
    figure, axes = plt.subplots(
        3, 3, figsize=(9, 4.6), dpi=160, layout="constrained", width_ratios=[1, 3.2, 1]
    )
    for line, row in zip(axes, X, strict=True):
        z = vae.transform([row])[0]
        for ax, image in ((line[0], row), (line[2], vae.inverse_transform([z])[0])):
            ax.imshow(image.reshape(8, 8), vmin=0, vmax=1, **greys(is_dark))
            ax.set(xticks=[], yticks=[])
        line[1].set(xlim=(0, 1), ylim=(0, 1))
        line[1].set_axis_off()
        numbers = f"{z[0]:.2f}, {z[1]:.2f}".replace("-", "−")
        line[1].text(0.5, 0.5, numbers, size=23, ha="center", va="center", weight="bold")
        for start, name in ((0.06, "encoder"), (0.72, "decoder")):
            arrow = {"arrowstyle": "-|>", "color": "#3f90da", "linewidth": 2, "mutation_scale": 18}
            line[1].annotate("", (start + 0.22, 0.5), (start, 0.5), arrowprops=arrow)
            line[1].text(start + 0.11, 0.6, name, ha="center", va="bottom", size=18)
    for ax, title in zip(axes[0], ["64 pixels", "z: 2 numbers", "64 pixels"], strict=True):
        ax.set_title(title, size=21)
    return figure


def draw_regions(models, X, y, is_dark):
    """Return where an autoencoder puts rows, and the regions of a variational one."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 5.4), dpi=150, layout="constrained")
    titles = ["autoencoder", "variational autoencoder"]
    for ax, vae, title in zip(axes, models, titles, strict=True):
        LatentSpaceDisplay.from_estimator(
            vae, X, y, ellipses=0.8, max_ellipses=None, ax=ax, scatter_kwargs={"s": 9}
        )
        if ax is axes[0]:
            ax.get_legend().remove()
        ax.set_title(title, size=21)
        ax.set(xlabel="first number", ylabel="second number")
        ax.add_patch(plt.Circle((0, 0), 2, fill=False, linewidth=1.5, zorder=3, edgecolor="black"))
        ax.set_aspect("equal", adjustable="datalim")
    return figure


def draw_digits(vae, X, y, is_dark):
    """Return three displays of held-out digits."""
    figure, axes = plt.subplot_mosaic(
        [["rows", "grid"], ["trip", "trip"]],
        figsize=(10, 6.4),
        dpi=160,
        width_ratios=[1.15, 1],
        height_ratios=[4, 1.1],
        layout="constrained",
    )
    LatentSpaceDisplay.from_estimator(vae, X, y, ax=axes["rows"])
    images = {"image_shape": (8, 8), "imshow_kwargs": greys(is_dark)}
    ManifoldDisplay.from_estimator(vae, n=16, ax=axes["grid"], **images)
    ReconstructionDisplay.from_estimator(
        vae, X, n_images=18, residuals=False, ax=axes["trip"], **images
    )
    axes["rows"].set_title("Held-out digits in the latent plane", size=13)
    axes["grid"].set_title("The plane, decoded", size=13)
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx files of MNIST")
    args = parser.parse_args()
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.2, stratify=y, random_state=0)
    vae = VariationalAutoencoder(2, max_epochs=150, random_state=0).fit(X)
    free = VariationalAutoencoder(2, max_epochs=150, beta=0, random_state=0).fit(X)
    save(lambda is_dark: draw_digits(vae, X_test, y_test, is_dark), "digits")
    save(lambda is_dark: draw_passage(vae, X[[0, 1, 2]], is_dark), "passage", 32)
    save(lambda is_dark: draw_regions([free, vae], X[:300], y[:300], is_dark), "regions")
    if args.data is not None:
        X = read(args.data, "train-images", 16).reshape(-1, 784)
        vae = VariationalAutoencoder(
            2, hidden_layer_sizes=(512, 256), likelihood="bernoulli", max_epochs=20, random_state=0
        ).fit(X / np.float32(255))
        X = read(args.data, "t10k-images", 16).reshape(-1, 784) / np.float32(255)
        y = read(args.data, "t10k-labels", 8)
        save(
            lambda is_dark: draw_mnist(vae, X, y, is_dark),
            "mnist",
            128,
            mnist_plane=(16, 0, 718, 730),
        )
