"""What makes rows strange: bars of one, a heat map of several, pictures."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAEOutlierDetector, VariationalAutoencoder
from skvae.display import OutlierDisplay
from tests.display.models import texts

RNG = np.random.default_rng(0)
NATS = np.array([[1.0, -2.0, 9.0, 0.0], [4.0, 0.0, 0.0, -1.0]])
ROWS = np.arange(8.0).reshape(2, 4)
NAMES = ["a", "b", "c", "d"]


def shown(n_rows=2, **kwargs):
    params = {"originals": ROWS, "nats": NATS, "scores": np.array([-7.0, 3.0])}
    params = {name: value[:n_rows] for name, value in params.items()}
    return OutlierDisplay(**params, feature_names=NAMES).plot(**kwargs)


@pytest.fixture(scope="module")
def detector():
    X = pd.DataFrame(RNG.normal(size=(80, 4)), columns=NAMES)
    vae = VariationalAutoencoder(hidden_layer_sizes=(8,), max_steps=20)
    return VAEOutlierDetector(vae, novelty=True, n_estimators=1, random_state=0).fit(X)


def test_bars_of_one_row():
    display = shown(1)
    assert [bar.get_width() for bar in display.bars_] == [9, 1, 0, -2]
    assert texts(display.ax_.get_yticklabels()) == ["c = 2", "a = 0", "d = 3", "b = 1"]
    assert display.ax_.yaxis_inverted()
    colours = [bar.get_facecolor() for bar in display.bars_]
    assert colours[0] == colours[1] != colours[3]
    assert "−7" in display.ax_.get_title()
    assert display.image_ is display.colorbar_ is None
    assert {bar.get_facecolor() for bar in shown(1, bar_kwargs={"color": "red"}).bars_} == {
        (1, 0, 0, 1)
    }


def test_a_heat_map_of_several():
    display = shown(n_features=3)
    np.testing.assert_array_equal(display.shown_, [2, 0, 1])
    np.testing.assert_array_equal(display.image_.get_array(), NATS[:, [2, 0, 1]].T)
    assert texts(display.ax_.get_yticklabels()) == ["c", "a", "b"]
    assert texts(display.ax_.get_xticklabels()) == ["−7", "3"]
    assert display.colorbar_.ax.get_ylabel() == "nats"
    assert display.feature_names == NAMES  # the display may be drawn again
    assert len(display.plot(n_features=1).shown_) == 1


def test_pictures():
    nats = RNG.normal(size=(3, 36))
    display = OutlierDisplay(
        originals=np.zeros((3, 36)), nats=nats, scores=np.arange(3.0), image_shape=(4, 3, 3)
    ).plot()
    image = display.nats_image_.get_array()
    np.testing.assert_allclose(image[:, :3], nats[0].reshape(4, 3, 3).sum(-1))
    low, high = display.nats_image_.get_clim()
    assert low == -high
    assert texts(display.ax_.get_yticklabels()) == ["row", "nats"]


def test_of_an_estimator(detector):
    X = pd.DataFrame(RNG.normal(size=(5, 4)), columns=NAMES)
    display = OutlierDisplay.from_estimator(detector, X, n_rows=3)
    np.testing.assert_array_equal(display.nats, detector.explain(X[:3]))
    np.testing.assert_array_equal(display.scores, detector.decision_function(X[:3]))
    np.testing.assert_array_equal(display.originals, X[:3])
    assert list(display.feature_names) == NAMES
    scaler = StandardScaler().fit(X)
    inside = make_pipeline(scaler.set_output(transform="pandas"), detector)
    np.testing.assert_array_equal(
        OutlierDisplay.from_estimator(inside, X, n_rows=1).nats,
        detector.explain(scaler.transform(X[:1])),
    )


def test_refuses_others(detector):
    X = pd.DataFrame(np.zeros((1, 4)), columns=NAMES)
    with pytest.raises(TypeError, match="VariationalAutoencoder, which has no explain"):
        OutlierDisplay.from_estimator(detector.vae_, X)
    for name in ("n_rows", "n_features"):
        with pytest.raises(ValueError, match=name):
            OutlierDisplay.from_estimator(detector, X, **{name: 0})
