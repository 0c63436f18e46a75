"""Distributions on [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.nn import functional as F

from skvae.distributions._base import InverseTransformSampling
from skvae.functional import elementwise


class Bernoulli(InverseTransformSampling, td.Bernoulli):
    """The Bernoulli distribution of torch; ``log_prob`` also takes values between 0 and 1.

    For values between 0 and 1, the result is a cross-entropy and not a log-density.

    Parameters
    ----------
    logits : Tensor of any shape
        ``η = log(p / (1 − p))``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Bernoulli
    >>> p = Bernoulli(torch.zeros(3))
    >>> p.log_prob(torch.tensor([0.0, 0.5, 1.0]))
    tensor([-0.6931, -0.6931, -0.6931])
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return ``x·η − log(1 + e^η)`` with η the logits, nats, elementwise."""
        return value * self.logits - F.softplus(self.logits)

    def icdf(self, value: Tensor) -> Tensor:
        """Return 1 where ``value > 1 − p``, else 0."""
        return (value > 1 - self.probs).to(value.dtype)


# Below it 1/η loses digits, and so does expm1, of which torch's compiler makes exp − 1. The series
# is exact to 1e-15.
_SERIES_BELOW = 0.1


def _branches(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Where the series holds, and η with those entries moved away from 0."""
    small = logits.abs() < _SERIES_BELOW
    return small, logits.masked_fill(small, 1.0)


def _log_normalizer(logits: Tensor) -> Tensor:
    small, safe = _branches(logits)
    size = safe.abs()
    square = logits.square()
    series = logits / 2 + square / 24 - square.square() / 2880
    exact = safe.clamp_min(0) + torch.log(-torch.expm1(-size) / size)
    return torch.where(small, series, exact)


def _mean(logits: Tensor) -> Tensor:
    small, safe = _branches(logits)
    square = logits.square()
    series = 0.5 + logits * (1 / 12 - square * (1 / 720 - square / 30240))
    return torch.where(small, series, -1 / torch.expm1(-safe) - 1 / safe)


@elementwise(lambda x, logits: logits, lambda x, logits: x - _mean(logits))
def _continuous_bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    return x * logits - _log_normalizer(logits)


class ContinuousBernoulli(InverseTransformSampling):
    """The continuous Bernoulli distribution on [0, 1], given by its logits η.

    ``log p(x) = x·η − A(η)`` with ``A(η) = log((e^η − 1) / η)``. This normaliser is missing if the
    Bernoulli distribution is used for grey pixels (Loaiza-Ganem and Cunningham 2019,
    https://arxiv.org/abs/1907.06845). With logits, it is exact also where
    ``torch.distributions.ContinuousBernoulli``, which uses the probability, saturates.

    Parameters
    ----------
    logits : Tensor of any shape
        The slope η of the log-density.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import ContinuousBernoulli
    >>> ContinuousBernoulli(torch.zeros(1)).mean  # η = 0 is the uniform distribution
    tensor([0.5000])
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012 - torch's declaration
    support = constraints.unit_interval
    has_rsample = False

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def log_normalizer(self) -> Tensor:
        """``A(η) = max(η, 0) + log((1 − e^−|η|) / |η|)``."""
        return _log_normalizer(self.logits)

    @property
    def mean(self) -> Tensor:
        """``E[x] = A'(η) = 1 / (1 − e^−η) − 1/η``."""
        return _mean(self.logits)

    @property
    def variance(self) -> Tensor:
        """``Var[x] = A''(η) = 1/η² − 1 / (2 sinh(η/2))²``."""
        small, logits = _branches(self.logits)
        square = self.logits.square()
        series = 1 / 12 - square / 240 + square.square() / 6048
        exact = logits.square().reciprocal() - (2 * torch.sinh(logits / 2)).square().reciprocal()
        return torch.where(small, series, exact)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value`` in nats, elementwise."""
        return _continuous_bernoulli_log_prob(value, self.logits)

    def icdf(self, value: Tensor) -> Tensor:
        """Return ``log(1 + u·(e^η − 1)) / η``, computed from 1 downwards for large η."""
        logits = torch.where(self.logits == 0, torch.finfo(value.dtype).tiny, self.logits)
        low = torch.log1p(value * torch.expm1(logits.clamp_max(1))) / logits
        high = 1 + torch.log(value + (1 - value) * torch.exp(-logits.clamp_min(1))) / logits
        return torch.where(logits > 1, high, low)
