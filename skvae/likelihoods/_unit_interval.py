"""Likelihoods of features in [0, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skvae import distributions
from skvae.likelihoods._base import Likelihood, first_of, slope_of_logits

_MARGIN = 0.01
"""Means of columns are moved this far from 0 and 1 before their logits are taken."""

_BISECTIONS = 30


class Bernoulli(Likelihood):
    """Binary features: ``log p(x|z) = Σ x·η − log(1 + e^η)`` with η from the decoder.

    Grey values in [0, 1] are allowed, too, as in many tutorials. The result is then a cross-entropy
    in nats per row, not a density. Images of uint8 in [0, 255] are read as X / 255.
    See Kingma and Welling 2014, appendix C.1 (https://arxiv.org/abs/1312.6114).

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import Bernoulli
    >>> bernoulli = Bernoulli()
    >>> bernoulli.initialize(loc=torch.full((3,), 0.5), scale=torch.ones(3))
    >>> p = bernoulli(torch.zeros(1, 3, 1))
    >>> p.log_prob(torch.ones(1, 3))  # three fair coins: -3 log 2
    tensor([-2.0794])
    """

    support = constraints.unit_interval
    requirement = "values between 0 and 1"
    cure = (
        "Set likelihood='gaussian', which takes any value, or fit on X scaled to [0, 1], for "
        "example by MinMaxScaler(). With its clip=True, values outside of the range of fit are "
        "cut off, so unusual rows are no longer recognised."
    )
    reads_bytes = True
    starts_linear = True

    loc: Tensor

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the logits of the means of the columns, so that training need not learn them."""
        self.register_buffer("loc", torch.logit(loc, eps=_MARGIN).float())

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the decoder, whose logits start at those of the means."""
        weight = slope_of_logits(mean, loadings)
        return first_of(self.n_params, weight, torch.zeros_like(mean))

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return distributions.Independent(distributions.Bernoulli(self.loc + params.squeeze(-1)))


class ContinuousBernoulli(Likelihood):
    """Features in [0, 1], such as grey pixels: the Bernoulli form, normalised to a density.

    ``log p(x|z) = Σ x·η − log((e^η − 1)/η)``, in nats per row, is a proper density on [0, 1]
    (Loaiza-Ganem and Cunningham 2019, https://arxiv.org/abs/1907.06845).
    Images of uint8 in [0, 255] are read as X / 255.

    Parameters
    ----------
    max_logit : float, default=16.0
        Upper bound of ``|η|``. Without it, pixels that are exactly 0 or 1 would pull η and their
        density to infinity, and training would improve the background instead of the figure (the
        10-nearest-neighbour accuracy of two components on digits is .73 without a bound and .83
        with 16). The bound limits the log-density to log 16 = 2.8 nats for each feature, and the
        mean to values between 1/16 and 15/16. torch's own class has the same limit.

    Raises
    ------
    ValueError
        In ``fit``, when ``max_logit`` is not positive.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import ContinuousBernoulli
    >>> likelihood = ContinuousBernoulli()
    >>> likelihood.initialize(loc=torch.full((3,), 0.5), scale=torch.ones(3))
    >>> p = likelihood(torch.zeros(1, 3, 1))
    >>> p.log_prob(torch.rand(1, 3)).abs() < 1e-6  # η = 0 is the uniform distribution
    tensor([True])
    """

    support = constraints.unit_interval
    requirement = Bernoulli.requirement
    cure = Bernoulli.cure
    reads_bytes = True

    def __init__(self, max_logit: float = 16.0) -> None:
        super().__init__()
        self.max_logit = max_logit

    loc: Tensor

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the logits of the means of the columns, found by bisection."""
        bound = self._real("max_logit", "it must be positive.", lambda value: 0 < value < math.inf)
        low = torch.full_like(loc, -bound)
        high = -low
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = distributions.ContinuousBernoulli(middle).mean < loc
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.register_buffer("loc", ((low + high) / 2).float())

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        bound = float(self.max_logit)
        logits = (self.loc + params.squeeze(-1)).clamp(-bound, bound)
        return distributions.Independent(distributions.ContinuousBernoulli(logits))
