"""Helpers that the displays share."""

import numpy as np
import pytest

from skvae.display._drawing import number, round_below


@pytest.mark.parametrize("value", [1, 2, 5, 0.1, 0.2, 0.5, 1e-7, 1000, 3.3, 0.49, 9.99, 1e-3])
def test_round_numbers_below(value):
    below = round_below(value)
    assert below <= value * (1 + 1e-6)
    assert value < below * 2.5 * (1 + 1e-6)
    assert float(f"{below:.0e}") == pytest.approx(below)
    assert f"{below:e}"[0] in "125"


def test_numbers_have_a_proper_minus():
    assert [number(value) for value in (-1.5, 2.0, np.float32(0.25), -2.0537)] == [
        "−1.5", "2", "0.25", "−2.05",
    ]  # fmt: skip
