"""What a model must be like to be trained by several processes, and how they begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skvae._world import world


@contextmanager
def shared(net: Any) -> Iterator[None]:
    """Let all processes begin with the same weights, and the objective see the whole batch.

    Raises
    ------
    ValueError
        When a part of the model needs more of the batch than a process has.
    """
    if world().size == 1:
        yield
        return
    objective = net.criterion_
    check_by_row(net.module_, objective)
    # Those of other processors may differ in the last digit.
    world().same_weights(net.module_)
    if hasattr(objective, "gather"):
        objective.gather = world().gathered
    try:
        yield
    finally:
        if hasattr(objective, "gather"):
            objective.gather = None


def check_by_row(module: nn.Module, objective: Any) -> None:
    """Raise ``ValueError`` where a row's loss depends on the others of its batch."""
    cure = "or fit in one process, outside skvae.data_parallel."
    if any(isinstance(layer, _BatchNorm) for layer in module.modules()):
        raise ValueError(
            "normalization='batch', or a torch.nn.BatchNorm in encoder or decoder, needs the mean "
            "of a whole batch, but each process has only a part of the batch. Set "
            f"normalization='layer', {cure}"
        )
    if getattr(objective, "compares_rows", False):
        raise ValueError(
            f"objective={objective!r} compares the rows of a whole batch, but each process has "
            f"only a part of the batch. Set objective='elbo', {cure}"
        )
