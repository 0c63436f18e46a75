"""How far rows are from their reconstructions."""

from __future__ import annotations

from typing import Any

import numpy as np

from skvae._data import Rows
from skvae._fitted import model_and_rows


def reconstruction_error(vae: Any, X: Any) -> float:
    """Return the mean squared error of the reconstruction: lower is better.

    ``1/(n · n_features) Σ_ij (x_ij − x̂_ij)²`` with ``x̂ = inverse_transform(transform(X))``, over
    the values that are not missing. It does not depend on the prior. It is smallest for an
    autoencoder without a KL term, and among linear models for :class:`~sklearn.decomposition.PCA`
    (Baldi and Hornik 1989, https://doi.org/10.1016/0893-6080(89)90014-2). For a categorical column
    of a mixed likelihood, the codes are compared.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    error : float
        In the squared units of X, mean over features and rows.

    Raises
    ------
    TypeError, ValueError, NotFittedError
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.reconstruct``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.metrics import reconstruction_error
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=60, random_state=0).fit(X)
    >>> bool(0 < reconstruction_error(vae, X) < X.var())
    True
    """
    vae, X = model_and_rows(vae, X)
    rows = vae._read(X)
    inference = vae._inference(rows.dtype)
    total = 0.0
    for block, _ in rows.blocks():
        Z = inference.transform(Rows(block))
        residual = block - inference.decode(Rows(Z))
        total += np.nansum(np.square(residual, dtype=np.float64))
    return float(total / rows.n_observed())
