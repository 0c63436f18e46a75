"""Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints

from skvae.distributions._base import lgamma_difference


class StudentT(td.Distribution):
    """Student's t distribution with ``df`` degrees of freedom, location and scale.

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
        # As they were given: of what is the same for all rows, logarithms are taken once.
        self.df, self.loc, self.scale = df, loc, scale
        shape = torch.broadcast_shapes(df.shape, loc.shape, scale.shape)
        super().__init__(shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """``loc``; NaN if ``df ≤ 1``."""
        return torch.where(self.df > 1, self.loc, math.nan).expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        """``scale² · df / (df − 2)``; infinite if ``1 < df ≤ 2``, NaN if ``df ≤ 1``."""
        finite = self.scale.square() * self.df / (self.df - 2)
        heavy = torch.where(self.df > 1, math.inf, math.nan)
        return torch.where(self.df > 2, finite, heavy).expand(self.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density at ``value`` in nats, elementwise."""
        # What is the same for all rows is put together first: it is one number for each column.
        return self._log_prob_of_tail((value - self.loc) * (self.df.rsqrt() / self.scale))

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
        return self._log_prob_of_tail(residual * self.df.rsqrt())

    def _log_prob_of_tail(self, u: Tensor) -> Tensor:
        """Return the log-density at ``loc + scale · √df · u``."""
        normalizer = lgamma_difference(self.df / 2, 0.5) - 0.5 * (math.pi * self.df).log()
        tail = torch.log1p(u.square())
        return torch.addcmul(normalizer - self.scale.log(), self.df + 1, tail, value=-0.5)

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
