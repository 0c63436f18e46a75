"""Distributions like those of torch, whose random numbers come from the caller.

``torch.distributions`` draws from the global generator, which a library must not use. The classes
here are subclasses of torch's classes, or have the same methods, with two additions:
``sample(sample_shape, generator=...)`` takes the generator, and ``reparameterize(noise)`` takes the
noise itself.

All of them follow torch's conventions. ``log_prob(value)`` returns nats. For distributions of
numbers it returns one value for each number, with the shape ``sample_shape + batch_shape +
event_shape``, broadcast with the value. For distributions of vectors it returns one value for each
vector, without ``event_shape``. ``mean``, ``variance`` and ``stddev`` have the shape ``batch_shape
+ event_shape``, in the units of the values. ``sample(sample_shape=(), generator=None)`` returns a
tensor of shape ``sample_shape + batch_shape + event_shape``, without gradient, drawn only from the
``torch.Generator``. ``None`` uses torch's global generator.
"""

from skvae.distributions._affine import Affine
from skvae.distributions._base import InverseTransformSampling, given_row, positive
from skvae.distributions._blocks import Blocks, BlockSupport
from skvae.distributions._categorical import Categorical, OneHotCategorical, OneHotGroups
from skvae.distributions._correlated import Correlated, CorrelatedGivenRow
from skvae.distributions._counts import NegativeBinomial, Poisson, ZeroInflated
from skvae.distributions._given_total import GivenTotal, size_factor
from skvae.distributions._hurdle import Hurdle
from skvae.distributions._independent import Independent
from skvae.distributions._laplace import Laplace
from skvae.distributions._log_normal import LogNormal
from skvae.distributions._mixture import Mixture, pairwise_log_prob
from skvae.distributions._multivariate_normal import MultivariateNormal
from skvae.distributions._normal import Normal, TruncatedNormal
from skvae.distributions._observed import Observed
from skvae.distributions._rounded import Rounded
from skvae.distributions._student_t import StudentT
from skvae.distributions._tilted import Tilted
from skvae.distributions._transformed import Transformed
from skvae.distributions._unit_interval import Bernoulli, ContinuousBernoulli
from skvae.distributions._zuko import require_zuko

__all__ = [
    "Affine",
    "Bernoulli",
    "BlockSupport",
    "Blocks",
    "Categorical",
    "ContinuousBernoulli",
    "Correlated",
    "CorrelatedGivenRow",
    "GivenTotal",
    "Hurdle",
    "Independent",
    "InverseTransformSampling",
    "Laplace",
    "LogNormal",
    "Mixture",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "Observed",
    "OneHotCategorical",
    "OneHotGroups",
    "Poisson",
    "Rounded",
    "StudentT",
    "Tilted",
    "Transformed",
    "TruncatedNormal",
    "ZeroInflated",
    "given_row",
    "pairwise_log_prob",
    "positive",
    "require_zuko",
    "size_factor",
]
