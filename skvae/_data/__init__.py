"""The door: what X means, and its rows, columns and order."""

from skvae._data.chunked import ChunkedArray, is_lazy
from skvae._data.columns import Columns
from skvae._data.conditions import (
    Conditions,
    Given,
    as_table,
    columns_of,
    positions_of,
    split_columns,
)
from skvae._data.frames import frame_of
from skvae._data.mapped import shared_mapping
from skvae._data.order import check_weight, hash_all, hash_rows, mix, weighted_rows
from skvae._data.reader import Reader, has_categories, n_columns, of_bytes, some_columns
from skvae._data.rows import Rows, sent

__all__ = [
    "ChunkedArray",
    "Columns",
    "Conditions",
    "Given",
    "Reader",
    "Rows",
    "as_table",
    "check_weight",
    "columns_of",
    "frame_of",
    "has_categories",
    "hash_all",
    "hash_rows",
    "is_lazy",
    "mix",
    "n_columns",
    "of_bytes",
    "positions_of",
    "sent",
    "shared_mapping",
    "some_columns",
    "split_columns",
    "weighted_rows",
]
