"""The Laplace distribution."""

from __future__ import annotations

import math

from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import InverseTransformSampling


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

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value`` in nats, elementwise."""
        return self.log_prob_of_residual((value - self.loc) / self.scale)

    def log_prob_of_residual(self, residual: Tensor) -> Tensor:
        """Return the log-density at ``loc + scale · residual`` in nats, elementwise.

        Parameters
        ----------
        residual : Tensor of a shape that broadcasts with the distribution's
            Distances from ``loc``, in units of ``scale``.

        Returns
        -------
        log_prob : Tensor of the shape of both, broadcast
            Nats.
        """
        return -residual.abs() - (self.scale.log() + math.log(2))
