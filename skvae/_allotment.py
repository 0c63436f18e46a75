"""Making a model within so many bytes, whatever its parameters claim."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves, tree_map_only

from skvae._uncompiled import DispatchMode

OPERATION = 2**13
"""Bytes that count for every tensor that is made, however small: a module around it."""


class Allotment(DispatchMode):
    """Make a model that is known by its parameters alone, within so many bytes.

    Every operation is tried out on torch's meta device, which has shapes and no memory, and
    refused before it takes more than is left. What a layer puts out is only asked for its
    shape while a model is made: it is not computed, but is ones that lie in one place.
    """

    LAYERS = frozenset({torch.ops.aten.convolution.default, torch.ops.aten.addmm.default})

    def __init__(self, nbytes: int) -> None:
        super().__init__()
        self.nbytes = nbytes
        self.taken = 0
        self.live: list[tuple[StorageWeakRef, int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(result.alias_info is not None for result in func._schema.returns):
            # A view, or a change in place: of nothing, where there is but one number.
            idle = func._schema.is_mutable and _is_hollow(args[0])
            return args[0] if idle else func(*args, **kwargs)
        given = _tensors((args, kwargs))
        is_trial = func in self.LAYERS or any(map(_is_hollow, given))
        elementwise = torch.Tag.pointwise in func.tags and not is_trial
        # Shapes suffice for those, and they are many.
        outline = _broadcast(given) if elementwise else _outline(func, args, kwargs)
        if is_trial and outline is not None:
            return tree_map_only(Tensor, _hollow, outline)
        self._check(sum(tensor.nbytes for tensor in _tensors(outline)))
        made = func(*args, **kwargs)
        self._count(_tensors(made))
        return made

    def _check(self, nbytes: int) -> None:
        """Raise ``ValueError`` when so much more would be too much."""
        if self.taken + nbytes > self.nbytes:
            self.live = [(ref, taken) for ref, taken in self.live if not ref.expired()]
            self.taken = sum(taken for _, taken in self.live)
        if self.taken + nbytes > self.nbytes:
            raise ValueError("A valid model needs no more memory than its arrays do.")

    def _count(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            nbytes = OPERATION + tensor.nbytes
            self.live.append((StorageWeakRef(tensor.untyped_storage()), nbytes))
            self.taken += nbytes


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _broadcast(tensors: list[Tensor]) -> Tensor:
    shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
    return torch.empty(shape, dtype=torch.float64, device="meta")


def _outline(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Return what an operation would, without memory; None where it depends on values."""
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
    shape = _shape(func, args)
    if shape is not None:
        return _tensors(args)[-1].new_empty(shape)
    if "device" in kwargs:
        kwargs = kwargs | {"device": torch.device("meta")}
    try:
        return func(*args, **kwargs)
    except (NotImplementedError, RuntimeError):
        return None  # then no larger than what it is given


def _shape(func: Any, args: Any) -> list[int] | None:
    """Return the shape of a product or of rows side by side, as every dense model has them.

    To find them, torch would import its compiler, which takes a second of the first ``load``.
    """
    if func is torch.ops.aten.addmm.default:
        shift, x, weight = (tensor.shape for tensor in args)
        fits = len(x) == len(weight) == 2 and x[1] == weight[0] and shift == weight[1:]
        return [x[0], weight[1]] if fits else None
    if func is torch.ops.aten.cat.default and args[1:] == (-1,):
        first, *others = (tensor.shape for tensor in args[0])
        if first and all(shape[:-1] == first[:-1] for shape in others):
            return [*first[:-1], first[-1] + sum(shape[-1] for shape in others)]
    return None


def _hollow(outline: Tensor) -> Tensor:
    return torch.ones((), dtype=outline.dtype).expand(outline.shape)


def _is_hollow(tensor: Tensor) -> bool:
    return tensor.numel() > 1 and not any(tensor.stride())
