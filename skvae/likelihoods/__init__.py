"""Likelihoods p(x|z): the distribution of a row, given the output of the decoder.

A likelihood is a ``torch.nn.Module`` with the interface of :class:`Likelihood`. The estimator
copies the object that it was given. It calls ``initialize`` once, with the mean and the standard
deviation of the training columns, and then ``observe``, with everything else that is known about
the columns. After that it uses two methods: ``embed(x)`` returns a row as the encoder sees it, and
``likelihood(params)`` returns the distribution of a row.
"""

from skvae.likelihoods._auto import Auto
from skvae.likelihoods._base import Likelihood
from skvae.likelihoods._categorical import Categorical, CategoricalCodes
from skvae.likelihoods._counts import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._laplace import Laplace
from skvae.likelihoods._log_normal import LogNormal, ZeroInflatedLogNormal
from skvae.likelihoods._mixed import Mixed
from skvae.likelihoods._rounded_gaussian import RoundedGaussian
from skvae.likelihoods._student_t import StudentT
from skvae.likelihoods._unit_interval import Bernoulli, ContinuousBernoulli

__all__ = [
    "LIKELIHOODS",
    "Auto",
    "Bernoulli",
    "Categorical",
    "CategoricalCodes",
    "ContinuousBernoulli",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "Mixed",
    "NegativeBinomial",
    "Poisson",
    "RoundedGaussian",
    "StudentT",
    "ZeroInflatedLogNormal",
    "ZeroInflatedNegativeBinomial",
]

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "auto": Auto,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "student_t": StudentT,
    "laplace": Laplace,
    "rounded_gaussian": RoundedGaussian,
    "log_normal": LogNormal,
    "zero_inflated_log_normal": ZeroInflatedLogNormal,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "zero_inflated_negative_binomial": ZeroInflatedNegativeBinomial,
    "categorical": Categorical,
    "mixed": Mixed,
}
"""Likelihoods by name, as the estimator and the blocks of :class:`Mixed` take them."""
