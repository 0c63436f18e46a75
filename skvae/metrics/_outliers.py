"""Scorers for outlier detectors, for rows that are known to be outliers or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score


def outlier_roc_auc_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Return the area under the ROC curve of ``score_samples``: a scorer, higher is better.

    It is the probability that an outlier has fewer nats than another row (Hanley and McNeil
    1982, https://doi.org/10.1148/radiology.143.1.7063747). A random score gives .5.

    Parameters
    ----------
    estimator : VAEOutlierDetector, VariationalAutoencoder, Pipeline or search
        A fitted estimator. Any estimator with ``score_samples``, higher for normal rows, can be
        used.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Which rows are outliers: −1 for outliers and 1 for others, as in ``predict``; or 1 for
        outliers and 0 for others.

    Returns
    -------
    auc : float
        In [0, 1].

    Raises
    ------
    ValueError
        When y holds other values or only one value, and for the same reasons as ``score_samples``.
    TypeError, NotFittedError
        For the same reasons as ``score_samples``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skvae import VAEOutlierDetector, VariationalAutoencoder
    >>> from skvae.metrics import outlier_roc_auc_scorer
    >>> X, is_benign = load_breast_cancer(return_X_y=True)
    >>> detector = VAEOutlierDetector(VariationalAutoencoder(max_steps=50), random_state=0)
    >>> grid = {"vae__n_components": [1, 4]}
    >>> search = GridSearchCV(detector, grid, scoring=outlier_roc_auc_scorer, cv=2)
    >>> bool(search.fit(X, is_benign == 0).best_score_ > 0.5)
    True
    """
    return float(roc_auc_score(_are_outliers(y), -estimator.score_samples(X)))


def outlier_average_precision_scorer(estimator: Any, X: Any, y: Any) -> float:
    """Return the average precision of ``score_samples``: a scorer, higher is better.

    It is the share of outliers among the rows with the fewest nats, averaged over all thresholds.
    Each threshold is weighted by the number of outliers that it adds (Davis and Goadrich 2006,
    https://doi.org/10.1145/1143844.1143874). A random score gives the share of outliers.

    Parameters
    ----------
    estimator : VAEOutlierDetector, VariationalAutoencoder, Pipeline or search
        A fitted estimator. Any estimator with ``score_samples``, higher for normal rows, can be
        used.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Which rows are outliers: −1 for outliers and 1 for others, as in ``predict``; or 1 for
        outliers and 0 for others.

    Returns
    -------
    precision : float
        In [0, 1].

    Raises
    ------
    ValueError
        When y holds other values or only one value, and for the same reasons as ``score_samples``.
    TypeError, NotFittedError
        For the same reasons as ``score_samples``.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VAEOutlierDetector
    >>> from skvae.metrics import outlier_average_precision_scorer
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> X[:9] += 9
    >>> detector = VAEOutlierDetector(n_estimators=1, random_state=0).fit(X)
    >>> outlier_average_precision_scorer(detector, X, np.arange(300) < 9)
    1.0
    """
    return float(average_precision_score(_are_outliers(y), -estimator.score_samples(X)))


def _are_outliers(y: Any) -> np.ndarray:
    """Return which rows are outliers."""
    labels = np.asarray(y)
    values = set(np.unique(labels).tolist())
    for outlier, normal in ((-1, 1), (1, 0)):
        if values == {outlier, normal}:
            return labels == outlier
    raise ValueError(
        f"y of outliers holds {sorted(values)[:5]}: it must be −1 for outliers and 1 for all "
        "others, or 1 for outliers and 0 for all others, and hold both."
    )
