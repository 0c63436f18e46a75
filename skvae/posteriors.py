"""Posterior families q(z|x): the heads on the encoder's features.

A family is a ``torch.nn.Module`` that maps features ``(n, n_in)`` to a distribution with
``batch_shape`` ``(n,)`` and ``event_shape`` ``(latent_dim,)``, which has ``mean``,
``log_prob(z)`` and ``reparameterize(noise)``: standard normal noise in, z out.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from skvae import distributions

__all__ = ["DiagonalNormal"]


class DiagonalNormal(nn.Module):
    """``q(z|x) = N(loc(x), diag scale(x)²)`` (Kingma and Welling 2014, eq. 9).

    Parameters
    ----------
    n_in : int
        Width of the encoder's features.
    latent_dim : int
        Dimension of z.

    Examples
    --------
    >>> import torch
    >>> from skvae.posteriors import DiagonalNormal
    >>> DiagonalNormal(16, 2)(torch.zeros(5, 16)).mean.shape
    torch.Size([5, 2])
    """

    # A tenth of the prior's width at the start: at full width the decoder sees noise alone,
    # learns to ignore z, and some seeds never recover.
    _START = math.log(math.expm1(0.1))

    def __init__(self, n_in: int, latent_dim: int) -> None:
        super().__init__()
        self.loc = nn.Linear(n_in, latent_dim)
        self.scale = nn.Linear(n_in, latent_dim)

    def forward(self, features: Tensor) -> Distribution:
        """Return q(z|x)."""
        # float32 even when the features come from a bfloat16 region: a KL needs the digits.
        dtype = self.loc.weight.dtype
        loc, raw = self.loc(features).to(dtype), self.scale(features).to(dtype)
        scale = F.softplus(raw + self._START)
        return distributions.Independent(distributions.Normal(loc, scale))
