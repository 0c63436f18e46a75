"""Distributions of positive numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import constraints

from skvae.distributions._affine import Affine
from skvae.distributions._normal import Normal


class LogNormal(Affine):
    """The distribution of ``x = exp(loc + scale · u)`` where ``u`` is normal.

    ``log p(x) = log p(u) − log scale − log x``, elementwise. Draws and means are at most the
    largest float.

    Parameters
    ----------
    base : Normal
        The distribution of u, over single numbers, with batch shape ``(..., d)``.
    loc : Tensor of shape (d,)
        Location, in the units of log x.
    scale : Tensor of shape (d,)
        Scale, positive, in the units of log x.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import LogNormal, Normal
    >>> base = Normal(torch.zeros(1), torch.ones(1))
    >>> p = LogNormal(base, loc=torch.tensor([2.0]), scale=torch.tensor([0.5]))
    >>> p.mean.log()  # loc + scale² / 2
    tensor([2.1250])
    """

    support = constraints.positive

    def __init__(self, base: Normal, loc: Tensor, scale: Tensor) -> None:
        super().__init__(base, loc, scale)

    @property
    def mean(self) -> Tensor:
        """``exp(E[log x] + Var[log x] / 2)``."""
        return _exp(super().mean + super().variance / 2)

    @property
    def variance(self) -> Tensor:
        """``(exp(Var[log x]) − 1) · E[x]²``."""
        log_variance = super().variance
        # log(exp(v) − 1) = v + log(1 − exp(−v))
        excess = log_variance + torch.log(-torch.expm1(-log_variance))
        return _exp(excess + 2 * super().mean + log_variance)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each number in nats, in the units of ``value``."""
        log_value = value.log()
        return super().log_prob(log_value) - log_value.to(self.base.mean.dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw positive numbers of shape ``sample_shape + batch_shape``."""
        return _exp(super().sample(sample_shape, generator=generator))


def _exp(x: Tensor) -> Tensor:
    """Return ``exp(x)``, positive and finite."""
    limits = torch.finfo(x.dtype)
    return x.clamp(math.log(limits.tiny), math.log(limits.max) - 1e-3).exp()
