"""The curves of training."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skvae.display import HistoryDisplay
from tests.display.models import X, small

TERMS = ("loss", "reconstruction", "kl")


def test_curves_are_the_history(table):
    display = HistoryDisplay.from_estimator(table)
    display.figure_.canvas.draw()
    assert len(display.lines_) == 6
    for name, curve in display.lines_.items():
        sign = -1 if name.endswith("reconstruction") else 1
        np.testing.assert_array_equal(curve.get_xdata(), [row["epoch"] for row in table.history_])
        np.testing.assert_array_equal(
            curve.get_ydata(), [sign * row[name] for row in table.history_]
        )
        assert curve.get_linestyle() == ("--" if name.startswith("valid") else "-")
    loss, kl = display.axes_
    assert loss.get_ylabel() == kl.get_ylabel() == "nats per row"
    assert [line.get_label() for line in kl.lines] == ["KL", "KL, held out"]


def test_history_without_held_out_rows(images):
    curves = HistoryDisplay.from_estimator(images).lines_
    assert list(curves) == [f"train_{name}" for name in TERMS]


def test_history_where_rows_were_held_out_in_some_epochs(table):
    history = [*table.history_, {"epoch": 3} | {f"train_{name}": 1.0 for name in TERMS}]
    display = HistoryDisplay(history=history).plot()
    assert np.isnan(display.lines_["valid_kl"].get_ydata()[-1])
    assert not np.isnan(display.lines_["train_kl"].get_ydata()).any()


def test_history_of_one_epoch_shows_points(images):
    display = HistoryDisplay(history=images.history_[:1]).plot()
    display.figure_.canvas.draw()
    assert {line.get_marker() for line in display.lines_.values()} == {"o"}


def test_history_in_axes_given(images):
    fig, axes = plt.subplots(ncols=2)
    display = HistoryDisplay.from_estimator(images, ax=axes)
    assert list(display.axes_) == list(axes)
    one = HistoryDisplay.from_estimator(images, ax=plt.figure().add_subplot())
    assert one.axes_[0] is one.axes_[1]
    assert len(one.axes_[0].lines) == 3
    assert len(plt.get_fignums()) == 2
    with pytest.raises(ValueError, match=r"^ax holds 3 axes"):
        display.plot([*axes, axes[0]])
    assert display.figure_ is fig


def test_line_kwargs_replace_defaults(images):
    display = HistoryDisplay.from_estimator(images, line_kwargs={"c": "k", "ls": ":", "lw": 5})
    for curve in display.lines_.values():
        assert (curve.get_color(), curve.get_linestyle(), curve.get_linewidth()) == ("k", ":", 5)


def test_history_of_an_unfitted_estimator():
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(small())


def test_history_behind_a_pipeline(pipe):
    assert HistoryDisplay.from_estimator(pipe).history is pipe[-1].history_
    with pytest.raises(TypeError, match="PCA, which has no history_"):
        HistoryDisplay.from_estimator(PCA().fit(X))
