"""What all share: samples from the caller's generator, vectors, units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.nn import functional as F

SMALLEST_SCALE = 1e-6
"""Below it a z of ordinary size no longer shows the noise that it was made of, in float32."""


def lgamma_difference(a: Tensor, step: Tensor | float) -> Tensor:
    """Return ``log Γ(a + step) − log Γ(a)``, taken in float64: large terms that cancel."""
    a64 = a.double()
    return (torch.lgamma(a64 + step) - torch.lgamma(a64)).to(a.dtype)


def positive(raw: Tensor) -> Tensor:
    """Return ``max(softplus(raw), 1e-6)``: a standard deviation of z, put out by a network.

    softplus alone underflows to 0 for rows far from those of training, and with it the density.

    Parameters
    ----------
    raw : Tensor of any shape
        Any numbers.

    Returns
    -------
    scale : Tensor of that shape
        Positive.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import positive
    >>> positive(torch.tensor([0.0, -1000.0])).log()
    tensor([ -0.3665, -13.8155])
    """
    return F.softplus(raw).clamp_min(SMALLEST_SCALE)


class InverseTransformSampling(td.Distribution):
    """Mixin: sample by the quantile function of a uniform variable, ``x = F⁻¹(u)``.

    Put before any torch distribution that has ``icdf``, it makes ``sample`` take a
    generator (Devroye 1986, chapter 2, https://doi.org/10.1007/978-1-4613-8643-8).

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import InverseTransformSampling
    >>> class Uniform(InverseTransformSampling, torch.distributions.Uniform): ...
    >>> p = Uniform(torch.zeros(2), torch.ones(2))
    >>> p.sample((3,), generator=torch.Generator().manual_seed(0)).shape
    torch.Size([3, 2])
    """

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        with torch.no_grad():
            like = self.mean
            u = torch.rand(
                self._extended_shape(torch.Size(sample_shape)),
                generator=generator,
                dtype=like.dtype,
                device=like.device,
            )
            # rand lies in [0, 1): at 0 the quantile of an unbounded variable is -inf.
            return self.icdf(u.clamp_min(torch.finfo(u.dtype).eps / 4))


class NoiseSampling(td.Distribution):
    """Mixin: sample by ``reparameterize(noise)``, the noise standard normal."""

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return draws made of the noise.

        Parameters
        ----------
        noise : Tensor of shape sample_shape + batch_shape + event_shape
            Standard normal.

        Returns
        -------
        z : Tensor of that shape
            Differentiable in the parameters.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define reparameterize(noise).")

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            options: dict[str, Any] = {"dtype": self.mean.dtype, "device": self.mean.device}
            return self.reparameterize(torch.randn(shape, generator=generator, **options))


class Independent(td.Independent):
    """Sum the log-densities of the last dimension: a vector of independent variables.

    Parameters
    ----------
    base_distribution : torch.distributions.Distribution
        Of numbers, with batch shape ``(..., d)``.

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

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-density of each coordinate, whose sum is ``log_prob``.

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
            Standard normal.

        Returns
        -------
        z : Tensor of that shape
            Differentiable in the parameters.
        """
        return self.base_dist.reparameterize(noise)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        return self.base_dist.sample(sample_shape, generator=generator)


class Affine(td.Distribution):
    """The distribution of ``x = loc + scale · u`` where ``u`` has the distribution ``base``.

    ``log p(x) = log p(u) − log scale``, elementwise. Values are standardised in their own
    precision before they meet ``base``, so a float64 column far from 0 keeps its digits under a
    float32 network. None counts as farther from ``loc`` than the fourth root of the largest
    float (4e9 scales in float32), so that squares and their sums stay finite.

    Parameters
    ----------
    base : torch.distributions.Distribution
        Of u, of numbers, with batch shape ``(..., d)``.
    loc : Tensor of shape (d,)
        In the units of x.
    scale : Tensor of shape (d,)
        Positive, in the units of x.

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

    def __init__(self, base: td.Distribution, loc: Tensor, scale: Tensor) -> None:
        self.base, self.loc, self.scale = base, loc, scale
        super().__init__(base.batch_shape, validate_args=False)

    def _unstandardize(self, u: Tensor) -> Tensor:
        return self.loc + self.scale * u

    @property
    def mean(self) -> Tensor:
        """``loc + scale · E[u]``."""
        return self._unstandardize(self.base.mean)

    @property
    def variance(self) -> Tensor:
        """``scale² · Var[u]``."""
        return self.scale.square() * self.base.variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each number in nats, in the units of ``value``."""
        dtype = self.base.mean.dtype
        farthest = torch.finfo(dtype).max ** 0.25
        u = ((value - self.loc) / self.scale).clamp(-farthest, farthest).to(dtype)
        # Cast while it is one number for each column: a float64 would widen all rows.
        return self.base.log_prob(u) - self.scale.log().to(dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape``."""
        base: Any = self.base
        return self._unstandardize(base.sample(sample_shape, generator=generator))
