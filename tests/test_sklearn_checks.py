"""scikit-learn's own checks, over a list of configurations, none excused."""

from itertools import combinations, product

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian
from skvae.objectives import ELBO, IWAE, OBJECTIVES, CyclicalAnnealing
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS


def small(**params):
    return VariationalAutoencoder(**({"max_epochs": 3, "hidden_layer_sizes": (16,)} | params))


# Of the parts that take any numbers: an orthogonal array, so that every two of them meet
# once. (The full product goes through test_combinations.)
REAL = ["gaussian", "student_t", "laplace", "mixed"]
FAMILIES = [REAL, list(OBJECTIVES), list(PRIORS), list(POSTERIORS)]
DOUBLED = [0, 2, 3, 1]  # twice j in the field of four elements
COMBINED = [
    small(
        likelihood=REAL[i],
        objective=FAMILIES[1][j],
        prior=FAMILIES[2][i ^ j],
        posterior_family=FAMILIES[3][(i ^ DOUBLED[j]) % 3],
        max_epochs=1,
        hidden_layer_sizes=(8,),
    )
    for i, j in product(range(4), range(4))
]

# Options that have nothing to do with each other share a configuration.
CONFIGURATIONS = [
    VariationalAutoencoder(max_epochs=10),
    small(n_components=1, beta=0.0, hidden_layer_sizes=()),
    small(n_components=8, beta=4.0, hidden_layer_sizes=(4,)),
    small(batch_size=1, max_epochs=1),
    small(batch_size=4, hidden_layer_sizes=(32, 16), activation="tanh"),
    small(early_stopping=True, validation_fraction=0.3, n_iter_no_change=1),
    small(image_shape=(1, -1), conv_channels=(4, 8)),
    small(image_shape=(-1, 1, 1), conv_channels=(4,)),
    small(likelihood=Gaussian(scale=1.0), kl_warmup_epochs=2, free_bits=0.1),
    small(
        likelihood=Gaussian(scale="row"),
        optimizer="sgd",
        learning_rate=1e-5,
        precision="bfloat16",
        linear_path=False,
    ),
    small(
        likelihood=Gaussian(scale="shared"),
        normalization="batch",
        activation="gated",
        learning_rate_schedule="one_cycle",
    ),
    small(
        objective=IWAE(3, doubly_reparameterized=True),
        normalization="layer",
        dropout=0.2,
        weight_decay=0.1,
        gradient_clip=1.0,
        learning_rate_schedule="cosine",
    ),
    small(
        objective=ELBO(beta=CyclicalAnnealing(2, n_cycles=1)),
        image_shape=(1, -1),
        conv_channels=(4,),
        conv_block="residual",
        optimizer="adamw",
    ),
    *COMBINED,
]

# Shipped with scikit-learn, but not yielded to third parties by every version.
UNYIELDED = [
    "check_column_transformer_consistency",
    "check_dataframe_column_names_consistency",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimators_partial_fit_n_features",
    "check_get_feature_names_out_error",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]
PRESENT = [name for name in UNYIELDED if hasattr(estimator_checks, name)]
YIELDED = {check.func.__name__ for _, check in estimator_checks_generator(small(), legacy=True)}

pytestmark = [
    # The checks fit noise for a few epochs; that nothing is learnt of it is no news.
    pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning"),
    # They fit images of small whole numbers.
    pytest.mark.filterwarnings("ignore:The images in X hold values:UserWarning"),
    # They fit data frames and transform their values.
    pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning"),
]


@parametrize_with_checks(CONFIGURATIONS, legacy=True)
def test_yielded(estimator, check):
    check(estimator)


# These are about names and containers, which the parts have no say in.
@pytest.mark.parametrize("estimator", CONFIGURATIONS[: -len(COMBINED)], ids=repr)
@pytest.mark.parametrize("name", [name for name in PRESENT if name not in YIELDED])
def test_not_yielded(name, estimator):
    check = getattr(estimator_checks, name)
    check("VariationalAutoencoder", estimator)


def test_every_two_parts_meet():
    names = ("likelihood", "objective", "prior", "posterior_family")
    met = [[getattr(estimator, name) for name in names] for estimator in COMBINED]
    for one, other in combinations(range(4), 2):
        pairs = {(row[one], row[other]) for row in met}
        assert pairs == set(product(FAMILIES[one], FAMILIES[other]))


def test_the_list_is_long_enough():
    assert len(CONFIGURATIONS) >= 14
    assert len(PRESENT) >= 14
