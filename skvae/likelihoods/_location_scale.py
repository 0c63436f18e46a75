"""What likelihoods of real features share: columns in their own units, and a scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from skvae import distributions
from skvae.likelihoods._base import GAIN, Columns, Likelihood, first_of

UNIT = math.log(math.expm1(1.0))  # softplus of it is 1
ROW_GAIN = 0.1
"""Damped: the spread of initial weights must not make densities of 1e-3 deviations, and means have
to be learned first. (At 0.2 a network without a linear path took what its means still missed for
noise, and stayed there.)"""
REACH = 5.0
"""Standard deviations from which on an error no longer weighs more, where squared errors count
alike: no single wild value decides what the means are."""


class LocationScale(Likelihood):
    """Noise of some shape around the decoder's output, with its four kinds of scale.

    Columns are standardised inside by their training mean and standard deviation. A
    subclass says what the noise is: ``_noise(loc, scale)``, in standardised units.

    The bound weighs the error of a column by the inverse of its noise, so that components are
    spent on columns which they can make nearly exact. With ``evenness``, a share of the gradients
    of the means is that of squared errors of which all columns' count alike. Values, and gradients
    of the noise, are those of the bound, as in the β-NLL (Seitzer et al. 2022,
    https://arxiv.org/abs/2203.09168). With ``correlated`` noise, what z does not tell of columns
    that determine each other is not lost to the density.
    """

    starts_linear = True
    loc: Tensor
    column_scale: Tensor
    varies: Tensor

    def __init__(
        self,
        scale: str | float = "feature",
        min_scale: float = 1e-3,
        evenness: float = 0.0,
        correlated: bool = False,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.min_scale = min_scale
        self.evenness = evenness
        self.correlated = correlated

    @property
    def n_params(self) -> int:  # type: ignore[override]  # a property where the base has a value
        """Number of outputs of the decoder for each feature: 2 for ``scale="row"``, else 1."""
        return 2 if self.scale == "row" else 1

    @property
    def _is_by_column(self) -> bool:
        """Whether each column has a learned scale, by row or not."""
        return self.scale in ("feature", "row")

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Store the mean and scale of the columns, and create the learned scale.

        Parameters
        ----------
        loc, scale : Tensor of shape (n_features,), float64
            Mean and standard deviation of the training columns; the scale of a constant
            column is 1.

        Raises
        ------
        ValueError
            When a parameter of the constructor is out of range.
        """
        self._check_parameters()
        self.register_buffer("loc", loc)
        self.register_buffer("column_scale", scale)
        self.register_buffer("varies", torch.ones(len(scale), dtype=torch.bool))
        if self._is_by_column:
            self.log_scale = nn.Parameter(torch.zeros(len(scale)))
        elif self.scale == "shared":
            # Starts at the root mean square deviation of the columns.
            start = scale.square().mean().log().item() / (2 * GAIN)
            self.log_scale = nn.Parameter(torch.full((1,), start))
        if self.correlated:
            self.whitening = nn.Parameter(torch.zeros(len(scale), len(scale)))

    def observe(self, columns: Columns) -> None:
        """Fix the scale of constant columns.

        A learned scale would fall to its lower bound and give meaningless nats. The scale is fixed
        until the column varies; see ``meet``.
        """
        self.varies.copy_(~columns.constant)

    @torch.no_grad()
    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Standardise the columns by these moments from now on, and start their scale again."""
        index = torch.as_tensor(columns, device=self.loc.device)
        self.loc.index_copy_(0, index, loc.to(self.loc))
        self.column_scale.index_copy_(0, index, scale.to(self.column_scale))
        self.varies.index_fill_(0, index, True)
        if self._is_by_column:
            self.log_scale.index_fill_(0, index, 0.0)
        if self.correlated:
            self.whitening.index_fill_(0, index, 0.0).index_fill_(1, index, 0.0)

    @torch.no_grad()
    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Set the noise to that of a linear model; return weights and biases of the decoder."""
        if noise.ndim == 2:
            root = torch.linalg.cholesky(noise)
            deviation = root.diagonal() * self._scale_of_unit_deviation()
            self.whitening.copy_(torch.tril(torch.linalg.inv(root) * root.diagonal(), -1))
        else:
            deviation = noise.sqrt() * self._scale_of_unit_deviation()
        weight, bias = first_of(self.n_params, loadings, mean)
        learned = (deviation - float(self.min_scale)).clamp_min(float(self.min_scale))
        if self._is_by_column:
            self.log_scale.copy_(learned.log() / GAIN)
        elif self.scale == "shared":
            mean_square = (deviation * self.column_scale).square().mean()
            self.log_scale.fill_(mean_square.log() / (2 * GAIN))
        return weight, bias

    @property
    def least_noise(self) -> Any:
        """Smallest share of the variance of a column that is noise at the start; see ``start``."""
        return float(4 * self.min_scale**2)

    def _scale_of_unit_deviation(self) -> float:
        """Return the scale at which the noise has standard deviation 1."""
        return 1.0

    def _check_parameters(self) -> None:
        if self.scale not in ("feature", "shared", "row"):
            must = "it must be 'feature', 'shared', 'row' or a positive number."
            self._real("scale", must, lambda value: 0 < value < math.inf)
        self._real("min_scale", "it must lie in (0, 1).", lambda value: 0 < value < 1)
        self._real("evenness", "it must lie in [0, 1].", lambda value: 0 <= value <= 1)
        if self.correlated not in (True, False):
            name = type(self).__name__
            raise ValueError(
                f"correlated of {name} is {self.correlated!r}; it must be True or False."
            )
        if self.correlated and not self._is_by_column:
            raise ValueError(
                f"correlated of {type(self).__name__} is True, but scale is {self.scale!r}; "
                "correlated noise needs scale='feature' or 'row'."
            )

    def embed(self, x: Tensor) -> Tensor:
        """Return the standardised row."""
        return (x - self.loc) / self.column_scale

    def _standardized_scale(self, params: Tensor) -> Tensor:
        """Return the noise's scale in units of each column's standard deviation."""
        if self.scale not in ("feature", "shared", "row"):
            return (float(self.scale) / self.column_scale).to(params.dtype)
        learned = float(self.min_scale) + self._learned_scale(params)
        return torch.where(self.varies, learned, 1.0)

    def _learned_scale(self, params: Tensor) -> Tensor:
        scale = torch.exp(GAIN * self.log_scale)
        if self.scale == "shared":
            return (scale / self.column_scale).to(params.dtype)
        if self.scale == "feature":
            return scale
        return scale * F.softplus(UNIT + ROW_GAIN * params[..., 1])

    def _loc(self, params: Tensor) -> Tensor:
        """Return the means; in training, a share of their gradients comes from elsewhere."""
        loc = params[..., 0]
        if not self.training or not self.evenness:
            return loc
        return loc.detach().lerp(loc, 1 - float(self.evenness))

    def _even_term(self, x: Tensor, loc: Tensor) -> Tensor:
        """Return zeros, whose gradient in the means is their share of even squared errors."""
        with torch.no_grad():
            residual = self._seen(x).to(loc.dtype) - loc
            pull = residual.nan_to_num(0.0).clamp(-REACH, REACH)
            pull = pull * (float(self.evenness) / self._mean_variance(loc))
        return pull * (loc - loc.detach())

    def _seen(self, x: Tensor) -> Tensor:
        """Return the standardised row, NaN where it says nothing of the means."""
        return self.embed(x)

    def _mean_variance(self, loc: Tensor) -> Tensor:
        """Return the mean over columns of the squared scale of all noise, in standardised units."""
        # Outputs of 0 stand for any row.
        shape = loc.shape[-1], max(2, self.n_params)
        zeros = torch.zeros(shape, dtype=loc.dtype, device=loc.device)
        scale = self._standardized_scale(zeros)
        noise: Distribution = distributions.Normal(zeros[..., 0], scale)
        if self.correlated:
            noise = distributions.Correlated(noise, self.whitening)
        return (noise.variance * self.varies).sum() / self.varies.sum().clamp_min(1)

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        """Return the distribution of the standardised features."""
        raise NotImplementedError

    def _in_units(self, noise: Distribution) -> Distribution:
        """Return the distribution of the features in their own units."""
        return distributions.Affine(noise, self.loc, self.column_scale)

    def _distribution(self, params: Tensor) -> Distribution:
        """Return the distribution of each feature."""
        noise = self._noise(self._loc(params), self._standardized_scale(params))
        if self.correlated:
            noise = distributions.Correlated(noise, self.whitening)
        return self._in_units(noise)

    def _of_rows(self, features: Distribution, params: Tensor) -> Distribution:
        """Return the distribution of rows, made of that of each feature."""
        if not self.training or not self.evenness:
            return distributions.Independent(features)
        return _Even(features, partial(self._even_term, loc=params[..., 0]))

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return self._of_rows(self._distribution(params), params)


class _Even(distributions.Independent):
    """Rows whose log-density has a term more: of value 0, but for its gradient."""

    def __init__(self, features: Distribution, term: Callable[[Tensor], Tensor]) -> None:
        super().__init__(features)
        self.term = term

    def given_row(self, value: Tensor) -> _Even:
        """Return the distribution with what its features need from the rows themselves."""
        return _Even(distributions.given_row(self.base_dist, value), self.term)

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-density of each coordinate."""
        return super().log_prob_terms(value) + self.term(value)
