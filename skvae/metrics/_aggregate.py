"""The average posterior q(z) = 1/n Σ_i q(z|x_i), and measures of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae._data import Rows
from skvae._fitted import model_and_rows
from skvae._inference import Inference
from skvae._vae import VariationalAutoencoder
from skvae.distributions import Independent, Normal, pairwise_log_prob
from skvae.metrics._bound import mean, rate_distortion

BATCH_SIZE = 256
"""Posteriors that an aggregate is made of, at once."""

N_DENSITIES = 2**18
"""Densities of single draws under single rows that are held at once."""


def mutual_information(vae: Any, X: Any) -> float:
    """Return the mutual information of x and z in nats: how much z says about its row.

    ``I(x; z) = 1/n Σ_i KL(q(z|x_i) ‖ q(z))`` with ``q(z) = 1/n Σ_i q(z|x_i)``, the mixture over the
    given rows. The rate is the sum of this and the distance of q(z) from the prior:
    ``rate = mutual_information + aggregate_kl``.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    information : float
        Nats, at most log(n_samples).

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.transform``.

    Notes
    -----
    The expectation over each q(z|x_i) is a mean over eight balanced draws. This takes 8 n²
    densities, computed in blocks. So use at most a few thousand rows, or a few hundred with a flow
    posterior, for which each density is a pass through its networks. For the given n rows, nothing
    else is approximated. As an estimate for the population of the rows it is, on average, a lower
    bound. The bound is close as long as it is well below log n, its largest possible value (Poole
    et al. 2019, https://arxiv.org/abs/1905.06922).

    References
    ----------
    Hoffman and Johnson, "ELBO surgery: yet another way to carve up the variational evidence
    lower bound", NIPS workshop on Advances in Approximate Bayesian Inference 2016,
    http://approximateinference.org/accepted/HoffmanJohnson2016.pdf

    Examples
    --------
    >>> import math
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import mutual_information
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=60, random_state=0).fit(X)
    >>> 0 < mutual_information(vae, X) < math.log(len(X))
    True
    """
    vae, X = model_and_rows(vae, X)
    draws = Draws.of(vae, X)
    return mean(draws.log_posterior - draws.log_aggregate())


def aggregate_kl(vae: Any, X: Any) -> float:
    """Return the distance of the average posterior from the prior, in nats.

    ``KL(q(z) ‖ p(z)) = rate − I(x; z)`` with ``q(z) = 1/n Σ_i q(z|x_i)``. If it is large, the prior
    draws points z for which the decoder was not trained, and samples are bad. A learned prior or a
    :class:`skvae.sampling.LatentDensitySampler` helps.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    kl : float
        Nats.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.score_samples``.

    Notes
    -----
    It is computed as this difference, at the cost of :func:`mutual_information`. Since the mutual
    information is a lower bound for the population of the rows, this is an upper bound. If
    ``rate − log(n)`` is positive, it is too large by at least that.

    References
    ----------
    Hoffman and Johnson, "ELBO surgery", 2016,
    http://approximateinference.org/accepted/HoffmanJohnson2016.pdf

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import aggregate_kl, rate_distortion
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=60, random_state=0).fit(X)
    >>> 0 < aggregate_kl(vae, X) < rate_distortion(vae, X).rate
    True
    """
    return rate_distortion(vae, X).rate - mutual_information(vae, X)


def total_correlation(vae: Any, X: Any) -> float:
    """Return how far the components of the average posterior are from independent, in nats.

    ``KL(q(z) ‖ Π_j q(z_j))`` with ``q(z) = 1/n Σ_i q(z|x_i)``, the mixture of the given rows.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    total_correlation : float
        Nats; 0 for independent components.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.transform``.

    Notes
    -----
    It is estimated as the mean of ``log q(z) − Σ_j log q(z_j)`` over eight balanced draws from each
    row, at n_components + 1 times the cost of :func:`mutual_information`. As an estimate for the
    population of the rows, it is too large if the rows are sparse in z: n separate points are
    dependent even if they are placed at random, which gives up to (n_components − 1) log(n). The
    marginals of a flow posterior are taken as normal, which makes it larger.

    References
    ----------
    .. [1] Watanabe, "Information Theoretical Analysis of Multivariate Correlation", IBM
       Journal of Research and Development 1960, https://doi.org/10.1147/rd.41.0066
    .. [2] Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders",
       NeurIPS 2018, https://arxiv.org/abs/1802.04942

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import total_correlation
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=60, random_state=0).fit(X)
    >>> total_correlation(vae, X) > 0
    True
    """
    vae, X = model_and_rows(vae, X)
    draws = Draws.of(vae, X)
    return mean(draws.log_aggregate() - draws.log_marginals().sum(-1))


class Draws(NamedTuple):
    """Some rows' q(z|x) and balanced draws of z from each; n rows, m draws a row."""

    inference: Inference
    rows: Rows
    loc: Tensor
    """Mean of q(z|x), (n, d)."""
    scale: Tensor
    """Standard deviation, (n, d)."""
    z: Tensor
    """(n, m, d)."""
    log_posterior: np.ndarray
    """log q(z|x) of the row that z is from, (n, m)."""

    @classmethod
    def of(cls, vae: VariationalAutoencoder, X: Any) -> Draws:
        """Draw from the posterior of every row of X."""
        rows = vae._read(X)
        inference = vae._inference(rows.dtype)
        moments = inference.posterior(rows)
        draws, log_posterior = inference.draws(rows)
        loc, scale, z = (torch.tensor(a, device=inference.device) for a in (*moments, draws))
        return cls(inference, rows, loc, scale, z, log_posterior)

    def of_rows(self, where: np.ndarray) -> Draws:
        """Return the draws of the rows where a mask holds."""
        kept = np.flatnonzero(where)
        at = torch.from_numpy(kept).to(self.z.device)
        return Draws(
            self.inference,
            self.rows.subset(kept),
            self.loc[at],
            self.scale[at],
            self.z[at],
            self.log_posterior[kept],
        )

    def log_aggregate(self) -> np.ndarray:
        """Return log q(z) of every draw, (n, m)."""
        device, model = self.inference.device, self.inference.model
        batches = self.rows.batches(BATCH_SIZE, device)
        posteriors = (model.posterior(batch.x, batch.context) for _, batch in batches)
        return _log_mixture(posteriors, self.z)

    def log_marginals(self) -> np.ndarray:
        """Return log q(z_j) of every draw and component, (n, m, d)."""
        columns = zip(*(a.split(1, -1) for a in (self.loc, self.scale, self.z)), strict=True)
        logs = [_log_mixture(_normals(loc, scale), z) for loc, scale, z in columns]
        return np.stack(logs, -1)

    def entropies(self) -> np.ndarray:
        """Return the entropy of each q(z_j), (d,), nats."""
        return -self.log_marginals().mean((0, 1))


def _normals(loc: Tensor, scale: Tensor) -> Iterable[Any]:
    """Yield normal distributions of vectors, a batch at a time."""
    batches = zip(loc.split(BATCH_SIZE), scale.split(BATCH_SIZE), strict=True)
    return (Independent(Normal(*batch)) for batch in batches)


def _log_mixture(components: Iterable[Any], z: Tensor) -> np.ndarray:
    """Return ``log 1/n Σ_i p_i(z)``, of shape ``z.shape[:-1]``, in float64.

    Parameters
    ----------
    components : iterable of Distribution
        The n of them in batches, made while torch's inference mode is on.
    z : Tensor of shape (..., d)
    """
    points = z.flatten(0, -2)
    with torch.inference_mode():
        total = torch.full(points.shape[:1], -math.inf, dtype=torch.float64, device=z.device)
        n = 0
        for p in components:
            n += p.batch_shape[0]
            _add_densities(total, p, points)
    return (total - math.log(n)).reshape(z.shape[:-1]).cpu().numpy()


def _add_densities(total: Tensor, components: Any, points: Tensor) -> None:
    """Add the densities of the components to exp(total), in place."""
    size = max(1, N_DENSITIES // components.batch_shape[0])
    for log_sum, some in zip(total.split(size), points.split(size), strict=True):
        densities = torch.logsumexp(pairwise_log_prob(components, some).double(), -1)
        log_sum.copy_(torch.logaddexp(log_sum, densities))
