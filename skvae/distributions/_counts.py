"""Distributions of counts, in the logarithms of their parameters.

Log-probabilities are sums of large terms that cancel, so they are added up in float64 and
returned in the precision of the parameters; counts above 2⁵³ are taken as that. Each has
``times(factor)``, the same distribution with its mean multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.nn import functional as F

from skvae.distributions._base import lgamma_difference

LARGEST = 2.0**53
"""Counts above it are taken as it: not all whole numbers beyond are float64."""


class Counts(td.Distribution):
    """What the distributions of counts share: independent whole numbers."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    support = constraints.nonnegative_integer
    has_rsample = False

    def times(self, factor: Tensor) -> Counts:
        """Return the distribution whose mean is ``factor`` times this one's.

        Parameters
        ----------
        factor : Tensor of shape (..., 1)
            Positive factors, which broadcast with the batch.

        Returns
        -------
        counts : torch.distributions.Distribution
            A distribution of the same kind.
        """
        raise NotImplementedError

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw whole numbers of shape ``sample_shape + batch_shape``."""
        raise NotImplementedError


class Poisson(Counts):
    """The Poisson distribution, ``log p(x) = x·log λ − λ − log x!``, given by ``log λ``.

    Parameters
    ----------
    log_rate : Tensor of any shape
        The logarithm of λ.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Poisson
    >>> p = Poisson(torch.zeros(3))
    >>> p.log_prob(torch.tensor([0.0, 1.0, 2.0])).exp()  # e⁻¹, e⁻¹, e⁻¹/2
    tensor([0.3679, 0.3679, 0.1839])
    """

    def __init__(self, log_rate: Tensor) -> None:
        self.log_rate = log_rate
        super().__init__(log_rate.shape, validate_args=False)

    def times(self, factor: Tensor) -> Poisson:
        """Return the Poisson distribution of rate ``factor · λ``."""
        return Poisson(self.log_rate + factor.log().to(self.log_rate.dtype))

    @property
    def mean(self) -> Tensor:
        """The rate λ."""
        return self.log_rate.exp()

    @property
    def variance(self) -> Tensor:
        """The rate λ, as well."""
        return self.mean

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of ``value`` in nats, elementwise."""
        x, log_rate = value.double().clamp_max(LARGEST), self.log_rate.double()
        log_p = x * log_rate - log_rate.exp() - torch.lgamma(x + 1)
        return log_p.to(self.log_rate.dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw whole numbers of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            return torch.poisson(self.mean.expand(shape), generator=generator)


class NegativeBinomial(Counts):
    """A Poisson distribution with a Gamma distributed rate: mean μ, variance ``μ + μ²/r``.

    ``log p(x) = log Γ(x+r) − log Γ(r) − log x! + r·log(r/(r+μ)) + x·log(μ/(r+μ))``. It is given by
    ``log μ`` and ``log r``, where r is the inverse dispersion. For large r it becomes Poisson.

    Parameters
    ----------
    log_mean : Tensor of any shape
        The logarithm of μ.
    log_r : Tensor of a shape that broadcasts with it
        The logarithm of r.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import NegativeBinomial
    >>> p = NegativeBinomial(log_mean=torch.zeros(1), log_r=torch.zeros(1))
    >>> p.variance, p.log_prob(torch.tensor([2.0])).exp()  # a geometric distribution: 2⁻³
    (tensor([2.]), tensor([0.1250]))
    """

    def __init__(self, log_mean: Tensor, log_r: Tensor) -> None:
        self.log_mean, self.log_r = torch.broadcast_tensors(log_mean, log_r)
        super().__init__(self.log_mean.shape, validate_args=False)

    def times(self, factor: Tensor) -> NegativeBinomial:
        """Return the distribution of mean ``factor · μ`` and the same r."""
        return NegativeBinomial(self.log_mean + factor.log().to(self.log_mean.dtype), self.log_r)

    @property
    def mean(self) -> Tensor:
        """The mean μ."""
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        """``μ + μ²/r``."""
        return self.mean + (2 * self.log_mean - self.log_r).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of ``value`` in nats, elementwise."""
        x = value.double().clamp_max(LARGEST)
        log_mean, log_r = self.log_mean.double(), self.log_r.double()
        r, odds = log_r.exp(), log_r - log_mean
        choose = lgamma_difference(r, x) - torch.lgamma(x + 1)
        log_p = choose + r * F.logsigmoid(odds) + x * F.logsigmoid(-odds)
        return log_p.to(self.log_mean.dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw ``Poisson(Gamma(r, mean=μ))``, of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            gamma = torch._standard_gamma(self.log_r.exp().expand(shape), generator=generator)
            rate = gamma * (self.log_mean - self.log_r).exp()
            return torch.poisson(rate, generator=generator)


class ZeroInflated(Counts):
    """Zero with probability π, otherwise a draw from ``base``; given by the logits of π.

    See Lambert 1992 (https://doi.org/10.2307/1269547).

    Parameters
    ----------
    base : Poisson or NegativeBinomial
        The distribution without the additional zeros.
    logits : Tensor of the batch shape of ``base``
        ``log(π / (1 − π))``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Poisson, ZeroInflated
    >>> p = ZeroInflated(Poisson(torch.zeros(1)), logits=torch.zeros(1))
    >>> p.mean
    tensor([0.5000])
    """

    def __init__(self, base: Counts, logits: Tensor) -> None:
        self.base, self.logits = base, logits
        super().__init__(base.batch_shape, validate_args=False)

    def times(self, factor: Tensor) -> ZeroInflated:
        """Return the distribution whose ``base`` has ``factor`` times the mean."""
        return ZeroInflated(self.base.times(factor), self.logits)

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
        """Return ``log(π·[x=0] + (1 − π)·p(x))`` in nats, elementwise."""
        from_base = F.logsigmoid(-self.logits) + self.base.log_prob(value)
        either = torch.logaddexp(F.logsigmoid(self.logits), from_base)
        return torch.where(value == 0, either, from_base)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw whole numbers of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            x = self.base.sample(sample_shape, generator=generator)
            u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            return x * (u >= torch.sigmoid(self.logits))
