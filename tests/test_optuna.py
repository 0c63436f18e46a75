"""Optuna prunes trials by the held-out bound of each epoch."""

import numpy as np
import optuna
import pytest
from sklearn.base import clone

from skvae import VariationalAutoencoder
from skvae.callbacks import OptunaPruning

X = np.random.RandomState(0).randn(200, 4) @ np.ones((4, 4)) + np.eye(4)[0]


def vae(trial, **params):
    defaults = {"max_epochs": 4, "early_stopping": True, "random_state": 0}
    return VariationalAutoencoder(**defaults | params, callbacks=[OptunaPruning(trial)])


class PruneFrom(optuna.pruners.BasePruner):
    """Prunes every trial but the first at an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def prune(self, study, trial):
        return trial.number > 0 and trial.last_step >= self.epoch


def study_of(pruner, **params):
    """Return a study of two trials, and their models as far as they were fitted."""
    models = []

    def objective(trial):
        models.append(clone(vae(trial, **params)))
        return models[-1].fit(X).score(X)

    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(objective, n_trials=2)
    return study, models


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_a_trial_is_pruned_by_the_bound_of_held_out_rows():
    study, models = study_of(PruneFrom(2))
    whole, pruned = study.trials
    reported = [e["valid_reconstruction"] - e["valid_kl"] for e in models[0].history_]
    assert list(whole.intermediate_values.values()) == reported
    assert list(whole.intermediate_values) == [1, 2, 3, 4]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert pruned.intermediate_values == {1: reported[0], 2: reported[1]}
    assert not hasattr(models[1], "net_")


def test_a_fit_that_is_pruned_leaves_the_model_as_it_was():
    trial = optuna.create_study(direction="maximize", pruner=PruneFrom(1)).ask()
    model = vae(trial).fit(X)
    before = model.transform(X)
    trial = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(1e9))
    model.set_params(callbacks=[OptunaPruning(trial.ask())], random_state=1)
    with pytest.raises(optuna.TrialPruned, match="nats in epoch 1"):
        model.fit(X)
    assert (model.transform(X) == before).all()


def test_without_held_out_rows():
    trial = optuna.create_study(direction="maximize").ask()
    with pytest.raises(ValueError, match="early_stopping=True"):
        vae(trial, early_stopping=False).fit(X)


def test_a_study_that_minimises():
    with pytest.raises(ValueError, match="direction='maximize'"):
        vae(optuna.create_study(direction="minimize").ask()).fit(X)


def test_without_a_study():
    assert vae(optuna.trial.FixedTrial({})).fit(X).n_iter_ == 4
