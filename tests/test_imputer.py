"""VAEImputer: scikit-learn's contract, and values of the right kind in every gap."""

import copy
import pickle
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.impute.tests.test_common as of_sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import skvae._imputer
from skvae import VAEImputer, VariationalAutoencoder
from skvae._clusters import Clusters
from skvae._factor_analysis import Factors
from skvae._stacking import Partners
from skvae._training import progress
from skvae.likelihoods import Categorical, CategoricalCodes, Mixed

IRIS, SPECIES = load_iris(return_X_y=True)
RNG = np.random.default_rng(0)
GONE = RNG.random(IRIS.shape) < 0.3
GAPS = np.where(GONE, np.nan, IRIS)


def small(**params):
    vae = VariationalAutoencoder(hidden_layer_sizes=(8,), max_epochs=params.pop("max_epochs", 3))
    params = {"n_importance_samples": 20, "n_estimators": 1, "random_state": 0} | params
    return VAEImputer(vae.set_params(**params.pop("vae", {})), **params)


def trained(**params):
    return small(**({"max_epochs": 60, "n_importance_samples": 200, "n_estimators": 2} | params))


CONFIGURATIONS = [
    small(),
    small(vae={"n_components": 1}),
    small(vae={"likelihood": "student_t", "posterior_family": "full"}),
    small(vae={"objective": "iwae", "prior": "mixture"}, n_importance_samples=1),
    small(sample_posterior=True),
    small(add_indicator=True, n_estimators=2),
    small(keep_empty_features=True, random_state=None, vae={"random_state": 0}),
    small(missing_values=-1),
]

pytestmark = [
    pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning"),
    pytest.mark.filterwarnings("ignore::skvae.UndertrainedWarning"),
    # The checks fit data frames and transform their values.
    pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning"),
]


@parametrize_with_checks(CONFIGURATIONS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def of_imputers():
    """Yield scikit-learn's own tests of its imputers, those of dense matrices."""
    for name, test in vars(of_sklearn).items():
        if name.startswith("test_") and "sparse" not in name:
            marks = [mark.args for mark in test.pytestmark if mark.name == "parametrize"]
            others = [(argument, values) for argument, values in marks if argument != "imputer"]
            for values in product(*(values for _, values in others)):
                arguments = dict(zip((argument for argument, _ in others), values, strict=True))
                yield pytest.param(test, arguments, id=f"{name}-{arguments}")


@pytest.mark.parametrize(("test", "arguments"), list(of_imputers()))
def test_scikit_learns_tests_of_imputers(test, arguments):
    test(imputer=small(), **arguments)


def test_there_are_such_tests():
    assert len(list(of_imputers())) >= 12


class TestValues:
    def test_what_is_observed_stays(self):
        for imputer in (small(), small(sample_posterior=True)):
            filled = imputer.fit_transform(GAPS)
            assert_array_equal(filled[~GONE], IRIS[~GONE])
            assert np.isfinite(filled).all()
            assert_array_equal(imputer.transform(IRIS), IRIS)

    def test_closer_than_means_and_neighbours(self):
        def error(imputer):
            return np.sqrt(np.mean((imputer.fit_transform(GAPS) - IRIS)[GONE] ** 2))

        ours = error(VAEImputer(n_estimators=1, random_state=0))
        assert ours < 0.6 * error(SimpleImputer())
        assert ours < error(KNNImputer(n_neighbors=20))

    def test_new_rows(self):
        imputer = trained().fit(GAPS[::2])
        filled = imputer.transform(GAPS[1::2])
        assert np.abs(filled - IRIS[1::2]).mean() < 0.2
        # The same for a row, whatever rows are beside it.
        assert_allclose(imputer.transform(GAPS[1:9:2]), filled[:4])
        assert_array_equal(imputer.transform(GAPS[1::2]), filled)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtype(self, dtype):
        imputer = small().fit(GAPS.astype(dtype))
        for result in (
            imputer.transform(GAPS.astype(dtype)),
            imputer.draw(GAPS.astype(dtype), 2),
            *imputer.interval(GAPS.astype(dtype)),
        ):
            assert result.dtype == dtype

    def test_a_row_of_which_nothing_is_known(self):
        imputer = trained().fit(GAPS)
        filled = imputer.transform(np.full((1, 4), np.nan))
        assert_allclose(filled[0], np.nanmean(GAPS, 0), atol=0.5)

    def test_images(self):
        X = RNG.random((60, 16))
        X[RNG.random(X.shape) < 0.25] = np.nan
        imputer = small(vae={"image_shape": (4, 4), "conv_channels": (4,)})
        filled = imputer.fit_transform(X)
        assert (filled >= 0).all()
        assert (filled <= 1).all()


class TestDraws:
    def test_they_are_draws_of_what_is_missing(self):
        imputer = trained().fit(GAPS)
        draws = imputer.draw(GAPS, 200)
        assert draws.shape == (200, *GAPS.shape)
        assert (draws[:, ~GONE] == IRIS[~GONE]).all()
        assert (draws[:, GONE].std(0) > 0).all()
        # Their mean is what transform fills in.
        spread = draws.std(0)[GONE]
        assert (np.abs(draws.mean(0) - imputer.transform(GAPS))[GONE] < 0.5 * spread).mean() > 0.95

    def test_intervals_cover(self):
        imputer = VAEImputer(n_estimators=1, random_state=0).fit(GAPS)
        low, high = imputer.interval(GAPS)
        assert_array_equal(low[~GONE], IRIS[~GONE])
        assert_array_equal(high[~GONE], IRIS[~GONE])
        assert 0.85 < ((low <= IRIS) & (high >= IRIS))[GONE].mean() < 1
        narrow = imputer.interval(GAPS, level=0.5)
        assert ((narrow[1] - narrow[0])[GONE] < (high - low)[GONE]).all()

    def test_all_models_have_a_say(self):
        imputer = small(n_estimators=3).fit(GAPS)
        assert imputer.vae_ is imputer.estimators_[0]
        ones = []
        for vae, partners in zip(imputer.estimators_, imputer._partners, strict=True):
            one = small(n_estimators=1).fit(GAPS)
            one.vae_, one.estimators_ = vae, [vae]
            one._partners, one._shares = [partners], imputer._shares
            ones.append(one.transform(GAPS))
        assert (ones[0] != ones[1])[GONE].all()
        assert_allclose(imputer.transform(GAPS), np.mean(ones, 0))

    def test_the_seed_decides(self):
        imputer = small().fit(GAPS)
        one, other = imputer.draw(GAPS, 2), imputer.draw(GAPS, 2)
        assert_array_equal(one, other)
        assert (imputer.draw(GAPS, 2, random_state=1)[:, GONE] != one[:, GONE]).all()
        assert_array_equal(small().fit(GAPS).transform(GAPS), imputer.transform(GAPS))
        drawn = small(sample_posterior=True).fit(GAPS)
        assert_array_equal(drawn.transform(GAPS), imputer.draw(GAPS, 1)[0])

    def test_global_generators_are_left_alone(self):
        import torch

        before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
        small(random_state=None).fit(GAPS).draw(GAPS, 2)
        assert_array_equal(np.random.get_state()[1], before[0])
        assert bool((torch.random.get_rng_state() == before[1]).all())

    @pytest.mark.parametrize("level", [0, 1, 95, "high", None])
    def test_levels(self, level):
        with pytest.raises(ValueError, match=r"level=.* must be a number in \(0, 1\)"):
            small().fit(GAPS).interval(GAPS, level=level)


def table(n=200):
    """A frame of columns of every kind, which hang together."""
    z = RNG.normal(size=n)
    return pd.DataFrame(
        {
            "colour": pd.Categorical(np.where(z > 0, "red", "blue")),
            "visits": RNG.poisson(np.exp(1 + z)),
            "spent": np.exp(z + 0.3 * RNG.normal(size=n)),
            "member": (z + 0.3 * RNG.normal(size=n)) > 0,
            "height": 170 + 5 * z + RNG.normal(size=n),
        }
    )


def with_gaps(frame, share=0.2):
    gone = pd.DataFrame(RNG.random(frame.shape) < share, columns=frame.columns)
    holes = frame.astype({"visits": "Int64", "member": "boolean"})
    return holes.mask(gone, None), gone


@pytest.fixture(scope="module")
def filled():
    whole = table()
    frame, gone = with_gaps(whole)
    imputer = VAEImputer(n_estimators=1, random_state=0).fit(frame)
    return imputer, whole, frame, gone


class TestKinds:
    """Under a mixed likelihood, values are of the column's kind."""

    def test_the_default_takes_categories(self, filled):
        imputer, _, _, _ = filled
        assert imputer.vae_.likelihood == "mixed"
        assert imputer.vae_.categories_ == {"colour": ["blue", "red"]}

    def test_every_result_is_of_its_kind(self, filled):
        imputer, whole, frame, _ = filled
        results = [imputer.transform(frame), *imputer.draw(frame, 3)]
        for result in map(pd.DataFrame, results):
            result.columns = frame.columns
            assert set(result["colour"]) == {"red", "blue"}
            assert set(result["member"]) == {0, 1}
            visits = result["visits"].astype(float)
            assert (visits >= 0).all()
            assert (visits == visits.round()).all()
            assert (result["spent"] > 0).all()
            for name in frame:
                seen = frame[name].notna()
                assert (result[name][seen] == whole[name][seen]).all()

    def test_they_are_good(self, filled):
        imputer, whole, frame, gone = filled
        result = pd.DataFrame(imputer.transform(frame), columns=frame.columns)
        for name in ("colour", "member"):
            is_right = (result[name] == whole[name])[gone[name]]
            assert is_right.mean() > 0.75

    def test_intervals(self, filled):
        imputer, whole, frame, gone = filled
        low, high = (pd.DataFrame(b, columns=frame.columns) for b in imputer.interval(frame))
        assert low["colour"][gone["colour"]].isna().all()
        assert (low["colour"][~gone["colour"]] == whole["colour"][~gone["colour"]]).all()
        inside = (low["height"] <= whole["height"]) & (whole["height"] <= high["height"])
        assert inside[gone["height"]].mean() > 0.8
        for bound in (low["visits"], high["visits"]):
            assert (bound >= 0).all()
            assert (bound == bound.astype(float).round()).all()

    def test_names_that_are_no_text(self):
        frame, _ = with_gaps(table(60))
        numbered = frame.set_axis(range(frame.shape[1]), axis=1)
        imputer = VAEImputer(small_mixed(), n_estimators=1, random_state=0)
        expected = [clone(imputer).fit(frame).transform(frame), *imputer.fit(frame).interval(frame)]
        imputer = clone(imputer).fit(numbered)
        found = [imputer.transform(numbered), *imputer.interval(numbered)]
        for one, other in zip(found, expected, strict=True):
            assert_array_equal(one, other)
        assert list(imputer.get_feature_names_out()) == ["x0", "x1", "x2", "x3", "x4"]

    def test_unseen_categories(self, filled):
        imputer, _, frame, _ = filled
        other = frame.assign(colour=pd.Categorical(["green"] * len(frame)))
        with pytest.raises(ValueError, match="'colour' holds 'green'"):
            imputer.transform(other)

    def test_one_hot_columns(self):
        X = np.eye(3)[RNG.integers(0, 3, 60)]
        X[::5] = np.nan
        X = np.hstack([X, RNG.normal(size=(60, 2))])
        mixed = Mixed([(Categorical([3]), [0, 1, 2]), ("gaussian", [3, 4])])
        filled = small(vae={"likelihood": mixed}).fit_transform(X)
        assert_array_equal(filled[:, :3].sum(1), 1)
        assert set(filled[:, :3].ravel()) == {0, 1}


def typed(n=60):
    """A frame of columns of many types, with gaps where the type has place for them."""
    z = RNG.normal(size=n)
    frame = pd.DataFrame(
        {
            "grade": pd.Categorical(np.where(z > 0, "low", "high"), ["low", "high"], ordered=True),
            "band": pd.cut(z, [-9, -0.5, 0.5, 9]),
            "empty": pd.Categorical([None] * n),
            "few": RNG.poisson(3, n).astype(np.int8),
            "visits": pd.array(RNG.poisson(np.exp(1 + z)), dtype="Int64"),
            "is_new": z > 0,
            "member": pd.array(z > 0, dtype="boolean"),
            "height": z.astype(np.float32),
        },
        index=np.arange(n) + 100,
    )
    gone = RNG.random(frame.shape) < 0.2
    gone[:, [frame.columns.get_loc(name) for name in ("few", "is_new")]] = False
    return frame.mask(gone, None).astype(frame.dtypes)


class TestFrames:
    """After set_output, columns have the types that they had."""

    def test_pandas(self):
        frame = typed()
        imputer = small(vae={"likelihood": "mixed"}).set_output(transform="pandas").fit(frame)
        result = imputer.transform(frame)
        kept = frame.drop(columns="empty")
        assert dict(result.dtypes) == dict(kept.dtypes)
        assert_array_equal(result.index, frame.index)
        assert not result.isna().any(axis=None)
        for name in kept:
            seen = kept[name].notna()
            assert (result[name][seen] == kept[name][seen]).all()
        assert dict(imputer.fit_transform(frame).dtypes) == dict(kept.dtypes)
        # Where a column has no gap, or no type that says so, it is as in fit.
        assert dict(imputer.transform(frame[:3].astype({"few": float})).dtypes) == dict(kept.dtypes)

    def test_polars(self):
        frame = pl.DataFrame(
            {
                "grade": pl.Series(["low", "high", None] * 20, dtype=pl.Enum(["low", "high"])),
                "town": pl.Series([None, "here", "there"] * 20, dtype=pl.Categorical),
                "few": pl.Series([1, None, 3, 0] * 15, dtype=pl.UInt8),
                "member": [True, None, False] * 20,
                "height": pl.Series(RNG.normal(size=60), dtype=pl.Float32),
            }
        )
        imputer = small(vae={"likelihood": "mixed"}).set_output(transform="polars")
        result = imputer.fit_transform(frame)
        assert result.schema == frame.schema
        assert not any(result.null_count().row(0))
        for name in frame.columns:
            seen = frame[name].is_not_null()
            assert result[name].filter(seen).to_list() == frame[name].filter(seen).to_list()

    def test_another_library(self):
        frame = typed()
        imputer = small(vae={"likelihood": "mixed"}).set_output(transform="polars")
        result = imputer.fit_transform(frame)
        assert result["grade"].dtype == pl.Enum(["low", "high"])
        assert result["few"].dtype == pl.Int8
        assert result["member"].dtype == pl.Boolean
        imputer.set_output(transform="pandas")
        other = imputer.fit_transform(result)
        assert list(other["grade"].cat.categories) == ["low", "high"]
        assert other["few"].dtype == np.int8

    def test_whole_numbers_under_a_likelihood_of_real_ones(self):
        frame = pd.DataFrame(np.round(GAPS * 10), columns=list("abcd")).astype("Int64")
        result = small(vae={"likelihood": "gaussian"}).set_output(transform="pandas")
        assert set(result.fit_transform(frame).dtypes) == {np.dtype(float)}

    def test_values_that_the_type_does_not_hold(self):
        frame = typed()
        imputer = small(vae={"likelihood": "mixed"}).set_output(transform="pandas").fit(frame)
        result = imputer.transform(frame.assign(few=1000))
        assert (result["few"] == 1000).all()

    def test_empty_columns_and_indicators(self):
        frame = typed()
        params = {
            "keep_empty_features": True,
            "add_indicator": True,
            "vae": {"likelihood": "mixed"},
        }
        result = small(**params).set_output(transform="pandas").fit_transform(frame)
        assert list(result.columns[:8]) == list(frame.columns)
        assert result["empty"].isna().all()  # no category is known
        assert_array_equal(result["missingindicator_visits"], frame["visits"].isna())
        plain = small(**params).fit_transform(frame)
        assert all(value is None for value in plain[:, 2])


class TestBytes:
    """Missing pixels of images of uint8, in a masked array."""

    @pytest.mark.parametrize("likelihood", ["auto", "bernoulli"])
    def test_they_are_filled_as_the_shares_are(self, likelihood):
        X = RNG.integers(0, 256, (60, 16)).astype(np.uint8)
        gone = RNG.random(X.shape) < 0.2
        masked, shares = np.ma.array(X, mask=gone), np.where(gone, np.nan, X / np.float32(255))
        vae = {"image_shape": (4, 4), "conv_channels": (4,), "likelihood": likelihood}
        imputer, other = small(vae=vae).fit(masked), small(vae=vae).fit(shares)
        assert imputer.vae_.unit_ == 255
        for ours, theirs in zip(
            (imputer.transform(masked), imputer.draw(masked, 2), *imputer.interval(masked)),
            (other.transform(shares), other.draw(shares, 2), *other.interval(shares)),
            strict=True,
        ):
            assert_allclose(ours, 255 * theirs, rtol=1e-5)
        assert_array_equal(imputer.transform(masked)[~gone], X[~gone])
        # Shares are shares to it, too.
        assert_allclose(imputer.transform(shares), other.transform(shares), rtol=1e-5)


class TestBars:
    def test_long_calls(self, capsys, monkeypatch):
        monkeypatch.setattr(progress, "DELAY", 0.0)
        monkeypatch.setattr("skvae._imputer.DRAWN", 4 * 40 * 20)
        loud = small(n_estimators=2, verbose=1, random_state=1).fit(GAPS)
        shown = capsys.readouterr().err
        assert "epoch 3/3" in shown
        for call, bars in (
            (loud.transform, ["transform, model 1 of 2", "transform, model 2 of 2"]),
            (lambda X: loud.draw(X, 2), ["draw, model 1 of 2", "draw, model 2 of 2"]),
            (loud.interval, ["interval"]),
        ):
            result = call(GAPS)
            shown = capsys.readouterr().err
            assert all(f"{title} 100%|" in shown for title in bars)
            assert shown.count("100%") <= 2 * len(bars)
            quiet = small(n_estimators=2, random_state=1).fit(GAPS)
            name = {loud.transform: "transform", loud.interval: "interval"}.get(call)
            if name is not None:
                assert_array_equal(getattr(quiet, name)(GAPS), result)
        assert not capsys.readouterr().err

    def test_the_models_own(self, capsys):
        small(vae={"verbose": 2}).fit(GAPS)
        assert "train_loss" in capsys.readouterr().out


class TestColumns:
    def test_empty_columns_of_a_frame(self):
        frame = pd.DataFrame(GAPS, columns=list("abcd")).assign(e=np.nan)[list("eabcd")]
        for keep, names in ((False, list("abcd")), (True, list("eabcd"))):
            for data in (frame, pl.from_pandas(frame)):
                imputer = small(keep_empty_features=keep).fit(data)
                assert list(imputer.get_feature_names_out()) == names
                assert imputer.transform(data).shape == (150, len(names))
                assert list(imputer.vae_.feature_names_in_) == list("abcd")
                assert imputer.draw(data, 2).shape == (2, 150, len(names))
        assert not imputer.transform(frame)[:, 0].any()

    def test_nothing_at_all(self):
        with pytest.raises(ValueError, match="only missing values"):
            small().fit(np.full((5, 2), np.nan))

    def test_sparse(self):
        import scipy.sparse

        with pytest.raises(TypeError, match=r"sparse.*toarray"):
            small().fit(scipy.sparse.csr_array(np.nan_to_num(GAPS)))

    @pytest.mark.parametrize("marker", [None, pd.NA, np.nan], ids=str)
    def test_markers_that_are_one(self, marker):
        X = GAPS.astype(object)
        X[GONE] = marker
        expected = small().fit_transform(GAPS)
        assert_array_equal(small(missing_values=marker).fit_transform(X), expected)

    def test_another_marker(self):
        X = np.where(GONE, -9.0, IRIS)
        imputer = small(missing_values=-9, add_indicator=True).fit(X)
        assert_array_equal(imputer.transform(X)[:, :4], small().fit_transform(GAPS))
        assert_array_equal(imputer.transform(X)[:, 4:], GONE)
        with pytest.raises(ValueError, match="missing_values=-9 means"):
            imputer.transform(GAPS)

    def test_other_estimators_are_no_model(self):
        with pytest.raises(ValueError, match="'vae' parameter of VAEImputer"):
            VAEImputer(LogisticRegression()).fit(GAPS)
        with pytest.raises(ValueError, match="'likelihood' parameter of Var"):
            small(vae={"likelihood": "nonsense"}).fit(GAPS)

    def test_after_an_error_all_is_as_it_was(self):
        imputer = small().fit(GAPS)
        before = imputer.transform(GAPS)
        with pytest.raises(ValueError, match="infinity"):
            imputer.fit(pd.DataFrame(np.full((9, 3), np.inf), columns=list("abc")))
        with pytest.raises(ValueError, match="max_epochs"):
            imputer.set_params(vae__max_epochs=-1, add_indicator=True).fit(GAPS[:, :3])
        assert_array_equal(imputer.transform(GAPS), before)
        assert not hasattr(imputer, "feature_names_in_")

    def test_the_users_model_is_left_alone(self):
        imputer = small()
        imputer.fit(GAPS)
        assert not hasattr(imputer.vae, "net_")


def of_factors(n, seed, noise=0.5):
    """Rows of two linear factors and noise; a fifth of their values is missing."""
    weights = np.random.default_rng(5).normal(size=(2, 6))
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) @ weights + noise * rng.normal(size=(n, 6))
    gone = rng.random(X.shape) < 0.2
    return X, gone, np.where(gone, np.nan, X)


@pytest.fixture
def set_shares(monkeypatch):
    """A function that decides what shares networks, factors, clusters, neighbours and trees get."""

    def decide(*shares):
        monkeypatch.setattr(skvae._imputer, "shares_of", lambda *_: np.array(shares))

    return decide


def stacked_beats_networks_and_factors(X, set_shares):
    """Return whether estimates are nearer by a fifth at least than those of each of both alone."""
    gone = np.random.default_rng(1).random(X.shape) < 0.15
    gaps = np.where(gone, np.nan, X)

    def error():
        imputer = VAEImputer(large(), n_estimators=2, n_importance_samples=50, random_state=0)
        return np.sqrt(np.mean((imputer.fit_transform(gaps) - X)[gone] ** 2))

    stacked = error()
    set_shares(1, 0, 0, 0, 0)
    networks = error()
    set_shares(0, 1, 0, 0, 0)
    return stacked < 0.8 * min(networks, error())


class TestStacking:
    """Networks and their partners, in the shares by which values are told that none saw."""

    def test_linear_rows(self, set_shares):
        X, gone, gaps = of_factors(100, 1, noise=0.1)

        def error(filled):
            return np.sqrt(np.mean((filled - X)[gone] ** 2))

        imputer = VAEImputer(large(), n_importance_samples=100, random_state=0)
        filled = imputer.fit_transform(gaps)
        assert any(isinstance(model, Factors) for model in imputer._partners[0].models)
        set_shares(1, 0, 0, 0, 0)
        assert error(filled) < 0.9 * error(imputer.fit_transform(gaps))
        set_shares(0, 1, 0, 0, 0)
        linear = imputer.fit_transform(gaps)
        expected = np.mean([partners.expected(gaps)[0] for partners in imputer._partners], 0)
        assert_allclose(linear[gone], expected[gone])

    def test_groups(self, set_shares):
        """A line for each group: neither one linear model nor few steps of networks know them."""
        rng = np.random.default_rng(0)
        centres, slopes = 3 * rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
        group = rng.integers(0, 3, 150)
        X = centres[group] + rng.normal(size=(150, 1)) * slopes[group]
        X += 0.05 * rng.normal(size=X.shape)

        assert stacked_beats_networks_and_factors(X, set_shares)

    def test_repeated_rows(self, set_shares):
        X = np.repeat(np.random.default_rng(0).normal(size=(40, 8)), 6, axis=0)
        assert stacked_beats_networks_and_factors(X, set_shares)

    def test_curves(self):
        angle = RNG.uniform(0, 2 * np.pi, 200)
        X = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
        gaps = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
        imputer = VAEImputer(large(), n_estimators=1, n_importance_samples=100, random_state=0)
        imputer.fit(gaps)
        linear = [isinstance(model, Factors) for model in imputer._partners[0].models]
        assert imputer._shares[1:][linear].sum() < 0.1

    def test_shares_are_weights(self):
        imputer = trained().fit(GAPS)
        assert imputer._shares.sum() == pytest.approx(1)
        assert (imputer._shares[1:] > 0).all()
        for partners in imputer._partners:
            assert len(partners.models) == len(imputer._shares) - 1

    def test_draws_come_from_all(self, set_shares):
        def draws(*shares):
            set_shares(*shares)
            return trained().fit(GAPS).draw(GAPS, 400)[:, GONE]

        alone = [draws(*shares) for shares in np.eye(5)]
        # What a model is not asked for takes no numbers from the generator.
        for partner in (1, 2, 3, 4):
            shares = np.zeros(5)
            shares[[0, partner]] = 0.75, 0.25
            both = draws(*shares)
            assert (both == alone[0]).mean() == pytest.approx(0.75, abs=0.02)
            middle = 0.75 * alone[0].mean(0) + 0.25 * alone[partner].mean(0)
            assert np.abs(both.mean(0) - middle).mean() < 0.1 * both.std(0).mean()

    @pytest.mark.parametrize("likelihood", ["mixed", "log_normal", "poisson"])
    def test_columns_of_other_kinds_are_left_to_the_networks(self, likelihood):
        X = np.floor(np.exp(GAPS))
        imputer = small(vae={"likelihood": likelihood}).fit(X)
        assert [partners.models for partners in imputer._partners] == [()]
        assert_array_equal(imputer._shares, [1])

    def test_a_row_gets_the_same_among_others(self, set_shares):
        set_shares(0.2, 0.2, 0.2, 0.2, 0.2)
        imputer = small().fit(GAPS)
        assert any(isinstance(model, Clusters) for model in imputer._partners[0].models)
        filled = imputer.transform(GAPS)
        some = [70, 3, 149]
        assert_allclose(imputer.transform(GAPS[some]), filled[some], rtol=1e-6)


def large():
    vae = VariationalAutoencoder(6, hidden_layer_sizes=(64, 64), learning_rate=3e-3, max_steps=600)
    return vae.set_params(batch_size=64)


@pytest.fixture(scope="module")
def too_sure():
    """An imputer whose networks are large for the rows."""
    return VAEImputer(large(), n_estimators=2, n_importance_samples=200, random_state=1).fit(
        of_factors(100, 1)[2]
    )


class TestIntervals:
    """They are widened by what the models were not shown."""

    @pytest.mark.parametrize(("n", "seed"), [(100, 1), (300, 100)], ids=["fitted", "new"])
    def test_they_hold_what_they_say(self, too_sure, n, seed):
        X, gone, gaps = of_factors(n, seed)
        low, high = too_sure.interval(gaps)
        assert 0.92 < ((low <= X) & (high >= X))[gone].mean() < 0.98
        networks = copy.copy(too_sure)
        networks._shares = np.ones(1)
        of_one_model = networks.draw(gaps, 200)[::2]
        lowest, highest = np.quantile(of_one_model, [0.025, 0.975], axis=0)
        assert ((lowest <= X) & (highest >= X))[gone].mean() < 0.92
        filled = too_sure.transform(gaps)
        assert ((low <= filled) & (filled <= high)).mean() > 0.99

    def test_the_higher_the_wider(self, too_sure):
        _, gone, gaps = of_factors(40, 2)
        widths = [np.subtract(*too_sure.interval(gaps, level)[::-1])[gone] for level in (0.5, 0.8)]
        widths.append(np.subtract(*too_sure.interval(gaps, 0.999)[::-1])[gone])
        assert (widths[0] < widths[1]).all()
        assert (widths[1] < widths[2]).all()

    def test_what_is_hidden(self, monkeypatch):
        frame = table().assign(same=1.0, rare=[1.0, 2.0, 3.0] + 197 * [np.nan])
        hidden = hidden_from(VAEImputer(small_mixed(), n_estimators=3), frame, monkeypatch)
        assert len({some.tobytes() for some in hidden}) == 3
        columns = list(frame.columns)
        for some in hidden:
            share = dict(zip(columns, some.mean(0), strict=True))
            assert not any(share[name] for name in ("colour", "member", "same"))
            assert 0.04 < share["visits"] < 0.17
            assert 0.04 < share["height"] < 0.17
            assert share["rare"] <= 1 / 200
            assert not (some & frame.isna().to_numpy()).any()

    def test_values_that_repeat(self, set_shares):
        """An interval of no width holds its value, whatever is lost on the way there."""
        set_shares(0.0, 0.0, 0.0, 1.0, 0.0)  # the nearest rows
        X = np.repeat(np.random.default_rng(0).normal(3, 1, (20, 6)), 12, axis=0)
        gone = np.random.default_rng(1).random(X.shape) < 0.2
        gaps = np.where(gone, np.nan, X)
        low, high = trained(n_estimators=3).fit(gaps).interval(gaps)
        is_narrow = gone & (high - low < 1e-9)
        assert is_narrow.sum() > 0.7 * gone.sum()
        assert ((low <= X) & (high >= X))[is_narrow].mean() > 0.98

    def test_each_is_told_by_all_others_of_its_row(self, monkeypatch):
        asked = []
        drawn = Partners.draws

        def draws(partners, values, *args):
            asked.append(values.copy())
            return drawn(partners, values, *args)

        monkeypatch.setattr(Partners, "draws", draws)
        # 100 draws of 4 columns each: rows come in parts of 10.
        monkeypatch.setattr(skvae._imputer, "DRAWN", 100 * 4 * 10)
        hidden = hidden_from(trained(), GAPS, monkeypatch)
        assert max(map(len, asked)) == 10
        rows = np.concatenate(asked)
        assert len(rows) == sum(some.sum() for some in hidden)
        for row in rows:
            is_same = ((row == GAPS) | np.isnan(row)).all(1)
            n_more = np.isnan(row).sum() - np.isnan(GAPS).sum(1)
            assert (is_same & (n_more == 1)).any()

    @pytest.mark.parametrize(
        "mixed",
        [
            Mixed([(CategoricalCodes(4), [0]), (Categorical([3]), [1, 2, 3]), ("gaussian", [4])]),
            Mixed([("gaussian", 4), (Mixed([(CategoricalCodes(4), 0), ("categorical", [1, 2, 3])]),
                    slice(0, 4))]),
        ],
        ids=["flat", "nested"],
    )  # fmt: skip
    def test_no_category_is_hidden(self, mixed, monkeypatch):
        codes, one_hot = RNG.integers(0, 4, 80), np.eye(3)[RNG.integers(0, 3, 80)]
        X = np.column_stack([codes, one_hot, RNG.normal(size=80)])
        (some,) = hidden_from(small(vae={"likelihood": mixed}), X, monkeypatch)
        assert not some[:, :4].any()
        assert some[:, 4].any()

    def test_models_agree_on_what_columns_are(self):
        """The only 0 of a column may be hidden from one of them."""
        X = np.exp(RNG.normal(size=(60, 2)) + RNG.normal(size=(60, 1)))
        X[0, 0] = 0
        hidden = np.zeros(X.shape, bool)
        hidden[:9, 0] = True
        vae = small_mixed()
        assert_array_equal(kinds_of(vae._fit_without(X, hidden)), kinds_of(clone(vae).fit(X)))
        for vae in small(n_estimators=6, vae={"likelihood": "mixed"}).fit(X).estimators_:
            assert kinds_of(vae) == kinds_of(small_mixed().fit(X))
            assert np.isfinite(vae.score_samples(X)).all()

    def test_containers(self):
        expected = small().fit(GAPS).interval(GAPS)
        frame = pd.DataFrame(GAPS, columns=list("abcd"))
        masked = np.ma.array(IRIS, mask=GONE)
        for X in (GAPS.tolist(), masked, frame, pl.from_pandas(frame), frame.astype("Float64")):
            assert_array_equal(small().fit(X).interval(X), expected)

    def test_complete_rows_teach_what_is_missing(self):
        imputer = small().fit(IRIS)
        assert imputer.vae_.encoder_.sees_missing
        low, high = imputer.interval(GAPS)
        assert (low < high)[GONE].all()

    @pytest.mark.parametrize("n", [2, 3, 12])
    def test_few_rows(self, n):
        X = GAPS[:n].copy()
        X[0] = IRIS[0]
        low, high = small().fit(X).interval(GAPS)
        assert (low <= high).all()
        assert np.isfinite([low, high]).all()

    def test_kinds(self, filled):
        imputer, _, frame, gone = filled
        low, high = (pd.DataFrame(b, columns=frame.columns) for b in imputer.interval(frame, 0.99))
        assert (low["spent"] >= 0).all()
        assert (high["member"] <= 1).all()
        assert (low["height"] < high["height"])[gone["height"]].all()

    def test_shares_stay_so(self):
        X = RNG.uniform(size=(60, 1)) ** [0.5, 1, 2]
        X[::3, 1] = np.nan
        low, high = small(vae={"likelihood": "continuous_bernoulli"}).fit(X).interval(X, 0.99)
        assert (low >= 0).all()
        assert (high <= 1).all()


def small_mixed():
    return clone(small().vae).set_params(likelihood="mixed", random_state=0)


def kinds_of(vae):
    return [type(likelihood).__name__ for _, likelihood in vae.likelihood_.blocks_]


def hidden_from(imputer, X, monkeypatch):
    """Return what a fit hides from each of its models."""
    seen = []
    fit = VariationalAutoencoder._fit_without

    def spy(vae, X, hidden):
        seen.append(hidden)
        return fit(vae, X, hidden)

    monkeypatch.setattr(VariationalAutoencoder, "_fit_without", spy)
    imputer.fit(X)
    return seen


def test_before_a_classifier_in_a_search():
    pipeline = make_pipeline(small(), LogisticRegression(max_iter=500))
    search = GridSearchCV(pipeline, {"vaeimputer__vae__n_components": [1, 2]}, cv=3)
    search.fit(GAPS, SPECIES)
    assert search.best_score_ > 0.6
    assert search.best_estimator_[0].vae_.n_components in (1, 2)


def test_pickle():
    imputer = small(add_indicator=True).fit(GAPS)
    copied = pickle.loads(pickle.dumps(imputer))
    assert_array_equal(copied.transform(GAPS), imputer.transform(GAPS))
    assert_array_equal(copied.draw(GAPS, 2), imputer.draw(GAPS, 2))
    assert_array_equal(copied.interval(GAPS), imputer.interval(GAPS))
