"""The Gaussian likelihood of real features."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from skvae import distributions
from skvae.likelihoods._location_scale import LocationScale


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
