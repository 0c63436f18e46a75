"""The reader: bytes and their unit, grey levels, context, and what is kept of it all."""

import json
import re
import warnings
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits

from skvae._data import Reader
from tests.data_door.stand_ins import BY_COLUMN, LEFT_OPEN, REAL, UNIT_INTERVAL, learn

DIGITS = load_digits().data[:60]
BYTES = np.round(DIGITS * 255 / 16).astype(np.uint8)


class TestUnit:
    @pytest.mark.parametrize(
        ("X", "likelihood", "image_shape", "unit"),
        [
            (BYTES, LEFT_OPEN, (8, 8), 255),
            (BYTES, LEFT_OPEN, None, 1),
            (BYTES, UNIT_INTERVAL, None, 255),
            (BYTES, REAL, (8, 8), 1),
            (BYTES, BY_COLUMN, (8, 8), 1),
            ((BYTES > 9).astype(np.uint8), LEFT_OPEN, (8, 8), 1),
            (BYTES > 9, LEFT_OPEN, (8, 8), 1),
            (BYTES.astype(np.int64), UNIT_INTERVAL, (8, 8), 1),
            (scipy.sparse.csr_matrix(BYTES), UNIT_INTERVAL, None, 255),
            (torch.tensor(BYTES), UNIT_INTERVAL, None, 255),
            (pd.DataFrame(BYTES), UNIT_INTERVAL, None, 255),
            (pl.DataFrame(BYTES), UNIT_INTERVAL, None, 255),
        ],
        ids=str,
    )
    def test_bytes(self, X, likelihood, image_shape, unit):
        reader, rows, columns, estimator = learn(X, likelihood, image_shape)
        assert reader.unit == unit
        assert columns.high.max() == rows.block(slice(None)).max()
        dense = reader.floats(X)
        assert dense.dtype == np.float64
        np.testing.assert_allclose(dense, reader.read(estimator, X).block(slice(None)), rtol=1e-7)
        if unit == 255:
            assert rows.X.dtype == np.uint8
            assert_array_equal(dense, BYTES / 255)

    def test_only_bytes_are_read_in_units(self):
        reader, *_, estimator = learn(BYTES, UNIT_INTERVAL)
        shares = BYTES / 255
        assert_array_equal(reader.read(estimator, shares).block(slice(None)), shares)
        assert_array_equal(reader.floats(shares), shares)
        dark = np.ones((3, 64), np.uint8)
        assert reader.read(estimator, dark).take(slice(1)).max() == np.float32(1 / 255)


def grey_levels(X, likelihood=LEFT_OPEN, image_shape=(8, 8)):
    """Return the message of the warning, if there is one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learn(X, likelihood, image_shape)
    assert len(caught) <= 1
    return str(caught[0].message) if caught else ""


NOISE = np.random.RandomState(0).rand(60, 64) / 4
FLOATS = np.clip(BYTES * 0.99 + NOISE, 0, 255)


class TestGreyLevels:
    """Bytes that are not uint8, as from CSV files, are not silently taken for real numbers."""

    @pytest.mark.parametrize(
        ("X", "range_", "cures"),
        [
            (BYTES.astype(np.int64), "0 to 255", ["X.astype('uint8')", "X / 255"]),
            (BYTES.astype(np.float64), "0 to 255", ["X.astype('uint8')", "X / 255"]),
            (BYTES.astype(np.float32), "0 to 255", ["X.astype('uint8')", "X / 255"]),
            (scipy.sparse.csr_matrix(BYTES * 1.0), "0 to 255", ["X.astype('uint8')"]),
            (pd.DataFrame(BYTES.astype(np.int16)), "0 to 255", ["X.astype('uint8')"]),
            (BYTES.astype(np.float64) - (BYTES == 255) * 100, "0 to 239", ["X.astype('uint8')"]),
            (FLOATS, f"0.* to {FLOATS.max():g}", ["X / 255"]),
            (DIGITS, "0 to 16", ["X / 16"]),
            (DIGITS * 1000, "0 to 16000", ["X / 16000"]),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_range_and_cure_are_named(self, X, range_, cures):
        message = grey_levels(X)
        assert re.search(f"{range_}, which seem to be grey levels", message)
        assert "likelihood='gaussian'" in message
        for cure in cures:
            assert cure in message
            cured = eval(cure, {"X": X})
            assert grey_levels(cured) == ""
            high = learn(cured, LEFT_OPEN, (8, 8))[2].high.max()
            assert 0.5 < high <= 1

    @pytest.mark.parametrize(
        ("X", "likelihood", "image_shape"),
        [
            (BYTES, LEFT_OPEN, (8, 8)),
            (BYTES.astype(float), LEFT_OPEN, None),
            (BYTES.astype(float), REAL, (8, 8)),
            (BYTES.astype(float), UNIT_INTERVAL, (8, 8)),
            (DIGITS / 16, LEFT_OPEN, (8, 8)),
            (DIGITS - 8, LEFT_OPEN, (8, 8)),
            ((DIGITS > 5) * 1.0, LEFT_OPEN, (8, 8)),
            (DIGITS + NOISE, LEFT_OPEN, (8, 8)),
            (FLOATS * 2, LEFT_OPEN, (8, 8)),
        ],
        ids=lambda value: str(value)[:20],
    )
    def test_others_are_silent(self, X, likelihood, image_shape):
        assert grey_levels(X, likelihood, image_shape) == ""


class TestContext:
    X, context = np.random.RandomState(0).rand(20, 3), np.arange(40).reshape(20, 2)

    @pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, np.ndarray.tolist, np.float32])
    def test_it_stays_with_its_rows(self, container):
        given = container(self.context)
        reader, rows, _, estimator = learn(self.X, context=given)
        assert_array_equal(rows.batch(slice(None)).context, self.context[rows.index])
        again = reader.read_on(estimator, self.X, context=given)[1]
        assert_array_equal(again.batch(slice(None)).context, self.context[again.index])
        batch = reader.read(estimator, self.X, given).batch(slice(None))
        assert_array_equal(batch.context, self.context)
        assert batch.context.dtype == batch.x.dtype

    @pytest.mark.parametrize(
        ("context", "message"),
        [
            (np.zeros((19, 2)), "inconsistent numbers of samples"),
            (np.zeros(20), "Expected 2D array"),
            (np.full((20, 1), np.nan), "context contains NaN"),
        ],
    )
    def test_it_fits_x(self, context, message):
        reader, *_, estimator = learn(self.X, context=self.context)
        for call in (
            lambda: learn(self.X, context=context),
            lambda: reader.read(estimator, self.X, context),
            lambda: reader.read_on(estimator, self.X, context=context),
        ):
            with pytest.raises(ValueError, match=message):
                call()


def test_weights_count_in_fits_only():
    X = np.random.RandomState(0).rand(20, 3)
    weight = np.arange(20) / 3
    reader, rows, columns, estimator = learn(X, sample_weight=weight)
    again = reader.read_on(estimator, X, sample_weight=weight)[1]
    for some in (rows, again):
        assert len(some) == 19
        assert_array_equal(some.weight, weight[some.index] / weight[1:].mean())
    np.testing.assert_allclose(columns.mean, np.average(X, axis=0, weights=weight))
    assert reader.read(estimator, X).weight is None
    with pytest.raises(ValueError, match="only zeros"):
        learn(X, sample_weight=np.zeros(20))


def test_it_is_plain_values():
    frame = pd.DataFrame({"a": pd.Categorical(["u", "v"]), "b": pd.Categorical([2, 1])})
    reader, *_ = learn(frame, BY_COLUMN)
    assert Reader(**json.loads(json.dumps(asdict(reader)))) == reader
    assert reader != Reader() == Reader({}, 1.0)
    with pytest.raises(FrozenInstanceError):
        reader.unit = 255.0


def test_floats_keep_what_is_missing():
    X = np.array([[np.nan, 1.0], [np.inf, 2.0]])
    for given in (X, X.tolist(), pd.DataFrame(X), scipy.sparse.csr_matrix(X)):
        assert_array_equal(Reader().floats(given), X)
