"""Scores and measures of a fitted model.

Scorers have scikit-learn's signature ``scorer(estimator, X, y=None)``, higher is better, and
go into ``GridSearchCV(..., scoring=elbo_scorer)``. The other functions return a measure in
its own sign and units. All take a fitted :class:`~skvae.VariationalAutoencoder` or a
:class:`~sklearn.pipeline.Pipeline` that ends in one: X then passes through the earlier
steps, and nats, bits and squared errors are those of what comes out of them.

The noise behind every expectation is fixed for each row, so results repeat and do not
depend on the order of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length, check_scalar
from sklearn.utils.multiclass import type_of_target
from torch import Tensor

from skvae._inference import Inference
from skvae._parameters import Parameters
from skvae._data import Rows
from skvae._vae import VariationalAutoencoder
from skvae.distributions import Independent, Normal, pairwise_log_prob

__all__ = [
    "LogLikelihoodScorer",
    "RateDistortion",
    "active_units",
    "aggregate_kl",
    "bits_per_dim",
    "bits_per_dim_scorer",
    "elbo_scorer",
    "log_likelihood_scorer",
    "make_log_likelihood_scorer",
    "mutual_information",
    "mutual_information_gap",
    "rate_distortion",
    "reconstruction_error",
    "reconstruction_scorer",
    "total_correlation",
]

BATCH_SIZE = 256
"""Posteriors that an aggregate is made of, at once."""

N_DENSITIES = 2**18
"""Densities of single draws under single rows that are held at once."""


def _unwrap(estimator: Any, X: Any) -> tuple[VariationalAutoencoder, Any]:
    """Return the autoencoder at the end of a pipeline, and X as it sees it."""
    if isinstance(estimator, Pipeline):
        before = estimator[:-1]
        return _unwrap(estimator[-1], before.transform(X) if len(before) else X)
    if not isinstance(estimator, VariationalAutoencoder):
        raise TypeError(
            f"estimator={estimator!r} is neither a VariationalAutoencoder nor a Pipeline that "
            "ends in one. Pass the fitted model itself."
        )
    return estimator, X


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64))


# Scorers, and what they negate


def elbo_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Return the mean elbo, in nats per row: a scorer, higher is better.

    ``1/n Σ_i (E_q[log p(x_i|z)] − KL(q(z|x_i) ‖ p(z)))``, as ``VariationalAutoencoder.score``.

    Parameters
    ----------
    estimator : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    y : Ignored
        Present for scikit-learn's conventions.

    Returns
    -------
    elbo : float
        Nats per row, mean over rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.score_samples``.

    References
    ----------
    Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014,
    https://arxiv.org/abs/1312.6114

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import elbo_scorer
    >>> vae = VariationalAutoencoder(max_epochs=3, random_state=0)
    >>> search = GridSearchCV(vae, {"n_components": [1, 2]}, scoring=elbo_scorer, cv=2)
    >>> search.fit(load_iris().data).cv_results_["mean_test_score"].shape
    (2,)
    """
    vae, X = _unwrap(estimator, X)
    return vae.score(X)


class LogLikelihoodScorer(Parameters):
    """Scorer: the mean importance-weighted bound on log p(x), nats per row, higher is better.

    ``1/n Σ_i log 1/k Σ_j p(x_i|z_j) p(z_j) / q(z_j|x_i)`` with k draws z_j from q(z|x_i). It
    rises with k from the elbo towards log p(x) (Burda, Grosse and Salakhutdinov 2016,
    https://arxiv.org/abs/1509.00519), and compares models whose posteriors fit differently
    well.

    Parameters
    ----------
    n_importance_samples : int, default=100
        k, and the decoder passes for each row.

    See Also
    --------
    make_log_likelihood_scorer : Makes one, its argument checked.

    Examples
    --------
    >>> from skvae.metrics import LogLikelihoodScorer
    >>> LogLikelihoodScorer(20)
    LogLikelihoodScorer(n_importance_samples=20)
    """

    def __init__(self, n_importance_samples: int = 100) -> None:
        self.n_importance_samples = n_importance_samples

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Return the mean bound.

        Parameters
        ----------
        estimator : VariationalAutoencoder or Pipeline
            Fitted.
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        bound : float
            Nats per row, mean over rows.

        Raises
        ------
        TypeError, ValueError, NotFittedError
            On another estimator; as ``VariationalAutoencoder.score_samples``.
        """
        vae, X = _unwrap(estimator, X)
        return _mean(vae.score_samples(X, n_importance_samples=self.n_importance_samples))


def make_log_likelihood_scorer(n_importance_samples: int = 100) -> LogLikelihoodScorer:
    """Return a scorer for the mean importance-weighted bound of so many draws.

    Parameters
    ----------
    n_importance_samples : int, default=100
        Draws of z, and decoder passes, for each row; 1 is the elbo.

    Returns
    -------
    scorer : LogLikelihoodScorer
        Nats per row, higher is better. Picklable and clonable.

    Raises
    ------
    ValueError, TypeError
        When ``n_importance_samples`` is not a positive whole number.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016,
    https://arxiv.org/abs/1509.00519

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import make_log_likelihood_scorer
    >>> vae = VariationalAutoencoder(max_epochs=3, random_state=0)
    >>> scorer = make_log_likelihood_scorer(10)
    >>> cross_val_score(vae, load_iris().data, scoring=scorer, cv=2).shape
    (2,)
    """
    check_scalar(n_importance_samples, "n_importance_samples", Integral, min_val=1)
    return LogLikelihoodScorer(n_importance_samples)


log_likelihood_scorer = make_log_likelihood_scorer()
"""Scorer: the mean importance-weighted bound of 100 draws, nats per row, higher is better."""


def bits_per_dim(
    vae: Any, X: Any, n_importance_samples: int = 1, *, n_levels: int | None = None
) -> float:
    """Return the bits that the model spends on each feature: lower is better.

    ``−1 / (n_features · ln 2)`` times the mean of ``score_samples(X)``. For a density of
    real features this depends on their units, and may be negative.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    n_importance_samples : int, default=1
        1: the elbo. More: the importance-weighted bound of so many draws.
    n_levels : int, default=None
        For pixels in [0, 1] that are ``(level + u) / n_levels`` with a whole level
        0, …, n_levels − 1 and u uniform in [0, 1), such as 256: adds log2(n_levels). The
        density of ``n_levels · x`` is that of x divided by n_levels in each feature, and
        averages over unit cubes, each the probability of one image of whole levels: the
        result bounds the bits of a lossless code from above (Theis, van den Oord and
        Bethge 2016, https://arxiv.org/abs/1511.01844).

    Returns
    -------
    bits : float
        Bits per feature, mean over rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; when ``n_levels`` is not a whole number above 1; as
        ``VariationalAutoencoder.score_samples``.

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
    vae, X = _unwrap(vae, X)
    if n_levels is not None:
        check_scalar(n_levels, "n_levels", Integral, min_val=2)
    nats = _mean(vae.score_samples(X, n_importance_samples=n_importance_samples))
    return -nats / (vae.n_features_in_ * math.log(2)) + math.log2(n_levels or 1)


def bits_per_dim_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Return MINUS the bits per feature of the elbo: a scorer, HIGHER is better.

    ``elbo / (n_features · ln 2)``, the negative of :func:`bits_per_dim`, because
    scikit-learn maximises every score. To report bits per dimension, where lower is better,
    call :func:`bits_per_dim`. See Theis, van den Oord and Bethge 2016
    (https://arxiv.org/abs/1511.01844).

    Parameters
    ----------
    estimator : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    y : Ignored
        Present for scikit-learn's conventions.

    Returns
    -------
    negative_bits : float
        Minus bits per feature, mean over rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.score_samples``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import bits_per_dim_scorer
    >>> X = (load_digits().data > 8).astype("float32")
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> -1 < bits_per_dim_scorer(vae, X) < 0
    True
    """
    return -bits_per_dim(estimator, X)


def reconstruction_error(vae: Any, X: Any) -> float:
    """Return the mean squared error of the reconstruction: lower is better.

    ``1/(n · n_features) Σ_ij (x_ij − x̂_ij)²`` with ``x̂ = inverse_transform(transform(X))``.
    It says nothing of the prior, and is smallest for a plain autoencoder; where networks are
    linear, for :class:`~sklearn.decomposition.PCA` (Baldi and Hornik 1989,
    https://doi.org/10.1016/0893-6080(89)90014-2). A categorical column of a mixed likelihood
    counts by its codes.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    error : float
        In the squared units of X, mean over features and rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.reconstruct``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import reconstruction_error
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=20, random_state=0).fit(X)
    >>> bool(0 < reconstruction_error(vae, X) < X.var())
    True
    """
    vae, X = _unwrap(vae, X)
    rows = vae._read(X)
    inference = vae._inference(rows.dtype)
    total = 0.0
    for block, _ in rows.blocks():
        Z = inference.transform(Rows(block))
        residual = block - inference.decode(Rows(Z))
        total += np.square(residual, dtype=np.float64).sum()
    return float(total / (len(rows) * rows.n_features))


def reconstruction_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Return minus the mean squared error of the reconstruction: a scorer, higher is better.

    The negative of :func:`reconstruction_error`, because scikit-learn maximises every score
    (Baldi and Hornik 1989, https://doi.org/10.1016/0893-6080(89)90014-2).

    Parameters
    ----------
    estimator : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    y : Ignored
        Present for scikit-learn's conventions.

    Returns
    -------
    negative_error : float
        In the squared units of X, mean over features and rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.reconstruct``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import reconstruction_scorer
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> reconstruction_scorer(vae, X) < 0
    True
    """
    return -reconstruction_error(estimator, X)


# The terms of the bound


class RateDistortion(NamedTuple):
    """The two terms of the elbo, nats per row: ``elbo = −(rate + distortion)``.

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
    """Return what z costs and what it leaves open, in nats per row.

    ``rate = 1/n Σ_i KL(q(z|x_i) ‖ p(z))`` and ``distortion = −1/n Σ_i E_q[log p(x_i|z)]``,
    with ``elbo = −(rate + distortion)``. Models of one elbo may differ in everything else:
    at rate 0 z says nothing, at distortion 0 everything. ``beta`` moves along this curve.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    rate, distortion : float
        A named tuple; nats per row. The distortion of a density may be negative.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.score_samples``.

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
    vae, X = _unwrap(vae, X)
    reconstruction, kl = vae.elbo_terms(X)
    return RateDistortion(_mean(kl), -_mean(reconstruction))


def active_units(vae: Any, X: Any, threshold: float = 0.01) -> np.ndarray:
    """Return which components move with x.

    Component j is active when ``Var_x(E_q[z_j]) > threshold``: the variance over the rows
    of its posterior mean.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    threshold : float, default=0.01
        Squared units of z, of which a standard normal prior has variance 1. The paper's.

    Returns
    -------
    active : ndarray of bool, shape (n_components,)
        Where that holds.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; when ``threshold`` is negative; as
        ``VariationalAutoencoder.transform``.

    See Also
    --------
    skvae.VariationalAutoencoder : Its ``active_components_`` are those with a KL above 0.05 nats.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016,
    section 5.2, https://arxiv.org/abs/1509.00519

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import active_units
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(n_components=3, max_epochs=5, random_state=0).fit(X)
    >>> active_units(vae, X).shape
    (3,)
    """
    vae, X = _unwrap(vae, X)
    check_scalar(threshold, "threshold", Real, min_val=0)
    return vae.posterior(X)[0].var(axis=0, dtype=np.float64) > threshold


# The average posterior q(z) = 1/n Σ_i q(z|x_i)


def mutual_information(vae: Any, X: Any) -> float:
    """Return how much z says of which row it came from, in nats.

    ``I(x; z) = 1/n Σ_i KL(q(z|x_i) ‖ q(z))`` with ``q(z) = 1/n Σ_i q(z|x_i)``, the mixture
    of the given rows. The rate is this and the distance of q(z) from the prior:
    ``rate = mutual_information + aggregate_kl``.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    information : float
        Nats, at most log(n_samples).

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.transform``.

    Notes
    -----
    The expectation over each q(z|x_i) is a mean over eight balanced draws; 8 n² densities
    are evaluated, a block at a time, so take a few thousand rows at most, a few hundred
    under a flow posterior, where each density is a pass through its networks. For these n
    rows nothing else is approximated. As an estimate for the population that they come
    from, it is on average a lower bound, close while it is well below its ceiling log n
    (Poole et al. 2019, https://arxiv.org/abs/1905.06922).

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
    >>> vae = VariationalAutoencoder(max_epochs=20, random_state=0).fit(X)
    >>> 0 < mutual_information(vae, X) < math.log(len(X))
    True
    """
    vae, X = _unwrap(vae, X)
    draws = _Draws.of(vae, X)
    return _mean(draws.log_posterior - draws.log_aggregate())


def aggregate_kl(vae: Any, X: Any) -> float:
    """Return the distance of the average posterior from the prior, in nats.

    ``KL(q(z) ‖ p(z)) = rate − I(x; z)`` with ``q(z) = 1/n Σ_i q(z|x_i)``. Where it is large,
    z from the prior fall where no row taught the decoder anything, and samples suffer; a
    learned prior or a :class:`skvae.sampling.LatentDensitySampler` are cures.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    kl : float
        Nats.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.score_samples``.

    Notes
    -----
    Computed as that difference, at the cost of :func:`mutual_information`. A lower bound on
    the one is an upper bound on the other: for the population of the rows this is too
    large, by at least ``rate − log(n)`` where that is positive.

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
    >>> vae = VariationalAutoencoder(max_epochs=20, random_state=0).fit(X)
    >>> 0 < aggregate_kl(vae, X) < rate_distortion(vae, X).rate
    True
    """
    return rate_distortion(vae, X).rate - mutual_information(vae, X)


def total_correlation(vae: Any, X: Any) -> float:
    """Return how far the components of the average posterior are from independent, in nats.

    ``KL(q(z) ‖ Π_j q(z_j))`` with ``q(z) = 1/n Σ_i q(z|x_i)``, the mixture of the given rows.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    total_correlation : float
        Nats; 0 for independent components.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; as ``VariationalAutoencoder.transform``.

    Notes
    -----
    Estimated as the mean over eight balanced draws from each row of
    ``log q(z) − Σ_j log q(z_j)``, at n_components + 1 times the cost of
    :func:`mutual_information`. For the population of the rows it is too large where the
    rows are sparse in z: n separate spikes are dependent even if scattered at random, and
    reach up to (n_components − 1) log(n). The marginals of a flow posterior are taken as
    normal, which adds to it.

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
    >>> vae = VariationalAutoencoder(max_epochs=20, random_state=0).fit(X)
    >>> total_correlation(vae, X) > 0
    True
    """
    vae, X = _unwrap(vae, X)
    draws = _Draws.of(vae, X)
    return _mean(draws.log_aggregate() - draws.log_marginals().sum(-1))


def mutual_information_gap(vae: Any, X: Any, factors: Any) -> float:
    """Return the mutual information gap (MIG): whether each factor has a component of its own.

    ``1/K Σ_k (I(z_(1); v_k) − I(z_(2); v_k)) / H(v_k)``, with z_(1) and z_(2) the two
    components that say most of factor v_k. 1: one component says all of it and the others
    nothing. 0: two say equally much, or none anything.

    Parameters
    ----------
    vae : VariationalAutoencoder or Pipeline
        Fitted.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    factors : array-like of shape (n_samples,) or (n_samples, n_factors)
        What is known to vary between the rows: whole numbers or strings, a value a class.

    Returns
    -------
    gap : float
        Between 0 and 1, without unit. A single component is compared with 0.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        On another estimator; when ``factors`` has another number of rows than X, a
        continuous column or one that never varies; as ``VariationalAutoencoder.transform``.

    Notes
    -----
    ``I(z_j; v) = H(z_j) − H(z_j|v)`` with z_j from the mixture of the rows' q(z_j|x), of
    all rows and of those with the same v, each entropy a mean of ``−log q`` over eight
    balanced draws for every row; 8 n² (1 + n_factors) densities a component at most. A
    component whose q(z_j|x) are so narrow that they hardly overlap tells the rows apart,
    and so their factors: with few rows of each value, I is too large. The marginals of a
    flow posterior are taken as normal.

    References
    ----------
    Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders",
    NeurIPS 2018, https://arxiv.org/abs/1802.04942

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import mutual_information_gap
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VariationalAutoencoder(max_epochs=20, random_state=0).fit(X)
    >>> 0 <= mutual_information_gap(vae, X, y) <= 1
    True
    """
    vae, X = _unwrap(vae, X)
    draws = _Draws.of(vae, X)
    codes = _factor_codes(factors, draws.z)
    entropy = draws.entropies()
    gaps = [_gap(draws, entropy, column) for column in codes.T]
    return _mean(np.array(gaps))


def _factor_codes(factors: Any, z: Tensor) -> np.ndarray:
    """Return factors as whole numbers from 0, ``(n_samples, n_factors)``."""
    factors = np.asarray(factors)
    factors = factors.reshape(-1, 1) if factors.ndim == 1 else factors
    if factors.ndim != 2:
        raise ValueError(f"factors has {factors.ndim} dimensions; give one column a factor.")
    check_consistent_length(z, factors)
    for k, column in enumerate(factors.T):
        kind = "continuous" if type_of_target(column) == "continuous" else "constant"
        if kind == "continuous" or len(np.unique(column)) < 2:
            raise ValueError(
                f"Column {k} of factors is {kind}, but a factor takes two or more separate "
                "values. Bin it, for example by KBinsDiscretizer(encode='ordinal'), or drop it."
            )
    return np.stack([np.unique(column, return_inverse=True)[1] for column in factors.T], 1)


def _gap(draws: _Draws, entropy: np.ndarray, codes: np.ndarray) -> float:
    """Return the normalised gap of one factor."""
    p = np.bincount(codes) / len(codes)
    conditional = [draws.of_rows(codes == v).entropies() for v in range(len(p))]
    information = (entropy - p @ np.stack(conditional)).clip(0)
    second, first = np.sort(np.append(information, 0.0))[-2:]
    return float((first - second) / -(p @ np.log(p)))


class _Draws(NamedTuple):
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
    def of(cls, vae: VariationalAutoencoder, X: Any) -> _Draws:
        """Draw from the posterior of every row of X."""
        rows = vae._read(X)
        inference = vae._inference(rows.dtype)
        moments = inference.posterior(rows)
        draws, log_posterior = inference.draws(rows)
        loc, scale, z = (torch.tensor(a, device=inference.device) for a in (*moments, draws))
        return cls(inference, rows, loc, scale, z, log_posterior)

    def of_rows(self, where: np.ndarray) -> _Draws:
        """Return the draws of the rows where a mask holds."""
        kept = np.flatnonzero(where)
        at = torch.from_numpy(kept).to(self.z.device)
        return _Draws(
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
