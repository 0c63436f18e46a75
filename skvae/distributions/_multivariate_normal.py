"""The normal distribution of vectors with correlations, and its divergence."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import NoiseSampling
from skvae.distributions._independent import Independent


class MultivariateNormal(NoiseSampling):
    """A normal distribution of correlated components, ``N(loc, scale_tril scale_trilᵀ)``.

    The noise comes from the caller. The density of a z that ``reparameterize`` has just returned is
    computed from its noise. Computing the noise from z, as ``scale_tril⁻¹ (z − loc)``, would lose
    all digits if ``scale_tril`` is nearly singular.

    Parameters
    ----------
    loc : Tensor of shape (..., d)
        The mean.
    scale_tril : Tensor of shape (..., d, d)
        A lower triangular matrix with a positive diagonal.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import MultivariateNormal
    >>> p = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.0], [3.0, 4.0]]))
    >>> p.stddev
    tensor([1., 5.])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration

    def __init__(self, loc: Tensor, scale_tril: Tensor) -> None:
        self.loc, self.scale_tril = loc, scale_tril
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def detach(self) -> MultivariateNormal:
        """Return the same distribution with parameters that are detached from the graph.

        Returns
        -------
        p : MultivariateNormal
            Its draws by ``reparameterize`` have no gradient with respect to the parameters.
        """
        return MultivariateNormal(self.loc.detach(), self.scale_tril.detach())

    @property
    def mean(self) -> Tensor:
        """``loc``."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self.scale_tril.square().sum(-1)

    @property
    def log_det(self) -> Tensor:
        """Half the logarithm of the determinant of the covariance, with the shape of the batch."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def reparameterize(self, noise: Tensor) -> Tensor:
        """Return ``loc + scale_tril · noise``, differentiable."""
        z = self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        self._last = z, noise
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of vectors in nats, of shape ``value.shape[:-1]``."""
        normalizer = self.log_det + 0.5 * value.shape[-1] * math.log(2 * math.pi)
        return -0.5 * self._noise(value).square().sum(-1) - normalizer

    def _noise(self, value: Tensor) -> Tensor:
        if self._last is not None and self._last[0] is value:
            return self._last[1]
        residual = (value - self.loc).unsqueeze(-1)
        return torch.linalg.solve_triangular(self.scale_tril, residual, upper=False).squeeze(-1)


@td.register_kl(MultivariateNormal, Independent)
def _kl_multivariate_independent(p: MultivariateNormal, q: Independent) -> Tensor:
    """KL(N(m, LLᵀ) ‖ N(μ, diag σ²)) = ½ Σ (Var/σ² + (m − μ)²/σ² − 1 + log σ²) − log det L."""
    base = q.base_dist
    if not isinstance(base, td.Normal):
        raise NotImplementedError  # torch's word for: estimate it from draws
    squares = (p.variance + (p.loc - base.loc).square()) / base.scale.square()
    return (0.5 * (squares - 1) + base.scale.log()).sum(-1) - p.log_det
