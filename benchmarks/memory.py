"""Claim: ``fit`` never copies X: 4 GB of images in a file take less than 400 MB to train on.

Peak resident memory of one ``fit``, in a fresh process for each case, above what the process
held right after the imports, asserted to be at most:

- images: a uint8 memmap of 28 x 28 images, levels 0 to 255, Bernoulli, dense: 400 MB;
- convolutional: such a memmap, default network for images, 500 batches: 400 MB;
- memmap: a float32 memmap of 784 columns, dense, default likelihood: 400 MB;
- array: a float32 array in memory, the same: its own size and 300 MB;
- csr: a CSR matrix of 784 columns, a tenth of them stored, the same: its own size and 300 MB.

Every fit passes over all rows several times: to check them, in the shuffled order of an epoch,
and at the end for the KL of the components.

    python benchmarks/memory.py                  # 4 GB of images, 1 GB in the other cases
    python benchmarks/memory.py --gigabytes 0.4 --others 0.2 --cases images csr

The data are noise: a random block of 64 MB, repeated and each time shifted. The files lie in a
temporary folder (under --directory, which must not be held in memory, as tmpfs is) and are
removed. Linux only: the kernel counts the peak (VmHWM, reset once X is there), and counts those
pages of a mapped file that are in memory and mapped.
"""

import argparse
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import scipy.sparse

from skvae import VariationalAutoencoder

N_FEATURES = 28 * 28
BLOCK_BYTES = 64_000_000
STORED = np.arange(0, N_FEATURES - 10, 10, dtype=np.int32)  # columns in a row of the CSR matrix


def fill(X):
    """Fill an array with noise, floats in [0, 1) or all levels of uint8; return it."""
    generator = np.random.default_rng(0)
    shape = min(len(X), BLOCK_BYTES // X[0].nbytes), *X.shape[1:]
    is_float = X.dtype.kind == "f"
    block = generator.random(shape, X.dtype) if is_float else generator.bytes(np.prod(shape))
    block = np.frombuffer(block, X.dtype).reshape(shape)
    for i, start in enumerate(range(0, len(X), len(block))):
        part = X[start : start + len(block)]
        part[:] = np.roll(block, i)[: len(part)]
    return X


def write(path, n_bytes, dtype):
    """Write a file of random rows."""
    shape = int(n_bytes) // (N_FEATURES * np.dtype(dtype).itemsize), N_FEATURES
    fill(np.lib.format.open_memmap(path, "w+", dtype, shape)).flush()


def make_array(n_bytes):
    return fill(np.empty((int(n_bytes) // (4 * N_FEATURES), N_FEATURES), np.float32))


def make_csr(n_bytes):
    n_rows, n_stored = int(n_bytes) // (8 * len(STORED)), len(STORED)
    columns = np.empty((n_rows, n_stored), np.int32)
    np.add(STORED, np.arange(n_rows, dtype=np.int32)[:, None] % 10, out=columns)
    ends = np.arange(0, n_rows * n_stored + 1, n_stored, dtype=np.int32)
    values = fill(np.empty((n_rows, n_stored), np.float32))
    parts = values.ravel(), columns.ravel(), ends
    return scipy.sparse.csr_matrix(parts, shape=(n_rows, N_FEATURES))


DENSE = {"hidden_layer_sizes": (16,), "batch_size": 1024}
IMAGES = {"likelihood": "bernoulli"}
CONVOLUTIONAL = {"image_shape": (28, 28), "max_steps": 500}


@dataclass
class Case:
    """Rows, a model, and how much memory may be added to the process, in MB."""

    params: dict = field(default_factory=lambda: DENSE)
    dtype: str = "float32"
    make: Callable | None = None  # or else a file
    limit: float = 400.0  # without X itself


CASES = {
    "images": Case(IMAGES | DENSE, "uint8"),
    "convolutional": Case(IMAGES | CONVOLUTIONAL, "uint8"),
    "memmap": Case(),
    "array": Case(make=make_array, limit=300.0),
    "csr": Case(make=make_csr, limit=300.0),
}


def resident(name):
    """Return a line of the kernel's account of this process, in MB."""
    kibibytes = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    return int(kibibytes) * 1024 / 1e6


def reset_peak():
    """Have the kernel count the peak anew; where it refuses, the making of X is counted too."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure(name, path, n_bytes):
    """Return figures of one fit: for a process that has done nothing else."""
    warnings.simplefilter("ignore")
    imported = resident("VmRSS")
    case = CASES[name]
    X = case.make(n_bytes) if case.make else np.load(path, mmap_mode="r")
    model = VariationalAutoencoder(max_epochs=1, random_state=0, **case.params)
    reset_peak()
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    arrays = (X.data, X.indices, X.indptr) if scipy.sparse.issparse(X) else (X,)
    size = sum(array.nbytes for array in arrays) / 1e6
    return X.shape[0], size, resident("VmHWM") - imported, seconds


def in_fresh_process(name, n_bytes, directory):
    """Return the figures of a case."""
    case = CASES[name]
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder) / "X.npy"
        if case.make is None:
            write(path, n_bytes, case.dtype)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(measure, name, path, n_bytes).result()


def run(name, n_bytes, directory):
    """Measure a case, print its line, and return what is wrong, if anything."""
    try:
        n_rows, size, added, seconds = in_fresh_process(name, n_bytes, directory)
    except Exception as error:
        return [f"{name}: {error!r}"]
    limit = CASES[name].limit + (size if CASES[name].make else 0)
    print(f"{name:14}{n_rows:10}{size:10.0f}{added:10.0f}{limit:10.0f}{seconds:8.0f}", flush=True)
    return [f"{name}: {added:.0f} MB > {limit:.0f} MB"] if added > limit else []


def main():
    """Measure, print a table, and assert the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=4, help="size of X in the case images")
    parser.add_argument("--others", type=float, default=1, help="gigabytes of the other cases")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--directory", help="where files are made; default: the system's")
    args = parser.parse_args()
    print(f"{'case':14}{'rows':>10}{'X, MB':>10}{'peak, MB':>10}{'limit':>10}{'seconds':>8}")
    failures = []
    for name in args.cases:
        gigabytes = args.gigabytes if name == "images" else args.others
        failures += run(name, gigabytes * 1e9, args.directory)
    assert not failures, failures


if __name__ == "__main__":
    main()
