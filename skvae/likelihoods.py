"""Likelihoods p(x|z): what the decoder's output says of a row.

A likelihood is a ``torch.nn.Module`` with the interface of :class:`Likelihood`. The
estimator copies the object it was given, calls ``initialize`` once with the location and
scale of the training columns, and from then on asks it for two things: ``embed(x)``,
how a row enters the encoder, and ``likelihood(params)``, the distribution of a row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

from skvae import distributions
from skvae._parameters import Parameters

__all__ = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Likelihood"]

_MARGIN = 0.01
"""Means of columns are moved this far from 0 and 1 before their logits are taken."""

_BISECTIONS = 30


class Likelihood(Parameters, nn.Module):
    """Interface of a likelihood p(x|z).

    Attributes
    ----------
    n_params : int
        Numbers per feature that the decoder puts out.
    support : torch.distributions.constraints.Constraint
        Values that a row may hold; checked in ``fit`` and ``score_samples``.
    requirement : str
        The support in words, for the error message: "X must hold ...".
    cure : str
        What to do about values outside the support.
    """

    n_params: int = 1
    support: constraints.Constraint = constraints.real
    requirement: str = "finite numbers"
    cure: str = "Drop or impute the other values."

    def __init__(self) -> None:
        super().__init__()

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Meet the data: make what depends on the columns.

        Parameters
        ----------
        loc, scale : Tensor of shape (n_features,), float64
            Mean and standard deviation of the training columns; the scale of a constant
            column is 1.
        """

    def embed(self, x: Tensor) -> Tensor:
        """Return the row as the encoder sees it; shape ``(..., n_features)``."""
        return x

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z) with ``event_shape`` ``(n_features,)``.

        Parameters
        ----------
        params : Tensor of shape (..., n_features, n_params)
            The output of the decoder.
        """
        raise TypeError(f"{type(self).__name__} does not define forward(params).")


class Bernoulli(Likelihood):
    """Binary features: ``log p(x|z) = Σ x·η − log(1 + e^η)``, the decoder gives η.

    Grey values in [0, 1] are taken too, as in the well-known tutorials; the result is
    then a cross-entropy in nats per row, not a density.
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
        "Scale X to [0, 1], for example by MinMaxScaler(clip=True), or set likelihood='gaussian'."
    )

    loc: Tensor

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the logits of the columns' means, so that a fit need not learn them."""
        self.register_buffer("loc", torch.logit(loc, eps=_MARGIN).float())

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return distributions.Independent(distributions.Bernoulli(self.loc + params[..., 0]))


class ContinuousBernoulli(Likelihood):
    """Features in [0, 1], grey pixels above all: the Bernoulli form, normalised.

    ``log p(x|z) = Σ x·η − log((e^η − 1)/η)`` is a proper density on [0, 1]
    (Loaiza-Ganem and Cunningham 2019, https://arxiv.org/abs/1907.06845), in nats per row.

    Parameters
    ----------
    max_logit : float, default=16.0
        Bound of |η|. Pixels that are exactly 0 or 1 would otherwise draw η to infinity,
        their density with it, and training would serve the background before the figure
        (10-nearest-neighbour accuracy of two components on digits, all else equal: .73
        unbounded, .83 at 16). A density is then at most log 16 = 2.8 nats for each feature, and the
        mean lies between 1/16 and 15/16. 16 is also where torch's own class clamps.

    Raises
    ------
    ValueError
        At ``fit``, when ``max_logit`` is not positive.

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

    def __init__(self, max_logit: float = 16.0) -> None:
        super().__init__()
        self.max_logit = max_logit

    loc: Tensor

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the logits of the columns' means, found by bisection."""
        if not self.max_logit > 0:
            raise ValueError(
                f"max_logit of ContinuousBernoulli is {self.max_logit!r}; it must be positive."
            )
        low = torch.full_like(loc, -self.max_logit)
        high = -low
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = distributions.ContinuousBernoulli(middle).mean < loc
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        self.register_buffer("loc", ((low + high) / 2).float())

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        logits = (self.loc + params[..., 0]).clamp(-self.max_logit, self.max_logit)
        return distributions.Independent(distributions.ContinuousBernoulli(logits))


class Gaussian(Likelihood):
    """Real features: normal around the decoder's output, in the units of X.

    ``log p(x|z) = Σ log N(x; loc(z), scale²)``, nats per row. Columns are standardised
    inside by their training mean and standard deviation, and the Jacobian of that is in
    the density, so columns of 1e-3 and of 1e4 train alike. A learned scale is the
    σ-VAE of Rybkin, Daniilidis and Levine 2021 (https://arxiv.org/abs/2006.13202).

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        ``"feature"``: one learned standard deviation per feature, as in factor analysis.
        ``"shared"``: one learned for all, in the units of X, as in probabilistic PCA.
        ``"row"``: put out by the decoder for every row and feature.
        A positive number: fixed, in the units of X.
    min_scale : float, default=1e-3
        Floor of a learned scale, as a fraction of the column's standard deviation: what
        keeps the density of a constant or perfectly predicted column finite.

    Raises
    ------
    ValueError
        At ``fit``, when ``scale`` or ``min_scale`` is none of the above.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.likelihoods import Gaussian
    >>> vae = VariationalAutoencoder(likelihood=Gaussian(scale="shared"), max_epochs=5)
    >>> vae.fit(load_iris().data).transform(load_iris().data).shape
    (150, 2)
    """

    # Adam moves every parameter by about the learning rate a step, and a scale has far to
    # go in nats: 20 lets 1e-3 reach a tenth of the column's deviation in 115 steps.
    _GAIN = 20.0
    loc: Tensor
    column_scale: Tensor

    def __init__(self, scale: str | float = "feature", min_scale: float = 1e-3) -> None:
        super().__init__()
        self.scale = scale
        self.min_scale = min_scale

    @property
    def n_params(self) -> int:  # type: ignore[override]  # a property where the base has a value
        """Numbers per feature that the decoder puts out: 2 for ``scale="row"``, else 1."""
        return 2 if self.scale == "row" else 1

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Store the columns' location and scale; make the learned scale."""
        self._check_parameters()
        self.register_buffer("loc", loc)
        self.register_buffer("column_scale", scale)
        if self.scale == "feature":
            self.log_scale = nn.Parameter(torch.zeros(len(scale)))
        elif self.scale == "shared":
            # Starts at the root mean square deviation of the columns.
            start = scale.square().mean().log().item() / (2 * self._GAIN)
            self.log_scale = nn.Parameter(torch.full((1,), start))

    def _check_parameters(self) -> None:
        learned = self.scale in ("feature", "shared", "row")
        if not learned and not (isinstance(self.scale, int | float) and 0 < self.scale < math.inf):
            raise ValueError(
                f"scale of Gaussian is {self.scale!r}; "
                "it must be 'feature', 'shared', 'row' or a positive number."
            )
        if not 0 < self.min_scale < 1:
            raise ValueError(f"min_scale of Gaussian is {self.min_scale!r}; it must lie in (0, 1).")

    def embed(self, x: Tensor) -> Tensor:
        """Return the standardised row."""
        return (x - self.loc) / self.column_scale

    def _standardized_scale(self, params: Tensor) -> Tensor:
        """Return the noise's standard deviation in units of each column's own."""
        if self.scale == "row":
            return self.min_scale + F.softplus(params[..., 1])
        if self.scale == "feature":
            return self.min_scale + torch.exp(self._GAIN * self.log_scale)
        if self.scale == "shared":
            shared = torch.exp(self._GAIN * self.log_scale)
            return self.min_scale + (shared / self.column_scale).to(params.dtype)
        return (float(self.scale) / self.column_scale).to(params.dtype)

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        scale = self._standardized_scale(params)
        base = distributions.Normal(params[..., 0], scale)
        return distributions.Affine(distributions.Independent(base), self.loc, self.column_scale)
