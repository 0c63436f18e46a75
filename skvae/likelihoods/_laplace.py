"""The Laplace likelihood of real features."""

from __future__ import annotations

import math

from torch import Tensor
from torch.distributions import Distribution

from skvae import distributions
from skvae.likelihoods._location_scale import LocationScale


class Laplace(LocationScale):
    """Real features with heavier tails than normal: robust to outliers, fits medians.

    ``log p(x|z) = −Σ |x − loc(z)| / scale + log(2·scale)``, in nats per row and in the units of X.
    The standard deviation is √2 · scale. Columns are standardised inside as in :class:`Gaussian`.
    Training minimises absolute deviations. Laplace proposed this error law in 1774; see Kotz,
    Kozubowski and Podgórski 2001 (https://doi.org/10.1007/978-1-4612-0173-1).

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        The same choices as in :class:`Gaussian`. The scale is that of the Laplace distribution: its
        mean absolute deviation.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the column's standard deviation.
    evenness : float, default=0.0
        In [0, 1]: how evenly columns count when means are learned. See :class:`Gaussian`.
    correlated : bool, default=False
        Whether the noise of columns is correlated, as in :class:`Gaussian`: a linear map of
        independent variables that have Laplace's distribution.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter has none of these values, or ``correlated`` does not go with
        ``scale``.

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

    def _scale_of_unit_deviation(self) -> float:
        return math.sqrt(0.5)

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        return distributions.Laplace(loc, scale)
