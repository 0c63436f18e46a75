"""Arrays of Python objects as floats: missing values are NaN, and what is no number is named."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

ENCODE = (
    "Encode strings, for example with OneHotEncoder or OrdinalEncoder, or keep them in a column of "
    "type category of a data frame and set likelihood='mixed'."
)
"""What to do about text."""
_MISSING = ("NoneType", "NAType")
"""Types of None and of pandas' NA, by name: pandas need not be there."""
_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


def floats_of_objects(values: np.ndarray, names: Sequence[Any] | None = None) -> np.ndarray:
    """Return a matrix of objects as float64, with NaN in place of None and pandas' NA.

    Parameters
    ----------
    values : ndarray of object, shape (n, n_features)
        What should be numbers.
    names : sequence, default=None
        Of the columns, for the message.
    """
    types = {type(value) for value in values.ravel()}
    if any(kind.__name__ in _MISSING for kind in types):
        values = np.where(_are_missing(values), np.nan, values)
    if any(_is_date(kind) for kind in types):
        # Before numpy, which makes numbers of some of them.
        place, value = _first(values, names, lambda value: _is_date(type(value)))
        raise ValueError(
            f"X must hold numbers: {place}, a {type(value).__name__}. Pass the time since a start "
            "as a number, for example in days, or drop the column."
        )
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        place, value = _first(values, names, lambda value: not _is_number(value))
        cure = ENCODE if isinstance(value, str) else "Convert such objects to numbers."
        message = f"X must hold numbers: {place}: {error}. {cure}"
        if isinstance(error, TypeError):
            raise TypeError(message) from error
        raise ValueError(message) from error


def is_missing(value: Any) -> bool:
    """Return whether a value of a column of any type stands for none: None, NA, NaN or NaT.

    Parameters
    ----------
    value : object
        Of the column.
    """
    is_nan = isinstance(value, float) and value != value
    return is_nan or type(value).__name__ in (*_MISSING, "NaTType")


def _is_date(kind: type) -> bool:
    return issubclass(kind, _DATES) or kind.__name__ == "NaTType"


def _are_missing(values: np.ndarray) -> np.ndarray:
    return np.frompyfunc(lambda value: type(value).__name__ in _MISSING, 1, 1)(values).astype(bool)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _first(
    values: np.ndarray, names: Sequence[Any] | None, is_wanted: Callable[[Any], bool]
) -> tuple[str, Any]:
    """Return where the first value of a kind is, in words, and the value."""
    at = next(at for at in np.ndindex(values.shape) if is_wanted(values[at]))
    column = at[1] if names is None else repr(names[at[1]])
    return f"column {column} holds {values[at]!r}", values[at]
