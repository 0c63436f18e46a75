"""ONNX graphs say what the estimator says, for any number of rows, alone and in Pipelines."""

import json
import logging
import pickle
import sys
import warnings
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

import skvae
from skvae import ConditionalVAE, VAEOutlierDetector, VariationalAutoencoder, export
from skvae.export import _graph, _operators
from skvae.likelihoods import (
    Categorical,
    CategoricalCodes,
    Gaussian,
    Mixed,
    Poisson,
    StudentT,
)
from skvae.networks import ACTIVATIONS
from tests.foreign import LaplaceLikelihood, mlp

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS32 = IRIS.astype(np.float32)
FRAME = pd.DataFrame(IRIS32, columns=load_iris().feature_names)
DIGITS, FIGURES = load_digits(return_X_y=True)
GREY = DIGITS / 16
COLOUR = np.random.default_rng(0).random((60, 7 * 5 * 3))
BYTES = (DIGITS[:300] * 15).astype(np.uint8)

EVERY_LIKELIHOOD = Mixed(
    [
        ("gaussian", [0]),
        ("student_t", [1]),
        ("laplace", [2]),
        (Gaussian(scale="row"), [3]),
        ("bernoulli", [4]),
        ("continuous_bernoulli", [5, 6]),
        ("poisson", [7]),
        ("negative_binomial", [8]),
        ("zero_inflated_negative_binomial", [9]),
        (CategoricalCodes(3), [10]),
        (Categorical([3]), [11, 12, 13]),
        ("rounded_gaussian", [14]),
        ("log_normal", [15]),
        ("zero_inflated_log_normal", [16]),
    ]
)
TABLE = np.column_stack(
    [
        IRIS,
        IRIS[:, 0] > 6,
        GREY[:150, 2:4],
        DIGITS[:150, 2:5],
        SPECIES,
        np.eye(3)[SPECIES],
        10 * IRIS[:, 0] - 60,
        IRIS[:, 1:2],
        DIGITS[:150, 3:4],
    ]
)


class EveryActivation(nn.Module):
    """Layers of all kinds, side by side."""

    def __init__(self, n_in):
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Linear(n_in, 4), make()) for make in ACTIVATIONS.values()]
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return torch.cat([layer(x) for layer in self.layers], 1)


CASES = {
    "every likelihood": (TABLE, {"likelihood": EVERY_LIKELIHOOD}),
    "flow": (IRIS, {"posterior_family": "flow", "n_components": 3}),
    "full, every activation": (
        IRIS,
        {
            "posterior_family": "full",
            "n_components": 3,
            "encoder": EveryActivation(4),
            "decoder": EveryActivation(3),
        },
    ),
    "counts, vamp": (
        DIGITS[:200],
        {
            "likelihood": Poisson(size_factor="total"),
            "prior": "vamp",
            "normalization": "layer",
            "dropout": 0.1,
        },
    ),
    "foreign": (IRIS, {"likelihood": LaplaceLikelihood(), "encoder": mlp(4, 8)}),
    "residual, odd size": (
        COLOUR,
        {
            "image_shape": (7, 5, 3),
            "conv_channels": (4, 8),
            "conv_block": "residual",
            "activation": "gated",
            "normalization": "batch",
        },
    ),
    # Of 32 channels and one: the layer that training replaces by a matrix product.
    "grey, layer": (GREY[:300], {"image_shape": (8, 8), "normalization": "layer"}),
}


@pytest.fixture(autouse=True, scope="module")
def translations():
    """torch parses the source of all that it can translate for each graph anew: here once."""
    read = ONNXRegistry.from_torchlib
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(read)))
        yield


def vae(**params):
    quick = {"max_epochs": 3, "hidden_layer_sizes": (8,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


@pytest.fixture(scope="module")
def fitted():
    return vae().fit(FRAME)


@pytest.fixture(scope="module")
def encoder_file(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "encoder.onnx"
    export.to_onnx(fitted, path)
    return path


def run(model, X):
    """Return what onnxruntime makes of the rows: all at once, and by other numbers of them."""
    content = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    out = session.run(None, {name: X})
    for n in (1, 3):
        for all_rows, few in zip(out, session.run(None, {name: X[:n]}), strict=True):
            np.testing.assert_allclose(few, all_rows[:n], rtol=1e-5, atol=1e-5)
    return out


def rows(X, n=257):
    return np.resize(X, (n, X.shape[1]))


# A model's two halves


@pytest.mark.parametrize("case", CASES)
def test_graphs_equal_the_estimator(case, tmp_path):
    X, params = CASES[case]
    model = vae(**params).fit(X)
    path = tmp_path / "model.onnx"

    X = rows(X).astype(np.float32)
    export.to_onnx(model, path, "encoder")
    loc, scale = run(path, X)
    np.testing.assert_allclose(loc, model.transform(X), atol=1e-5, rtol=0)
    np.testing.assert_allclose(scale, model.posterior(X)[1], atol=1e-5, rtol=0)
    assert np.ptp(loc, axis=0).min() > 1e-3

    Z = np.random.default_rng(1).normal(size=(257, model.n_components)).astype(np.float32)
    export.to_onnx(model, path, part="decoder")
    (out,) = run(path, Z)
    np.testing.assert_allclose(out, model.inverse_transform(Z), atol=1e-5, rtol=1e-5)
    assert np.ptp(out, axis=0).max() > 1e-3

    # What only training needs is not in the file.
    graph = onnx.load(path).graph
    assert not [tensor.name for tensor in graph.initializer if "prior" in tensor.name]
    assert len(graph.node) < 200  # our transposed convolution alone has more


def test_float64_keeps_the_digits_of_columns_far_from_zero(tmp_path):
    X = IRIS + 1e8
    model = vae().fit(X)
    assert abs(model.transform(X.astype(np.float32)) - model.transform(X)).max() > 0.1
    export.to_onnx(model, tmp_path / "encoder.onnx", dtype=np.float64)
    loc, scale = run(tmp_path / "encoder.onnx", X)
    assert loc.dtype == scale.dtype == np.float64
    np.testing.assert_allclose(loc, model.transform(X), atol=1e-5, rtol=0)
    export.to_onnx(model, tmp_path / "decoder.onnx", "decoder", dtype="float64")
    (out,) = run(tmp_path / "decoder.onnx", loc)
    np.testing.assert_allclose(out - 1e8, model.inverse_transform(loc) - 1e8, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "params"),
    [(IRIS, {}), (DIGITS[:200], {"likelihood": Poisson("total")}), (GREY, {"image_shape": (8, 8)})],
    ids=["table", "counts", "image"],
)
def test_missing_values_are_missing_in_the_graph(X, params, tmp_path):
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X).astype(np.float32)
    model = vae(**params).fit(X)
    X[1] = np.nan
    export.to_onnx(model, tmp_path / "encoder.onnx")
    loc, scale = run(tmp_path / "encoder.onnx", X)
    np.testing.assert_allclose(loc, model.transform(X), atol=1e-5, rtol=0)
    np.testing.assert_allclose(scale, model.posterior(X)[1], atol=1e-5, rtol=0)


def test_bytes_go_in_as_they_are(tmp_path):
    model = vae(image_shape=(8, 8), conv_channels=(4,)).fit(BYTES)
    assert model.unit_ == 255
    path = tmp_path / "encoder.onnx"
    export.to_onnx(model, path, dtype="uint8")
    np.testing.assert_allclose(run(path, BYTES)[0], model.transform(BYTES), atol=1e-5)


def test_names_types_and_metadata(encoder_file, fitted):
    model = onnx.load(encoder_file)
    assert [value.name for value in model.graph.input] == ["X"]
    assert [value.name for value in model.graph.output] == ["loc", "scale"]
    (X,) = model.graph.input
    n_samples, n_features = X.type.tensor_type.shape.dim
    assert (n_samples.dim_param, n_features.dim_value) == ("n_samples", 4)
    notes = {prop.key: prop.value for prop in model.metadata_props}
    assert notes["skvae_version"] == model.producer_version == skvae.__version__
    assert (notes["class"], notes["part"]) == ("VariationalAutoencoder", "encoder")
    assert (notes["likelihood"], notes["n_components"], notes["unit"]) == ("Gaussian", "2", "1.0")
    assert json.loads(notes["feature_names"]) == list(fitted.feature_names_in_)


def test_nothing_of_this_machine_is_in_the_file(encoder_file):
    content = encoder_file.read_bytes()
    assert b".py" not in content
    assert b"File " not in content


def test_opset_version(fitted, tmp_path):
    path = tmp_path / "a.onnx"
    export.to_onnx(fitted, path, opset_version=18)
    assert [opset.version for opset in onnx.load(path).opset_import] == [18]
    np.testing.assert_allclose(run(path, IRIS32)[0], fitted.transform(FRAME), atol=1e-5)


# The score

BOUND = {"rtol": 2e-6, "atol": 1e-5}
"""What the docstring says of scores."""


def elbo(model, X):
    """Return the elbo with the same noise for all rows."""
    rows = model._read(X)
    reconstruction, kl = model._inference(rows.dtype).terms(rows, shared=True)
    return reconstruction - kl


def with_gaps(X, groups=()):
    """Return rows some of whose values are missing, in groups together; all of the first row's."""
    missing = np.random.default_rng(0).random(X.shape) < 0.3
    for group in groups:
        missing[:, group] = missing[:, group[:1]]
    missing[0] = True
    return np.where(missing, np.nan, X)


def test_the_score_is_the_elbo_with_the_same_noise(tmp_path):
    """Of likelihoods of all kinds; the others are made of the same operations."""
    blocks = [
        ("student_t", [0]),
        ("zero_inflated_negative_binomial", [1]),
        (CategoricalCodes(3), [2]),
        (Categorical([3]), [3, 4, 5]),
        ("rounded_gaussian", [6]),
    ]
    X = TABLE[:, [1, 9, 10, 11, 12, 13, 14]]
    model = vae(likelihood=Mixed(blocks), n_components=3, prior="vamp").fit(X)
    export.to_onnx(model, tmp_path / "a.onnx", "score", dtype="float64")
    strange = np.where(np.arange(7) == 0, 1000 * X, X)
    X = np.vstack([X, with_gaps(X, groups=[[3, 4, 5]]), strange])
    (score,) = run(tmp_path / "a.onnx", X)
    np.testing.assert_allclose(score, elbo(model, X), **BOUND)
    assert score[150] == 0
    # The noise of eight draws is what is between them.
    assert 0 < abs(score - model.score_samples(X))[:300].mean() < 1


@pytest.mark.parametrize("likelihood", ["auto", StudentT(correlated=True)])
def test_the_score_of_correlated_noise_and_what_is_observed(likelihood, tmp_path):
    model = vae(n_components=1, likelihood=likelihood).fit(IRIS)
    assert model.likelihood_.correlated
    export.to_onnx(model, tmp_path / "a.onnx", "score", dtype="float64")
    X = np.vstack([IRIS, with_gaps(IRIS)])
    (score,) = run(tmp_path / "a.onnx", X)
    np.testing.assert_allclose(score, elbo(model, X), **BOUND)
    assert score[150] == 0


DETECTORS = {
    "default": (VAEOutlierDetector(n_estimators=2), FRAME, "float32"),
    "images, novelty": (
        VAEOutlierDetector(
            vae(image_shape=(8, 8), conv_channels=(4,)), n_estimators=1, novelty=True
        ),
        BYTES,
        "uint8",
    ),
    "mixed": (
        VAEOutlierDetector(vae(likelihood="mixed"), n_estimators=1, contamination=0.1),
        FRAME.assign(species=pd.Categorical.from_codes(SPECIES, list("abc"))),
        "float64",
    ),
}


@pytest.mark.filterwarnings("ignore::skvae.UndertrainedWarning")
@pytest.mark.parametrize("name", DETECTORS)
def test_the_score_of_a_detector_is_its_own(name, tmp_path):
    detector, X, dtype = DETECTORS[name]
    detector = clone(detector).set_params(random_state=0).fit(X)
    export.to_onnx(detector, tmp_path / "a.onnx", "score", dtype=dtype)
    codes = X
    if name == "mixed":
        codes = X.assign(species=X["species"].cat.codes)
    codes = np.asarray(codes).astype(dtype)
    score, decision = run(tmp_path / "a.onnx", codes)
    assert score.dtype == decision.dtype == (np.float64 if dtype == "float64" else np.float32)
    np.testing.assert_allclose(score, detector.score_samples(X), **BOUND)
    np.testing.assert_allclose(decision, detector.decision_function(X), rtol=0, atol=2e-4)
    assert ((decision < 0) == (detector.predict(X) == -1)).all()
    if dtype == "float32":
        strange = with_gaps(codes)
        strange[1::3] *= 1000
        score, _ = run(tmp_path / "a.onnx", strange)
        expected = detector.score_samples(pd.DataFrame(strange, columns=X.columns))
        np.testing.assert_allclose(score, expected, **BOUND)
    model = onnx.load(tmp_path / "a.onnx")
    notes = {prop.key: prop.value for prop in model.metadata_props}
    assert (notes["class"], notes["part"]) == ("VAEOutlierDetector", "score")
    assert [value.name for value in model.graph.output] == ["score", "decision"]


class Operators(nn.Module):
    """What ``skvae.export`` translates itself."""

    def forward(self, x):
        y = torch.cat([x, -x])
        return torch.lgamma(x), torch.nn.functional.logsigmoid(y), torch.special.erfcx(y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_that_torch_does_not_translate(dtype):
    x = torch.cat([torch.logspace(-6, 15, 500), 1 + torch.arange(30) / 10, torch.arange(1, 200)])
    x = x.to(dtype)
    table = _operators.translations()
    with _graph._tracing():
        program = torch.onnx.export(
            Operators().eval(), (x,), custom_translation_table=table, dynamo=True, verbose=False
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    out = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    exact = 1e-6 if dtype == torch.float32 else 1e-12
    for value, expected, rtol in zip(out, Operators()(x), (exact, exact, 2e-6), strict=True):
        np.testing.assert_allclose(value, expected, rtol=rtol, atol=exact)


class Probit(Gaussian):
    """A likelihood whose density holds what ONNX has not; its mean does not."""

    def forward(self, params):
        p = super().forward(params)
        p.log_prob_terms = lambda x: torch.special.ndtri(torch.sigmoid(p.base_dist.log_prob(x)))
        return p


def test_a_score_that_cannot_be_exported_is_named(tmp_path):
    model = vae(likelihood=Probit()).fit(IRIS)
    with pytest.raises(NotImplementedError, match=r"likelihood=Probit, prior='normal'.*ndtri"):
        export.to_onnx(model, tmp_path / "a.onnx", "score")
    told = ConditionalVAE(vae()).fit(IRIS, SPECIES)
    for part in ("encoder", "decoder", "score"):
        with pytest.raises(ValueError, match=r"given\(condition\)"):
            export.to_onnx(told, tmp_path / "a.onnx", part)
    assert not list(tmp_path.iterdir())


# The estimator and the process stay as they are


def test_the_estimator_is_not_changed(tmp_path):
    model = vae(image_shape=(8, 8), conv_channels=(4,), normalization="batch").fit(GREY[:200])
    model.net_.module_.train()
    before, layers = pickle.dumps(model), [type(m) for m in model.net_.module_.modules()]
    export.to_onnx(model, tmp_path / "a.onnx", "decoder")
    assert pickle.dumps(model) == before
    assert [type(m) for m in model.net_.module_.modules()] == layers
    assert model.net_.module_.training
    model.partial_fit(GREY[:200])


def test_a_compiled_model_is_exported_as_it_was_written(fitted, tmp_path):
    model = pickle.loads(pickle.dumps(fitted))
    model.net_.module_.encoder.compile(backend=lambda *_: pytest.fail("compiled"))
    export.to_onnx(model, tmp_path / "a.onnx")
    np.testing.assert_allclose(
        run(tmp_path / "a.onnx", IRIS32)[0], fitted.transform(FRAME), atol=1e-5
    )
    assert model.net_.module_.encoder._compiled_call_impl is not None


def test_export_is_silent_and_leaves_the_process_as_it_was(fitted, tmp_path, capfd, caplog):
    def state():
        levels = [logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")]
        numpy_state = np.random.get_state()
        validates = torch.distributions.Distribution._validate_args
        others = levels, validates, list(warnings.filters), numpy_state[1].tolist()
        return *others, torch.get_rng_state()

    *before, generator = state()
    export.to_onnx(fitted, tmp_path / "a.onnx", "decoder")
    *after, later = state()
    assert after == before
    assert torch.equal(generator, later)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


# What cannot be exported


class FixedRows(nn.Module):
    """Works for the rows it is tried with, and makes their number part of the graph."""

    def forward(self, x):
        return torch.cat([row.unsqueeze(0) for row in x])


def test_what_cannot_be_exported_is_named(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"as it was")
    message = "encoder=FixedRows, likelihood='auto', .*fixed number of"
    with pytest.raises(NotImplementedError, match=message):
        export.to_onnx(vae(encoder=FixedRows()).fit(IRIS), path)
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"part": "prior"}, "part='prior' must be 'encoder' or 'decoder' or 'score'"),
        ({"dtype": "float16"}, "dtype='float16' of the encoder must be 'float32' or"),
        ({"part": "decoder", "dtype": np.uint8}, "of the decoder must be 'float32' or 'float64'"),
        ({"opset_version": 17}, "opset_version=17 cannot be written"),
        ({"opset_version": 99}, "opset_version=99 cannot be written"),
    ],
)
def test_wrong_arguments(fitted, tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        export.to_onnx(fitted, tmp_path / "a.onnx", **params)
    assert not list(tmp_path.iterdir())


def test_wrong_estimators_and_paths(fitted, tmp_path):
    with pytest.raises(NotFittedError):
        export.to_onnx(vae(), tmp_path / "a.onnx")
    with pytest.raises(FileNotFoundError):
        export.to_onnx(fitted, tmp_path / "missing" / "a.onnx")


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_the_extra_is_named_where_it_is_missing(fitted, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: export.to_onnx(fitted, tmp_path / "a.onnx"), export.register_skl2onnx):
        with pytest.raises(ImportError, match=rf"{name} is not .*pip install 'skvae\[onnx\]'"):
            call()


def test_skl2onnx_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"skl2onnx is not .*pip install 'skvae\[onnx\]'"):
        export.register_skl2onnx()


# Whole Pipelines

NO_ZIPMAP = {LogisticRegression: {"zipmap": False}}
"""Probabilities as a matrix, not as a list of dicts."""


def classifier(*steps):
    return make_pipeline(*steps, LogisticRegression(max_iter=1000))


PIPELINES = {
    "float32, best of a search": (
        lambda: GridSearchCV(
            classifier(StandardScaler(), vae()),
            {"variationalautoencoder__n_components": [1, 2]},
            cv=2,
        ),
        IRIS32,
        {},
    ),
    "opset 18": (lambda: classifier(vae()), IRIS32, {"target_opset": 18}),
    "float64, two side by side": (
        lambda: classifier(
            FeatureUnion(
                [
                    ("one", vae()),
                    ("other", make_pipeline(MinMaxScaler(), vae(n_components=3))),
                    ("pca", PCA(2)),
                ]
            )
        ),
        IRIS,
        {},
    ),
    "one after the other": (
        lambda: classifier(
            ColumnTransformer([("a", vae(), [0, 2, 3]), ("b", StandardScaler(), [1])]), vae()
        ),
        IRIS32,
        {},
    ),
    "integers": (lambda: classifier(vae(likelihood="poisson")), DIGITS[:300].astype(np.int64), {}),
}


@pytest.fixture(autouse=True, scope="module")
def registered():
    export.register_skl2onnx()
    export.register_skl2onnx()


def assert_equal_predictions(pipeline, graph, X):
    label, probability = run(graph.SerializeToString(), X)
    assert (label == pipeline.predict(X)).all()
    np.testing.assert_allclose(probability, pipeline.predict_proba(X), atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", PIPELINES)
def test_a_pipeline_becomes_one_graph(case):
    make, X, options = PIPELINES[case]
    y = SPECIES if len(X) == len(SPECIES) else FIGURES[: len(X)]
    pipeline = make().fit(X, y)
    pipeline = getattr(pipeline, "best_estimator_", pipeline)
    graph = skl2onnx.to_onnx(pipeline, X[:1], options=NO_ZIPMAP, **options)
    onnx.checker.check_model(graph, full_check=True)
    assert_equal_predictions(pipeline, graph, X)
    (opset,) = (opset.version for opset in graph.opset_import if not opset.domain)
    assert opset == options.get("target_opset", skl2onnx.__max_supported_opset__)


def test_bytes_in_a_pipeline():
    model = vae(image_shape=(8, 8), conv_channels=(4,)).fit(BYTES)
    graph = skl2onnx.to_onnx(model, BYTES[:1])
    (Z,) = run(graph.SerializeToString(), BYTES)
    np.testing.assert_allclose(Z, model.transform(BYTES), atol=1e-5)


def test_a_frame_goes_in_column_by_column():
    frame = pd.DataFrame(IRIS + 1e8, columns=list("abcd"))
    model = vae().fit(frame)
    graph = skl2onnx.to_onnx(model, frame[:1])
    assert "Softplus" not in [node.op_type for node in graph.graph.node]  # the scale is not in it
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (Z,) = session.run(None, {name: frame[[name]].to_numpy() for name in frame})
    np.testing.assert_allclose(Z, model.transform(frame), atol=1e-5)


def test_an_unfitted_estimator_in_a_pipeline_is_refused():
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(vae(), IRIS32[:1])
