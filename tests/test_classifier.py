"""VAEClassifier: the contract of scikit-learn, what a label is, what few of them are worth."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_blobs, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skvae
from skvae import VAEClassifier, VariationalAutoencoder
from skvae._data import Rows
from skvae._training import image_labels
from skvae._training import labels as of_labels
from skvae.distributions import Independent, Normal, Tilted
from skvae.model import Batch
from skvae.objectives import IWAE
from skvae.priors import ClassMixture
from tests.test_model_files import rewrite

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = load_iris().target_names[SPECIES]
FEW = np.where(np.arange(150) % 10 == 0, SPECIES, -1)


def small(vae=None, **params):
    quick = {"hidden_layer_sizes": (8,), "max_steps": 60, "random_state": 0}
    return VAEClassifier(VariationalAutoencoder(**(quick | (vae or {}))), **params)


LONG = {"max_steps": 400, "learning_rate": 3e-3}
QUICK = {"max_steps": 60, "learning_rate": 1e-2}

CONFIGURATIONS = [
    small(QUICK),
    small(
        {"max_steps": 90, "learning_rate": 2e-2, "n_components": 1, "prior": ClassMixture(1)},
        class_weight="balanced",
    ),
    small(
        QUICK
        | {"n_components": 8, "linear_path": False, "posterior_family": "full"}
        | {"objective": IWAE(2), "likelihood": "student_t"},
        label_weight=20.0,
        random_state=0,
    ),
    small(
        QUICK
        | {"image_shape": (1, -1), "conv_channels": (4,), "likelihood": "gaussian"}
        | {"early_stopping": True, "n_iter_no_change": 100}
    ),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning"),
    pytest.mark.filterwarnings("ignore::skvae.UndertrainedWarning"),
]


@parametrize_with_checks(CONFIGURATIONS)
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def fitted():
    return small(LONG).fit(IRIS, FEW)


class TestProbabilities:
    def test_they_are_those_of_bayes_rule(self, fitted):
        prior = fitted.vae_.net_.module_.prior
        z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            shares = prior.log_weights.flatten().softmax(0).reshape(3, 4).sum(1)
            joint = torch.stack([prior.given(y).log_prob(z) for y in range(3)], -1) + shares.log()
            assert_allclose(joint.logsumexp(-1), prior().log_prob(z), rtol=1e-4)
            expected = joint - joint.logsumexp(-1, keepdim=True)
            assert_allclose(prior.log_prob_labels(z), expected, atol=1e-4)

    def test_their_forms_agree(self, fitted):
        P = fitted.predict_proba(IRIS)
        assert_allclose(P.sum(1), 1)
        assert_array_equal(fitted.predict_log_proba(IRIS), np.log(P))
        assert_array_equal(fitted.predict(IRIS), fitted.classes_[P.argmax(1)])
        assert fitted.score(IRIS, SPECIES) == np.mean(fitted.predict(IRIS) == SPECIES)

    def test_rows_do_not_know_of_each_other(self, fitted):
        P = fitted.predict_proba(IRIS)
        assert_allclose(fitted.predict_proba(IRIS[::-1])[::-1], P, atol=1e-9)
        assert_allclose(np.vstack([fitted.predict_proba(row[None]) for row in IRIS]), P, atol=1e-9)

    def test_a_label_is_a_factor_of_the_likelihood(self):
        p = Independent(Normal(torch.zeros(3, 2), torch.ones(3, 2)))
        x, factor = torch.randn(3, 2), torch.tensor([0.0, -1.0, -2.0])
        tilted = Tilted(p, factor)
        assert_allclose(tilted.log_prob(x), p.log_prob(x) + factor)
        assert_array_equal(tilted.mean, p.mean)
        assert_array_equal(tilted.variance, p.variance)
        draws = [d.sample((5,), generator=torch.Generator().manual_seed(0)) for d in (p, tilted)]
        assert_array_equal(*draws)


class TestWhatIsALabel:
    @pytest.mark.parametrize(
        ("y", "classes"),
        [
            (np.where(FEW == -1, -1, SPECIES), [0, 1, 2]),
            (np.where(FEW == -1, -1.0, SPECIES), [0.0, 1.0, 2.0]),
            (np.where(FEW == -1, np.nan, SPECIES), [0.0, 1.0, 2.0]),
            (np.where(FEW == -1, None, NAMES), sorted(set(NAMES))),
            (pd.Series(np.where(FEW == -1, None, NAMES)), sorted(set(NAMES))),
            (pd.Series(np.where(FEW == -1, pd.NA, NAMES), dtype="string"), sorted(set(NAMES))),
            (pd.Series(np.where(FEW == -1, pd.NA, SPECIES), dtype="Int64"), [0, 1, 2]),
            (pd.Series(np.where(FEW == -1, None, NAMES), dtype="category"), sorted(set(NAMES))),
            (pl.Series(np.where(FEW == -1, None, NAMES).tolist()), sorted(set(NAMES))),
            (np.where(FEW == -1, None, NAMES).tolist(), sorted(set(NAMES))),
        ],
        ids=["int", "float", "nan", "None", "pandas", "NA", "Int64", "category", "polars", "list"],
    )
    def test_rows_without_one(self, fitted, y, classes):
        model = small(LONG).fit(IRIS, y)
        assert model.classes_.tolist() == classes
        assert_array_equal(model.predict_proba(IRIS), fitted.predict_proba(IRIS))

    def test_minus_one_beside_one_other_class_is_a_class(self):
        y = np.where(SPECIES == 0, -1, 1)
        assert small().fit(IRIS, y).classes_.tolist() == [-1, 1]

    def test_booleans(self):
        model = small(LONG).fit(IRIS, SPECIES == 0)
        assert model.predict(IRIS).dtype == bool
        assert model.score(IRIS, SPECIES == 0) == 1

    def test_rows_without_weight_are_not_there(self):
        weight = np.where(SPECIES == 2, 0, 1)
        model = small().fit(IRIS, SPECIES, sample_weight=weight)
        alone = small().fit(IRIS[SPECIES < 2], SPECIES[SPECIES < 2])
        assert_array_equal(model.classes_, [0, 1])
        assert_array_equal(model.predict_proba(IRIS), alone.predict_proba(IRIS))

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (np.full(150, np.nan), "y holds no label"),
            ([None] * 150, "y holds no label"),
            (IRIS[:, 0], "Unknown label type: continuous"),
            (SPECIES[:-1], "inconsistent numbers of samples"),
            (np.where(SPECIES == 0, np.inf, 1), "Input y contains infinity"),
            (None, "requires y to be passed"),
        ],
        ids=["nan", "None", "continuous", "short", "infinite", "nothing"],
    )
    def test_what_is_none(self, fitted, y, message):
        model = clone(fitted)
        with pytest.raises(ValueError, match=message):
            model.fit(IRIS, y)
        assert not hasattr(model, "classes_")

    def test_after_an_error_all_is_as_it_was(self, fitted):
        model = pickle.loads(pickle.dumps(fitted))
        before = model.predict_proba(IRIS)
        for broken in ({"vae__prior": "vamp"}, {"label_weight": 0}, {"vae__n_components": 0}):
            kept = model.get_params()
            with pytest.raises(ValueError, match=r"prior='vamp'|label_weight|n_components"):
                model.set_params(**broken).fit(IRIS[:50], SPECIES[:50])
            model.set_params(**{name: kept[name] for name in broken})
            assert_array_equal(model.predict_proba(IRIS), before)

    def test_weights_of_classes(self):
        # Between two classes that overlap, the heavier one is predicted more often.
        X, y = make_blobs(300, centers=[[0, 0], [1.5, 0]], random_state=0)
        light, heavy = (
            small(LONG, class_weight={0: 1, 1: w}, label_weight=20.0).fit(X, y).predict(X).mean()
            for w in (0.05, 20)
        )
        assert light < 0.45
        assert heavy > 0.55
        with pytest.raises(ValueError, match="class_weight"):
            small(class_weight="even").fit(X, y)


class TestSpreading:
    def test_each_row_has_the_mean_of_its_neighbours(self):
        # A chain with a label at each end: the harmonic function is linear in between.
        n = 9
        chain = scipy.sparse.diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1]).tocsr()
        label = np.full(n, np.nan)
        label[0], label[-1] = 0, 1
        guess = of_labels.spread_labels(chain, label, 2)
        assert_array_equal(guess[:4], 0)
        assert_array_equal(guess[-4:], 1)

    def test_what_no_path_leads_to_stays_unknown(self):
        X = np.vstack([np.random.default_rng(0).normal(m, 0.1, (30, 2)) for m in (0, 50, 100)])
        label = np.full(90, np.nan)
        label[[0, 30]] = 0, 1
        guess = of_labels.spread_labels(of_labels.neighborhood(X), label, 2)
        assert_array_equal(guess, np.repeat([0, 1, np.nan], 30))

    def test_small_groups_keep_to_themselves(self):
        # Nine rows have eight neighbours of their own; the tenth would be of another group.
        rng = np.random.default_rng(0)
        X = np.vstack([rng.normal(50 * m, 0.1, (9, 2)) for m in range(5)])
        graph = of_labels.neighborhood(X).tocoo()
        assert_array_equal(graph.coords[0] // 9, graph.coords[1] // 9)

    def test_rows_that_are_there_twice_count_once(self):
        y = np.where(np.arange(150) % 5 == 0, SPECIES, -1)
        weight = np.random.default_rng(0).integers(0, 4, 150)
        by_weight = small().fit(IRIS, y, sample_weight=weight)
        repeated = np.repeat(np.arange(150), weight)
        by_rows = small().fit(IRIS[repeated], y[repeated])
        assert_array_equal(by_weight.predict_proba(IRIS), by_rows.predict_proba(IRIS))

    def test_rare_labels_are_repeated(self):
        label = np.full(1000, np.nan)
        label[:4] = 0
        rows = of_labels.repeat_labelled(Rows(np.zeros((1000, 2)), label=label))
        known = np.count_nonzero(~np.isnan(rows.labels()))
        assert known == pytest.approx(of_labels.LABELLED_SHARE * 996, abs=2)
        assert len(rows) == 996 + known

    def test_classes_get_their_places(self):
        Z, y = make_blobs(600, centers=[[-4, 0], [4, 0], [0, 6]], random_state=0)
        prior = ClassMixture(2, n_classes=4)
        prior.initialize(2)
        assert_array_equal(prior().mean, [0, 0])
        of_labels.place_classes(prior, Z, y.astype(float), seed=0)
        with torch.no_grad():
            predicted = prior.log_prob_labels(torch.tensor(Z).float()).argmax(-1)
            assert np.mean(predicted.numpy() == y) > 0.99
            assert_allclose(prior.given(0).mean, Z[y == 0].mean(0), atol=0.1)
            shares = prior.log_weights.flatten().softmax(0).reshape(4, 2).sum(1)
        assert_allclose(shares[:3], 1 / 3, atol=0.01)


class TestImages:
    """A row's class is told by distorted copies; a network guesses the labels of the others."""

    def test_the_class_is_told_by_a_distorted_copy_in_training(self):
        X, y = load_digits(return_X_y=True)
        vae = {"image_shape": (8, 8), "conv_channels": (4,), "likelihood": "gaussian"}
        module = small(vae).fit(X[:200], y[:200]).vae_.net_.module_
        batch = Batch(torch.tensor(X[:9]).float(), label=torch.tensor(y[:9]).float())
        noise = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            at_rest = module(batch, noise)
            told = module.prior.log_prob_label(at_rest.z, batch.label)
            torch.testing.assert_close(at_rest.likelihood.log_factor, told)
            module.train()
            module.distortion.generator = torch.Generator().manual_seed(0)
            one, other = module(batch, noise), module(batch, noise)
        # The bound on log p(x) is that of the row itself.
        torch.testing.assert_close(one.z, at_rest.z)
        torch.testing.assert_close(one.likelihood.base.mean, at_rest.likelihood.base.mean)
        assert not torch.allclose(one.likelihood.log_factor, other.likelihood.log_factor)

    def test_only_images_with_classes_are_distorted(self):
        X = np.random.default_rng(0).random((50, 16))
        images = {"image_shape": (4, 4), "max_steps": 1, "likelihood": "gaussian"}
        y = np.arange(50) % 2
        assert small(images).fit(X, y).vae_.net_.module_.distortion.image_shape == (4, 4, 1)
        assert small({"max_steps": 1}).fit(X, y).vae_.net_.module_.distortion is None
        assert VariationalAutoencoder(**images).fit(X).net_.module_.distortion is None

    def test_a_network_mends_what_neighbours_say(self, monkeypatch):
        # Digits that lie elsewhere in their image have other neighbours by their pixels.
        monkeypatch.setattr(image_labels, "N_STEPS", 200)
        monkeypatch.setattr(image_labels, "N_NETWORKS", 1)
        (digits, y), rng = load_digits(return_X_y=True), np.random.default_rng(0)
        n, images = 600, np.zeros((600, 10, 10), np.float32)
        some = rng.permutation(len(y))[:n]
        for image, digit, (top, left) in zip(
            images, digits[some], rng.integers(0, 3, (n, 2)), strict=True
        ):
            image[top : top + 8, left : left + 8] = digit.reshape(8, 8) / 16
        X, y = images.reshape(n, -1), y[some]
        label = np.full(n, np.nan)
        for c in range(10):
            label[np.flatnonzero(y == c)[:5]] = c
        graph = of_labels.neighborhood(X)
        asked = torch.tensor(X), (10, 10, 1), label, 10, graph
        state = torch.get_rng_state()
        guess = image_labels.guess_image_labels(*asked, seed=0)
        assert torch.equal(torch.get_rng_state(), state)
        known = ~np.isnan(label)
        assert_array_equal(guess[known], label[known])
        by_pixels = of_labels.spread_labels(graph, label, 10)
        assert np.mean(guess != y) < 0.85 * np.mean(by_pixels != y)

    def test_large_images_are_made_smaller(self):
        images = torch.rand(3, 64 * 40 * 2)
        small_ones = image_labels.small_images(images, (64, 40, 2))
        shape = image_labels.small_shape((64, 40, 2))
        assert shape == (32, 32, 2)
        assert small_ones.shape == (3, 32 * 32 * 2)
        means = [x.view(3, -1, 2).mean(1) for x in (images, small_ones)]
        torch.testing.assert_close(*means, atol=0.02, rtol=0)
        few = torch.rand(3, 64)
        assert image_labels.small_images(few, (8, 8, 1)) is few

    @pytest.mark.parametrize(
        "changed",
        [
            {"normalization": "batch", "likelihood": "bernoulli"},
            {"posterior_family": "full", "objective": IWAE(2)},
        ],
    )
    def test_few_labels_of_images(self, changed, monkeypatch, tmp_path):
        asked = []

        def noted(*args):
            asked.append(args)
            return image_labels.guess_image_labels(*args)

        monkeypatch.setattr(image_labels, "N_STEPS", 40)
        monkeypatch.setattr(of_labels, "guess_image_labels", noted)
        X, y = load_digits(return_X_y=True)
        y, few = y[:300], np.where(np.arange(300) < 60, y[:300], -1)
        X = np.where(np.random.default_rng(0).random((300, 64)) < 0.1, np.nan, X[:300] / 16)
        vae = {"image_shape": (8, 8), "conv_channels": (8,), "n_components": 8, "max_steps": 200}
        vae |= {"learning_rate": 5e-3, "hidden_layer_sizes": (32,)} | changed
        model, again = (small(vae).fit(X, few) for _ in range(2))
        assert model.score(X, y) > 0.6
        assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        model.save(tmp_path / "digits.safetensors")
        loaded = skvae.load(tmp_path / "digits.safetensors")
        assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
        # Once in a fit, and by images without gaps.
        (images, shape, label, n_classes, *_), _ = asked
        assert shape == (8, 8, 1)
        assert n_classes == 10
        assert np.count_nonzero(~np.isnan(label)) == 60
        assert images.shape == (300, 64)
        assert torch.isfinite(images).all()


def test_early_stopping_waits_for_the_classes():
    # Held-out loss that never falls: training ends some epochs after labels have come in.
    early = {"early_stopping": True, "n_iter_no_change": 2, "tol": 1e9, "max_epochs": 30}
    model = small(early | {"max_steps": None}).fit(IRIS, SPECIES)
    assert model.vae_.n_iter_ == 10 + 3
    assert model.vae_.best_epoch_ == 11
    assert model.score(IRIS, SPECIES) > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_no_class_loses_its_last_label(seed):
    few = np.full(150, -1)
    few[[0, 50, 100]] = 0, 1, 2
    model = small({"early_stopping": True, "validation_fraction": 0.9}, random_state=seed)
    assert model.fit(IRIS, few).score(IRIS, SPECIES) > 0.5


class TestFewLabels:
    """Rows without a label teach, too."""

    @pytest.mark.parametrize("seed", range(2))
    def test_two_labels_of_each_moon(self, seed):
        X, y = make_moons(600, noise=0.05, random_state=0)
        few = np.full(600, np.nan)
        for c in (0, 1):
            few[np.flatnonzero(y == c)[:2]] = c
        vae = {"hidden_layer_sizes": (32,), "max_steps": 300, "learning_rate": 3e-3}
        model = small(vae, random_state=seed).fit(X, few)
        assert model.score(X, y) > 0.97
        # As many steps as asked for, though rows that are repeated make epochs longer.
        assert model.vae_.n_iter_ == 300 // 6

    def test_five_labels_a_digit(self):
        X, y = load_digits(return_X_y=True)
        X, rng = X / 16, np.random.default_rng(0)
        order = rng.permutation(len(X))
        new, old = order[:400], order[400:1400]
        labelled = np.concatenate([old[y[old] == c][:5] for c in range(10)])
        few = np.full(len(X), -1)
        few[labelled] = y[labelled]
        model = VAEClassifier(random_state=0).fit(X[old], few[old])
        linear = LogisticRegression(max_iter=1000).fit(X[labelled], y[labelled])
        assert model.score(X[new], y[new]) > linear.score(X[new], y[new]) + 0.04

        drawn = np.vstack([model.sample(20, y=c, mean=True, random_state=c) for c in range(10)])
        reader = LogisticRegression(max_iter=1000).fit(X, y)
        assert reader.score(drawn, np.repeat(np.arange(10), 20)) > 0.9

    def test_all_labels(self):
        X, y = load_breast_cancer(return_X_y=True)
        X = StandardScaler().fit_transform(X)
        model = small(LONG | {"n_components": 4})
        assert cross_val_score(model, X, y, cv=3).mean() > 0.94


class TestUse:
    def test_pipelines_searches_and_names(self):
        model = make_pipeline(StandardScaler(), small()).set_output(transform="pandas")
        frame = pd.DataFrame(IRIS, columns=list("abcd"))
        search = GridSearchCV(model, {"vaeclassifier__label_weight": [1, 10]}, cv=2)
        search.fit(frame, NAMES)
        assert set(search.predict(frame)) <= set(NAMES)
        Z = search.best_estimator_.transform(frame)
        assert Z.columns.tolist() == ["vaeclassifier0", "vaeclassifier1"]

    def test_missing_values_images_counts_and_frames(self):
        rng, *others = map(np.random.default_rng, range(6))
        several = [np.where(r.random(IRIS.shape) < 0.2, np.nan, IRIS) for r in (rng, *others)]
        accuracies = [small(LONG).fit(gaps, FEW).score(gaps, SPECIES) for gaps in several]
        assert np.mean(accuracies) > 0.8
        counts = scipy.sparse.csr_array(rng.poisson(np.exp(IRIS / 2)))
        counted = small(LONG | {"likelihood": "poisson"}).fit(counts, FEW)
        assert counted.score(counts, SPECIES) > 0.8
        frame = pd.DataFrame(IRIS, columns=list("abcd")).assign(
            kind=pd.Categorical(np.where(SPECIES == 0, "small", "large"))
        )
        mixed = small(LONG | {"likelihood": "mixed"}).fit(frame, FEW)
        assert mixed.score(frame, SPECIES) > 0.8
        digits, y = load_digits(return_X_y=True)
        images = small(LONG | {"image_shape": (8, 8), "conv_channels": (8,)}).fit(
            digits[:300] / 16, y[:300]
        )
        assert images.score(digits[:300] / 16, y[:300]) > 0.5

    def test_samples_of_a_class(self, fitted):
        drawn = fitted.sample(200, y=0, random_state=1)
        assert np.mean(fitted.predict(drawn) == 0) > 0.9
        assert_array_equal(drawn, fitted.sample(200, y=0, random_state=1))
        assert_array_equal(fitted.sample(5), fitted.vae_.sample(5))
        with pytest.raises(ValueError, match=r"y=7 is not one of the classes \[0, 1, 2\]"):
            fitted.sample(5, y=7)

    @pytest.mark.parametrize("y", [SPECIES, NAMES, NAMES.astype(object), SPECIES == 1])
    def test_it_travels(self, y, tmp_path):
        model = small().fit(IRIS, y)
        model.save(tmp_path / "m.safetensors")
        for other in (skvae.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
            assert_array_equal(other.predict_proba(IRIS), model.predict_proba(IRIS))
            assert_array_equal(other.classes_, model.classes_)
            assert other.classes_.dtype == model.classes_.dtype
            assert other.get_params().keys() == model.get_params().keys()

    @pytest.mark.parametrize(
        "classes",
        [
            {"int64": [2, 1, 0]},
            {"int64": [0, 1]},
            {"int64": [0, 1, 2, 3]},
            {"int8": [0, 1, 1000]},
            {"V8": [0, 1, 2]},
            {"U99999999999": ["a", "b", "c"]},
            {"object": [["a"], "b", "c"]},
            {"str": "abc"},
            {},
            {"str": ["a", "b", "c"], "int64": [0, 1, 2]},
        ],
        ids=lambda classes: "-".join(classes),
    )
    def test_files_that_nobody_should_trust(self, fitted, classes, tmp_path):
        fitted.save(tmp_path / "m")

        def change(document, arrays):
            assert document["state"]["classes_"] == {"dict": {"int64": [0, 1, 2]}}
            document["state"]["classes_"] = {"dict": classes}

        path = rewrite(tmp_path / "m", tmp_path / "hostile", change)
        with pytest.raises(ValueError, match="hostile"):
            skvae.load(path)

    def test_the_users_model_is_left_alone(self):
        vae = VariationalAutoencoder(2, prior=ClassMixture(2), max_steps=20)
        VAEClassifier(vae).fit(IRIS, SPECIES)
        assert vae.prior.n_classes == 2
        assert not hasattr(vae, "net_")
