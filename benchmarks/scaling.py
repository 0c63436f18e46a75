"""Claim: the time of training grows linearly in the rows, and no faster than the arithmetic in
columns, pixels, components and channels.

Six quantities are swept, each with all others fixed. The time is that of an epoch of training
(``dur`` in ``history_``), except for the rows divided by their number. Slopes are fitted in
logarithms to the upper half of an axis, because at its lower end the cost of a step outweighs
its arithmetic. Asserted: 0.9 to 1.1 for the rows, at most 1.1 for columns, pixels and components
(the arithmetic is at most linear), at most 2.1 for channels (it is quadratic). The slope over the
batch is reported and not asserted.

    python benchmarks/scaling.py --output scaling.png     # under ten minutes on two cores
    python benchmarks/scaling.py --quick                  # one round instead of five, a minute

A point is the median over the epochs after the first of five fits, which the points of an axis
take in turns, so that a slow minute of the machine hits all of them. The data are synthetic:
eight factors, mapped linearly and squashed into [0, 1].
"""

import argparse
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from skvae import PosteriorCollapseWarning, VariationalAutoencoder

N_ROUNDS = 5
TRAINING = {"likelihood": "bernoulli", "max_epochs": 4, "random_state": 0}
IMAGES = {"batch_size": 64, "learning_rate": 1e-4}  # at 1e-3 pictures of 256 x 256 diverge
BLUE, ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito, who chose them for colour-blind readers


def table(n_columns=100, **params):
    """Return the number of columns, and the parameters of a dense model."""
    return n_columns, {"hidden_layer_sizes": (256, 128)} | params


def images(side=28, **params):
    """Return the number of pixels, and the parameters of a convolutional model."""
    return side * side, {"image_shape": (side, side)} | IMAGES | params


@dataclass
class Axis:
    """A quantity: its values, each with the rows to train on, and the model of a value."""

    label: str
    rows: dict
    model: Callable
    arithmetic: float  # slope of the arithmetic, at most
    limits: tuple = (-math.inf, math.inf)  # of the slope
    per_row: bool = True

    def seconds(self, value):
        """Fit one model; return the time of its epochs after the first, or of a row in them."""
        n_rows = self.rows[value]
        n_columns, params = self.model(value)
        vae = VariationalAutoencoder(**params, **TRAINING).fit(synthetic(n_rows, n_columns))
        epochs = np.array([epoch["dur"] for epoch in vae.history_[1:]])
        return epochs / n_rows if self.per_row else epochs

    def sweep(self, n_rounds):
        """Return the median time at each value."""
        rounds = [[self.seconds(value) for value in self.rows] for _ in range(n_rounds)]
        return np.median(rounds, axis=(0, 2))

    def line(self, seconds):
        """Return slope and intercept through the upper half of the points, in logarithms."""
        upper = slice(len(seconds) // 2, None)
        return np.polyfit(np.log(list(self.rows))[upper], np.log(seconds)[upper], 1)


AXES = [
    Axis(
        label="rows",
        rows={n: n for n in (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)},
        model=lambda n: table(),
        arithmetic=1,
        limits=(0.9, 1.1),
        per_row=False,
    ),
    Axis(
        label="columns",
        rows={10: 8192, 30: 8192, 100: 8192, 300: 8192, 1000: 4096, 3000: 2048, 10_000: 1024},
        model=table,
        arithmetic=1,
        limits=(-math.inf, 1.1),
    ),
    Axis(
        label="components",
        rows={2: 8192, 4: 8192, 8: 8192, 16: 8192, 32: 8192, 64: 8192, 128: 8192},
        model=lambda n: table(n_components=n),
        arithmetic=1,
        limits=(-math.inf, 1.1),
    ),
    Axis(
        label="pixels",
        rows={8**2: 4096, 16**2: 4096, 32**2: 1024, 64**2: 512, 128**2: 128, 256**2: 64},
        model=lambda n: images(math.isqrt(n)),
        arithmetic=1,
        limits=(-math.inf, 1.1),
    ),
    Axis(
        label="channels, twice as many in the second layer",
        rows={4: 2048, 8: 2048, 16: 1024, 32: 1024, 64: 512, 128: 256},
        model=lambda n: images(conv_channels=(n, 2 * n)),
        arithmetic=2,
        limits=(-math.inf, 2.1),
    ),
    Axis(
        label="batch size",
        rows={16: 2048, 64: 4096, 256: 8192, 1024: 16_384, 4096: 32_768},
        model=lambda n: table(batch_size=n),
        arithmetic=0,
    ),
]


def synthetic(n_rows, n_columns):
    """Return rows in [0, 1] that eight factors explain."""
    generator = np.random.default_rng(0)
    factors = generator.standard_normal((n_rows, 8), np.float32)
    loadings = generator.standard_normal((8, n_columns), np.float32)
    return 1 / (1 + np.exp(-(factors @ loadings)))


def report(axis, seconds):
    """Print the times of an axis; return what is wrong with its slope, if anything."""
    slope, _ = axis.line(seconds)
    print(f"{axis.label}: slope {slope:.2f}, arithmetic at most {axis.arithmetic}")
    for value, time in zip(axis.rows, seconds, strict=True):
        print(f"{value:10} {time * 1e6:14.1f} µs", "a row" if axis.per_row else "an epoch")
    lowest, highest = axis.limits
    fine = lowest <= slope <= highest
    return [] if fine else [f"{axis.label}: slope {slope:.2f} is not in [{lowest}, {highest}]"]


def draw(panel, axis, seconds):
    """Draw the points, the line through the upper ones, and the arithmetic through the last."""
    values = np.array(list(axis.rows), dtype=float)
    upper = values[len(values) // 2 :]
    slope, intercept = axis.line(seconds)
    arithmetic = seconds[-1] * (values / values[-1]) ** axis.arithmetic
    panel.loglog(
        values, arithmetic, "--", color="0.5", label=f"arithmetic, slope {axis.arithmetic}"
    )
    panel.loglog(upper, np.exp(intercept) * upper**slope, color=ORANGE, label="fitted")
    panel.loglog(values, seconds, "o", color=BLUE, label="measured")
    panel.set(xlabel=axis.label, ylabel="seconds a row" if axis.per_row else "seconds an epoch")
    panel.set(title=f"slope {slope:.2f}", ylim=(seconds.min() / 2, seconds.max() * 2))
    panel.legend(frameon=False, fontsize="small")


def picture(times, path):
    """Draw all axes into one file."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    for panel, axis, seconds in zip(figure.subplots(2, 3).flat, AXES, times, strict=True):
        draw(panel, axis, seconds)
    figure.savefig(path, dpi=150)


def main():
    """Measure, print tables, draw the picture, and assert the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="scaling.png", help="the picture")
    parser.add_argument("--quick", action="store_true", help="one round")
    args = parser.parse_args()
    warnings.simplefilter("ignore", PosteriorCollapseWarning)
    times, failures = [], []
    for axis in AXES:
        times.append(axis.sweep(1 if args.quick else N_ROUNDS))
        failures += report(axis, times[-1])
    picture(times, args.output)
    assert not failures, failures


if __name__ == "__main__":
    main()
