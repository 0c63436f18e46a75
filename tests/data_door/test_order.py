"""The order of the rows depends on what they hold alone, and weights repeat them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae._data.order import check_weight, hash_all, hash_rows, mix, weighted_rows
from skvae._data.rows import Rows

RNG = np.random.RandomState(0)
X = np.round(RNG.randn(60, 3), 1)
CONTEXT = RNG.randint(2, size=(60, 2)).astype(float)
LABEL = np.where(RNG.rand(60) < 0.5, np.nan, 1.0)


def everything(rows):
    """Return all that a fit sees of some rows, side by side."""
    batch = rows.batch(slice(None))
    return np.column_stack([part for part in batch if isinstance(part, torch.Tensor)])


BESIDE = [{}, {"context": CONTEXT}, {"label": LABEL}, {"context": CONTEXT, "label": LABEL}]


@pytest.mark.parametrize("beside", BESIDE, ids=lambda beside: "-".join(beside) or "nothing")
class TestOrder:
    def test_it_does_not_depend_on_that_of_x(self, beside):
        # Rows that are there twice, with other things beside them, have an order too.
        twice = np.concatenate([X, X[::-1]])
        besides = {name: np.concatenate([v, v]) for name, v in beside.items()}
        order = RNG.permutation(120)
        shuffled = {name: values[order] for name, values in besides.items()}
        first, _ = weighted_rows(Rows(twice, **besides), None)
        other, _ = weighted_rows(Rows(twice[order], **shuffled), None)
        assert_array_equal(everything(first), everything(other))
        assert not np.array_equal(first.index, np.arange(120))

    def test_whole_weights_repeat_rows(self, beside):
        weight = RNG.randint(0, 4, 60).astype(float)
        repeated = {k: np.repeat(v, weight.astype(int), axis=0) for k, v in beside.items()}
        first, _ = weighted_rows(Rows(X, **beside), weight)
        other, _ = weighted_rows(Rows(np.repeat(X, weight.astype(int), axis=0), **repeated), None)
        assert_array_equal(everything(first), everything(other))
        assert first.weight is None

    def test_fractions_stay_with_their_rows(self, beside):
        weight = RNG.rand(60) * (RNG.rand(60) < 0.7)
        rows, _ = weighted_rows(Rows(X, **beside), weight)
        assert len(rows) == np.count_nonzero(weight)
        assert_allclose(rows.weight, weight[rows.index] / weight[weight > 0].mean())
        assert_array_equal(rows.block(slice(None)), X[rows.index])


def test_the_hash_is_that_of_the_values():
    assert_array_equal(hash_all(Rows(X)), hash_rows(X))
    assert_array_equal(hash_rows(X * 0.0), hash_rows(X * -0.0))
    assert len(np.unique(hash_rows(RNG.randn(1000, 2)))) == 1000


def test_the_hash_covers_context_and_label():
    hashes = {tuple(hash_all(Rows(X, **beside))) for beside in BESIDE}
    hashes.add(tuple(hash_all(Rows(X, context=1 - CONTEXT))))
    assert len(hashes) == 5


def test_mixing_moves_every_bit():
    words = np.uint64(1) << np.arange(64, dtype=np.uint64)
    changed = np.bitwise_count(mix(words) ^ mix(np.zeros(1, np.uint64)))
    assert 16 < changed.min() <= changed.max() < 48


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(60), "sample_weight holds only zeros"),
        (np.full(60, -1.0), "sample_weight.*non-negative|Negative values"),
        (np.ones(3), "sample_weight"),
        (np.full(60, np.nan), "sample_weight contains NaN"),
    ],
)
def test_weights_that_are_none(weight, message):
    with pytest.raises(ValueError, match=message):
        check_weight(weight, X)
