"""TensorBoard: what is in its files is what is in history_."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

import skvae
from skvae import VariationalAutoencoder
from skvae.callbacks import TensorBoard

pytest.importorskip("tensorboard")
X = load_iris().data
TERMS = ("loss", "reconstruction", "kl")


def vae(log_dir, *others, **params):
    callbacks = [*others, TensorBoard(log_dir)]
    quick = {"max_epochs": 3, "hidden_layer_sizes": (4,), "random_state": 0}
    return VariationalAutoencoder(callbacks=callbacks, **(quick | params))


def scalars(folder):
    """Return ``{tag: ([epoch, ...], [value, ...])}`` of a folder's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: tuple(zip(*[(event.step, event.value) for event in events.Scalars(tag)], strict=True))
        for tag in events.Tags()["scalars"]
    }


def test_files_hold_the_history(tmp_path):
    model = vae(tmp_path, early_stopping=True, n_iter_no_change=2, max_epochs=5).fit(X)
    for line in ("train", "valid"):
        found = scalars(tmp_path / "run_1" / line)
        for term in TERMS:
            epochs, values = found[term]
            assert epochs == tuple(row["epoch"] for row in model.history_)
            expected = [row[f"{line}_{term}"] for row in model.history_]
            assert_allclose(values, expected, rtol=1e-6)  # events are float32
    train = scalars(tmp_path / "run_1" / "train")
    assert set(train) == {*TERMS, "dur", "learning_rate"}
    assert set(scalars(tmp_path / "run_1" / "valid")) == set(TERMS)
    assert_allclose(train["dur"][1], [row["dur"] for row in model.history_], rtol=1e-6)
    assert_allclose(train["learning_rate"][1], 1e-3)


def test_without_held_out_rows_there_is_one_line(tmp_path):
    vae(tmp_path).fit(X)
    assert [path.name for path in (tmp_path / "run_1").iterdir()] == ["train"]


def test_a_schedule_is_seen(tmp_path):
    vae(tmp_path, learning_rate_schedule="cosine", max_epochs=4).fit(X)
    rates = scalars(tmp_path / "run_1" / "train")["learning_rate"][1]
    assert list(rates) == sorted(rates, reverse=True)
    assert rates[-1] < rates[0] / 2


class Extra(Callback):
    """Writes a number, a flag and words to the history."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("gap", np.float32(0.5))
        net.history.record("valid_thing", 7)
        net.history.record("flag", True)
        net.history.record("words", "none")


def test_numbers_of_other_callbacks_are_logged(tmp_path):
    vae(tmp_path, Extra()).fit(X)
    assert scalars(tmp_path / "run_1" / "train")["gap"] == ((1, 2, 3), (0.5,) * 3)
    assert scalars(tmp_path / "run_1" / "valid") == {"thing": ((1, 2, 3), (7.0,) * 3)}


def test_every_fit_is_a_run(tmp_path):
    model = vae(tmp_path)
    assert [model.fit(X).history_[0]["run"] for _ in range(3)] == ["run_1", "run_2", "run_3"]
    assert all("run" not in row for row in model.history_[1:])


@pytest.mark.parametrize("travel", ["nowhere", "pickle", "file"])
def test_a_continued_model_goes_on_in_its_run(travel, tmp_path):
    log_dir = tmp_path / "logs"
    model = vae(log_dir).fit(X)
    vae(log_dir).fit(X)
    if travel == "pickle":
        model = pickle.loads(pickle.dumps(model))
    elif travel == "file":
        model.save(tmp_path / "m")
        model = skvae.load(tmp_path / "m", callbacks=[TensorBoard(log_dir)])
    model.partial_fit(X)
    model.set_params(warm_start=True, max_epochs=2).fit(X)
    epochs, values = scalars(log_dir / "run_1" / "train")["loss"]
    assert epochs == (1, 2, 3, 4, 5, 6)
    assert_allclose(values, [row["train_loss"] for row in model.history_], rtol=1e-6)
    assert sorted(path.name for path in log_dir.iterdir()) == ["run_1", "run_2"]


def test_many_calls_of_partial_fit_make_one_file(tmp_path):
    model = vae(tmp_path)
    for _ in range(12):
        model.partial_fit(X)
    (folder,) = (tmp_path / "run_1").iterdir()
    assert len(list(folder.iterdir())) == 1
    assert scalars(folder)["kl"][0] == tuple(range(1, 13))


def test_a_model_that_was_not_logged_so_far_begins_a_run(tmp_path):
    model = vae(tmp_path).set_params(callbacks=None).fit(X)
    model.set_params(callbacks=[TensorBoard(tmp_path)]).partial_fit(X).partial_fit(X)
    assert scalars(tmp_path / "run_1" / "train")["loss"][0] == (4, 5)
    assert [row.get("run") for row in model.history_] == [None, None, None, "run_1", None]


def test_a_grid_search_has_a_run_for_every_fit(tmp_path):
    """Also where fits run at once: folders are made, not looked for."""
    import joblib

    search = GridSearchCV(vae(tmp_path), {"n_components": [1, 2]}, cv=2, n_jobs=2)
    with joblib.parallel_backend("threading"):
        search.fit(X)
    runs = sorted(path.name for path in tmp_path.iterdir())
    assert runs == [f"run_{n + 1}" for n in range(5)]
    assert all(scalars(tmp_path / run / "train")["loss"][0] == (1, 2, 3) for run in runs)
    assert search.best_estimator_.history_[0]["run"] == "run_5"


def test_clones_and_pickles(tmp_path):
    model = vae(tmp_path).fit(X)
    template = model.callbacks[0]
    assert vars(template) == {"log_dir": tmp_path}
    assert clone(template).log_dir == clone(model).callbacks[0].log_dir == tmp_path
    assert pickle.loads(pickle.dumps(template)).get_params() == {"log_dir": tmp_path}


def test_a_fit_that_fails_keeps_what_it_logged(tmp_path):
    class Fail(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        vae(tmp_path, Fail()).fit(X)
    assert scalars(tmp_path / "run_1" / "train")["loss"][0] == (1, 2)


def test_the_table_of_epochs_takes_the_name_of_the_run(tmp_path, capsys):
    vae(tmp_path, verbose=2).fit(X)
    assert "train_loss" in capsys.readouterr().out


def test_the_working_directory_has_the_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vae(None, max_epochs=1).fit(X)
    assert (Path("runs") / "run_1" / "train").is_dir()


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    model = vae(tmp_path)
    with pytest.raises(ImportError, match=r'pip install "skvae\[tensorboard\]"'):
        model.fit(X)
    assert not hasattr(model, "net_")
    assert not list(tmp_path.iterdir())
