"""As a step: wherever a PCA stands today."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import parallel_backend
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - registers the class
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian
from skvae.objectives import ELBO

X, Y = load_wine(return_X_y=True, as_frame=True)


def vae(**params):
    quick = {"max_epochs": 10, "hidden_layer_sizes": (16,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


def classifier(**params):
    return make_pipeline(StandardScaler(), vae(**params), LogisticRegression(max_iter=1000))


def test_pipeline():
    model = classifier(n_components=4, max_epochs=400).fit(X, Y)
    assert model.score(X, Y) > 0.9
    assert_array_equal(model.predict(X), clone(model).fit(X, Y).predict(X))


def test_bernoulli_behind_a_scaler():
    model = make_pipeline(MinMaxScaler(), vae(likelihood="bernoulli")).fit(X)
    assert np.isfinite(model.score(X))
    assert model.inverse_transform(model.transform(X)).shape == X.shape


def test_column_transformer_with_pandas_output():
    model = ColumnTransformer(
        [("latent", vae(), list(X.columns[:8])), ("rest", "passthrough", list(X.columns[8:]))]
    ).set_output(transform="pandas")
    out = model.fit_transform(X)
    assert list(out.columns[:2]) == [f"latent__variationalautoencoder{i}" for i in range(2)]
    assert out.shape == (178, 2 + 5)
    assert list(model.get_feature_names_out()) == list(out.columns)


def test_feature_union():
    union = FeatureUnion([("pca", PCA(3)), ("vae", vae(n_components=2))])
    assert union.fit_transform(X).shape == (178, 5)
    assert list(union.get_feature_names_out())[-1] == "vae__variationalautoencoder1"


def test_cross_val_score():
    scores = cross_val_score(vae(), X, cv=3)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


GRID = {
    "n_components": [1, 2],
    "beta": [0.5, 1.0],
    "likelihood": ["gaussian", Gaussian("shared")],
}


EPOCHS = {"resource": "max_epochs", "min_resources": 2, "max_resources": 8, "factor": 2}
SEARCHES = {
    "grid": partial(GridSearchCV, vae(), GRID, cv=2),
    "halving": partial(HalvingGridSearchCV, vae(), GRID, cv=2, random_state=0, **EPOCHS),
}


@pytest.fixture(scope="module")
def sequential():
    return {name: search().fit(X) for name, search in SEARCHES.items()}


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.filterwarnings("ignore:A worker stopped:UserWarning")  # loky's, on a loaded machine
def test_searches_in_parallel_are_bit_equal(name, backend, sequential):
    with parallel_backend(backend, n_jobs=2):
        search = SEARCHES[name]().fit(X)
    for column in ("split0_test_score", "split1_test_score", "mean_test_score"):
        assert_array_equal(search.cv_results_[column], sequential[name].cv_results_[column])
    assert_array_equal(search.transform(X), sequential[name].transform(X))


def test_halving_gives_the_better_more_epochs(sequential):
    assert set(sequential["halving"].cv_results_["n_resources"]) == {2, 4, 8}
    assert sequential["halving"].best_estimator_.n_iter_ == 8


def test_parameters_of_parts_are_reachable():
    search = GridSearchCV(
        vae(objective=ELBO(), likelihood=Gaussian(), max_epochs=2),
        {"objective__beta": [0.5, 1.0], "likelihood__scale": ["feature", "shared"]},
        cv=2,
    ).fit(X)
    assert set(search.best_params_) == {"objective__beta", "likelihood__scale"}


def test_sample_weight_is_routed():
    weight = np.random.RandomState(0).randint(0, 3, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        step = vae().set_fit_request(sample_weight=True)
        routed = make_pipeline(step, LogisticRegression().set_fit_request(sample_weight=False))
        routed.fit(X, Y, sample_weight=weight)
    plain = vae().fit(X, sample_weight=weight)
    assert_array_equal(routed[0].transform(X), plain.transform(X))


@pytest.mark.parametrize(
    "model",
    [
        VariationalAutoencoder(),
        vae(n_components=np.int64(3), conv_channels=[4], image_shape=[13, 1]),
        vae(likelihood=Gaussian("row"), objective=ELBO(beta=2.0), callbacks=[]),
    ],
    ids=repr,
)
def test_clone(model):
    copied = clone(model)
    for name, value in model.get_params(deep=False).items():
        assert repr(getattr(copied, name)) == repr(value)
    assert repr(copied) == repr(model)


def test_digits_in_two_components_and_a_classifier():
    """The first use: a latent of digits into a classifier, better than PCA's."""
    digits, y = load_digits(return_X_y=True)
    digits = digits / 16
    both = [
        cross_val_score(
            make_pipeline(step, LogisticRegression(max_iter=2000)), digits, y, cv=3
        ).mean()
        for step in (VariationalAutoencoder(2, max_epochs=60, random_state=0), PCA(2))
    ]
    assert both[0] > both[1] + 0.05


def test_data_frame_names_are_checked():
    model = vae().fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(X.rename(columns={"ash": "dust"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.transform(X.to_numpy())
    assert isinstance(X, pd.DataFrame)
