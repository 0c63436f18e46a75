"""Distributions of whole numbers that come from rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skvae.distributions._affine import Affine

whole = constraints.integer_interval(-math.inf, math.inf)
"""Whole numbers of either sign."""


class Rounded(Affine):
    """The distribution of ``x = round(loc + scale · u)`` where ``u`` has the distribution ``base``.

    ``log P(x) = log(F(x + ½) − F(x − ½))``, where F is the distribution function before rounding.
    This is a log-probability for any unit of u. Salimans et al. 2017
    (https://arxiv.org/abs/1701.05517) use the logistic distribution for grey levels in the same
    way. ``mean`` is the mean before rounding, and ``variance`` is the variance before rounding plus
    1/12 (Sheppard's correction). Both agree with those of x up to .01 if the standard deviation is
    at least ½.

    Parameters
    ----------
    base : Normal
        The distribution of u, over single numbers, with batch shape ``(..., d)``.
    loc : Tensor of shape (d,)
        Location, in the units of x.
    scale : Tensor of shape (d,)
        Scale, positive, in the units of x.
    low : float, default=None
        The distribution is that of the x that are at least ``low``. ``None`` means that every whole
        number is possible.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Normal, Rounded
    >>> base = Normal(torch.zeros(1), torch.ones(1))
    >>> years = Rounded(base, loc=torch.tensor([2008.0]), scale=torch.tensor([0.8]))
    >>> years.log_prob(torch.tensor([[2007.0], [2008.0], [2009.0]])).exp()
    tensor([[0.2356],
            [0.4680],
            [0.2356]])
    """

    support = whole

    def __init__(
        self, base: Distribution, loc: Tensor, scale: Tensor, low: float | None = None
    ) -> None:
        super().__init__(base, loc, scale, None if low is None else math.ceil(low))

    @staticmethod
    def _lower_end(low: float) -> float:
        return low - 0.5

    @property
    def variance(self) -> Tensor:
        """``scale² · Var[u] + 1/12``."""
        return super().variance + 1 / 12

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of each number in nats."""
        base: Any = self.base
        width = self.scale.reciprocal().to(base.mean.dtype)
        return base.log_prob_interval(self._standardized(value), width)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw whole numbers of shape ``sample_shape + batch_shape``."""
        return super().sample(sample_shape, generator=generator).round()
