"""What the progress bars say, read from where they write."""

import re
from functools import partial

import numpy as np
import pytest
import torch
import tqdm.auto
from sklearn.datasets import load_digits

from skvae import VariationalAutoencoder
from skvae._training import follow, progress
from skvae.model import Batch

X = load_digits().data / 16


@pytest.fixture
def every_step(monkeypatch):
    """Show every step and every call, however short."""
    monkeypatch.setattr(tqdm.auto, "tqdm", partial(tqdm.auto.tqdm, mininterval=0))
    monkeypatch.setattr(progress, "DELAY", 0.0)


def states(capsys):
    """Return what a terminal showed, one state of a bar after the other."""
    out, err = capsys.readouterr()
    assert not out
    return [state.strip() for state in err.replace("\n", "\r").split("\r") if state.strip()]


def vae(**params):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 2, "verbose": 1, "random_state": 0}
    return VariationalAutoencoder(**defaults | params)


def test_a_fit_ends_with_the_terms_of_its_history(capsys):
    model = vae(early_stopping=True).fit(X)
    last = model.history_[-1]
    shown = states(capsys)[-1]
    assert shown.startswith("epoch 2/2 100%|")
    assert re.search(r"[\d.]+k? rows/s, 00:00 left", shown)
    for name, key in [
        ("loss", "train_loss"),
        ("reconstruction", "train_reconstruction"),
        ("kl", "train_kl"),
        ("held-out loss", "valid_loss"),
    ]:
        assert f", {name}={last[key]:.4g}" in shown


def test_terms_are_shown_before_an_epoch_ends(capsys, every_step):
    vae(max_epochs=1).fit(X)
    percents = [re.match(r"epoch 1/1 +(\d+)%.*kl=", state) for state in states(capsys)]
    percents = [int(found[1]) for found in percents if found]
    assert percents == sorted(percents)
    assert percents[0] < 20
    assert len(set(percents)) > 5


def test_the_last_held_out_loss_stays_while_an_epoch_runs(capsys, every_step):
    vae(early_stopping=True).fit(X)
    second = [s for s in states(capsys) if s.startswith("epoch 2/2") and "kl=" in s]
    assert len(second) > 5
    assert all("held-out loss=" in state for state in second)


def test_epochs_are_counted_from_where_this_fit_begins(capsys):
    model = vae(warm_start=True).fit(X)
    model.fit(X)
    assert model.n_iter_ == 4
    assert not any("epoch 3" in state for state in states(capsys))


def test_a_fit_that_stops_early_ends_with_a_full_bar(capsys):
    model = vae(early_stopping=True, n_iter_no_change=1, tol=1e6, max_epochs=50).fit(X)
    assert model.n_iter_ < 50
    assert states(capsys)[-1].startswith(f"epoch {model.n_iter_}/50 100%|")


def test_bars_change_no_result():
    quiet, loud = vae(verbose=0).fit(X), vae(verbose=1).fit(X)
    np.testing.assert_array_equal(loud.transform(X), quiet.transform(X))


CALLS = {
    "transform": lambda model: model.transform(X),
    "posterior": lambda model: model.posterior(X),
    "inverse_transform": lambda model: model.inverse_transform(np.zeros((500, 2))),
    "reconstruct": lambda model: model.reconstruct(X),
    "sample": lambda model: model.sample(500),
    "score_samples": lambda model: model.score(X),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_long_calls_show_a_bar_of_their_name(name, verbose, capsys, every_step):
    model = vae(verbose=0, max_epochs=1).fit(X).set_params(verbose=verbose)
    CALLS[name](model)
    shown = states(capsys)
    assert bool(shown) == (verbose > 0)
    if verbose:
        assert shown[-1].startswith(f"{name} 100%|")


@pytest.mark.parametrize("name", CALLS)
def test_short_calls_show_none(name, capsys):
    model = vae(verbose=0, max_epochs=1).fit(X).set_params(verbose=1)
    CALLS[name](model)
    assert not states(capsys)


def test_follow_yields_what_it_was_given(capsys, every_step):
    batches = [(slice(0, 3), Batch(torch.zeros(3, 2))), (slice(3, 4), Batch(torch.zeros(1, 2)))]
    assert list(follow(iter(batches), 4, "rows")) == batches
    assert "rows 100%|" in states(capsys)[-1]
