"""Parts of torch without the compiler, which torch imports when they are first used.

It takes about a second of the first fit, or of the first model loaded, in a process. They only tell
it to leave them alone, and it never meets them here: what is compiled of a step of training is what
was recorded of it.
"""

from __future__ import annotations

import inspect
from typing import TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])


def _as_written(kind: Kind) -> Kind:
    """Give a class of torch's optimisers the methods without what torch has wrapped around them."""
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        setattr(kind, name, inspect.unwrap(getattr(kind, name)))
    # What torch has wrapped around a step also turns gradients off.
    step = torch.no_grad()(inspect.unwrap(kind.step))
    kind.step = step  # type: ignore[method-assign]  # a subclass gets it, torch's class does not
    return kind


@_as_written
class Adam(torch.optim.Adam):
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980)."""


@_as_written
class AdamW(torch.optim.AdamW):
    """Adam with decay apart (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101)."""


@_as_written
class SGD(torch.optim.SGD):
    """Stochastic gradient descent, with momentum where it is asked for."""


@_as_written
class RMSprop(torch.optim.RMSprop):
    """Tieleman and Hinton's rule (2012, lecture 6.5 of Neural Networks for Machine Learning)."""


class DispatchMode(TorchDispatchMode):
    """What sees every operation of torch within a block."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
