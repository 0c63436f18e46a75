"""What torch's optimisers do in a step: as operations to compile, and as torch's own kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
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

    def fused(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        slots: list[list[Tensor]],
        counts: list[Tensor],
        group: Mapping[str, Any],
    ) -> None:
        """Change the parameters and slots of a group in place, by the kernel that torch calls."""
        raise NotImplementedError  # only those that torch fuses have one; RMSprop is not asked


class Adam(Update):
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), as ``torch.optim.Adam``."""

    slots = ("exp_avg", "exp_avg_sq")
    kernel = staticmethod(torch._fused_adam_)

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

    def fused(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        slots: list[list[Tensor]],
        counts: list[Tensor],
        group: Mapping[str, Any],
    ) -> None:
        """Change the parameters and slots of a group in place, by the kernel that torch calls."""
        torch._foreach_add_(counts, 1)
        means, squares = slots
        beta1, beta2 = group["betas"]
        self.kernel(
            parameters,
            gradients,
            means,
            squares,
            [],
            counts,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )


class AdamW(Adam):
    """Adam, the weights' decay apart from the gradient, as ``torch.optim.AdamW``.

    See Loshchilov and Hutter 2019 (https://arxiv.org/abs/1711.05101).
    """

    kernel = staticmethod(torch._fused_adamw_)

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

    def fused(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        slots: list[list[Tensor]],
        counts: list[Tensor],
        group: Mapping[str, Any],
    ) -> None:
        """Change the parameters and slots of a group in place, by the kernel that torch calls."""
        (momenta,) = slots
        torch._fused_sgd_(
            parameters,
            gradients,
            momenta,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=False,
        )


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


class FusedSteps:
    """The steps of an optimiser by torch's kernels, without what torch looks up before each.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        It has the slots of these parameters.
    trained : sequence of Tensor
        The parameters that have a gradient.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, trained: Sequence[Tensor]) -> None:
        self.update = UPDATES[type(optimizer).__name__]
        place_of = {id(parameter): place for place, parameter in enumerate(trained)}
        self.groups = []
        for group in optimizer.param_groups:
            places = [place_of[id(p)] for p in group["params"] if id(p) in place_of]
            if places:
                parameters = [trained[place] for place in places]
                states = [optimizer.state[parameter] for parameter in parameters]
                slots = [[state[name] for state in states] for name in self.update.slots]
                counts = [state["step"] for state in states if "step" in state]
                self.groups.append((group, places, parameters, slots, counts))

    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Take a step."""
        for group, places, parameters, slots, counts in self.groups:
            some = [gradients[place] for place in places]
            self.update.fused(parameters, some, slots, counts, group)
