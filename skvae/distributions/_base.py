"""What they share: samples from the caller's generator, and numbers that stay in range."""

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
    """Return ``max(softplus(raw), 1e-6)``: a standard deviation of z, from the output of a network.

    softplus alone underflows to 0 for rows that are far from the training rows, and the density
    with it.

    Parameters
    ----------
    raw : Tensor of any shape
        Outputs of a network.

    Returns
    -------
    scale : Tensor of that shape
        Positive numbers.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import positive
    >>> positive(torch.tensor([0.0, -1000.0])).log()
    tensor([ -0.3665, -13.8155])
    """
    return F.softplus(raw).clamp_min(SMALLEST_SCALE)


class InverseTransformSampling(td.Distribution):
    """Mixin that samples with the quantile function of a uniform variable, ``x = F⁻¹(u)``.

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
    """Mixin that samples with ``reparameterize(noise)`` and standard normal noise."""

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Turn noise into draws.

        Parameters
        ----------
        noise : Tensor of shape sample_shape + batch_shape + event_shape
            Standard normal noise.

        Returns
        -------
        z : Tensor of that shape
            Draws, differentiable with respect to the parameters.

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


def given_row(distribution: Any, value: Tensor) -> Any:
    """Return a distribution with what it needs from the rows themselves, such as their total.

    Parameters
    ----------
    distribution : torch.distributions.Distribution
        A distribution. If it has a method ``given_row(value)``, this is called; otherwise the
        distribution is returned as it is.
    value : Tensor of shape (..., n_features)
        Rows. NaN means that a value is missing.

    Returns
    -------
    distribution : torch.distributions.Distribution
        The distribution for these rows.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import GivenTotal, Poisson, given_row
    >>> p = GivenTotal(Poisson(torch.zeros(2)), torch.tensor([2.0]), shares=torch.full((2,), 0.5))
    >>> given_row(p, torch.tensor([1.0, 3.0])).mean  # twice the typical total
    tensor([2., 2.])
    """
    told = getattr(distribution, "given_row", None)
    return distribution if told is None else told(value)
