"""Claim: on a GPU of the H200 class a whole fit of the tutorials' network takes less than 5 s.

That is the convolutional network on 60,000 MNIST images, 30 epochs, batch 128, from the call of
fit to its end. The dense network 784-256-128-16 and back trains on at least a million images a
second. Each with compile=False and compile=True; the claim is about the better of the two. Before
each, a fit of two epochs warms the device up, and compiles: its seconds are printed apart.

    python benchmarks/gpu.py --data DIR

Without a CUDA device it says so and measures nothing. DIR as in against_peers.py.
"""

import argparse
import time
import warnings

import torch
from against_peers import load_pixels
from against_torch import OURS

from skvae import VariationalAutoencoder

N_EPOCHS = 30


def fit(network, pixels, compiled, n_epochs):
    """Return the seconds of the whole call, and the images a second of its last epochs."""
    vae = VariationalAutoencoder(
        likelihood="bernoulli",
        max_epochs=n_epochs,
        compile=compiled,
        device="cuda",
        random_state=0,
        **OURS[network],
    )
    start = time.perf_counter()
    vae.fit(pixels)
    seconds = time.perf_counter() - start
    last = [row["dur"] for row in vae.history_[-10:]]
    return seconds, len(pixels) * len(last) / sum(last)


def measure(network, pixels):
    """Print both ways; return the better of each figure."""
    runs = []
    for compiled in (False, True):
        first, _ = fit(network, pixels, compiled, 2)
        seconds, speed = fit(network, pixels, compiled, N_EPOCHS)
        print(
            f"{network}, compile={compiled}: first fit of 2 epochs {first:.2f} s, then {N_EPOCHS} "
            f"epochs {seconds:.2f} s, {speed:,.0f} images a second"
        )
        runs.append((seconds, speed))
    return min(seconds for seconds, _ in runs), max(speed for _, speed in runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx files of MNIST")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device here: nothing was measured")
        return
    warnings.simplefilter("ignore")
    pixels = load_pixels(args.data)
    seconds, _ = measure("conv", pixels)
    _, speed = measure("dense", pixels)
    assert seconds < 5, seconds
    assert speed > 1e6, speed


if __name__ == "__main__":
    main()
