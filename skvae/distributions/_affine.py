"""Distributions of numbers in other units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import given_row


class Affine(td.Distribution):
    """The distribution of ``x = loc + scale · u`` where ``u`` has the distribution ``base``.

    ``log p(x) = log p(u) − log scale``, elementwise. Values are standardised in their own precision
    before ``base`` gets them. So a float64 column that is far from 0 keeps its digits, even with a
    float32 network. The distance of a value from ``loc`` is limited to the fourth root of the
    largest float (4e9 scales in float32), so that squares and their sums stay finite.

    Parameters
    ----------
    base : torch.distributions.Distribution
        The distribution of u, over single numbers, with batch shape ``(..., d)``.
    loc : Tensor of shape (d,)
        Location, in the units of x.
    scale : Tensor of shape (d,)
        Scale, positive, in the units of x.
    low : float, default=None
        The distribution is that of the x that are at least ``low``; ``base`` must then have a
        method ``above(low)``, as :class:`Normal` has. ``None`` means that every x is possible.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Affine, Normal
    >>> base = Normal(torch.zeros(2), torch.ones(2))
    >>> p = Affine(base, loc=torch.tensor([10.0, 0.0]), scale=torch.tensor([2.0, 1.0]))
    >>> p.mean, p.stddev
    (tensor([10.,  0.]), tensor([2., 1.]))
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration

    def __init__(
        self, base: td.Distribution, loc: Tensor, scale: Tensor, low: float | None = None
    ) -> None:
        if low is not None:
            whole: Any = base
            base = whole.above((self._lower_end(low) - loc) / scale)
        self.base, self.loc, self.scale, self.low = base, loc, scale, low
        super().__init__(base.batch_shape, validate_args=False)

    def _standardized(self, value: Tensor) -> Tensor:
        """Return u, in the precision of ``base`` only once it is of ordinary size."""
        dtype = self.base.mean.dtype
        farthest = torch.finfo(dtype).max ** 0.25
        return ((value - self.loc) / self.scale).to(dtype).clamp(-farthest, farthest)

    @staticmethod
    def _lower_end(low: float) -> float:
        """Return where the distribution of ``loc + scale · u`` begins."""
        return low

    def _unstandardize(self, u: Tensor) -> Tensor:
        x = self.loc + self.scale * u
        # Rounding may leave it a digit below.
        return x if self.low is None else x.clamp_min(self.low)

    @property
    def mean(self) -> Tensor:
        """``loc + scale · E[u]``."""
        return self._unstandardize(self.base.mean)

    @property
    def variance(self) -> Tensor:
        """``scale² · Var[u]``."""
        return self.scale.square() * self.base.variance

    def given_row(self, value: Tensor) -> Affine:
        """Return the distribution with what its base needs from the rows themselves.

        Parameters
        ----------
        value : Tensor of shape (..., d)
            Rows, in the units of x. NaN means that a value is missing.

        Returns
        -------
        told : Affine
            The distribution itself if the base needs nothing.
        """
        base = given_row(self.base, self._standardized(value))
        return self if base is self.base else Affine(base, self.loc, self.scale)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each number in nats, in the units of ``value``."""
        u = self._standardized(value)
        # Cast while it is one number for each column: a float64 would widen all rows.
        return self.base.log_prob(u) - self.scale.log().to(u.dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape``."""
        base: Any = self.base
        return self._unstandardize(base.sample(sample_shape, generator=generator))
