"""The normal distribution of numbers, and its divergence."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import NoiseSampling

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
