"""Distributions of rows with additional knowledge, such as labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td


class Tilted(td.Distribution):
    """A likelihood times the probability of something else: ``log p(x|z) + log p(y|z)``.

    If y is a label, the bound with this likelihood is a bound on log p(x, y). The factor may be
    raised to a power, which gives the label a weight relative to the columns (as in Kingma et al.
    2014, https://arxiv.org/abs/1406.5298). Mean, variance and draws are those of x.

    Parameters
    ----------
    base : torch.distributions.Distribution
        The distribution p(x|z), with batch shape ``(..., n)``.
    log_factor : Tensor of shape (..., n)
        Nats to be added. 0 if nothing else is known about a row.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Normal, Tilted
    >>> p = Independent(Normal(torch.zeros(3, 2), torch.ones(3, 2)))
    >>> Tilted(p, torch.tensor([0.0, -1.0, -2.0])).log_prob(torch.zeros(3, 2))
    tensor([-1.8379, -2.8379, -3.8379])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    has_rsample = False

    def __init__(self, base: Any, log_factor: Tensor) -> None:
        self.base = base
        self.log_factor = log_factor
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean of x."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """The variance of x."""
        return self.base.variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Return ``log p(x|z)`` plus the log-factor in nats, of shape ``value.shape[:-1]``."""
        return self.base.log_prob(value) + self.log_factor

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw rows of shape ``sample_shape + batch_shape + event_shape``."""
        return self.base.sample(sample_shape, generator=generator)
