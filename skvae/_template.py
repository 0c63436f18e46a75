"""A user's network as plain data: what a pickle, and with it a hash, of an estimator holds.

torch pickles a tensor with its place in memory, so that a network and its copy differ, and
``joblib.Memory`` would never find again what was fitted with one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn


class Template(NamedTuple):
    """A network without its numbers, which lie beside it."""

    outline: nn.Module
    """On torch's meta device, which has shapes and no memory."""
    arrays: dict[str, np.ndarray]


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    # Of those with several names, all: each is a place to put it back.
    return chain(
        module.named_parameters(remove_duplicate=False),
        module.named_buffers(remove_duplicate=False),
    )


def _with_tensors(module: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """Return a copy of a network with other tensors in the places of its own.

    Deep copies ask the memo first, so that no number is copied.
    """
    memo: dict[int, Any] = {}
    for name, tensor in _tensors(module):
        other = tensors[name]
        if isinstance(tensor, nn.Parameter):
            other = nn.Parameter(other, tensor.requires_grad)
        memo.setdefault(id(tensor), other)
    return copy.deepcopy(module, memo)


def packed(module: nn.Module) -> Any:
    """Return a network as a template; one without numbers that numpy has as it is."""
    tensors = {name: tensor.detach() for name, tensor in _tensors(module)}
    if not tensors or any(tensor.dtype == torch.bfloat16 for tensor in tensors.values()):
        return module
    outline = {name: tensor.to("meta") for name, tensor in tensors.items()}
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    return Template(_with_tensors(module, outline), arrays)


def unpacked(template: Template) -> nn.Module:
    """Return the network on the CPU."""
    tensors = {name: torch.from_numpy(value.copy()) for name, value in template.arrays.items()}
    return _with_tensors(template.outline, tensors)
