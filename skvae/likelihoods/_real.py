"""Likelihoods of real features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from skvae import distributions
from skvae.likelihoods._base import GAIN, Likelihood

UNIT = math.log(math.expm1(1.0))  # softplus of it is 1
ROW_GAIN = 0.2


class LocationScale(Likelihood):
    """Noise of some shape around the decoder's output, with its four kinds of scale.

    Columns are standardised inside by their training mean and standard deviation. A
    subclass says what the noise is: ``_noise(loc, scale)``, in standardised units.
    """

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
        """Store the columns' location and scale; make the learned scale.

        Parameters
        ----------
        loc, scale : Tensor of shape (n_features,), float64
            Mean and standard deviation of the training columns; the scale of a constant
            column is 1.

        Raises
        ------
        ValueError
            When a parameter of the constructor is out of its range.
        """
        self._check_parameters()
        self.register_buffer("loc", loc)
        self.register_buffer("column_scale", scale)
        if self.scale == "feature":
            self.log_scale = nn.Parameter(torch.zeros(len(scale)))
        elif self.scale == "shared":
            # Starts at the root mean square deviation of the columns.
            start = scale.square().mean().log().item() / (2 * GAIN)
            self.log_scale = nn.Parameter(torch.full((1,), start))

    @torch.no_grad()
    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Standardise the columns by these moments from now on; start their own scale anew."""
        index = torch.as_tensor(columns, device=self.loc.device)
        self.loc.index_copy_(0, index, loc.to(self.loc))
        self.column_scale.index_copy_(0, index, scale.to(self.column_scale))
        if self.scale == "feature":
            self.log_scale.index_fill_(0, index, 0.0)

    def _check_parameters(self) -> None:
        if self.scale not in ("feature", "shared", "row"):
            must = "it must be 'feature', 'shared', 'row' or a positive number."
            self._real("scale", must, lambda value: 0 < value < math.inf)
        self._real("min_scale", "it must lie in (0, 1).", lambda value: 0 < value < 1)

    def embed(self, x: Tensor) -> Tensor:
        """Return the standardised row."""
        return (x - self.loc) / self.column_scale

    def _standardized_scale(self, params: Tensor) -> Tensor:
        """Return the noise's scale in units of each column's standard deviation."""
        lowest = float(self.min_scale)
        if self.scale == "row":
            # Damped: the spread of initial weights must not make densities of 1e-3 deviations.
            return lowest + F.softplus(UNIT + ROW_GAIN * params[..., 1])
        if self.scale == "feature":
            return lowest + torch.exp(GAIN * self.log_scale)
        if self.scale == "shared":
            shared = torch.exp(GAIN * self.log_scale)
            return lowest + (shared / self.column_scale).to(params.dtype)
        return (float(self.scale) / self.column_scale).to(params.dtype)

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        """Return the distribution of the standardised features."""
        raise NotImplementedError

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        loc = params.squeeze(-1) if self.n_params == 1 else params[..., 0]
        noise = self._noise(loc, self._standardized_scale(params))
        return distributions.Independent(distributions.Affine(noise, self.loc, self.column_scale))


class Gaussian(LocationScale):
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

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        return distributions.Normal(loc, scale)


class Laplace(LocationScale):
    """Real features with tails heavier than normal: robust to outliers, fits medians.

    ``log p(x|z) = −Σ |x − loc(z)| / scale + log(2·scale)``, nats per row, in the units of
    X. The standard deviation is √2 · scale. Standardised inside as :class:`Gaussian` is.
    Least absolute deviations, Laplace's own error law of 1774; see Kotz, Kozubowski and
    Podgórski 2001 (https://doi.org/10.1007/978-1-4612-0173-1).

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        As in :class:`Gaussian`, of Laplace's scale, the mean absolute deviation.
    min_scale : float, default=1e-3
        Floor of a learned scale, as a fraction of the column's standard deviation.

    Raises
    ------
    ValueError
        At ``fit``, when ``scale`` or ``min_scale`` is none of the above.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import Laplace
    >>> laplace = Laplace(scale=0.5)
    >>> laplace.initialize(loc=torch.zeros(3), scale=torch.ones(3))
    >>> p = laplace(torch.zeros(1, 3, 1))
    >>> p.log_prob(torch.zeros(1, 3))  # the density at the centre is 1/(2·scale) = 1
    tensor([0.])
    """

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        return distributions.Laplace(loc, scale)


class StudentT(LocationScale):
    """Real features with heavy tails: Student's t around the decoder's output.

    ``log p(x|z) = Σ log t_df((x − loc(z)) / scale) − log scale``, nats per row, in the
    units of X. The fewer degrees of freedom, the less an outlier counts; as they grow the
    noise becomes normal. Standardised inside as :class:`Gaussian` is.
    See Lange, Little and Taylor 1989 (https://doi.org/10.1080/01621459.1989.10478852) and,
    for VAEs, Takahashi et al. 2018 (https://doi.org/10.24963/ijcai.2018/374).

    Parameters
    ----------
    df : float, default=None
        Degrees of freedom, above 1, so that the mean exists. ``None``: one learned per
        feature, between 2.1 and 100 (the variance exists), from 10.
    scale : {"feature", "shared", "row"} or float, default="feature"
        As in :class:`Gaussian`, of the t's scale; the standard deviation is
        ``scale · √(df / (df − 2))``.
    min_scale : float, default=1e-3
        Floor of a learned scale, as a fraction of the column's standard deviation.

    Raises
    ------
    ValueError
        At ``fit``, when ``df``, ``scale`` or ``min_scale`` is none of the above.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import StudentT
    >>> student_t = StudentT(df=2.0, scale=1.0)
    >>> student_t.initialize(loc=torch.zeros(1), scale=torch.ones(1))
    >>> p = student_t(torch.zeros(1, 1, 1))
    >>> p.log_prob(torch.zeros(1, 1)).exp()  # 1/√8
    tensor([0.3536])
    """

    _LOWEST, _START, _HIGHEST = 2.1, 10.0, 100.0

    def __init__(
        self, df: float | None = None, scale: str | float = "feature", min_scale: float = 1e-3
    ) -> None:
        super().__init__(scale, min_scale)
        self.df = df

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Make the learned degrees of freedom too."""
        super().initialize(loc, scale)
        if self.df is None:
            self.df_logit = nn.Parameter(torch.full((len(loc),), self._start()))

    def _start(self) -> float:
        """Return the logit at which the degrees of freedom start."""
        fraction = (self._START - self._LOWEST) / (self._HIGHEST - self._LOWEST)
        return math.log(fraction / (1 - fraction)) / GAIN

    @torch.no_grad()
    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Start the columns' degrees of freedom anew too."""
        super().meet(columns, loc, scale)
        if self.df is None:
            index = torch.as_tensor(columns, device=self.df_logit.device)
            self.df_logit.index_fill_(0, index, self._start())

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.df is not None:
            must = "it must be None or a number above 1, below which the mean does not exist."
            self._real("df", must, lambda value: 1 < value < math.inf)

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        if self.df is not None:
            return distributions.StudentT(torch.full_like(scale, float(self.df)), loc, scale)
        spread = self._HIGHEST - self._LOWEST
        df = self._LOWEST + spread * torch.sigmoid(GAIN * self.df_logit)
        return distributions.StudentT(df, loc, scale)
