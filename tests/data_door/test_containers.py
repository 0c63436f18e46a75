"""The same rows from every container; what is no matrix is named, with a cure that works."""

import re
from collections import UserList, deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import sklearn
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from skvae._data import Reader, mapped
from tests.data_door.stand_ins import Estimator, learn, read
from tests.data_door.test_rows import mapped_bytes

X = np.round(np.random.RandomState(0).randn(30, 4) * 64) / 64  # exact in decimals too
NAMES = list("abcd")


def names_of(X):
    return NAMES[: X.shape[1]]


def on_disk(values):
    """Return a mapped file; its directory is that of the test."""
    np.save("x.npy", values)
    return np.load("x.npy", mmap_mode="r")


CONTAINERS = {
    "list": np.ndarray.tolist,
    "list of arrays": list,
    "list of tensors": lambda X: list(torch.tensor(X)),
    "tuple": lambda X: tuple(map(tuple, X)),
    "UserList": lambda X: UserList(X.tolist()),
    "deque": deque,
    "Fortran": np.asfortranarray,
    "big-endian": lambda X: X.astype(">f8"),
    "objects": lambda X: X.astype(object),
    "mapped file": on_disk,
    "nothing masked": np.ma.array,
    "CSR": scipy.sparse.csr_matrix,
    "COO array": scipy.sparse.coo_array,
    "DIA": scipy.sparse.dia_matrix,
    "BSR": scipy.sparse.bsr_matrix,
    "CSC": scipy.sparse.csc_array,
    "DOK": scipy.sparse.dok_matrix,
    "LIL": scipy.sparse.lil_array,
    "tensor": torch.tensor,
    "tensor with gradient": lambda X: torch.tensor(X, requires_grad=True),
    "pandas": pd.DataFrame,
    "pandas with names": lambda X: pd.DataFrame(X, columns=names_of(X)),
    "pandas nullable": lambda X: pd.DataFrame(X, columns=names_of(X)).convert_dtypes(),
    "pandas of arrow": lambda X: pd.DataFrame(X).astype("float64[pyarrow]"),
    "pandas objects": lambda X: pd.DataFrame(X.astype(object)),
    "pandas sparse": lambda X: pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0)),
    "pandas partly sparse": lambda X: pd.DataFrame(X).astype({1: pd.SparseDtype(float, 0.0)}),
    "polars": lambda X: pl.DataFrame(X, schema=names_of(X)),
    "polars decimals": lambda X: pl.DataFrame(X, schema=names_of(X)).cast(pl.Decimal(20, 9)),
    "arrow": lambda X: pa.table(pd.DataFrame(X, columns=names_of(X))),
}


@pytest.fixture(autouse=True)
def _own_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("values", [X, np.round(X * 9)], ids=["real", "whole"])
class TestOneMatrix:
    def test_rows_are_the_same(self, container, values):
        given = CONTAINERS[container](values)
        expected, expected_columns = learn(values)[1:3]
        reader, rows, columns, estimator = learn(given)
        assert_array_equal(rows.block(slice(None)), expected.block(slice(None)))
        assert rows.dtype == expected.dtype
        for name in ("low", "high", "mean", "scale", "whole", "distinct"):
            assert_array_equal(getattr(columns, name), getattr(expected_columns, name))
        assert_array_equal(reader.read(estimator, given).block(slice(None)), values)
        assert_array_equal(reader.floats(given), values)
        assert estimator.n_features_in_ == 4
        fitted = reader.read_on(estimator, given)[1]
        assert_array_equal(fitted.block(slice(None)), rows.block(slice(None)))

    @pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
    def test_another_number_of_columns(self, container, values):
        reader, *_, estimator = learn(values)
        message = "X has 3 features, but Estimator is expecting 4 features"
        with pytest.raises(ValueError, match=message):
            reader.read(estimator, CONTAINERS[container](values[:, :3]))


DTYPES = [np.float32, np.float64, np.float16, np.int8, np.uint8, np.int64, np.uint16, bool]


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_are_those_of_arrays_in_every_frame(dtype):
    values = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    for frame in (pd.DataFrame, pl.DataFrame, lambda v: pa.table(list(v.T), names=["a", "b"])):
        reader, _, columns, estimator = learn(frame(values))
        rows = reader.read(estimator, frame(values))
        assert rows.X.dtype == dtype
        assert_array_equal(rows.block(slice(None)), values)
        kind = "real" if np.issubdtype(dtype, np.floating) else "whole"
        assert columns.kinds == ["boolean" if dtype is bool else kind] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.bool, torch.int64])
def test_tensors_are_not_copied(dtype):
    given = torch.ones(3, 2).to(dtype)
    reader, *_, estimator = learn(given)
    for tensor in (given, given.clone().requires_grad_(dtype.is_floating_point)):
        matrix = reader.read(estimator, tensor).X
        assert np.shares_memory(matrix, tensor.detach().numpy())


def test_frames_of_one_block_are_not_copied():
    frame = pd.DataFrame(X)
    reader, *_, estimator = learn(frame)
    assert np.shares_memory(reader.read(estimator, frame).X, frame.to_numpy())


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_frames_of_sparse_columns_stay_sparse(kind):
    dtype = pd.SparseDtype(kind, 0.0)
    _, rows, columns, _ = learn(pd.DataFrame(X.astype(kind)).astype(dtype))
    assert scipy.sparse.issparse(rows.X)
    assert rows.dtype == kind
    assert columns.kinds == ["real"] * 4


class TestMappedFile:
    def test_reading_leaves_little_of_it_in_memory(self):
        shape = 2 * mapped.KEPT_BYTES // 4096, 1024
        np.lib.format.open_memmap("x.npy", "w+", np.float32, shape)[:] = 1
        reader, *_, estimator = learn(np.ones((1, 1024), np.float32))
        given = np.load("x.npy", mmap_mode="r")
        before = mapped_bytes()
        assert len(reader.read(estimator, given)) == len(given)
        assert mapped_bytes() - before < mapped.KEPT_BYTES / 2

    def test_it_stays_mapped(self):
        reader, *_, estimator = learn(on_disk(X))
        assert isinstance(reader.read(estimator, on_disk(X))._source, mapped.MappedFile)

    def test_it_is_checked(self):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            learn(on_disk(np.where(X.max() == X, np.inf, X)))
        _, rows, *_ = learn(on_disk(np.where(X.max() == X, np.nan, X)))
        assert rows.has_missing


# What is no matrix. The cure is what stands behind "Pass" or in a call: it is carried out.


class AnnData:
    """As of anndata, which takes long to give each row by itself."""

    def __init__(self):
        self.X, self.layers, self.obsm = X, {"counts": X}, {"pca": X}
        self.obs = self.var = pd.DataFrame(index=range(4))
        self.shape = X.shape

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        pytest.fail("each row is taken by itself")


MUDATA = SimpleNamespace(
    mod={"rna": AnnData(), "protein": AnnData()}, obs=AnnData().obs, var=AnnData().var
)


class Backed:
    """The sparse X of an AnnData that is read with backed="r": rows come as a matrix."""

    group, backend, shape, dtype, format = None, "csr", X.shape, X.dtype, "csr"

    def __init__(self, format="csr"):
        self.format = format

    def to_memory(self):
        return scipy.sparse.csr_matrix(X)

    def __getitem__(self, index):
        return self.to_memory()[index]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.tensor(X))


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return torch.tensor(X[index])


PAIRS = TensorDataset(torch.tensor(X), torch.zeros(30))
FRAME = pd.DataFrame(X, columns=NAMES)


def lazy_stand_in(module, method):
    """Return an object of a library that need not be here, whose method makes a frame."""
    kind = type("DataFrame", (), {"columns": NAMES, method: lambda self: FRAME})
    kind.__module__ = module
    return kind()


STRANGERS = {
    "path": (lambda: "x.npy", "'x.npy'.*Read the file first", "numpy.load(X, mmap_mode='r')"),
    "Path": (lambda: Path("x.npy"), "PosixPath.*x.npy", "numpy.load(X, mmap_mode='r')"),
    "AnnData": (AnnData, "X is of type AnnData", "adata.X"),
    "AnnData layer": (AnnData, "X is of type AnnData", "adata.obsm['pca']"),
    "MuData": (lambda: MUDATA, "'rna', 'protein'", "mdata.mod['rna'].X"),
    "AnnData in a file": (lambda: Backed("csc"), "Backed.* still in its file", "X.to_memory()"),
    "LazyFrame": (lambda: pl.LazyFrame(FRAME), "no rows yet", "X.collect()"),
    "dask": (
        lambda: lazy_stand_in("dask.dataframe.core", "compute"), "no rows yet", "X.compute()"
    ),
    "spark": (
        lambda: lazy_stand_in("pyspark.sql.classic", "toPandas"), "no rows yet", "X.toPandas()"
    ),
    "duckdb": (lambda: lazy_stand_in("_duckdb", "df"), "no rows yet", "X.df()"),
    "dict of columns": (
        lambda: dict(zip(NAMES, X.T, strict=True)), "dict.*'a', 'b'", "pandas.DataFrame(X)"
    ),
    "dict of arrays": (
        lambda: dict(zip(NAMES, X.T, strict=True)),
        "its values",
        "numpy.column_stack(list(X.values()))",
    ),
    "Bunch": (lambda: load_iris() | {"data": X}, "'target'.*the matrix", "X['data']"),
    "loader": (lambda: DataLoader(Items(), 7), "DataLoader", "numpy.concatenate(list(X))"),
    "loader of pairs": (
        lambda: DataLoader(PAIRS, 7),
        "partial_fit",
        "numpy.concatenate([batch[0] for batch in X])",
    ),
    "dataset": (Items, "X is of type Items", "numpy.stack([X[i] for i in range(len(X))])"),
    "dataset of pairs": (
        lambda: PAIRS, "TensorDataset", "numpy.stack([X[i][0] for i in range(len(X))])"
    ),
    "iterable dataset": (Stream, "Stream", "numpy.stack(list(X))"),
    "generator of rows": (lambda: (x for x in X), "generator", "numpy.stack(list(X))"),
    "iterator of batches": (
        lambda: iter(np.array_split(X, 4)), "list_iterator", "numpy.concatenate(list(X))"
    ),
    "map": (lambda: map(np.asarray, X), "map", "numpy.stack(list(X))"),
    "dict values": (lambda: dict(enumerate(X)).values(), "dict_values", "numpy.stack(list(X))"),
    "None": (lambda: None, "X is of type NoneType, which is not a matrix", None),
    "object": (object, "X is of type object, which is not a matrix.*sparse", None),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_no_matrix_is_named_before_a_row_is_taken(name):
    make, message, cure = STRANGERS[name]
    np.save("x.npy", X)
    reader, *_, estimator = learn(X)
    for call in (learn, lambda given: reader.read(estimator, given), reader.floats):
        given = make()
        with pytest.raises(TypeError, match=message) as error:
            call(given)
        assert re.search(r"\b(Pass|Collect|Read)\b", str(error.value))
        if cure is not None:
            names = {"X": given, "adata": given, "mdata": given, "numpy": np, "pandas": pd}
            assert_array_equal(read(eval(cure, names)), X)
    if cure is not None:
        general = cure.replace("['pca']", "[...]")
        assert general in str(error.value)


def cured(error, cure, X):
    """Return what a cure that the message names makes of X."""
    assert cure in str(error.value)
    return eval(cure, {"numpy": np, "SimpleImputer": SimpleImputer, "X": X})


class TestTensors:
    @pytest.mark.parametrize(
        ("make", "message", "cure"),
        [
            (lambda X: torch.tensor(X).bfloat16(), "bfloat16, which numpy", "X.float()"),
            (lambda X: torch.tensor(X).to_sparse(), "sparse_coo", "X.to_dense()"),
            (lambda X: torch.tensor(X).to_sparse_csr(), "sparse_csr", "X.to_dense()"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
    def test_those_that_numpy_cannot_take(self, make, message, cure):
        given = make(np.round(X))
        with pytest.raises(TypeError, match=message) as error:
            learn(given)
        assert_array_equal(read(cured(error, cure, given)), np.round(X))

    def test_on_another_device(self):
        with pytest.raises(TypeError, match=r"on meta.*X\.cpu\(\)"):
            learn(torch.ones(3, 2, device="meta"))

    @pytest.mark.parametrize("requires_grad", [False, True])
    def test_under_dispatch_they_are_refused(self, requires_grad):
        given = torch.tensor(X, requires_grad=requires_grad)
        with sklearn.config_context(array_api_dispatch=True):
            with pytest.raises(TypeError, match=r"array_api_dispatch.*\.numpy\(\)") as error:
                learn(given)
            cure = "X.detach().numpy()" if requires_grad else "X.numpy()"
            assert_array_equal(read(cured(error, cure, given)), X)
            assert_array_equal(read(pl.DataFrame(X)), X)
            assert_array_equal(read(scipy.sparse.csr_array(X)), X)


@pytest.fixture(autouse=True)
def _scipy_dispatches(monkeypatch):
    # scikit-learn asks for it where array_api_dispatch is set; it is read when scipy is imported.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


class TestMaskedArrays:
    masked = np.ma.array(X, mask=X > 1.2)

    @pytest.mark.parametrize("dtype", [np.float32, float, int, np.uint8])
    @pytest.mark.parametrize("container", [np.ma.array, list])
    def test_masked_values_are_missing(self, container, dtype):
        masked = self.masked.astype(dtype)
        given = container(masked)
        _, rows, *_ = learn(given)
        assert rows.has_missing
        expected = np.where(masked.mask, np.nan, masked.data.astype(float))
        assert_array_equal(np.sort(rows.X, 0), np.sort(expected, 0))
        assert (rows.dtype == np.float32) == (dtype in (np.float32, np.uint8))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1, 2, 3], [4, 5], [6, 7, 8]], r"1 of 3 rows differ from the 3 values .*X\[1\] has 2"),
        ([np.ones(3), np.ones(2), np.ones(2)], r"from the 2 values of the others: X\[0\] has 3"),
        ([torch.ones(2), torch.ones(3)], r"X\[1\] has 3 values"),
        (([1, 2], 3), r"X\[1\] has 1 values"),
        ([np.ones((2, 2)), np.ones((2, 3))], r"shape \(2, 2\).*X\[1\] has shape \(2, 3\)"),
        ([[1]] * 9 + [[1, 2]] * 4, r"4 of 13 .*X\[9\].*X\[10\].*X\[11\] has 2 values\. Give"),
    ],
)
def test_ragged_lists(given, message):
    with pytest.raises(ValueError, match=f"rows of different lengths: .*{message}"):
        learn(given)


def with_value(value):
    objects = X.astype(object)
    objects[3, 1] = value
    return objects


class TestValues:
    """Of arrays, of arrays of objects, and of frames."""

    @pytest.mark.parametrize("value", [None, np.nan, pd.NA, float("nan")], ids=str)
    @pytest.mark.parametrize("container", [np.asarray, np.ndarray.tolist, pd.DataFrame])
    def test_missing(self, value, container):
        self.check(container(with_value(value)))

    def check(self, given):
        reader, rows, _, estimator = learn(given)
        assert rows.has_missing
        read = reader.read(estimator, given)
        assert read.has_missing
        assert_array_equal(np.argwhere(np.isnan(read.block(slice(None)))), [[3, 1]])

    def test_missing_in_numbers(self):
        holed = with_value(np.nan).astype(float)
        for given in (holed, scipy.sparse.csr_matrix(holed), torch.tensor(holed)):
            self.check(given)

    def test_sums_that_overflow_are_no_missing_values(self):
        largest = np.finfo(np.float64).max
        for given in (np.full((3, 2), [largest, -largest]), np.full((9, 2), largest)):
            assert not Reader().read(learn(X[:, :2])[-1], given).has_missing

    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [1.0, 2.0]}),
            pd.DataFrame({"a": pd.array([True, None], dtype="boolean"), "b": [1.0, 2.0]}),
            pl.DataFrame({"a": [1, None], "b": [1, 2]}),
            pl.DataFrame({"a": [True, None], "b": [True, True]}),
            pa.table({"a": [1.5, None], "b": [1.0, 2.0]}),
        ],
    )
    def test_missing_in_frames(self, frame):
        _, rows, *_ = learn(frame)
        assert rows.has_missing
        assert np.isnan(Reader().floats(frame)[-1, 0])

    @pytest.mark.parametrize(
        "frame",
        [
            pl.DataFrame({"a": [None, None], "b": [1, 2]}),
            pa.table({"a": pa.nulls(2), "b": [1.0, 2.0]}),
        ],
    )
    def test_columns_of_nothing(self, frame):
        with pytest.raises(ValueError, match="Column 'a' of X holds only missing values"):
            learn(frame)
        assert np.isnan(Reader().floats(frame)[:, 0]).all()

    @pytest.mark.parametrize(
        ("given", "kind", "message"),
        [
            (X.astype(complex), ValueError, "Complex data not supported"),
            (pd.DataFrame(X.astype(complex)), ValueError, "Complex data not supported"),
            (np.array([["a", "b"]] * 5), ValueError, "X must hold numbers: .*Encode strings"),
            (with_value("a"), ValueError, "X must hold numbers: column 1 holds 'a'.*Encode str"),
            (with_value({}), TypeError, r"column 1 holds \{\}.*argument must be .*string.* number"),
            (with_value([1, 2]), (TypeError, ValueError), r"column 1 holds \[1, 2\]"),
            (
                pd.DataFrame(with_value("a"), columns=NAMES), ValueError,
                "column 'b' holds 'a'.*Encode strings",
            ),
            (X[:0], ValueError, "0 sample"),
            (X[:, :0], ValueError, "0 feature"),
            (pd.DataFrame(index=range(3)), ValueError, "0 feature"),
            (X[:, 0], ValueError, r"(?s)Expected 2D array.*reshape"),
            (torch.tensor(X[:, 0]), ValueError, r"(?s)Expected 2D array.*reshape"),
            (pd.Series(X[:, 0]), ValueError, "Expected a 2-dimensional container"),
            (5.0, ValueError, "Expected 2D array"),
            (np.rec.fromarrays(X.T), ValueError, r"fields.*structured_to_unstructured\(X\)"),
        ],
        ids=repr,
    )  # fmt: skip
    @pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
    def test_no_numbers(self, given, kind, message):
        reader, *_, estimator = learn(X)
        for call in (learn, lambda given: reader.read(estimator, given)):
            with pytest.raises(kind, match=message):
                call(given)

    def test_records_become_a_matrix(self):
        from numpy.lib import recfunctions

        records = np.rec.fromarrays(X.T)
        assert_array_equal(read(recfunctions.structured_to_unstructured(records)), X)
        assert_array_equal(read(pd.DataFrame(records)), X)


DAYS = np.array(["2020-01-01", "NaT", "2020-01-04"], "datetime64[D]")[:, None]
LAGS = DAYS - np.datetime64("2020-01-01")


class TestDates:
    @pytest.mark.parametrize("unit", ["D", "s", "ns"])
    @pytest.mark.parametrize("values", [DAYS, LAGS], ids=["dates", "durations"])
    def test_in_arrays(self, values, unit):
        X = values.astype(f"{values.dtype.kind}8[{unit}]")
        with pytest.raises(
            ValueError, match=r"X must hold numbers: it holds d.* a number"
        ) as error:
            learn(X)
        with pytest.raises(ValueError, match="X must hold numbers"):
            Reader().floats(X)
        days = eval(re.search(r"in days: (.*)\.$", str(error.value))[1], {"numpy": np, "X": X})
        assert_array_equal(np.diff(days[[0, 2]], axis=0), [[3]])
        assert np.isnan(days[1, 0])

    @pytest.mark.parametrize(
        "value",
        [
            pd.Timestamp("2020"), pd.NaT, pd.Timedelta(1), np.datetime64("2020", "ns"),
            np.timedelta64(1, "D"), pd.Timestamp("2020").to_pydatetime(),
        ],
        ids=repr,
    )  # fmt: skip
    def test_among_objects(self, value):
        with pytest.raises(ValueError, match=r"column 1 holds .*since a start as a number"):
            learn(with_value(value))


def test_a_failure_leaves_the_names_to_the_estimator():
    """The estimator puts back what a failed fit has set; the reader sets only these two."""
    estimator = Estimator()
    with pytest.raises(ValueError, match=r"Column .* only missing values \(NaN\)"):
        Reader.learn(estimator, pd.DataFrame(X * np.nan, columns=NAMES), SimpleNamespace())
    assert set(vars(estimator)) <= {"image_shape", "n_features_in_", "feature_names_in_"}
