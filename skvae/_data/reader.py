"""The fitted knowledge of what X means: categories, and the value that is read as 1."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from skvae._data.chunked import ChunkedArray
from skvae._data.columns import Columns, Look
from skvae._data.containers import as_matrix, check_dates, is_of_bytes
from skvae._data.frames import ColumnType, Frame, joined_kinds, joined_levels
from skvae._data.mapped import shared_mapping
from skvae._data.moments import Moments, Moved
from skvae._data.objects import ENCODE, floats_of_objects
from skvae._data.order import check_weight, weighted_rows
from skvae._data.rows import Rows
from skvae._world import world

BYTE = 255.0
"""The value of a byte that is read as 1."""
ORDERED_ROWS = 2**24
"""Of a mapped file of more rows, an order of their own would not fit in little memory."""
LEAST_BRIGHT = 128.0
"""Grey levels up to 255 reach at least this in one of many images."""


@dataclass(frozen=True)
class Reader:
    """What ``fit`` learnt of how X is to be read.

    Parameters
    ----------
    categories : dict of list, default={}
        The categories of columns of a data frame, by the columns' names; their positions
        stand for them in rows.
    unit : float, default=1.0
        The value of X that is read as 1: 255 for the bytes of images.
    unsettled : Moments, default=None
        Of the columns of which the rows so far say too little.
    """

    categories: dict[str, list[Any]] = field(default_factory=dict)
    unit: float = 1.0
    unsettled: Moments | None = None

    @classmethod
    def learn(
        cls,
        estimator: Any,
        X: Any,
        likelihood: Any,
        sample_weight: Any = None,
        context: Any = None,
        is_streamed: bool = False,
        label: np.ndarray | None = None,
    ) -> tuple[Reader, Rows, Columns]:
        """Learn what X means, and return its rows as a fit sees them, with their columns.

        Parameters
        ----------
        estimator : estimator
            Gets ``n_features_in_`` and ``feature_names_in_``; its ``image_shape``, if it has
            one, says whether rows are images, and its ``n_components`` how many describe a row.
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.
        likelihood : object
            Whose ``takes_categories``, ``reads_bytes`` and ``reads_bytes_of_images`` say what
            X may mean, and ``wants_detail`` what is asked of its columns; an attribute that is
            not there is false.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative.
        context : array-like of shape (n_samples, n_context), default=None
            What each row is given.
        is_streamed : bool, default=False
            Whether these may be the first of more rows, which then have a say too.
        label : ndarray of shape (n_samples,), default=None
            The number of each row's class; NaN: unknown.

        Returns
        -------
        reader : Reader
            What was learnt.
        rows : Rows
            Weighted, in an order of their own.
        columns : Columns
            Of these rows.

        Raises
        ------
        ValueError, TypeError
            When X is no matrix of numbers, or weights and context do not fit it.
        ImportError
            When categories are to be read, and narwhals is not installed.
        """
        takes_categories = getattr(likelihood, "takes_categories", False)
        reader, checked, frame = cls._met(estimator, X, takes_categories)
        categories = reader.categories
        is_image = getattr(estimator, "image_shape", None) is not None
        unit = _unit_of(checked, likelihood, is_image) if of_bytes(X) else 1.0
        reader = replace(reader, unit=max(world().parts(unit)))
        wants_detail = getattr(likelihood, "wants_detail", False)
        beside = sample_weight, context, label
        rows, look = reader._weighted(X, checked, *beside, wants_detail)
        columns = Columns(
            rows,
            _names(estimator),
            None if frame is None else joined_kinds(world().parts(frame.kinds(categories))),
            None if frame is None else frame.n_levels(categories),
            is_image,
            wants_detail,
            look,
            getattr(estimator, "n_components", None),
        )
        finds_kinds = wants_detail and getattr(likelihood, "left_open", False)
        columns.check_observed(more_to_come=is_streamed and not finds_kinds)
        reader = replace(reader, unsettled=Moments.of(columns, is_streamed))
        if is_image and getattr(likelihood, "reads_bytes_of_images", False):
            _warn_of_grey_levels(columns)
        return reader, rows, columns

    @classmethod
    def _met(
        cls, estimator: Any, X: Any, takes_categories: bool
    ) -> tuple[Reader, Any, Frame | None]:
        """Return what the types of X say, the checked matrix, and X where it is a data frame."""
        X = as_matrix(X)
        frame = Frame.of(X, by_types=takes_categories)
        categories = frame.levels() if frame is not None and takes_categories else {}
        # Codes count the categories of all processes.
        categories = joined_levels(world().parts(categories))
        checked = _checked(estimator, X, frame, categories, reset=True)
        _check_alike(checked, _names(estimator), frame is not None)
        return cls(categories), checked, frame

    @classmethod
    def meet(
        cls, estimator: Any, X: Any, takes_categories: bool
    ) -> tuple[Reader, np.ndarray, list[ColumnType]]:
        """Learn the categories of a table alone, and return its values.

        Parameters
        ----------
        estimator : estimator
            Gets ``n_features_in_`` and ``feature_names_in_``.
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.
        takes_categories : bool
            Whether columns of a frame that are declared as categories are read as codes.

        Returns
        -------
        reader : Reader
            With the categories.
        values : ndarray of shape (n_samples, n_features)
            float32 where X is, else float64; NaN where a value is missing.
        types : list of ColumnType
            Of the columns of a data frame; empty where X is none.

        Raises
        ------
        ValueError, TypeError, ImportError
            As ``learn``; and when X is sparse.
        """
        reader, checked, frame = cls._met(estimator, X, takes_categories)
        types = [] if frame is None else frame.types(reader.categories)
        return reader, _dense(checked), types

    def values(self, estimator: Any, X: Any) -> np.ndarray:
        """Return the values of a table that has the columns of another one.

        Parameters
        ----------
        estimator, X
            As in ``meet``.

        Returns
        -------
        values : ndarray of shape (n_samples, n_features)
            As of ``meet``.

        Raises
        ------
        ValueError, TypeError, ImportError
            As ``meet``, and when X has other columns or unknown categories.
        """
        return _dense(self._known(estimator, X))

    def read(self, estimator: Any, X: Any, context: Any = None) -> Rows:
        """Return the rows of X as they come.

        Parameters
        ----------
        estimator : estimator
            With the columns that X must have.
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.
        context : array-like of shape (n_samples, n_context), default=None
            What each row is given.

        Returns
        -------
        rows : Rows
            In units of ``unit``, with codes in place of categories.

        Raises
        ------
        ValueError, TypeError, ImportError
            As ``learn``, and when X has other columns than in ``fit`` or unknown categories.
        """
        checked = self._known(estimator, X)
        return self._rows(X, checked, context, _has_missing(checked))

    def read_on(
        self,
        estimator: Any,
        X: Any,
        sample_weight: Any = None,
        context: Any = None,
        is_streamed: bool = False,
    ) -> tuple[Reader, Rows, Columns, Moved | None]:
        """Return the same for a fit that goes on.

        Parameters
        ----------
        estimator, X, context
            As in ``read``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative.
        is_streamed : bool, default=False
            As in ``learn``.

        Returns
        -------
        reader : Reader
            What is known now.
        rows : Rows
            As those of ``learn``.
        columns : Columns
            Of these rows, without what a data frame declares.
        moved : Moved or None
            The columns whose location and scale are known better now.

        Raises
        ------
        ValueError, TypeError, ImportError
            As ``read``.
        """
        checked = self._known(estimator, X)
        _check_alike(checked, _names(estimator))
        rows, look = self._weighted(X, checked, sample_weight, context)
        columns = Columns(rows, _names(estimator), look=look)
        if self.unsettled is None or self.unsettled.are_those_of(columns):
            return self, rows, columns, None
        unsettled, moved = self.unsettled.merged(columns, is_streamed)
        reader = replace(self, unsettled=unsettled)
        return reader, rows, columns, moved if moved.indices else None

    def to_plain(self) -> dict[str, Any]:
        """Return this as plain data and arrays.

        Returns
        -------
        state : dict
            The constructor's arguments.
        """
        moments = self.unsettled
        unsettled = None if moments is None else moments._asdict()
        return {"categories": self.categories, "unit": self.unit, "unsettled": unsettled}

    @classmethod
    def from_plain(cls, state: dict[str, Any]) -> Reader:
        """Return the reader that :meth:`to_plain` described.

        Parameters
        ----------
        state : dict
            The constructor's arguments.
        """
        unsettled = state["unsettled"]
        moments = None if unsettled is None else Moments(**unsettled)
        return cls(**(state | {"unsettled": moments}))

    def is_valid(self, n_features: int) -> bool:
        """Return whether a fit to so many columns could have made this.

        Parameters
        ----------
        n_features : int
            Columns of X.
        """
        return (
            isinstance(self.categories, dict)
            and all(
                isinstance(levels, list)
                and all(isinstance(level, str | int | float) for level in levels)
                for levels in self.categories.values()
            )
            and self.unit in (1.0, BYTE)
            and (self.unsettled is None or self.unsettled.is_valid(n_features))
        )

    def floats(self, X: Any) -> np.ndarray:
        """Return X as the numbers that come out of the model again.

        Categories are codes, and bytes of images shares of ``unit``; missing values stay.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        floats : ndarray of shape (n_samples, n_features)
            Dense, float64.

        Raises
        ------
        ValueError, TypeError, ImportError
            When X is no matrix of numbers, or holds unknown categories.
        """
        unit = self.unit if of_bytes(X) else 1.0
        X = as_matrix(X)
        frame = Frame.of(X, by_types=bool(self.categories))
        matrix = X if frame is None else frame.matrix(self.categories)
        dense = matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)
        check_dates(dense)
        return dense.astype(np.float64) / unit

    def _known(self, estimator: Any, X: Any) -> Any:
        """Return X, checked, with the columns and the categories of ``fit``."""
        X = as_matrix(X)
        frame = Frame.of(X, by_types=bool(self.categories))
        return _checked(estimator, X, frame, self.categories, reset=False)

    def _rows(
        self, X: Any, checked: Any, context: Any, has_missing: bool, label: np.ndarray | None = None
    ) -> Rows:
        unit = self.unit if of_bytes(X) else 1.0
        context = _checked_context(context, checked)
        beside = {"unit": unit, "context": context, "label": label}
        return Rows(checked, **beside, has_missing=has_missing)

    def _weighted(
        self,
        X: Any,
        checked: Any,
        sample_weight: Any,
        context: Any,
        label: np.ndarray | None = None,
        wants_detail: bool = False,
    ) -> tuple[Rows, Look]:
        weight = check_weight(sample_weight, checked)
        is_known = _is_checked(checked)
        rows = self._rows(X, checked, context, not is_known or _has_missing(checked), label)
        rows, look = weighted_rows(rows, weight, wants_detail)
        if not is_known:
            ends = np.array([look.values.low, look.values.high], rows.dtype)
            assert_all_finite(ends, allow_nan=True, input_name="X")
            rows.has_missing = bool(look.values.missing.any())
        return rows, look


def _dense(checked: Any) -> np.ndarray:
    if scipy.sparse.issparse(checked):
        raise TypeError(
            "X is sparse. The zeros that it does not store are not missing values, so they would "
            "not be filled in. Pass a dense matrix, X.toarray(), with NaN for missing values."
        )
    checked = np.asarray(checked)
    return checked.astype(np.float32 if checked.dtype == np.float32 else np.float64)


def some_columns(X: Any, kept: np.ndarray) -> Any:
    """Return some columns of a data frame, as one of its library; ``None`` where X is none.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, n_features)
        Rows.
    kept : ndarray of bool, shape (n_features,)
        Which.
    """
    frame = Frame.of(X)
    if frame is None or kept.all():
        return None if frame is None else X
    names = [column.name for column, is_kept in zip(frame.columns, kept, strict=True) if is_kept]
    return frame.frame.select(names).to_native()


def of_bytes(X: Any) -> bool:
    """Return whether X is of uint8, an array or a data frame, with missing values or without."""
    frame = None if is_of_bytes(X) else Frame.of(X)
    return is_of_bytes(X) if frame is None else frame.is_of_bytes


def has_categories(X: Any) -> bool:
    """Return whether X is a data frame with columns that are declared as categories."""
    frame = Frame.of(as_matrix(X))
    return frame is not None and any(column.kind == "category" for column in frame.columns)


def n_columns(X: Any) -> int:
    """Return how many columns X has; 0 where it is no table, as reading it will say."""
    X = as_matrix(X)
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    return shape[1] if len(shape) == 2 else 0


def _names(estimator: Any) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else list(names)


def _checked(
    estimator: Any, X: Any, frame: Frame | None, categories: dict[str, list[Any]], reset: bool
) -> Any:
    """Return X as a 2-D array or CSR matrix in its own dtype, checked: finite, or NaN.

    It must have the estimator's ``n_features_in_`` and ``feature_names_in_``, unless ``reset``
    sets these. Codes take the place of categories where X is a data frame.
    """
    if isinstance(X, ChunkedArray):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if 0 in X.shape:  # for scikit-learn to refuse
            check_array(np.empty(X.shape), estimator=estimator, input_name="X")
        return X
    if frame is not None:
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        X = frame.matrix(categories)
    # A mapped file is checked a block at a time: whole, it would be read into memory.
    mapped = isinstance(X, np.memmap)
    finite = False if mapped else "allow-nan"
    options: dict[str, Any] = {"accept_sparse": "csr", "ensure_all_finite": finite}
    try:
        # Sums that overflow are how scikit-learn looks for infinities.
        with np.errstate(over="ignore", invalid="ignore"):
            if frame is not None:
                checked = check_array(X, estimator=estimator, input_name="X", **options)
            else:
                checked = validate_data(estimator, X, reset=reset, **options)
    except ValueError as error:
        if "could not convert" not in str(error) and "not compatible" not in str(error):
            raise
        raise ValueError(f"X must hold numbers: {error}. {ENCODE}") from error
    if checked.dtype == object:  # as scikit-learn leaves pandas' categories without narwhals
        checked = floats_of_objects(checked)
        assert_all_finite(checked, allow_nan=True, input_name="X")
    check_dates(checked)
    return ChunkedArray(checked) if mapped and len(checked) > ORDERED_ROWS else checked


def _check_alike(checked: Any, names: list[str] | None, is_frame: bool = False) -> None:
    """Raise ``ValueError`` unless X has the same columns, and floats, in all processes."""
    floats = np.dtype(Rows(checked).dtype)
    columns = [f"column {name!r}" for name in names or range(checked.shape[1])]
    told = [
        "columns of a data frame" if is_frame else "columns of a matrix",
        f"{checked.shape[1]} columns",
        *(f"{column} at position {i}" for i, column in enumerate(columns)),
        f"values that are read as {floats}",
    ]
    for rank, other in enumerate(world().parts(told)):
        for ours, theirs in zip(told, other, strict=False):
            if ours != theirs:
                raise ValueError(
                    f"X has {theirs} in process {rank}, but {ours} in another process. X must have "
                    "the same columns, in the same order and of the same type, in all processes. "
                    "Select the columns with X[names] of a data frame, or convert the values with "
                    "X.astype(numpy.float64)."
                )


def _is_checked(X: Any) -> bool:
    """Return whether a matrix has been checked for infinities: it was in memory, or has none."""
    is_elsewhere = isinstance(X, ChunkedArray) or shared_mapping(X) is not None
    return X.dtype.kind != "f" or not is_elsewhere


def _has_missing(X: Any) -> bool:
    """Return whether there is a NaN in a matrix; a mapped file is checked for infinities, too."""
    if X.dtype.kind != "f":
        return False
    if _is_checked(X):
        return _holds_nan(X.data if scipy.sparse.issparse(X) else X)
    found = False
    for block, _ in Rows(X).blocks():
        assert_all_finite(block, allow_nan=True, input_name="X")
        found = found or _holds_nan(block)
    return found


def _holds_nan(values: np.ndarray) -> bool:
    # The sum is quicker than a look at each; it may be NaN by way of infinity, too.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isnan(values.sum())) and bool(np.isnan(values).any())


def _checked_context(context: Any, X: Any) -> np.ndarray | None:
    """Return the context as an array with a row for each of X."""
    if context is None:
        return None
    context = check_array(context, dtype=[np.float64, np.float32], input_name="context")
    check_consistent_length(X, context)
    return context


def _unit_of(X: Any, likelihood: Any, is_image: bool) -> float:
    """Return the value of bytes that is read as 1: 255 for those of images, else 1.

    They are those of images when some are above 1 and the likelihood reads them so, always or
    where rows are images.
    """
    reads_bytes = getattr(likelihood, "reads_bytes", False) or (
        is_image and getattr(likelihood, "reads_bytes_of_images", False)
    )
    if not reads_bytes:
        return 1.0
    return BYTE if any((block > 1).any() for block, _ in Rows(X).blocks()) else 1.0


def _warn_of_grey_levels(columns: Columns) -> None:
    """Warn of images whose values seem to be grey levels, but are not read as such.

    Those of uint8 are: their unit puts them into [0, 1].
    """
    low, high = columns.low.min().item(), columns.high.max().item()
    are_whole = bool(columns.whole.all())
    if low < 0 or high <= 1 or not (are_whole or LEAST_BRIGHT <= high <= BYTE):
        return
    are_bytes = LEAST_BRIGHT <= high <= BYTE
    scaled = f"X / {BYTE if are_bytes else high:g}"
    cure = f"X.astype('uint8') or {scaled}" if are_bytes and are_whole else scaled
    warnings.warn(
        f"The images in X hold values from {low:g} to {high:g}, which seem to be grey levels, but "
        "likelihood='auto' treats them as real numbers, which fits images worse. Pass "
        f"{cure}, so that they lie in [0, 1]. If they are not grey levels, set "
        "likelihood='gaussian'.",
        stacklevel=7,
    )
