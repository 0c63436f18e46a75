"""Claim: rows that do not fit into memory cost few passes and little memory.

- whole: a fit of one epoch to 30,000 x 784 floats in memory takes at most 1.10 times the epoch
  itself: all that comes before the first step and after the last one, for two likelihoods;
- mapped: the same of a mapped file of 10,000,000 x 50 float32 (2 GB), batches of 128: at most 1.5
  times, and at most 400 MB of memory;
- csr: 40 steps on 20,000 x 20,000 with a hundredth of the values stored, 32 MB: time and memory;
- chunked: one epoch of a file of 100,000,000 x 20 float32 (8 GB), batches of 4,096, then
  ``transform`` into another file: at most 500 MB of memory.

    python benchmarks/larger_than_memory.py --cases whole csr               # two minutes
    python benchmarks/larger_than_memory.py --cases mapped --share 0.2      # of the rows
    python benchmarks/larger_than_memory.py --cases chunked --format zarr

Memory is the peak of the process, of pages of files too, above what it held right after the
imports and a first small fit (Linux: VmHWM). The files lie in a temporary folder (under
--directory, which must not be held in memory, as tmpfs is) and are removed.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
from memory import reset_peak, resident

from skvae import VariationalAutoencoder

failures = []


def claim(text, value, most):
    """Print what was found, and note what does not hold."""
    holds = value <= most
    print(f"{text:60s} {value:9.2f}  at most {most:6.2f}  {'holds' if holds else 'FAILS'}")
    if not holds:
        failures.append(text)


def some_rows(n_rows, n_columns, seed=0):
    """Return rows that eight factors explain, and noise."""
    generator = np.random.default_rng(seed)
    factors = generator.standard_normal((n_rows, 8), np.float32)
    loadings = np.random.default_rng(1).standard_normal((8, n_columns), np.float32)
    return factors @ loadings + generator.standard_normal((n_rows, n_columns), np.float32)


def write(array, n_rows, n_columns):
    """Fill an array of a file, a million rows at a time."""
    for i, start in enumerate(range(0, n_rows, 1_000_000)):
        stop = min(start + 1_000_000, n_rows)
        array[start:stop] = some_rows(stop - start, n_columns, seed=i)


def npy(path, n_rows, n_columns):
    """Write a file of numpy's, and map it."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, n_columns))
    write(array, n_rows, n_columns)
    array.flush()
    return np.load(path, mmap_mode="r")


def in_zarr(path, n_rows, n_columns):
    """Write an array of zarr, chunks of 100,000 rows, without compression."""
    import zarr

    array = zarr.create_array(
        path, shape=(n_rows, n_columns), chunks=(100_000, n_columns), dtype="f4", compressors=None
    )
    write(array, n_rows, n_columns)
    return array


FORMATS = {"npy": npy, "zarr": in_zarr}


def fit(model, X):
    """Fit; return the seconds of the call, those of its epochs, and the memory it took in MB."""
    model.fit(np.array(X[:300]))  # what a first fit imports
    reset_peak()
    before = resident("VmRSS")
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    epochs = sum(epoch["dur"] for epoch in model.history_)
    return seconds, epochs, resident("VmHWM") - before


def whole(args, folder):
    X = 1 / (1 + np.exp(-some_rows(30_000, 784)))
    for likelihood in ("gaussian", "continuous_bernoulli"):
        model = VariationalAutoencoder(
            16, hidden_layer_sizes=(256, 128), likelihood=likelihood, max_epochs=1, random_state=0
        )
        ratios = []
        for _ in range(args.rounds):
            seconds, epochs, _ = fit(model, X)
            ratios.append(seconds / epochs)
        print(f"whole, {likelihood}: {seconds:.2f} s, of which the epoch {epochs:.2f} s")
        claim(f"whole, {likelihood}: fit / its epoch", float(np.median(ratios)), 1.10)


def mapped(args, folder):
    n_rows = int(args.share * 10_000_000)
    X = npy(folder / "x.npy", n_rows, 50)
    model = VariationalAutoencoder(8, hidden_layer_sizes=(64,), max_epochs=1, random_state=0)
    seconds, epochs, added = fit(model, X)
    print(f"mapped, {n_rows:,} x 50: {seconds:.0f} s, of which the epoch {epochs:.0f} s")
    claim("mapped: fit / its epoch", seconds / epochs, 1.5)
    claim("mapped: MB of memory", added, 400)


def csr(args, folder):
    X = scipy.sparse.random(20_000, 20_000, 0.01, format="csr", dtype=np.float32, random_state=0)
    model = VariationalAutoencoder(10, max_steps=40, likelihood="gaussian", random_state=0)
    start = time.perf_counter()
    reset_peak()
    before = resident("VmRSS")
    model.fit(X)
    seconds = time.perf_counter() - start
    steps = model.history_[0]["dur"]
    added = resident("VmHWM") - before
    print(f"csr: {seconds:.1f} s, of which 40 steps {steps:.1f} s, {added:.0f} MB")


def chunked(args, folder):
    n_rows = int(args.share * 100_000_000)
    X = FORMATS[args.format](folder / "x.npy", n_rows, 20)
    gigabytes = 80 * n_rows / 1e9
    model = VariationalAutoencoder(
        4, hidden_layer_sizes=(64,), max_epochs=1, batch_size=4096, random_state=0
    )
    seconds, epochs, added = fit(model, X)
    print(f"chunked, {n_rows:,} x 20, {gigabytes:.1f} GB of {args.format}: {seconds:.0f} s, "
          f"of which the epoch {epochs:.0f} s")  # fmt: skip
    claim("chunked: fit / its epoch", seconds / epochs, 1.5)
    claim("chunked: MB of memory in fit", added, 500)
    out = np.lib.format.open_memmap(folder / "z.npy", "w+", np.float32, (n_rows, 4))
    reset_peak()
    before = resident("VmRSS")
    start = time.perf_counter()
    model.transform(X, out=out)
    print(f"chunked: transform {time.perf_counter() - start:.0f} s")
    claim("chunked: MB of memory in transform", resident("VmHWM") - before, 500)
    some = slice(n_rows // 2, n_rows // 2 + 1000)
    assert np.allclose(out[some], model.transform(X[some]), atol=1e-5)


CASES = {case.__name__: case for case in (whole, mapped, csr, chunked)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--share", type=float, default=1.0, help="of the rows of the files")
    parser.add_argument("--format", choices=FORMATS, default="npy", help="of the case chunked")
    parser.add_argument("--rounds", type=int, default=5, help="of the case whole")
    parser.add_argument("--directory", help="where files are made; default: the system's")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in args.cases:
        with tempfile.TemporaryDirectory(dir=args.directory) as folder:
            CASES[name](args, Path(folder))
    assert not failures, failures


if __name__ == "__main__":
    main()
