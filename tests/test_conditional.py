"""ConditionalVAE: scikit-learn's contract, identities of what is given, what the latent says."""

import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import FactorAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skvae
from skvae import ConditionalVAE, VariationalAutoencoder
from skvae._data import split_columns
from skvae.display import LatentSpaceDisplay
from skvae.export._parts import PARTS
from skvae.likelihoods import NegativeBinomial
from skvae.metrics import elbo_scorer
from tests.foreign import ShiftedNormal
from tests.test_model_files import rewrite

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = load_iris().target_names
RNG = np.random.default_rng(0)
AGE = RNG.normal(50, 10, len(IRIS))
CODED = np.column_stack([IRIS, SPECIES, AGE])
FRAME = pd.DataFrame(IRIS, columns=list("abcd")).assign(species=NAMES[SPECIES], age=AGE)
GIVEN = ["species", "age"]


def small(vae=None, **params):
    quick = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
    return ConditionalVAE(VariationalAutoencoder(**(quick | (vae or {}))), **params)


CONFIGURATIONS = [
    small(handle_unknown="ignore", random_state=0),
    small({"prior": "vamp", "posterior_family": "full"}, condition=[-1], handle_unknown="ignore"),
    small(
        {"image_shape": (1, -1), "conv_channels": (4,), "likelihood": "gaussian"},
        condition=slice(0, 1),
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
def by_y():
    return small({"n_components": 1, "max_epochs": 60}).fit(IRIS, SPECIES)


@pytest.fixture(scope="module")
def by_column():
    return small({"max_epochs": 60}, condition=GIVEN, handle_unknown="ignore").fit(FRAME)


class TestIdentities:
    @pytest.mark.parametrize("species", [0, 1, 2])
    def test_a_bound_condition_is_that_condition_for_every_row(self, by_y, species):
        given, y = by_y.given(species), np.full(150, species)
        assert type(given) is VariationalAutoencoder
        Z = by_y.transform(IRIS)
        assert_array_equal(given.transform(IRIS), Z)
        assert_array_equal(given.score_samples(IRIS), by_y.score_samples(IRIS, y))
        assert_array_equal(
            given.score_samples(IRIS, n_importance_samples=5),
            by_y.score_samples(IRIS, y, n_importance_samples=5),
        )
        assert_array_equal(given.inverse_transform(Z), by_y.inverse_transform(Z, species))
        assert_array_equal(given.reconstruct(IRIS), by_y.reconstruct(IRIS, y))
        assert_array_equal(given.reconstruct(IRIS), by_y.translate(IRIS, species))
        for mean in (True, False):
            one, other = (
                m.sample(5, *args, mean=mean, random_state=3)
                for m, args in ((given, []), (by_y, [species]))
            )
            assert_array_equal(one, other)

    def test_columns_that_are_bound(self, by_column):
        rows = FRAME[FRAME["species"] == "virginica"].assign(age=40.0)
        given = by_column.given(("virginica", 40.0))
        assert list(given.feature_names_in_) == list("abcd")
        left = rows[list("abcd")]
        assert_array_equal(given.transform(left), by_column.transform(rows))
        assert_array_equal(given.score_samples(left), by_column.score_samples(rows))
        assert_array_equal(given.reconstruct(left), by_column.reconstruct(rows))

    def test_a_translation_to_the_own_condition_is_a_reconstruction(self, by_y, by_column):
        assert_array_equal(by_y.translate(IRIS, SPECIES), by_y.reconstruct(IRIS, SPECIES))
        for condition in (FRAME, FRAME[GIVEN], FRAME[GIVEN[::-1]][GIVEN], FRAME[GIVEN].to_numpy()):
            assert_array_equal(by_column.translate(FRAME, condition), by_column.reconstruct(FRAME))

    def test_one_condition_for_each_row(self, by_y):
        mixed = by_y.sample(6, [0, 1, 2, 2, 1, 0], mean=True, random_state=1)
        for row, species in enumerate([0, 1, 2, 2, 1, 0]):
            alike = by_y.sample(6, species, mean=True, random_state=1)
            assert_allclose(mixed[row], alike[row], rtol=1e-12)

    def test_rows_do_not_know_of_each_other(self, by_y, by_column):
        order = RNG.permutation(150)
        frame = FRAME.iloc[order]
        for all_of, some in (
            (by_y.transform(IRIS), by_y.transform(IRIS[order])),
            (by_column.transform(FRAME), by_column.transform(frame)),
            (by_y.score_samples(IRIS, SPECIES), by_y.score_samples(IRIS[order], SPECIES[order])),
            (by_y.score_samples(IRIS), by_y.score_samples(IRIS[order])),
            (by_column.reconstruct(FRAME), by_column.reconstruct(frame)),
        ):
            assert_allclose(all_of[order], some, rtol=1e-9)
        assert_allclose(by_column.score_samples(frame[:1]), by_column.score_samples(frame)[:1])
        again = clone(by_y).fit(IRIS[order], SPECIES[order])
        assert_array_equal(again.transform(IRIS), by_y.transform(IRIS))

    def test_what_is_not_said_is_averaged_over(self, by_y):
        shares = np.bincount(SPECIES) / 150
        bounds = [by_y.score_samples(IRIS, np.full(150, c)) for c in range(3)]
        assert_allclose(by_y.score_samples(IRIS), logsumexp(bounds, 0, shares[:, None]))
        assert by_y.score(IRIS) == pytest.approx(by_y.score_samples(IRIS).mean())
        Z = by_y.transform(IRIS)
        decoded = np.mean([by_y.inverse_transform(Z, c) for c in range(3)], 0)
        assert_allclose(by_y.inverse_transform(Z), decoded)
        assert_allclose(by_y.reconstruct(IRIS), decoded)
        drawn = by_y.sample(600, mean=True, random_state=0)
        nearest = KNeighborsClassifier().fit(IRIS, SPECIES).predict(drawn)
        assert_allclose(np.bincount(nearest, minlength=3) / 600, shares, atol=0.1)

    def test_a_prior_that_sees_the_condition(self):
        model = small({"prior": ShiftedNormal(), "max_epochs": 30}).fit(IRIS, SPECIES)
        for c in range(3):
            given = model.given(c)
            y = np.full(150, c)
            assert_allclose(given.score_samples(IRIS), model.score_samples(IRIS, y))
            assert_allclose(given.sample(9, random_state=0), model.sample(9, c, random_state=0))
        assert np.ptp([model.given(c).sample_latent(random_state=0) for c in range(3)], 0).min() > 0


class TestContainers:
    @pytest.mark.parametrize("library", ["pandas", "polars", "list", "objects"])
    def test_all_say_the_same(self, library):
        X = {
            "pandas": FRAME,
            "polars": pl.from_pandas(FRAME),
            "list": FRAME.to_numpy().tolist(),
            "objects": FRAME.to_numpy(),
        }[library]
        condition = GIVEN if library in ("pandas", "polars") else [4, 5]
        quick = small({"max_epochs": 1}, condition=GIVEN)
        model = clone(quick).set_params(condition=condition).fit(X)
        assert_array_equal(model.transform(X), quick.fit(FRAME).transform(FRAME))
        assert [*model.categories_.values()] == [NAMES.tolist()]

    def test_sparse_rows_stay_sparse(self):
        counts = RNG.poisson(1.0, (80, 6)).astype(float)
        X = np.column_stack([counts[:, :2], RNG.integers(0, 3, 80), counts[:, 2:]])
        sparse = scipy.sparse.csr_array(X)
        rest, (given,) = split_columns(scipy.sparse.coo_array(X), np.array([2]))
        assert scipy.sparse.issparse(rest)
        assert_array_equal(rest.toarray(), counts)
        assert_array_equal(given.values, X[:, 2])
        vae = {"likelihood": NegativeBinomial(size_factor="total")}
        models = [small(vae, condition=2).fit(x) for x in (X, sparse)]
        for method in ("transform", "score_samples", "reconstruct"):
            dense, other = (getattr(m, method)(x) for m, x in zip(models, (X, sparse), strict=True))
            assert_array_equal(dense, other)
        assert models[0].categories_ == {2: [0, 1, 2]}

    def test_mapped_rows_stay_mapped(self, tmp_path):
        X = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (150, 5))
        X[:] = CODED[:, :5]
        for position in (0, 4):
            rest, _ = split_columns(X, np.array([position]))
            assert np.shares_memory(rest, X)
        fitted = [small(condition=4).fit(x).transform(x) for x in (X, np.array(X))]
        assert_array_equal(*fitted)

    def test_folds_and_steps_slice_columns_along(self):
        model = small({"max_epochs": 10}, condition="species", handle_unknown="ignore")
        scores = cross_val_score(model, FRAME, cv=3)  # by species: each fold has one that is new
        assert np.isfinite(scores).all()
        folds = KFold(3, shuffle=True, random_state=0)
        search = GridSearchCV(small(), {"vae__n_components": [1, 2]}, cv=folds).fit(IRIS, SPECIES)
        assert np.isfinite(search.best_score_)
        pipeline = make_pipeline(small(), LogisticRegression(max_iter=500)).fit(IRIS, SPECIES)
        assert pipeline.predict(IRIS).shape == (150,)

    def test_conditions_are_routed(self):
        with config_context(enable_metadata_routing=True):
            model = small().set_inverse_transform_request(condition=True)
            pipeline = make_pipeline(StandardScaler(), model).fit(IRIS, SPECIES)
            Z = pipeline.transform(IRIS)
            moved = [pipeline.inverse_transform(Z, condition=c) for c in (0, 2)]
        assert (moved[0] != moved[1]).any()

    def test_names_and_set_output(self, by_column):
        names = ["conditionalvae0", "conditionalvae1"]
        assert list(by_column.get_feature_names_out()) == names
        out = clone(by_column).set_output(transform="pandas").fit_transform(FRAME)
        assert list(out.columns) == names

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtype(self, dtype):
        X = CODED.astype(dtype)
        model = small(condition=[4, 5], handle_unknown="ignore").fit(X)
        unknown = np.where(np.arange(6) == 4, 7, X).astype(dtype)
        for rows in (X, unknown):
            for method in ("transform", "reconstruct", "score_samples"):
                assert getattr(model, method)(rows).dtype == dtype


KINDS = {
    "text": (NAMES[SPECIES], ["setosa", "versicolor", "virginica"]),
    "objects": (NAMES[SPECIES].astype(object), ["setosa", "versicolor", "virginica"]),
    "whole numbers": (SPECIES.astype(float), [0, 1, 2]),
    "booleans": (SPECIES == 0, [False, True]),
    "a category of numbers": (pd.Series(SPECIES / 4).astype("category"), [0.0, 0.25, 0.5]),
    "nullable": (pd.Series(SPECIES, dtype="Int64"), [0, 1, 2]),
    "polars": (pl.Series("s", NAMES[SPECIES]).cast(pl.Categorical), NAMES.tolist()),
    "mixed": (np.array(["a", 1, 2.5], dtype=object)[SPECIES], [1, 2.5, "a"]),
}


class TestConditions:
    @pytest.mark.parametrize("kind", KINDS)
    def test_categories(self, kind):
        y, levels = KINDS[kind]
        model = small({"max_epochs": 1}).fit(IRIS, y)
        assert model.categories_ == {"y": levels}
        assert model.classes_.tolist() == np.array(levels).tolist()
        assert model.vae_._architecture.n_context == len(levels)
        assert_array_equal(model.translate(IRIS, y), model.reconstruct(IRIS, y))

    def test_numbers(self):
        """Columns follow a number: rows are moved along it as far as it says."""
        t = RNG.uniform(0, 10, 400)
        X = np.column_stack([t, -2 * t, np.zeros(400)]) + RNG.normal(size=(400, 3))
        model = small({"n_components": 1, "max_epochs": 40}).fit(X, t)
        assert model.categories_ == {}
        assert not hasattr(model, "classes_")
        moved = model.translate(X, t + 1) - model.translate(X, t)
        assert_allclose(moved.mean(0), [1, -2, 0], atol=0.25)
        # Of many, 64 stand for all of them.
        each = [
            model.score_samples(X[:5], np.full(5, q)) for q in np.quantile(t, np.linspace(0, 1))
        ]
        assert_allclose(model.score_samples(X[:5]), logsumexp(each, 0) - np.log(50), atol=0.2)
        with pytest.raises(
            ValueError, match="'seven' is not one of the conditions of fit: y is a num"
        ):
            model.sample(condition="seven")
        with pytest.raises(ValueError, match="Input y contains infinity"):
            model.sample(condition=np.inf)

    def test_several_columns_of_y(self):
        model = small().fit(IRIS, FRAME[GIVEN])
        assert model.categories_ == {"species": NAMES.tolist()}
        assert not hasattr(model, "classes_")
        assert_array_equal(
            model.translate(IRIS, FRAME[GIVEN]), model.reconstruct(IRIS, FRAME[GIVEN])
        )
        with pytest.raises(
            ValueError, match=r"'new' is not one .* column 'species' of y is one of"
        ):
            model.sample(condition=("new", 40.0))

    def test_many_whole_numbers_are_numbers(self):
        assert small().fit(IRIS, np.arange(150)).categories_ == {}

    def test_selections_that_are_one(self):
        quick = small({"max_epochs": 1}, condition=GIVEN)
        expected = quick.fit(FRAME).transform(FRAME)
        mask = np.arange(6) >= 4
        selector = make_column_selector(pattern="species|age")
        named = slice("species", "age")
        for condition in ([4, 5], [-1, -2], slice(4, 6), named, mask, mask.tolist(), selector):
            model = clone(quick).set_params(condition=condition).fit(FRAME)
            assert_array_equal(model.transform(FRAME), expected)

    def test_ways_to_say_one_condition(self, by_column):
        expected = by_column.sample(4, ("setosa", 40.0), random_state=0)
        for condition in (
            {"age": 40.0, "species": "setosa"},
            ["setosa", 40],
            [("setosa", 40.0)] * 4,
            pd.DataFrame({"species": ["setosa"] * 4, "age": 40.0}),
            pl.DataFrame({"age": [40.0], "other": [1], "species": ["setosa"]}),
        ):
            assert_array_equal(by_column.sample(4, condition, random_state=0), expected)

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            ("setosa", r"2 values, one for each of \['species', 'age'\], but it holds 1"),
            ({"species": "setosa"}, r"keys \['species'\], but .* are \['species', 'age'\]"),
            ([("setosa", 1.0)] * 3, "condition holds 3 conditions for 4 rows"),
            (np.zeros((2, 2, 2)), "one or two dimensions"),
        ],
    )
    def test_conditions_of_another_shape(self, by_column, condition, message):
        with pytest.raises(ValueError, match=message):
            by_column.sample(4, condition)

    def test_columns_that_are_not_there(self):
        for condition in ("batch", ["a", "batch"], 6, slice("a", "batch")):
            with pytest.raises(
                ValueError, match=r"no column ('batch'|6), .*has the columns \['a', 'b'"
            ):
                small(condition=condition).fit(FRAME)
        with pytest.raises(
            ValueError, match=r"no column 'species', .* X has 4 columns without names"
        ):
            small(condition="species").fit(IRIS)
        with pytest.raises(ValueError, match="is a mask of 3 columns, but X has 6"):
            small(condition=[True, False, True]).fit(FRAME)
        with pytest.raises(ValueError, match=r"condition=\[\] selects 0 of the 6"):
            small(condition=[]).fit(FRAME)
        with pytest.raises(ValueError, match=r"condition=slice.* selects 6 of the 6"):
            small(condition=slice(None)).fit(FRAME)
        with pytest.raises(ValueError, match=r"requires y to be passed.*set condition="):
            small().fit(IRIS)


class TestUnknown:
    def test_an_error_names_those_that_are_known(self, by_y):
        for call in (
            lambda c: by_y.sample(condition=c),
            lambda c: by_y.given(c),
            lambda c: by_y.translate(IRIS, c),
            lambda c: by_y.score_samples(IRIS[:1], [c]),
        ):
            for unknown in (3, "setosa", 0.5, np.nan):
                with pytest.raises(ValueError, match=r"is not one of .* y is one of \[0, 1, 2\]\."):
                    call(unknown)
        with pytest.raises(ValueError, match="condition=None cannot be fixed"):
            by_y.given(None)

    def test_or_they_are_averaged_over(self, by_y):
        model = clone(by_y).set_params(handle_unknown="ignore").fit(IRIS, SPECIES)
        y = SPECIES.astype(object)
        y[::3] = [None, np.nan, pd.NA, "new", 7] * 10
        for method in ("score_samples", "reconstruct"):
            told, untold, some = (
                getattr(model, method)(IRIS, given) for given in (SPECIES, None, y)
            )
            assert_allclose(some[::3], untold[::3], rtol=1e-12)
            assert_allclose(some[1::3], told[1::3], rtol=1e-12)
        with pytest.raises(ValueError, match="'new' is not one of the conditions"):
            model.given("new")

    def test_one_of_two(self, by_column):
        unknown = FRAME.assign(species="new")
        each = [by_column.transform(FRAME.assign(species=name)) for name in NAMES]
        assert_allclose(by_column.transform(unknown), np.mean(each, 0), atol=0.05)

    def test_missing_values_are_a_condition_where_fit_has_seen_them(self):
        holes = FRAME.astype({"species": object})
        holes.loc[::5, "species"], holes.loc[::7, "age"] = None, np.nan
        model = small(condition=GIVEN).fit(holes)
        assert model.categories_ == {"species": [*NAMES, None]}
        assert model.vae_._architecture.n_context == 4 + 2
        assert np.isfinite(model.score_samples(holes)).all()
        assert_array_equal(
            model.sample(2, (pd.NA, None), random_state=0),
            model.given((np.nan, np.nan)).sample(2, random_state=0),
        )
        with pytest.raises(ValueError, match=r"None is not one .* column 'species' of X"):
            small(condition=GIVEN).fit(FRAME).transform(holes)
        with pytest.raises(ValueError, match="Input y contains NaN"):
            small().fit(IRIS, holes["species"])

    def test_rows_without_weight_are_not_there(self):
        weight = (SPECIES < 2) * 1.0
        model = small().fit(IRIS, SPECIES, sample_weight=weight)
        assert model.classes_.tolist() == [0, 1]
        alone = small().fit(IRIS[:100], SPECIES[:100])
        assert_allclose(model.transform(IRIS), alone.transform(IRIS), atol=1e-6)


def in_state(**values):
    return lambda state, arrays: state.update(values)


def in_structure(**values):
    return lambda state, arrays: state["vae_"]["dict"]["_architecture"]["dict"].update(values)


HOSTILE = {
    "no model": lambda state, arrays: state.pop("vae_"),
    "a model that is a number": in_state(vae_=3),
    "parameters out of range": in_state(vae={"dict": {"n_components": 0}}),
    "no conditions": lambda state, arrays: state.pop("_conditions"),
    "a condition too few": lambda state, arrays: state["_conditions"]["dict"]["columns"].pop(),
    "negative shares": lambda state, arrays: arrays.update(shares=-arrays["shares"]),
    "short contexts": lambda state, arrays: arrays.update(contexts=arrays["contexts"][:, :1]),
    "a column twice": lambda state, arrays: arrays.update(_positions=np.array([5, 5])),
    "no column": in_state(_positions=None),
    "one that is bound": in_structure(given={"tuple": [0.0] * 4}),
    "bound to text": in_structure(given="abcd"),
    "a context of any length": in_structure(n_context=10**12),
}


class TestState:
    @pytest.mark.parametrize("name", ["by_y", "by_column"])
    def test_it_travels(self, name, request, tmp_path):
        model = request.getfixturevalue(name)
        rows = (IRIS, SPECIES) if name == "by_y" else (FRAME,)
        bound = model.given(1 if name == "by_y" else ("setosa", 40.0))
        left = IRIS if name == "by_y" else FRAME[list("abcd")]
        model.save(tmp_path / "model")
        bound.save(tmp_path / "bound")
        for copied in (skvae.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
            assert repr(copied) == repr(model)
            assert_array_equal(copied.score_samples(*rows), model.score_samples(*rows))
            assert_array_equal(copied.sample(5, random_state=0), model.sample(5, random_state=0))
            assert copied.categories_ == model.categories_
            after = [clone_of.partial_fit(*rows).transform(rows[0]) for clone_of in
                     (copied, pickle.loads(pickle.dumps(model)))]  # fmt: skip
            assert_array_equal(*after)
        for copied in (skvae.load(tmp_path / "bound"), pickle.loads(pickle.dumps(bound))):
            assert_array_equal(copied.score_samples(left), bound.score_samples(left))

    @pytest.mark.parametrize(
        "condition", [make_column_selector("species|age"), slice(4, 6), np.array([4, 5])]
    )
    def test_a_file_holds_the_columns_that_a_function_chose(self, condition, tmp_path):
        model = small(condition=condition).fit(FRAME)
        model.save(tmp_path / "m")
        loaded = skvae.load(tmp_path / "m")
        assert loaded.condition == [4, 5]
        assert_array_equal(loaded.transform(FRAME), model.transform(FRAME))

    def test_objects_of_the_users_are_given(self, tmp_path):
        torch.manual_seed(0)
        model = small({"encoder": torch.nn.Linear(4, 8)}).fit(IRIS, SPECIES)
        model.save(tmp_path / "m")
        with pytest.raises(ValueError, match=r"encoder=Linear.*skvae.load\(path, encoder="):
            skvae.load(tmp_path / "m")
        loaded = skvae.load(tmp_path / "m", encoder=torch.nn.Linear(4, 8))
        assert_array_equal(loaded.transform(IRIS), model.transform(IRIS))
        with pytest.raises(ValueError, match="'decoder_' is not a parameter of ConditionalVAE"):
            skvae.load(tmp_path / "m", decoder_=1)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_files_that_nobody_should_trust(self, by_column, name, tmp_path):
        by_column.save(tmp_path / "m")

        def change(document, arrays):
            HOSTILE[name](document["state"], arrays)
            json.dumps(document)

        path = rewrite(tmp_path / "m", tmp_path / "hostile", change)
        with pytest.raises(ValueError, match="hostile"):
            skvae.load(path)

    def test_after_an_error_all_is_as_it_was(self, by_y):
        model = pickle.loads(pickle.dumps(by_y))
        before = model.transform(IRIS)
        for wrong, y in ((np.full((9, 3), np.inf), np.arange(9)), (IRIS, SPECIES[:9])):
            with pytest.raises(ValueError, match=r"infinity|inconsistent numbers"):
                model.fit(wrong, y)
        with pytest.raises(ValueError, match="'max_epochs' parameter of VariationalAuto"):
            model.set_params(vae__max_epochs=-1).fit(IRIS, SPECIES)
        with pytest.raises(ValueError, match=r"3 is not one of the conditions"):
            model.set_params(vae__max_epochs=1).partial_fit(IRIS, SPECIES + 1)
        assert_array_equal(model.transform(IRIS), before)

    def test_training_goes_on(self):
        model = small().partial_fit(IRIS, SPECIES).partial_fit(IRIS[:50], SPECIES[:50])
        assert model.vae_.n_iter_ == 2
        assert model.classes_.tolist() == [0, 1, 2]
        bound = model.given(0)
        with pytest.raises(ValueError, match="partial_fit of the ConditionalVAE"):
            bound.partial_fit(IRIS)
        assert bound.fit(IRIS)._architecture.n_context == 0

    def test_the_users_model_is_left_alone(self):
        model = small(random_state=3)
        assert not hasattr(model.fit(IRIS, SPECIES).vae, "net_")
        assert model.vae.random_state == 0
        assert model.vae_.random_state == 3
        assert ConditionalVAE(random_state=0).set_params(vae=None).vae is None


class TestOthers:
    """What asks a model for rows: it is asked with the condition bound."""

    def test_the_model_within_says_whom_to_ask(self, by_y):
        for call in (
            lambda: by_y.vae_.transform(IRIS),
            lambda: LatentSpaceDisplay.from_estimator(by_y, IRIS),
            lambda: elbo_scorer(by_y, IRIS),
        ):
            with pytest.raises(ValueError, match=r"needs a condition .* given\(condition\)"):
                call()

    def test_displays_metrics_and_exports(self, by_y):
        given = by_y.given(2)
        assert elbo_scorer(given, IRIS) == pytest.approx(given.score(IRIS))
        LatentSpaceDisplay.from_estimator(small().fit(IRIS, SPECIES).given(1), IRIS)
        for half, x, expected in (
            ("encoder", IRIS, given.transform(IRIS)),
            ("decoder", given.transform(IRIS), given.reconstruct(IRIS)),
        ):
            out = PARTS[half](given)(torch.tensor(x, dtype=torch.float32))[0]
            assert_allclose(out.detach(), expected, atol=1e-4)


def test_training_of_a_table_starts_at_the_linear_model():
    """Regression on what is given, and the factor analysis of what it leaves."""
    at_start = {"max_steps": 1, "max_epochs": 1, "learning_rate": 1e-12, "likelihood": "gaussian"}
    X = (IRIS - IRIS.mean(0)) / IRIS.std(0)
    means = np.array([X[c == SPECIES].mean(0) for c in range(3)])
    left = FactorAnalysis(1, max_iter=5000, tol=1e-8, svd_method="lapack").fit(X - means[SPECIES])
    expected = left.score(X - means[SPECIES])
    coded = np.column_stack([X, SPECIES])
    told = small({"n_components": 1, **at_start}, condition=4).fit(coded)
    assert told.score(coded) == pytest.approx(expected, abs=0.02)
    # An encoder that is not told loses what it cannot guess of the species from x.
    untold = small({"n_components": 1, **at_start}).fit(X, SPECIES)
    assert expected - 1 < untold.score(X, SPECIES) < expected - 0.1
    assert_allclose(told.sample(4000, 0, random_state=0).mean(0), means[0], atol=0.1)
    gaps = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    holes = small({"n_components": 1, **at_start}, condition=4)
    holes.fit(np.column_stack([gaps, SPECIES]))
    assert_allclose(holes.sample(4000, 0, random_state=0).mean(0), means[0], atol=0.25)


DIGITS, DIGIT = load_digits(return_X_y=True)
PIXELS = DIGITS / 16
OF_DIGITS = VariationalAutoencoder(
    2, hidden_layer_sizes=(64,), max_epochs=20, learning_rate=1e-2, random_state=0
)


@pytest.fixture(scope="module")
def of_digits():
    return ConditionalVAE(OF_DIGITS).fit(PIXELS, DIGIT)


def test_a_classifier_recognises_what_is_asked_for(of_digits):
    digits = np.repeat(np.arange(10), 20)
    judge = LogisticRegression(max_iter=200).fit(PIXELS, DIGIT)
    drawn = of_digits.sample(200, digits, mean=True, random_state=0)
    assert judge.score(drawn, digits) > 0.9
    assert judge.score(of_digits.translate(PIXELS[:200], digits), digits) > 0.9


def test_the_latent_says_less_of_the_class(of_digits):
    alone = clone(OF_DIGITS).fit(PIXELS)
    told, untold = (
        cross_val_score(KNeighborsClassifier(), model.transform(PIXELS), DIGIT).mean()
        for model in (of_digits, alone)
    )
    assert told < untold - 0.2
    assert of_digits.score(PIXELS, DIGIT) > alone.score(PIXELS) + 2


def test_pixels_beside_a_column():
    X = np.column_stack([DIGITS[:200] * 15, DIGIT[:200]]).astype("uint8")
    vae = {"image_shape": (8, 8), "conv_channels": (4,), "max_epochs": 1, "prior": "vamp"}
    model = small(vae, condition=-1).fit(X)
    assert model.vae_.unit_ == 255
    assert model.categories_ == {64: list(range(10))}
    assert model.sample(3, condition=7).shape == (3, 64)
    swapped = X.copy()
    swapped[:, -1] = (swapped[:, -1] + 1) % 10
    assert (model.transform(X) != model.transform(swapped)).any()


def test_a_constant_that_was_rounded_has_no_spread():
    assert 84 * -1.7 / 84 != -1.7
    X = np.random.default_rng(0).normal(size=(84, 3))
    model = ConditionalVAE(VariationalAutoencoder(2, max_epochs=1, random_state=0))
    model.fit(X, np.full(84, -1.7))
    assert np.abs(model.sample(5, condition=30.0)).max() < 1e3
