"""What rows are given: categories and numbers, learned in fit, as the vectors that networks see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import torch
from sklearn.utils import check_array

from skvae._data.containers import as_matrix
from skvae._data.frames import Frame, in_order, plain
from skvae._data.objects import is_missing
from skvae._numbers import ROUNDING
from skvae._world import world

MOST_CATEGORIES = 100
"""Whole numbers of at most so many distinct values stand for categories."""

MOST_CONDITIONS = 64
"""An average over the conditions of fit is taken over at most so many."""

MOST_TOLD = 2**16
"""These are chosen among at most so many of each process."""

SHOWN = 20
"""Categories that an error lists."""


class Given(NamedTuple):
    """A column of what rows are given, as it comes.

    Attributes
    ----------
    name : object
        Of the column of a frame; else its position.
    values : ndarray of shape (n,)
        Of numbers, texts or objects.
    is_category : bool
        Whether a data frame declares it to be one of categories.
    """

    name: Any
    values: np.ndarray
    is_category: bool = False

    def subset(self, positions: Any) -> Given:
        """Return the values at the given positions."""
        return self._replace(values=self.values[positions])

    def numbers(self) -> np.ndarray | None:
        """Return the values as float64, NaN where one is missing; ``None`` if others are there."""
        if self.is_category or self.values.dtype.kind not in "fiuO":
            return None
        if self.values.dtype != object:
            return self.values.astype(np.float64)
        values = [np.nan if is_missing(value) else value for value in self.values.tolist()]
        if not all(isinstance(v, int | float | np.number) and type(v) is not bool for v in values):
            return None
        return np.array(values, dtype=np.float64)


def columns_of(values: Any) -> list[Given]:
    """Return the columns of a frame, a series or an array of one dimension or two."""
    frame = Frame.of(_framed(values), by_types=True)
    if frame is not None:
        return [
            Given(plain(c.name), _objects(c.values.to_list()), _is_category(c))
            for c in frame.columns
        ]
    if scipy.sparse.issparse(values):
        values = values.toarray()
    array = np.asarray(values, dtype=None if hasattr(values, "dtype") else object)
    if array.ndim > 2:
        raise ValueError(f"condition has shape {array.shape}. Pass one or two dimensions.")
    table = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    return [Given(position, column) for position, column in enumerate(table.T)]


def _framed(values: Any) -> Any:
    """Return a series of any library as a frame of one column, all else as it is."""
    try:
        import narwhals.stable.v2 as nw
    except ImportError:
        return values
    if not nw.dependencies.is_into_series(values):
        return values
    return nw.from_native(values, series_only=True).to_frame().to_native()


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _is_category(column: Any) -> bool:
    return column.kind == "category"


def positions_of(X: Any, key: Any) -> np.ndarray:
    """Return the positions of some columns, in order.

    Parameters
    ----------
    X : matrix or data frame of shape (n_samples, n_features)
        Rows.
    key : str, int, slice or array-like
        A name or a position, several of them, a slice of positions or names, or a mask.

    Raises
    ------
    ValueError
        When X has no such column.
    """
    frame = Frame.of(X, by_types=True)
    names = [] if frame is None else [column.name for column in frame.columns]
    n_columns = X.shape[1]
    if isinstance(key, slice):
        first, last = (
            _position(end, names, n_columns) if isinstance(end, str) else end
            for end in (key.start, key.stop)
        )
        last = last + 1 if isinstance(key.stop, str) else last  # of names the last one, too
        return np.arange(n_columns)[first : last : key.step]
    keys = np.atleast_1d(np.asarray(key, dtype=object)).tolist()
    if keys and all(isinstance(one, bool | np.bool_) for one in keys):
        if len(keys) != n_columns:
            raise ValueError(
                f"condition= is a mask of {len(keys)} columns, but X has {n_columns}. Give it one "
                "value for each column."
            )
        return np.flatnonzero(keys)
    return np.unique([_position(one, names, n_columns) for one in keys]).astype(np.int64)


def _position(key: Any, names: list[Any], n_columns: int) -> int:
    """Return the position of a column by its name, or by itself."""
    if isinstance(key, int | np.integer) and -n_columns <= key < n_columns:
        return int(key) % n_columns
    if key not in names:
        known = f"the columns {names[:SHOWN]}" if names else f"{n_columns} columns without names"
        raise ValueError(f"X has no column {key!r}, which condition= selects. X has {known}.")
    return names.index(key)


def split_columns(X: Any, positions: np.ndarray) -> tuple[Any, list[Given]]:
    """Return X without some columns, of its kind, and these.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        Rows; text is allowed in the columns that are taken out.
    positions : ndarray of int
        Of these columns.
    """
    frame = Frame.of(X, by_types=True)
    if frame is not None:
        rest = np.setdiff1d(np.arange(len(frame.columns)), positions).tolist()
        taken = frame.frame[:, positions.tolist()]  # by position: names may be no text
        return frame.frame[:, rest].to_native(), columns_of(taken.to_native())
    X = as_table(X)
    taken = columns_of(X[:, positions])
    named = [Given(p, one.values) for p, one in zip(positions.tolist(), taken, strict=True)]
    return _without(X, positions), named


def _without(X: Any, positions: np.ndarray) -> Any:
    """Return a matrix without some columns; a view, of a mapped file too, where they are ends."""
    rest = np.setdiff1d(np.arange(X.shape[1]), positions)
    if scipy.sparse.issparse(X):
        return X.tocsc()[:, rest].tocsr()
    if len(rest) == rest[-1] - rest[0] + 1:
        return X[:, rest[0] : rest[-1] + 1]
    return X[:, rest]


def as_table(X: Any) -> Any:
    """Return X as a matrix, of objects where numbers and text stand side by side."""
    if Frame.of(X, by_types=True) is None:
        if isinstance(X, list | tuple):
            objects = np.asarray(X, dtype=object)
            X = objects if objects.ndim == 2 else X
        if not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2):
            X = as_matrix(X)
            X = X.tocsr() if scipy.sparse.issparse(X) else np.asanyarray(X)
        # For what it says of what is no table.
        check_array(X, accept_sparse=True, dtype=None, ensure_all_finite=False, input_name="X")
    return X


@dataclass(frozen=True)
class Categories:
    """A condition that is one of some categories: one column for each, 1 where it is that one.

    Parameters
    ----------
    name : object
        Of the column.
    label : str
        How an error names it.
    levels : list
        The categories, as a file can hold them; None where values were missing in fit.
    """

    name: Any
    label: str
    levels: list[Any]

    @property
    def width(self) -> int:
        """Columns of a context."""
        return len(self.levels)

    def describe(self) -> str:
        """Say what values are known."""
        more = len(self.levels) - SHOWN
        return f"one of {self.levels[:SHOWN]}{f' and {more} more' if more > 0 else ''}"

    def codes(self, given: Given) -> np.ndarray:
        """Return the position of every value among the levels, NaN where it is unknown."""
        code_of = {level: float(code) for code, level in enumerate(self.levels)}
        values = given.values.tolist()
        keys = {v: None if is_missing(v) else plain(v) for v in _distinct(values, self.label)}
        known = {value: code_of.get(key, np.nan) for value, key in keys.items()}
        return np.array([known[value] for value in values], dtype=np.float64)

    def vectors(self, codes: np.ndarray) -> np.ndarray:
        """Return the columns of a context, ``(n, width)``; NaN in all where it is unknown."""
        vectors = np.zeros((len(codes), self.width), dtype=np.float32)
        known = np.flatnonzero(~np.isnan(codes))
        vectors[np.isnan(codes)] = np.nan
        vectors[known, codes[known].astype(np.int64)] = 1
        return vectors

    def is_valid(self) -> bool:
        """Return whether a fit could have made this."""
        are_known = isinstance(self.levels, list) and all(
            level is None or isinstance(level, str | int | float) for level in self.levels
        )
        return are_known and len(self.levels) > 0


@dataclass(frozen=True)
class Number:
    """A condition that is a number: one column, standardised, and one for what is missing.

    Parameters
    ----------
    name : object
        Of the column.
    label : str
        How an error names it.
    loc, scale : float
        Its mean and standard deviation in fit.
    was_missing : bool
        Whether values were missing in fit. The number is then 0, and 1 in a second column.
    """

    name: Any
    label: str
    loc: float
    scale: float
    was_missing: bool

    @property
    def width(self) -> int:
        """Columns of a context."""
        return 1 + self.was_missing

    def describe(self) -> str:
        """Say what values are known."""
        return "a number"

    def codes(self, given: Given) -> np.ndarray:
        """Return the standardised values, NaN where one is unknown, infinity where it is missing.

        Where none was missing in fit, that is unknown, as is what is no number.
        """
        numbers = given.numbers()
        if numbers is None:
            return np.full(len(given.values), np.nan)
        _check_finite(numbers, self.label)
        codes = (numbers - self.loc) / self.scale
        return np.where(np.isnan(codes), np.inf, codes) if self.was_missing else codes

    def vectors(self, codes: np.ndarray) -> np.ndarray:
        """Return the columns of a context, ``(n, width)``; NaN in all where it is unknown."""
        is_missing = np.where(np.isnan(codes), np.nan, np.isinf(codes))
        both = np.column_stack([np.where(np.isinf(codes), 0.0, codes), is_missing])
        return both[:, : self.width].astype(np.float32)

    def is_valid(self) -> bool:
        """Return whether a fit could have made this."""
        moments = self.loc, self.scale
        are_numbers = all(type(v) is float and np.isfinite(v) for v in moments)
        return are_numbers and self.scale > 0 and type(self.was_missing) is bool


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of fit: what each column may hold, and which there were.

    Parameters
    ----------
    columns : list of Categories and Number
        In the order of a context, where they stand side by side.
    contexts : ndarray of shape (k, n_context), float32
        Of all rows of fit the distinct ones; where these are many, some, evenly spread.
    shares : ndarray of shape (k,)
        Of the rows, that each of them stands for.
    """

    columns: list[Any]
    contexts: np.ndarray
    shares: np.ndarray

    @classmethod
    def learn(cls, given: list[Given], source: str, weight: np.ndarray) -> Conditions:
        """Learn what conditions there are, those of other processes among them.

        Texts, booleans, columns of type category and whole numbers of at most
        ``MOST_CATEGORIES`` distinct values are categories, other numbers numbers. That a value is
        missing is one more condition, in a column of X; each y has to be there.

        Parameters
        ----------
        given : list of Given
            The columns.
        source : {"y", "X"}
            Where they are from.
        weight : ndarray of shape (n,)
            Of the rows, positive. A row of weight 2 is one that is there twice.
        """
        is_y = source == "y" and len(given) == 1
        given = [one._replace(name="y") if is_y else one for one in given]
        labels = [source if is_y else f"column {one.name!r} of {source}" for one in given]
        if source == "y" and any(map(is_missing, _values(given))):
            raise ValueError(
                "Input y contains NaN or another missing value, but fit needs a condition for "
                "every row. Drop these rows, or give them a separate value of y."
            )
        names = [one.name for one in given]
        for rank, others in enumerate(world().parts(names)):
            if others != names:
                raise ValueError(
                    f"The conditions of process {rank} are {others}, but those of another process "
                    f"are {names}. Pass the same conditions in all processes."
                )
        columns = [_learned(*one, weight) for one in zip(given, labels, strict=True)]
        codes = [column.codes(one) for column, one in zip(columns, given, strict=True)]
        distinct, totals = _totals(np.column_stack(codes), weight)
        if len(distinct) > MOST_TOLD:
            some, shares = _some(totals, MOST_TOLD)
            distinct, totals = distinct[some], shares * totals.sum()
        distinct, totals = _totals(world().joined(distinct), world().joined(totals))
        chosen, shares = _some(totals, MOST_CONDITIONS)
        vectors = [c.vectors(distinct[chosen, i]) for i, c in enumerate(columns)]
        return cls(columns, np.hstack(vectors), shares)

    @property
    def categories(self) -> dict[Any, list[Any]]:
        """The categories by the name of the column, of those that have some."""
        return {c.name: list(c.levels) for c in self.columns if isinstance(c, Categories)}

    def encode(self, given: list[Given], takes_unknown: bool) -> np.ndarray:
        """Return the contexts of rows.

        Parameters
        ----------
        given : list of Given
            As many columns as in ``learn``.
        takes_unknown : bool
            Whether unknown and missing conditions are NaN in the contexts, or an error.

        Returns
        -------
        context : ndarray of shape (n, n_context), float32
            The columns side by side.

        Raises
        ------
        ValueError
            When there are other columns, or unknown conditions that are not taken.
        """
        if len(given) != len(self.columns):
            raise ValueError(
                f"condition must hold {len(self.columns)} values, one for each of "
                f"{[column.name for column in self.columns]}, but it holds {len(given)}."
            )
        vectors = []
        for column, one in zip(self.columns, given, strict=True):
            codes = column.codes(one)
            unknown = np.isnan(codes)
            if unknown.any() and not takes_unknown:
                value = one.values.tolist()[int(unknown.argmax())]
                raise ValueError(
                    f"{value!r} is not one of the conditions of fit: {column.label} is "
                    f"{column.describe()}. Pass one of these, or set handle_unknown='ignore', "
                    "which averages over the conditions of fit."
                )
            vectors.append(column.vectors(codes))
        return np.hstack(vectors)

    def read(self, condition: Any, n_rows: int, takes_unknown: bool) -> np.ndarray:
        """Return the contexts that a user names, one for all rows or one for each.

        Parameters
        ----------
        condition : object
            A value; several as a tuple, or as a mapping from names; an array, series or frame of
            as many rows as there are. ``None``: unknown, NaN in all contexts.
        n_rows : int
            How many.
        takes_unknown : bool
            As in ``encode``.

        Returns
        -------
        context : ndarray of shape (n_rows, n_context), float32
            As of ``encode``.
        """
        if condition is None:
            return np.full((n_rows, self.contexts.shape[1]), np.nan, np.float32)
        context = self.encode(self._named(condition), takes_unknown)
        if len(context) not in (1, n_rows):
            raise ValueError(
                f"condition holds {len(context)} conditions for {n_rows} rows. Give one condition "
                "for all rows, or one for each row."
            )
        return np.broadcast_to(context, (n_rows, context.shape[1]))

    def _named(self, condition: Any) -> list[Given]:
        """Return what a user names as columns."""
        names = [column.name for column in self.columns]
        if isinstance(condition, Mapping):
            if condition.keys() != {*names}:
                raise ValueError(
                    f"condition has the keys {[*condition]}, but the conditions of this model are "
                    f"{names}. Use these names as keys."
                )
            return [Given(name, _objects([condition[name]])) for name in names]
        given = columns_of(condition)
        by_name = {one.name: one for one in given}
        if len(given) > len(names) and by_name.keys() >= {*names}:
            return [by_name[name] for name in names]
        if len(given) == 1 and len(names) == len(given[0].values) > 1:
            # One condition, that has several values.
            return [Given(n, given[0].values[i : i + 1]) for i, n in enumerate(names)]
        return given

    def completions(self, context: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
        """Yield contexts with what is unknown in them replaced by that of each of ``contexts``.

        Parameters
        ----------
        context : ndarray of shape (n, n_context)
            NaN where it is unknown.

        Yields
        ------
        share, context : float, ndarray of shape (n, n_context)
            Of the rows of fit, that the replacement stands for.
        """
        for share, known in zip(self.shares.tolist(), self.contexts, strict=True):
            yield share, np.where(np.isnan(context), known, context)

    def drawn(self, context: np.ndarray, generator: torch.Generator) -> np.ndarray:
        """Return contexts with what is unknown in them drawn from those of fit.

        Parameters
        ----------
        context : ndarray of shape (n, n_context)
            NaN where it is unknown.
        generator : torch.Generator
            Decides the draws; left alone where all is known.
        """
        unknown = np.isnan(context)
        if not unknown.any():
            return context
        shares = torch.as_tensor(self.shares, device=generator.device)
        chosen = torch.multinomial(shares, len(context), replacement=True, generator=generator)
        return np.where(unknown, self.contexts[chosen.cpu().numpy()], context)

    def to_plain(self) -> dict[str, Any]:
        """Return this as plain data and arrays."""
        columns = [dict(vars(column)) for column in self.columns]
        return {"columns": columns, "contexts": self.contexts, "shares": self.shares}

    @classmethod
    def from_plain(cls, state: dict[str, Any]) -> Conditions:
        """Return the conditions that :meth:`to_plain` described."""
        columns = [
            Categories(**column) if "levels" in column else Number(**column)
            for column in state["columns"]
        ]
        return cls(columns, state["contexts"], state["shares"])

    def is_valid(self, n_context: int) -> bool:
        """Return whether a fit with contexts of this length could have made this."""
        arrays = self.contexts, self.shares
        return (
            all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays)
            and all(np.isfinite(array).all() for array in arrays)
            and self.shares.shape == self.contexts.shape[:1]
            and 0 < len(self.shares) <= MOST_CONDITIONS
            and bool((self.shares > 0).all())
            and self.contexts.shape[1:] == (n_context,)
            and all(isinstance(column.label, str) for column in self.columns)
            and all(column.is_valid() for column in self.columns)
            and sum(column.width for column in self.columns) == n_context
        )


def _learned(given: Given, label: str, weight: np.ndarray) -> Categories | Number:
    """Return what the values of a column say it is, those of other processes among them."""
    numbers = given.numbers()
    all_numbers = world().parts(numbers is not None)
    if numbers is None or not all(all_numbers):
        values = _distinct(given.values.tolist(), label)
        known = {plain(value) for value in values if not is_missing(value)}
        levels, are_missing = zip(
            *world().parts((known, any(map(is_missing, values)))), strict=True
        )
        return Categories(
            given.name, label, in_order(set().union(*levels)) + [None] * any(are_missing)
        )
    _check_finite(numbers, label)
    seen = ~np.isnan(numbers)
    has_missing = any(world().parts(not seen.all()))
    # Each value once, with its weight: so the order of the rows does not matter to the last digit.
    distinct, of_row = np.unique(numbers[seen], return_inverse=True)
    is_few = len(distinct) <= MOST_CATEGORIES and (distinct == np.floor(distinct)).all()
    few = world().parts(distinct if is_few else None)
    some = [levels for levels in few if levels is not None]
    if len(some) == len(few):
        every = np.unique(np.concatenate(some))
        if len(every) <= MOST_CATEGORIES:
            return Categories(given.name, label, [*map(int, every), *[None] * has_missing])
    totals = np.bincount(of_row, weights=weight[seen])
    total, first = map(sum, zip(*world().parts((totals.sum(), totals @ distinct)), strict=True))
    loc = float(first / total)
    second = sum(world().parts(totals @ np.square(distinct - loc)))
    scale = float(np.sqrt(second / total))
    scale = scale if scale > ROUNDING * abs(loc) else 1.0
    return Number(given.name, label, loc, scale, has_missing)


def _values(given: list[Given]) -> Iterator[Any]:
    return (value for one in given for value in one.values.tolist())


def _distinct(values: list[Any], label: str) -> set[Any]:
    try:
        return set(values)
    except TypeError as error:
        raise TypeError(
            f"{label} holds a value that is neither text nor a number ({error}). In a condition, "
            "each argument must be a string or a number."
        ) from error


def _check_finite(numbers: np.ndarray, label: str) -> None:
    if np.isinf(numbers).any():
        raise ValueError(f"Input {label} contains infinity: it must hold finite numbers.")


def _totals(codes: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of codes, sorted, and the weight of each."""
    distinct, of_row = np.unique(codes, axis=0, return_inverse=True)
    return distinct, np.bincount(of_row.ravel(), weights=weight)


def _some(totals: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of at most so many of sorted conditions, and their shares."""
    if len(totals) <= most:
        return np.arange(len(totals)), totals / totals.sum()
    middles = (np.arange(most) + 0.5) / most
    chosen = np.searchsorted(np.cumsum(totals) / totals.sum(), middles)
    chosen, counts = np.unique(chosen, return_counts=True)
    return chosen, counts / most
