"""Likelihoods of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from skvae import distributions
from skvae.likelihoods._base import FLOOR, GAIN, Likelihood, first_of, log_moments

STEEPEST = 1.0
"""A mean moves by at most this factor of e for each unit that the decoder puts out: the
logarithms of rare counts spread by more, but that is chance and nothing to learn."""

STEEPEST_START = 2.0
"""Training starts with slopes of at most this: what is more is noise of rare counts."""

LEAST_SCALE = 1.0
"""For the encoder, counts spread by at least this: the one 1 in a column of zeros is not to drown
the other columns. (With 1/4, cells of mean .05 lost 2 nats per row in held-out score.)"""


class Poisson(Likelihood):
    """Counts: ``log p(x|z) = Σ x·log λ(z) − λ(z) − log x!``, in nats per row.

    The rate is ``log λ = log(mean of the column) + c·η`` with η from the decoder. The term ``c·η``
    is cut off at 10, so that no rate overflows. c is the spread of the logarithm of the column, so
    that an η of ordinary size reaches the values of the column, and not far beyond. The encoder
    sees ``log(1 + x)``, standardised.

    With ``size_factor="total"``, the means of a row are ``s·λ(z)``. Here ``s`` is the total of the
    row divided by the typical total, which is the sum of the means of the columns in ``fit``. This
    is the observed library size of Lopez et al. 2018 (scVI,
    https://doi.org/10.1038/s41592-018-0229-2). z then says what a row consists of, not how much of
    it was counted. ``log_prob`` takes ``s`` from the row, so it is conditional on the total of the
    row. ``mean`` and ``sample`` are those of a row with the typical total, ``s = 1``. The encoder
    sees ``log(1 + x/s)``, standardised. The total of a row of zeros is taken to be 1. If counts are
    missing, the total is estimated: it is the total of the others, divided by the share that these
    columns typically have.

    Parameters
    ----------
    size_factor : {None, "total"}, default=None
        ``"total"`` divides by the total of each row, see above. With ``None``, z describes the
        total of a row, too.

    Raises
    ------
    ValueError
        In ``fit``, when ``size_factor`` has another value.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import Poisson
    >>> poisson = Poisson()
    >>> poisson.initialize(loc=torch.ones(3), scale=torch.ones(3))
    >>> p = poisson(torch.zeros(1, 3, 1))
    >>> p.log_prob(torch.zeros(1, 3))  # e⁻¹ each
    tensor([-3.])
    """

    support = constraints.nonnegative_integer
    requirement = "counts, whole numbers from 0 up,"
    cure = (
        "Round X if it holds counts with small errors, use the raw counts if it was normalised, or "
        "set likelihood='gaussian'."
    )

    starts_linear = True

    _MAX_ETA = 10.0
    _RAISED = 0.0  # of the logarithms of means, for zeros that are none of the counts'
    loc: Tensor
    log_scale: Tensor
    embedded_loc: Tensor
    embedded_scale: Tensor
    typical_total: Tensor

    def __init__(self, size_factor: str | None = None) -> None:
        super().__init__()
        self.size_factor = size_factor

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the mean and the spread of each column, which training need not learn then."""
        self._check_choice("size_factor", None, "total")
        for name, values in self._of_columns(loc, scale).items():
            self.register_buffer(name, values)
        total = loc.clamp_min(FLOOR).sum(0, keepdim=True)
        self.register_buffer("typical_total", total.float())

    @torch.no_grad()
    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Take these for the columns' means and spread: a mean moves so far from there only."""
        index = torch.as_tensor(columns, device=self.loc.device)
        for name, values in self._of_columns(loc, scale).items():
            known = getattr(self, name)
            known.index_copy_(0, index, values.to(known))
        self.typical_total.copy_((self.loc - self._RAISED).exp().sum(0, keepdim=True))

    def _of_columns(self, loc: Tensor, scale: Tensor) -> dict[str, Tensor]:
        """Return what is kept of each column with such a mean and spread."""
        means = loc.clamp_min(FLOOR)
        # A count of a known rate varies by the root of it: less of a spread says nothing.
        _, spread = log_moments(means, torch.maximum(scale, means.sqrt()))
        embedded_loc, embedded_scale = log_moments(1 + means, scale)
        _, least = log_moments(1 + means, torch.full_like(means, LEAST_SCALE))
        return {
            "loc": means.log().float() + self._RAISED,
            "log_scale": spread.clamp_max(STEEPEST).float(),
            "embedded_loc": embedded_loc,
            "embedded_scale": torch.maximum(embedded_scale, least),
        }

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the decoder: ``log μ`` moves by ``1 + 1/μ`` per log(1 + μ).

        ``E[exp(w·z)] = exp(|w|²/2)`` is taken off, so that means stay those of the columns.
        """
        steepness = (1 + (-self.loc.double()).exp()) * self.embedded_scale.double()
        weight = loadings * (steepness / self.log_scale.double()).unsqueeze(-1)
        weight *= (STEEPEST_START / weight.norm(dim=-1, keepdim=True)).clamp_max(1)
        bias = -0.5 * self.log_scale.double() * weight.square().sum(-1)
        return first_of(self.n_params, weight, bias)

    def embed(self, x: Tensor) -> Tensor:
        """Return ``log(1 + x)``, or ``log(1 + x/s)`` under size factors, standardised."""
        if self.size_factor is not None:
            x = x / distributions.size_factor(x, self.typical_total, self._shares())
        return (torch.log1p(x) - self.embedded_loc) / self.embedded_scale

    def _shares(self) -> Tensor:
        """Return the columns' shares of a typical total."""
        return self.loc.softmax(0)

    def _log_mean(self, params: Tensor) -> Tensor:
        return self.loc + (self.log_scale * params[..., 0]).clamp_max(self._MAX_ETA)

    def _counts(self, params: Tensor) -> Any:
        """Return the distribution of each feature, for ``s = 1``."""
        return distributions.Poisson(self._log_mean(params))

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        counts = self._counts(params)
        if self.size_factor is None:
            return distributions.Independent(counts)
        return distributions.GivenTotal(counts, self.typical_total, self._shares())


class NegativeBinomial(Poisson):
    """Overdispersed counts: a Poisson distribution whose rate is Gamma distributed.

    ``log p(x|z) = Σ log Γ(x+r) − log Γ(r) − log x! + r·log(r/(r+μ)) + x·log(μ/(r+μ))``, in nats per
    row. The mean μ(z) and the size factors are those of :class:`Poisson`. The inverse dispersions r
    are learned, between 1e-6 and 1e6. The variance is ``μ + μ²/r``. See Lopez et al. 2018 (scVI,
    https://doi.org/10.1038/s41592-018-0229-2).

    Parameters
    ----------
    dispersion : {"feature", "shared"}, default="feature"
        One r for each feature, or one for all features.
    size_factor : {None, "total"}, default=None
        As in :class:`Poisson`.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter has none of these values.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import NegativeBinomial
    >>> counts = NegativeBinomial()
    >>> counts.initialize(loc=torch.ones(3), scale=torch.full((3,), 2**0.5))  # so that r = 1
    >>> p = counts(torch.zeros(1, 3, 1))
    >>> p.log_prob(torch.zeros(1, 3)).exp().detach()  # 1/2 each
    tensor([0.1250])
    """

    _MAX_LOG_R = math.log(1e6)

    def __init__(self, dispersion: str = "feature", size_factor: str | None = None) -> None:
        super().__init__(size_factor)
        self.dispersion = dispersion

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the columns' means and, by moments, at ``r = mean² / (variance − mean)``."""
        super().initialize(loc, scale)
        self._check_choice("dispersion", "feature", "shared")
        square, excess = loc.square(), scale.square() - loc
        if self.dispersion == "shared":
            square, excess = square.sum(0, keepdim=True), excess.sum(0, keepdim=True)
        r = torch.where(excess > 0, square / excess, math.inf).clamp(1e-2, 1e3)
        self.log_r = nn.Parameter(self._stored(r.log()).float())

    # Close to log r = GAIN·parameter, but for counts that are Poisson it stays finite.

    def _stored(self, log_r: Tensor) -> Tensor:
        return torch.atanh(log_r / self._MAX_LOG_R) * self._MAX_LOG_R / GAIN

    def _log_r(self) -> Tensor:
        return self._MAX_LOG_R * torch.tanh(GAIN * self.log_r / self._MAX_LOG_R)

    @torch.no_grad()
    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases as for Poisson; set r to what z leaves of the dispersion.

        A Gamma of dispersion 1/r times a log-normal of variance v has ``(1 + 1/r)·e^v − 1``.
        """
        weight, bias = super().start(mean, loadings, noise)
        explained = (self.log_scale.double() * weight[:, 0].norm(dim=-1)).square()
        total = (-self._log_r().double()).exp()
        left = (1 + total) * (-explained).exp() - 1
        if self.dispersion == "shared":
            left = left.mean(0, keepdim=True)
        self.log_r.copy_(self._stored(-left.clamp(1e-3, 1e2).log()))
        return weight, bias

    def _counts(self, params: Tensor) -> Any:
        return distributions.NegativeBinomial(self._log_mean(params), self._log_r())


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """Overdispersed counts with more zeros than a negative binomial distribution has.

    ``p(x|z) = π·[x = 0] + (1 − π)·NB(x; μ, r)`` for each feature, in nats per row. The decoder
    computes μ and the logit of π, which starts at 5 %. The mean is ``(1 − π)·μ``. The mean μ, the
    dispersion r, and the size factors, which multiply μ, are those of :class:`NegativeBinomial`.
    See Lambert 1992 (https://doi.org/10.2307/1269547) and Lopez et al. 2018 (scVI,
    https://doi.org/10.1038/s41592-018-0229-2).

    Parameters
    ----------
    dispersion : {"feature", "shared"}, default="feature"
        One r for each feature, or one for all features.
    size_factor : {None, "total"}, default=None
        As in :class:`Poisson`.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter has none of these values.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import ZeroInflatedNegativeBinomial
    >>> counts = ZeroInflatedNegativeBinomial()
    >>> counts.initialize(loc=torch.full((2,), 3.0), scale=torch.full((2,), 2.0))
    >>> counts(torch.zeros(1, 2, 2)).mean
    tensor([[3.0000, 3.0000]])
    """

    n_params = 2
    _START = 0.05  # π where training starts, at the columns' means
    _RAISED = -math.log1p(-_START)

    def _counts(self, params: Tensor) -> Any:
        start = math.log(self._START / (1 - self._START))
        return distributions.ZeroInflated(super()._counts(params), start + params[..., 1])
