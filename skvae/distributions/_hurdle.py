"""Distributions of numbers that are zero or positive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.nn import functional as F


class Hurdle(td.Distribution):
    """Zero with probability π, otherwise a draw from ``base``, which is never zero.

    ``log p(x)`` is ``log π`` at 0, which is a log-probability, and ``log(1 − π) + log p_base(x)``
    elsewhere, which is a log-density. See Cragg 1971 (https://doi.org/10.2307/1909582).

    Parameters
    ----------
    base : torch.distributions.Distribution
        The distribution of positive numbers, with batch shape ``(..., d)``.
    logits : Tensor of a shape that broadcasts to it
        ``log(π / (1 − π))``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Hurdle, LogNormal, Normal
    >>> base = LogNormal(Normal(torch.zeros(1), torch.ones(1)), torch.zeros(1), torch.ones(1))
    >>> Hurdle(base, logits=torch.zeros(1)).log_prob(torch.zeros(1)).exp()
    tensor([0.5000])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    support = constraints.nonnegative
    has_rsample = False

    def __init__(self, base: td.Distribution, logits: Tensor) -> None:
        self.base, self.logits = base, logits
        super().__init__(base.batch_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """``(1 − π) · E[base]``."""
        return torch.sigmoid(-self.logits) * self.base.mean

    @property
    def variance(self) -> Tensor:
        """``(1 − π) · (Var[base] + π · E[base]²)``."""
        zeros = torch.sigmoid(self.logits)
        return (1 - zeros) * (self.base.variance + zeros * self.base.mean.square())

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of zeros, and the log-density of other values, in nats."""
        is_zero = value == 0
        other = self.base.log_prob(value.masked_fill(is_zero, 1.0))
        return torch.where(is_zero, F.logsigmoid(self.logits), F.logsigmoid(-self.logits) + other)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            base: Any = self.base
            x = base.sample(sample_shape, generator=generator)
            u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            return x.masked_fill(u < torch.sigmoid(self.logits), 0.0)
