"""Claim: ``import skvae`` takes at most 1.2 times as long as importing torch, skorch and sklearn.

The two are imported in fresh processes in turn, A B A B, timed from inside; asserted is the
median of the ratios of neighbours. What a process pays once is the difference between its first
fit, of 150 x 4 rows, 100 epochs, and the same fit once more: it is asserted to be at most a quarter
of the time that the import takes. The time to load a model and use it is printed beside them.

    python benchmarks/startup.py             # about two minutes
    python benchmarks/startup.py --rounds 3
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "tests" / "data" / "v1" / "table.safetensors"
REFERENCE = "import torch, skorch, sklearn"
LIMIT = 1.2
ONCE = 0.25
TIMED = "import time; {}; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
MODEL = (
    "from sklearn.datasets import load_iris; from skvae import VariationalAutoencoder; "
    "X = load_iris().data; model = VariationalAutoencoder(max_epochs=100, random_state=0)"
)
LOAD = f"import numpy as np, skvae; X = np.zeros((150, 5)); path = {str(FILE)!r}"
STATEMENTS = {
    "import torch, skorch, sklearn": ("pass", REFERENCE),
    "import skvae": ("pass", "import skvae"),
    "import skvae, after those": (REFERENCE, "import skvae"),
    "first fit, 150 x 4": (MODEL, "model.fit(X)"),
    "second fit": (f"{MODEL}; model.fit(X)", "model.fit(X)"),
    "load a model, transform": (LOAD, "skvae.load(path).transform(X)"),
}


def seconds(before, statement):
    """Return the time of a statement in a fresh process that has run another one."""
    code = TIMED.format(before, statement)
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(child.stdout)


def measure(n_rounds):
    """Return the times of every statement, one for each round, after a round to warm up."""
    rounds = [[seconds(*pair) for pair in STATEMENTS.values()] for _ in range(n_rounds + 1)]
    return dict(zip(STATEMENTS, np.array(rounds[1:]).T, strict=True))


def main():
    """Measure, print a table, and assert the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="processes for each line")
    times = measure(parser.parse_args().rounds)
    for name, values in times.items():
        print(f"{name:30} {np.median(values):6.3f} s   ({values.min():.3f} to {values.max():.3f})")
    ratios = times["import skvae"] / times["import torch, skorch, sklearn"]
    ratio = np.median(ratios)
    print(
        f"{'ratio of the first two':30} {ratio:6.3f}     ({ratios.min():.3f} to {ratios.max():.3f})"
    )
    once = np.median((times["first fit, 150 x 4"] - times["second fit"]) / times["import skvae"])
    print(f"{'once in a process / import':30} {once:6.3f}")
    assert ratio <= LIMIT, f"import skvae takes {ratio:.2f} x the libraries, more than {LIMIT}"
    assert once <= ONCE, f"the first fit takes {once:.2f} x the import longer than the second"


if __name__ == "__main__":
    main()
