"""Mixtures of distributions over vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td


def pairwise_log_prob(components: Any, value: Tensor) -> Tensor:
    """Return ``log p_k(value)`` of every vector under every component.

    Parameters
    ----------
    components : torch.distributions.Distribution
        The components, with batch shape ``(k,)`` and event shape ``(d,)``.
    value : Tensor of shape (..., d)
        Vectors.

    Returns
    -------
    log_prob : Tensor of shape (..., k)
        Nats.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Normal, pairwise_log_prob
    >>> components = Independent(Normal(torch.zeros(3, 2), torch.ones(3, 2)))
    >>> pairwise_log_prob(components, torch.zeros(7, 2)).shape
    torch.Size([7, 3])
    """
    base = getattr(components, "base_dist", None)
    if not isinstance(base, td.Normal):
        return components.log_prob(value.unsqueeze(-2))
    # Σ (v − m)²/σ² written as matrix products, whose terms cancel: hence in float64.
    v, m, precision = value.double(), base.loc.double(), base.scale.double().pow(-2)
    squares = v.square() @ precision.T - 2 * v @ (m * precision).T + (m.square() * precision).sum(1)
    normalizer = base.scale.double().log().sum(1) + 0.5 * m.shape[1] * math.log(2 * math.pi)
    # Far from 0 all their digits cancel; a sum of squares is not negative.
    return (-0.5 * squares.clamp_min(0) - normalizer).to(value.dtype)


class Mixture(td.Distribution):
    """A mixture of distributions of vectors, ``p(z) = Σ_k w_k p_k(z)``.

    Parameters
    ----------
    log_weights : Tensor of shape (k,)
        Logarithms of the weights, which are normalised inside.
    components : torch.distributions.Distribution
        The components, with batch shape ``(k,)``, event shape ``(d,)`` and
        ``reparameterize(noise)``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Mixture, Normal
    >>> normals = Independent(Normal(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1)))
    >>> p = Mixture(torch.zeros(2), normals)
    >>> p.mean, p.variance
    (tensor([0.]), tensor([2.]))
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration

    def __init__(self, log_weights: Tensor, components: Any) -> None:
        self.log_weights = torch.log_softmax(log_weights, -1)
        self.components = components
        super().__init__(torch.Size(), components.event_shape, validate_args=False)

    def _average(self, value: Tensor) -> Tensor:
        return self.log_weights.exp() @ value

    @property
    def mean(self) -> Tensor:
        """``Σ w_k E_k[z]``."""
        return self._average(self.components.mean)

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate, ``Σ w_k (Var_k + (E_k − E)²)``."""
        spread = (self.components.mean - self.mean).square()
        return self._average(self.components.variance + spread)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return ``log Σ_k w_k p_k(value)`` in nats, of shape ``value.shape[:-1]``."""
        return torch.logsumexp(pairwise_log_prob(self.components, value) + self.log_weights, -1)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + event_shape``."""
        with torch.no_grad():
            n = math.prod(sample_shape)
            weights = self.log_weights.exp()
            chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
            noise = torch.randn(
                (n, 1, *self.event_shape),
                generator=generator,
                dtype=weights.dtype,
                device=weights.device,
            )
            every = self.components.reparameterize(noise)
            z = every[torch.arange(n, device=every.device), chosen]
        return z.reshape(*sample_shape, *self.event_shape)
