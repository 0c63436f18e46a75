"""The engine: what it does with bytes, files, callbacks, devices and precision."""

import copy
import warnings

import numpy as np
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, load_iris, load_sample_image
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.image import extract_patches_2d
from skorch.callbacks import Callback
from skorch.history import History
from torch import nn
from torch.overrides import TorchFunctionMode

import skvae
from skvae import UndertrainedWarning, VariationalAutoencoder, _inference
from skvae._data import Rows, sent
from skvae._inference import Inference
from skvae._training import (
    TrainingPlan,
    batches,
    default_epochs,
    devices,
    net,
    undertrained,
)
from skvae.display import ReconstructionDisplay

STEADY = {"learning_rate_schedule": "constant"}
IRIS = load_iris().data
BYTES = (load_digits().data[:200] * 15.9).astype(np.uint8)
PIXELS = BYTES.astype(np.float32) / 255
IMAGE = {"image_shape": (8, 8), "conv_channels": (4,)}


def vae(**params):
    quick = {"max_epochs": 3, "hidden_layer_sizes": (16,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


class TestBytes:
    @pytest.mark.parametrize(
        "params",
        [
            {"likelihood": "bernoulli"},
            {"likelihood": "continuous_bernoulli"},
            {**IMAGE},
            {**IMAGE, "likelihood": skvae.likelihoods.Bernoulli()},
        ],
        ids=str,
    )
    @pytest.mark.parametrize(
        "container", [np.asarray, scipy.sparse.csr_matrix], ids=["array", "CSR"]
    )
    def test_images_of_bytes_are_their_floats(self, params, container):
        """The same bits as for X / 255 in everything that comes out."""
        X = container(BYTES)
        of_bytes, of_floats = vae(**params).fit(X), vae(**params).fit(PIXELS)
        assert (of_bytes.unit_, of_floats.unit_) == (255.0, 1.0)
        assert of_bytes.history_[-1]["train_loss"] == of_floats.history_[-1]["train_loss"]
        for verb in ("transform", "reconstruct", "score_samples"):
            assert_array_equal(getattr(of_bytes, verb)(X), getattr(of_floats, verb)(PIXELS))
        assert_array_equal(of_bytes.transform(X), of_bytes.transform(PIXELS))
        assert_array_equal(of_bytes.sample(5), of_floats.sample(5))
        assert of_bytes.reconstruct(X).max() <= 1

    @pytest.mark.parametrize(
        ("X", "params", "likelihood"),
        [
            (BYTES, {}, "StudentT"),  # a table of counts
            (BYTES, {"likelihood": "poisson"}, "Poisson"),
            (BYTES > 100, {**IMAGE}, "Bernoulli"),
            ((BYTES > 100).astype(np.uint8), {**IMAGE}, "Bernoulli"),
            (BYTES.astype(np.int64), {**IMAGE}, "Gaussian"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:The images in X hold values from 0 to 254")
    def test_other_rows_are_taken_as_they_are(self, X, params, likelihood):
        model = vae(**params).fit(X)
        assert model.unit_ == 1.0
        assert type(model.likelihood_).__name__ == likelihood

    def test_black_and_white_bytes_are_binary(self):
        model = vae(**IMAGE).fit(np.where(BYTES > 100, 255, 0).astype(np.uint8))
        assert type(model.likelihood_).__name__ == "Bernoulli"

    def test_what_bytes_mean_is_decided_once(self, tmp_path):
        dark = np.ones((3, 64), np.uint8)
        model = vae(likelihood="bernoulli").fit(BYTES)
        expected = model.transform(dark.astype(np.float32) / 255)
        assert_array_equal(model.transform(dark), expected)
        model.save(tmp_path / "model")
        assert_array_equal(skvae.load(tmp_path / "model").transform(dark), expected)
        assert copy.deepcopy(model).partial_fit(dark).unit_ == 255.0

    @pytest.mark.parametrize("params", [{**IMAGE}, {"likelihood": "continuous_bernoulli"}], ids=str)
    def test_missing_pixels(self, params):
        """Bytes some of which are masked, or null, are their floats, too."""
        gone = np.random.default_rng(0).random(BYTES.shape) < 0.2
        gone[0] = False
        masked, shares = np.ma.array(BYTES, mask=gone), np.where(gone, np.float32(np.nan), PIXELS)
        of_bytes, of_floats = vae(**params).fit(masked), vae(**params).fit(shares)
        assert (of_bytes.unit_, of_floats.unit_) == (255.0, 1.0)
        assert of_bytes.history_[-1]["train_loss"] == of_floats.history_[-1]["train_loss"]
        for X in (masked, list(masked)):
            for verb in ("transform", "reconstruct", "score_samples"):
                assert_array_equal(getattr(of_bytes, verb)(X), getattr(of_floats, verb)(shares))
        frame = pl.DataFrame(
            [pl.Series(str(i), column.tolist(), pl.UInt8) for i, column in enumerate(masked.T)]
        )
        of_frame = vae(**params).fit(frame)
        assert of_frame.unit_ == 255.0
        assert_allclose(of_frame.reconstruct(frame), of_floats.reconstruct(shares), atol=1e-3)
        model = copy.deepcopy(of_bytes).partial_fit(masked)
        assert np.isfinite(model.score(masked))

    def test_pictures_show_both_in_the_same_units(self):
        model = vae(**IMAGE).fit(BYTES)
        display = ReconstructionDisplay.from_estimator(model, BYTES, n_images=4)
        assert_allclose(display.originals, PIXELS[: len(display.originals)], rtol=1e-6)


class TestFiles:
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
    def test_a_mapped_file_is_its_array(self, tmp_path, dtype):
        X = BYTES if dtype == np.uint8 else PIXELS.astype(dtype)
        np.save(tmp_path / "x.npy", X)
        file = np.load(tmp_path / "x.npy", mmap_mode="r")
        of_file, of_array = vae(**IMAGE).fit(file), vae(**IMAGE).fit(X)
        assert_array_equal(of_file.transform(file), of_array.transform(X))
        assert_array_equal(of_file.score_samples(file), of_array.score_samples(X))

    def test_a_mapped_file_with_infinities_is_refused(self, tmp_path):
        np.save(tmp_path / "x.npy", np.where(PIXELS.max() == PIXELS, np.inf, PIXELS))
        with pytest.raises(ValueError, match="Input X contains"):
            vae().fit(np.load(tmp_path / "x.npy", mmap_mode="r"))


def spy(heard):
    """Return a callback that notes what it hears; its own attributes are copied in every fit."""

    class Spy(Callback):
        def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
            heard.append((training, float(loss), len(batch[0]["batch"].x)))

        def on_grad_computed(self, net, named_parameters, **kwargs):
            heard.extend(name for name, p in named_parameters if p.grad is None)

        def on_epoch_end(self, net, **kwargs):
            losses = net.history[-1, "batches", :, "train_loss"]
            sizes = net.history[-1, "batches", :, "train_batch_size"]
            heard.append(np.average(losses, weights=sizes) - net.history[-1, "train_loss"])

    return Spy()


def outcome(history, i):
    try:
        return history[i]
    except (IndexError, KeyError) as error:
        return type(error)


class NoSync(TorchFunctionMode):
    """Refuses what waits for a device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        assert name not in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__")
        return func(*args, **(kwargs or {}))


class TestSteps:
    def test_callbacks_hear_every_step(self):
        heard = []
        vae(max_epochs=1, callbacks=[spy(heard)], early_stopping=True).fit(IRIS)
        steps, (difference,) = heard[:-1], heard[-1:]
        assert [(training, n) for training, _, n in steps] == [(True, 128), (True, 7), (False, 15)]
        assert difference == pytest.approx(0, abs=1e-4)

    def test_a_callback_may_have_its_methods_on_itself(self):
        heard = []
        spy = Callback()
        spy.on_batch_begin = lambda net, **kwargs: heard.append(kwargs["training"])
        model = vae(max_epochs=1)
        net = model.fit(IRIS).net_
        net.callbacks_.append(("spy", spy))
        net.listeners_.clear()
        net.partial_fit(Rows(IRIS.astype(np.float32)))
        assert heard == [True, True]

    @pytest.mark.parametrize("params", [{}, IMAGE, {"objective": "iwae"}, {"gradient_clip": 1.0}])
    def test_a_step_reads_nothing_back(self, params):
        model = vae(max_epochs=1, **params).fit(PIXELS)
        net = model.net_
        net.notify("on_train_begin", X=Rows(PIXELS))
        net.notify("on_epoch_begin")
        batch = next(iter(net.get_iterator(Rows(PIXELS), training=True)))
        with NoSync():
            for _ in range(3):
                net.notify("on_batch_begin", batch=batch, training=True)
                net.train_step(batch)
        assert np.isfinite(net.epoch_means()["train_loss"])

    def test_sums_are_those_of_all_batches(self):
        model = vae(max_epochs=1, batch_size=1).fit(IRIS)
        losses = []

        class Losses(Callback):
            def on_batch_end(self, net, loss=None, **kwargs):
                losses.append(float(loss))

        model = vae(max_epochs=1, batch_size=1, callbacks=[Losses()]).fit(IRIS)
        assert len(losses) == 150
        assert model.history_[0]["train_loss"] == pytest.approx(np.mean(losses), rel=1e-6)

    def test_the_history_finds_what_that_of_skorch_finds(self):
        """Callbacks read it by epoch, name and batch; whether there is such a thing, too."""
        epochs = [{"epoch": i, "dur": i / 2} | ({"late": i} if i else {}) for i in range(3)]
        ours, theirs = net.Epochs.after(epochs), History({**e, "batches": []} for e in epochs)
        for history in (ours, theirs):
            history.new_batch()
            history.record_batch("train_loss", 1.5)
        asked = [0, -1, 3, -4, slice(1, None), (-1, "dur"), (slice(None), "late"), (0, "late")]
        asked += [(-1, "batches", -1, "train_loss"), (slice(None), "batches"), (slice(None), "no")]
        for i in asked:
            assert outcome(ours, i) == outcome(theirs, i), i
        assert ours[0] is list.__getitem__(ours, 0)

    def test_a_user_may_freeze_a_part_for_a_whole_epoch(self):
        """The mode is set where it changes, not in every step."""
        seen = []

        class Freeze(Callback):
            def on_batch_begin(self, net, training=None, **kwargs):
                net.module_.encoder.eval()

            def on_batch_end(self, net, **kwargs):
                seen.append(net.module_.encoder.training)

        vae(max_epochs=1, callbacks=[Freeze()]).fit(IRIS)
        assert seen == [False, False]

    @pytest.mark.parametrize("store", [batches.Streamed, batches.Resident])
    def test_a_callback_may_draw_the_rows_of_an_epoch_anew(self, monkeypatch, store):
        """As papers do that turn grey pixels into black and white ones."""
        monkeypatch.setattr(batches, "store", store)
        seen = []

        class Draw(Callback):
            def on_epoch_begin(self, net, dataset_train=None, **kwargs):
                dataset_train.X = np.full_like(dataset_train.X, len(net.history))

            def on_batch_begin(self, net, batch=None, **kwargs):
                seen.append(set(batch[0]["batch"].x.unique().tolist()))

        vae(max_epochs=3, batch_size=150, callbacks=[Draw()]).fit(IRIS)
        assert seen == [{1.0}, {2.0}, {3.0}]


class TestPrecision:
    @pytest.mark.parametrize("has", [True, False])
    @pytest.mark.parametrize(("params", "convolves"), [({}, False), (IMAGE, True)])
    def test_auto_is_bfloat16_for_convolutions_where_there_is(
        self, monkeypatch, has, params, convolves
    ):
        monkeypatch.setattr(devices, "has_bfloat16", lambda device: has)
        assert vae(max_epochs=1, **params).fit(PIXELS).net_.bfloat16 is (has and convolves)
        for precision in ("float32", "bfloat16"):
            net = vae(max_epochs=1, precision=precision, **params).fit(PIXELS).net_
            assert net.bfloat16 is (precision == "bfloat16")

    @pytest.mark.parametrize("has_amx", [True, False])
    def test_auto_is_bfloat16_for_large_layers_where_it_pays(self, monkeypatch, has_amx):
        known = {"avx512_bf16": True, "amx_bf16": has_amx}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
        large, small = (
            vae(max_epochs=1, hidden_layer_sizes=width).fit(PIXELS).net_.module_
            for width in (2**17 // 64, 2**17 // 64 - 1)
        )
        precisions = [
            devices.resolve_precision("auto", "cpu", model, compiled)
            for model in (large, small)
            for compiled in (True, False)
        ]
        # Steps that are not compiled lose with AMX in conversions what they gain in products.
        uncompiled = "float32" if has_amx else "bfloat16"
        assert precisions == ["bfloat16", uncompiled, "float32", "float32"]

    def test_convolutions_of_the_user_are_left_in_float32(self, monkeypatch):
        monkeypatch.setattr(devices, "has_bfloat16", lambda device: True)
        encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Flatten())
        assert vae(max_epochs=1, encoder=encoder, **IMAGE).fit(PIXELS).net_.bfloat16 is False

    @pytest.mark.parametrize(
        ("capabilities", "expected"),
        [
            ({"amx_bf16": True}, True),
            ({"avx512_bf16": True}, True),
            ({"avx2": True}, False),
            ({}, False),
        ],
    )
    def test_the_processor_is_asked(self, monkeypatch, capabilities, expected):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
        assert devices.has_bfloat16("cpu") is expected

    def test_an_older_torch_that_cannot_say_means_float32(self, monkeypatch):
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        assert devices.has_bfloat16("cpu") is False

    def test_auto_ends_near_float32(self):
        scores = [
            vae(max_epochs=15, precision=precision, **IMAGE).fit(PIXELS).score(PIXELS)
            for precision in ("auto", "float32")
        ]
        assert scores[0] == pytest.approx(scores[1], abs=0.5)


def history(bound):
    """Return the history of epochs with these bounds, all of it reconstruction."""
    return [{"train_loss": -b, "train_reconstruction": b, "train_kl": 0.0} for b in bound]


def verdict(bound, n_epochs=None, n_rows=300, **params):
    """Return what is said of a curve of epochs over so many rows."""
    params = VariationalAutoencoder().get_params() | {"max_epochs": len(bound), **params}
    plan = TrainingPlan.of(params, objective=None, seed=0)
    budget = default_epochs(n_rows, plan.batch_size)
    return undertrained(history(bound), n_epochs or len(bound), plan, budget)


EPOCHS = np.arange(1, 31)
LINE = 1.0 * EPOCHS


class TestUndertrained:
    @pytest.mark.parametrize(
        "bound",
        [LINE, EPOCHS**2.0, 100 * (1 - np.exp(-EPOCHS / 20)), LINE + np.cos(EPOCHS)],
        ids=["line", "parabola", "slow saturation", "noisy line"],
    )
    def test_steep_curves(self, bound):
        assert 'Try max_epochs="auto", here 1000 epochs' in verdict(bound)

    @pytest.mark.parametrize(
        "bound",
        [
            100 * (1 - np.exp(-EPOCHS / 5)), 100 * np.log(EPOCHS), 0 * LINE, -LINE, 0.05 * LINE,
            0.1 * LINE + 10 * np.random.RandomState(0).randn(30),
        ],
        ids=["saturated", "logarithm", "flat", "falling", "less than a nat", "noise"],
    )  # fmt: skip
    def test_level_curves(self, bound):
        assert verdict(bound) is None

    def test_the_second_half_is_reported(self):
        assert "by 13 nats per row over the second half of 30 epochs" in verdict(LINE)

    def test_a_budget_of_steps_must_go_too(self):
        assert 'max_epochs="auto" and max_steps=None' in verdict(LINE, max_steps=30)

    def test_fits_that_were_stopped_or_have_the_budget_or_no_curve_are_not_judged(self):
        assert verdict(LINE, n_epochs=29) is None
        assert "here 33 epochs" in verdict(LINE, n_rows=70_000)
        assert verdict(LINE, n_rows=100_000) is None  # 29 epochs are the budget
        assert verdict(LINE[:5]) is None
        assert verdict(LINE[:6]) is not None

    def test_earlier_calls_count(self):
        converged = np.r_[np.linspace(-100, 0, 10), np.linspace(0, 10, 30)]
        assert verdict(converged, n_epochs=10, max_epochs=10) is None

    def test_the_weight_of_the_kl_is_no_rise(self):
        falling = [row | {"train_loss": -b} for row, b in zip(history(-LINE), LINE, strict=True)]
        plan = TrainingPlan.of({"max_epochs": 30, "batch_size": 128}, objective=None, seed=0)
        assert undertrained(falling, 30, plan, 750) is None

    def test_few_epochs_of_images_are_announced(self):
        photo = load_sample_image("china.jpg")
        patches = extract_patches_2d(photo, (8, 8), max_patches=600, random_state=0)
        image = {"image_shape": (8, 8, 3), "conv_channels": (4,)}
        model = VariationalAutoencoder(8, **image, max_epochs=10, random_state=0)
        with pytest.warns(UndertrainedWarning, match='"auto", here 600 epochs') as caught:
            model.fit(patches.reshape(600, -1))
        assert issubclass(UndertrainedWarning, ConvergenceWarning)
        assert [warning.filename for warning in caught] == [__file__]

    @pytest.mark.parametrize(
        "params",
        [
            {"max_epochs": 300},
            {"max_epochs": 100, "early_stopping": True, "n_iter_no_change": 1, "tol": 10.0},
            {"max_epochs": 5},
        ],
    )
    def test_other_fits_are_silent(self, params):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UndertrainedWarning)
            vae(**params).fit(IRIS)

    def test_partial_fit_is_silent(self):
        model = vae()
        with warnings.catch_warnings():
            warnings.simplefilter("error", UndertrainedWarning)
            for _ in range(10):
                model.partial_fit(IRIS)


class TestWideLayers:
    WIDE = np.random.RandomState(0).rand(40, 8192).astype(np.float32)

    @staticmethod
    def rates(model):
        """Return learning rate and weight decay of every parameter, by its name."""
        net = model.net_
        found = {
            id(parameter): (group["lr"], group["weight_decay"])
            for group in net.optimizer_.param_groups
            for parameter in group["params"]
        }
        return {name: found[id(p)] for name, p in net.module_.named_parameters()}

    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
    @pytest.mark.parametrize("weight_decay", [0.0, 0.1])
    def test_learn_in_proportion_to_their_inputs(self, optimizer, weight_decay):
        params = {"optimizer": optimizer, "weight_decay": weight_decay, "learning_rate": 1e-4}
        params |= {"linear_path": False} | STEADY
        rates = self.rates(vae(max_epochs=1, **params).fit(self.WIDE))
        for name, (rate, decay) in rates.items():
            share = 0.5 if name == "encoder.body.0.weight" else 1.0
            assert rate == 1e-4 * share
            assert decay == weight_decay * name.endswith("weight")

    def test_a_schedule_keeps_the_proportion(self):
        model = vae(learning_rate_schedule="cosine", max_epochs=4, linear_path=False).fit(self.WIDE)
        rates = self.rates(model)
        assert rates["encoder.body.0.weight"][0] == rates["encoder.body.0.bias"][0] / 2 > 0

    def test_one_group_does_where_no_layer_is_wide(self):
        assert len(vae(max_epochs=1).fit(IRIS).net_.optimizer_.param_groups) == 1

    def test_a_first_step_does_not_throw_z_out_of_the_prior(self, monkeypatch):
        rng = np.random.RandomState(0)
        X = rng.randn(128, 1) @ rng.randn(1, 8192)

        def second_step():
            return vae(max_steps=2, max_epochs="auto").fit(X).history_[0]["train_loss"]

        mended = second_step()
        monkeypatch.setattr(net, "WIDE", np.inf)
        assert mended < second_step() / 5


class WritesToItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 8)

    def forward(self, x):
        return self.layer(x.sub_(0.5).abs_())


class TestInference:
    def test_batches_are_sized_by_what_one_row_takes(self, monkeypatch):
        seen = []
        budget = 10 * 8 * 8 * 4 * 4
        monkeypatch.setitem(_inference.ACTIVATION_BYTES, "cpu, large", budget)
        model = vae(**IMAGE).fit(PIXELS)
        whole = model.inverse_transform(np.zeros((100, 2), np.float32))
        model.decoder_.register_forward_pre_hook(lambda m, args: seen.append(len(args[0])))
        assert_array_equal(model.inverse_transform(np.zeros((100, 2), np.float32)), whole)
        assert set(seen) == {1, 10}  # 8 × 8 pixels of 4 channels and 4 bytes are the widest
        seen.clear()
        model.inverse_transform(np.zeros((20, 2), np.float32))
        assert seen == [20]
        # Without convolutions it is another number: the widest layer is that of 64 pixels.
        monkeypatch.setitem(_inference.ACTIVATION_BYTES, "cpu", 7 * 64 * 4)
        model = vae(hidden_layer_sizes=(8,)).fit(PIXELS)
        model.decoder_.register_forward_pre_hook(lambda m, args: seen.append(len(args[0])))
        model.inverse_transform(np.zeros((100, 2), np.float32))
        assert max(seen[1:]) == 7

    def test_rows_survive_an_encoder_that_writes_to_its_input(self):
        X = PIXELS.copy()
        model = vae(encoder=WritesToItsInput(), likelihood="bernoulli").fit(X)
        model.transform(X)
        assert_array_equal(X, PIXELS)

    def test_a_model_that_changes_is_converted_anew(self):
        model = vae().fit(IRIS)
        before = model.transform(IRIS)
        assert_array_equal(model.transform(IRIS), before)
        with torch.no_grad():
            model.encoder_.head.moments.bias[:2] += 1.0
        assert_allclose(model.transform(IRIS), before + 1, atol=1e-6)
        assert not any(p.dtype == torch.float64 for p in model.net_.module_.parameters())

    def test_the_converted_copy_goes_with_the_model(self):
        model = vae().fit(IRIS)
        model.transform(IRIS)
        n_known = len(_inference._CONVERTED)
        del model
        assert len(_inference._CONVERTED) < n_known or n_known == 0

    def test_draws_do_not_depend_on_how_sizes_are_found(self, monkeypatch):
        """Looking at one row first takes no random number from those of the draws."""
        model = vae().fit(PIXELS)
        inference = Inference(model.net_.module_, np.float32, "cpu")
        drawn = []
        for few in (1, 1000):
            monkeypatch.setattr(_inference, "FEW_ROWS", few)
            monkeypatch.setitem(_inference.ACTIVATION_BYTES, "cpu", 2**30)
            generator = torch.Generator().manual_seed(0)
            z = Rows(inference.sample_latent(40, generator))
            drawn.append(inference.sample(z, False, generator))
        assert_array_equal(*drawn)


class TestDevices:
    def test_a_model_of_another_machine_goes_on(self):
        model = vae().fit(IRIS)
        model.device = "cuda"  # as in a file that was saved where there is one
        with pytest.warns(
            UserWarning, match="device='cuda' is not available here, so the model is on the CPU"
        ):
            model.partial_fit(IRIS)
        assert model.n_iter_ == 4
        with pytest.raises(ValueError, match="device='cuda' cannot be used here"):
            model.fit(IRIS)

    def test_only_hardware_that_was_asked_has_bfloat16(self):
        assert not devices.has_bfloat16("xpu")

    def test_losses_of_batches_are_numbers_in_the_end(self):
        """Also where the device has kept them until then."""
        kept = {}

        class Device(Callback):
            def on_batch_end(self, net, training=False, loss=None, **kwargs):
                name = "train_loss" if training else "valid_loss"
                kept.setdefault(name, []).append(loss.item())
                net.history[-1]["batches"][-1][name] = loss

        class Reader(Callback):
            def on_epoch_end(self, net, **kwargs):
                for name, losses in kept.items():
                    batches = net.history[-1]["batches"]
                    assert [row[name] for row in batches if name in row] == losses
                kept.clear()

        vae(callbacks=[Device(), Reader()], early_stopping=True).fit(IRIS)

    def test_batches_are_halved_where_there_is_no_memory(self, monkeypatch):
        model = vae().fit(IRIS)
        expected = model.transform(IRIS)
        sizes, most = [], 40
        posterior = Inference._posterior

        def small(self, batch):
            sizes.append(len(batch.x))
            if len(batch.x) > most:
                raise torch.OutOfMemoryError("no memory")
            return posterior(self, batch)

        monkeypatch.setattr(Inference, "_posterior", small)
        assert_allclose(model.transform(IRIS), expected, rtol=1e-12)
        assert sizes == [1, 150, 75, 37, 38, 75, 37, 38]
        most = 0
        with pytest.raises(torch.OutOfMemoryError):
            model.transform(IRIS)


class TestStores:
    @pytest.mark.parametrize(
        "container",
        [np.asarray, np.asfortranarray, scipy.sparse.csr_matrix],
        ids=["array", "Fortran", "CSR"],
    )
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
    def test_rows_on_the_device_are_those_that_travel(self, container, dtype):
        """With what is beside them, and in the type in which they came."""
        index = np.array([3, 3, 49, 0, 12])
        context = np.arange(400.0).reshape(200, 2)
        rows = Rows(container(BYTES.astype(dtype)), index, np.arange(5.0), 255.0, context)
        positions = torch.tensor([4, 0, 2])
        streamed, resident = (kind(rows, "cpu") for kind in (batches.Streamed, batches.Resident))
        for one, other in zip(streamed.take(positions), resident.take(positions), strict=True):
            assert one == other if not isinstance(one, torch.Tensor) else torch.equal(one, other)
        assert_array_equal(resident.take(positions).context, context[[12, 3, 49]])
        assert resident.raw.dtype == torch.from_numpy(np.empty(0, rows.raw_dtype)).dtype

    @pytest.mark.parametrize(("few", "kind"), [(3200, "Resident"), (3199, "Streamed")])
    def test_few_rows_are_copied(self, monkeypatch, few, kind):
        monkeypatch.setattr(batches, "FEW_BYTES", few)
        store = batches.store(Rows(np.zeros((100, 8), np.float32)), "cpu")
        assert type(store) is getattr(batches, kind)

    def test_a_gpu_fetches_rows_from_pinned_memory(self):
        class Pinned:
            def to(self, device, non_blocking=False):
                return device, non_blocking

        class OfTheCpu:
            def pin_memory(self):
                return Pinned()

        assert sent(OfTheCpu(), "cuda:1") == ("cuda:1", True)
        rows = torch.ones(3, 2)
        assert sent(rows, "cpu") is rows
