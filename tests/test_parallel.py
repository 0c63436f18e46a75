"""Fits by several processes, and fits that go on from a checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from safetensors import safe_open

import skvae
from skvae import VAEClassifier, VariationalAutoencoder, _world
from skvae._training import checkpoint, whole_step
from skvae.objectives import ELBO
from tests import ranks
from tests.ranks import FEW, FITS, LEARNS, After, X, described, vae

ROOT = Path(skvae.__file__).parents[1]


@pytest.mark.filterwarnings("ignore")
def test_two_processes_fit_what_one_does(tmp_path):
    """In one call, since each process takes seconds to start."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    command += ["--max-restarts=3", "--standalone", ranks.__file__, tmp_path]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr

    def told(name):
        return [json.loads((tmp_path / f"{name}{rank}.json").read_text()) for rank in (0, 1)]

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
        assert whole_step.resolve_compile("auto", "cpu", 10**6) is False


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
    with skvae.data_parallel(checkpoint=tmp_path), pytest.raises(ValueError, match="no pickle"):
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
