"""Sources of rows that are not arrays, and are read one chunk at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ParquetRows"]


class ParquetRows:
    """Columns of Parquet files as an array that is read one row group at a time.

    It has ``shape``, ``dtype`` and slicing, so that ``fit``, ``transform`` and the other methods of
    a :class:`skvae.VariationalAutoencoder` take it. Only a few row groups are in memory at a time.
    The size of row groups is set when a file is written, by ``row_group_size=`` of
    ``pyarrow.parquet.write_table`` or ``DataFrame.to_parquet``. A good size is 10,000 to 100,000
    rows.

    Parameters
    ----------
    path : path-like or sequence of path-like
        A file, a list of files with the same columns, or a folder. The files ``*.parquet`` of a
        folder are read in the order of their names.
    columns : sequence of str, default=None
        The columns of X, in this order. If ``None``, all columns are taken.

    Attributes
    ----------
    shape : tuple of int
        Number of rows in all files, and number of columns.
    dtype : numpy.dtype
        float32 if it holds the values of every column exactly, otherwise float64. A null becomes
        NaN.
    columns : list of str
        The names of the columns.
    chunks : tuple of tuple of int
        Number of rows of each row group, and number of columns.

    Raises
    ------
    ImportError
        When pyarrow is not installed.
    FileNotFoundError
        When a file does not exist, or a folder holds no Parquet file.
    KeyError
        When a file does not have one of the columns.
    TypeError
        When a column does not hold numbers.

    Examples
    --------
    >>> import pyarrow
    >>> import pyarrow.parquet
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.sources import ParquetRows
    >>> path = getfixture("tmp_path") / "iris.parquet"
    >>> frame = pyarrow.Table.from_pandas(load_iris(as_frame=True).frame)
    >>> pyarrow.parquet.write_table(frame, path, row_group_size=50)
    >>> X = ParquetRows(path, columns=["sepal length (cm)", "petal length (cm)"])
    >>> X.shape, X.chunks[0]
    ((150, 2), (50, 50, 50))
    >>> VariationalAutoencoder(1, max_epochs=5).fit(X).transform(X).shape
    (150, 1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        columns: Sequence[str] | None = None,
    ) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise ImportError(
                "ParquetRows needs pyarrow, which is not installed. Run: pip install pyarrow"
            ) from error
        self._files = [parquet.ParquetFile(file) for file in _paths(path)]
        self.columns = list(self._files[0].schema_arrow.names if columns is None else columns)
        self.dtype = np.result_type(*(self._type(f, c) for f in self._files for c in self.columns))
        self._groups = [
            (file, group) for file in self._files for group in range(file.num_row_groups)
        ]
        sizes = [file.metadata.row_group(group).num_rows for file, group in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.shape = (int(self._starts[-1]), len(self.columns))
        self.chunks = (tuple(sizes), (len(self.columns),))

    def _type(self, file: Any, column: str) -> np.dtype:
        """Return the type of float for a column of a file."""
        import pyarrow

        if column not in file.schema_arrow.names:
            raise KeyError(
                f"There is no column {column!r} in the file. It has {file.schema_arrow.names}."
            )
        kind = file.schema_arrow.field(column).type
        types = pyarrow.types
        if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
            raise TypeError(
                f"Column {column!r} holds {kind}, but X must hold numbers. Leave it out by "
                "columns=[...], or write it as numbers."
            )
        return np.result_type(kind.to_pandas_dtype(), np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return a slice of rows.

        Parameters
        ----------
        rows : slice
            A slice without a step.

        Returns
        -------
        X : ndarray of shape (n, n_columns)
            The rows, with dtype ``dtype``.
        """
        start, stop, _ = rows.indices(self.shape[0])
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        parts = [np.empty((0, self.shape[1]), self.dtype)]
        for number in range(first, len(self._groups)):
            begin = int(self._starts[number])
            if begin >= stop:
                break
            parts.append(self._read(number)[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts)

    def _read(self, number: int) -> np.ndarray:
        import pyarrow

        file, group = self._groups[number]
        table = file.read_row_group(group, columns=self.columns)
        block = np.empty((table.num_rows, self.shape[1]), self.dtype)
        for i, column in enumerate(self.columns):
            values = table[column]
            if pyarrow.types.is_boolean(values.type):
                values = values.cast(pyarrow.float32())
            block[:, i] = values.to_numpy()
        return block


def _paths(path: Any) -> list[Path]:
    if not isinstance(path, str | os.PathLike):
        return [Path(file) for file in path]
    if not Path(path).is_dir():
        return [Path(path)]
    files = sorted(Path(path).glob("*.parquet"))
    if not files:
        raise FileNotFoundError(f"There is no file *.parquet in {path}.")
    return files
