"""Distributions of a transformed variable: normalizing flows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

N_MOMENT_PAIRS = 16
"""Antithetic pairs of base points behind a mean, which has no closed form."""


@lru_cache
def base_points(dim: int) -> Tensor:
    """Return antithetic standard normal points of variance one, float64, on the CPU.

    They are kept because they are always the same, and because a graph that is traced (ONNX)
    can hold them but not the way they are made.
    """
    with torch.inference_mode(False):
        sobol = torch.quasirandom.SobolEngine(dim, scramble=True, seed=0)
        uniform = sobol.draw(N_MOMENT_PAIRS, dtype=torch.float64).clamp(1e-9, 1 - 1e-9)
        noise = torch.special.ndtri(uniform)
        noise = noise / noise.square().mean(0).sqrt()
        return torch.cat([noise, -noise])


class Transformed(td.Distribution):
    """The distribution of ``z = f(u)`` with u from ``base``: ``log p(z) = log p(u) − log|f'(u)|``.

    The density of a z that ``reparameterize`` has just returned takes no additional time, because
    the last z is remembered, by identity, as in torch's transforms with ``cache_size=1``. Mean and
    variance are averages over fixed antithetic points. See Rezende and Mohamed 2015
    (https://arxiv.org/abs/1505.05770).

    Parameters
    ----------
    base : Independent
        A distribution of vectors.
    transform : torch.distributions.Transform
        The function f, with ``inv``, ``log_abs_det_jacobian`` and zuko's ``call_and_ladj``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Normal, Transformed
    >>> from zuko.transforms import SoftclipTransform
    >>> base = Independent(Normal(torch.zeros(2), torch.ones(2)))
    >>> z = Transformed(base, SoftclipTransform(bound=1.0)).reparameterize(torch.ones(2))
    >>> z  # 1 / (1 + |u|)
    tensor([0.5000, 0.5000])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration

    def __init__(self, base: Any, transform: Any) -> None:
        self.base, self.transform = base, transform
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return ``f(base.reparameterize(noise))``.

        Parameters
        ----------
        noise : Tensor of shape sample_shape + batch_shape + event_shape
            Standard normal noise.

        Returns
        -------
        z : Tensor of that shape
            Draws, differentiable with respect to the parameters.
        """
        u = self.base.reparameterize(noise)
        z, ladj = self.transform.call_and_ladj(u)
        self._last = z, self.base.log_prob(u) - ladj
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density in nats. For a value from elsewhere, the inverse of f is used."""
        if self._last is not None and self._last[0] is value:
            return self._last[1]
        u, ladj = self.transform.inv.call_and_ladj(value)
        return self.base.log_prob(u) + ladj

    def _points(self) -> Tensor:
        """Return points of z, equally likely, ``(2·N_MOMENT_PAIRS, ...)``."""
        noise = base_points(self.event_shape[0]).to(self.base.mean)
        noise = noise.reshape(-1, *[1] * len(self.batch_shape), *self.event_shape)
        return self.transform(self.base.reparameterize(noise))

    @property
    def mean(self) -> Tensor:
        """E[z], averaged over 32 fixed points."""
        return self._points().mean(0)

    @property
    def variance(self) -> Tensor:
        """Var[z], averaged over 32 fixed points."""
        points = self._points()
        # Points that lie together up to rounding have a spread all the same.
        return points.var(0, correction=0).clamp_min(torch.finfo(points.dtype).tiny)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        with torch.no_grad():
            return self.transform(self.base.sample(sample_shape, generator=generator))
