"""The Gaussian likelihood of real features."""

from __future__ import annotations

import math

from torch import Tensor
from torch.distributions import Distribution, constraints

from skvae import distributions
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._location_scale import LocationScale


class Gaussian(LocationScale):
    """Real features: a normal distribution around the output of the decoder.

    ``log p(x|z) = Σ log N(x; loc(z), scale²)``, in nats per row and in the units of X. Columns are
    standardised inside by their mean and standard deviation in ``fit``, and the density is
    corrected for this. So columns with values of 1e-3 and of 1e4 are trained equally well. A
    learned scale is the σ-VAE of Rybkin, Daniilidis and Levine 2021
    (https://arxiv.org/abs/2006.13202).

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        The standard deviation. ``"feature"`` learns one for each feature, as in factor analysis.
        ``"shared"`` learns a single one for all features, in the units of X, as in probabilistic
        PCA. With ``"row"``, that of a feature is multiplied by a factor that the decoder computes
        for every row and feature, which needs some ten rows for each feature. A positive number
        fixes it, in the units of X.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the column's standard deviation. It keeps
        the density of a constant or perfectly predicted column finite.
    low : float, default=None
        Smallest possible value, such as 0 for lengths and ages. The normal distribution is then
        truncated there: smaller values are never drawn, and are refused in X. ``None`` means that
        every number is possible.
    evenness : float, default=0.0
        In [0, 1]: how evenly columns count when means are learned. At 0 their errors are weighted
        as the density has it, by the inverse of the noise, so that components are spent on columns
        which they can make nearly exact. At 1 the squared errors of standardised columns count
        alike, as in PCA: reconstructions and maps are better, and densities lower. In between, the
        gradients of the means are this share of the ones and the rest of the others. Only they
        change; scores are those of the density, as in the β-NLL of Seitzer et al. 2022
        (https://arxiv.org/abs/2203.09168).
    correlated : bool, default=False
        Whether the noise of columns is correlated, ``x ~ N(loc(z), D W⁻¹ W⁻ᵀ D)``. D are the
        scales, and W, triangular with ones on its diagonal, is learned (Pourahmadi 1999,
        https://doi.org/10.1093/biomet/86.3.677). The noise then describes what columns have to do
        with each other beyond z, which may tell what matters in all of them: with ``evenness``,
        reconstructions and densities are good. It needs ``scale="feature"`` or ``"row"``, about
        ten rows for each column, and a matrix of as many rows and columns as X has columns.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter has none of these values, or
        ``correlated`` does not go with ``scale`` or ``low``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.likelihoods import Gaussian
    >>> vae = VariationalAutoencoder(likelihood=Gaussian(scale="shared"), max_epochs=5)
    >>> vae.fit(load_iris().data).transform(load_iris().data).shape
    (150, 2)
    """

    def __init__(
        self,
        scale: str | float = "feature",
        min_scale: float = 1e-3,
        low: float | None = None,
        evenness: float = 0.0,
        correlated: bool = False,
    ) -> None:
        super().__init__(scale, min_scale, evenness, correlated)
        self.low = low

    @property
    def _low(self) -> float | None:
        return None if self.low is None else float(self.low)

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]  # a property
        """Real numbers, from ``low`` up."""
        return constraints.real if self.low is None else constraints.greater_than_eq(self._low)

    @property
    def requirement(self) -> str:  # type: ignore[override]  # a property
        """What the values must be."""
        return "finite numbers" if self.low is None else f"numbers from {self.low:g} up"

    @property
    def cure(self) -> str:  # type: ignore[override]  # a property
        """What to do where they are not."""
        return Likelihood.cure if self.low is None else "Set a smaller low, or low=None."

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.low is not None:
            self._real("low", "it must be None or a finite number.", math.isfinite)
        if self.correlated and self.low is not None:
            raise ValueError(
                f"correlated of {type(self).__name__} is True, but low is {self.low!r}; "
                "a truncated normal has no correlated noise: set low=None or correlated=False."
            )

    def _noise(self, loc: Tensor, scale: Tensor) -> Distribution:
        return distributions.Normal(loc, scale)

    def _in_units(self, noise: Distribution) -> Distribution:
        return distributions.Affine(noise, self.loc, self.column_scale, self._low)
