"""Rows: cut from arrays, mapped files and sparse matrices a batch at a time."""

import mmap

import numpy as np
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_array_equal

from skvae._data import mapped
from skvae._data.rows import Rows

RNG = np.random.RandomState(0)
X = RNG.randint(0, 256, (50, 7)).astype(np.uint8)
INDEX = np.array([3, 3, 49, 0, 12])


def on_disk(path, values, mode="r"):
    np.save(path / "x.npy", values)
    return np.load(path / "x.npy", mmap_mode=mode)


SOURCES = {
    "uint8": lambda path: X,
    "bool": lambda path: X > 100,
    "float32": lambda path: X.astype(np.float32),
    "float64": lambda path: X.astype(np.float64),
    "int64": lambda path: X.astype(np.int64),
    "Fortran order": lambda path: np.asfortranarray(X.astype(np.float32)),
    "reversed": lambda path: X[::-1].astype(np.float32)[::-1],
    "read-only": lambda path: np.frombuffer(X.tobytes(), np.uint8).reshape(X.shape),
    "CSR": lambda path: scipy.sparse.csr_matrix(X),
    "mapped": lambda path: on_disk(path, X),
    "mapped float32": lambda path: on_disk(path, X.astype(np.float32)),
}


@pytest.mark.parametrize("name", SOURCES)
class TestEverySource:
    def test_rows_are_those_of_the_source(self, name, tmp_path):
        source = SOURCES[name](tmp_path)
        dense = source.toarray() if scipy.sparse.issparse(source) else np.array(source)
        taken = Rows(source)
        assert_array_equal(taken.block(slice(2, 9)), dense[2:9])
        assert_array_equal(taken.subset(INDEX).take(np.array([1, 2])), dense[[3, 49]])
        assert_array_equal(np.concatenate([b for b, _ in taken.blocks()]), dense)
        assert taken.block(slice(0, 1)).dtype == taken.dtype

    def test_what_comes_out_is_a_copy(self, name, tmp_path):
        source = SOURCES[name](tmp_path)
        for positions in (slice(0, 50), np.arange(50)):
            Rows(source).take(positions).fill_(9)
        dense = source.toarray() if scipy.sparse.issparse(source) else source
        assert not (np.asarray(dense) == 9).all()

    def test_a_batch_has_what_is_beside_its_rows(self, name, tmp_path):
        context, label = np.arange(100).reshape(50, 2), np.where(np.arange(50) < 9, np.nan, 1.0)
        weight = np.arange(5) / 3
        rows = Rows(SOURCES[name](tmp_path), INDEX, weight, context=context, label=label)
        dtype = torch.from_numpy(np.empty(0, rows.dtype)).dtype
        for positions in (np.array([4, 1]), slice(1, 5)):
            for part, some in ((rows, positions), (rows.subset(np.arange(5)[positions]), slice(9))):
                batch = part.batch(some)
                assert_array_equal(batch.x, rows.take(positions))
                assert_array_equal(batch.context, context[INDEX][positions])
                assert_array_equal(batch.label, label[INDEX][positions])
                assert_array_equal(batch.weight, weight[positions].astype(np.float32))
                assert batch.x.dtype == batch.context.dtype == batch.label.dtype == dtype
                assert batch.weight.dtype == torch.float32
        assert [b.x.shape[0] for _, b in rows.batches(2)] == [2, 2, 1]
        assert_array_equal(torch.cat([b.context for _, b in rows.batches(2)]), context[INDEX])

    def test_beside_rows_there_may_be_nothing(self, name, tmp_path):
        (_, batch), *_ = Rows(SOURCES[name](tmp_path)).batches(3)
        assert batch[1:] == (None, None, None, False)


def test_bytes_are_scaled_after_they_have_travelled():
    taken = Rows(X, unit=255.0)
    assert_array_equal(taken.block(slice(None)), X.astype(np.float32) / 255)
    assert taken.raw(slice(0, 3)).dtype == np.uint8
    assert taken.subset(INDEX).unit == 255.0


def test_what_is_beside_rows_is_never_written_to():
    context = np.ones((50, 2), np.float32)
    rows = Rows(X.astype(np.float32), context=context)
    rows.batch(slice(0, 50), copy=False).context.fill_(7)
    assert (context == 1).all()


class TestMappedFile:
    def test_reading_leaves_little_of_a_file_in_memory(self, tmp_path):
        size = 4 * mapped.KEPT_BYTES
        np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (size // 2048, 2048))[:] = 1
        source = Rows(np.load(tmp_path / "x.npy", mmap_mode="r"))
        before = mapped_bytes()
        assert sum(block.sum(dtype=np.float64) for block, _ in source.blocks()) == size
        order = np.random.RandomState(0).permutation(len(source))[:4096]
        assert source.take(order).sum() == 4096 * 2048
        assert mapped_bytes() - before < mapped.KEPT_BYTES / 2

    def test_rows_of_a_part_of_a_file(self, tmp_path):
        source = on_disk(tmp_path, RNG.randn(500, 8).astype(np.float32))
        positions = np.array([3, 4, 5, 5, 0, 16, 17])
        parts = [source, source[7:], source[::3], source[:, 2:7], source[::-1], source[:, ::2]]
        for part in (*parts, np.asarray(source)[2:, :3]):
            assert_array_equal(Rows(part).take(positions), np.array(part)[positions])
        read = [Rows(part)._source._file is not None for part in parts]
        assert read == [True, True, True, True, False, False]
        assert Rows(source).take(positions[:0]).shape == (0, 8)

    def test_a_file_that_has_been_replaced_since(self, tmp_path):
        source = on_disk(tmp_path, X)
        np.save(tmp_path / "other.npy", X + 1)
        (tmp_path / "other.npy").replace(tmp_path / "x.npy")
        assert Rows(source)._source._file is None
        assert_array_equal(Rows(source).take(INDEX), X[INDEX])

    def test_a_file_that_has_become_shorter(self, tmp_path):
        rows = Rows(on_disk(tmp_path, X))
        (tmp_path / "x.npy").write_bytes(b"")
        with pytest.raises(OSError, match="shorter"):
            rows.take(INDEX)

    @pytest.mark.parametrize("mode", ["r+", "c"])
    def test_changes_that_are_not_in_the_file_yet_are_kept(self, tmp_path, monkeypatch, mode):
        monkeypatch.setattr(mapped, "KEPT_BYTES", 1)
        source = on_disk(tmp_path, X, mode)
        source[3] = 77
        taken = Rows(np.asarray(source))
        for _ in range(2):
            assert (taken.block(np.array([3])) == 77).all()

    def test_files_that_are_mapped_privately_are_left_alone(self, tmp_path):
        assert isinstance(Rows(on_disk(tmp_path, X))._source, mapped.MappedFile)
        memory = np.ndarray((8, 512), np.uint8, buffer=mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE))
        for other in (on_disk(tmp_path, X, "c"), X, scipy.sparse.csr_matrix(X), memory):
            assert Rows(other)._source is other


def mapped_bytes():
    """Memory of this process that is pages of files."""
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("RssFile"))
    return int(line.split()[1]) * 1024
