"""Callbacks for training: ``VariationalAutoencoder(callbacks=[...])`` takes these and skorch's."""

from __future__ import annotations

import os
import time
from numbers import Real
from pathlib import Path
from typing import Any

from skorch.callbacks import Callback

from skvae._world import world

__all__ = ["OptunaPruning", "TensorBoard"]


class OptunaPruning(Callback):
    """Stop a fit early when Optuna's pruner decides that its trial is not promising.

    After every epoch, the bound of the held-out rows, in nats per row, is reported to the trial.
    The step is the number of the epoch. When the pruner of the study decides to stop, ``fit``
    raises ``optuna.TrialPruned``, so that the study counts the trial as pruned. The estimator is
    then left unchanged. See Akiba et al. 2019 (https://arxiv.org/abs/1907.10902).

    Use one fit for one trial. With cross-validation inside a trial, all folds would report to the
    same steps, and Optuna keeps only the first report of a step.

    Parameters
    ----------
    trial : optuna.trial.Trial
        A trial of a study with ``direction="maximize"``.

    Raises
    ------
    ValueError
        In ``fit``, when no rows are held out or the study minimises.

    Examples
    --------
    >>> import optuna
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.callbacks import OptunaPruning
    >>> X = load_digits().data / 16
    >>> def objective(trial):
    ...     vae = VariationalAutoencoder(
    ...         n_components=trial.suggest_int("n_components", 2, 16),
    ...         learning_rate=trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
    ...         early_stopping=True,
    ...         max_epochs=4,
    ...         callbacks=[OptunaPruning(trial)],
    ...         random_state=0,
    ...     ).fit(X)
    ...     best = vae.history_[vae.best_epoch_ - 1]
    ...     return best["valid_reconstruction"] - best["valid_kl"]
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> study = optuna.create_study(
    ...     direction="maximize",
    ...     sampler=optuna.samplers.RandomSampler(seed=0),
    ...     pruner=optuna.pruners.MedianPruner(n_startup_trials=1),
    ... )
    >>> study.optimize(objective, n_trials=3)
    >>> len(study.trials[0].intermediate_values)
    4
    """

    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def __sklearn_clone__(self) -> OptunaPruning:
        # A copy of the trial would report to a copy of the study.
        return type(self)(self.trial)

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Check the direction of the study.

        Parameters
        ----------
        net : skorch.NeuralNet
            Not used.
        X, y : object, default=None
            Not used.
        **kwargs
            Not used.

        Raises
        ------
        ValueError
            When the study minimises.
        """
        study = getattr(self.trial, "study", None)  # a FixedTrial has none
        if study is not None and study.direction.name != "MAXIMIZE":
            raise ValueError(
                "OptunaPruning reports the bound of the held-out rows, for which higher is better, "
                "but the study minimises. Create it with direction='maximize', and return a score "
                "such as the bound from the objective."
            )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Report the epoch, and stop if the pruner decides so.

        Parameters
        ----------
        net : skorch.NeuralNet
            Its history has the epoch as its last row.
        **kwargs
            Not used.

        Raises
        ------
        optuna.TrialPruned
            When the trial should be pruned.
        ValueError
            When no rows are held out.
        """
        import optuna

        row = net.history[-1]
        if "valid_reconstruction" not in row:
            raise ValueError(
                "OptunaPruning needs held-out rows, but there are none. Set early_stopping=True; "
                "validation_fraction sets their share."
            )
        bound = row["valid_reconstruction"] - row["valid_kl"]
        self.trial.report(bound, row["epoch"])
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"The bound was {bound:.6g} nats in epoch {row['epoch']}.")


class TensorBoard(Callback):
    """Log every epoch to TensorBoard.

    Every fit is a new run and has its own folder ``run_1``, ``run_2``, … in ``log_dir``, also when
    many processes fit at the same time, as in a grid search. ``partial_fit`` and a warm-started
    ``fit`` continue the run of the model, and count its epochs on. The ``history_`` of the model
    has the name of the run under ``"run"``.

    The charts ``loss``, ``reconstruction`` and ``kl`` (nats per row) have a line for training and,
    if there are held-out rows, one for these. Other charts are ``dur`` (seconds per epoch),
    ``learning_rate``, and all numbers that callbacks before this one write to the history. To see
    them, run ``tensorboard --logdir runs``.

    Unlike skorch's callback of this name, it can be cloned and pickled.

    Parameters
    ----------
    log_dir : path-like, default=None
        The folder of all runs. It is created if needed. If ``None``, it is ``runs`` in the working
        directory.

    Raises
    ------
    ImportError
        In ``fit``, when tensorboard (extra ``tensorboard``) is not installed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.callbacks import TensorBoard
    >>> folder = getfixture("tmp_path")
    >>> vae = VariationalAutoencoder(max_epochs=2, callbacks=[TensorBoard(folder)])
    >>> vae.fit(load_iris().data).history_[0]["run"]
    'run_1'
    >>> sorted(path.name for path in folder.glob("run_*/*"))
    ['train']
    """

    def __init__(self, log_dir: str | os.PathLike[str] | None = None) -> None:
        self.log_dir = log_dir

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Continue the run of the model, or start a new one.

        Parameters
        ----------
        net : skorch.NeuralNet
            With the history so far.
        X, y : object, default=None
            Not used.
        **kwargs
            Not used.

        Raises
        ------
        ImportError
            When tensorboard is not installed.
        """
        _require_tensorboard()
        root = Path("runs" if self.log_dir is None else self.log_dir)
        begun = [row["run"] for row in net.history if "run" in row]
        self.is_new_ = not begun
        self.run_ = root / begun[-1] if begun else world().of_first(lambda: _new_run(root))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the numbers of the epoch.

        Parameters
        ----------
        net : skorch.NeuralNet
            Its history has the epoch as its last row.
        **kwargs
            Not used.
        """
        row = net.history[-1]
        if self.is_new_:
            net.history.record("run", self.run_.name)
            self.is_new_ = False
        if world().rank:
            return
        numbers = {name: float(value) for name, value in row.items() if _is_logged(name, value)}
        numbers["learning_rate"] = net.optimizer_.param_groups[0]["lr"]
        for line in ("train", "valid"):
            prefix = f"{line}_"
            of_line = {k.removeprefix(prefix): v for k, v in numbers.items() if _line(k) == line}
            if of_line:
                _append(self.run_ / line, row["epoch"], of_line)


def _append(folder: Path, step: int, numbers: dict[str, float]) -> None:
    """Append to the one file of a line, so that all epochs so far are there, whatever comes.

    ``SummaryWriter`` would begin a file in every call of ``partial_fit``, and TensorBoard
    takes those of the same second in the order of their names.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    values = [{"tag": name, "simple_value": value} for name, value in numbers.items()]
    events = [Event(wall_time=time.time(), step=step, summary={"value": values})]
    path = folder / "events.out.tfevents.skvae"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        events.insert(0, Event(wall_time=time.time(), file_version="brain.Event:2"))
    with path.open("ab") as file:
        for event in events:
            RecordWriter(file).write(event.SerializeToString())


def _line(name: str) -> str:
    """Return the line that this entry of the history belongs to."""
    return "valid" if name.startswith("valid_") else "train"


def _is_logged(name: str, value: Any) -> bool:
    """Whether this entry of the history is a number that changes with training."""
    counted = name == "epoch" or name.endswith("_batch_count")
    return type(value) is not bool and isinstance(value, Real) and not counted


def _new_run(root: Path) -> Path:
    """Make the first ``run_n`` that is not there; no two processes make the same."""
    n = 1
    while True:
        path = root / f"run_{n}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            n += 1
        else:
            return path


def _require_tensorboard() -> None:
    try:
        import tensorboard  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise ImportError(
            'TensorBoard needs tensorboard. Install it: pip install "skvae[tensorboard]".'
        ) from error
