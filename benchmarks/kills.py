"""kill -9 at random moments of a fit with checkpoints: what comes of going on.

``python benchmarks/kills.py --kills 30``. Each trial is a process that fits a model and is killed
at a moment drawn over the length of the whole fit, again and again until one comes to its end. The
weights, the optimiser's state, the history and the KL of every end are compared with those of a
fit that nobody disturbed, bit for bit.
"""

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import skvae
from skvae import VAEClassifier, VariationalAutoencoder
from skvae._training import state_arrays

QUICK = {"hidden_layer_sizes": (64,), "random_state": 0}
FITS = {
    "plain": {"max_epochs": 60},
    "early stopping": {"max_epochs": 60, "early_stopping": True, "n_iter_no_change": 4},
    "schedule, clipping": {
        "max_epochs": 60,
        "learning_rate_schedule": "one_cycle",
        "gradient_clip": 1.0,
    },
    "steps": {"max_steps": 1500, "optimizer": "sgd", "learning_rate": 1e-4},
    "few labels": {"max_epochs": 25},
}


def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=3000)
    X = rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 20)) + 2 * rng.normal(size=(3, 20))[y]
    return X, np.where(rng.random(3000) < 0.05, y, -1)


def fitted(name):
    X, y = rows()
    vae = VariationalAutoencoder(**QUICK, **FITS[name])
    return VAEClassifier(vae).fit(X, y).vae_ if name == "few labels" else vae.fit(X)


def digest(vae):
    """Return a number for all that a fit decides, but the seconds that it took."""
    found = hashlib.sha256(vae.kl_per_component_.tobytes())
    for name, array in state_arrays(vae.net_).items():
        found.update(name.encode() + array.tobytes())
    found.update(repr([{k: row[k] for k in row if k != "dur"} for row in vae.history_]).encode())
    return found.hexdigest()


def started(name, folder):
    """Fit in a process of its own, and return its number; its digest comes into the folder."""
    process = os.fork()
    if process:
        return process
    with warnings.catch_warnings(action="ignore"), skvae.data_parallel(checkpoint=folder / "run"):
        (folder / "digest").write_text(digest(fitted(name)))
    os._exit(0)


def ended(process):
    return os.waitpid(process, os.WNOHANG)[0] == process


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    seconds, whole = {}, {}
    for name in FITS:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            os.waitpid(started(name, Path(folder)), 0)
            seconds[name] = time.monotonic() - start
            whole[name] = (Path(folder) / "digest").read_text()
    n_kills, n_ends, n_equal = 0, 0, 0
    while n_kills < arguments.kills:
        name = list(FITS)[n_ends % len(FITS)]
        with tempfile.TemporaryDirectory() as folder:
            at = []
            while True:
                process = started(name, Path(folder))
                moment = rng.uniform(0, seconds[name])
                end = time.monotonic() + moment
                while time.monotonic() < end and not (done := ended(process)):
                    time.sleep(0.001)
                if done:
                    break
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                at.append(f"{moment:.2f}")
            is_equal = (Path(folder) / "digest").read_text() == whole[name]
        n_kills, n_ends, n_equal = n_kills + len(at), n_ends + 1, n_equal + is_equal
        print(f"{name}, {seconds[name]:.1f} s, killed at {', '.join(at) or '-'}: {is_equal}")
        sys.stdout.flush()
    print(f"{n_kills} kills, {n_ends} fits, {n_equal} ended at the bits of the undisturbed fit")


if __name__ == "__main__":
    main()
