"""The bars of the components."""

import itertools

import numpy as np
from matplotlib import pyplot as plt

from skvae.display import ComponentDisplay
from tests.display.models import texts

KL = np.array([0.01, 2.0, 0.5, 0.04, 1.0])


def drawn(kl=KL, **kwargs):
    return ComponentDisplay(kl_per_component=kl, active_components=kl > 0.05).plot(**kwargs)


def test_bars_are_sorted_and_named():
    display = drawn()
    heights = [bar.get_height() for bar in display.bars_]
    np.testing.assert_array_equal(heights, [2.0, 1.0, 0.5, 0.04, 0.01])
    assert texts(display.ax_.get_xticklabels()) == ["1", "4", "2", "(3)", "(0)"]
    np.testing.assert_array_equal(display.order_, [1, 4, 2, 3, 0])


def test_what_is_not_active_differs_by_colour_and_hatch():
    bars = drawn().bars_
    assert len({bar.get_facecolor() for bar in bars[:3]}) == 1
    assert len({bar.get_facecolor() for bar in bars[3:]}) == 1
    assert bars[0].get_facecolor() != bars[4].get_facecolor()
    assert [bool(bar.get_hatch()) for bar in bars] == [False, False, False, True, True]


def test_the_legend_counts_and_sums():
    display = drawn()
    assert texts(display.legend_.get_texts()) == [
        "3 active, 3.50 nats",
        "2 (not active), 0.05 nats",
        "active above 0.05 nats",
    ]
    assert list(display.threshold_line_.get_ydata()) == [0.05, 0.05]
    display.threshold = None
    assert display.plot().threshold_line_ is None
    assert len(texts(display.legend_.get_texts())) == 2


def test_bars_of_an_estimator(images):
    display = ComponentDisplay.from_estimator(images)
    np.testing.assert_array_equal(display.kl_per_component, images.kl_per_component_)
    np.testing.assert_array_equal(display.active_components, images.active_components_)


def test_one_component_and_many():
    for n in (1, 12, 30, 100):
        display = drawn(np.linspace(0, 2, n) + 0.01)
        display.figure_.canvas.draw()
        labels = [label.get_window_extent() for label in display.ax_.get_xticklabels()]
        assert all(a.x1 <= b.x0 for a, b in itertools.pairwise(labels))
        assert len(display.bars_) == n
        plt.close(display.figure_)


def test_bar_kwargs_replace_defaults():
    bars = drawn(bar_kwargs={"color": "red", "ec": "k", "lw": 2, "hatch": None}).bars_
    assert {bar.get_facecolor() for bar in bars} == {(1, 0, 0, 1)}
    assert {bar.get_edgecolor() for bar in bars} == {(0, 0, 0, 1)}
    assert {bar.get_linewidth() for bar in bars} == {2}
    assert {bar.get_hatch() for bar in bars} == {None}
