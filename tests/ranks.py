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
import pandas as pd
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

import skvae
from skvae import (
    ConditionalVAE,
    VAEClassifier,
    VAEImputer,
    VAEOutlierDetector,
    VariationalAutoencoder,
)
from skvae._data import chunked
from skvae._training import checkpoint, state_arrays
from skvae._world import world
from skvae.likelihoods import NegativeBinomial
from skvae.objectives import ELBO, BetaTCVAE, Trimmed
from skvae.sources import ParquetRows

rng = np.random.default_rng(0)
Y = rng.integers(3, size=301)
X = rng.normal(size=(301, 6)) + 2 * rng.normal(size=(3, 6))[Y]
X[:, 3:] = X[:, :3] + 0.3 * X[:, 3:]
FEW = np.where(np.arange(301) % 8 == 0, Y, -1)
GAPS = np.where(rng.random(X.shape) < 0.1, np.nan, X)
WEIGHT = rng.random(301)


def vae(**params):
    quick = {"hidden_layer_sizes": (8,), "dropout": 0.0, "max_epochs": 3, "batch_size": 100}
    quick |= {"learning_rate_schedule": "constant", "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


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
    "same X, weights, parameters": lambda: vae().fit(X[int(os.environ.get("RANK", 0)) :]),
    "The 'prior' parameter": lambda: vae(prior="nomral").fit(X),
}

# Each process its own rows: the first has those of the first classes, and more of them.

RANK = int(os.environ.get("RANK", -1))
ORDER = np.argsort(Y, kind="stable")
MINE = {-1: ORDER, 0: ORDER[:190], 1: ORDER[190:]}[RANK]
"""The rows of this process; of the test's, all."""

LATE_GAPS = np.where(np.isin(np.arange(301), ORDER[190:])[:, None], GAPS, X)
COUNTS = np.random.default_rng(1).poisson(np.exp(X[:, :4]))
COUNTS[ORDER[:190], 0] = 0
SHARES = np.where(np.isin(np.arange(301), ORDER[:190])[:, None], X > 0, X)
PIXELS = np.clip(np.abs(80 * X), 0, 255).astype(np.uint8)
PIXELS[ORDER[:190]] = PIXELS[ORDER[:190]] > 100
TIMES = np.repeat([0, 1, 2, 3], [50, 100, 150, 1])
FRAME = pd.DataFrame({"a": X[:, 0], "b": COUNTS[:, 1], "c": np.array(["x", "y", "z"])[Y]})
TEXTS = np.array(["x", "y", "z"])[Y]
IRIS = load_iris().data  # in the order of its classes
MINE_OF_IRIS = {-1: slice(None), 0: slice(100), 1: slice(100, None)}[RANK]
AUTO = {"max_epochs": "auto", "hidden_layer_sizes": None, "early_stopping": True}
AUTO |= {"n_iter_no_change": 1}


def frame():
    """A table, whose categories are those of the rows of this process."""
    return FRAME.iloc[MINE].astype({"c": "category"})


def imputer():
    params = {"missing_values": np.nan, "add_indicator": True, "n_estimators": 2}
    return VAEImputer(vae(max_epochs=2), random_state=0, **params).fit(LATE_GAPS[MINE])


OF_SHARDS = {
    "plain": lambda: vae().fit(X[MINE]),
    "iris": lambda: vae(max_epochs=40, batch_size=32).fit(IRIS[MINE_OF_IRIS]),
    "auto": lambda: vae(**AUTO).fit(X[MINE]),
    "weights": lambda: vae().fit(X[MINE], sample_weight=WEIGHT[MINE]),
    "repeats": lambda: vae().fit(X[MINE], sample_weight=TIMES[MINE]),
    "early stopping": lambda: vae(**LEARNS).fit(X[MINE]),
    "schedule, steps": lambda: vae(**STEPS).fit(X[MINE]),
    "cosine": lambda: vae(learning_rate_schedule="cosine").fit(X[MINE]),
    "batches of 1": lambda: vae(batch_size=1, likelihood="gaussian").fit(X[MINE[MINE < 60]]),
    "iwae, vamp": lambda: vae(objective="iwae", prior="vamp").fit(X[MINE]),
    "trimmed": lambda: vae(objective=Trimmed(0.3, ELBO(free_bits=0.1))).fit(X[MINE]),
    "noise of a process": lambda: vae(dropout=0.2, random_state=None).fit(X[MINE]),
    "warm start": lambda: vae(warm_start=True).fit(X[MINE]).fit(X[MINE[MINE % 2 == 0]]),
    "partial_fit": lambda: vae().partial_fit(X[MINE[MINE < 60]]).partial_fit(X[MINE]),
    "late gaps": lambda: vae().fit(LATE_GAPS[MINE]),
    "binary at first": lambda: vae().fit(SHARES[MINE]),
    "counts": lambda: vae(likelihood=NegativeBinomial(size_factor="total")).fit(COUNTS[MINE]),
    "mixed": lambda: vae(likelihood="mixed").fit(COUNTS[MINE]),
    "frame": lambda: vae(likelihood="mixed").fit(frame()),
    "pixels": lambda: vae(image_shape=(2, 3), conv_channels=(2,)).fit(PIXELS[MINE]),
    "VAEOutlierDetector": lambda: VAEOutlierDetector(vae(), n_estimators=2).fit(X[MINE]),
    "clean rows": lambda: VAEOutlierDetector(vae(), novelty=True, n_estimators=2).fit(X[MINE]),
    "latest rows": lambda: VAEOutlierDetector(vae()).partial_fit(X[MINE]).partial_fit(X[MINE]),
    "VAEImputer": imputer,
    "ConditionalVAE": lambda: ConditionalVAE(vae()).fit(X[MINE], TEXTS[MINE]),
    "a number given": lambda: ConditionalVAE(vae(), condition=[1]).fit(X[MINE]),
    "VAEClassifier": lambda: VAEClassifier(vae(max_epochs=9), class_weight="balanced").fit(
        X[MINE], FEW[MINE]
    ),
}


def late():
    """Find a fault in the rows of one process when the others are done with theirs."""
    with world().alike():
        if RANK == 1:
            raise ValueError("after all else")


class UnreadableError(Exception):
    """An error that cannot be made of its text alone."""

    def __init__(self, where, what):
        super().__init__(f"{what} in {where}")


def unreadable():
    with world().alike():
        if RANK == 1:
            raise UnreadableError("its file", "no such column")
        world().parts(1)


SEEN = {"binary at first": SHARES, "iris": IRIS}
"""The rows of a fit, where they are not those of X."""

SHARDS_REFUSED = {
    "counts, whole numbers": lambda: vae(likelihood="poisson").fit(COUNTS[MINE] - RANK),
    "X contains infinity": lambda: vae().fit(np.where(RANK == 1, np.inf, X[MINE])),
    "X has 5 columns in process 1, but 6": lambda: vae().fit(X[MINE, RANK:]),
    "values that are read as float32 in process 1": lambda: vae().fit(
        X[MINE].astype([np.float64, np.float32][RANK])
    ),
    "column 'c' at position 1 in process 1, but column 'b'": lambda: vae().fit(
        pd.DataFrame(X[MINE, :2], columns=["a", "bc"[RANK]])
    ),
    "columns of a matrix in process 1": lambda: vae().fit([pd.DataFrame(X[MINE]), X[MINE]][RANK]),
    "type category in process 1, but not in process 0": lambda: vae(likelihood="mixed").fit(
        frame().astype({"c": ["object", "category"][RANK]})
    ),
    "has different types in the processes": lambda: vae(likelihood="mixed").fit(
        frame().astype({"b": ["bool", "int64"][RANK]})
    ),
    "0 sample(s)": lambda: vae().fit(X[MINE][: 9 * RANK]),
    "leaves no row to train on": lambda: vae(early_stopping=True).fit(X[MINE][: 1 + 9 * RANK]),
    "sample_weight is given in process 1": lambda: vae().fit(
        X[MINE], None, [None, WEIGHT[MINE]][RANK]
    ),
    "sample_weight holds only zeros": lambda: vae().fit(X[MINE], None, RANK * WEIGHT[MINE]),
    "only missing values (NaN)": lambda: vae().fit(np.where(np.arange(6) == 2, np.nan, X[MINE])),
    "the same parameters and random_state": lambda: vae(random_state=RANK).fit(X[MINE]),
    "normalization='batch'": lambda: vae(normalization="batch").fit(X[MINE]),
    "target y is None": lambda: VAEClassifier(vae()).fit(X[MINE], None),
    "y holds no label": lambda: VAEClassifier(vae()).fit(X[MINE], np.full(len(MINE), np.nan)),
    "numbers in some processes and texts in others": lambda: VAEClassifier(vae()).fit(
        X[MINE], [Y, TEXTS][RANK][MINE]
    ),
    "Input y contains NaN": lambda: ConditionalVAE(vae()).fit(
        X[MINE], np.where(RANK == 1, np.nan, Y[MINE])
    ),
    "The conditions of process 1 are [0, 1]": lambda: ConditionalVAE(vae()).fit(
        X[MINE], np.stack([Y[MINE]] * (1 + RANK), 1)
    ),
    "after all else": lambda: late(),
    "Set n_jobs=1": lambda: VAEOutlierDetector(vae(), n_jobs=2).fit(X[MINE]),
}


def learnt(found):
    """Return what a fit knows of all rows, which is that of one process, to the bit."""
    model = found if isinstance(found, VariationalAutoencoder) else found.vae_
    moments = hashlib.sha256()
    for name, values in model.likelihood_.named_buffers():
        moments.update(name.encode() + values.numpy().tobytes())
    told = {
        "likelihood": repr(model.likelihood_),
        "moments": moments.hexdigest(),
        "n_samples_": model.n_samples_,
        "max_epochs": model.net_.max_epochs,
        "rate": model.net_.optimizer_.param_groups[0]["lr"],
        "sees_missing": model._architecture.encoder_sees_missing,
        "layers": model._architecture.hidden_layer_sizes,
        "unit_": model.unit_,
    }
    for name in ("categories_", "n_features_in_"):
        told[name] = getattr(found, name, None)
    if hasattr(found, "classes_"):
        told["classes_"] = found.classes_.tolist()
    if isinstance(found, VAEImputer):
        told["indicator_"] = found.indicator_.features_.tolist()
    if isinstance(found, ConditionalVAE):
        told["shares"] = found._conditions.shares.round(12).tolist()
    if isinstance(found, VAEClassifier):
        told["label_weight"] = found.vae_.prior.label_weight
    return json.loads(json.dumps(told, default=str))


def of_shards(found, rows=X):
    """Return what both processes must have the same of a fit, and its score of some rows."""
    model = found if isinstance(found, VariationalAutoencoder) else found.vae_
    same = described(model)
    if (
        model.n_features_in_ == rows.shape[1]
        and model.unit_ == 1
        and not model._architecture.n_context
    ):
        same["score"] = model.score(rows)
    if isinstance(found, VAEOutlierDetector):
        same["offset_"] = found.offset_
    if isinstance(found, VAEImputer):
        same["factors"] = [*found._shares.tolist(), *found._widening.factors.tolist()]
    return same


class Rows(Callback):
    """Note what comes in each epoch."""

    def __init__(self):
        self.seen = [[]]

    def on_batch_begin(self, net, batch, training):
        if training and world().share:
            self.seen[-1] += batch[0]["batch"].x[:, 0].tolist()

    def on_epoch_end(self, net, **kwargs):
        self.seen.append([])

    def __sklearn_clone__(self):
        return self


def rows_seen():
    """Return whether each row of 101 and of 40 came once in each epoch."""
    watch = Rows()
    mine = X[MINE][: [101, 40][RANK]].astype(np.float32)
    vae(batch_size=32, callbacks=[watch], linear_path=False).fit(mine)
    return [sorted(epoch) == sorted(mine[:, 0].tolist()) for epoch in watch.seen[:-1]]


def of_files(folder):
    """Return fits to the files of this process, read some rows at a time."""
    before = chunked.CHUNK_BYTES, chunked.WINDOW_BYTES
    chunked.CHUNK_BYTES, chunked.WINDOW_BYTES = 1000, 4000
    try:
        parquet = vae().fit(ParquetRows(folder / f"rows{RANK}.parquet"))
        mapped = vae().fit(np.load(folder / f"rows{RANK}.npy", mmap_mode="r"))
    finally:
        chunked.CHUNK_BYTES, chunked.WINDOW_BYTES = before
    return {"parquet": of_shards(parquet), "npy": of_shards(mapped)}, learnt(parquet)


def resumed(folder):
    """Return fits that went on from the middle, and the same ones undisturbed."""

    def labelled(*callbacks):
        params = {"max_epochs": 24, "callbacks": list(callbacks), "early_stopping": True}
        return VAEClassifier(vae(**params)).fit(X[MINE], FEW[MINE]).vae_

    def stepped(*callbacks):
        return vae(max_epochs=8, max_steps=26, callbacks=list(callbacks)).fit(X[MINE])

    # The labels of some rows have been guessed by then.
    return [going_on(folder, labelled, 13), going_on(folder, stepped, 5)]


def going_on(folder, fit, failing):
    epochs = []
    watch = [After(n, lambda n=n: epochs.append(n)) for n in (failing - 2, failing + 1)]
    with skvae.data_parallel(shards=True, checkpoint=folder / "disturbed"):
        assert "no space left" in caught(lambda: fit(After(failing, fail)))
        model = fit(*watch)
    with skvae.data_parallel(shards=True, checkpoint=folder / "undisturbed"):
        return [described(model) == described(fit()), epochs]


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
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        shards(folder)
    with skvae.data_parallel(checkpoint=folder / "killed"):
        if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            long(*[After(6, kill)] * is_last)
        n_trained = []
        model = long(After(7, lambda: n_trained.append(7)), After(4, lambda: n_trained.append(4)))
        write(folder / f"second{world.rank}.json", [described(model), n_trained])
        message = caught(lambda: vae(callbacks=[After(2, fail)] * is_last).fit(X))
        write(folder / f"third{world.rank}.json", message)


def shards(folder):
    with skvae.data_parallel(shards=True):
        said = {name: caught(fit) for name, fit in SHARDS_REFUSED.items()}
        fitted = {name: fit() for name, fit in OF_SHARDS.items()}
        same = {name: of_shards(found, SEEN.get(name, X)) for name, found in fitted.items()}
        known = {name: learnt(found) for name, found in fitted.items()}
        files, of_parquet = of_files(folder)
        seen, unread = rows_seen(), caught(unreadable)
        with warnings.catch_warnings(record=True) as caught_warnings:
            warnings.simplefilter("always")
            vae().fit(X)
        warned = [str(one.message) for one in caught_warnings]
    write(folder / f"shards{RANK}.json", [said, same | files, known, warned])
    write(folder / f"files{RANK}.json", of_parquet)
    write(folder / f"own{RANK}.json", [seen, resumed(folder), unread])


def write(path, value):
    path.write_text(json.dumps(value))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    checkpoint.LONGEST_SHARE = float("inf")  # these epochs are shorter than the writing of a file
    main(Path(sys.argv[1]))
