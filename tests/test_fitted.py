"""A model is found wherever it stands: in a pipeline, a search, an estimator that keeps it."""

import numpy as np
import pytest
from onnxruntime import InferenceSession
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import VariationalAutoencoder, export, metrics
from skvae._fitted import Opened, model_and_rows, opened
from skvae.display import ReconstructionDisplay, SampleGridDisplay, TraversalDisplay
from skvae.sampling import LatentDensitySampler, interpolate

X = load_iris().data


class Holder(BaseEstimator):
    """Keeps a fitted model, and says something else of rows."""

    def __init__(self, vae):
        self.vae = vae

    def fit(self, X, y=None):
        self.vae_ = self.vae
        return self

    def transform(self, X):
        return np.zeros_like(X)


def searched(estimator, **options):
    """Return a search whose best estimator is this one."""
    search = GridSearchCV(estimator, {}, cv=2, **options).fit(X)
    search.best_estimator_ = estimator
    return search


@pytest.fixture(scope="module")
def vae():
    scaled = StandardScaler().fit_transform(X)
    return VariationalAutoencoder(max_epochs=3, random_state=0).fit(scaled)


@pytest.fixture(scope="module")
def pipe(vae):
    return Pipeline([("scale", StandardScaler().fit(X)), ("nothing", "passthrough"), ("vae", vae)])


ALONE = {
    "itself": lambda vae: vae,
    "pipeline": make_pipeline,
    "search": searched,
    "frozen": FrozenEstimator,
    "kept": lambda vae: Holder(vae).fit(X),
    "kept in a search over a pipeline": lambda vae: searched(make_pipeline(Holder(vae).fit(X)),
                                                             scoring=lambda *_: 0.0),
}  # fmt: skip
BEHIND = {
    "pipeline": lambda pipe: pipe,
    "nested": lambda pipe: make_pipeline(pipe[:-1], make_pipeline(pipe[-1])),
    "search": searched,
    "frozen": lambda pipe: make_pipeline(pipe[0], FrozenEstimator(pipe[-1])),
    "frozen search": lambda pipe: FrozenEstimator(searched(pipe)),
    "kept": lambda pipe: make_pipeline(pipe[0], Holder(pipe[-1]).fit(X)),
}


@pytest.fixture(params=BEHIND.values(), ids=BEHIND)
def behind(request, pipe):
    """The model behind a scaler."""
    return request.param(pipe)


@pytest.mark.parametrize("wrap", ALONE.values(), ids=ALONE)
def test_a_model_alone_is_found(wrap, vae):
    inside = opened(wrap(vae))
    assert inside.model is vae
    assert inside.before == []
    assert metrics.elbo_scorer(wrap(vae), X) == vae.score(X)
    assert LatentDensitySampler(wrap(vae), KernelDensity()).fit(X).vae_ is vae


def test_the_best_of_a_search_becomes_a_file(vae, tmp_path):
    export.to_onnx(searched(vae), tmp_path / "decoder.onnx", "decoder")
    session = InferenceSession(tmp_path / "decoder.onnx")
    (decoded,) = session.run(None, {"Z": np.eye(2, dtype=np.float32)})
    np.testing.assert_allclose(decoded, vae.inverse_transform(np.eye(2)), atol=1e-5)


def test_a_model_behind_steps_is_found(behind, pipe):
    vae, seen = model_and_rows(behind, X)
    assert vae.net_ is pipe[-1].net_
    np.testing.assert_array_equal(seen, pipe[:-1].transform(X))


def test_measures_pictures_and_paths_go_through_the_steps(behind, pipe, tmp_path):
    scaled = pipe[:-1].transform(X)
    assert metrics.rate_distortion(behind, X) == metrics.rate_distortion(pipe[-1], scaled)
    expected = pipe.inverse_transform(pipe.transform(X[:2]))
    ends = interpolate(behind, X[0], X[1], n=2)
    np.testing.assert_allclose(ends, expected, rtol=1e-6)
    display = ReconstructionDisplay.from_estimator(behind, X, n_images=2)
    np.testing.assert_allclose(display.reconstructions, expected, rtol=1e-6)
    pages = [
        skvae.explore(estimator, X, path=tmp_path / "a.html", grid=2).read_text()
        for estimator in (behind, pipe)
    ]
    assert pages[0] == pages[1]


def test_measures_of_a_search_are_those_of_its_best():
    vae = VariationalAutoencoder(max_epochs=2, random_state=0)
    search = GridSearchCV(vae, {"n_components": [1, 3]}, cv=2).fit(X)
    best = search.best_estimator_
    assert metrics.active_units(search, X).shape == (best.n_components,)
    assert metrics.elbo_scorer(search, X) == best.score(X)
    assert metrics.bits_per_dim(search, X) == metrics.bits_per_dim(best, X)


def test_what_holds_a_model_draws_in_its_own_way(vae):
    sampler = LatentDensitySampler(vae, KernelDensity(), random_state=0).fit(X)
    display = SampleGridDisplay.from_estimator(sampler, n_samples=5, random_state=1)
    np.testing.assert_allclose(display.samples, sampler.sample(5, mean=True, random_state=1))
    same = TraversalDisplay.from_estimator(sampler, n=2)
    np.testing.assert_array_equal(same.rows, TraversalDisplay.from_estimator(vae, n=2).rows)


NO_MODEL = {
    "another estimator": lambda vae: PCA(2).fit(X),
    "a pipeline without one": lambda vae: make_pipeline(StandardScaler(), PCA(2)).fit(X),
    "a pipeline that goes on": lambda vae: make_pipeline(vae, PCA(2).fit(X)),
    "a search that kept none": lambda vae: GridSearchCV(vae, {}, cv=2, refit=False).fit(X),
    "no estimator": lambda vae: "vae",
    "a class": lambda vae: VariationalAutoencoder,
}


@pytest.mark.parametrize("make", NO_MODEL.values(), ids=NO_MODEL)
def test_what_holds_no_model_is_named(make, vae):
    given = make(vae)
    with pytest.raises(TypeError) as error:
        metrics.elbo_scorer(given, X)
    assert type(given).__name__ in str(error.value) or repr(given).strip("'") in str(error.value)


def test_of_another_estimator_it_is_the_model_itself():
    pca = PCA(2).fit(X)
    assert Opened(make_pipeline(StandardScaler().fit(X), pca)).model is pca


@pytest.mark.parametrize(
    "wrap",
    [
        lambda vae: vae,
        lambda vae: make_pipeline(StandardScaler(), vae),
        lambda vae: GridSearchCV(vae, {}),
        FrozenEstimator,
        Holder,
    ],
)
def test_what_is_not_fitted_is_refused(wrap):
    with pytest.raises(NotFittedError):
        opened(wrap(VariationalAutoencoder()))


def test_a_sampler_and_a_file_have_no_place_for_steps(pipe, tmp_path):
    with pytest.raises(TypeError, match="has steps before the model"):
        LatentDensitySampler(pipe).fit(X)
    with pytest.raises(TypeError, match=r"vae is a Pipeline with steps.*register_skl2onnx"):
        export.to_onnx(pipe, tmp_path / "a.onnx")
    sampler = make_pipeline(pipe[0], LatentDensitySampler(pipe[-1], KernelDensity())).fit(X)
    display = SampleGridDisplay.from_estimator(sampler, n_samples=3, random_state=1)
    expected = pipe[0].inverse_transform(sampler[-1].sample(3, mean=True, random_state=1))
    np.testing.assert_allclose(display.samples, expected)
