"""Training a net on rows, from its first epoch to the look at its last weights."""

from __future__ import annotations

import torch

from skvae._data import Rows
from skvae._training.batches import n_batches
from skvae._training.callbacks import StopEarly, check_loss
from skvae._training.checkpoint import Checkpoint
from skvae._training.labels import repeat_labelled
from skvae._training.net import VAENet, plain_history
from skvae._training.process import flushed_denormals, kept_heap
from skvae._training.sharing import shared
from skvae._world import world
from skvae.objectives import ELBO

CHECKED_ROWS = 100
"""Rows whose loss is looked at once training is over."""


def train(net: VAENet, rows: Rows, held_out: Rows | None, key: str | None = None) -> bool:
    """Run ``net.max_epochs`` epochs; return whether Ctrl-C cut the last one short.

    ``key`` names the fit, where it is to be checkpointed.

    Raises
    ------
    ValueError
        When the loss, that of the last weights too, is not finite, or the processes that train
        together cannot train this model.
    KeyboardInterrupt
        When Ctrl-C came before there was one whole epoch in the net's history.
    """
    net.train_split = lambda dataset: (dataset, held_out)
    rows = repeat_labelled(rows)
    max_steps = net.iterator_train.keywords["max_steps"]
    if max_steps is not None:
        # Rows that are repeated make an epoch longer: there is to be none without a step.
        net.max_epochs = min(
            net.max_epochs, -(-max_steps // n_batches(rows.n_in_all(), net.batch_size))
        )
    checkpoint = Checkpoint(key)
    net.callbacks_.append(("checkpoint", checkpoint))
    with kept_heap(), flushed_denormals(), shared(net):
        net.partial_fit(rows, epochs=net.max_epochs - checkpoint.n_epochs)
        net.whole_step = None
        interrupted = len(plain_history(net)) < len(net.history)
        # What several processes have after different steps is no model.
        if not plain_history(net) or (interrupted and world().size > 1):
            raise KeyboardInterrupt
        _check_weights(net, rows)
    net.train_split = None
    return interrupted


def _check_weights(net: VAENet, rows: Rows) -> None:
    """Raise ``ValueError`` unless the bound is finite after the last step too.

    Every epoch's loss is that before its steps. The elbo draws no numbers of its own.
    """
    net._set_training(False)
    some = rows.subset(rows.spread(world().n_of(CHECKED_ROWS, len(rows))))
    for x, _ in net.get_iterator(some, training=False):
        with torch.no_grad():
            loss = ELBO()(x["batch"].x, *net.infer(x)).loss.mean()
            check_loss(float(world().total(loss)), net)


def kept_epoch(net: VAENet) -> int:
    """Return the number of the epoch whose weights the net has: the last, or the best."""
    best = [c.best_epoch_ for _, c in net.callbacks_ if isinstance(c, StopEarly)]
    # 0: no epoch of early stopping came to an end.
    return (best and best[0]) or plain_history(net)[-1]["epoch"]
