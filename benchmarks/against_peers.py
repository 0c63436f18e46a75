"""Claim: skvae trains faster than Keras 3, stock skorch and pythae, at default settings.

Images a second while training the convolutional network of the tutorials, by default or with
compile=True, whichever is faster: at least twice those of Keras on its fastest backend and four
times those of stock skorch. The dense network 784-256-128-16 and back: at least those of the
fastest of them, and with compile=True 1.8 times those of Keras on JAX.

    python benchmarks/against_peers.py --data DIR --install     # makes the environments first
    python benchmarks/against_peers.py --data DIR
    python benchmarks/against_peers.py --data DIR --quick
    python benchmarks/against_peers.py --data DIR --networks dense --peers keras-jax

Most of the time goes to JAX's transposed convolutions: about 10 s for 1,280 images on 2 cores.
DIR holds the idx files of MNIST, packed or not; without it they come from OpenML, and where that
cannot be reached, random values of the same shape take their place.

All train on the CPU at their own defaults (threads, compilation, precision): float32 images in
[0, 1], batches of 128, Adam 1e-3, Bernoulli likelihood, KL in closed form. Every framework lives
in an environment and a process of its own (see peers/); skvae in the environment of this script.
They take turns, A B C A B C, and while one trains the others wait. Each turn is a warm-up of ten
batches and one epoch, timed from its begin to its end by the framework's own callbacks. A ratio is
the median over rounds of two epochs of the same round. With compile=True the epoch is the second
of a fit of two, because each fit has to compile, or to find what is compiled. "Call" counts
everything in the call that trains the epoch (partial_fit, fit, a pipeline): the checks of X,
copies, and what skvae and pythae do once after training. The claims are about epochs.

Run it alone: beside another job on the same cores the ratios mean nothing. torch's threads wait
for each other in every operation, and an epoch then takes tens of times longer, skvae's as well;
TensorFlow and JAX lose about half.

A peer whose environment is missing or broken is left out, and its claims are not measured.
"""

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.datasets import fetch_openml

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"


@dataclass
class Peer:
    """How a framework is installed and started."""

    worker: str
    requirements: tuple = ()
    backend: str = ""


PEERS = {
    "keras-tensorflow": Peer("keras_worker.py", ("keras", "tensorflow-cpu"), "tensorflow"),
    "keras-jax": Peer("keras_worker.py", ("keras", "jax", "jaxlib"), "jax"),
    "keras-torch": Peer("keras_worker.py", ("keras", "torch"), "torch"),
    "skorch": Peer("skorch_worker.py", ("skorch", "torch")),
    "pythae": Peer("pythae_worker.py", ("pythae==0.1.2", "torch")),
}
OURS = {
    "skvae": Peer("skvae_worker.py"),
    "skvae, compiled": Peer("skvae_compiled_worker.py"),
}

# Of each network and our ways, of which the fastest counts: at least so many times a peer's images
# a second.
CLAIMS = {
    ("conv", tuple(OURS)): {
        "keras-tensorflow": 2.0,
        "keras-jax": 2.0,
        "keras-torch": 2.0,
        "skorch": 4.0,
    },
    ("dense", ("skvae",)): dict.fromkeys(PEERS, 1.0),
    ("dense", ("skvae, compiled",)): {"keras-jax": 1.8},
}
ROWS = {"conv": 12_800, "dense": 60_000}
QUICK_ROWS = {"conv": 2560, "dense": 12_800}


# The data


def read_idx(folder, part="train"):
    """Return the images of a part in a folder of idx files."""
    found = sorted(Path(folder).glob(f"{part}-images*ubyte*"))
    if not found:
        raise SystemExit(f"{folder} holds no {part}-images-...-ubyte or ...-ubyte.gz")
    opener = gzip.open if found[-1].suffix == ".gz" else open
    with opener(found[-1], "rb") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)


def load_pixels(folder):
    """Return the 60,000 training images, or random values of their shape."""
    if folder is not None:
        return read_idx(folder)
    try:
        images = fetch_openml("mnist_784", version=1, as_frame=False).data[:60_000]
        return images.astype(np.uint8)
    except OSError as error:
        print(f"OpenML cannot be reached ({error}): the data are random values, not MNIST.")
        return np.random.default_rng(0).integers(0, 256, (60_000, 784), dtype=np.uint8)


# The environments and the workers in them


def python_of(name, environments):
    return Path(environments) / name / "bin" / "python"


def install(name, environments):
    """Make the environment of a peer where it is missing, and put in what it needs."""
    python = python_of(name, environments)
    print(f"Installing {name}", flush=True)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS]
    if subprocess.run([*pip, *PEERS[name].requirements]).returncode:
        print(f"{name} could not be installed")


class BrokenWorkerError(Exception):
    """A worker has ended, or could not be started."""


class Worker:
    """A process that trains when it is asked to, and otherwise waits."""

    def __init__(self, python, peer, data):
        self.log = data.with_name(f"{peer.worker}-{peer.backend}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [python, HERE / "peers" / peer.worker, data],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"KERAS_BACKEND": peer.backend, "CUDA_VISIBLE_DEVICES": ""},
            )
        self.versions = self.read()

    def read(self):
        """Return the next answer."""
        line = self.process.stdout.readline()
        if not line:
            complaints = self.log.read_text().strip().splitlines()
            raise BrokenWorkerError(complaints[-1] if complaints else "it said nothing")
        return json.loads(line)

    def train(self, network, rows):
        """Return the figures of one epoch."""
        request = json.dumps({"network": network, "rows": rows})
        with suppress(BrokenPipeError):  # nobody there: reading then says why
            print(request, file=self.process.stdin, flush=True)
        return self.read()

    def close(self):
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def start_worker(name, environments, data):
    """Return the worker of a peer, or None where that does not work."""
    python = python_of(name, environments)
    if not python.exists():
        print(f"{name} is left out: no environment (--install makes one)")
        return None
    try:
        return Worker(python, PEERS[name], data)
    except BrokenWorkerError as error:
        print(f"{name} is left out: {error}")
        return None


# Measuring


def take_turns(workers, network, rows, rounds):
    """Return the figures of each worker in each round; take out workers that break."""
    figures = {name: [] for name in workers}
    for _ in range(rounds):
        for name in list(workers):
            try:
                figures[name].append(workers[name].train(network, rows))
            except BrokenWorkerError as error:
                print(f"{name} is left out from here: {error}")
                del workers[name]
    return {name: figures[name] for name in workers}


def ratios(figures, name, way="skvae"):
    """Return in each round how many times a peer's speed ours was."""
    return [
        theirs["seconds"] / ours["seconds"]
        for theirs, ours in zip(figures[name], figures[way], strict=True)
    ]


def print_speeds(network, rows, figures, workers):
    """Print one line for each framework."""
    print(f"\n{network}, {rows:,} images an epoch, median of {len(figures['skvae'])} rounds")
    ways = "".join(f"{way:>18}" for way in OURS)
    print(f"{'':<18}{'images/s':>10}{'call':>10}{ways}{'loss':>8}")
    for name, rounds in figures.items():
        speeds = [rows / median(r[key] for r in rounds) for key in ("seconds", "call")]
        times = [sorted(ratios(figures, name, way)) for way in OURS]
        are = "".join(f"{median(t):.2f}x ({t[0]:.2f}-{t[-1]:.2f})".rjust(18) for t in times)
        print(
            f"{name:<18}{speeds[0]:>10,.0f}{speeds[1]:>10,.0f}{are}"
            f"{rounds[-1]['loss']:>8.1f}  {workers[name].versions}"
        )


def check_claims(network, figures):
    """Return a line of the table of claims for each peer: measured, wanted, verdict."""
    lines = []
    for (claimed, ways), peers in CLAIMS.items():
        for name, wanted in peers.items() if claimed == network else ():
            what = f"{network}, {' or '.join(ways)}"
            if name not in figures:
                lines.append((what, name, "", wanted, "not measured"))
                continue
            measured = max(median(ratios(figures, name, way)) for way in ways)
            verdict = "holds" if measured >= wanted else "FAILS"
            lines.append((what, name, f"{measured:.2f}", wanted, verdict))
    return lines


def measure(workers, networks, rows, rounds):
    """Measure and print networks; return the lines of the table of claims."""
    claims = []
    for network in networks:
        figures = take_turns(workers, network, rows[network], rounds)
        if not OURS.keys() <= figures.keys():
            raise SystemExit("skvae itself broke: nothing to compare")
        print_speeds(network, rows[network], figures, workers)
        claims += check_claims(network, figures)
    return claims


def conclude(claims):
    """Print the table of claims, and assert them."""
    print(f"\n{'claim: skvae against':<48}{'measured':>10}{'at least':>10}")
    for what, name, measured, wanted, verdict in claims:
        print(f"{what:<31}{name:<17}{measured:>10}{wanted:>10.1f}  {verdict}")
    failed = [f"{what} {name}" for what, name, *_, verdict in claims if verdict == "FAILS"]
    assert not failed, failed
    assert any(verdict == "holds" for *_, verdict in claims), "nothing was measured"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with the idx files of MNIST")
    parser.add_argument(
        "--environments",
        default=HERE / "peers" / ".venv",
        help="folder of the peers' environments, one each, named like the peer",
    )
    parser.add_argument("--install", action="store_true", help="make the environments first")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--networks", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rows", type=int, help=f"images an epoch, {ROWS} by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS} images an epoch")
    return parser.parse_args()


def start_workers(stack, args):
    """Return skvae's worker and those of the peers that can be started, by name."""
    data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "rows.npy"
    np.save(data, np.divide(load_pixels(args.data), 255, dtype=np.float32))
    workers = {way: Worker(sys.executable, peer, data) for way, peer in OURS.items()}
    started = {name: start_worker(name, args.environments, data) for name in args.peers}
    workers |= {name: worker for name, worker in started.items() if worker}
    for worker in workers.values():
        stack.callback(worker.close)
    return workers


def main():
    args = parse_arguments()
    for name in args.peers if args.install else ():
        install(name, args.environments)
    load = f"load {os.getloadavg()[0]:.1f} before the start"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {load}")
    rows = QUICK_ROWS if args.quick else ROWS
    if args.rows:
        rows = dict.fromkeys(ROWS, args.rows)
    with ExitStack() as stack:
        claims = measure(start_workers(stack, args), args.networks, rows, args.rounds)
    conclude(claims)


if __name__ == "__main__":
    main()
