"""The optimisers' rules as operations on tensors, for a step that is compiled whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


class Update:
    """What an optimiser of torch does to a parameter in a step, without looking at the host.

    Attributes
    ----------
    slots : tuple of str
        The names in the optimiser's state of the tensors that it keeps for a parameter.
    """

    slots: tuple[str, ...]

    def numbers(self, group: Mapping[str, Any], step: int) -> list[float]:
        """Return the numbers of a step, 1 the first, for a group; the last one is its rate."""
        return [group["lr"]]

    def apply(
        self,
        parameter: Tensor,
        gradient: Tensor,
        slots: Sequence[Tensor],
        numbers: Sequence[Tensor],
        group: Mapping[str, Any],
    ) -> None:
        """Change a parameter and its slots in place."""
        gradient = self.decayed(parameter, gradient, numbers[-1], group)
        parameter.sub_(self.change(gradient, slots, numbers, group))

    def decayed(
        self, parameter: Tensor, gradient: Tensor, rate: Tensor, group: Mapping[str, Any]
    ) -> Tensor:
        """Return the gradient, the decay of the weights added to it."""
        # Not add(parameter, alpha=decay): torch 2.13 compiles that behind a product to one addmm,
        # in which the product, not the parameter, has the factor.
        decay = group["weight_decay"]
        return gradient + decay * parameter if decay else gradient

    def change(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        numbers: Sequence[Tensor],
        group: Mapping[str, Any],
    ) -> Tensor:
        """Return what is taken off the parameter; change its slots in place."""
        raise NotImplementedError  # each optimiser has its own


class Adam(Update):
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), as ``torch.optim.Adam``."""

    slots = ("exp_avg", "exp_avg_sq")

    def numbers(self, group: Mapping[str, Any], step: int) -> list[float]:
        """Return the rate with the first mean's correction, that of the root, and the rate."""
        beta1, beta2 = group["betas"]
        return [group["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5, group["lr"]]

    def change(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        numbers: Sequence[Tensor],
        group: Mapping[str, Any],
    ) -> Tensor:
        """Return the mean of gradients over the root of that of their squares."""
        (mean, square), (rate, correction, _) = slots, numbers
        beta1, beta2 = group["betas"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        return rate * mean / (square.sqrt() / correction + group["eps"])


class AdamW(Adam):
    """Adam, the weights' decay apart from the gradient, as ``torch.optim.AdamW``.

    See Loshchilov and Hutter 2019 (https://arxiv.org/abs/1711.05101).
    """

    def decayed(
        self, parameter: Tensor, gradient: Tensor, rate: Tensor, group: Mapping[str, Any]
    ) -> Tensor:
        """Shrink the parameter; return the gradient as it is."""
        if group["weight_decay"]:
            parameter.mul_(1 - rate * group["weight_decay"])
        return gradient


class SGD(Update):
    """Nesterov's momentum, as ``torch.optim.SGD``."""

    slots = ("momentum_buffer",)

    def change(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        numbers: Sequence[Tensor],
        group: Mapping[str, Any],
    ) -> Tensor:
        """Return the gradient, and the momentum that it is a part of."""
        (momentum,), (rate,) = slots, numbers
        momentum.mul_(group["momentum"]).add_(gradient)
        return rate * (gradient + group["momentum"] * momentum)


class RMSprop(Update):
    """Tieleman and Hinton's rule, as ``torch.optim.RMSprop``."""

    slots = ("square_avg",)

    def change(
        self,
        gradient: Tensor,
        slots: Sequence[Tensor],
        numbers: Sequence[Tensor],
        group: Mapping[str, Any],
    ) -> Tensor:
        """Return the gradient over the root of the mean of its squares."""
        (square,), (rate,) = slots, numbers
        square.mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
        return rate * gradient / (square.sqrt() + group["eps"])


UPDATES: dict[str, Update] = {
    "Adam": Adam(), "AdamW": AdamW(), "SGD": SGD(), "RMSprop": RMSprop()
}  # fmt: skip
"""By the name of torch's class."""
