"""The Gaussian likelihood of real features."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from skvae import distributions
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
        PCA. With ``"row"``, the decoder computes it for every row and feature. A positive number
        fixes it, in the units of X.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the column's standard deviation. It keeps
        the density of a constant or perfectly predicted column finite.

    Raises
    ------
    ValueError
        In ``fit``, when ``scale`` or ``min_scale`` has none of these values.

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
