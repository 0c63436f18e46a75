"""Distributions over the real numbers, of single values and of vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints

from skvae.distributions._base import (
    Independent,
    InverseTransformSampling,
    NoiseSampling,
    lgamma_difference,
)

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Normal(NoiseSampling, td.Normal):
    """The normal distribution of torch, with the caller's noise.

    Parameters
    ----------
    loc : Tensor of any shape
        The mean.
    scale : Tensor of a shape that broadcasts to it
        The standard deviation.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Normal
    >>> Normal(torch.zeros(2), torch.tensor([1.0, 3.0])).reparameterize(torch.ones(2))
    tensor([1., 3.])
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        # torch's own constructor makes both of one shape: a large matrix of a few scales.
        self.loc, self.scale = loc, scale
        td.Distribution.__init__(self, loc.shape, validate_args=False)

    @property
    def stddev(self) -> Tensor:
        """The scale, for every location."""
        return self.scale.expand(self.loc.shape)

    def entropy(self) -> Tensor:
        """Return ``½ + log(scale · √(2π))``, nats."""
        return 0.5 + _LOG_SQRT_2PI + self.stddev.log()

    def detach(self) -> Normal:
        """Return the same distribution, its parameters cut off from the graph.

        Returns
        -------
        p : Normal
            Draws of ``reparameterize`` then carry no gradient of the parameters.
        """
        return Normal(self.loc.detach(), self.scale.detach())

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return ``loc + scale · noise`` (Kingma and Welling 2014), differentiable."""
        return torch.addcmul(self.loc, self.scale, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value`` in nats, elementwise."""
        u = (value - self.loc) / self.scale
        return -0.5 * u.square() - (self.scale.log() + _LOG_SQRT_2PI)


@td.register_kl(Normal, Normal)
def _kl_normal_normal(p: Normal, q: Normal) -> Tensor:
    """KL(N(m, s²) ‖ N(μ, σ²)) = ½ (r² + ((m − μ)/σ)² − 1) − log r, where r = s/σ."""
    ratio = p.scale / q.scale
    shift = (p.loc - q.loc) / q.scale
    return 0.5 * (ratio.square() + shift.square() - 1) - ratio.log()


class MultivariateNormal(NoiseSampling):
    """``N(loc, scale_tril scale_trilᵀ)``, correlated components, with the caller's noise.

    The density of a z that ``reparameterize`` has just made comes from its noise: to recover
    it from z, ``scale_tril⁻¹ (z − loc)``, loses all digits where a scale is near singular.

    Parameters
    ----------
    loc : Tensor of shape (..., d)
        The mean.
    scale_tril : Tensor of shape (..., d, d)
        Lower triangular, its diagonal positive.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import MultivariateNormal
    >>> p = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    >>> p.stddev
    tensor([1., 5.])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration

    def __init__(self, loc: Tensor, scale_tril: Tensor) -> None:
        self.loc, self.scale_tril = loc, scale_tril
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def detach(self) -> MultivariateNormal:
        """Return the same distribution, its parameters cut off from the graph.

        Returns
        -------
        p : MultivariateNormal
            Draws of ``reparameterize`` then carry no gradient of the parameters.
        """
        return MultivariateNormal(self.loc.detach(), self.scale_tril.detach())

    @property
    def mean(self) -> Tensor:
        """``loc``."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self.scale_tril.square().sum(-1)

    @property
    def log_det(self) -> Tensor:
        """Half the logarithm of the covariance's determinant, of the batch's shape."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return ``loc + scale_tril · noise``, differentiable."""
        z = self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        self._last = z, noise
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of vectors in nats, of shape ``value.shape[:-1]``."""
        normalizer = self.log_det + 0.5 * value.shape[-1] * math.log(2 * math.pi)
        return -0.5 * self._noise(value).square().sum(-1) - normalizer

    def _noise(self, value: Tensor) -> Tensor:
        if self._last is not None and self._last[0] is value:
            return self._last[1]
        residual = (value - self.loc).unsqueeze(-1)
        return torch.linalg.solve_triangular(self.scale_tril, residual, upper=False).squeeze(-1)


@td.register_kl(MultivariateNormal, Independent)
def _kl_multivariate_independent(p: MultivariateNormal, q: Independent) -> Tensor:
    """KL(N(m, LLᵀ) ‖ N(μ, diag σ²)) = ½ Σ (Var/σ² + (m − μ)²/σ² − 1 + log σ²) − log det L."""
    base = q.base_dist
    if not isinstance(base, td.Normal):
        raise NotImplementedError  # torch's word for: estimate it from draws
    squares = (p.variance + (p.loc - base.loc).square()) / base.scale.square()
    return (0.5 * (squares - 1) + base.scale.log()).sum(-1) - p.log_det


class Laplace(InverseTransformSampling, td.Laplace):
    """The Laplace distribution of torch: ``log p(x) = −|x − loc| / scale − log(2·scale)``.

    Parameters
    ----------
    loc : Tensor of any shape
        The mean and median.
    scale : Tensor of a shape that broadcasts with it
        The mean absolute deviation.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Laplace
    >>> p = Laplace(torch.zeros(1), torch.full((1,), 0.5))
    >>> p.log_prob(torch.tensor([0.0, 1.0])).exp()  # 1, e⁻²
    tensor([1.0000, 0.1353])
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__(loc, scale, validate_args=False)


class StudentT(td.Distribution):
    """Student's t with ``df`` degrees of freedom, moved by ``loc`` and stretched by ``scale``.

    ``log p(x) = log Γ((df+1)/2) − log Γ(df/2) − ½ log(π·df) − log scale
    − (df+1)/2 · log(1 + u²/df)`` with ``u = (x − loc) / scale``. The mean exists for
    ``df > 1``, the variance for ``df > 2``.

    Parameters
    ----------
    df : Tensor of any shape
        Degrees of freedom.
    loc : Tensor of a shape that broadcasts with it
        The centre.
    scale : Tensor of a shape that broadcasts with both
        The spread, in the units of x.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import StudentT
    >>> p = StudentT(df=torch.tensor([4.0]), loc=torch.zeros(1), scale=torch.ones(1))
    >>> p.variance
    tensor([2.])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    support = constraints.real
    has_rsample = False

    def __init__(self, df: Tensor, loc: Tensor, scale: Tensor) -> None:
        self.df, self.loc, self.scale = torch.broadcast_tensors(df, loc, scale)
        super().__init__(self.loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """``loc``; NaN where ``df ≤ 1``."""
        return torch.where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        """``scale² · df / (df − 2)``; infinite where ``1 < df ≤ 2``, NaN where ``df ≤ 1``."""
        finite = self.scale.square() * self.df / (self.df - 2)
        heavy = torch.where(self.df > 1, math.inf, math.nan)
        return torch.where(self.df > 2, finite, heavy)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value`` in nats, elementwise."""
        u = (value - self.loc) / self.scale
        normalizer = lgamma_difference(self.df / 2, 0.5) - 0.5 * (math.pi * self.df).log()
        tail = 0.5 * (self.df + 1) * torch.log1p(u.square() / self.df)
        return normalizer - self.scale.log() - tail

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw ``loc + scale · normal / √(χ²/df)``, of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            options: dict[str, Any] = {"dtype": self.loc.dtype, "device": self.loc.device}
            normal = torch.randn(shape, generator=generator, **options)
            half_chi2 = torch._standard_gamma((self.df / 2).expand(shape), generator=generator)
            return self.loc + self.scale * normal * torch.sqrt(self.df / (2 * half_chi2))
