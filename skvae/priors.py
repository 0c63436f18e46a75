"""Priors p(z): a ``torch.nn.Module`` that returns a distribution when called.

The distribution has ``event_shape`` ``(latent_dim,)``, ``log_prob(z)`` and
``sample(sample_shape, generator=...)``; a prior with parameters learns them with the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skvae import distributions
from skvae._parameters import Parameters

__all__ = ["Prior", "StandardNormal"]


class Prior(Parameters, nn.Module):
    """Interface of a prior p(z)."""

    def __init__(self) -> None:
        super().__init__()

    def initialize(self, latent_dim: int) -> None:
        """Learn the latent dimension; make what depends on it."""

    def forward(self) -> Distribution:
        """Return p(z) with ``event_shape`` ``(latent_dim,)``."""
        raise TypeError(f"{type(self).__name__} does not define forward().")


class StandardNormal(Prior):
    """``p(z) = N(0, I)``, the prior of Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114).

    Examples
    --------
    >>> from skvae.priors import StandardNormal
    >>> prior = StandardNormal()
    >>> prior.initialize(latent_dim=3)
    >>> prior().mean
    tensor([0., 0., 0.])
    """

    loc: Tensor
    scale: Tensor

    def initialize(self, latent_dim: int) -> None:
        """Set the dimension."""
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        """Return p(z)."""
        return distributions.Independent(distributions.Normal(self.loc, self.scale))
