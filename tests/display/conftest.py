"""Models, fitted once; no style is left behind."""

import pytest
from matplotlib import pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tests.display.models import COLOURED, IRIS, X, small


@pytest.fixture(scope="package")
def images():
    return small(n_components=3, image_shape=(8, -1)).fit(X)


@pytest.fixture(scope="package")
def line():
    return small(n_components=1).fit(X)


@pytest.fixture(scope="package")
def table():
    return small(early_stopping=True).fit(IRIS.data)


@pytest.fixture(scope="package")
def colours():
    return small(image_shape=(2, 3, 3)).fit(COLOURED)


@pytest.fixture(scope="package")
def pipe():
    return make_pipeline(StandardScaler(), MinMaxScaler(), small(n_components=3)).fit(IRIS.data)


@pytest.fixture(autouse=True)
def no_style_left():
    before, style = plt.get_fignums(), plt.rcParams.copy()
    yield
    assert plt.rcParams == style
    assert before == []
