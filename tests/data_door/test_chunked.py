"""Arrays that are read a chunk at a time: which chunks are read when, and how often."""

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_array_equal

from skvae import VariationalAutoencoder
from skvae._data import chunked, containers, reader
from skvae._data.chunked import ChunkedArray, is_lazy
from skvae._data.rows import Rows
from skvae._training.batches import Batches
from tests.data_door.stand_ins import learn

RNG = np.random.RandomState(0)
X = RNG.randn(500, 4)


class OnDisk:
    """What has a shape, a type and slices, and counts how often each row is read."""

    def __init__(self, X=X, chunks=None, make=np.asarray):
        self.rows, self.make = X, make
        self.shape, self.dtype = X.shape, X.dtype
        self.reads = np.zeros(len(X), int)
        if chunks is not None:
            self.chunks = chunks

    def __getitem__(self, rows):
        assert rows.step is None
        self.reads[rows] += 1
        return self.make(self.rows[rows])


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Chunks of at least 20 rows, windows of 100."""
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 20 * 32)
    monkeypatch.setattr(chunked, "WINDOW_BYTES", 100 * 32)
    monkeypatch.setattr(containers, "WINDOW_BYTES", 100 * 32)


CHUNKS = {
    "none": (None, 20),
    "small": ((7, 2), 21),
    "large": ((30, 4), 30),
    "dask": (((10, 60, 5, 5, 5, 90, 325), (4,)), 325),
}


@pytest.mark.parametrize("name", CHUNKS)
class TestChunks:
    def test_each_is_read_once_in_file_order(self, name):
        source = OnDisk(chunks=CHUNKS[name][0])
        array = ChunkedArray(source)
        assert np.diff(array.edges).max() == CHUNKS[name][1]
        assert (array.edges[0], array.edges[-1]) == (0, 500)
        rows = Rows(array)
        assert_array_equal(np.concatenate([b.x for _, b in rows.batches(13)]), X)
        assert (source.reads == 1).all()

    def test_each_is_read_once_in_an_epoch(self, name):
        source = OnDisk(chunks=CHUNKS[name][0])
        rows = Rows(ChunkedArray(source))
        batches = Batches(rows, 16, 1, 1, seed=0, shuffle=True)
        orders = []
        for epoch in (1, 2):
            seen = [batch["batch"].x.numpy() for batch, _ in batches]
            assert [len(x) for x in seen] == [16] * 31 + [4]
            orders.append(np.concatenate(seen))
            assert_array_equal(np.sort(orders[-1], 0), np.sort(X, 0))
            assert source.reads.max() <= epoch
        assert not np.array_equal(*orders)

    def test_what_is_in_memory_fits_two_windows(self, name):
        array = ChunkedArray(OnDisk(chunks=CHUNKS[name][0]))
        for batch, _ in Batches(Rows(array), 16, 1, 1, seed=0, shuffle=True):
            held = sum(len(window.rows) for window in array._windows)
            assert held <= 2 * max(100, CHUNKS[name][1])
            assert len(batch["batch"].x)

    def test_rows_in_any_order(self, name):
        rows = Rows(ChunkedArray(OnDisk(chunks=CHUNKS[name][0])))
        positions = RNG.randint(500, size=70)
        assert_array_equal(rows.take(positions), X[positions])
        assert_array_equal(rows.take(slice(15, 95)), X[15:95])
        assert rows.take(slice(5, 5)).shape == (0, 4)

    def test_some_rows(self, name):
        index = np.sort(RNG.randint(500, size=200))
        rows = Rows(ChunkedArray(OnDisk(chunks=CHUNKS[name][0])), index, RNG.rand(200))
        seen = [batch["batch"] for batch, _ in Batches(rows, 16, 1, 1, seed=0, shuffle=True)]
        x = np.concatenate([b.x for b in seen])
        assert_array_equal(np.sort(x, 0), np.sort(X[index], 0))
        pairs = set(zip(X[index, 0], rows.weight.astype(np.float32), strict=True))
        found = zip(x[:, 0], np.concatenate([b.weight for b in seen]), strict=True)
        assert set(found) == pairs

    def test_spread_reads_one_window(self, name):
        source = OnDisk(chunks=CHUNKS[name][0])
        rows = Rows(ChunkedArray(source))
        for n in (5, 60, 1000):
            positions = rows.spread(n)
            assert_array_equal(rows.take(positions), X[positions])
            assert (np.diff(positions) > 0).all()
        assert source.reads.max() <= 1
        assert source.reads.sum() <= max(100, CHUNKS[name][1])


def test_all_that_is_shuffled_is_what_a_window_holds():
    positions = next(Rows(ChunkedArray(OnDisk())).shuffled(torch.Generator().manual_seed(0)))
    assert len(positions) == 100
    assert len(np.unique(positions // 20)) == 5  # chunks from anywhere
    assert (torch.diff(positions) == 1).float().mean() < 0.2


@pytest.mark.parametrize("likelihood", ["auto", "gaussian", "log_normal", "mixed", "poisson"])
def test_a_fit_reads_all_rows_twice_and_once_in_each_epoch(likelihood):
    values = np.abs(X) if likelihood in ("log_normal", "mixed") else np.round(np.abs(3 * X))
    source = OnDisk(X if likelihood in ("auto", "gaussian") else values)
    model = VariationalAutoencoder(likelihood=likelihood, max_epochs=3, random_state=0)
    model.fit(source)
    # Beside them a window, of some rows to start with, to check and for the KL.
    assert source.reads.min() == 2 + 3
    assert source.reads.sum() <= (2 + 3) * 500 + 3 * 100


class TestDoor:
    def test_few_rows_are_read_whole_and_are_an_array(self):
        few = X[:90]
        _, rows, columns, _ = learn(OnDisk(few))
        _, same, _, _ = learn(few)
        assert isinstance(rows.X, np.ndarray)
        assert_array_equal(rows.index, same.index)
        assert len(columns) == 4

    @pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_matrix])
    def test_two_passes_learn_the_same(self, make):
        source = OnDisk(make=make)
        _, rows, columns, _ = learn(source)
        expected = learn(X)[2]
        for name in ("low", "high", "mean", "scale"):
            assert_array_equal(getattr(columns, name), getattr(expected, name))
        assert (source.reads == 2).all()
        assert rows.index is None

    def test_missing_values(self):
        holed = X.copy()
        holed[77, 2] = np.nan
        assert learn(OnDisk(holed))[1].has_missing
        assert not learn(OnDisk(X))[1].has_missing

    def test_infinities_are_refused(self):
        bad = X.copy()
        bad[400, 1] = np.inf
        with pytest.raises(ValueError, match="contains infinity"):
            learn(OnDisk(bad))
        fitted, _, _, estimator = learn(OnDisk(X))
        with pytest.raises(ValueError, match="contains infinity"):
            fitted.read(estimator, OnDisk(bad))

    def test_weights(self):
        weight = RNG.randint(0, 3, 500).astype(float)
        _, rows, columns, _ = learn(OnDisk(X), sample_weight=weight)
        _, _, expected, _ = learn(X, sample_weight=weight)
        assert len(rows) == weight.sum()
        assert_array_equal(columns.mean, expected.mean)

    def test_a_mapped_file_of_many_rows(self, monkeypatch, tmp_path):
        np.save(tmp_path / "x.npy", X)
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        assert learn(mapped)[1].index is not None
        monkeypatch.setattr(reader, "ORDERED_ROWS", 100)
        _, rows, columns, _ = learn(mapped)
        assert rows.index is None
        assert_array_equal(columns.mean, learn(X)[2].mean)
        assert_array_equal(rows.take(np.array([3, 400])), X[[3, 400]])

    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            (OnDisk(X[:, 0]), ValueError, "1D array"),
            (OnDisk(X.reshape(50, 5, 8)), ValueError, "3 dimensions"),
            (OnDisk(X.astype(str)), TypeError, "read a chunk at a time"),
            (OnDisk(np.empty((0, 4))), ValueError, "0 sample"),
            (OnDisk(np.empty((500, 0))), ValueError, "0 feature"),
        ],
    )
    def test_what_is_refused(self, given, error, message):
        with pytest.raises(error, match=message):
            learn(given)


@pytest.mark.parametrize("what", [X, X[0, 0], torch.ones(3, 2), scipy.sparse.csr_matrix(X), [[1]]])
def test_what_is_in_memory_is_not_lazy(what):
    assert not is_lazy(what)
