"""What two newcomers want, from the first line to the last; tests/test_cells.py has a third."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_digits, load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

import skvae
from skvae import ConditionalVAE, VAEImputer, VAEOutlierDetector, VariationalAutoencoder
from skvae.export import to_onnx


def test_an_engineer_with_gaps(tmp_path):
    """Rows of measurements with gaps: a detector, its reasons, and its score without Python."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    rng = np.random.default_rng(0)
    normal, strange = X[y == 1].iloc[:, :10], X[y == 0].iloc[:, :10]
    gaps = normal.mask(rng.random(normal.shape) < 0.05)

    detector = VAEOutlierDetector(n_estimators=1, random_state=0).fit(gaps)
    rows = pd.concat([gaps, strange])
    is_strange = np.repeat([0, 1], [len(gaps), len(strange)])
    assert roc_auc_score(is_strange, -detector.score_samples(rows)) > 0.9
    assert np.mean(detector.predict(gaps) == -1) < 0.1

    broken = normal.iloc[[3]].assign(**{"mean texture": 300.0})
    assert normal.columns[detector.explain(broken).argmax()] == "mean texture"

    detector.save(tmp_path / "detector.safetensors")
    detector = skvae.load(tmp_path / "detector.safetensors")
    to_onnx(detector, tmp_path / "detector.onnx", part="score")
    session = onnxruntime.InferenceSession(tmp_path / "detector.onnx")
    score, decision = session.run(None, {"X": rows.to_numpy(np.float32)})
    assert_allclose(score.ravel(), detector.score_samples(rows), rtol=1e-3, atol=0.05)
    assert np.mean((decision.ravel() < 0) == (detector.predict(rows) == -1)) > 0.995

    quick = VariationalAutoencoder(4, max_steps=400, random_state=0)
    filled = VAEImputer(quick, n_estimators=1).fit(gaps).transform(gaps)
    error = np.abs(filled - normal)[gaps.isna()] / normal.std()
    from_mean = np.abs(normal.mean() - normal)[gaps.isna()] / normal.std()
    assert error.mean().mean() < 0.5 * from_mean.mean().mean()


@pytest.mark.filterwarnings("ignore::skvae.UndertrainedWarning")
def test_a_student_with_digits():
    """A plane of digits, a 7 that was asked for, and patches in colour."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    vae = VariationalAutoencoder(n_components=2, max_epochs=60, random_state=0).fit(X)
    Z = vae.transform(X)
    assert LogisticRegression(max_iter=500).fit(Z, y).score(Z, y) > 0.6
    assert np.abs(vae.reconstruct(X) - X).mean() < 0.75 * np.abs(X - X.mean(0)).mean()

    hands = VariationalAutoencoder(n_components=2, max_epochs=60, random_state=0)
    sevens = ConditionalVAE(hands).fit(X, y).sample(50, condition=7, mean=True)
    assert np.mean(SVC().fit(X, y).predict(sevens) == 7) > 0.9

    patches = extract_patches_2d(
        load_sample_image("flower.jpg"), (16, 16), max_patches=600, random_state=0
    )
    rows = patches.reshape(600, -1)
    colours = VariationalAutoencoder(
        8, image_shape=(16, 16, 3), conv_channels=(16, 32), max_steps=150, random_state=0
    ).fit(rows)
    mean_colour = rows.reshape(600, -1, 3).mean(1) / 255
    rebuilt = colours.reconstruct(rows).reshape(600, -1, 3).mean(1)
    assert np.corrcoef(mean_colour.ravel(), rebuilt.ravel())[0, 1] > 0.9
