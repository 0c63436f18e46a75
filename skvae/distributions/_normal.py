"""The normal distribution of numbers, and its divergence."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import NoiseSampling

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

_NARROW = 0.05
"""Intervals of so many standard deviations are narrow: the density's curvature within one is small,
and the difference of the distribution function at its ends loses digits."""


class Normal(NoiseSampling, td.Normal):
    """The normal distribution of torch, with noise from the caller.

    Parameters
    ----------
    loc : Tensor of any shape
        The mean.
    scale : Tensor of a shape that broadcasts to it
        The standard deviation.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Normal
    >>> Normal(torch.zeros(2), torch.tensor([1.0, 3.0])).reparameterize(torch.ones(2))
    tensor([1., 3.])
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        # torch's own constructor makes both of one shape: a large matrix of a few scales.
        self.loc, self.scale = loc, scale
        td.Distribution.__init__(self, loc.shape, validate_args=False)

    @property
    def stddev(self) -> Tensor:
        """The scale, for every location."""
        return self.scale.expand(self.loc.shape)

    def entropy(self) -> Tensor:
        """Return ``½ + log(scale · √(2π))``, nats."""
        return 0.5 + _LOG_SQRT_2PI + self.stddev.log()

    def detach(self) -> Normal:
        """Return the same distribution with parameters that are detached from the graph.

        Returns
        -------
        p : Normal
            Its draws by ``reparameterize`` have no gradient with respect to the parameters.
        """
        return Normal(self.loc.detach(), self.scale.detach())

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return ``loc + scale · noise`` (Kingma and Welling 2014), differentiable."""
        return torch.addcmul(self.loc, self.scale, noise)

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
        return -0.5 * residual.square() - (self.scale.log() + _LOG_SQRT_2PI)

    def above(self, low: Tensor) -> TruncatedNormal:
        """Return the distribution of the numbers that are at least ``low``.

        Parameters
        ----------
        low : Tensor of a shape that broadcasts with the distribution's
            Lower ends.

        Returns
        -------
        p : TruncatedNormal
            With the same ``loc`` and ``scale``.
        """
        return TruncatedNormal(self.loc, self.scale, low.to(self.loc.dtype))

    def log_prob_interval(self, value: Tensor, width: Tensor) -> Tensor:
        """Return ``log P(value − width/2 < x < value + width/2)`` in nats, elementwise.

        The result is finite for values and widths of any size, also in the far tails, and is
        differentiable.

        Parameters
        ----------
        value : Tensor of a shape that broadcasts with the distribution's
            Centres of the intervals.
        width : Tensor of a shape that broadcasts with both
            Widths of the intervals, positive.

        Returns
        -------
        log_prob : Tensor of the shape of all three, broadcast
            Nats, at most 0.
        """
        # By symmetry every interval is taken as one above the mean: there the tail is small.
        centre, width = ((value - self.loc) / self.scale).abs(), width / self.scale
        narrow = _log_narrow(centre, width.clamp_max(_NARROW))
        return torch.where(width < _NARROW, narrow, _log_wide(centre, width.clamp_min(_NARROW)))


_FAR = 25.0
"""So many standard deviations above the mean, what lies above is an exponential variable."""


class TruncatedNormal(Normal):
    """The normal distribution of numbers that are known to be at least ``low``.

    ``log p(x) = log N(x; loc, scale²) − log Q((low − loc) / scale)``, where Q is the probability
    of lying above. ``mean`` and ``variance`` are those of Johnson, Kotz and Balakrishnan 1994,
    "Continuous Univariate Distributions", volume 1, section 10.1
    (https://www.wiley.com/en-us/9780471584957).

    Parameters
    ----------
    loc : Tensor of any shape
        The mean before the cut.
    scale : Tensor of a shape that broadcasts to it
        The standard deviation before the cut.
    low : Tensor of a shape that broadcasts to it
        Lower ends. ``log_prob`` of a number below is meaningless.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import TruncatedNormal
    >>> half = TruncatedNormal(torch.zeros(1), torch.ones(1), low=torch.zeros(1))
    >>> half.mean  # sqrt(2/π)
    tensor([0.7979])
    """

    def __init__(self, loc: Tensor, scale: Tensor, low: Tensor) -> None:
        super().__init__(loc, scale)
        self.low = low

    @property
    def _cut(self) -> Tensor:
        """Lower ends, in standard deviations from the mean before the cut."""
        return (self.low - self.loc) / self.scale

    @property
    def mean(self) -> Tensor:
        """``loc + scale · φ(a) / Q(a)``, where a is the cut in standard deviations."""
        return self.loc + self.scale * _hazard(self._cut)

    @property
    def variance(self) -> Tensor:
        """``scale² · (1 + a·h − h²)``, where h is ``φ(a) / Q(a)``."""
        # Its terms cancel.
        cut = self._cut.double()
        hazard = _hazard(cut)
        near = 1 - hazard * (hazard - cut)
        far = cut.clamp_min(1.0).square().reciprocal()
        unit = torch.where(cut < _FAR, near, far).to(self.loc.dtype)
        return self.scale.square() * unit

    @property
    def stddev(self) -> Tensor:
        """Root of the variance."""
        return self.variance.sqrt()

    def entropy(self) -> Tensor:
        """Return ``log(√(2πe) · scale · Q(a)) + a·h/2``, nats."""
        return (
            0.5
            + _LOG_SQRT_2PI
            + self.scale.log()
            + _log_above(self._cut)
            + self._cut * _hazard(self._cut) / 2
        )

    def detach(self) -> TruncatedNormal:
        """Return the same distribution with parameters that are detached from the graph."""
        return TruncatedNormal(self.loc.detach(), self.scale.detach(), self.low.detach())

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Turn standard normal noise into draws: of as high a quantile as that of the noise."""
        # In float64, because most of the probability may lie above the cut, or next to none.
        cut, above = self._cut.double(), _log_above(noise.double())
        near = -torch.special.ndtri((above + _log_above(cut)).exp())
        # There, Q(u)/Q(cut) = exp((cut² − u²)/2), up to the factor cut/u (Marsaglia 1964).
        far = (cut.clamp_min(_FAR).square() - 2 * above).sqrt()
        u = torch.maximum(cut, torch.where(cut < _FAR, near, far))
        return self.loc + self.scale * u.to(self.loc.dtype)

    def log_prob_of_residual(self, residual: Tensor) -> Tensor:
        """Return that of :class:`Normal` in nats, for numbers that are at least ``low``."""
        return super().log_prob_of_residual(residual) - _log_above(self._cut)

    def log_prob_interval(self, value: Tensor, width: Tensor) -> Tensor:
        """Return that of :class:`Normal` in nats, for intervals that begin at ``low`` or above."""
        return super().log_prob_interval(value, width) - _log_above(self._cut)


def _log_narrow(centre: Tensor, width: Tensor) -> Tensor:
    """Return ``log ∫ φ`` over an interval on which ``φ(c+t) = φ(c)·exp(−ct)·(1 − t²/2)``."""
    # ∫ exp(−ct) dt over the interval, over its width: sinh(y)/y, y = c·width/2.
    y = centre * width / 2
    is_small = y < 1e-2
    large = y.masked_fill(is_small, 1.0)
    tilt = torch.where(
        is_small, y.square() / 6, large + torch.log(-torch.expm1(-2 * large) / large / 2)
    )
    return -0.5 * centre.square() - _LOG_SQRT_2PI + width.log() + tilt - width.square() / 24


def _log_wide(centre: Tensor, width: Tensor) -> Tensor:
    """Return ``log(Q(a) − Q(b))`` for the ends a and b, where Q is what lies above."""
    above, beyond = _log_above(centre - width / 2), _log_above(centre + width / 2)
    # In the far tail both are huge, and their difference is this, which bounds it always.
    decay = torch.maximum(above - beyond, centre * width)
    return above + torch.log(-torch.expm1(-decay))


def _hazard(u: Tensor) -> Tensor:
    """Return ``φ(u) / Q(u)``: the mean of what lies above u."""
    return math.sqrt(2 / math.pi) / torch.special.erfcx(u / math.sqrt(2))


def _log_above(u: Tensor) -> Tensor:
    """Return ``log Q(u)``; torch's ``log_ndtr`` has no gradient in float32 where u is large."""
    low, high = u.clamp_max(1.0), u.clamp_min(1.0)
    tail = torch.log(torch.special.erfcx(high / math.sqrt(2))) - 0.5 * high.square()
    return torch.where(u < 1.0, torch.erfc(low / math.sqrt(2)).log(), tail) - math.log(2)


@td.register_kl(Normal, Normal)
def _kl_normal_normal(p: Normal, q: Normal) -> Tensor:
    """KL(N(m, s²) ‖ N(μ, σ²)) = ½ (r² + ((m − μ)/σ)² − 1) − log r, where r = s/σ."""
    ratio = p.scale / q.scale
    shift = (p.loc - q.loc) / q.scale
    return 0.5 * (ratio.square() + shift.square() - 1) - ratio.log()
