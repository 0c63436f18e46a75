"""What the estimator promises, on digits and small tables."""

import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from joblib import Parallel, delayed
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from skorch.callbacks import Callback, LRScheduler

import skvae
from skvae import PosteriorCollapseWarning, VariationalAutoencoder, _vae
from skvae._architecture import default_layers
from skvae._training import default_epochs
from skvae.likelihoods import Gaussian
from skvae.objectives import ELBO
from tests.foreign import LaplaceLikelihood, LaplacePrior, PixelDecoder, SquaredBound, mlp

DIGITS = load_digits().data[:300] / 16
IRIS = load_iris().data
STEADY = {"learning_rate_schedule": "constant"}  # fits of pieces are then those of the whole


def vae(**params):
    quick = {"max_epochs": 4, "hidden_layer_sizes": (16,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


def weights(estimator):
    return np.concatenate([p.detach().numpy().ravel() for p in estimator.net_.module_.parameters()])


CONFIGURATIONS = [
    {},
    {"likelihood": "gaussian"},
    {"likelihood": "bernoulli", "n_components": 5},
    {"image_shape": (8, 8), "conv_channels": (4, 8)},
    {"image_shape": (4, 8, 2), "conv_channels": (4,), "likelihood": Gaussian("row")},
    {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 2},
    {"optimizer": "sgd", "learning_rate": 1e-4},
    {"optimizer": "adamw", "activation": "gelu"},
    {"optimizer": "rmsprop"},
    {"beta": 0.5, "kl_warmup_epochs": 3, "free_bits": 0.1},
    {"encoder": mlp(64, 12), "decoder": mlp(2, 20)},
    {"likelihood": LaplaceLikelihood(), "prior": LaplacePrior(), "objective": SquaredBound()},
]


@pytest.mark.parametrize("params", CONFIGURATIONS, ids=lambda params: "-".join(params) or "default")
class TestEveryConfiguration:
    def test_verbs(self, params):
        model = vae(**params)
        k = model.n_components
        Z = model.fit_transform(DIGITS)
        assert Z.shape == (300, k)
        assert Z.dtype == np.float64
        loc, scale = model.posterior(DIGITS)
        assert_array_equal(loc, Z)
        assert (scale > 0).all()
        assert_array_equal(model.reconstruct(DIGITS), model.inverse_transform(Z))
        for mean in (False, True):
            X = model.sample(20, mean=mean)
            assert X.shape == (20, 64)
            assert model.likelihood_.support.check(torch.from_numpy(X)).all()
        assert isinstance(model.score(DIGITS), float)
        assert model.score(DIGITS) == model.score_samples(DIGITS).mean()
        assert model.kl_per_component_.shape == (k,)
        assert_array_equal(model.active_components_, model.kl_per_component_ > 0.05)

    def test_integer_seed_decides_everything(self, params):
        first, second = (clone(vae(**params)).fit(DIGITS) for _ in range(2))
        assert_array_equal(weights(first), weights(second))
        assert_array_equal(first.sample(3), second.sample(3))
        if "encoder" not in params:
            assert not np.array_equal(
                weights(first), weights(vae(**params, **{"random_state": 1}).fit(DIGITS))
            )

    def test_learns(self, params):
        from_nothing = {"max_epochs": 12, "linear_path": False}
        history = vae(**params, **from_nothing).fit(DIGITS).history_
        assert history[-1]["train_reconstruction"] > history[0]["train_reconstruction"]

    def test_score_samples_does_not_depend_on_company(self, params):
        model = vae(**params).fit(DIGITS)
        for k in (1, 5):
            every = model.score_samples(DIGITS, n_importance_samples=k)
            order = np.random.RandomState(0).permutation(300)[:70]
            some = model.score_samples(DIGITS[order], n_importance_samples=k)
            assert_allclose(some, every[order], rtol=1e-9, atol=1e-9)
            assert_array_equal(every, model.score_samples(DIGITS, n_importance_samples=k))

    def test_partial_fit_continues_fit(self, params):
        """Three epochs in one call are three calls of one epoch, bit for bit."""
        params = {k: v for k, v in params.items() if k != "early_stopping"} | STEADY
        whole, pieces = vae(**params, **{"max_epochs": 3}).fit(DIGITS), vae(**params)
        for _ in range(3):
            pieces.partial_fit(DIGITS)
        assert_array_equal(weights(whole), weights(pieces))
        assert pieces.n_iter_ == 3
        assert [row["epoch"] for row in pieces.history_] == [1, 2, 3]


class TestRandomness:
    def test_global_generators_are_untouched(self):
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        for state in (0, None, np.random.RandomState(3)):
            model = vae(random_state=state, early_stopping=True).fit(DIGITS)
            model.sample(3), model.score(DIGITS)
        assert torch.equal(before[0], torch.get_rng_state())
        assert_array_equal(before[1], np.random.get_state()[1])

    def test_global_seeds_decide_nothing(self):
        torch.manual_seed(1), np.random.seed(1)
        first = vae().fit(IRIS)
        torch.manual_seed(2), np.random.seed(2)
        assert_array_equal(weights(first), weights(vae().fit(IRIS)))

    def test_threads_do_not_disturb_each_other(self):
        alone = [weights(vae(random_state=seed).fit(IRIS)) for seed in range(6)]
        together = Parallel(n_jobs=3, backend="threading")(
            delayed(lambda seed: weights(vae(random_state=seed).fit(IRIS)))(seed)
            for seed in range(6)
        )
        for one, other in zip(alone, together, strict=True):
            assert_array_equal(one, other)

    def test_without_a_seed_fits_differ(self):
        first, second = (vae(random_state=None).fit(IRIS) for _ in range(2))
        assert not np.array_equal(weights(first), weights(second))

    def test_sample_takes_its_own_state(self):
        model = vae().fit(IRIS)
        assert_array_equal(model.sample(4), model.sample(4))
        assert_array_equal(model.sample(4, random_state=5), model.sample(4, random_state=5))
        assert not np.array_equal(model.sample(4), model.sample(4, random_state=5))

    def test_order_of_the_rows_does_not_matter(self):
        shuffled = np.random.RandomState(0).permutation(len(DIGITS))
        assert_array_equal(weights(vae().fit(DIGITS)), weights(vae().fit(DIGITS[shuffled])))


class TestSampleWeight:
    def test_ones_are_none(self):
        assert_array_equal(
            weights(vae().fit(IRIS)), weights(vae().fit(IRIS, sample_weight=np.ones(150)))
        )

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_whole_numbers_repeat_rows(self, early_stopping):
        weight = np.random.RandomState(0).randint(0, 4, size=150)
        weighted = vae(early_stopping=early_stopping).fit(IRIS, sample_weight=weight)
        repeated = vae(early_stopping=early_stopping).fit(np.repeat(IRIS, weight, axis=0))
        assert_array_equal(weights(weighted), weights(repeated))

    def test_fractions_scale_the_loss(self):
        left = np.where(IRIS[:, 2] < 2.5, 1.9, 0.1)
        loc = [vae(max_epochs=60).fit(IRIS, sample_weight=w) for w in (left, 2 - left)]
        setosa = IRIS[IRIS[:, 2] < 2.5]
        assert loc[0].score(setosa) > loc[1].score(setosa) + 0.5

    def test_huge_weights_allocate_nothing(self):
        vae(max_epochs=1).fit(IRIS, sample_weight=np.full(150, 1e9))


class TestInputs:
    def test_containers_agree(self):
        X = np.round(DIGITS * 16)
        wanted = vae(likelihood="gaussian").fit(X).transform(X)
        columns = [f"p{i}" for i in range(64)]
        for other in (
            X.tolist(),
            pd.DataFrame(X, columns=columns),
            pl.DataFrame(X, schema=columns),
            X.astype(np.int64),
            np.asfortranarray(X),
            X.astype(">f8"),
            scipy.sparse.csr_matrix(X),
            scipy.sparse.csr_array(X),
            scipy.sparse.coo_array(X),
        ):
            model = vae(likelihood="gaussian").fit(other)
            assert_array_equal(model.transform(other), wanted)

    @pytest.mark.parametrize(
        "dtype", [np.float32, np.float64, np.uint8, np.int16, bool, np.float16]
    )
    def test_dtypes(self, dtype):
        X = (DIGITS > 0.5).astype(dtype)
        model = vae().fit(X)
        out = np.float32 if np.can_cast(dtype, np.float32) else np.float64
        assert type(model.likelihood_).__name__ == "Bernoulli"
        assert model.transform(X).dtype == out
        assert model.sample(2).dtype == out
        assert model.score_samples(X).dtype == out

    def test_memmap_is_read_only_and_agrees(self, tmp_path):
        np.save(tmp_path / "X.npy", DIGITS.astype(np.float32))
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
        model = vae().fit(X)
        assert_array_equal(weights(model), weights(vae().fit(np.array(X))))
        assert_array_equal(model.transform(X), model.transform(np.array(X)))

    def test_data_frames_come_out(self):
        frame = pd.DataFrame(IRIS, columns=list("abcd"), index=range(10, 160))
        out = vae().set_output(transform="pandas").fit_transform(frame)
        assert list(out.columns) == ["variationalautoencoder0", "variationalautoencoder1"]
        assert list(out.index) == list(frame.index)
        assert list(vae().fit(frame).feature_names_in_) == list("abcd")
        assert isinstance(vae().set_output(transform="polars").fit_transform(frame), pl.DataFrame)

    @pytest.mark.parametrize(
        ("X", "name"),
        [
            (DIGITS, "ContinuousBernoulli"),
            (DIGITS * 2, "StudentT"),
            (DIGITS - 0.1, "StudentT"),
            (IRIS, "Gaussian"),
            ((DIGITS > 0.5) * 1.0, "Bernoulli"),
            (DIGITS > 0.5, "Bernoulli"),
            (scipy.sparse.csr_array((DIGITS > 0.5) * 1.0), "Bernoulli"),
        ],
    )
    def test_likelihood_is_chosen_by_the_values(self, X, name):
        assert type(vae(max_epochs=1).fit(X).likelihood_).__name__ == name

    @pytest.mark.parametrize(
        ("n", "path", "layers"),
        [
            (20, True, (32,)), (300, True, (256,)), (150, True, (200,)), (512, False, (32,)),
            (1000, False, (97, 48)), (1800, False, (256, 128)),
        ],
    )  # fmt: skip
    def test_width_is_chosen_by_the_rows_for_each_column(self, n, path, layers):
        X = np.random.RandomState(0).randn(n, 3)
        model = vae(max_epochs=1, hidden_layer_sizes=None, linear_path=path).fit(X)
        assert model._architecture.hidden_layer_sizes == layers
        assert model.partial_fit(X[:15])._architecture.hidden_layer_sizes == layers

    @pytest.mark.parametrize("path", [True, False])
    def test_a_row_more_is_no_cliff(self, path):
        widths = np.array([default_layers(n, 30, path)[0] for n in range(10, 5000)])
        assert (widths[0], widths[-1]) == (32, 256)
        assert set(np.diff(widths)) <= {0, 1}

    def test_zero_weight_rows_have_no_say(self):
        X = np.vstack([DIGITS, np.full((1, 64), 9.0)])
        model = vae(max_epochs=1).fit(X, sample_weight=np.append(np.ones(300), 0))
        assert type(model.likelihood_).__name__ == "ContinuousBernoulli"

    def test_float64_columns_far_from_zero_keep_their_digits(self):
        X = IRIS + 1e8
        near, far = vae(max_epochs=200).fit(IRIS), vae(max_epochs=200).fit(X)
        assert far.score(X) == pytest.approx(near.score(IRIS), abs=0.3)
        assert np.std(far.reconstruct(X) - X, axis=0).max() < 0.5


class TestTraining:
    def test_history_has_the_terms(self):
        model = vae(early_stopping=True, beta=2.0).fit(DIGITS)
        for row in model.history_:
            assert set(row) == {"epoch", "dur"} | {
                f"{part}_{term}"
                for part in ("train", "valid")
                for term in ("loss", "reconstruction", "kl")
            }
            for part in ("train", "valid"):
                assert row[f"{part}_loss"] == pytest.approx(
                    2 * row[f"{part}_kl"] - row[f"{part}_reconstruction"], abs=1e-3
                )
        assert model.n_iter_ == len(model.history_) == 4

    def test_early_stopping_restores_the_best_weights(self):
        model = vae(
            early_stopping=True, learning_rate=0.03, max_epochs=300, n_iter_no_change=5
        ).fit(IRIS)
        losses = [row["valid_loss"] for row in model.history_]
        assert len(losses) < 300
        assert np.argmin(losses) <= len(losses) - 5
        held_out = model.net_.history[-1, "valid_loss"]
        # One more look at the held-out rows with the weights that are there now.
        again = clone(model).set_params(max_epochs=int(np.argmin(losses)) + 1, n_iter_no_change=999)
        assert_array_equal(weights(again.fit(IRIS)), weights(model))
        assert held_out > min(losses)

    def test_tol_is_what_counts_as_improvement(self):
        model = vae(early_stopping=True, tol=1e9, n_iter_no_change=3, max_epochs=50).fit(IRIS)
        assert model.n_iter_ == 4

    def test_warm_start_continues(self):
        half = vae(warm_start=True, max_epochs=2, **STEADY).fit(DIGITS).fit(DIGITS)
        assert_array_equal(weights(half), weights(vae(**STEADY).fit(DIGITS)))
        assert [row["epoch"] for row in half.history_] == [1, 2, 3, 4]
        cold = vae(max_epochs=2).fit(DIGITS).fit(DIGITS)
        assert cold.n_iter_ == 2

    @pytest.mark.parametrize(
        ("params", "epochs", "steps"),
        [
            ({"max_steps": 1}, 1, 1),
            ({"max_steps": 7}, 3, 7),  # 150 rows are three batches
            ({"max_steps": 9, "max_epochs": 2}, 2, 6),
            ({"max_steps": np.int64(4), "max_epochs": 50}, 2, 4),
            ({"max_steps": 5, "early_stopping": True, "validation_fraction": 0.4}, 3, 5),
        ],
        ids=str,
    )
    def test_a_budget_in_steps(self, params, epochs, steps):
        counted = []

        class Steps(Callback):
            def on_batch_end(self, net, training=None, **kwargs):
                counted.append(training)

        params = {"max_epochs": "auto", "batch_size": 64, "callbacks": [Steps()]} | params
        model = vae(**params).fit(IRIS)
        assert sum(counted) == steps
        assert model.n_iter_ == epochs

    def test_a_schedule_ends_with_the_steps(self):
        rates = []

        class Rates(Callback):
            def on_batch_begin(self, net, training=None, **kwargs):
                rates.append(net.optimizer_.param_groups[0]["lr"])

        params = {"max_epochs": "auto", "max_steps": 7, "callbacks": [Rates()]}
        vae(learning_rate_schedule="cosine", batch_size=64, **params).fit(IRIS)
        assert_allclose(rates, 3e-3 * (1 + np.cos(np.pi * np.arange(7) / 7)) / 2)

    def test_the_best_epoch_is_recorded(self):
        params = {"learning_rate": 0.03, "max_epochs": 300, "n_iter_no_change": 5, "tol": 0.0}
        model = vae(early_stopping=True, **params).fit(IRIS)
        losses = [row["valid_loss"] for row in model.history_]
        assert model.best_epoch_ == np.argmin(losses) + 1 < model.n_iter_
        assert vae().fit(IRIS).best_epoch_ == 4
        assert model.partial_fit(IRIS).best_epoch_ == model.n_iter_

    def test_partial_fit_streams_chunks(self):
        model = vae()
        for chunk in np.array_split(DIGITS, 3):
            model.partial_fit(chunk)
        assert model.n_iter_ == 3
        assert np.isfinite(model.score(DIGITS))

    def test_default_epochs_fit_the_data(self):
        rows = np.array([1, 150, 1797, 5000, 60_000, 1_000_000])
        epochs = np.array([default_epochs(n, 128) for n in rows])
        steps = epochs * np.ceil(rows / 128)
        assert list(epochs) == [1000, 1000, 200, 119, 36, 9]
        assert (np.diff(epochs) <= 0).all()
        assert (np.diff(steps) > 0).all()
        budget = []

        class Stop(Callback):
            def on_epoch_end(self, net, **kwargs):
                budget.append(net.max_epochs)
                raise KeyboardInterrupt

        vae(max_epochs="auto", batch_size=10, callbacks=[Stop()]).fit(IRIS)
        assert budget == [200]
        # Few rows for each column are soon learnt by heart, down to 300 steps.
        assert [default_epochs(2000, 128, d) for d in (3, 200, 400, 2000, 9999)] == [
            188, 126, 63, 19, 19,
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("name", "low", "high"),
        [("beta", 0.0, 5.0), ("free_bits", 0.0, 3.0), ("kl_warmup_epochs", 0, 60)],
    )
    def test_weights_of_the_kl_do_what_they_say(self, name, low, high):
        kl = [
            vae(max_epochs=60, **{name: value}).fit(DIGITS).kl_per_component_.sum()
            for value in (low, high)
        ]
        assert kl[1] < kl[0] if name == "beta" else kl[1] > kl[0]

    @pytest.mark.parametrize(
        "change",
        [
            {"n_components": 3}, {"hidden_layer_sizes": (8,)}, {"activation": "tanh"},
            {"batch_size": 50}, {"learning_rate": 1e-2}, {"optimizer": "sgd"}, {"max_epochs": 5},
            {"image_shape": (8, 8)}, {"precision": "bfloat16"}, {"random_state": 1}, {"beta": 2.0},
            {"image_shape": (8, 8), "conv_channels": (3,)}, {"early_stopping": True},
            {"prior": LaplacePrior()}, {"likelihood": "gaussian"}, {"objective": ELBO(beta=3.0)},
            {"prior": "mixture"}, {"posterior_family": "full"}, {"objective": "iwae"},
            {"image_shape": (8, 8), "conv_block": "residual"}, {"normalization": "batch"},
            {"normalization": "layer"}, {"dropout": 0.5}, {"activation": "gated"},
            {"learning_rate_schedule": "cosine"}, {"learning_rate_schedule": "constant"},
            {"weight_decay": 0.5}, {"gradient_clip": 1e-3, "optimizer": "sgd"},
        ],
        ids=lambda change: "-".join(change),
    )  # fmt: skip
    def test_no_parameter_is_ignored(self, change):
        first, second = weights(vae().fit(DIGITS)), weights(vae(**change).fit(DIGITS))
        assert first.shape != second.shape or not np.array_equal(first, second)

    def test_bfloat16_is_close_to_float32(self):
        single, half = vae(max_epochs=20), vae(max_epochs=20, precision="bfloat16")
        assert half.fit(DIGITS).score(DIGITS) == pytest.approx(
            single.fit(DIGITS).score(DIGITS), abs=3
        )

    def test_kl_of_some_rows_is_a_weighted_mean(self, monkeypatch):
        """Of equal rows it is that of each, whatever the weights of those that are taken."""
        monkeypatch.setattr(_vae, "KL_ROWS", 40)
        X = np.tile([[1.0, 2.0, 4.0]], (300, 1))
        weights = (None, np.random.RandomState(0).rand(300))
        still = {"max_epochs": 1, "learning_rate": 1e-12, "likelihood": "gaussian"}
        first, second = (
            vae(**still, linear_path=False).fit(X, sample_weight=weight).kl_per_component_
            for weight in weights
        )
        assert first.min() > 0.1
        assert_allclose(second, first, rtol=1e-6)

    def test_collapse_is_announced(self):
        noise = np.random.RandomState(0).randn(200, 3)
        with pytest.warns(PosteriorCollapseWarning, match="No component is active.*beta"):
            model = vae(beta=50.0, max_epochs=200, learning_rate=1e-2).fit(noise)
        assert not model.active_components_.any()
        assert (model.kl_per_component_ <= 0.05).all()

    def test_unused_components_are_inactive(self):
        rng = np.random.RandomState(0)
        X = rng.randn(1000, 1) @ rng.randn(1, 6) + 0.1 * rng.randn(1000, 6)
        params = {"n_components": 3, "max_epochs": 150, "learning_rate": 3e-3} | STEADY
        params["likelihood"] = "gaussian"  # the noise by row finds something for each to do
        assert vae(**params, linear_path=False).fit(X).active_components_.sum() == 1
        # A linear start gives what is left to components that would have nothing to do.
        assert vae(**params).fit(X).active_components_.all()

    def test_callbacks_are_the_users_own(self):
        seen = []

        class Spy(Callback):
            def __init__(self, name="spy"):
                self.name = name

            def on_epoch_end(self, net, **kwargs):
                seen.append(net.history[-1, "train_kl"])
                net.history.record("extra", 7)

        spy = Spy()
        model = vae(callbacks=[spy, ("lr", LRScheduler("ExponentialLR", gamma=0.1))]).fit(IRIS)
        assert seen == [row["train_kl"] for row in model.history_]
        assert model.history_[0]["extra"] == 7
        assert vars(spy) == {"name": "spy"}
        assert model.net_.optimizer_.param_groups[0]["lr"] < 1e-5

    @pytest.mark.parametrize("verbose", [0, 1, 2])
    def test_verbosity(self, verbose, capsys):
        vae(verbose=verbose).fit(IRIS)
        out, err = capsys.readouterr()
        assert bool(err) == (verbose == 1)
        assert bool(out) == (verbose == 2)
        if verbose == 1:
            assert "epoch 4/4" in err
            assert "kl=" in err
        if verbose == 2:
            assert len(out.strip().splitlines()) == 6
            assert "train_kl" in out


# One row is no factor analysis, nor does it tell which noise many rows need.
IN_CHUNKS = {"learning_rate": 1e-2, "linear_path": False, "likelihood": "gaussian"}


@pytest.fixture(scope="module")
def wanted():
    """The score of a model that was given all rows from the first call on."""
    model = vae(**IN_CHUNKS)
    for _ in range(61):
        model.partial_fit(IRIS)
    return model.score(IRIS)


class TestFirstChunk:
    """What the first call of partial_fit says little of is learnt from a later one."""

    STUCK = np.where(np.arange(4) == 2, 1.5, IRIS)
    SILENT = np.where(np.arange(4) == 2, np.nan, IRIS)

    @pytest.mark.parametrize(
        "first", [IRIS[:1], STUCK, SILENT], ids=["one row", "a stuck sensor", "a silent one"]
    )
    @pytest.mark.parametrize("trip", [False, True], ids=["in memory", "through a file"])
    def test_later_chunks_train_as_well(self, first, trip, wanted, tmp_path):
        model = vae(**IN_CHUNKS).partial_fit(first)
        if trip:
            model.save(tmp_path / "m")
            model = skvae.load(tmp_path / "m")
        for _ in range(60):
            model.partial_fit(IRIS)
        assert model.score(IRIS) > wanted - 0.2
        assert_allclose(model.likelihood_.column_scale, IRIS.std(0), rtol=0.02)

    def test_columns_that_stay_constant_change_nothing(self):
        pieces = vae().partial_fit(self.STUCK).partial_fit(self.STUCK)
        assert_array_equal(weights(pieces), weights(vae(max_epochs=2, **STEADY).fit(self.STUCK)))

    def test_the_value_so_far_counts_for_one_row(self):
        first, second = np.zeros((500, 1)), np.array([[1.0], [3.0]])
        model = vae(likelihood="gaussian").partial_fit(first).partial_fit(second)
        seen = np.append(second, 0.0)
        assert_allclose(model.likelihood_.loc, [seen.mean()])
        assert_allclose(model.likelihood_.column_scale, [seen.std()])

    @pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning")
    def test_missing_values_count_for_no_row(self):
        first, second, third = np.zeros((60, 2)), np.zeros((60, 2)), np.ones((60, 2))
        first[:, 1], second[:, 1], second[:15, 0], third[:45, 1] = np.nan, np.nan, np.nan, np.nan
        third[-1] = 5.0
        model = vae(likelihood="gaussian")
        for chunk in (first, second, third):
            model.partial_fit(chunk)
        # Of more than 100 equal values, one counts.
        expected = [np.append(np.zeros(1), third[:, 0]), third[45:, 1]]
        assert_allclose(model.likelihood_.loc, [column.mean() for column in expected])
        assert_allclose(model.likelihood_.column_scale, [column.std() for column in expected])

    @pytest.mark.parametrize("value", [7.0, [7.0, 9.0] * 10])
    def test_a_column_that_comes_late_starts_at_its_first_values(self, value):
        X = np.ones((20, 2)) * np.arange(20)[:, None]
        late = X.copy()
        X[:, 1], late[:, 1] = np.nan, value
        model = vae(likelihood="gaussian").partial_fit(X).partial_fit(late)
        assert_allclose(model.likelihood_.loc[1], np.mean(value))
        assert_allclose(model.likelihood_.column_scale[1], np.std(value) or 1.0)

    @pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
    @pytest.mark.parametrize("first", [0.0, np.nan])
    def test_counts_that_come_late(self, likelihood, first):
        rng = np.random.default_rng(0)
        size = np.exp(0.5 * rng.normal(size=(400, 1)))
        X = rng.poisson(size * [5.0, 500.0]).astype(float)
        start = X.copy()
        start[:, 1] = first
        model = vae(likelihood=likelihood, learning_rate=1e-2).partial_fit(start)
        for _ in range(10):
            model.partial_fit(X)
        assert_allclose(model.reconstruct(X)[:, 1].mean(), X[:, 1].mean(), rtol=0.2)

    @pytest.mark.parametrize("size", [1, 7])
    def test_few_rows_at_a_time_are_taken_together(self, size):
        model = vae(likelihood="gaussian")
        for start in range(0, 105, size):
            model.partial_fit(IRIS[start : start + size])
        seen = IRIS[:100] if size == 1 else IRIS[:105]
        assert_allclose(model.likelihood_.loc, seen.mean(0))
        assert_allclose(model.likelihood_.column_scale, seen.std(0))

    def test_a_fit_of_few_rows_is_settled(self):
        model = vae(likelihood="gaussian", warm_start=True).fit(IRIS[:20])
        loc = model.likelihood_.loc.clone()
        assert torch.equal(model.partial_fit(IRIS).fit(IRIS).likelihood_.loc, loc)


class TestTerms:
    def test_the_two_terms_make_the_score(self):
        model = vae().fit(DIGITS)
        reconstruction, kl = model.elbo_terms(DIGITS)
        assert_array_equal(reconstruction - kl, model.score_samples(DIGITS))
        assert (kl > 0).all()
        loc, scale = model.posterior(DIGITS)
        exact = 0.5 * (loc**2 + scale**2 - 1 - 2 * np.log(scale)).sum(1)
        assert_allclose(kl, exact)

    @pytest.mark.parametrize("prior", ["normal", "mixture", "vamp", "flow"])
    def test_the_latent_draws_are_those_behind_the_rows(self, prior):
        model = vae(prior=prior).fit(DIGITS)
        Z = model.sample_latent(300, random_state=3)
        assert Z.shape == (300, 2)
        assert Z.dtype == np.float64
        assert_array_equal(model.inverse_transform(Z), model.sample(300, mean=True, random_state=3))
        assert_array_equal(model.sample_latent(5), model.sample_latent(5))
        assert not np.array_equal(model.sample_latent(5), model.sample_latent(5, random_state=1))


class TestForeignNetworks:
    def test_templates_are_not_touched(self):
        encoder, decoder = mlp(64, 12), PixelDecoder(2)
        before = [p.detach().clone() for p in (*encoder.parameters(), *decoder.parameters())]
        model = vae(encoder=encoder, decoder=decoder, image_shape=(8, 8))
        model.encoder = torch.nn.Sequential(torch.nn.Flatten(), encoder)
        model.fit(DIGITS)
        after = [*encoder.parameters(), *decoder.parameters()]
        for old, new in zip(before, after, strict=True):
            assert torch.equal(old, new)
        assert model.reconstruct(DIGITS).shape == DIGITS.shape

    def test_encoder_of_an_image_sees_images(self):
        shapes = []

        class Look(torch.nn.Flatten):
            def forward(self, x):
                shapes.append(tuple(x.shape[1:]))
                return super().forward(x)

        vae(encoder=Look(), image_shape=(4, 8, 2), conv_channels=(3,), max_epochs=1).fit(DIGITS)
        assert set(shapes) == {(2, 4, 8)}


def test_the_posterior_mean_of_one_row_is_that_of_many():
    model = vae().fit(DIGITS)
    rows = np.vstack([model.transform(DIGITS[i : i + 1]) for i in range(20)])
    assert_allclose(rows, model.transform(DIGITS)[:20], rtol=1e-10)


def test_batches_of_one_row_and_the_users_batch_norm():
    norm = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))
    model = vae(encoder=norm, batch_size=49)  # 150 rows: the last batch is of three
    assert np.isfinite(model.fit(IRIS).score(IRIS))
    with pytest.raises(ValueError, match=r"batch_size=149 .*one row.*BatchNorm.*LayerNorm"):
        model.set_params(batch_size=149).fit(IRIS)


def test_what_draws_while_it_trains_does_not_draw_from_the_global_generator():
    """A VampPrior runs the encoder: never in training mode to find out a size."""
    params = {"prior": "vamp", "dropout": 0.2, "normalization": "batch", "max_epochs": 1}
    before = torch.get_rng_state()
    first, second = (vae(**params).fit(IRIS) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert_array_equal(first.transform(IRIS), second.transform(IRIS))
    for one, other in zip(first.net_.module_.buffers(), second.net_.module_.buffers(), strict=True):
        assert torch.equal(one, other)


def test_other_threads_see_the_old_model_until_the_new_one_is_whole():
    small, large = IRIS[:, :3], IRIS
    model = vae(n_components=2).fit(small)
    expected = model.transform(small)
    seen, stop = [], threading.Event()

    def use():
        while not stop.is_set():
            try:
                Z = model.transform(small)
            except ValueError as error:  # of the new one, which takes four columns
                is_new = len(model.kl_per_component_) == 3
                seen.append(is_new and "expecting 4 features" in str(error))
            else:
                seen.append(np.array_equal(Z, expected))
            if not seen[-1]:
                break
            time.sleep(0.002)  # or the fit would hardly have a turn

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        model.set_params(n_components=3, max_epochs=40).fit(large)
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert len(seen) > 3


def test_fitting_does_not_use_the_calling_thread_only():
    """A model can be used from another thread than the one that fitted it."""
    model, out = vae().fit(IRIS), []
    thread = threading.Thread(target=lambda: out.append(model.transform(IRIS)))
    thread.start(), thread.join()
    assert_array_equal(out[0], model.transform(IRIS))
