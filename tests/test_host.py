"""What a program has set in torch for itself, and ours must neither follow nor change."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

import skvae
from skvae import (
    ConditionalVAE,
    VAEClassifier,
    VAEImputer,
    VAEOutlierDetector,
    VariationalAutoencoder,
)
from skvae._host import without_tf32
from skvae.export import to_onnx
from skvae.metrics import aggregate_kl, mutual_information, rate_distortion
from skvae.sampling import LatentDensitySampler

X, Y = load_iris(return_X_y=True)
GAPS = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
COUNTS = np.random.default_rng(0).poisson(3.0, (100, 5))
VAE = VariationalAutoencoder(max_epochs=2, random_state=0)
FITS = {
    "defaults": lambda: VariationalAutoencoder(max_epochs=40, random_state=0).fit(X),
    "counts, vamp": lambda: vae(likelihood="negative_binomial", prior="vamp").fit(COUNTS),
    "flows": lambda: vae(prior="flow", posterior_family="flow").fit(X),
    "mixture, full": lambda: vae(prior="mixture", posterior_family="full").fit(X),
    "images": lambda: vae(image_shape=(2, 2), likelihood="gaussian", conv_channels=(4,)).fit(X),
    "gaps": lambda: vae(early_stopping=True).fit(GAPS).partial_fit(GAPS),
    "conditional": lambda: ConditionalVAE(VAE).fit(X, Y),
    "classifier": lambda: VAEClassifier(VAE).fit(X, Y),
    "detector": lambda: VAEOutlierDetector(VAE).fit(X),
    "imputer": lambda: VAEImputer(VAE).fit(GAPS),
}


def vae(**params):
    return VariationalAutoencoder(max_epochs=2, random_state=0, **params)


def numbers(model):
    """Return what a model says of rows."""
    rows = COUNTS if getattr(model, "n_features_in_", 4) == 5 else X
    methods = ("transform", "score_samples", "reconstruct", "predict")
    return [getattr(model, method)(rows) for method in methods if hasattr(model, method)]


@pytest.mark.parametrize("name", FITS)
def test_another_default_device_is_not_followed(name, tmp_path):
    expected = numbers(FITS[name]())
    # On "meta" nothing has a value: whatever were made there would be missed.
    with torch.device("meta"):
        model = FITS[name]()
        found = [numbers(model), numbers(pickle.loads(pickle.dumps(model)))]
        if hasattr(model, "save"):
            model.save(tmp_path / "model")
            found.append(numbers(skvae.load(tmp_path / "model")))
        assert torch.get_default_device().type == "meta"
    for each in found:
        for one, other in zip(each, expected, strict=True):
            assert_array_equal(one, other)


ASKED = {
    "sample": lambda model, path: model.sample(5, random_state=0),
    "weighted": lambda model, path: model.score_samples(X, n_importance_samples=5),
    "gaps": lambda model, path: model.score_samples(GAPS),
    "card": lambda model, path: len(model.model_card()),
    "rate_distortion": lambda model, path: rate_distortion(model, X),
    "aggregate_kl": lambda model, path: aggregate_kl(model, X),
    "mutual_information": lambda model, path: mutual_information(model, X),
    "sampler": lambda model, path: LatentDensitySampler(model).fit(X).sample(3).shape,
    "onnx": lambda model, path: to_onnx(model, path / "model.onnx", part="score"),
    "explore": lambda model, path: len(skvae.explore(model, X, path=path / "p.html").read_text()),
}


@pytest.mark.parametrize("name", ASKED)
def test_nor_by_what_is_asked_of_a_model(name, tmp_path):
    model = VAE.fit(X)
    expected = ASKED[name](model, tmp_path)
    with torch.device("meta"):
        found = ASKED[name](model, tmp_path)
    assert_array_equal(found, expected)


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_off_for_as_long_as_anyone_needs_float32(monkeypatch, allowed):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    inside, outside = Barrier(2), Barrier(2)

    def first():
        with without_tf32("cuda"):
            inside.wait(10)
        outside.wait(10)

    def second():
        with without_tf32("cuda:0"):
            inside.wait(10)
            outside.wait(10)  # the first one has left
            return torch.backends.cudnn.allow_tf32

    with ThreadPoolExecutor(2) as pool:
        pool.submit(first)
        assert pool.submit(second).result(20) is False
    assert torch.backends.cudnn.allow_tf32 is allowed
    with without_tf32("cpu"):
        assert torch.backends.cudnn.allow_tf32 is allowed
