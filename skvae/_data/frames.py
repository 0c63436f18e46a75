"""Data frames of any library, by one reading of their types: numbers, categories, and the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skvae._data.objects import ENCODE, floats_of_objects, is_missing

NUMBERS = ("real", "whole", "boolean")
"""Kinds of columns whose values are numbers as they are."""


class Column:
    """One column of a data frame.

    Parameters
    ----------
    frame : narwhals.DataFrame
        Of any library.
    name : object
        As the frame has it, mostly a str.
    dtype : narwhals.DType
        Its type.
    """

    def __init__(self, frame: Any, name: Any, dtype: Any) -> None:
        self.frame, self.name, self.dtype = frame, name, dtype

    @property
    def values(self) -> Any:
        """The column itself, a ``narwhals.Series``."""
        return self.frame.get_column(self.name)

    @cached_property
    def kind(self) -> str:
        """What the frame declares it to be.

        One of ``"real"``, ``"whole"``, ``"boolean"``, ``"category"``, ``"text"``, ``"date"``,
        ``"duration"``, ``"object"`` (of Python, which may be numbers) and ``"other"``: lists,
        records, times of day.
        """
        if self.dtype.is_numeric():
            return "whole" if self.dtype.is_integer() else "real"
        name = str(self.dtype).partition("(")[0]
        if name == "Unknown":
            # Types that narwhals has no name for, such as pandas' sparse columns.
            return _KINDS_OF_NUMPY.get(self.values.head(1).to_numpy().dtype.kind, "object")
        return _KINDS.get(name, "other")

    def levels(self) -> list[Any]:
        """Return the categories, as a file can hold them.

        In the order of the frame where it has one; polars' Categorical, whose order depends on
        what the process met before, has that of the text.
        """
        is_enum = hasattr(self.dtype, "categories")
        if self.frame.implementation.is_polars() and not is_enum:
            return sorted(self.values.drop_nulls().unique().to_list())
        return [plain(level) for level in self.values.cat.get_categories().to_list()]

    def codes(self, levels: list[Any]) -> np.ndarray:
        """Return the position of every value among the levels of ``fit``, NaN if it is missing."""
        code_of: dict[Any, float] = {level: code for code, level in enumerate(levels)}
        code_of[None] = np.nan
        values = [None if is_missing(value) else value for value in self.values.to_list()]
        # Equal numbers are one key, whatever type holds them; the rest is what a file can hold.
        codes = np.array([code_of.get(v, code_of.get(plain(v), -1)) for v in values], np.float32)
        if (codes < 0).any():
            value = values[int(codes.argmin())]
            raise ValueError(
                f"Column {self.name!r} holds {value!r}, which is not one of the categories of fit, "
                f"{levels}. Drop such rows, replace the value by None (missing), or add the "
                "category to the categories of the column and fit again."
            )
        return codes

    def numbers(self) -> np.ndarray:
        """Return the values as numbers, or say why they are none."""
        if self.kind in _REFUSALS:
            held = _REFUSALS[self.kind](self)
            raise ValueError(f"X must hold numbers: column {self.name!r} holds {held}")
        values = self.values.to_numpy()
        if values.dtype.kind != "O":
            return values
        return floats_of_objects(values[:, None], [self.name])[:, 0]


class ColumnType(NamedTuple):
    """What a column of a data frame is, so that another one can be made like it.

    Attributes
    ----------
    kind : {"real", "whole", "boolean", "category"}
        As that of a column; what is neither is real.
    levels : list
        The categories; empty where it has none.
    number : str
        The type of its numbers, as numpy names it; empty where numpy has none.
    library : str
        Of the frame.
    native : object
        The type itself, one of the library's.
    """

    kind: str
    levels: list[Any]
    number: str
    library: str
    native: Any

    def series(self, values: np.ndarray, library: str) -> Any:
        """Return values as a column of a library's, of this type.

        Parameters
        ----------
        values : ndarray of shape (n,)
            Numbers; codes in place of categories. A code without a category is a missing value.
        library : {"pandas", "polars"}
            Which. In another one than the frame's, the type is that nearest to it.

        Returns
        -------
        series : Series or Categorical
            Of the library.
        """
        native = self.native if library == self.library else None
        if self.kind == "category":
            of_codes = _pandas_categories if library == "pandas" else _polars_categories
            codes = values.astype(np.int64)
            return of_codes(np.where(codes < len(self.levels), codes, -1), self.levels, native)
        with np.errstate(invalid="ignore"):
            typed = values.astype(self.number or values.dtype)
        # Whole numbers that the type does not hold stay floats.
        if not self.number or (self.kind != "real" and (typed != values).any()):
            native, typed = None, values
        if library == "pandas":
            import pandas as pd

            series = pd.Series(typed)
            return series if native is None else series.astype(native)
        import polars as pl

        return pl.Series(typed, dtype=native)


def _pandas_categories(codes: np.ndarray, levels: list[Any], native: Any) -> Any:
    import pandas as pd

    dtype = native if isinstance(native, pd.CategoricalDtype) else pd.CategoricalDtype(levels)
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _polars_categories(codes: np.ndarray, levels: list[Any], native: Any) -> Any:
    import polars as pl

    texts = list(map(str, levels))
    values = [None if code < 0 else texts[code] for code in codes]
    return pl.Series(values, dtype=native or pl.Enum(texts))


def frame_of(columns: Sequence[Any], library: str, X: Any) -> Any:
    """Return a data frame of some columns, named by their positions.

    Parameters
    ----------
    columns : sequence of Series, Categorical or ndarray, each of shape (n,)
        Of the library, or of numpy.
    library : {"pandas", "polars"}
        Which.
    X : array-like or data frame of shape (n, n_features)
        What the rows are of: those of a frame of pandas have an index.
    """
    named = {str(position): column for position, column in enumerate(columns)}
    if library == "polars":
        import polars as pl

        return pl.DataFrame(named)
    import pandas as pd

    frame = pd.DataFrame(named)
    return frame.set_axis(X.index) if isinstance(X, pd.DataFrame) else frame


class Frame:
    """A data frame, read by its types.

    Parameters
    ----------
    frame : narwhals.DataFrame
        Of any library.
    """

    def __init__(self, frame: Any) -> None:
        self.frame = frame
        self.columns = [Column(frame, name, dtype) for name, dtype in frame.schema.items()]

    @classmethod
    def of(cls, X: Any, by_types: bool = False) -> Frame | None:
        """Return a frame for X, or ``None`` where it is none.

        Without narwhals, which scikit-learn brings from 1.9 on, frames are left to
        scikit-learn's own validation, unless the types of the columns are needed.
        """
        try:
            import narwhals.stable.v2 as nw
        except ImportError as error:
            if by_types and _looks_like_a_frame(X):
                raise ImportError(
                    "The types of a data frame's columns are read by narwhals, which is not "
                    'installed. Run: pip install "skvae[frames]"'
                ) from error
            return None
        if not nw.dependencies.is_into_dataframe(X):
            return None
        _check_names(X)
        return cls(nw.from_native(X, eager_only=True))

    def levels(self) -> dict[str, list[Any]]:
        """Return the categories of every column that has some, by the column's name."""
        return {str(c.name): c.levels() for c in self.columns if c.kind == "category"}

    @property
    def is_of_bytes(self) -> bool:
        """Whether all columns are of uint8, with nulls or without."""
        return all(str(column.dtype) == "UInt8" for column in self.columns)

    def kinds(self, categories: dict[str, list[Any]]) -> list[str | None]:
        """Return what each column is declared to be; ``None`` where its values have to tell."""
        return [
            "category" if str(c.name) in categories else c.kind if c.kind in NUMBERS else None
            for c in self.columns
        ]

    def types(self, categories: dict[str, list[Any]]) -> list[ColumnType]:
        """Return what each column is, by its type; categories are those that are read as such."""
        native = self.frame.to_native()
        types = []
        for column in self.columns:
            levels = categories.get(str(column.name))
            kind = column.kind if column.kind in NUMBERS else "real"
            number = "bool" if kind == "boolean" else str(column.dtype).lower()
            # Other processes may have met other categories.
            is_ours = levels is None or column.levels() == levels
            types.append(
                ColumnType(
                    kind if levels is None else "category",
                    levels or [],
                    number if levels is None and hasattr(np, number) else "",
                    self.frame.implementation.value,
                    getattr(native[column.name], "dtype", None) if is_ours else None,
                )
            )
        return types

    def n_levels(self, categories: dict[str, list[Any]]) -> list[int]:
        """Return the number of categories of each column, 0 where it has none."""
        return [len(categories.get(str(column.name), ())) for column in self.columns]

    def matrix(self, categories: dict[str, list[Any]]) -> Any:
        """Return the columns side by side as numbers, with codes in place of some categories."""
        native = self.frame.to_native()
        if self.columns and hasattr(native, "sparse"):  # pandas: where all columns are sparse
            return native.sparse.to_coo()
        types = {str(column.dtype) for column in self.columns}
        if len(types) == 1 and self.columns[0].values.dtype.is_numeric() and not categories:
            matrix = self.frame.to_numpy()  # often without a copy
            if matrix.dtype.kind != "O":
                return matrix
        columns = [
            c.codes(categories[str(c.name)]) if str(c.name) in categories else c.numbers()
            for c in self.columns
        ]
        return np.column_stack(columns) if columns else np.empty(self.frame.shape)


def joined_levels(parts: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Return the categories of the columns of several frames, of which each may know some.

    As the frame has them that knows all of them; else sorted.

    Raises
    ------
    ValueError
        When a column is of type category in some of them.
    """
    first, *others = parts
    for rank, other in enumerate(others, start=1):
        for name in first.keys() ^ other.keys():
            places = (0, rank) if name in first else (rank, 0)
            raise ValueError(
                f"Column {name!r} is of type category in process {places[0]}, but not in process "
                f"{places[1]}. Give it the same type in all processes."
            )
    return {name: _joined([part[name] for part in parts]) for name in first}


def _joined(parts: list[list[Any]]) -> list[Any]:
    longest = max(parts, key=len)
    levels = {level for part in parts for level in part}
    return longest if levels <= set(longest) else in_order(levels)


def joined_kinds(parts: Sequence[list[str | None]]) -> list[str | None]:
    """Return what the columns of several frames, the same ones, are declared to be together.

    Whole and real numbers are real ones, as where a frame without gaps stands beside one with gaps.

    Raises
    ------
    ValueError
        When they are declared to be different things otherwise.
    """
    joined: list[str | None] = []
    for column, kinds in enumerate(zip(*parts, strict=True)):
        if len(set(kinds)) == 1:
            joined.append(kinds[0])
        elif set(kinds) <= {"whole", "real"}:
            joined.append("real")
        else:
            said = [kind or "object" for kind in kinds]
            raise ValueError(
                f"The column at position {column} of X has different types in the processes. In "
                f"the order of the processes they are {said}. Give it the same type in all of them."
            )
    return joined


def in_order(levels: set[Any]) -> list[Any]:
    """Return categories sorted; by their text where they are of several types."""
    try:
        return sorted(levels)
    except TypeError:
        return sorted(levels, key=str)


def plain(value: Any) -> Any:
    """Return a category as a file can hold it: intervals and dates by their text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float) else str(value)


_KINDS = {
    "Boolean": "boolean",
    "Categorical": "category",
    "Enum": "category",
    "String": "text",
    "Date": "date",
    "Datetime": "date",
    "Duration": "duration",
    "Object": "object",
}
"""From the types of narwhals, numbers apart."""
_KINDS_OF_NUMPY = {"f": "real", "i": "whole", "u": "whole", "b": "boolean"}


def _looks_like_a_frame(X: Any) -> bool:
    return hasattr(X, "columns")


def _check_names(X: Any) -> None:
    """Raise ``ValueError`` for two columns of one name."""
    is_arrow = hasattr(X, "column_names")
    counts = Counter(X.column_names if is_arrow else list(X.columns))
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        cure = "X.rename_columns([...])" if is_arrow else "X.columns = [...]"
        raise ValueError(
            f"X has {counts[repeated[0]]} columns of the name {repeated[0]!r}; the names of the "
            f"columns of X must differ. Rename them with {cure}, or drop all but one."
        )


# What a column is told that holds no numbers. Libraries differ in how to compute with dates.


def _text(column: Column) -> str:
    value = column.values.drop_nulls().head(1).to_list()
    example = f", such as {value[0]!r}" if value else ""
    return f"text{example}. {ENCODE} If numbers were read as text, convert them to floats."


def _date(column: Column) -> str:
    x = f"X[{column.name!r}]"
    cure = f"({x} - {x}.min()) / numpy.timedelta64(1, 'D')"
    if column.frame.implementation.is_polars():
        cure = f"({x} - {x}.min()).dt.total_seconds()"
    elif column.frame.implementation.is_pyarrow():
        cure = f"{x}.cast('timestamp[us]').cast('int64')"
    return (
        f"dates, {column.dtype}. Pass the time since a start as a number, {cure}, or drop "
        "the column."
    )


def _duration(column: Column) -> str:
    x = f"X[{column.name!r}]"
    cure = f"{x} / numpy.timedelta64(1, 's')"
    if column.frame.implementation.is_polars():
        cure = f"{x}.dt.total_seconds()"
    elif column.frame.implementation.is_pyarrow():
        cure = f"{x}.cast('duration[us]').cast('int64')"
    return f"durations, {column.dtype}. Pass them as a number, {cure}, or drop the column."


def _other(column: Column) -> str:
    return f"{column.dtype}. Convert it to columns of numbers, or drop it."


_REFUSALS: dict[str, Callable[[Column], str]] = {
    "text": _text,
    "date": _date,
    "duration": _duration,
    "other": _other,
}
