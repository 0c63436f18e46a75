"""Arrays that are not in memory, of the libraries that make them; and results that are not."""

import dask.array
import h5py
import joblib
import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
import zarr
from dask.distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal
from pyarrow import parquet
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skvae import ConditionalVAE, VariationalAutoencoder
from skvae._data import chunked, containers, rows
from skvae.sources import ParquetRows

RNG = np.random.RandomState(0)
X = (RNG.randn(1200, 2) @ RNG.randn(2, 6) + 0.1 * RNG.randn(1200, 6)).astype(np.float32)
NAMES = list("abcdef")


def in_h5py(folder, X=X):
    file = h5py.File(folder / "x.h5", "w")
    return file.create_dataset("x", data=X, chunks=(70, 3), compression="gzip")


def in_zarr(folder, X=X):
    path = folder / "x.zarr"
    array = zarr.create_array(path, shape=X.shape, chunks=(90, 6), dtype=X.dtype, overwrite=True)
    array[:] = X
    return array


def in_parquet(folder, X=X):
    table = pa.table(dict(zip(NAMES, X.T, strict=True)))
    for i, start in enumerate((0, 500)):
        part = table.slice(start, 500 if i == 0 else None)
        parquet.write_table(part, folder / f"part{i}.parquet", row_group_size=80)
    return ParquetRows(folder)


LAZY = {
    "h5py": in_h5py,
    "zarr": in_zarr,
    "dask": lambda folder, X=X: dask.array.from_array(X, chunks=(110, 4)),
    "Parquet": in_parquet,
}


def vae(**params):
    return VariationalAutoencoder(**{"max_epochs": 3, "random_state": 0} | params)


@pytest.fixture(scope="module")
def fitted():
    return vae().fit(X)


@pytest.fixture
def _small(monkeypatch):
    """Windows of some 150 rows, so that all of X does not fit one."""
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 24 * 30)
    monkeypatch.setattr(chunked, "WINDOW_BYTES", 24 * 150)
    monkeypatch.setattr(containers, "WINDOW_BYTES", 24 * 150)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 24 * 64)


@pytest.mark.parametrize("name", LAZY)
class TestLazyArrays:
    def test_what_is_small_is_as_in_memory(self, name, tmp_path, fitted):
        model = vae().fit(LAZY[name](tmp_path))
        assert_array_equal(model.transform(X), fitted.transform(X))

    @pytest.mark.usefixtures("_small")
    def test_what_is_large_is_read_by_chunks(self, name, tmp_path, fitted):
        source = LAZY[name](tmp_path)
        model = vae().fit(source)
        assert not np.array_equal(model.transform(X), fitted.transform(X))  # another order
        assert_array_equal(vae().fit(source).transform(X), model.transform(X))
        assert_array_equal(np.asarray(model.transform(source)), model.transform(X))
        assert_allclose(model.score_samples(source), model.score_samples(X), rtol=1e-5, atol=1e-5)
        assert model.score(X) == pytest.approx(fitted.score(X), abs=0.5)
        assert_array_equal(model.likelihood_.loc, fitted.likelihood_.loc)

    @pytest.mark.usefixtures("_small")
    def test_everything_else_of_a_fit(self, name, tmp_path):
        weight = RNG.randint(1, 3, 1200)
        model = vae(early_stopping=True, prior="vamp", likelihood="student_t", verbose=1)
        source = LAZY[name](tmp_path)
        model.fit(source, sample_weight=weight).partial_fit(source)
        assert np.isfinite(model.history_[-2]["valid_loss"])

    @pytest.mark.usefixtures("_small")
    def test_results_go_where_they_are_wanted(self, name, tmp_path, fitted):
        source = LAZY[name](tmp_path)
        for method, shape in (("transform", (1200, 2)), ("reconstruct", (1200, 6)),
                              ("score_samples", (1200,))):  # fmt: skip
            expected = getattr(fitted, method)(X)
            path = tmp_path / f"{method}.npy"
            for out in (
                np.lib.format.open_memmap(path, "w+", np.float32, shape),
                zarr.create_array(tmp_path / method, shape=shape, dtype="f4"),
                np.empty(shape),
            ):
                assert getattr(fitted, method)(source, out=out) is out
                assert_allclose(out[:], expected, rtol=1e-5, atol=1e-6)
            assert_allclose(np.load(path), expected, rtol=1e-5, atol=1e-6)


class TestDask:
    def test_results_are_lazy(self, fitted):
        source = dask.array.from_array(X, chunks=(500, 4))
        for method, rest in (("transform", ((2,),)), ("reconstruct", ((6,),)),
                             ("score_samples", ())):  # fmt: skip
            lazy = getattr(fitted, method)(source)
            assert isinstance(lazy, dask.array.Array)
            assert lazy.chunks == ((500, 500, 200), *rest)
            assert lazy.dtype == np.float32
            expected = getattr(fitted, method)(X)
            found = lazy[300:].compute(scheduler="sync")
            assert_allclose(found, expected[300:], rtol=1e-5, atol=1e-5)
        assert fitted.score(source) == pytest.approx(fitted.score(X))

    def test_arguments_and_types(self, fitted):
        source = dask.array.from_array(X.astype(float), chunks=(900, 6))
        lazy = fitted.score_samples(source, n_importance_samples=3)
        assert lazy.dtype == np.float64
        expected = fitted.score_samples(X.astype(float), n_importance_samples=3)
        assert_allclose(lazy.compute(), expected, rtol=1e-9)

    def test_a_refit_does_not_change_what_is_not_computed_yet(self):
        model = vae().fit(X)
        expected, lazy = model.transform(X), model.transform(dask.array.from_array(X))
        model.set_params(random_state=1).fit(X)
        assert_array_equal(lazy.compute(), expected)

    def test_unknown_numbers_of_rows(self, fitted):
        source = dask.array.from_array(X, chunks=(500, 6))
        some = source[source[:, 0] > 0]
        assert_allclose(fitted.transform(some).compute(), fitted.transform(X[X[:, 0] > 0]))
        with pytest.raises(ValueError, match="compute_chunk_sizes"):
            vae().fit(some)

    def test_other_columns(self, fitted):
        with pytest.raises(ValueError, match="4 features"):
            fitted.transform(dask.array.from_array(X[:, :4]))


class TestOut:
    @pytest.mark.parametrize("out", [np.empty((1200, 3)), np.empty(1200), [0.0] * 1200])
    def test_another_shape(self, fitted, out):
        with pytest.raises(ValueError, match=r"out must be an array of shape \(1200, 2\)"):
            fitted.transform(X, out=out)

    @pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_matrix, np.ndarray.tolist])
    @pytest.mark.usefixtures("_small")
    def test_of_what_is_in_memory(self, fitted, make):
        out = np.empty((1200, 2))
        fitted.set_params(verbose=1).transform(make(X), out=out)
        assert_allclose(out, fitted.set_params(verbose=0).transform(X), rtol=1e-5, atol=1e-6)

    def test_it_is_no_metadata(self, fitted):
        assert not hasattr(fitted, "set_transform_request")


@pytest.mark.usefixtures("_small")
def test_a_condition_beside_rows_that_are_not_in_memory(tmp_path):
    label = (X[:, 0] > 0).astype(int)
    model = ConditionalVAE(vae()).fit(in_h5py(tmp_path), label)
    assert model.transform(X).shape == (1200, 2)


class TestParquet:
    def test_columns_and_types(self, tmp_path):
        X = in_parquet(tmp_path)
        assert (X.shape, X.dtype, X.columns) == ((1200, 6), np.float32, NAMES)
        assert X.chunks[0] == (80,) * 6 + (20,) + (80,) * 8 + (60,)
        some = ParquetRows([tmp_path / "part1.parquet"], columns=["c", "a"])
        assert_array_equal(some[70:90], in_parquet(tmp_path)[570:590][:, [2, 0]])
        assert len(some[10:10]) == 0

    def test_nulls_are_missing(self, tmp_path):
        columns = {"i": [1, None, 3], "b": [True, None, False], "f": [0.5, 1.0, None]}
        parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
        X = ParquetRows(tmp_path / "x.parquet")
        expected = np.array([[1, 1, 0.5], [np.nan, np.nan, 1], [3, 0, np.nan]])
        assert_array_equal(X[:], expected)
        assert X.dtype == np.float64

    def test_what_is_refused(self, tmp_path):
        parquet.write_table(pa.table({"a": [1], "s": ["x"]}), tmp_path / "x.parquet")
        with pytest.raises(TypeError, match=r"Column 's' holds string.*columns="):
            ParquetRows(tmp_path)
        with pytest.raises(KeyError, match="no column 'b'"):
            ParquetRows(tmp_path, columns=["b"])
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileNotFoundError, match="no file"):
            ParquetRows(tmp_path / "empty")


def test_a_search_on_a_dask_cluster():
    """Of two workers that are threads: models travel as between machines, and start at once."""
    search = GridSearchCV(vae(max_epochs=2), {"n_components": [1, 2]}, cv=2, n_jobs=-1)
    expected = clone(search).set_params(n_jobs=1).fit(X[:200]).cv_results_["mean_test_score"]
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            dashboard_address=None,
        ) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = search.fit(X[:200]).cv_results_["mean_test_score"]
    assert_array_equal(found, expected)
