"""Scorers: scikit-learn's signature, higher is better."""

from __future__ import annotations

from typing import Any

from skvae._fitted import model_and_rows
from skvae._numbers import whole
from skvae._parameters import Parameters
from skvae.metrics._bound import bits_per_dim, mean
from skvae.metrics._reconstruction import reconstruction_error


def elbo_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Return the mean elbo in nats per row: a scorer, higher is better.

    ``1/n Σ_i (E_q[log p(x_i|z)] − KL(q(z|x_i) ‖ p(z)))``, as ``VariationalAutoencoder.score``.

    Parameters
    ----------
    estimator : VariationalAutoencoder, Pipeline or search
        The fitted model.
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
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.score_samples``.

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
    vae, X = model_and_rows(estimator, X)
    return vae.score(X)


class LogLikelihoodScorer(Parameters):
    """Scorer of the mean importance-weighted bound on log p(x), in nats per row; higher is better.

    ``1/n Σ_i log 1/k Σ_j p(x_i|z_j) p(z_j) / q(z_j|x_i)`` with k draws z_j from q(z|x_i). It rises
    with k from the elbo towards log p(x) (Burda, Grosse and Salakhutdinov 2016,
    https://arxiv.org/abs/1509.00519). So it compares models fairly even if their posteriors do not
    fit equally well.

    Parameters
    ----------
    n_importance_samples : int, default=100
        Number of draws k, and of decoder passes for each row.

    See Also
    --------
    make_log_likelihood_scorer : Makes such a scorer and checks its argument.

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
        estimator : VariationalAutoencoder, Pipeline or search
            The fitted model.
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
            When the estimator is not one of these, and for the same reasons as
            ``VariationalAutoencoder.score_samples``.
        """
        vae, X = model_and_rows(estimator, X)
        return mean(vae.score_samples(X, n_importance_samples=self.n_importance_samples))


def make_log_likelihood_scorer(n_importance_samples: int = 100) -> LogLikelihoodScorer:
    """Return a scorer of the mean importance-weighted bound with this number of draws.

    Parameters
    ----------
    n_importance_samples : int, default=100
        Number of draws of z, and of decoder passes, for each row. 1 gives the elbo.

    Returns
    -------
    scorer : LogLikelihoodScorer
        A scorer in nats per row; higher is better. It can be pickled and cloned.

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
    whole(n_importance_samples, "n_importance_samples")
    return LogLikelihoodScorer(n_importance_samples)


def bits_per_dim_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Return MINUS the bits per feature of the elbo: a scorer, HIGHER is better.

    ``elbo / (n_features · ln 2)``, the negative of :func:`bits_per_dim`, because
    scikit-learn maximises every score. To report bits per dimension, where lower is better,
    call :func:`bits_per_dim`. See Theis, van den Oord and Bethge 2016
    (https://arxiv.org/abs/1511.01844).

    Parameters
    ----------
    estimator : VariationalAutoencoder, Pipeline or search
        The fitted model.
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
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.score_samples``.

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


def reconstruction_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Return minus the mean squared error of the reconstruction: a scorer, higher is better.

    The negative of :func:`reconstruction_error`, because scikit-learn maximises every score
    (Baldi and Hornik 1989, https://doi.org/10.1016/0893-6080(89)90014-2).

    Parameters
    ----------
    estimator : VariationalAutoencoder, Pipeline or search
        The fitted model.
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
        When the estimator is not one of these, and for the same reasons as
        ``VariationalAutoencoder.reconstruct``.

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
