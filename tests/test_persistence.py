"""Models that travel: pickles, skops and the model file, bit for bit."""

import copy
import io
import json
import os
import pickle
import pickletools
import subprocess
import sys
from itertools import cycle

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn
import skops.io
import torch
from numpy.testing import assert_array_equal
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skorch.callbacks import EpochTimer

import skvae
from skvae import VariationalAutoencoder, _modelfile
from skvae.callbacks import TensorBoard
from skvae.likelihoods import Categorical, ContinuousBernoulli, Gaussian, Mixed
from skvae.objectives import ELBO, IWAE, BetaTCVAE, CyclicalAnnealing
from skvae.posteriors import InverseAutoregressiveFlow
from skvae.priors import MixtureOfGaussians, VampPrior
from tests.foreign import LaplaceLikelihood, LaplacePrior, SquaredBound, mlp

X = load_digits().data[:200] / 16
OURS = "skvae._vae.VariationalAutoencoder"
"""All that skops must be asked to trust."""


def vae(**params):
    quick = {"max_epochs": 2, "hidden_layer_sizes": (16,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


def is_foreign(value):
    return type(value).__module__ == "tests.foreign" or isinstance(value, torch.nn.Sequential)


def through_joblib(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def through_skops(model, others=()):
    data = skops.io.dumps(model)
    assert set(skops.io.get_untrusted_types(data=data)) - {*others} == {OURS}
    return skops.io.loads(data, trusted=[OURS, *others])


def through_file(model, path):
    model.save(path)
    objects = {
        name: value for name, value in model.get_params(deep=False).items() if is_foreign(value)
    }
    return skvae.load(path, **objects)


TRIPS = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, path: pickle.loads(cloudpickle.dumps(model)),
    "joblib": lambda model, path: through_joblib(model),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "skops": lambda model, path: through_skops(model),
    "file": through_file,
}
BUILT_IN = [
    {},
    {"image_shape": (8, 8), "conv_channels": (4, 8)},
    {"likelihood": "gaussian", "optimizer": "sgd", "learning_rate": 1e-4},
    {"optimizer": "rmsprop", "hidden_layer_sizes": [8, 4]},
    {"posterior_family": "flow", "prior": "flow"},
    {"posterior_family": "full", "prior": "vamp", "objective": "infovae"},
    {"dropout": 0.2, "normalization": "batch", "activation": "gated", "weight_decay": 0.1},
    {"image_shape": (8, 8), "conv_channels": (4,), "conv_block": "residual"},
    {"n_components": np.int64(3), "early_stopping": True, "random_state": np.random.RandomState(0)},
]
WITH_PARTS = [
    {"likelihood": Gaussian("row"), "objective": ELBO(kl_warmup_epochs=3)},
    {"likelihood": ContinuousBernoulli(max_logit=8.0)},
    {"prior": MixtureOfGaussians(3), "objective": ELBO(beta=CyclicalAnnealing(4, n_cycles=2))},
    {"prior": VampPrior(5, learn_weights=True), "objective": BetaTCVAE(beta=2.0)},
    {"posterior_family": InverseAutoregressiveFlow(1, (8,), 4), "objective": IWAE(3)},
    {"encoder": mlp(64, 12), "decoder": mlp(2, 9)},
    {"likelihood": LaplaceLikelihood(), "prior": LaplacePrior(), "objective": SquaredBound()},
]


def same(one, other):
    for method in (
        lambda m: m.transform(X), lambda m: m.score_samples(X), lambda m: m.kl_per_component_,
        lambda m: m.sample(5, random_state=1), lambda m: m.active_components_,
    ):  # fmt: skip
        assert_array_equal(method(one), method(other))
    assert one.history_ == other.history_
    assert one.n_iter_ == other.n_iter_
    assert repr(one.likelihood_) == repr(other.likelihood_)


MODELS = [*BUILT_IN, *WITH_PARTS]
PICKLES = cycle(["pickle", "cloudpickle", "joblib", "deepcopy"])
"""Which all ask the model for the same, and so take turns."""


@pytest.mark.parametrize(
    ("params", "trip"),
    [(params, trip) for params in MODELS for trip in (next(PICKLES), "skops", "file")],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "default",
)
def test_round_trip(params, trip, tmp_path):
    if trip == "skops":  # cannot hold, and would have to trust, classes of the user's own
        params = {name: value for name, value in params.items() if not is_foreign(value)}
    model = vae(**params).fit(X)
    back = TRIPS[trip](model, tmp_path / "model.safetensors")
    same(model, back)
    assert_array_equal(model.partial_fit(X).transform(X), back.partial_fit(X).transform(X))
    assert back.net_.optimizer_.state_dict()["state"].keys() == (
        model.net_.optimizer_.state_dict()["state"].keys()
    )


@pytest.mark.parametrize("trip", TRIPS)
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_training_goes_on_as_if_never_interrupted(trip, optimizer, tmp_path):
    """The optimiser's state travels: two epochs, a journey and one more are three epochs."""
    params = {"optimizer": optimizer, "learning_rate": 1e-4, "learning_rate_schedule": "constant"}
    back = TRIPS[trip](vae(**params).fit(X), tmp_path / "model.safetensors")
    whole = vae(**params, **{"max_epochs": 3}).fit(X)
    assert_array_equal(back.partial_fit(X).transform(X), whole.transform(X))


@pytest.mark.parametrize("trip", ["pickle", "cloudpickle", "joblib", "deepcopy", "skops"])
def test_unfitted_round_trip(trip, tmp_path):
    back = TRIPS[trip](vae(n_components=7), tmp_path)
    assert back.get_params() == vae(n_components=7).get_params()


def test_parameters_come_back_as_they_were(tmp_path):
    params = {
        "hidden_layer_sizes": [8, 4],
        "image_shape": (8, 8),
        "conv_channels": (2,),
        "tol": 1e-3,
    }
    model = vae(**params).fit(X)
    back = through_file(model, tmp_path / "m")
    assert back.get_params() == model.get_params()
    assert type(back.hidden_layer_sizes) is list
    assert type(back.image_shape) is tuple


PIPELINES = {
    "dense": {},
    "images": {"image_shape": (8, 8), "conv_channels": (4, 8)},
    "flow": {"prior": "flow", "posterior_family": InverseAutoregressiveFlow(1, (4,), 3)},
    "parts": {"likelihood": Gaussian("shared"), "prior": VampPrior(4), "objective": BetaTCVAE()},
}


@pytest.mark.parametrize("name", PIPELINES)
def test_skops_takes_a_whole_pipeline_with_one_name_to_trust(name):
    """Scaler, model, classifier: the file holds plain data, and ours is the only class."""
    y = load_digits().target[:200]
    steps = MinMaxScaler(), vae(**PIPELINES[name]), LogisticRegression()
    pipeline = make_pipeline(*steps).fit(X, y)
    back = through_skops(pipeline)
    assert_array_equal(back.predict_proba(X), pipeline.predict_proba(X))
    same(pipeline[1], back[1])


def test_skops_takes_a_pipeline_of_mixed_columns():
    pd = pytest.importorskip("pandas")
    numbers = pd.DataFrame(X[:, 20:23], columns=list("abc"))
    table = numbers.assign(kind=pd.Categorical(["x", "y", "z", "y"] * 50))
    reals = ColumnTransformer([("scale", StandardScaler(), list("abc"))], remainder="passthrough")
    reals.set_output(transform="pandas")
    pipeline = make_pipeline(reals, vae(likelihood="mixed")).fit(table)
    # A class of scikit-learn's own, of 1.6 alone, that skops does not know.
    others = ["sklearn.compose._column_transformer._RemainderColsList"]
    back = through_skops(pipeline, others if sklearn.__version__ < "1.7" else [])
    assert_array_equal(back.transform(table), pipeline.transform(table))
    assert back[1].categories_ == {"remainder__kind": ["x", "y", "z"]}


def test_n_samples_counts_the_rows_that_were_given(tmp_path):
    model = vae().fit(X, sample_weight=np.arange(200) % 3)
    assert type(model.n_samples_) is int
    assert model.n_samples_ == 200
    model.partial_fit(X[:30])
    for trip in TRIPS.values():
        assert trip(model, tmp_path / "m").n_samples_ == 30


def test_parameters_changed_after_fit_do_not_matter(tmp_path):
    model = vae().fit(X)
    wanted = model.transform(X)
    model.set_params(
        n_components=9, hidden_layer_sizes=(3,), optimizer="sgd", likelihood="bernoulli"
    )
    for trip in ("pickle", "file"):
        back = TRIPS[trip](model, tmp_path / "m")
        assert_array_equal(back.transform(X), wanted)
        assert back.n_components == 9


def test_parameters_of_parts_changed_after_fit_do_not_matter(tmp_path):
    model = vae(likelihood=Gaussian("shared")).fit(X)
    wanted = model.score_samples(X)
    model.set_params(likelihood__scale="row")
    for trip in ("pickle", "file"):
        assert_array_equal(TRIPS[trip](model, tmp_path / "m").score_samples(X), wanted)
    with pytest.raises(ValueError, match=r"likelihood=Gaussian\(scale='row'.*scale='shared'"):
        model.partial_fit(X)


class TestState:
    def test_holds_no_net_and_no_pickle_inside_bytes(self):
        data = pickle.dumps(vae(callbacks=[EpochTimer()]).fit(X))
        strings = [arg for op, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
        assert not any("skorch.net" in s or "torch._utils" in s for s in strings)
        for op, arg, _ in pickletools.genops(data):
            if isinstance(arg, bytes) and op.name != "SHORT_BINBYTES":
                assert not arg.startswith(b"\x80\x04")
                assert b"csklearn" not in arg[:100]

    def test_parts_travel_as_plain_data_and_arrive_as_objects(self):
        """A name of theirs is all that a pickle or skops holds of them."""
        parts = {"likelihood": Gaussian("row"), "objective": ELBO(beta=CyclicalAnnealing(4))}
        for model in (vae(**parts), vae(**parts).fit(X)):
            state = model.__getstate__()
            assert state["likelihood"]["part"]["class"] == "Gaussian"
            assert "Gaussian" not in str({type(value) for value in state.values()})
            back = pickle.loads(pickle.dumps(model))
            assert repr(back.likelihood) == repr(model.likelihood)
            assert repr(back.objective) == repr(model.objective)

    @pytest.mark.parametrize("params", WITH_PARTS, ids=lambda params: "-".join(params))
    def test_a_hash_is_that_of_an_equal_estimator(self, params):
        """By it joblib.Memory finds again what was fitted."""
        model = vae(**params)
        assert joblib.hash(model) == joblib.hash(clone(model))
        assert joblib.hash(model) != joblib.hash(vae(**params, **{"tol": 0.1}))

    def test_a_hash_knows_the_numbers_of_a_network(self):
        network = mlp(64, 12)
        before = joblib.hash(vae(encoder=network))
        with torch.no_grad():
            network[0].weight += 1
        assert joblib.hash(vae(encoder=network)) != before

    def test_a_cache_of_a_pipeline_hits(self, tmp_path):
        y = load_digits().target[:200]
        steps = vae(encoder=mlp(64, 12)), LogisticRegression()
        pipeline = make_pipeline(*steps, memory=joblib.Memory(tmp_path, verbose=0))
        first = pipeline.fit(X, y)[0].history_[0]["dur"]
        assert pipeline.fit(X, y)[0].history_[0]["dur"] == first

    def test_a_network_in_two_places_stays_one(self):
        model = vae(encoder=mlp(64, 12), decoder=mlp(2, 9)).fit(X)
        back = pickle.loads(pickle.dumps(model))
        assert back.partial_fit(X).n_iter_ == 3
        assert back.encoder is back._architecture.encoder

    def test_networks_keep_what_their_numbers_have(self):
        """Shared weights, frozen ones, buffers that are in no state_dict, and other types."""
        network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
        network[1].weight = network[0].weight
        network[0].bias.requires_grad_(False)
        network.register_buffer("lost", torch.arange(3), persistent=False)
        back = pickle.loads(pickle.dumps(vae(encoder=network))).encoder
        assert back[1].weight is back[0].weight
        assert not back[0].bias.requires_grad
        assert torch.equal(back.lost, network.lost)
        assert back.lost.dtype == torch.int64
        half = torch.nn.Linear(3, 3).bfloat16()
        assert torch.equal(pickle.loads(pickle.dumps(vae(encoder=half))).encoder.bias, half.bias)

    def test_parts_that_cannot_be_plain_data_stay_objects(self):
        mixed = Mixed([(LaplaceLikelihood(), list(range(64)))])
        state = vae(likelihood=mixed, prior=LaplacePrior()).__getstate__()
        assert state["likelihood"] is mixed
        assert isinstance(state["prior"], LaplacePrior)
        sizes = Categorical(group_sizes=np.array([2, 2]))
        assert vae(likelihood=sizes).__getstate__()["likelihood"] is sizes

    def test_a_column_may_be_called_part(self, tmp_path):
        pd = pytest.importorskip("pandas")
        table = pd.DataFrame({"x": X[:, 20], "part": pd.Categorical(["a", "b"] * 100)})
        model = vae(likelihood="mixed").fit(table)
        for trip in TRIPS.values():
            back = trip(model, tmp_path / "m")
            assert back.categories_ == {"part": ["a", "b"]}
            assert_array_equal(back.transform(table), model.transform(table))

    def test_what_a_callback_records_may_be_no_plain_value(self, tmp_path):
        """The file leaves out what it cannot hold; nothing needs it."""
        model = vae().fit(X)
        model.history_[0]["picture"] = object()
        back = through_file(model, tmp_path / "m")
        assert back.history_[0].pop("picture") is None
        del model.history_[0]["picture"]
        same(model, back)

    @pytest.mark.parametrize(
        "callback", [TensorBoard("runs"), EpochTimer()], ids=["ours", "skorch"]
    )
    def test_callbacks_stay_behind_in_a_file(self, callback, tmp_path, monkeypatch):
        """Those of ours too: a file holds parts of a model alone."""
        monkeypatch.chdir(tmp_path)
        model = vae(callbacks=[callback]).fit(X)
        model.save("m")
        back = skvae.load("m")
        assert back.callbacks is None
        same(model, back)
        same(model, pickle.loads(pickle.dumps(model)))
        assert type(skvae.load("m", callbacks=[callback]).callbacks[0]) is type(callback)

    def test_history_is_small(self):
        small, large = vae(batch_size=200).fit(X), vae(batch_size=2).fit(X)
        assert len(pickle.dumps(large)) - len(pickle.dumps(small)) < 200

    def test_a_model_of_another_device_loads_here(self, tmp_path):
        model = vae().fit(X)
        wanted = model.transform(X)
        model.set_params(device="cuda:7").save(tmp_path / "m")
        for load in (lambda: skvae.load(tmp_path / "m"), lambda: pickle.loads(pickle.dumps(model))):
            with pytest.warns(UserWarning, match="device='cuda:7' is not available.*CPU"):
                back = load()
            assert_array_equal(back.transform(X), wanted)

    def test_another_process_gets_the_same_numbers(self, tmp_path):
        model = vae().fit(X)
        model.save(tmp_path / "m.safetensors")
        np.save(tmp_path / "X.npy", X)
        code = (
            "import sys, numpy as np, torch, skvae; torch.set_num_threads(1);"
            "m = skvae.load(sys.argv[1] + '/m.safetensors'); X = np.load(sys.argv[1] + '/X.npy');"
            "out = np.column_stack([m.transform(X), m.score_samples(X)]);"
            "np.save(sys.argv[1] + '/out.npy', out)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        out = np.load(tmp_path / "out.npy")
        assert_array_equal(out, np.column_stack([model.transform(X), model.score_samples(X)]))


class TestFile:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "model.safetensors"
        vae().fit(X).save(path)
        return path

    def test_says_what_it_is(self, path):
        with safe_open(path, framework="numpy") as file:
            document = json.loads(file.metadata()["skvae"])
        assert document["format_version"] == 2
        assert document["class"] == "VariationalAutoencoder"
        assert set(document["versions"]) == {
            "skvae", "torch", "sklearn", "skorch", "numpy", "python",
        }  # fmt: skip
        assert document["versions"]["skvae"] == skvae.__version__
        assert document["state"]["n_components"] == 2

    def test_a_cut_file(self, path):
        data = path.read_bytes()
        for n in (0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:n])
            with pytest.raises(ValueError, match="truncated or not a safetensors file"):
                skvae.load(path)

    @pytest.mark.parametrize(
        "error",
        [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 4000 bytes")],
        ids=lambda error: type(error).__name__,
    )
    @pytest.mark.parametrize("where", ["safe_open", "decode"])
    def test_a_machine_without_memory_says_so(self, where, error, path, monkeypatch):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(_modelfile, where, fail)
        with pytest.raises(MemoryError):
            skvae.load(path)

    def test_a_flipped_bit(self, path):
        data = path.read_bytes()
        for position in np.linspace(0, len(data) - 1, 200).astype(int):
            path.write_bytes(data[:position] + bytes([data[position] ^ 8]) + data[position + 1 :])
            with pytest.raises(ValueError, match=r"truncated|corrupted|not one that skvae"):
                skvae.load(path)

    def test_foreign_files(self, tmp_path):
        path = tmp_path / "file"
        for content in (b"", b"hello", pickle.dumps({}), b"\x00" * 1000, b"\xff" * 1000):
            path.write_bytes(content)
            with pytest.raises(ValueError, match="not a safetensors file"):
                skvae.load(path)
        save_file({"weight": np.zeros(3)}, path)
        with pytest.raises(ValueError, match="not one that skvae"):
            skvae.load(path)
        with pytest.raises(FileNotFoundError):
            skvae.load(tmp_path / "missing")

    def write(self, path, **changes):
        """Write a valid file whose document differs."""
        document, arrays = _modelfile.read(path)
        text = json.dumps(document | changes)
        metadata = {"skvae": text, "sha256": _modelfile._digest(text, arrays)}
        path.write_bytes(_modelfile.to_bytes(arrays, metadata))

    def test_a_later_format(self, path):
        self.write(path, format_version=99)
        with pytest.raises(
            ValueError, match=r"format version 99; this skvae reads up to 2.*Upgrade"
        ):
            skvae.load(path)

    def test_an_unknown_class(self, path):
        self.write(path, **{"class": "os.system"})
        with pytest.raises(
            ValueError, match=r"holds a 'os.system', which this version of skvae cannot load"
        ):
            skvae.load(path)

    def test_a_state_that_is_not_one(self, path):
        state = _modelfile.read(path)[0]["state"]
        for name, value in {
            "likelihood": {"part": {"class": "system", "params": {"dict": {}}}},
            "history_": {"array": "nowhere"},
            "n_components": {"a": 1, "b": 2},
            "_arrays": {"dict": {}},
            "_fitted_structure": {"dict": {}},
        }.items():
            self.write(path, state=state | {name: value})
            with pytest.raises(ValueError, match=r"valid model|do not fit the model"):
                skvae.load(path)
        self.write(path, state={**state, "surprise": 1})
        with pytest.raises(ValueError, match="surprise"):
            skvae.load(path)

    def test_objects_of_the_users_must_be_given(self, tmp_path):
        path = tmp_path / "m"
        vae(encoder=mlp(64, 12), callbacks=[EpochTimer()]).fit(X).save(path)
        with pytest.raises(
            ValueError, match=r"encoder=Sequential.*skvae.load\(path, encoder=...\)"
        ):
            skvae.load(path)
        assert skvae.load(path, encoder=mlp(64, 12)).callbacks is None
        with pytest.raises(ValueError, match="do not fit"):
            skvae.load(path, encoder=mlp(64, 11))
        with pytest.raises(ValueError, match="'decodr' is not a parameter"):
            skvae.load(path, encoder=mlp(64, 12), decodr=None)

    @pytest.mark.parametrize("moment", ["fsync", "replace"])
    def test_a_crash_midway_leaves_the_old_file(self, path, moment, monkeypatch):
        before = path.read_bytes()

        def crash(*args):
            raise OSError("disk full")

        monkeypatch.setattr(os, moment, crash)
        with pytest.raises(OSError, match="disk full"):
            vae(n_components=5).fit(X).save(path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            vae().fit(X).save(tmp_path / "no" / "model")
