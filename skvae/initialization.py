"""Initial weights: drawn from the caller's generator, never from torch's global one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["draw_bends", "draw_weights", "materialize"]

Module = TypeVar("Module", bound=nn.Module)


class _WithoutDraws(TorchFunctionMode):
    """Leave tensors as they are where a layer's constructor would draw its weights.

    Masks, orders and other things that constructors compute stay as they are, which the
    meta device would lose.
    """

    _IN_PLACE = frozenset({"uniform_", "normal_", "kaiming_uniform_", "trunc_normal_"})

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in self._IN_PLACE:
            return args[0] if args else kwargs["tensor"]
        if name == "randn":
            return torch.zeros(*args, **kwargs)
        return func(*args, **kwargs)


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of linear and convolutional layers, in the order of the modules.

    Weights are uniform with the variance of He et al. 2015 (https://arxiv.org/abs/1502.01852), and
    biases are zero. Other parameters are not changed.

    Parameters
    ----------
    module : torch.nn.Module
        The module. It is changed in place, with all modules in it.
    generator : torch.Generator
        The generator of the weights.

    Examples
    --------
    >>> import torch
    >>> from skvae.initialization import draw_weights
    >>> layer = torch.nn.utils.skip_init(torch.nn.Linear, 3, 2)
    >>> draw_weights(layer, torch.Generator().manual_seed(0))
    >>> bool(layer.weight.abs().max() < 2**0.5)  # the bound is √(6/3)
    True
    """
    for layer in module.modules():
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if not isinstance(weight, nn.Parameter) or weight.ndim < 2:
            continue
        # A transposed weight is (in, out, ...): what torch calls fan-out is what comes in.
        mode: Literal["fan_in", "fan_out"] = (
            "fan_out" if isinstance(layer, nn.ConvTranspose2d) else "fan_in"
        )
        nn.init.kaiming_uniform_(weight, mode=mode, nonlinearity="relu", generator=generator)
        if bias is not None:
            nn.init.zeros_(bias)


def draw_bends(module: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases of hidden layers that are parallel to a linear path.

    They are uniform in ``±1 / √n_in``, as in torch. The weights are smaller by √6 than those of
    :func:`draw_weights`, so that the linear path dominates at first. Each feature has a bias, so
    that the activations of a model with two or three components do not all bend at the origin.

    Parameters
    ----------
    module : torch.nn.Module
        The module. It is changed in place, with all modules in it.
    generator : torch.Generator
        The generator of the weights and biases.

    Examples
    --------
    >>> import torch
    >>> from skvae.initialization import draw_bends
    >>> layer = torch.nn.utils.skip_init(torch.nn.Linear, 4, 2)
    >>> draw_bends(layer, torch.Generator().manual_seed(0))
    >>> bool(layer.bias.abs().max() < 0.5)
    True
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def materialize(
    build: Callable[[], Module],
    generator: torch.Generator,
    draw: Callable[[nn.Module, torch.Generator], None] | None = None,
) -> Module:
    """Build a module and draw its weights only from ``generator``.

    Parameters
    ----------
    build : callable
        Returns a new module. It is called once, with torch's own random initialisation switched
        off.
    generator : torch.Generator
        The generator of the weights.
    draw : callable, default=None
        Function that draws the weights, such as :func:`draw_bends`. If ``None``, it is
        :func:`draw_weights`.

    Returns
    -------
    module : torch.nn.Module
        The module that ``build`` returned.

    Examples
    --------
    >>> import torch
    >>> from skvae.initialization import materialize
    >>> one, other = (
    ...     materialize(lambda: torch.nn.Linear(3, 2), torch.Generator().manual_seed(0))
    ...     for _ in range(2)
    ... )
    >>> torch.equal(one.weight, other.weight)
    True
    """
    with _WithoutDraws():
        module = build()
    (draw or draw_weights)(module, generator)
    return module
