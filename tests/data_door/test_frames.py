"""Data frames of pandas, polars and arrow: one reading of their types, the same model."""

import builtins
import datetime as dt
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skvae._data import Reader
from tests.data_door.stand_ins import BY_COLUMN, REAL, Estimator, learn, read

N = 4
COLOURS = pd.Categorical(["red", "blue", "red", "red"], ["red", "green", "blue"])
PANDAS = pd.DataFrame(
    {
        "height": [1.0, 2.0, 1.0, 2.0],
        "member": [True, False, True, True],
        "colour": COLOURS,
        "visits": [3, 0, 7, 1],
        "balance": np.array([3, -4, 7, 1], np.int16),
        "age": np.array([1.0, 0.0, 1.0, 0.0], np.float32),
        "flag": np.array([0, 1, 1, 0], np.uint8),
    }
)
POLARS = pl.DataFrame(
    {name: PANDAS[name].to_numpy() for name in PANDAS if name != "colour"}
    | {"colour": pl.Series(list(COLOURS), dtype=pl.Enum(["red", "green", "blue"]))}
).select(list(PANDAS))
FRAMES = {
    "pandas": PANDAS,
    "pandas nullable": PANDAS.astype(
        {"height": "Float64", "visits": "Int64", "member": "boolean", "flag": "UInt8"}
    ),
    "pandas of arrow": PANDAS.astype(
        {"height": "double[pyarrow]", "visits": "int64[pyarrow]", "member": "bool[pyarrow]"}
    ),
    "polars": POLARS,
    "arrow": pa.table(PANDAS),
}
KINDS = ["real", "boolean", "category", "whole", "whole", "real", "whole"]
CODES = PANDAS.assign(colour=[0, 2, 0, 0]).to_numpy(float)


@pytest.mark.parametrize("name", FRAMES)
class TestEveryFrame:
    def test_it_is_read_by_its_types(self, name):
        reader, rows, columns, estimator = learn(FRAMES[name], BY_COLUMN)
        assert columns.kinds == KINDS
        assert columns.n_levels == [0, 0, 3, 0, 0, 0, 0]
        assert columns.names == list(PANDAS) == list(estimator.feature_names_in_)
        assert reader == Reader({"colour": ["red", "green", "blue"]}, 1.0)
        assert_array_equal(reader.read(estimator, FRAMES[name]).block(slice(None)), CODES)
        assert_array_equal(reader.floats(FRAMES[name]), CODES)
        expected = learn(PANDAS, BY_COLUMN)[1]
        assert rows.dtype == expected.dtype
        assert_array_equal(rows.block(slice(None)), expected.block(slice(None)))

    @pytest.mark.parametrize("other", FRAMES)
    def test_it_reads_every_other(self, name, other):
        reader, *_, estimator = learn(FRAMES[name], BY_COLUMN)
        assert_array_equal(reader.read(estimator, FRAMES[other]).block(slice(None)), CODES)

    def test_nothing_is_changed(self, name):
        frame = FRAMES[name]
        before = [str(column) for column in pa.table(frame).to_pylist()]
        read(frame, BY_COLUMN)
        assert [str(column) for column in pa.table(frame).to_pylist()] == before

    def test_text_where_no_categories_are_read(self, name):
        with pytest.raises(ValueError, match=r"'colour' holds .*Encode strings"):
            learn(FRAMES[name], REAL)

    def test_rows_that_are_numbers_are_taken_as_they_are(self, name):
        reader, *_, estimator = learn(FRAMES[name], BY_COLUMN)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            assert_array_equal(reader.read(estimator, CODES).X, CODES)
        assert_array_equal(reader.floats(CODES), CODES)


class TestLevels:
    """Equal values are equal, whatever holds them."""

    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame({"a": pd.Categorical(["x", "y", "x"])}),
            pd.DataFrame({"a": pd.array(["x", "y", "x"]).astype("category")}),
            pl.DataFrame({"a": pl.Series(["x", "y", "x"], dtype=pl.Categorical)}),
            pl.DataFrame({"a": pl.Series(["x", "y", "x"], dtype=pl.Enum(["x", "y"]))}),
            pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode()}),
        ],
        ids=["pandas", "pandas strings", "polars Categorical", "polars Enum", "arrow"],
    )
    @pytest.mark.parametrize(
        "other",
        [
            pd.DataFrame({"a": pd.Categorical(["y", "x"], ["y", "x", "w"])}),
            pd.DataFrame({"a": ["y", "x"]}),
            pd.DataFrame({"a": np.array(["y", "x"], object)}),
            pl.DataFrame({"a": ["y", "x"]}),
            pl.DataFrame({"a": pl.Series(["y", "x"], dtype=pl.Categorical)}),
            pa.table({"a": ["y", "x"]}),
            pa.table({"a": pa.array(["y", "x"]).dictionary_encode()}),
        ],
    )
    def test_text(self, frame, other):
        reader, *_, estimator = learn(frame, BY_COLUMN)
        assert reader.categories == {"a": ["x", "y"]}
        assert_array_equal(reader.read(estimator, other).X, [[1], [0]])

    @pytest.mark.parametrize("levels", [[1, 2, 3], [1.0, 2.0, 3.0]])
    @pytest.mark.parametrize(
        "values",
        [
            pd.Categorical([3, 1]), np.array([3, 1]), np.array([3.0, 1.0]),
            np.array([3, 1], np.uint8), pd.array([3, 1], dtype="Int64"),
            pd.array([3.0, 1.0], dtype="Float64"), np.array([np.int64(3), 1.0], object),
            pl.Series([3, 1]), pl.Series([3.0, 1.0], dtype=pl.Float32), pa.array([3, 1]),
        ],
        ids=lambda values: str(values.dtype if hasattr(values, "dtype") else values.type),
    )  # fmt: skip
    def test_numbers(self, levels, values):
        reader, *_, estimator = learn(pd.DataFrame({"a": pd.Categorical(levels)}), BY_COLUMN)
        frame = {pl.Series: pl.DataFrame, pa.Int64Array: pa.table}.get(type(values), pd.DataFrame)
        assert_array_equal(reader.read(estimator, frame({"a": values})).X, [[2], [0]])

    @pytest.mark.parametrize("values", [[True, False], [1, 0], [1.0, 0.0]])
    @pytest.mark.parametrize("dtype", ["category", object, None])
    def test_booleans(self, values, dtype):
        frame = pd.DataFrame({"a": pd.Categorical([False, True])})
        reader, *_, estimator = learn(frame, BY_COLUMN)
        assert reader.categories == {"a": [False, True]}
        other = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
        assert_array_equal(reader.read(estimator, other).X, [[1], [0]])

    @pytest.mark.parametrize(
        "values",
        [
            pd.cut([1, 5, 9], 2),
            pd.Categorical(pd.to_datetime(["2020-01-01", "2021-01-01"])),
            pd.Categorical([dt.date(2020, 1, 1), dt.date(2021, 1, 1)]),
            pd.Categorical([np.float32(0.5), np.float32(1.5)]),
            pd.Categorical(np.array([np.float64(0.5), "u"], object)),
        ],
        ids=["intervals", "times", "dates", "numpy scalars", "numpy scalars and text"],
    )
    def test_levels_are_what_json_can_hold(self, values):
        frame = pd.DataFrame({"a": values})
        reader, *_, estimator = learn(frame, BY_COLUMN)
        levels = reader.categories["a"]
        assert {type(level) for level in levels} <= {str, float}
        assert [type(level) for level in levels if level == 0.5] == [float] * (0.5 in levels)
        assert "0.5" not in levels
        assert_array_equal(reader.read(estimator, frame).X[:, 0], frame["a"].cat.codes)

    def test_order_of_polars_does_not_depend_on_what_was_before(self):
        frame = pl.DataFrame({"a": pl.Series(["y", "x", None, "y"], dtype=pl.Categorical)})
        assert learn(frame[[0, 1]], BY_COLUMN)[0].categories == {"a": ["x", "y"]}

    def test_arrow_chunks_with_dictionaries_of_their_own(self):
        parts = [pa.table({"a": pa.array(v).dictionary_encode()}) for v in (["x", "y"], ["z", "x"])]
        reader, *_, estimator = learn(pa.concat_tables(parts), BY_COLUMN)
        assert reader.categories == {"a": ["x", "y", "z"]}
        assert_array_equal(reader.read(estimator, pa.concat_tables(parts)).X[:, 0], [0, 1, 2, 0])

    @pytest.mark.parametrize("value", [None, np.nan, pd.NA, pd.NaT], ids=str)
    def test_missing_ones_have_no_code(self, value):
        reader, *_, estimator = learn(PANDAS, BY_COLUMN)
        values = np.array(["red", value, "red", "red"], object)
        for column in (values, pd.Categorical(values)):
            other = PANDAS.assign(colour=column)
            rows = reader.read(estimator, other)
            assert rows.has_missing
            for codes in (rows.X, reader.floats(other)):
                assert_array_equal(np.isnan(codes[:, 2]), [False, True, False, False])

    @pytest.mark.parametrize("value", ["pink", 3], ids=str)
    def test_unknown_ones_are_named(self, value):
        reader, *_, estimator = learn(PANDAS, BY_COLUMN)
        values = np.array(["red", value, "red", "red"], object)
        message = r"'colour' holds ('pink'|3).*\['red', 'green', 'blue'\].*Drop such rows"
        for column in (values, pd.Categorical(values)):
            with pytest.raises(ValueError, match=message):
                reader.read(estimator, PANDAS.assign(colour=column))
            with pytest.raises(ValueError, match=message):
                reader.floats(PANDAS.assign(colour=column))

    def test_categories_that_are_numbers_are_numbers_where_none_are_read(self):
        frame = pd.DataFrame({"a": pd.Categorical([3, 1]), "b": [0.5, 1.5]})
        assert_array_equal(read(frame, REAL), [[3, 0.5], [1, 1.5]])
        _, _, columns, _ = learn(frame, REAL)
        assert (columns.kinds, columns.n_levels) == ([None, "real"], [0, 0])

    def test_names_that_are_no_text(self):
        frame = pd.DataFrame({0: pd.Categorical(["x", "y"]), 7: [1.0, 2.0]})
        reader, _, columns, estimator = learn(frame, BY_COLUMN)
        assert reader.categories == {"0": ["x", "y"]}
        assert columns.names is None
        assert_array_equal(reader.read(estimator, frame).X, [[0, 1], [1, 2]])


def test_columns_of_another_name_come_first():
    """Before what such a column holds."""
    reader, *_, estimator = learn(PANDAS[["height", "age"]], BY_COLUMN)
    with pytest.raises(ValueError, match=r"(?s)feature names should match.*unseen.*colour"):
        reader.read(estimator, PANDAS[["height", "age", "colour"]])


WHEN = dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 3)
LAG = dt.timedelta(0), dt.timedelta(days=2)
REFUSED = {
    "pandas text": (pd.DataFrame({"a": ["u", "v"]}), "'a' holds text, such as 'u'.*Encode strings"),
    "pandas objects of text": (
        pd.DataFrame({"a": np.array(["u", None], object)}), "'a' holds .*'u'.*Encode strings"
    ),
    "pandas numbers in text": (pd.DataFrame({"a": ["1", "2"]}), "'1'.*convert them to floats"),
    "polars text": (pl.DataFrame({"a": ["u", "v"]}), "'a' holds text.*Encode strings"),
    "arrow text": (pa.table({"a": ["u", "v"]}), "'a' holds text.*likelihood='mixed'"),
    "polars category": (
        pl.DataFrame({"a": ["u", "v"]}).cast(pl.Categorical), "'a' holds 'u'.*Encode strings"
    ),
    "polars list": (pl.DataFrame({"a": [[1], [2]]}), r"'a' holds List\(Int64\)"),
    "polars record": (pl.DataFrame({"a": [{"b": 1}, {"b": 2}]}), "'a' holds Struct"),
    "polars time of day": (pl.DataFrame({"a": [dt.time(1), dt.time(2)]}), "'a' holds Time"),
    "polars binary": (pl.DataFrame({"a": [b"u", b"v"]}), "'a' holds Binary"),
    "pandas period": (
        pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="D")}), "'a' holds Period"
    ),
    "pandas objects": (pd.DataFrame({"a": [{}, 1.0]}), r"'a' holds \{\}"),
    "pandas dates among objects": (
        pd.DataFrame({"a": pd.Series([dt.date(2020, 1, 1), None], dtype=object)}), "a date"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("likelihood", [REAL, BY_COLUMN], ids=["real", "by column"])
def test_columns_that_hold_no_numbers_are_named(name, likelihood):
    if name == "polars category" and likelihood is BY_COLUMN:
        assert_array_equal(read(REFUSED[name][0], likelihood), [[0], [1]])
        return
    frame, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=f"X must hold numbers: .*{message}"):
        learn(frame, likelihood)


DATED = {
    "pandas": pd.DataFrame({"b": [1.0, 2.0], "when": WHEN, "lag": LAG}),
    "pandas with NaT": pd.DataFrame(
        {"when": [*WHEN, pd.NaT], "lag": [*LAG, pd.NaT], "b": [1.0, 2, 3]}
    ),
    "pandas with zones": pd.DataFrame(
        {"when": pd.to_datetime(WHEN).tz_localize("UTC"), "lag": LAG}
    ),
    "pandas of arrow": pd.DataFrame({"when": WHEN, "lag": LAG}).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.DataFrame({"when": WHEN, "lag": LAG, "b": [1, 2]}),
    "polars dates": pl.DataFrame({"when": [when.date() for when in WHEN], "lag": LAG}),
    "arrow": pa.table({"when": WHEN, "lag": LAG, "b": [1, 2]}),
    "arrow dates": pa.table({"when": [when.date() for when in WHEN], "lag": LAG}),
}


@pytest.mark.parametrize("name", DATED)
@pytest.mark.parametrize(("column", "word"), [("when", "dates"), ("lag", "durations")])
def test_dates_and_durations_are_named_and_can_be_made_numbers(name, column, word):
    X = DATED[name]
    alone = X[[column]] if isinstance(X, pd.DataFrame) else X.select([column])
    message = f"column '{column}' holds {word}.* number"
    for likelihood in (REAL, BY_COLUMN):
        with pytest.raises(ValueError, match=message) as error:
            learn(alone, likelihood)
    cure = re.search(r"number, (.*), or drop the column", str(error.value))[1]
    numbers = np.asarray(eval(cure, {"X": X, "numpy": np}), dtype=float)
    apart = {2, 2 * 86_400, 2 * 86_400 * 10**6}  # days, seconds, microseconds
    assert numbers[1] - numbers[0] in apart
    assert np.isnan(numbers[2:]).all()


class TestNames:
    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "a"]),
            pd.DataFrame([[1.0, 2.0, 3.0]], columns=[0, 1, 0]),
            pa.table([[1.0], [2.0], [3.0]], names=["a", "b", "a"]),
        ],
    )
    def test_two_of_one_name(self, frame):
        message = r"X has 2 columns of the name ('a'|0); .*(rename_columns|X\.columns = )"
        for call in (learn, Reader().floats):
            with pytest.raises(ValueError, match=message):
                call(frame)


@pytest.fixture
def _no_narwhals(monkeypatch):
    """As where it is not installed; scikit-learn, which may need it, still finds it."""
    imported = builtins.__import__

    def without(name, globals_=None, *args):
        if name.startswith("narwhals") and (globals_ or {}).get("__name__", "")[:5] == "skvae":
            raise ImportError(name)
        return imported(name, globals_, *args)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.mark.usefixtures("_no_narwhals")
class TestWithoutNarwhals:
    """scikit-learn before 1.9 does not bring it."""

    numbers = PANDAS[["height", "visits", "member"]]

    def test_numbers_are_read_as_scikit_learn_reads_them(self):
        reader, _, columns, estimator = learn(self.numbers)
        assert columns.kinds == [None] * 3
        assert columns.names == list(self.numbers)
        rows = reader.read(estimator, self.numbers)
        assert_array_equal(rows.block(slice(None)), self.numbers.to_numpy(float))
        assert_array_equal(reader.floats(self.numbers), self.numbers.to_numpy(float))

    @pytest.mark.parametrize("frame", [PANDAS, POLARS, pa.table(PANDAS)], ids=type)
    def test_types_ask_for_it(self, frame):
        message = r'types of a data frame.*narwhals.*pip install "skvae\[frames\]"'
        reader = Reader({"colour": ["red", "blue"]})
        for call in (
            lambda: learn(frame, BY_COLUMN),
            lambda: reader.read(Estimator(), frame),
            lambda: reader.floats(frame),
        ):
            with pytest.raises(ImportError, match=message):
                call()

    def test_arrays_need_no_types(self):
        assert_array_equal(read(CODES, BY_COLUMN), CODES)

    def test_text_and_dates_are_still_no_numbers(self):
        with pytest.raises(ValueError, match=r"X must hold numbers: .*Encode strings"):
            learn(PANDAS[["height", "colour"]])
        codes = PANDAS.assign(colour=pd.Categorical([2, 1, 2, 2]))
        assert_array_equal(read(codes[["height", "colour"]])[:, 1], [2, 1, 2, 2])
        with pytest.raises(ValueError, match="X must hold numbers: it holds dates"):
            learn(DATED["pandas"][["when"]])
