"""Measures of single components: what they say about the rows and about known factors."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target
from torch import Tensor

from skvae._fitted import model_and_rows
from skvae._numbers import real
from skvae.metrics._aggregate import Draws
from skvae.metrics._bound import mean


def active_units(vae: Any, X: Any, threshold: float = 0.01) -> np.ndarray:
    """Return which components depend on x.

    Component j is active if ``Var_x(E_q[z_j]) > threshold``, where the variance of the posterior
    mean is taken over the rows.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    threshold : float, default=0.01
        Threshold for the variance, in squared units of z; a standard normal prior has variance 1.
        The default is that of the paper.

    Returns
    -------
    active : ndarray of bool, shape (n_components,)
        Whether each component is active.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, when ``threshold`` is negative, and for the same
        reasons as ``VariationalAutoencoder.transform``.

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
    vae, X = model_and_rows(vae, X)
    real(threshold, "threshold", least=0)
    return vae.posterior(X)[0].var(axis=0, dtype=np.float64) > threshold


def mutual_information_gap(vae: Any, X: Any, factors: Any) -> float:
    """Return the mutual information gap (MIG): whether each factor has a component of its own.

    ``1/K Σ_k (I(z_(1); v_k) − I(z_(2); v_k)) / H(v_k)``, where z_(1) and z_(2) are the two
    components that say most about factor v_k. The value is 1 if one component says everything about
    a factor and the others nothing. It is 0 if two components say equally much, or no component
    says anything.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.
    factors : array-like of shape (n_samples,) or (n_samples, n_factors)
        The known factors of each row: whole numbers or strings. Each value is a class.

    Returns
    -------
    gap : float
        Between 0 and 1, without a unit. If there is a single component, it is compared with 0.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these; when ``factors`` has another number of rows than X,
        a continuous column, or a constant column; and for the same reasons as
        ``VariationalAutoencoder.transform``.

    Notes
    -----
    ``I(z_j; v) = H(z_j) − H(z_j|v)``. Here z_j is drawn from the mixture of q(z_j|x) over all rows,
    and over the rows with the same v. Each entropy is a mean of ``−log q`` over eight balanced
    draws for every row. This takes at most 8 n² (1 + n_factors) densities for each component. With
    few rows for each value of a factor, I is too large: if the q(z_j|x) of a component are so
    narrow that they hardly overlap, the component tells single rows apart, and with them their
    factors. The marginals of a flow posterior are taken as normal.

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
    >>> vae = VariationalAutoencoder(max_epochs=60, random_state=0).fit(X)
    >>> 0 <= mutual_information_gap(vae, X, y) <= 1
    True
    """
    vae, X = model_and_rows(vae, X)
    draws = Draws.of(vae, X)
    codes = _factor_codes(factors, draws.z)
    entropy = draws.entropies()
    gaps = [_gap(draws, entropy, column) for column in codes.T]
    return mean(np.array(gaps))


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


def _gap(draws: Draws, entropy: np.ndarray, codes: np.ndarray) -> float:
    """Return the normalised gap of one factor."""
    p = np.bincount(codes) / len(codes)
    conditional = [draws.of_rows(codes == v).entropies() for v in range(len(p))]
    information = (entropy - p @ np.stack(conditional)).clip(0)
    second, first = np.sort(np.append(information, 0.0))[-2:]
    return float((first - second) / -(p @ np.log(p)))
