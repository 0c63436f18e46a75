"""Scores and measures of a fitted model.

Scorers have scikit-learn's signature ``scorer(estimator, X, y=None)``, and higher is better. Use
them as in ``GridSearchCV(..., scoring=elbo_scorer)``. The other functions return a measure with its
own sign and unit. All of them take a fitted :class:`~skvae.VariationalAutoencoder`, a
:class:`~sklearn.pipeline.Pipeline` that ends in one, a search over either (the best estimator is
measured), or an estimator that holds one as ``vae_``. The steps of a pipeline before the model are
applied to X first. Nats, bits and squared errors are those of the transformed rows.

The noise in every expectation depends on the values of the row alone. So results are repeatable and
do not depend on the order of the rows.
"""

from skvae.metrics._aggregate import aggregate_kl, mutual_information, total_correlation
from skvae.metrics._bound import RateDistortion, bits_per_dim, rate_distortion
from skvae.metrics._components import active_units, mutual_information_gap
from skvae.metrics._outliers import outlier_average_precision_scorer, outlier_roc_auc_scorer
from skvae.metrics._reconstruction import reconstruction_error
from skvae.metrics._scorers import (
    LogLikelihoodScorer,
    bits_per_dim_scorer,
    elbo_scorer,
    make_log_likelihood_scorer,
    reconstruction_scorer,
)

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
    "outlier_average_precision_scorer",
    "outlier_roc_auc_scorer",
    "rate_distortion",
    "reconstruction_error",
    "reconstruction_scorer",
    "total_correlation",
]

log_likelihood_scorer = make_log_likelihood_scorer()
"""Scorer of the mean importance-weighted bound of 100 draws, in nats per row; higher is better."""
