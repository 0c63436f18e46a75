"""Numbers that a caller gives: numpy's are numbers like any other, bool is none."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

ROUNDING = 1e-12
"""Of the mean of some numbers: a spread below it is what rounding leaves of a constant."""


def is_number(value: Any, kind: type) -> bool:
    """Whether this is a number, Python's or another library's: whole for ``int``, else real."""
    return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)


def whole(value: Any, name: str, least: int | None = 1) -> int:
    """Return a whole number of at least ``least``, or any where that is ``None``."""
    kind = "a whole number" if least is None else f"a whole number of at least {least}"
    if not is_number(value, int):
        raise TypeError(f"{name}={value!r} must be {kind}, and is of type {_type(value)}.")
    if least is not None and value < least:
        raise ValueError(f"{name}={value!r} must be {kind}.")
    return int(value)


def real(value: Any, name: str, least: float = -math.inf) -> float:
    """Return a number of at least ``least``; NaN is none."""
    kind = "a number" if least == -math.inf else f"a number of at least {least}"
    if not is_number(value, float):
        raise TypeError(f"{name}={value!r} must be {kind}, and is of type {_type(value)}.")
    number = float(value)
    if not number >= least:
        raise ValueError(f"{name}={value!r} must be {kind}.")
    return number


def _type(value: Any) -> str:
    return type(value).__name__
