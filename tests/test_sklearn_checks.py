"""scikit-learn's own checks, over a list of configurations, none excused."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian


def small(**params):
    return VariationalAutoencoder(**({"max_epochs": 3, "hidden_layer_sizes": (16,)} | params))


CONFIGURATIONS = [
    VariationalAutoencoder(max_epochs=10),
    small(n_components=1),
    small(n_components=8),
    small(beta=0.0),
    small(beta=4.0),
    small(hidden_layer_sizes=()),
    small(hidden_layer_sizes=(4,)),
    small(hidden_layer_sizes=(32, 16), activation="tanh"),
    small(batch_size=1, max_epochs=1),
    small(batch_size=4),
    small(early_stopping=True, validation_fraction=0.3, n_iter_no_change=1),
    small(image_shape=(1, -1), conv_channels=(4, 8)),
    small(image_shape=(-1, 1, 1), conv_channels=(4,)),
    small(likelihood=Gaussian(scale=1.0)),
    small(likelihood=Gaussian(scale="row")),
    small(likelihood=Gaussian(scale="shared")),
    small(kl_warmup_epochs=2, free_bits=0.1),
    small(optimizer="sgd", learning_rate=1e-4, precision="bfloat16"),
]

# Shipped with scikit-learn, but not yielded to third parties.
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

pytestmark = [
    # The checks fit noise for a few epochs; that nothing is learnt of it is no news.
    pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning"),
    # They fit data frames and transform their values.
    pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning"),
]


@parametrize_with_checks(CONFIGURATIONS, legacy=True)
def test_yielded(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", CONFIGURATIONS, ids=repr)
@pytest.mark.parametrize("name", PRESENT)
def test_not_yielded(name, estimator):
    check = getattr(estimator_checks, name)
    check("VariationalAutoencoder", estimator)


def test_the_list_is_long_enough():
    assert len(CONFIGURATIONS) >= 14
    assert len(PRESENT) >= 14
