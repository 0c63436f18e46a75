"""Bad input: the message names the argument, what it got and the cure; state survives."""

import pickle
import re
import signal

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import Interval
from skorch.callbacks import Callback

import skvae
from skvae import VariationalAutoencoder
from skvae._inference import Inference
from skvae._training import whole_step
from skvae.likelihoods import ContinuousBernoulli, Gaussian
from skvae.objectives import ELBO

IRIS = load_iris().data


def vae(**params):
    quick = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


@pytest.fixture
def fitted():
    return vae().fit(IRIS)


def observed(model):
    """Everything a user can see of a fitted model."""
    public = {k: v for k, v in vars(model).items() if k.endswith("_") and k != "net_"}
    return pickle.dumps([public, model.transform(IRIS), model.score(IRIS), model.sample(3)])


def with_value(value):
    X = IRIS.copy()
    X[3, 1] = value
    return X


PARAMETERS = [
    *[("n_components", v) for v in (0, -1, 1.5, "two", None)],
    *[("image_shape", v) for v in (4, "2x2", (2,), (0, 4), (2.0, 2.0), (-1, -1), (1, 1, 4, 1))],
    *[("hidden_layer_sizes", v) for v in (0, (8, 0), (8, -1), (2.5,), "big")],
    *[("conv_channels", v) for v in (None, 8, "many")],
    *[("conv_block", v) for v in ("dense", None)],
    *[("activation", v) for v in ("step", None)],
    *[("normalization", v) for v in ("group", 1)],
    *[("dropout", v) for v in (-0.1, 1.0, None)],
    *[("linear_path", v) for v in (None, "always", 0.5)],
    *[("encoder", v) for v in ("conv", 3)],
    *[("decoder", v) for v in ("conv", 3)],
    *[("likelihood", v) for v in ("normal", 3, None)],
    *[("prior", v) for v in ("gaussian", 3, None)],
    *[("posterior_family", v) for v in ("normal", 3, None)],
    *[("objective", v) for v in ("iwa", 3, None)],
    *[("beta", v) for v in (-0.1, "one", None)],
    *[("kl_warmup_epochs", v) for v in (-1, 0.5)],
    *[("free_bits", v) for v in (-1.0, "some")],
    *[("max_epochs", v) for v in (0, 2.5, "many", None)],
    *[("max_steps", v) for v in (0, 2.5, "many", True)],
    *[("batch_size", v) for v in (0, 1.5, None)],
    *[("learning_rate", v) for v in (0.0, -1.0, "fast")],
    *[("learning_rate_schedule", v) for v in ("linear", None)],
    *[("weight_decay", v) for v in (-0.1, None)],
    *[("gradient_clip", v) for v in (0.0, "norm")],
    *[("optimizer", v) for v in ("newton", None)],
    *[("early_stopping", v) for v in ("yes", 2)],
    *[("validation_fraction", v) for v in (0.0, 1.0, "tenth")],
    *[("n_iter_no_change", v) for v in (0, 1.5)],
    *[("tol", v) for v in (-1.0, None)],
    *[("callbacks", v) for v in (Callback(), "spy")],
    *[("warm_start", v) for v in ("no", None)],
    *[("random_state", v) for v in (-1, "dice")],
    *[("verbose", v) for v in (-1, "loud")],
    *[("device", v) for v in (3, None)],
    *[("precision", v) for v in ("float16", None)],
    *[("compile", v) for v in ("yes", None)],
]


def test_every_parameter_has_a_case():
    assert {name for name, _ in PARAMETERS} == set(VariationalAutoencoder().get_params())


@pytest.mark.parametrize(
    ("name", "value"), PARAMETERS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(PARAMETERS)]
)
def test_parameters(name, value, fitted):
    before = observed(fitted)
    with pytest.raises((ValueError, TypeError), match=name):
        clone(fitted).set_params(**{name: value}).fit(IRIS)
    fitted.set_params(**{name: value})
    with pytest.raises((ValueError, TypeError), match=name):
        fitted.fit(IRIS)
    fitted.set_params(**vae().get_params())
    assert observed(fitted) == before


NUMBERS = {
    "n_components": 2, "hidden_layer_sizes": 8, "dropout": 0.1, "beta": 1.5, "free_bits": 0.1,
    "kl_warmup_epochs": 1, "max_epochs": 2, "max_steps": 3, "batch_size": 50, "tol": 1e-3,
    "learning_rate": 1e-3, "weight_decay": 0.1, "gradient_clip": 1.0, "n_iter_no_change": 3,
    "validation_fraction": 0.3,
}  # fmt: skip


def test_every_number_has_a_case():
    is_number = {
        name
        for name, constraints in VariationalAutoencoder._parameter_constraints.items()
        if any(isinstance(constraint, Interval) for constraint in constraints)
    }
    assert is_number == set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [True, np.True_], ids=repr)
def test_a_boolean_is_no_number(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        vae(**{name: value}).fit(IRIS)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_numpy_is_that_number(name, tmp_path):
    """As RandomizedSearchCV draws them."""
    value = NUMBERS[name]
    types = (np.int64, np.int32, np.uint8) if isinstance(value, int) else (np.float64, np.float32)
    params = {"early_stopping": True, "max_epochs": 2}
    for of_numpy in types:
        model = vae(**(params | {name: of_numpy(value)})).fit(IRIS)
        plain = vae(**(params | {name: of_numpy(value).item()})).fit(IRIS)
        assert_array_equal(model.transform(IRIS), plain.transform(IRIS))
        model.save(tmp_path / "m")
        assert_array_equal(skvae.load(tmp_path / "m").transform(IRIS), plain.transform(IRIS))


def test_sizes_may_be_of_numpy():
    params = {"image_shape": np.array([2, 2]), "conv_channels": np.array([3])}
    assert vae(**params, max_epochs=1).fit(IRIS / 10).n_iter_ == 1
    with pytest.raises(ValueError, match="conv_channels"):
        vae(**(params | {"conv_channels": [True]})).fit(IRIS / 10)


X_CASES = [
    (with_value(np.inf), "X contains infinity"),
    (IRIS[:0], "0 sample"),
    (IRIS[:, :0], "0 feature"),
    (IRIS.astype(complex), "Complex data not supported"),
    (np.array([["a", "b"]] * 5, dtype=object), "X must hold numbers: .*Encode strings"),
    (np.array([["a", "b"]] * 5), "X must hold numbers: .*Encode strings"),
    (IRIS[:, 0], r"(?s)Expected 2D array.*reshape"),
    (5.0, "Expected 2D array"),
    (IRIS.reshape(-1, 2, 2), r"X\.reshape\(len\(X\), -1\).*image_shape=\(2, 2\)"),
    (IRIS.reshape(-1, 2, 2, 1), r"X\.reshape\(len\(X\), -1\).*image_shape=\(2, 2, 1\)"),
    (IRIS.reshape(-1, 2, 2).tolist(), r"X\.reshape\(len\(X\), -1\).*image_shape=\(2, 2\)"),
]


@pytest.mark.parametrize(("X", "message"), X_CASES)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "transform", "score_samples"])
def test_rows(X, message, method, fitted):
    before = observed(fitted)
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(fitted, method)(X)
    assert observed(fitted) == before


@pytest.mark.parametrize(
    "method", ["partial_fit", "transform", "posterior", "reconstruct", "score", "score_samples"]
)
def test_columns(method, fitted):
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 4 features"):
        getattr(fitted, method)(IRIS[:, :3])


def test_columns_of_z(fitted):
    with pytest.raises(ValueError, match="Z has 3 columns, but the model has 2 components"):
        fitted.inverse_transform(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="Input Z contains NaN"):
        fitted.inverse_transform(np.full((1, 2), np.nan))


@pytest.mark.parametrize("likelihood", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "score", "score_samples"])
def test_support(likelihood, method):
    X = IRIS / 10
    model = vae(likelihood=likelihood).fit(X)
    before = pickle.dumps(model.transform(X))
    message = r"X must hold values between 0 and 1 .*Bernoulli.* 0\.1 to 7\.9.*MinMaxScaler"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(IRIS)
    assert pickle.dumps(model.transform(X)) == before


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 3), r"image_shape=\(3, 3\) holds 9 values, but X has 4 columns"),
        ((2, 2, 3), r"holds 12 values, but X has 4 columns"),
        ((3, -1), r"holds a multiple of 3 values, but X has 4 columns"),
    ],
)
def test_image_shape(shape, message):
    with pytest.raises(ValueError, match=message):
        vae(image_shape=shape).fit(IRIS)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"encoder": torch.nn.Linear(5, 3)}, r"encoder could not take a batch of shape \(2, 4\)"),
        ({"encoder": torch.nn.Unflatten(1, (2, 2))}, r"encoder must return .*\(n, 2, 2\).*Flatten"),
        ({"encoder": torch.nn.Flatten(0)}, r"encoder must return one tensor.*\(8,\)"),
        ({"encoder": torch.nn.LSTM(4, 3)}, "encoder must return one tensor.*tuple"),
        ({"decoder": torch.nn.Linear(3, 3)}, r"decoder could not take a batch of shape \(2, 2\)"),
        ({"decoder": torch.nn.Unflatten(1, (2, 1))}, r"decoder must return .*\(n, 2, 1\)"),
        (
            {"decoder": torch.nn.Unflatten(1, (2, 1, 1)), "image_shape": (2, 2)},
            r"decoder must return .*\(n, n_out\) or \(n, channels, 2, 2\), got \(n, 2, 1, 1\)",
        ),
    ],
)
def test_networks_of_the_wrong_size(params, message):
    with pytest.raises(ValueError, match=message):
        vae(**params).fit(IRIS)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"likelihood": Gaussian(scale="wide")}, "scale of Gaussian is 'wide'"),
        ({"likelihood": Gaussian(scale=0.0)}, "scale of Gaussian is 0.0"),
        ({"likelihood": Gaussian(scale=-1)}, "scale of Gaussian is -1"),
        ({"likelihood": Gaussian(min_scale=0.0)}, "min_scale of Gaussian is 0.0"),
        ({"likelihood": ContinuousBernoulli(max_logit=0.0)}, "max_logit of .* is 0.0"),
        ({"objective": ELBO(), "beta": 2.0}, "beta=2.0 has no effect .*objective__beta"),
        ({"objective": ELBO(), "free_bits": 1.0}, "free_bits=1.0 has no effect"),
    ],
)
def test_parts(params, message):
    with pytest.raises(ValueError, match=message):
        vae(**params).fit(IRIS / 10)


def test_parts_know_their_parameters():
    with pytest.raises(ValueError, match="Gaussian has no parameter 'sigma'"):
        vae(likelihood=Gaussian()).set_params(likelihood__sigma=1)


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_for_early_stopping(n):
    model = vae(early_stopping=True, validation_fraction=0.9)
    with pytest.raises(
        ValueError, match=rf"early_stopping=True .*X has {n} row.*early_stopping=False"
    ):
        model.fit(IRIS[:n])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(150), "sample_weight holds only zeros"),
        (np.full(150, -1.0), "sample_weight.*non-negative|Negative values"),
        (np.ones(3), r"sample_weight"),
        (np.full(150, np.nan), "sample_weight contains NaN"),
    ],
)
def test_weights(weight, message, fitted):
    before = observed(fitted)
    with pytest.raises(ValueError, match=message):
        fitted.fit(IRIS, sample_weight=weight)
    assert observed(fitted) == before


class TestNonFiniteLoss:
    @pytest.mark.parametrize("warm_start", [False, True])
    def test_epoch_and_cause_are_named(self, warm_start, fitted):
        before = observed(fitted)
        fitted.set_params(
            learning_rate=1e30, optimizer="adam", warm_start=warm_start, max_epochs=50
        )
        with pytest.raises(ValueError, match=r"loss became .* in epoch \d+.*learning_rate=1e\+30"):
            fitted.fit(IRIS)
        fitted.set_params(**vae().get_params())
        assert observed(fitted) == before

    @pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
    def test_the_weights_after_the_last_step_count(self, optimizer):
        """An epoch's loss is that before its steps: one of one step says nothing of its end."""
        model = vae(max_epochs=1, batch_size=150, optimizer=optimizer, learning_rate=1e30)
        with pytest.raises(ValueError, match=r"loss became .* in epoch 1.*learning_rate=1e\+30"):
            model.fit(IRIS)

    def test_an_unfitted_estimator_stays_unfitted(self):
        model = vae(learning_rate=1e30, max_epochs=50)
        with pytest.raises(ValueError, match="learning_rate"):
            model.fit(IRIS)
        with pytest.raises(NotFittedError):
            model.transform(IRIS)
        assert vars(model) == model.get_params(deep=False)


@pytest.mark.parametrize(
    "change",
    [
        {"n_components": 3}, {"hidden_layer_sizes": (9,)}, {"activation": "tanh"},
        {"image_shape": (2, 2)}, {"likelihood": "bernoulli"}, {"optimizer": "sgd"},
        {"encoder": torch.nn.Identity()},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_structure_cannot_change_while_continuing(change, method, fitted):
    before = observed(fitted)
    fitted.set_params(warm_start=True, **change)
    (name,) = change
    with pytest.raises(ValueError, match=f"{name}=.*the fitted model.*{name}=.*warm_start=False"):
        getattr(fitted, method)(IRIS)
    fitted.set_params(**vae().get_params())
    assert observed(fitted) == before


@pytest.mark.parametrize("device", ["cuda:7", "warp", "meta:x"])
def test_a_device_that_is_not_there(device, fitted):
    before = observed(fitted)
    with pytest.raises(ValueError, match=rf"device='{device}' cannot be used here.*device='cpu'"):
        fitted.set_params(device=device).fit(IRIS)
    fitted.set_params(device="auto")
    assert observed(fitted) == before


def test_no_compiler(monkeypatch, fitted):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ValueError, match=r"compile=True .*needs a C\+\+ compiler.*no-such-compiler"
    ):
        fitted.set_params(compile=True).fit(IRIS)
    with pytest.raises(ValueError, match="device='cuda' needs the package 'triton'"):
        whole_step.resolve_compile(True, "cuda", 1)
    # What needs no compiler is left.
    assert whole_step.resolve_compile("auto", "cpu", 10**6) == "replay"
    assert whole_step.resolve_compile("auto", "cuda", 10**6) is False


class CtrlC(Callback):
    def __init__(self, after):
        self.after = after
        self.batches_ = 0

    def on_batch_end(self, net, training=None, **kwargs):
        self.batches_ += 1
        if self.batches_ == self.after:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interruptible():
    """Python's own handler: what runs in the background of a shell is born without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_what_there_is(early_stopping):
    after = 11 if early_stopping else 7  # in the middle of the fourth epoch
    model = vae(
        max_epochs=100, callbacks=[CtrlC(after)], batch_size=100, early_stopping=early_stopping
    )
    with pytest.warns(UserWarning, match="interrupted after 3 epochs"):
        model.fit(IRIS)
    assert model.n_iter_ == len(model.history_) == 3
    assert np.isfinite(model.score(IRIS))
    model.set_params(callbacks=None, max_epochs=2, warm_start=True).fit(IRIS)
    assert model.n_iter_ == 5


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_first_epoch():
    """There is no model yet that could be described or saved; Ctrl-C means stop."""
    model = vae(callbacks=[CtrlC(1)], batch_size=50)
    with pytest.raises(KeyboardInterrupt):
        model.fit(IRIS)
    assert vars(model) == model.get_params(deep=False)
    fitted = vae().fit(IRIS)
    before = observed(fitted)
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(callbacks=[CtrlC(1)]).fit(IRIS)
    assert observed(fitted.set_params(callbacks=None)) == before


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_final_pass_keeps_the_fit(monkeypatch, tmp_path):
    """The pass over all rows, for the KL of each component, is then one over some of them."""
    kl, calls = Inference.kl, []

    def interrupted_once(self, rows):
        calls.append(len(rows))
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return kl(self, rows)

    monkeypatch.setattr(Inference, "kl", interrupted_once)
    with pytest.warns(UserWarning, match="interrupted after 2 epochs"):
        model = vae().fit(IRIS)
    assert len(calls) == 2
    monkeypatch.undo()
    same = vae().fit(IRIS)
    assert_array_equal(model.kl_per_component_, same.kl_per_component_)
    model.save(tmp_path / "m")
    assert_array_equal(skvae.load(tmp_path / "m").transform(IRIS), same.transform(IRIS))
    assert "2 epochs" not in model.model_card()


def test_a_callback_that_stops_training_is_no_interruption():
    class Enough(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    model = vae(max_epochs=100, callbacks=[Enough()]).fit(IRIS)
    assert model.n_iter_ == 1


METHODS = {
    "transform": IRIS, "posterior": IRIS, "reconstruct": IRIS, "score": IRIS,
    "score_samples": IRIS, "inverse_transform": IRIS[:, :2], "sample": 3, "save": "model",
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_not_fitted(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(vae(), method)(METHODS[method])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda m: m.sample(0), "n_samples"),
        (lambda m: m.sample(2.5), "n_samples"),
        (lambda m: m.score_samples(IRIS, n_importance_samples=0), "n_importance_samples"),
        (lambda m: m.score_samples(IRIS, n_importance_samples="k"), "n_importance_samples"),
    ],
)
def test_counts(call, name, fitted):
    with pytest.raises((ValueError, TypeError), match=re.escape(name)):
        call(fitted)


def test_validation_does_not_touch_feature_names(fitted):
    import pandas as pd

    before = observed(fitted)
    with pytest.raises(ValueError, match="infinity"):
        fitted.fit(pd.DataFrame(with_value(np.inf), columns=list("abcd")))
    assert not hasattr(fitted, "feature_names_in_")
    assert observed(fitted) == before
    assert_array_equal(fitted.transform(IRIS), vae().fit(IRIS).transform(IRIS))


def test_what_the_first_chunk_decided_is_named():
    """Zeros and ones first: "auto" took them for binary."""
    model = vae().partial_fit((IRIS > 2).astype(float))
    with pytest.raises(ValueError, match=r"likelihood='auto' chose .* the first call"):
        model.partial_fit(IRIS)
    with pytest.raises(ValueError, match=r"X must hold values between 0 and 1") as caught:
        vae(likelihood="bernoulli").partial_fit((IRIS > 2).astype(float)).partial_fit(IRIS)
    assert "first call" not in str(caught.value)
