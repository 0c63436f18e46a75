"""Columns: their statistics are those of numpy and scikit-learn, a block at a time."""

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from skvae._data import rows as rows_module
from skvae._data import statistics, weighted_rows
from skvae._data.columns import Columns
from skvae._data.rows import Rows
from skvae._data.statistics import DISTINCT_CAP

RNG = np.random.RandomState(0)
X = np.column_stack(
    [
        RNG.randn(900),
        RNG.randint(0, 7, 900),
        RNG.randint(0, 2, 900),
        np.full(900, 3.5),
        RNG.poisson(400, 900),
        np.where(RNG.rand(900) < 0.5, 0.0, -0.0),
        np.arange(900) - 5,
        RNG.randn(900) + 1e6,
        np.arange(900) % DISTINCT_CAP,
        np.arange(900) % (DISTINCT_CAP - 1) / 7,
    ]
)
SOURCES = {
    "float64": X,
    "float32": X.astype(np.float32),
    "int64": X.astype(np.int64),
    "CSR": scipy.sparse.csr_matrix(X),
    "missing": np.where(RNG.rand(*X.shape) < 0.3, np.nan, X),
    "one row": X[:1],
}


@pytest.fixture(params=[2**24, 2**12], ids=["one block", "many blocks"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("name", SOURCES)
class TestStatistics:
    def test_of_values(self, name):
        rows = Rows(SOURCES[name])
        columns, block = Columns(rows), rows.block(slice(None))
        assert len(columns) == X.shape[1]
        assert_array_equal(columns.low, np.nanmin(block, 0))
        assert_array_equal(columns.high, np.nanmax(block, 0))
        assert_array_equal(columns.missing, np.isnan(block).sum(0))
        assert_array_equal(columns.whole, [np.all(c[~np.isnan(c)] % 1 == 0) for c in block.T])
        distinct = [len(np.unique(c[~np.isnan(c)])) for c in block.T]
        assert_array_equal(columns.distinct, np.minimum(distinct, DISTINCT_CAP))
        assert_array_equal(columns.constant, np.array(distinct) <= 1)
        seen = (~np.isnan(block)).sum(0)
        assert_allclose(columns.zeros, (block == 0).sum(0) / seen)
        at_ends = (block == np.nanmin(block, 0)) | (block == np.nanmax(block, 0))
        assert_allclose(columns.at_ends, at_ends.sum(0) / seen)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_moments(self, name, weighted):
        rows = Rows(SOURCES[name])
        rows = rows.with_weight(RNG.rand(len(rows)) + 0.1) if weighted else rows
        columns, block = Columns(rows), rows.block(slice(None)).astype(float)
        weight = np.ones(len(rows)) if rows.weight is None else rows.weight
        weight = ~np.isnan(block) * weight[:, None]
        mean = np.average(np.nan_to_num(block), 0, weights=weight)
        variance = np.average(np.nan_to_num((block - mean) ** 2), 0, weights=weight)
        precision = 1e-5 if rows.dtype == np.float32 else 1e-9  # of the sums over weights
        assert_allclose(columns.mean, mean, rtol=precision, atol=1e-12)
        expected = np.where(columns.constant, 1, np.sqrt(variance))
        assert_allclose(columns.scale, expected, rtol=precision)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_moments_of_logarithms(self, name, weighted):
        rows = Rows(SOURCES[name])
        rows = rows.with_weight(RNG.rand(len(rows)) + 0.1) if weighted else rows
        columns, block = Columns(rows), rows.block(slice(None)).astype(float)
        weight = np.ones(len(rows)) if rows.weight is None else rows.weight
        for j, low in enumerate(columns.low):
            seen = block[:, j] > 0
            if low >= 0 and seen.any():
                logs = np.log(block[seen, j])
                mean = np.average(logs, weights=weight[seen])
                scale = np.sqrt(np.average((logs - mean) ** 2, weights=weight[seen]))
                assert columns.log_mean[j] == pytest.approx(mean, rel=1e-5, abs=1e-6)
                constant = len(np.unique(logs)) == 1
                assert columns.log_scale[j] == pytest.approx(1 if constant else scale, rel=1e-3)

    def test_moments_are_those_of_scikit_learn(self, name):
        rows = Rows(SOURCES[name])
        columns, scaler = Columns(rows), StandardScaler()
        for block, _ in rows.blocks():
            scaler.partial_fit(block)
        # scikit-learn's sums depend on the order of the rows.
        assert_allclose(columns.mean, scaler.mean_, rtol=1e-9, atol=1e-12)
        assert_allclose(columns.scale, scaler.scale_, rtol=1e-6)

    def test_they_do_not_depend_on_the_order_of_the_rows(self, name):
        source = SOURCES[name]
        source = source.toarray() if scipy.sparse.issparse(source) else source
        # Repeated rows of far apart sizes, whose sums depend on their order in floats.
        source, weight = np.repeat(source, 5, axis=0), RNG.rand(5 * len(source)) ** 9
        order = RNG.permutation(len(source))
        for some in (None, weight):
            first, other = Rows(source, weight=some), Rows(source[order], weight=some)
            if some is not None:
                other = other.with_weight(some[order])
            for statistic in ("mean", "scale", "log_mean", "log_scale", "zeros", "at_ends"):
                one, two = (getattr(Columns(rows), statistic) for rows in (first, other))
                assert_array_equal(one, two)


@pytest.mark.parametrize("most", [2**23, 100])
def test_sums_are_exact(most, monkeypatch):
    """Those of Python's integers, of numbers rounded to units, however often they are carried."""
    monkeypatch.setattr(statistics, "EXACT_ROWS", most)
    values = torch.from_numpy(RNG.uniform(-1, 1, (900, 3)))
    values[:2] = torch.tensor([[-1.0], [1.0]])
    one, other = statistics.ExactSum(3), statistics.ExactSum(3)
    for sums, some in ((one, values[:500]), (other, values[500:])):
        for piece in some.clone().split(70):
            sums.add(piece)
    one.join(other)
    expected = [sum(round(x * 2**statistics.BITS) for x in column) for column in values.T.tolist()]
    assert one.units().tolist() == expected


def test_types():
    columns = Columns(Rows(X.astype(np.float32)))
    for name in ("low", "high", "mean", "scale"):
        assert getattr(columns, name).dtype == torch.float64
    assert columns.whole.dtype == columns.constant.dtype == torch.bool
    assert columns.missing.dtype == columns.distinct.dtype == torch.int64


@pytest.mark.usefixtures("_blocks")
def test_a_column_that_is_missing_at_first_or_altogether():
    some = X.copy()
    some[:800, 0], some[:, 1] = np.nan, np.nan
    columns = Columns(Rows(some))
    assert columns.mean[0] == pytest.approx(X[800:, 0].mean())
    assert columns.scale[0] == pytest.approx(X[800:, 0].std())
    assert columns.missing.tolist()[:3] == [800, 900, 0]
    assert torch.isnan(columns.low[1])
    assert torch.isnan(columns.high[1])
    assert (columns.mean[1], columns.scale[1]) == (0, 1)
    assert columns.constant[1]
    assert columns.distinct[1] == 0


@pytest.mark.parametrize("centre", [0.0, 1e6, -1e12])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e5])
def test_moments_far_from_zero(centre, spread):
    x = centre + spread * RNG.standard_t(3, (5000, 2))
    columns = Columns(Rows(x))
    expected = x.mean(0, dtype=np.longdouble).astype(float)
    assert_allclose(columns.mean, expected, rtol=1e-15, atol=1e-11 * np.ptp(x))
    assert_allclose(columns.scale, (x - x.mean(0)).std(0), rtol=1e-7)


def test_whole_weights_are_repeats_to_the_last_bit():
    weight = RNG.randint(0, 4, 900)
    repeated = Columns(Rows(np.repeat(X, weight, axis=0)))
    rows, look = weighted_rows(Rows(X), weight.astype(float))
    for columns in (Columns(rows), Columns(rows, look=look)):
        for name in ("mean", "scale", "zeros", "at_ends", "missing"):
            assert_array_equal(getattr(columns, name), getattr(repeated, name))


@pytest.mark.parametrize("in_detail", [False, True])
def test_two_passes_in_the_order_of_the_source_and_only_when_asked(monkeypatch, in_detail):
    shuffled, passes = Rows(X, RNG.permutation(900)), []
    blocks = Rows.blocks
    monkeypatch.setattr(Rows, "blocks", lambda rows: passes.append(rows.index) or blocks(rows))
    columns = Columns(shuffled, names=list("abcdefghij"), wants_detail=in_detail)
    assert passes == []
    for name in ("low", "high", "whole", "missing", "constant", "zeros", "at_ends"):
        getattr(columns, name)
    assert passes == [None]
    _ = columns.mean, columns.scale
    assert passes == [None, None]
    _ = columns.log_mean, columns.log_scale, columns.distinct
    assert passes == [None] * (2 if in_detail else 4)


def test_what_is_declared():
    plain = Columns(Rows(X[:, :2]))
    assert (plain.names, plain.kinds, plain.n_levels) == (None, [None, None], [0, 0])
    declared = Columns(Rows(X[:, :2]), ["a", "b"], ["real", "category"], [0, 3])
    assert (declared.names, declared.kinds, declared.n_levels) == (
        ["a", "b"], ["real", "category"], [0, 3],
    )  # fmt: skip


def with_value(value, dtype=np.float64):
    some = RNG.randn(50, 3).astype(dtype)
    some[7, 1] = value
    return some


IDS = np.arange(50)[:, None] + np.array([0, 2**60])


class TestValuesThatFloatsCannotHold:
    @pytest.mark.parametrize(
        ("source", "column", "message"),
        [
            (with_value(3e38, np.float32), 1, r"3e\+38, too large .*float32.*astype\(np\.float64"),
            (with_value(-3e38, np.float32), 1, r"3e\+38"),
            (with_value(1e308), 1, r"1e\+308, too large .*float64.*Divide the column by 1e\+308"),
            (with_value(1e170), 1, r"1e\+170, too large"),
            (np.where([[True, False]], 1.0, np.full((50, 2), 1.2e308)), 1, r"1\.2e\+308"),
            (IDS, 1, r"1\.15292e\+18.*2\*\*53.*identifiers.*subtract"),
            (-IDS, 1, r"2\*\*53"),
            (IDS.astype(np.uint64) + np.uint64(2**63), 0, r"9\.22337e\+18.*2\*\*53"),
        ],
    )
    def test_the_column_and_the_value_are_named(self, source, column, message):
        for names, label in ((None, f"Column {column} of X"), (list("abc"), f"'{'abc'[column]}'")):
            with pytest.raises(ValueError, match=f"{label}.*{message}"):
                _ = Columns(Rows(source), names).mean

    @pytest.mark.parametrize(
        "source",
        [
            with_value(3e38, np.float32).astype(np.float64),
            with_value(3e38, np.float32) / np.float32(3e38),
            with_value(1e37, np.float32),
            with_value(1e308) / 1e308,
            with_value(1e150),
            IDS - IDS.min(0),
            IDS.astype(np.float64),
            np.full((50, 2), 2**53 - 1),
        ],
    )
    def test_the_cures_work(self, source):
        columns = Columns(Rows(source))
        assert torch.isfinite(columns.mean).all()
        assert torch.isfinite(columns.scale).all()

    def test_whole_numbers_of_a_frame_are_whole_whatever_the_matrix_is(self):
        rows = Rows(IDS.astype(np.float64))
        with pytest.raises(ValueError, match=r"Column 'id' of X .*2\*\*53"):
            _ = Columns(rows, ["n", "id"], ["whole", "whole"]).low
