"""Distributions in torch's vocabulary whose randomness comes from the caller.

``torch.distributions`` draws from the global generator, which a library must not touch.
The classes here are torch's own, or have the same methods, with two additions:
``sample(sample_shape, generator=...)`` takes the generator, and
``Normal.reparameterize(noise)`` takes the noise itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints
from torch.nn import functional as F

__all__ = [
    "Affine",
    "Bernoulli",
    "ContinuousBernoulli",
    "Independent",
    "InverseTransformSampling",
    "Normal",
]


class InverseTransformSampling(td.Distribution):
    """Mixin: sample by the quantile function of a uniform variable, ``x = F⁻¹(u)``.

    Put before any torch distribution that has ``icdf``, it makes ``sample`` take a
    generator::

        class Laplace(InverseTransformSampling, torch.distributions.Laplace): ...
    """

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        with torch.no_grad():
            like = self.mean
            u = torch.rand(
                self._extended_shape(torch.Size(sample_shape)),
                generator=generator,
                dtype=like.dtype,
                device=like.device,
            )
            # rand lies in [0, 1): at 0 the quantile of an unbounded variable is -inf.
            return self.icdf(u.clamp_min(torch.finfo(u.dtype).eps / 4))


class Normal(td.Normal):
    """The normal distribution of torch, with the caller's noise."""

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__(loc, scale, validate_args=False)

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return ``loc + scale · noise`` (Kingma and Welling 2014), differentiable."""
        return torch.addcmul(self.loc, self.scale, noise)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            options: dict[str, Any] = {"dtype": self.loc.dtype, "device": self.loc.device}
            return self.reparameterize(torch.randn(shape, generator=generator, **options))


class Bernoulli(InverseTransformSampling, td.Bernoulli):
    """The Bernoulli distribution of torch; ``log_prob`` also takes values between 0 and 1.

    Between 0 and 1 it is the cross-entropy, not the logarithm of a density.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return ``x·η − log(1 + e^η)`` with η the logits."""
        return value * self.logits - F.softplus(self.logits)

    def icdf(self, value: Tensor) -> Tensor:
        """Return 1 where ``value > 1 − p``, else 0."""
        return (value > 1 - self.probs).to(value.dtype)


class ContinuousBernoulli(InverseTransformSampling):
    """The continuous Bernoulli distribution on [0, 1], in its logits η.

    ``log p(x) = x·η − A(η)`` with ``A(η) = log((e^η − 1) / η)``, the normaliser that
    the Bernoulli log-density of a grey pixel lacks (Loaiza-Ganem and Cunningham 2019,
    https://arxiv.org/abs/1907.06845). Written in the logits it is exact where
    ``torch.distributions.ContinuousBernoulli``, written in the probability, saturates.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012 - torch's declaration
    support = constraints.unit_interval
    has_rsample = False
    _SERIES_BELOW = 0.1  # below it |η| loses digits in 1/η; the series is exact to 1e-15

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def _branches(self) -> tuple[Tensor, Tensor]:
        """Where the series holds, and η with those entries moved away from 0."""
        small = self.logits.abs() < self._SERIES_BELOW
        return small, torch.where(small, torch.ones_like(self.logits), self.logits)

    @property
    def log_normalizer(self) -> Tensor:
        """A(η) = max(η, 0) + log((1 − e^−|η|) / |η|)."""
        small, logits = self._branches()
        size = logits.abs()
        square = self.logits.square()
        series = self.logits / 2 + square / 24 - square.square() / 2880
        exact = logits.clamp_min(0) + torch.log(-torch.expm1(-size) / size)
        return torch.where(small, series, exact)

    @property
    def mean(self) -> Tensor:
        """E[x] = A'(η) = 1 / (1 − e^−η) − 1/η."""
        small, logits = self._branches()
        cube = self.logits**3
        series = 0.5 + self.logits / 12 - cube / 720 + cube * self.logits.square() / 30240
        return torch.where(small, series, -1 / torch.expm1(-logits) - 1 / logits)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value``, elementwise."""
        return value * self.logits - self.log_normalizer

    def icdf(self, value: Tensor) -> Tensor:
        """Return ``log(1 + u·(e^η − 1)) / η``, for large η from the other end of [0, 1]."""
        logits = torch.where(self.logits == 0, torch.finfo(value.dtype).tiny, self.logits)
        low = torch.log1p(value * torch.expm1(logits.clamp_max(1))) / logits
        high = 1 + torch.log(value + (1 - value) * torch.exp(-logits.clamp_min(1))) / logits
        return torch.where(logits > 1, high, low)


class Independent(td.Independent):
    """Sum the log-densities of the last dimension: a vector of independent variables."""

    def __init__(self, base_distribution: td.Distribution) -> None:
        super().__init__(base_distribution, 1, validate_args=False)

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Reparameterise each coordinate."""
        return self.base_dist.reparameterize(noise)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        return self.base_dist.sample(sample_shape, generator=generator)


class Affine(td.Distribution):
    """The distribution of ``x = loc + scale · u`` where ``u`` has the distribution ``base``.

    ``log p(x) = log p(u) − Σ log scale``. Values are standardised in their own precision
    before they meet ``base``, so a float64 column far from 0 keeps its digits under a
    float32 network.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration

    def __init__(self, base: Independent, loc: Tensor, scale: Tensor) -> None:
        self.base, self.loc, self.scale = base, loc, scale
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def _unstandardize(self, u: Tensor) -> Tensor:
        return self.loc + self.scale * u

    @property
    def mean(self) -> Tensor:
        """``loc + scale · E[u]``."""
        return self._unstandardize(self.base.mean)

    @property
    def variance(self) -> Tensor:
        """``scale² · Var[u]``."""
        return self.scale.square() * self.base.variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value``, in the units of ``value``."""
        u = ((value - self.loc) / self.scale).to(self.base.mean.dtype)
        return self.base.log_prob(u) - self.scale.log().sum()

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        return self._unstandardize(self.base.sample(sample_shape, generator=generator))
