"""The door: what X means, and its rows, columns and order."""

from skvae._data.columns import Columns
from skvae._data.order import hash_rows, mix, weighted_rows
from skvae._data.reader import Reader, some_columns
from skvae._data.rows import Rows

__all__ = ["Columns", "Reader", "Rows", "hash_rows", "mix", "some_columns", "weighted_rows"]
