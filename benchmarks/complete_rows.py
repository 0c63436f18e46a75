"""Claim: complete rows train and score as fast as before the model could take missing values.

Two processes take turns, A B A B: one imports skvae from here, the other from a checkout of before
(commit 87dd639). Each fits the same model to the same table without a gap, and scores its rows; a
ratio is the median over rounds of what it takes here over what it took before. Asserted: at most
1.1.

    git worktree add ../before 87dd639
    python benchmarks/complete_rows.py --before ../before      # two minutes

As other changes lie between the two commits, this tells what all of them cost together.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).parents[1]
LIMIT = 1.1
TABLES = {"150 x 4": (150, 4, 100), "2,000 x 20": (2000, 20, 20), "2,000 x 200": (2000, 200, 10)}
WORKER = """
import sys, time
import numpy as np, torch
import skvae

torch.set_num_threads(1)
for line in sys.stdin:
    n, d, epochs = map(int, line.split())
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + rng.normal(size=(n, d))
    vae = skvae.VariationalAutoencoder(
        4, hidden_layer_sizes=(64,), likelihood="gaussian", max_epochs=epochs, random_state=0
    )
    start = time.process_time()
    vae.fit(X)
    fitted = time.process_time()
    for _ in range(5):
        vae.score_samples(X)
    print(fitted - start, time.process_time() - fitted, skvae.__file__, flush=True)
"""


class Worker:
    """A process that imports skvae from a checkout."""

    def __init__(self, tree):
        tree = Path(tree).resolve()
        environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tree = tree

    def seconds(self, table):
        """Return the seconds of the processor of a fit, and of five times the scores."""
        self.process.stdin.write("{} {} {}\n".format(*table))
        self.process.stdin.flush()
        fit, score, file = self.process.stdout.readline().split(maxsplit=2)
        assert Path(file.strip()).is_relative_to(self.tree), f"{file} is not of {self.tree}"
        return float(fit), float(score)

    def end(self):
        """Let it end."""
        self.process.stdin.close()
        self.process.wait()


def main():
    """Measure, print a table, and assert the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", required=True, help="a checkout of commit 87dd639")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    workers = [Worker(HERE), Worker(args.before)]
    slow = []
    print("| table | | here, s | before, s | ratio | of single rounds |\n|", " --- |" * 6, sep="")
    for name, table in TABLES.items():
        # The first round warms up.
        rounds = [[worker.seconds(table) for worker in workers] for _ in range(args.rounds + 1)]
        for which, what in enumerate(("fit", "score_samples")):
            here, before = np.array(rounds[1:])[:, :, which].T
            ratio = median(here / before)
            spread = f"{(here / before).min():.2f} to {(here / before).max():.2f}"
            times = f"{median(here):.3f} | {median(before):.3f}"
            print(f"| {name} | {what} | {times} | {ratio:.3f} | {spread} |", flush=True)
            if ratio > LIMIT:
                slow.append(f"{what} of {name}: {ratio:.3f}")
    for worker in workers:
        worker.end()
    raise SystemExit("\n".join(slow) if slow else 0)


if __name__ == "__main__":
    main()
