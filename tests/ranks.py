"""What two processes do in tests/test_parallel.py: ``torchrun --nproc-per-node 2 tests/ranks.py``.

The fits are run by torchrun, and by the test in one process, to be compared.
"""

import hashlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
from skorch.callbacks import Callback

import skvae
from skvae import (
    ConditionalVAE,
    VAEClassifier,
    VAEImputer,
    VAEOutlierDetector,
    VariationalAutoencoder,
)
from skvae._training import checkpoint, state_arrays
from skvae.objectives import ELBO, BetaTCVAE, Trimmed

rng = np.random.default_rng(0)
Y = rng.integers(3, size=301)
X = rng.normal(size=(301, 6)) + 2 * rng.normal(size=(3, 6))[Y]
X[:, 3:] = X[:, :3] + 0.3 * X[:, 3:]
FEW = np.where(np.arange(301) % 8 == 0, Y, -1)
GAPS = np.where(rng.random(X.shape) < 0.1, np.nan, X)
WEIGHT = rng.random(301)


def vae(**params):
    quick = {"hidden_layer_sizes": (8,), "dropout": 0.0, "max_epochs": 3, "batch_size": 100}
    return VariationalAutoencoder(**(quick | {"random_state": 0} | params))


def warm():
    return vae(warm_start=True).fit(X[::2]).fit(X)


LEARNS = {"early_stopping": True, "n_iter_no_change": 2, "learning_rate": 0.01, "max_epochs": 40}
STEPS = {"max_steps": 7, "max_epochs": 8, "learning_rate_schedule": "one_cycle"}

FITS = {  # 301 rows: the last batch has one, and a process none
    "plain": lambda: vae().fit(X),
    "weights, clipping": lambda: vae(gradient_clip=0.1).fit(X, sample_weight=WEIGHT),
    "early stopping": lambda: vae(**LEARNS).fit(X),
    "schedule, steps": lambda: vae(**STEPS).fit(X),
    "iwae, vamp": lambda: vae(objective="iwae", prior="vamp").fit(X),
    "flows": lambda: vae(prior="flow", posterior_family="flow", max_epochs=2).fit(X),
    "full": lambda: vae(posterior_family="full").fit(X),
    "free bits, weights": lambda: vae(free_bits=0.5).fit(X, sample_weight=WEIGHT),
    "trimmed": lambda: vae(objective=Trimmed(0.3, ELBO(free_bits=0.1))).fit(X),
    "warm start": warm,
    "images": lambda: vae(image_shape=(2, 3), conv_channels=(2,), precision="float32").fit(X),
    "VAEImputer": lambda: VAEImputer(vae(), n_estimators=1, random_state=0).fit(GAPS).vae_,
    "VAEOutlierDetector": lambda: VAEOutlierDetector(vae(), n_estimators=1).fit(X).vae_,
    "ConditionalVAE": lambda: ConditionalVAE(vae()).fit(X, Y).vae_,
    "VAEClassifier": lambda: VAEClassifier(vae(max_epochs=6)).fit(X, FEW).vae_,
    "a processor's noise": lambda: vae(dropout=0.2).fit(X),
    "random_state=None": lambda: vae(random_state=None).fit(X),
}

REFUSED = {
    "normalization='batch'": lambda: vae(normalization="batch").fit(X),
    "objective=BetaTCVAE": lambda: vae(objective=BetaTCVAE(beta=2.0)).fit(X),
    "same X, weights and random_state": lambda: vae().fit(X[int(os.environ.get("RANK", 0)) :]),
    "The 'prior' parameter": lambda: vae(prior="nomral").fit(X),
}


def described(model):
    """Return numbers that all that a fit decides goes into, but the seconds that it took."""
    found = hashlib.sha256()
    for name, array in state_arrays(model.net_).items():
        found.update(name.encode() + array.tobytes())
    rows = [{k: row[k] for k in row if k != "dur"} for row in model.history_]
    found.update(repr(rows).encode())
    found.update(model.kl_per_component_.tobytes())
    return {
        "digest": found.hexdigest(),
        "epochs": [model.n_iter_, model.best_epoch_],
        "loss": [row["train_loss"] for row in rows],
        "kl": model.kl_per_component_.tolist(),
    }


class After(Callback):
    """Do something at the end of the n-th epoch."""

    def __init__(self, n, do):
        self.n = n
        self.do = do

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n:
            self.do()


def long(*callbacks):
    """A fit that is killed, and goes on."""
    return vae(**(LEARNS | {"max_epochs": 12}), dropout=0.1, callbacks=list(callbacks)).fit(X)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    raise OSError("no space left, says one of them")


def caught(function):
    try:
        function()
    except Exception as error:  # whatever it is, the test looks at it
        return f"{type(error).__name__}: {error}"
    return "no error"


def main(folder):
    with skvae.data_parallel(checkpoint=folder / "whole") as world:
        is_last = world.rank == 1
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            said = {name: caught(fit) for name, fit in REFUSED.items()}
            fits = {name: described(fit()) for name, fit in FITS.items()} | {
                "long": described(long())
            }
            vae().fit(X).save(folder / "model.safetensors")
            there = (folder / "model.safetensors").exists()
            write(folder / f"first{world.rank}.json", [said, fits, there])
    with skvae.data_parallel(checkpoint=folder / "killed"):
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            long(*[After(6, kill)] * is_last)
        n_trained = []
        model = long(After(7, lambda: n_trained.append(7)), After(4, lambda: n_trained.append(4)))
        write(folder / f"second{world.rank}.json", [described(model), n_trained])
        message = caught(lambda: vae(callbacks=[After(2, fail)] * is_last).fit(X))
        write(folder / f"third{world.rank}.json", message)


def write(path, value):
    path.write_text(json.dumps(value))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    checkpoint.LONGEST_SHARE = float("inf")  # these epochs are shorter than the writing of a file
    main(Path(sys.argv[1]))
