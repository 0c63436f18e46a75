"""Vectors of independent numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import given_row


class Independent(td.Independent):
    """Vectors of independent variables: log-densities are summed over the last dimension.

    The base distribution may also tell the density of each coordinate given those before it, as
    :class:`Correlated` does.

    Parameters
    ----------
    base_distribution : torch.distributions.Distribution
        A distribution of single numbers, with batch shape ``(..., d)``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Normal
    >>> p = Independent(Normal(torch.zeros(5, 3), torch.ones(3)))
    >>> p.batch_shape, p.event_shape
    (torch.Size([5]), torch.Size([3]))
    """

    def __init__(self, base_distribution: td.Distribution) -> None:
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = 1
        shape = base_distribution.batch_shape
        td.Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=False)

    def given_row(self, value: Tensor) -> Independent:
        """Return the distribution with what its coordinates need from the rows themselves.

        Parameters
        ----------
        value : Tensor of shape (..., d)
            Rows. NaN means that a value is missing.

        Returns
        -------
        told : Independent
            The distribution itself if they need nothing.
        """
        base = given_row(self.base_dist, value)
        return self if base is self.base_dist else Independent(base)

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-density of each coordinate. Their sum is ``log_prob``.

        Parameters
        ----------
        value : Tensor of shape (..., d)
            Vectors.

        Returns
        -------
        terms : Tensor of shape (..., d)
            Nats.
        """
        return self.base_dist.log_prob(value)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of vectors in nats, of shape ``value.shape[:-1]``."""
        return self.log_prob_terms(value).sum(-1)

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Reparameterise each coordinate.

        Parameters
        ----------
        noise : Tensor of shape sample_shape + batch_shape + event_shape
            Standard normal noise.

        Returns
        -------
        z : Tensor of that shape
            Draws, differentiable with respect to the parameters.
        """
        return self.base_dist.reparameterize(noise)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        return self.base_dist.sample(sample_shape, generator=generator)
