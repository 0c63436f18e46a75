"""The likelihood of real features with heavy tails: Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skvae import distributions
from skvae.likelihoods._base import GAIN, Columns
from skvae.likelihoods._location_scale import LocationScale


class StudentT(LocationScale):
    """Real features with heavy tails: Student's t around the output of the decoder.

    ``log p(x|z) = Σ log t_df((x − loc(z)) / scale) − log scale``, in nats per row and in the units
    of X. With fewer degrees of freedom, an outlier counts less; with many, the noise becomes
    normal. Columns are standardised inside as in :class:`Gaussian`. See Lange, Little and Taylor
    1989 (https://doi.org/10.1080/01621459.1989.10478852) and, for VAEs, Takahashi et al. 2018
    (https://doi.org/10.24963/ijcai.2018/374).

    Parameters
    ----------
    df : float, default=None
        Degrees of freedom. They must be above 1, so that the mean exists. If ``None``, they are
        learned for each feature, starting at 10, between 2.1 (so that the variance exists) and 100.
    scale : {"feature", "shared", "row"} or float, default="feature"
        The same choices as in :class:`Gaussian`. The standard deviation of Student's t is
        ``scale · √(df / (df − 2))``.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the column's standard deviation.
    robust : bool, default=False
        Standardise columns by median and quartiles, which outliers do not affect, and cut the
        values that the encoder sees at 10 of these units from the median. Densities are still those
        of the values themselves. See :class:`skvae.VAEOutlierDetector`.
    evenness : float, default=0.0
        In [0, 1]: how evenly columns count when means are learned. See :class:`Gaussian`.
    correlated : bool, default=False
        Whether the noise of columns is correlated, as in :class:`Gaussian`: a linear map of
        independent variables that have Student's t.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter has none of these values, or ``correlated`` does not go with
        ``scale``.

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
    _FARTHEST = 10.0

    def __init__(
        self,
        df: float | None = None,
        scale: str | float = "feature",
        min_scale: float = 1e-3,
        robust: bool = False,
        evenness: float = 0.0,
        correlated: bool = False,
    ) -> None:
        super().__init__(scale, min_scale, evenness, correlated)
        self.df = df
        self.robust = robust

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Create the learned degrees of freedom, too."""
        super().initialize(loc, scale)
        if self.df is None:
            self.df_logit = nn.Parameter(torch.full((len(loc),), self._start()))

    def _start(self) -> float:
        """Return the logit at which the degrees of freedom start."""
        fraction = (self._START - self._LOWEST) / (self._HIGHEST - self._LOWEST)
        return math.log(fraction / (1 - fraction)) / GAIN

    def observe(self, columns: Columns) -> None:
        """Standardise by median and quartiles if ``robust=True``."""
        super().observe(columns)
        if self.robust:
            self.loc.copy_(columns.median)
            self.column_scale.copy_(columns.robust_scale)

    def embed(self, x: Tensor) -> Tensor:
        """Return the standardised row; with ``robust=True``, large values are cut off."""
        embedded = super().embed(x)
        return embedded.clamp(-self._FARTHEST, self._FARTHEST) if self.robust else embedded

    @torch.no_grad()
    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Start the degrees of freedom of these columns again, too."""
        super().meet(columns, loc, scale)
        if self.df is None:
            index = torch.as_tensor(columns, device=self.df_logit.device)
            self.df_logit.index_fill_(0, index, self._start())

    def _scale_of_unit_deviation(self) -> float:
        df = self._START if self.df is None else float(self.df)
        return math.sqrt((df - 2) / df) if df > 2 else 0.5

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.robust not in (True, False):
            raise ValueError(f"robust of StudentT is {self.robust!r}; it must be True or False.")
        if self.df is not None:
            must = "it must be None or a number above 1, below which the mean does not exist."
            self._real("df", must, lambda value: 1 < value < math.inf)

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        if self.df is not None:
            return distributions.StudentT(torch.full_like(scale, float(self.df)), loc, scale)
        spread = self._HIGHEST - self._LOWEST
        df = self._LOWEST + spread * torch.sigmoid(GAIN * self.df_logit)
        return distributions.StudentT(df, loc, scale)
