"""Fits by several processes, and fits that go on from a checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from safetensors import safe_open

import skvae
from skvae import VAEClassifier, VariationalAutoencoder, _world
from skvae._data import Rows
from skvae._data.columns import Look
from skvae._data.frames import joined_kinds, joined_levels
from skvae._training import batches, checkpoint, whole_step
from skvae.objectives import ELBO
from tests import ranks
from tests.ranks import FEW, FITS, LEARNS, OF_SHARDS, ORDER, After, X, described, vae

ROOT = Path(skvae.__file__).parents[1]

BAND = {
    "partial_fit": 0.5,
    "iwae, vamp": 0.5,
    "VAEImputer": 0.6,
    "early stopping": 0.5,
    "auto": 0.5,
}
"""Nats per row between two fits of another order and other noise, where they are more than 0.2."""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return what two processes say of their fits; in one call, since each takes seconds to start.

    Each has two files with its own rows, as the second half of the call wants them.
    """
    folder = tmp_path_factory.mktemp("ranks")
    for rank, mine in enumerate((ORDER[:190], ORDER[190:])):
        np.save(folder / f"rows{rank}.npy", X[mine])
        table = pd.DataFrame(X[mine], columns=list("abcdef"))
        table.to_parquet(folder / f"rows{rank}.parquet", row_group_size=16)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--max-restarts=3", "--standalone", ranks.__file__, folder]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return lambda name: [json.loads((folder / f"{name}{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.filterwarnings("ignore")
def test_two_processes_fit_what_one_does(told):
    (refused, fits, there), other = told("first")
    assert [refused, fits, there] == other  # bit for bit
    assert there
    for cause, said in refused.items():
        assert cause in said
        assert said.startswith(("ValueError", "InvalidParameterError"))
    for name in FITS:
        if name in ("a processor's noise", "random_state=None"):
            continue
        alone = described(FITS[name]())
        assert fits[name]["epochs"] == alone["epochs"], name
        assert_allclose(fits[name]["loss"], alone["loss"], atol=1e-5, err_msg=name)
        assert_allclose(fits[name]["kl"], alone["kl"], atol=1e-5, err_msg=name)
    assert fits["early stopping"]["epochs"][0] < LEARNS["max_epochs"]
    # One of them was killed at the end of epoch 6.
    for resumed, trained in told("second"):
        assert resumed == fits["long"]
        assert 4 not in trained
    assert told("third") == [
        "LostProcessError: Training ended, because process 1 failed: OSError: no space left, says "
        "one of them",
        "OSError: no space left, says one of them",
    ]


@pytest.mark.filterwarnings("ignore")
def test_processes_with_rows_of_their_own_learn_what_all_rows_say(told):
    """They end alike bit for bit; what is learnt of the columns is what one process learns."""
    (refused, fits, learnt, warned), other = told("shards")
    assert [refused, fits, learnt, warned] == other
    for cause, said in refused.items():
        assert cause in said
        assert said.startswith("ValueError")
    assert "hold the same rows" in warned[0]
    for name, fit in OF_SHARDS.items():
        found = fit()
        known, alone = ranks.learnt(found), ranks.of_shards(found, ranks.SEEN.get(name, X))
        if name == "clean rows":  # which of them a model is not shown differs
            del known["moments"], learnt[name]["moments"]
        assert learnt[name] == known, name
        # Another order and other noise, but the same model of the same rows.
        assert len(fits[name]["loss"]) == len(alone["loss"]) or name in ("auto", "early stopping")
        assert_allclose(fits[name]["loss"][0], alone["loss"][0], atol=0.5, err_msg=name)
        if "score" in alone:
            atol = BAND.get(name, 0.2)
            assert_allclose(fits[name]["score"], alone["score"], atol=atol, err_msg=name)
        if "offset_" in alone:
            assert_allclose(fits[name]["offset_"], alone["offset_"], rtol=0.15)
    assert fits["early stopping"]["epochs"][0] < LEARNS["max_epochs"]
    assert told("files") == [learnt["plain"]] * 2
    assert_allclose(fits["npy"]["score"], fits["plain"]["score"], atol=0.1)
    assert_allclose(fits["parquet"]["score"], fits["plain"]["score"], atol=0.1)


def test_each_row_of_unequal_shards_comes_once_in_an_epoch(told):
    for seen, *_ in told("own"):
        assert seen == [True] * 3


def test_a_fit_to_own_rows_goes_on_from_its_checkpoint(told):
    for _, resumed, _ in told("own"):
        assert resumed == [[True, [14]], [True, [6]]]


def test_an_error_without_a_pickle_is_told_by_its_text(told):
    text = "UnreadableError: no such column in its file"
    assert [unread for *_, unread in told("own")] == [f"RuntimeError: {text}", text]


class Shard(_world.Shards):
    """One of several processes with own rows, which knows what the others would say."""

    def __init__(self, rank, others):
        self.rank = self.place = rank
        self.size = len(others)
        self.others = others
        self.share = 1.0

    def parts(self, value):
        told = self.others(value) if callable(self.others) else list(self.others)
        return [*told[: self.rank], value, *told[self.rank + 1 :]]


@pytest.mark.parametrize("batch_size", [1, 2, 32, 1000])
@pytest.mark.parametrize(
    "sizes", [(101, 40), (40, 101), (1, 1000), (5, 5, 5), (7, 0, 3), (64, 1, 1, 1)]
)
def test_a_batch_takes_of_each_process_in_proportion(sizes, batch_size):
    n_all = sum(sizes)
    taken = np.zeros((len(sizes), -(-n_all // batch_size)), int)
    places = []
    for rank in range(len(sizes)):
        shard = Shard(rank, sizes)
        for i, (n, mine) in enumerate(shard.batches(sizes, batch_size)):
            taken[rank, i] = n
            assert mine == slice(0, max(1, n))
            assert shard.share == n / min(batch_size, n_all - i * batch_size)
            places.append((i, shard._rows.start, shard._rows.stop))
    assert_array_equal(taken.sum(1), sizes)  # each row once
    assert_array_equal(taken.sum(0)[:-1], batch_size)  # and batches are full
    # Nobody is far ahead of its share: single rows of several processes share a place.
    ahead = taken.cumsum(1) - np.outer(sizes, taken.sum(0).cumsum() / n_all)
    assert np.abs(ahead).max() <= max(1, len(sizes) / 2)
    # Their rows lie side by side in the whole batch.
    for i, n in enumerate(taken.sum(0)):
        inside = [k for batch, start, stop in places if batch == i for k in range(start, stop)]
        assert sorted(inside) == list(range(n))


@pytest.mark.parametrize("sizes", [(23, 10), (33, 1)])
def test_own_rows_are_shuffled_and_each_comes_once(sizes):
    for rank, n in enumerate(sizes):
        token = _world._CURRENT.set(Shard(rank, sizes))
        try:
            rows = Rows(np.arange(n, dtype=np.float32)[:, None])
            epoch = batches.Batches(rows, 4, 2, 1, seed=0, shuffle=True)
            seen = [x["batch"].x[:, 0].tolist() for x, _ in epoch if _world.world().share]
            assert len(epoch) == -(-sum(sizes) // 4)
        finally:
            _world._CURRENT.reset(token)
        flat = [row for batch in seen for row in batch]
        assert sorted(flat) == list(range(n))
        assert n < 3 or flat != sorted(flat)


def test_looks_at_parts_of_rows_join_to_that_at_all():
    rng = np.random.default_rng(0)
    table = np.column_stack(
        [
            rng.normal(size=900) ** 3,
            rng.integers(5, size=900),
            np.repeat([0.0, 1.0, 7.5], 300),
            np.where(np.arange(900) < 300, np.nan, rng.normal(size=900)),
            np.full(900, 2.0),
            np.where(rng.random(900) < 0.3, np.nan, rng.integers(700, size=900)),
        ]
    )
    whole = Look.at(Rows(table, has_missing=True), counts_distinct=True)
    parts = [
        Look.at(Rows(some, has_missing=True), counts_distinct=True)
        for some in (table[:300], table[300:310], table[310:])
    ]
    joined = parts[0]
    for other in parts[1:]:
        joined.values.join(other.values)
        joined.distinct.join(other.distinct)
    for name in ("low", "high", "missing", "n_rows", "n_zeros", "whole"):
        assert_array_equal(getattr(joined.values, name), getattr(whole.values, name), name)
    assert_array_equal(joined.values.n_at_ends(), whole.values.n_at_ends())
    assert_array_equal(joined.distinct.counts, whole.distinct.counts)


def test_categories_of_several_frames_are_joined():
    levels = [{"a": ["low", "high"]}, {"a": ["low", "mid", "high"]}]
    assert joined_levels(levels) == {"a": ["low", "mid", "high"]}  # one declares them all
    assert joined_levels([{"a": ["z", "y"]}, {"a": ["x"]}]) == {"a": ["x", "y", "z"]}
    assert joined_kinds([["whole", None], ["real", None]]) == ["real", None]
    with pytest.raises(ValueError, match="different types"):
        joined_kinds([["whole"], ["category"]])


@pytest.fixture
def each_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "LONGEST_SHARE", float("inf"))


def failing():
    raise RuntimeError("killed")


def seen():
    """Return a callback that appends the number of each epoch to a list, and the list."""
    epochs = []
    return [After(n, lambda n=n: epochs.append(n)) for n in range(1, 50)], epochs


@pytest.mark.usefixtures("each_epoch")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "params",
    [
        {"max_epochs": 8, "dropout": 0.2},
        LEARNS | {"max_epochs": 8, "prior": "vamp"},
        {
            "max_epochs": 8,
            "max_steps": 26,
            "learning_rate_schedule": "one_cycle",
            "optimizer": "sgd",
            "likelihood": "gaussian",  # correlated noise needs steps that are all alike in size
        },
        {"max_epochs": 8, "random_state": None},
        {"max_epochs": 24, "label": True},  # guessed in epochs 9, 11 and 14
    ],
    ids=str,
)
def test_a_fit_goes_on_from_its_checkpoint(params, tmp_path):
    """It ends at the bits of one that was not disturbed, and is trained no second time."""
    params = dict(params)
    run, killed = tmp_path / "run", params["max_epochs"] // 2
    is_labelled = params.pop("label", False)

    def fit(*callbacks):
        if is_labelled:
            return VAEClassifier(vae(**params, callbacks=callbacks)).fit(X, FEW).vae_
        return vae(**params, callbacks=callbacks).fit(X)

    with pytest.raises(RuntimeError, match="killed"), skvae.data_parallel(checkpoint=run):
        fit(After(killed, failing))
    watch, epochs = seen()
    with skvae.data_parallel(checkpoint=run):
        resumed = fit(*watch)
    assert min(epochs, default=0) >= 4
    # Without a file, but of the same random numbers where there is no random_state.
    for file in run.glob("*.safetensors"):
        file.unlink()
    watch, epochs = seen()
    with skvae.data_parallel(checkpoint=run):
        assert described(fit(*watch)) == described(resumed)
    assert epochs == list(range(1, resumed.n_iter_ + 1))
    watch, epochs = seen()
    with skvae.data_parallel(checkpoint=run):
        assert described(fit(*watch)) == described(resumed)
    # The epoch that stops early is not written.
    assert epochs == [resumed.n_iter_] * bool(params.get("early_stopping"))


def test_another_fit_does_not_go_on_from_it(tmp_path):
    others = {
        "rows": lambda watch: vae(callbacks=watch).fit(X + 1e-9),
        "weights": lambda watch: vae(callbacks=watch).fit(X, sample_weight=ranks.WEIGHT),
        "seed": lambda watch: vae(callbacks=watch, random_state=1).fit(X),
        "parameter": lambda watch: vae(callbacks=watch, learning_rate=0.002).fit(X),
        "part": lambda watch: vae(callbacks=watch, objective=ELBO(beta=2.0)).fit(X),
        "start": lambda watch: vae(warm_start=True).fit(X[::2]).set_params(callbacks=watch).fit(X),
    }
    with skvae.data_parallel(checkpoint=tmp_path):
        vae().fit(X)
        for name, fit in others.items():
            watch, epochs = seen()
            fit(watch)
            assert len(epochs) == 3, name
            # And has a file of its own, as the first one keeps its.
        watch, epochs = seen()
        vae(callbacks=watch).fit(X)
        assert not epochs


def test_steps_are_not_compiled_by_themselves_beside_a_checkpoint(tmp_path):
    assert whole_step.missing_compiler("cpu") or whole_step.resolve_compile("auto", "cpu", 10**6)
    with skvae.data_parallel(checkpoint=tmp_path):
        assert whole_step.resolve_compile("auto", "cpu", 10**6) == "replay"


def test_a_checkpoint_is_arrays_and_json(tmp_path):
    with skvae.data_parallel(checkpoint=tmp_path):
        vae(max_epochs=1).fit(X)
    (path,) = tmp_path.glob("*.safetensors")
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["skvae"])["class"] == "checkpoint"
    with pytest.raises(ValueError, match="holds a 'checkpoint'"):
        skvae.load(path)
    path.write_bytes(path.read_bytes()[:-1])
    with skvae.data_parallel(checkpoint=tmp_path), pytest.raises(ValueError, match="truncated"):
        vae(max_epochs=1).fit(X)


def test_parameters_without_a_pickle_have_no_checkpoint(tmp_path):
    objective = ELBO(beta=lambda epoch: 1.0)
    with (
        skvae.data_parallel(checkpoint=tmp_path),
        pytest.raises(ValueError, match="cannot be pickled"),
    ):
        vae(objective=objective).fit(X)


def test_alone_it_changes_nothing():
    outside = described(vae().fit(X))
    with skvae.data_parallel() as world:
        assert (world.rank, world.size) == (0, 1)
        assert described(vae().fit(X)) == outside
        one, other = (VariationalAutoencoder(max_epochs=1).fit(X) for _ in range(2))
    assert not np.array_equal(one.transform(X), other.transform(X))


class Other(_world.World):
    """Another process, which has no rows."""

    size = 2


def test_a_compiled_step_leaves_the_gradients_to_be_shared(monkeypatch):
    shared = []
    monkeypatch.setattr(Other, "sum_gradients", lambda self, parameters: shared.append(1))
    # Traced, and not compiled, which takes seconds.
    monkeypatch.setattr(whole_step, "compiled", lambda graph, inputs: graph)
    with_clip = {"gradient_clip": 0.1, "batch_size": 301}
    alone = described(vae(**with_clip).fit(X))
    token = _world._CURRENT.set(Other())
    try:
        compiled = described(vae(**with_clip, compile=True).fit(X))
    finally:
        _world._CURRENT.reset(token)
    assert len(shared) == 3
    assert_allclose(compiled["loss"], alone["loss"], rtol=1e-6)
