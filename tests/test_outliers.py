"""VAEOutlierDetector: scikit-learn's contract, scores that repeat, thresholds and reasons."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import skops.io
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skvae
from skvae import VAEOutlierDetector, VariationalAutoencoder
from skvae._outliers import PATCHES, _fence, _parts
from skvae.metrics import outlier_average_precision_scorer, outlier_roc_auc_scorer
from skvae.objectives import ELBO, IWAE, Trimmed
from tests.foreign import SquaredBound
from tests.test_model_files import rewrite

WINE = load_wine().data
DIGITS = load_digits().data / 16


def small(max_steps=20, **params):
    vae = VariationalAutoencoder(hidden_layer_sizes=(8,), max_steps=max_steps)
    params = {"n_estimators": 1, "random_state": 0} | params
    return VAEOutlierDetector(vae.set_params(**params.pop("vae", {})), **params)


CONFIGURATIONS = [
    small(),
    small(contamination=0.1),
    small(novelty=True, vae={"n_components": 1}),
    small(n_estimators=2, vae={"likelihood": "student_t"}),
    small(random_state=None, vae={"random_state": 0, "objective": "iwae", "prior": "mixture"}),
    small(vae={"objective": Trimmed(0.2), "posterior_family": "full"}),
    VAEOutlierDetector(random_state=0, n_estimators=1),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning"),
    pytest.mark.filterwarnings("ignore::skvae.UndertrainedWarning"),
]


@parametrize_with_checks(CONFIGURATIONS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def detector():
    return VAEOutlierDetector(n_estimators=2, random_state=0).fit(WINE)


def factors(n, seed=0):
    """Rows of eight columns that two factors move."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(7).normal(size=(2, 8))
    return rng.normal(size=(n, 2)) @ loadings + 0.3 * rng.normal(size=(n, 8))


@pytest.fixture(scope="module")
def of_factors():
    return VAEOutlierDetector(n_estimators=1, random_state=0).fit(factors(1000))


class TestScores:
    def test_repeat_whatever_rows_are_beside(self, detector):
        scores = detector.score_samples(WINE)
        assert_array_equal(detector.score_samples(WINE), scores)
        order = np.random.default_rng(0).permutation(len(WINE))
        assert_allclose(detector.score_samples(WINE[order]), scores[order], rtol=1e-9)
        assert_allclose(detector.score_samples(WINE[:3]), scores[:3], rtol=1e-9)

    def test_are_the_means_of_the_models(self, detector):
        each = [vae.score_samples(WINE) for vae in detector.estimators_]
        # Up to the noise, which is the same for all rows here.
        difference = detector.score_samples(WINE) - np.mean(each, 0)
        assert abs(difference.mean()) < 1
        assert difference.std() < 1.5
        assert detector.vae_ is detector.estimators_[0]
        assert not np.array_equal(*each)

    def test_decision_and_labels(self, detector):
        decision = detector.decision_function(WINE)
        assert_allclose(decision, detector.score_samples(WINE) - detector.offset_)
        assert_array_equal(detector.predict(WINE) == -1, decision < 0)

    def test_the_seed_decides(self, detector):
        with parallel_config(backend="threading"):
            again = clone(detector).set_params(n_jobs=2).fit(WINE)
        assert_array_equal(again.score_samples(WINE), detector.score_samples(WINE))
        copied = pickle.loads(pickle.dumps(detector))
        assert_array_equal(copied.decision_function(WINE), detector.decision_function(WINE))

    def test_a_wild_value_hides_nothing(self):
        X = factors(300)
        X[:15] += 8
        clean = VAEOutlierDetector(n_estimators=1, random_state=0).fit(X).predict(X)
        X[200, 3] = 1e9
        wild = VAEOutlierDetector(n_estimators=1, random_state=0).fit(X)
        assert np.isfinite(wild.score_samples(X)).all()
        labels = wild.predict(X)
        assert labels[200] == -1
        assert (clean[:15] == -1).all()
        assert (labels[:15] == -1).all()

    def test_a_failed_fit_leaves_all_as_it_was(self, detector):
        before = pickle.dumps(detector)
        for method in ("fit", "partial_fit"):
            with pytest.raises(ValueError, match="infinity"):
                getattr(detector, method)(np.full((5, 13), np.inf))
        assert pickle.dumps(detector) == before


class TestThreshold:
    @pytest.mark.parametrize("share", [0.05, 0.3])
    def test_a_share_of_the_rows(self, share):
        labels = small(contamination=share).fit_predict(WINE)
        assert (labels == -1).sum() == pytest.approx(share * len(WINE), abs=1)

    @pytest.mark.parametrize("draw", ["normal", "standard_t"])
    def test_few_clean_rows_and_many_strange_ones(self, draw):
        rng = np.random.default_rng(0)
        X = rng.standard_t(4, (900, 4)) if draw == "standard_t" else rng.normal(size=(900, 4))
        train, new, strange = np.split(X, 3)
        strange = strange + 10 * rng.choice([-1, 1], strange.shape)
        detector = VAEOutlierDetector(n_estimators=1, random_state=0).fit(train)
        assert (detector.predict(new) == -1).mean() < 0.04
        assert (detector.predict(strange) == -1).mean() > 0.9

    def test_known_to_be_clean(self):
        X = factors(600)
        detector = small(300, novelty=True).fit(X[:300])
        assert (detector.predict(X[300:]) == -1).mean() < 0.05
        assert (detector.predict(X[300:] + 5) == -1).mean() > 0.9

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_scores_as_low_as_floats_go(self, dtype):
        lowest = np.finfo(dtype).min
        for scores in ([lowest, lowest, 0, 1, 2, 3], [lowest] * 4, [lowest], [0, 0, 0]):
            assert np.isfinite(_fence(np.array(scores, dtype)))

    def test_clean_rows_that_are_learned_by_heart(self):
        """The threshold is that of rows which a model has not seen."""
        X = np.random.default_rng(0).normal(size=(700, 20))
        closely = {"n_components": 8, "hidden_layer_sizes": (64,), "learning_rate": 1e-2}
        closely |= {"linear_path": False, "dropout": 0.0, "learning_rate_schedule": "constant"}
        detector = small(600, novelty=True, vae=closely).fit(X[:200])
        assert (detector.predict(X[200:]) == -1).mean() < 0.15
        by_heart = clone(detector)
        by_heart._left_out = lambda X, models: [None] * len(models)
        assert (by_heart.fit(X[:200]).predict(X[200:]) == -1).mean() > 0.25

    @pytest.mark.parametrize("share", [0.0, 0.6, "all"])
    def test_refuses_others(self, share):
        with pytest.raises(ValueError, match="contamination"):
            small(contamination=share).fit(WINE)


class TestModels:
    def test_what_is_trimmed(self):
        vae = VariationalAutoencoder(beta=2.0, kl_warmup_epochs=3)
        (made,) = VAEOutlierDetector(vae, n_estimators=1)._models(WINE)
        assert isinstance(made.objective, Trimmed)
        assert made.objective.objective.get_params() == ELBO(2.0, 3).get_params()
        assert made.beta == 1
        (left,) = VAEOutlierDetector(vae, novelty=True, n_estimators=1)._models(WINE)
        assert left.objective == "elbo"
        own = Trimmed(0.1, IWAE(3))
        (own_made,) = VAEOutlierDetector(vae.set_params(objective=own))._models(WINE)[:1]
        assert own_made.objective.get_params(deep=False)["share"] == 0.1
        assert vae.objective is own

    def test_rows_of_all_kinds(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(
            {"size": rng.normal(size=60), "kind": pd.Categorical(rng.choice(list("ab"), 60))}
        )
        counts = scipy.sparse.csr_array(rng.poisson(1.0, (60, 5)))
        gaps = np.where(rng.random(WINE.shape) < 0.1, np.nan, WINE)
        for X, vae in (
            (frame, {"likelihood": "mixed"}),
            (counts, {"likelihood": "poisson"}),
            (gaps, {}),
            (DIGITS[:50], {"image_shape": (8, 8), "conv_channels": (4,)}),
            (WINE.astype(np.float32), {}),
        ):
            detector = small(vae=vae).fit(X)
            scores, reasons = detector.score_samples(X), detector.explain(X[:4])
            assert np.isfinite(scores).all()
            assert reasons.shape == (4, X.shape[1])
            assert np.isfinite(reasons).all()
        by_default = VAEOutlierDetector(n_estimators=1, random_state=0).fit(frame)
        assert list(by_default.feature_names_in_) == ["size", "kind"]
        assert by_default.vae_.categories_ == {"kind": ["a", "b"]}

    def test_in_pipelines_and_searches(self):
        X = factors(200)
        X[:20] += 6
        y = np.repeat([-1, 1], [20, 180])
        detector = VAEOutlierDetector(n_estimators=1, random_state=0)
        pipeline = make_pipeline(StandardScaler(), detector).fit(X)
        assert roc_auc_score(y, pipeline.score_samples(X)) > 0.95
        order = np.random.default_rng(0).permutation(200)
        search = GridSearchCV(
            small(50), {"vae__n_components": [1, 2]}, scoring=outlier_roc_auc_scorer, cv=2
        ).fit(X[order], y[order])
        assert search.best_score_ > 0.6
        assert outlier_roc_auc_scorer(pipeline, X, y == -1) == pytest.approx(
            roc_auc_score(y, pipeline.score_samples(X))
        )


class TestPartialFit:
    def test_the_threshold_follows(self):
        before, after = factors(400), factors(400, seed=1) + 20
        detector = small(vae={"learning_rate": 1e-2})
        for _ in range(20):
            detector.partial_fit(before)
        assert (detector.predict(factors(200, seed=2)) == -1).mean() < 0.1
        assert (detector.predict(after) == -1).all()
        for _ in range(60):
            detector.partial_fit(after)
        assert (detector.predict(factors(200, seed=3) + 20) == -1).mean() < 0.1
        assert len(detector._latest) == 2000

    def test_is_that_of_the_latest_rows(self):
        detector = small(contamination=0.1).partial_fit(WINE[:100]).partial_fit(WINE[100:])
        assert detector.offset_ == pytest.approx(
            np.quantile(detector.score_samples(WINE), 0.1), rel=1e-6
        )
        assert not hasattr(detector.fit(WINE), "_latest")


class TestReasons:
    def test_add_up(self, detector):
        reasons = detector.explain(WINE[:20])
        constant = reasons.sum(1) + detector.score_samples(WINE[:20])
        assert_allclose(constant, constant[0], rtol=1e-6)
        images = small(vae={"image_shape": (8, 8), "conv_channels": (4,)}).fit(DIGITS[:50])
        constant = images.explain(DIGITS[:5]).sum(1) + images.score_samples(DIGITS[:5])
        assert_allclose(constant, constant[0], rtol=1e-5)

    def test_a_missing_value_has_none(self, detector):
        X = WINE[:3].copy()
        X[1, 4] = np.nan
        X[2] = np.nan
        reasons = detector.explain(X)
        assert reasons[1, 4] == 0
        assert (reasons[2] == 0).all()
        assert_allclose(reasons[0], detector.explain(WINE[:1])[0])

    def test_a_column_that_moved(self, of_factors):
        rng = np.random.default_rng(1)
        X = factors(100, seed=1)
        column = rng.integers(8, size=100)
        X[np.arange(100), column] += rng.choice([-6, 6], 100)
        assert (of_factors.explain(X).argmax(1) == column).sum() >= 95

    def test_a_value_that_is_ordinary_by_itself(self, of_factors):
        """That of another row, the farthest of forty."""
        rng = np.random.default_rng(2)
        X, others = factors(100, seed=3), factors(40, seed=4)
        rows, column = np.arange(100), rng.integers(8, size=100)
        distance = np.abs(others[:, column] - X[rows, column])
        X[rows, column] = others[distance.argmax(0), column]
        assert (of_factors.explain(X).argmax(1) == column).sum() >= 85

    def test_where_in_a_picture(self):
        X = DIGITS[:300].copy()
        detector = small(200, vae={"image_shape": (8, 8), "conv_channels": (8,)}).fit(X)
        X[:, 0:2] = 1.0  # always black
        top = detector.explain(X[:5]).reshape(5, 8, 8)
        assert (top[:, 0, :2].mean(1) > top[:, 2:].mean((1, 2)) + 1).all()

    def test_patches_of_large_pictures(self):
        parts = _parts((50, 40, 3), 6000).reshape(50, 40, 3)
        assert parts.max() + 1 <= PATCHES + 50
        assert (parts[..., 0] == parts[..., 2]).all()
        assert len(np.unique(parts)) == parts.max() + 1
        assert parts[0, 0, 0] == parts[2, 2, 0] != parts[3, 3, 0]


class TestScorers:
    def test_against_scikit_learn(self, detector):
        strange = np.arange(len(WINE)) % 3 == 0
        scores = detector.score_samples(WINE)
        for y in (strange, np.where(strange, -1, 1), strange.astype(int)):
            assert outlier_roc_auc_scorer(detector, WINE, y) == pytest.approx(
                roc_auc_score(strange, -scores)
            )
            assert outlier_average_precision_scorer(detector, WINE, y) == pytest.approx(
                average_precision_score(strange, -scores)
            )
        with pytest.raises(ValueError, match="y of"):
            outlier_roc_auc_scorer(detector, WINE, np.arange(len(WINE)))


def in_state(**changed):
    return lambda state, arrays: state.update(changed)


def in_models(*changed):
    def change(state, arrays):
        for model, new in zip(state["estimators_"], changed, strict=True):
            model["dict"].update(new)

    return change


def in_readers(*changed):
    def change(state, arrays):
        for model, new in zip(state["estimators_"], changed, strict=True):
            model["dict"]["_reader"]["dict"].update(new)

    return change


def another_width(state, arrays):
    state["n_features_in_"] = 12
    arrays["_latest"] = arrays["_latest"][:, :12].copy()


HOSTILE = {
    "no models": lambda state, arrays: state.pop("estimators_"),
    "an empty list of models": lambda state, arrays: (
        state.update(estimators_=[]), [arrays.pop(name) for name in [*arrays] if name != "_latest"]
    ),
    "one model, and no list": lambda state, arrays: state.update(
        estimators_=state["estimators_"][0]
    ),
    "models that are numbers": in_state(estimators_=[1, 2]),
    "a model twice": lambda state, arrays: state.update(
        estimators_=state["estimators_"][:1] * 2
    ),
    "a model in a list of its own": lambda state, arrays: state.update(
        estimators_=[state["estimators_"]]
    ),
    "a model without an attribute": lambda state, arrays: (
        state["estimators_"][1]["dict"].pop("n_iter_")
    ),
    "a model of another number of columns": in_models({}, {"n_features_in_": 12}),
    "models of another number of columns": another_width,
    "models that read X in other ways": in_readers({}, {"unit": 255.0}),
    "a first model beside them": lambda state, arrays: state.update(
        vae_=state["estimators_"][0]
    ),
    "parameters out of range": in_state(vae={"dict": {"n_components": 0}}),
    "a share out of range": in_state(contamination=0.7),
    "no threshold": lambda state, arrays: state.pop("offset_"),
    "a threshold that is none": in_state(offset_=float("nan")),
    "a threshold of text": in_state(offset_="0"),
    "rows that are a list": lambda state, arrays: (
        arrays.pop("_latest"), state.update(_latest=[[0.0] * 13])
    ),
    "rows of another number of columns": lambda state, arrays: arrays.update(
        _latest=arrays["_latest"][:, :12].copy()
    ),
    "rows that are whole numbers": lambda state, arrays: arrays.update(
        _latest=arrays["_latest"].astype(int)
    ),
    "more rows than are kept": lambda state, arrays: arrays.update(_latest=np.zeros((2001, 13))),
    "infinite rows": lambda state, arrays: arrays.update(_latest=np.full((9, 13), np.inf)),
    "names too few": in_state(feature_names_in_={"strings": ["a"]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def followed():
    """A detector with the latest rows."""
    return small(n_estimators=2, contamination=0.1).partial_fit(pd.DataFrame(WINE).add_prefix("c"))


@pytest.fixture(scope="module")
def file(followed, tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "m"
    followed.save(path)
    return path


class TestState:
    @pytest.mark.parametrize("trip", ["file", "pickle", "skops"])
    def test_it_travels(self, followed, file, trip):
        ours = ["skvae._outliers.VAEOutlierDetector", "skvae._vae.VariationalAutoencoder"]
        if trip == "skops":
            data = skops.io.dumps(followed)
            assert skops.io.get_untrusted_types(data=data) == ours
            back = skops.io.loads(data, trusted=ours)
        else:
            back = skvae.load(file) if trip == "file" else pickle.loads(pickle.dumps(followed))
        X = pd.DataFrame(WINE).add_prefix("c")
        assert repr(back) == repr(followed)
        assert back.vae_ is back.estimators_[0]
        assert back.offset_ == followed.offset_
        for method in ("score_samples", "predict", "explain"):
            rows = X[:3] if method == "explain" else X
            assert_array_equal(getattr(back, method)(rows), getattr(followed, method)(rows))
        assert_array_equal(back._latest, followed._latest)
        same = copy.deepcopy(followed).partial_fit(X[:50])
        assert back.partial_fit(X[:50]).offset_ == same.offset_
        assert_array_equal(back.decision_function(X), same.decision_function(X))
        again = back.set_params(n_estimators=1).fit(X)
        assert_array_equal(again.score_samples(X), clone(again).fit(X).score_samples(X))

    def test_of_the_default_model(self, detector, tmp_path):
        detector.save(tmp_path / "m")
        back = skvae.load(tmp_path / "m")
        assert back.vae is None
        assert not hasattr(back, "_latest")
        assert_array_equal(back.decision_function(WINE), detector.decision_function(WINE))

    def test_objects_of_the_users_are_given(self, tmp_path):
        detector = small(max_steps=5, vae={"objective": SquaredBound()}).fit(WINE)
        detector.save(tmp_path / "m")
        with pytest.raises(ValueError, match=r"objective=Trimmed, .*skvae.load\(path, objective="):
            skvae.load(tmp_path / "m")
        back = skvae.load(tmp_path / "m", objective=Trimmed(objective=SquaredBound()))
        assert_array_equal(back.score_samples(WINE), detector.score_samples(WINE))
        expected = detector.partial_fit(WINE).score_samples(WINE)
        assert_array_equal(back.partial_fit(WINE).score_samples(WINE), expected)
        with pytest.raises(ValueError, match="'colour' is not a parameter of VAEOutlierDetector"):
            skvae.load(tmp_path / "m", colour=1)

    def test_only_what_can_be_loaded_is_saved(self, followed, tmp_path):
        with pytest.raises(NotFittedError):
            small().save(tmp_path / "m")
        with pytest.raises(ValueError, match="'contamination' parameter"):
            copy.deepcopy(followed).set_params(contamination=2.0).save(tmp_path / "m")
        with pytest.raises(ValueError, match="'max_epochs' parameter"):
            copy.deepcopy(followed).set_params(vae__max_epochs=0).save(tmp_path / "m")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", HOSTILE)
    def test_files_that_nobody_should_trust(self, file, name, tmp_path):
        def change(document, arrays):
            HOSTILE[name](document["state"], arrays)

        path = rewrite(file, tmp_path / "hostile", change)
        with pytest.raises(ValueError, match="hostile"):
            skvae.load(path)

    def test_files_that_hold_another_class(self, file, tmp_path):
        for name in ("ConditionalVAE", "VariationalAutoencoder", "VAEImputer"):
            path = rewrite(
                file, tmp_path / "hostile", lambda d, _, name=name: d.update({"class": name})
            )
            with pytest.raises(ValueError, match="hostile"):
                skvae.load(path)
