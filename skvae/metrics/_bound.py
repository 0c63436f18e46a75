"""The bound in bits, and its two terms."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from skvae._fitted import model_and_rows
from skvae._numbers import whole


def mean(values: np.ndarray) -> float:
    """Return the mean over rows, summed in double precision."""
    return float(values.mean(dtype=np.float64))


def bits_per_dim(
    vae: Any, X: Any, n_importance_samples: int = 1, *, n_levels: int | None = None
) -> float:
    """Return the number of bits that the model needs for each feature: lower is better.

    It is the mean of ``score_samples(X)`` times ``−1 / (n_features · ln 2)``. If values are
    missing, the mean number of observed values replaces ``n_features``. For a density of real
    features, the result depends on their units and may be negative.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    n_importance_samples : int, default=1
        1 uses the elbo. A larger number uses the importance-weighted bound with that many draws.
    n_levels : int, default=None
        Number of levels of the pixels, such as 256; adds log2(n_levels) to the result. Use it for
        pixels in [0, 1] that are ``(level + u) / n_levels``, with whole levels 0, …, n_levels − 1
        and u uniform in [0, 1). The result is then an upper bound on the bits of a lossless code:
        the density of ``n_levels · x`` is that of x divided by n_levels for each feature, and its
        average over a unit cube is the probability of one image of whole levels (Theis, van den
        Oord and Bethge 2016, https://arxiv.org/abs/1511.01844).

    Returns
    -------
    bits : float
        Bits per feature, mean over rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, when ``n_levels`` is not a whole number above 1, and
        for the same reasons as ``VariationalAutoencoder.score_samples``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import bits_per_dim
    >>> X = (load_digits().data > 8).astype("float32")
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> 0 < bits_per_dim(vae, X) < 1
    True
    """
    whole(n_importance_samples, "n_importance_samples")
    vae, X = model_and_rows(vae, X)
    if n_levels is not None:
        whole(n_levels, "n_levels", least=2)
    nats = vae.score_samples(X, n_importance_samples=n_importance_samples)
    n_dims = vae._read(X).n_observed() / len(nats)
    return -mean(nats) / (n_dims * math.log(2)) + math.log2(n_levels or 1)


class RateDistortion(NamedTuple):
    """The two terms of the elbo in nats per row: ``elbo = −(rate + distortion)``.

    See Alemi et al. 2018 (https://arxiv.org/abs/1711.00464).

    Attributes
    ----------
    rate : float
        Mean of KL(q(z|x) ‖ p(z)), nats.
    distortion : float
        Mean of −E_q[log p(x|z)], nats.

    Examples
    --------
    >>> from skvae.metrics import RateDistortion
    >>> rate, distortion = RateDistortion(rate=2.0, distortion=30.0)
    >>> -(rate + distortion)  # the elbo
    -32.0
    """

    rate: float
    distortion: float


def rate_distortion(vae: Any, X: Any) -> RateDistortion:
    """Return the rate (the KL) and the distortion (the reconstruction term), in nats per row.

    ``rate = 1/n Σ_i KL(q(z|x_i) ‖ p(z))`` and ``distortion = −1/n Σ_i E_q[log p(x_i|z)]``, with
    ``elbo = −(rate + distortion)``. Models with the same elbo can be very different: at rate 0, z
    says nothing about the row; at distortion 0, it says everything. ``beta`` moves a model along
    this curve.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    rate, distortion : float
        A named tuple, in nats per row. The distortion of a density may be negative.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.score_samples``.

    References
    ----------
    Alemi et al., "Fixing a Broken ELBO", ICML 2018, https://arxiv.org/abs/1711.00464

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import rate_distortion
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> rate, distortion = rate_distortion(vae, X)
    >>> bool(abs(rate + distortion + vae.score(X)) < 1e-9)
    True
    """
    vae, X = model_and_rows(vae, X)
    reconstruction, kl = vae.elbo_terms(X)
    return RateDistortion(mean(kl), -mean(reconstruction))
