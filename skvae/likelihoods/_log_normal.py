"""Likelihoods of positive features, and of features that are positive or zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skvae import distributions
from skvae.likelihoods._base import FLOOR, Columns, log_moments, slope_of_logits
from skvae.likelihoods._location_scale import LocationScale

_LEAST_SHARE = 1e-3
"""Zeros start at least this rare, and as common at most."""


class LogNormal(LocationScale):
    """Positive features: the logarithm is normally distributed around the output of the decoder.

    ``log p(x|z) = Σ log N(log x; loc(z), scale²) − log x``, in nats per row and in the units of X.
    Use it for values that vary by factors, such as money, concentrations and waiting times. The
    logarithms of columns are standardised inside. So columns with values of 1e-9 and of 1e9 are
    trained equally well, and the unit of a column does not matter. The mean is
    ``exp(loc + scale²/2)``. See Crow and Shimizu 1988, "Lognormal Distributions"
    (https://doi.org/10.1201/9780203748664).

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        As in :class:`Gaussian`, for the logarithm of a column.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the standard deviation of the column's
        logarithm.
    evenness : float, default=0.0
        In [0, 1]: how evenly columns count when means are learned. See :class:`Gaussian`.

    Raises
    ------
    ValueError
        In ``fit``, when ``scale``, ``min_scale`` or ``evenness`` has none of these values.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import LogNormal
    >>> log_normal = LogNormal()
    >>> log_normal.initialize(loc=torch.tensor([1e3]), scale=torch.tensor([5e2]))
    >>> log_normal(torch.zeros(1, 1, 1)).mean.detach().round()
    tensor([[1000.]])
    """

    wants_detail = True
    support: constraints.Constraint = constraints.positive
    requirement = "positive numbers"
    cure = (
        "Set likelihood='zero_inflated_log_normal' if X also holds zeros, or "
        "likelihood='gaussian', which takes any number."
    )

    def __init__(
        self, scale: str | float = "feature", min_scale: float = 1e-3, evenness: float = 0.0
    ) -> None:
        super().__init__(scale, min_scale, evenness)

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Estimate the moments of the logarithms from mean and scale; create the learned scale."""
        super().initialize(*_log_moments(loc, scale))

    def observe(self, columns: Columns) -> None:
        """Standardise by the moments of the logarithms themselves."""
        super().meet(range(len(columns)), columns.log_mean, columns.log_scale)
        super().observe(columns)

    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Standardise the logarithms of the columns by what follows from these moments."""
        super().meet(columns, *_log_moments(loc, scale))

    def embed(self, x: Tensor) -> Tensor:
        """Return the standardised logarithms."""
        return super().embed(x.log())

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        return distributions.Normal(loc, scale)

    def _in_units(self, noise: Any) -> Distribution:
        return distributions.LogNormal(noise, self.loc, self.column_scale)


def _log_moments(loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments of the logarithms; means that no positive column has are raised."""
    return log_moments(torch.maximum(loc, FLOOR * scale), scale)


class ZeroInflatedLogNormal(LogNormal):
    """Features that are positive or exactly zero: a log-normal and a probability of zero.

    ``log p(x|z)`` is the sum over features of ``log π(z)`` if x is 0, which is a log-probability,
    and of ``log(1 − π(z)) + log LogNormal(x|z)`` if x is positive, which is a log-density; in nats
    per row. The decoder computes the logit of π and the parameters of :class:`LogNormal`; π starts
    at the share of zeros of the column. The encoder sees the standardised logarithm (0 for zeros)
    and whether the value is zero. Use it for spending, rainfall, or concentrations with a detection
    limit. See Wang, Liu and Miao 2019 (https://arxiv.org/abs/1912.07753).

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        As in :class:`Gaussian`, for the logarithm of a column.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the standard deviation of the column's
        logarithm.
    evenness : float, default=0.0
        In [0, 1]: how evenly columns count when means are learned. See :class:`Gaussian`.

    Raises
    ------
    ValueError
        In ``fit``, when ``scale``, ``min_scale`` or ``evenness`` has none of these values.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import ZeroInflatedLogNormal
    >>> spent = ZeroInflatedLogNormal()
    >>> spent.initialize(loc=torch.tensor([95.0]), scale=torch.tensor([50.0]))
    >>> p = spent(torch.zeros(1, 1, 2))
    >>> p.log_prob(torch.zeros(1, 1)).exp().detach()  # 5 % are zero
    tensor([0.0500])
    """

    support = constraints.nonnegative
    requirement = "numbers from 0 up"
    cure = "Set likelihood='gaussian', which takes any number."

    _START = 0.05
    zero_logit: Tensor

    @property
    def n_params(self) -> int:  # type: ignore[override]  # as in LocationScale
        """Number of outputs of the decoder for each feature: one more than for the log-normal."""
        return super().n_params + 1

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the means of the columns, with π at 5 %."""
        super().initialize(loc / (1 - self._START), scale)
        start = math.log(self._START / (1 - self._START))
        self.register_buffer("zero_logit", torch.full(loc.shape, start))

    def observe(self, columns: Columns) -> None:
        """Standardise by the positive values, and start π at the share of zeros."""
        super().observe(columns)
        self.zero_logit.copy_(torch.logit(columns.zeros, eps=_LEAST_SHARE))

    def embed(self, x: Tensor) -> Tensor:
        """Return the standardised logarithms (0 for zeros), and beside them where zeros are."""
        is_zero = x == 0
        embedded = super().embed(x.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0)
        zeros = is_zero.to(embedded.dtype).masked_fill(x.isnan(), torch.nan)
        return torch.cat([embedded, zeros], -1)

    @property
    def least_noise(self) -> Tensor:
        """As for the log-normal, and more for the columns that say where zeros are."""
        return torch.tensor([4 * self.min_scale**2, 0.1]).repeat_interleave(len(self.loc))

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the decoder: of the logarithms, and of the zeros' logits.

        The encoder sees 0 where the value is zero: the logarithm varies by as much as the others
        do, times their share.
        """
        log_mean, zeros = mean.chunk(2)
        log_loadings, zero_loadings = loadings.chunk(2)
        share = (1 - zeros).clamp_min(_LEAST_SHARE)
        weight, bias = super().start(
            log_mean / share, log_loadings / share.unsqueeze(-1), noise.chunk(2)[0] / share
        )
        weight[:, -1] = slope_of_logits(zeros, zero_loadings)
        return weight, bias

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        positive = self._distribution(params[..., :-1])
        hurdle = distributions.Hurdle(positive, self.zero_logit + params[..., -1])
        return self._of_rows(hurdle, params)

    def _seen(self, x: Tensor) -> Tensor:
        """Return the standardised logarithms, NaN where there is none."""
        return super().embed(torch.where(x > 0, x, torch.nan))
