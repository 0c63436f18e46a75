"""What single components say of the rows, and of what is known to vary between them."""

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
    """Return which components move with x.

    Component j is active when ``Var_x(E_q[z_j]) > threshold``: the variance over the rows
    of its posterior mean.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
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
    vae, X = model_and_rows(vae, X)
    real(threshold, "threshold", least=0)
    return vae.posterior(X)[0].var(axis=0, dtype=np.float64) > threshold


def mutual_information_gap(vae: Any, X: Any, factors: Any) -> float:
    """Return the mutual information gap (MIG): whether each factor has a component of its own.

    ``1/K Σ_k (I(z_(1); v_k) − I(z_(2); v_k)) / H(v_k)``, with z_(1) and z_(2) the two
    components that say most of factor v_k. 1: one component says all of it and the others
    nothing. 0: two say equally much, or none anything.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
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
