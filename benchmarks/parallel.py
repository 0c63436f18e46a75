"""Claim: two processes of one thread train a model of a million weights at least 1.6 times as fast
as one, with batches of 2,048.

Measured are the shortest epochs of fits that take turns: one process of one thread, one of two,
and two of one, for batches of 512 and of 2,048; of the two processes also what a step waits for
the sum of the gradients. Asserted is the ratio at 2,048.

    python benchmarks/parallel.py --output parallel.png     # some three minutes on two cores

What more processes would bring is computed, not measured: the picture shows a cost model of it,
up to 64 processes of one core each. A step takes

    a + b · (rows of a process) + c · (rows of the batch) + 2 (n − 1) · (l + weights / (n · w))

seconds: a and b are fitted to steps of one process with batches of 32 to 2,048 rows; c is the
noise, which each process draws for the whole batch; the rest is a ring of n processes, each of
which sends 2 (n − 1) messages of an n-th of the gradients, of latency l and bandwidth w. Those are
fitted to sums of two processes here, and assumed for a network: 50 µs and 1.25 GB/s (10 gigabits).
An epoch begins with an order of all rows, which each process draws for itself. Assumed is further
that processes are equally fast and have a core and its caches each, that nothing of the network
is hidden behind the computation (nothing is), and that the rows come from a disk fast enough.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import torch

import skvae
from skvae import VariationalAutoencoder
from skvae._training import batches
from skvae._world import world

N_ROWS, N_COLUMNS = 8_192, 100
N_EPOCHS = 4
LEAST = 1.6
NETWORK = {"latency": 50e-6, "bandwidth": 1.25e9}
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"  # of Okabe and Ito


def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 8)) @ rng.normal(size=(8, N_COLUMNS))
    return (X + 0.3 * rng.normal(size=X.shape)).astype(np.float32)


def fit(batch_size, n_epochs=N_EPOCHS, X=None):
    """Train a model of a million weights."""
    params = {"hidden_layer_sizes": (1024, 384), "batch_size": batch_size, "random_state": 0}
    vae = VariationalAutoencoder(16, max_epochs=n_epochs, **params)
    return vae.fit(rows() if X is None else X)


def child(batch_size):
    """Fit, and print the shortest epoch and what a step waits for the other process."""
    waited = []
    with warnings.catch_warnings(action="ignore"), skvae.data_parallel():
        processes = world()
        whole = processes.sum_gradients

        def timed(parameters):
            start = time.perf_counter()
            whole(parameters)
            waited.append(time.perf_counter() - start)

        processes.sum_gradients = timed
        vae = fit(batch_size)
        n_weights = sum(p.numel() for p in vae.net_.module_.parameters())
        sums = {n: summing(processes, n) for n in (1000, n_weights)} if processes.size > 1 else {}
        told = [min(row["dur"] for row in vae.history_), float(np.median(waited)), n_weights, sums]
        if not processes.rank:
            print(json.dumps(told))


def summing(processes, n):
    """Return the seconds of one sum of n numbers of float32."""
    values = torch.zeros(n)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        processes.total(values)
        times.append(time.perf_counter() - start)
    return min(times)


def run(n_processes, n_threads, batch_size):
    command = [sys.executable]
    if n_processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={n_processes}"]
    command += [__file__, "--child", str(batch_size)]
    environment = os.environ | {"OMP_NUM_THREADS": str(n_threads)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(told.stdout.splitlines()[-1])


def step_costs():
    """Return a and b: seconds of a step, and of each row in it, of one process of one thread."""
    sizes = [32, 128, 512, 2048]
    X = rows()
    with warnings.catch_warnings(action="ignore"):
        steps = [
            min(row["dur"] for row in fit(size, 3, X[: 16 * size]).history_)
            / batches.n_batches(len(X[: 16 * size]), size)
            for size in sizes
        ]
    # By relative errors, so that the small ones count.
    design = np.stack([np.ones(len(sizes)), sizes], 1) / np.array(steps)[:, None]
    a, b = np.linalg.lstsq(design, np.ones(len(sizes)))[0]
    return max(a, 0.0), b


def timed(function, n=5):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


class Model:
    """What a step and an epoch would take."""

    def __init__(self, a, b, c, order, n_bytes, latency, bandwidth):
        self.a, self.b, self.c, self.order, self.n_bytes = a, b, c, order, n_bytes
        self.latency, self.bandwidth = latency, bandwidth

    def step(self, n, batch):
        ring = 2 * (n - 1) * (self.latency + self.n_bytes / (n * self.bandwidth))
        return self.a + self.b * math.ceil(batch / n) + self.c * batch + ring

    def epoch(self, n, batch, n_rows):
        return n_rows * self.order + n_rows / batch * self.step(n, batch)


def draw(models, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    n = np.array([1, 2, 4, 8, 16, 32, 64])
    for (name, model), style in zip(models.items(), ("-", "--"), strict=True):
        for batch, color in ((512, BLUE), (2048, ORANGE), (65_536, GREEN)):
            faster = [model.step(1, batch) / model.step(int(k), batch) for k in n]
            hours = [model.epoch(int(k), batch, 1e9) / 3600 for k in n]
            label = f"batch {batch:,}, {name}"
            left.plot(n, faster, style, color=color, label=label, marker="o", markersize=3)
            right.plot(n, hours, style, color=color, marker="o", markersize=3)
    left.plot(n, n, color="0.7", linewidth=1)
    left.annotate("ideal", (8, 8), (-4, 6), textcoords="offset points", color="0.5", ha="right")
    for axes, label in ((left, "times as fast as one process"), (right, "hours for an epoch")):
        axes.set(xscale="log", yscale="log", xlabel="processes", ylabel=label, xticks=n)
        axes.set_xticklabels(n)
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    left.set_title("a step (computed)")
    right.set_title("1,000,000,000 rows of 100 columns (computed)")
    left.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--child", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    kinds = {"one": (1, 1), "one of two threads": (1, 2), "two": (2, 1)}
    found = {}
    for _ in range(arguments.rounds):
        for batch in (512, 2048):
            for name, kind in kinds.items():
                told = run(*kind, batch)
                best = found.setdefault((batch, name), told)
                if told[0] < best[0]:
                    found[batch, name] = told
    for batch in (512, 2048):
        one = found[batch, "one"][0]
        for name in kinds:
            seconds, waited, n_weights, _ = found[batch, name]
            waits = f", of a step {1000 * waited:.1f} ms for the sum" if name == "two" else ""
            print(
                f"batch {batch:5,}, {name:18}: {N_ROWS / seconds:8,.0f} rows/s, "
                f"{one / seconds:.2f} times one{waits}"
            )
    seconds, _, n_weights, sums = found[2048, "two"]
    small, large = sums["1000"], sums[str(n_weights)]
    torch.set_num_threads(1)
    a, b = step_costs()
    c = timed(lambda: torch.randn(2048, 16)) / 2048
    order = timed(lambda: torch.randperm(10**7), 3) / 10**7
    n_bytes = 4 * n_weights
    # Two messages of half of the gradients each.
    here = {"latency": small / 2, "bandwidth": n_bytes / max(large - small, 1e-9)}
    print(
        f"{n_weights:,} weights; a step of one process: {1000 * a:.2f} ms and {1e6 * b:.2f} µs a "
        f"row; noise {1e9 * c:.0f} ns a row; order {1e9 * order:.0f} ns a row; here a message has "
        f"{1e6 * here['latency']:.0f} µs and {here['bandwidth'] / 1e9:.2f} GB/s"
    )
    constants = a, b, c, order, n_bytes
    models = {"this machine": Model(*constants, **here), "10 Gbit/s": Model(*constants, **NETWORK)}
    for name, model in models.items():
        for batch in (512, 2048, 65_536):
            told = ", ".join(
                f"{n}: {model.step(1, batch) / model.step(n, batch):.1f}" for n in (2, 8, 64)
            )
            hours = model.epoch(64, batch, 1e9) / 3600
            print(
                f"computed, {name}, batch {batch:,}: faster by {told}; 10^9 rows, 64: {hours:.1f} h"
            )
    if arguments.output:
        draw(models, arguments.output)
    ratio = found[2048, "one"][0] / seconds
    assert ratio >= LEAST, f"two processes are {ratio:.2f} times as fast as one"


if __name__ == "__main__":
    main()
