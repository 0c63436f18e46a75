"""A variational autoencoder with a condition for each row: a class, a batch, an age."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import reduce
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from skvae import _state
from skvae._data import (
    Conditions,
    Given,
    Rows,
    as_table,
    check_weight,
    columns_of,
    positions_of,
    split_columns,
)
from skvae._holder import Holder
from skvae._numbers import whole
from skvae._vae import VariationalAutoencoder
from skvae._validation import Names, asks_what_was_meant
from skvae._world import world


@_state.keeps(_state.CONDITIONAL_VAE)
class ConditionalVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Holder):
    """Variational autoencoder of rows x with a known condition c, such as a class or a batch.

    The model has a prior p(z), a likelihood p(x|z, c) and a posterior q(z|x) or q(z|x, c). It is
    trained by the bound on log p(x|c) (Sohn, Lee and Yan 2015,
    https://papers.nips.cc/paper/5775). The prior does not depend on c. So z learns what c does not
    say: the handwriting of a digit whose class is given, or the state of a cell whose batch is
    given.

    Parameters
    ----------
    vae : VariationalAutoencoder, default=None
        The model. A clone of it is fitted. If ``None``, it is a VariationalAutoencoder with default
        parameters.
    condition : str, int, slice, callable or array-like, default="y"
        Where the condition comes from. ``"y"`` takes the y of ``fit``. Only the decoder sees it, so
        that ``transform`` needs no y. Otherwise, the condition is one or more columns of X: a name
        or a position, several of them, a slice, a boolean mask of shape (n_features,), or what
        :func:`sklearn.compose.make_column_selector` returns. The encoder then sees these columns
        too, and they are not modelled.
    handle_unknown : {"error", "ignore"}, default="error"
        What to do with a condition that did not occur in ``fit``: raise an error that names the
        known conditions, or average over the conditions of ``fit``. If a column of X had missing
        values (NaN, None) in ``fit``, "missing" is a known condition, too.
    random_state : int, RandomState instance or None, default=None
        Seed of the fit and of the draws. If ``None``, the ``random_state`` of ``vae`` is used.

    Attributes
    ----------
    vae_ : VariationalAutoencoder
        The fitted model. Its methods need a condition: use those of this object instead, or
        :meth:`given`.
    categories_ : dict of list
        The categories of each categorical condition. The key is the name of the column, or ``"y"``.
    classes_ : ndarray of shape (n_classes,)
        The classes of y, with ``condition="y"`` and a categorical y.
    n_features_in_ : int
        Number of columns of X, including those of ``condition``.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it has any.

    See Also
    --------
    VariationalAutoencoder : The model without a condition.

    Notes
    -----
    Strings, booleans, columns of type category and whole numbers with at most 100 distinct values
    are categories: the networks see one column for each category. Other numbers are standardised.
    Several conditions are put side by side; they interact only in the hidden layers.

    If the condition of a row is not known, the model averages over the conditions of ``fit``, each
    weighted by its share of the rows. It averages means, or probabilities
    (``log Σ_c p(c) p(x|c)``). If there are more than 64 conditions, 64 evenly spread ones are used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import ConditionalVAE, VariationalAutoencoder
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ConditionalVAE(VariationalAutoencoder(1, max_epochs=100, random_state=0)).fit(X, y)
    >>> model.sample(3, condition=2).shape
    (3, 4)
    >>> as_setosa = model.translate(X[y == 2], condition=0)
    >>> bool(abs(as_setosa.mean(0) - X[y == 0].mean(0)).max() < 0.5)
    True
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's declaration
        "vae": [VariationalAutoencoder, None],
        "condition": [str, Integral, slice, callable, "array-like"],
        "handle_unknown": [Names("error", "ignore")],
        "random_state": ["random_state"],
    }

    @asks_what_was_meant
    def __init__(
        self,
        vae: VariationalAutoencoder | None = None,
        *,
        condition: Any = "y",
        handle_unknown: str = "error",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.vae = vae
        self.condition = condition
        self.handle_unknown = handle_unknown
        self.random_state = random_state

    # Fitting

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> ConditionalVAE:
        """Fit the model to rows and their conditions.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, as :meth:`VariationalAutoencoder.fit` takes them. Columns of conditions may hold
            strings.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            With ``condition="y"``, the condition of each row. Otherwise ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            As in :meth:`VariationalAutoencoder.fit`.

        Returns
        -------
        self : ConditionalVAE
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range, a condition is missing, X does not have the columns of
            ``condition``, or the model does not take X. The object is then left unchanged.
        """
        return self._fit(X, y, sample_weight)

    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> ConditionalVAE:
        """Train for one epoch on X, starting from the present state of the model.

        The first call decides which conditions there are, and what
        :meth:`VariationalAutoencoder.partial_fit` learns in its first call.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            As in ``fit``.
        sample_weight : array-like of shape (n_samples,), default=None
            As in ``fit``.

        Returns
        -------
        self : ConditionalVAE
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as ``fit``, and for conditions that were not in the first call.
        """
        return self._fit(X, y, sample_weight, hasattr(self, "vae_"), one_epoch=True)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        continued: bool = False,
        one_epoch: bool = False,
    ) -> ConditionalVAE:
        # A copy is fitted: should anything fail, this object is as it was.
        model = copy.copy(self)
        by_y = model._positions is None if continued else self._is_by_y
        if by_y and y is None:
            raise ValueError(
                "This ConditionalVAE estimator requires y to be passed, but the target y is None. "
                "Pass fit(X, y), or set condition= to columns of X."
            )
        with world().alike():
            if not continued:
                model._positions = None if by_y else self._look_for_columns(X)
            rows, given = model._split(X, y, reset=not continued)
            # A row without weight is none, whatever it is given.
            weight = check_weight(sample_weight, X)
            weight = np.ones(len(given[0].values)) if weight is None else weight
            kept = np.flatnonzero(weight)
            told = [one.subset(kept) for one in given]
            if continued:
                vae = model.vae_
            else:
                vae = VariationalAutoencoder() if self.vae is None else clone(self.vae)
                if self.random_state is not None:
                    vae.set_params(random_state=self.random_state)
                vae._validate_params()
                model._conditions = Conditions.learn(told, "y" if by_y else "X", weight[kept])
            encoded = model._conditions.encode(told, takes_unknown=False)
            context = np.zeros((len(weight), encoded.shape[1]), encoded.dtype)
            context[kept] = encoded
        model.vae_ = vae._fit(rows, sample_weight, continued, one_epoch, context, not by_y)
        if by_y:
            model.n_features_in_ = vae.n_features_in_
            model.__dict__.pop("feature_names_in_", None)
            if hasattr(vae, "feature_names_in_"):
                model.feature_names_in_ = vae.feature_names_in_
        self.__dict__ = dict(vars(model))
        return self

    @property
    def _is_by_y(self) -> bool:
        return isinstance(self.condition, str) and self.condition == "y"

    def _look_for_columns(self, X: Any) -> np.ndarray:
        """Return the positions of the columns of conditions."""
        table = as_table(X)
        key = self.condition(table) if callable(self.condition) else self.condition
        found, n_columns = positions_of(table, key), table.shape[1]
        if not 0 < len(found) < n_columns:
            raise ValueError(
                f"condition={self.condition!r} selects {len(found)} of the {n_columns} feature(s) "
                "of X. It must select at least one, and leave at least one for the model."
            )
        return found

    # What rows are given

    def _split(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        """Return what is modelled, and the columns that the rows are given; None without a y."""
        if self._positions is not None:
            table = as_table(X)
            validate_data(self, table, reset=reset, skip_check_array=True)
            return split_columns(table, self._positions)
        if y is None:
            return X, None
        check_consistent_length(X, y)
        return X, columns_of(y)

    @property
    def _takes_unknown(self) -> bool:
        return self.handle_unknown == "ignore"

    def _contexts(self, given: list[Given] | None, n_rows: int) -> np.ndarray:
        """Return the contexts of rows; NaN where they are unknown."""
        if given is None:
            return self._conditions.read(None, n_rows, self._takes_unknown)
        return self._conditions.encode(given, self._takes_unknown)

    def _read(self, X: Any, y: Any = None, supported: bool = False) -> tuple[Rows, np.ndarray]:
        """Return rows as the model reads them, and their contexts."""
        check_is_fitted(self)
        X, given = self._split(X, y, reset=False)
        rows = self.vae_._supported(X) if supported else self.vae_._read(X)
        return rows, self._contexts(given, len(rows))

    def _averaged(
        self,
        function: Callable[[Rows], np.ndarray],
        rows: Rows,
        context: np.ndarray,
        average: Callable[[Iterable[tuple[float, np.ndarray]]], np.ndarray] | None = None,
    ) -> np.ndarray:
        """Return what a function says of rows in contexts; where these are unknown, the average."""
        unknown = np.isnan(context).any(1)
        if not unknown.any():
            return function(rows.with_context(context))
        hidden, known = np.flatnonzero(unknown), np.flatnonzero(~unknown)
        each = (
            (share, function(rows.with_context(completed).subset(hidden)))
            for share, completed in self._conditions.completions(context)
        )
        averaged = (average or _mean)(each)
        result = np.empty((len(rows), *averaged.shape[1:]), averaged.dtype)
        result[hidden] = averaged
        if len(known):
            result[known] = function(rows.with_context(context).subset(known))
        return result

    def _encode(self, rows: Rows, context: np.ndarray) -> np.ndarray:
        """Return the mean of q(z|x), or of q(z|x, c)."""
        inference = self.vae_._inference(rows.dtype, "transform")
        if self._positions is None:
            return inference.transform(rows)
        return self._averaged(inference.transform, rows, context)

    def _decode(self, points: Rows, context: np.ndarray) -> np.ndarray:
        """Return the mean of p(x|z, c)."""
        inference = self.vae_._inference(points.dtype, "inverse_transform")
        return self._averaged(inference.decode, points, context)

    # Using the model

    def transform(self, X: Any) -> np.ndarray:
        """Return the mean of q(z|x), or of q(z|x, c) if columns of X are the condition.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, with the columns of conditions.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            As returned by :meth:`VariationalAutoencoder.transform`.

        Raises
        ------
        ValueError, TypeError
            When X has other columns than in ``fit``, an unknown condition, or values that the model
            does not take.
        NotFittedError
            When the estimator is not fitted.
        """
        return self._encode(*self._read(X))

    def inverse_transform(self, Z: Any, condition: Any = None) -> np.ndarray:
        """Return the mean of p(x|z, c) for each z, in the units of X.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Points in the latent space.
        condition : object, default=None
            One condition for all points, or one for each point: a value or an array. A condition of
            several columns is a tuple, a mapping from the names of the columns, a matrix or a data
            frame. If ``None``, the result is the average over the conditions of ``fit``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows without the columns of conditions.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as :meth:`VariationalAutoencoder.inverse_transform`, and for an
            unknown condition.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        points = self.vae_._read_latent(Z)
        return self._decode(
            points, self._conditions.read(condition, len(points), self._takes_unknown)
        )

    def reconstruct(self, X: Any, y: Any = None) -> np.ndarray:
        """Encode and decode each row under its own condition.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, with the columns of conditions.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            With ``condition="y"``, the condition of each row. If ``None``, it is unknown, and the
            result is the average over all conditions.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows without the columns of conditions.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform``.
        """
        rows, context = self._read(X, y)
        return self._decode(Rows(self._encode(rows, context)), context)

    def translate(self, X: Any, condition: Any) -> np.ndarray:
        """Return rows as they would look under another condition: the same z, another c.

        This removes a batch effect, for example, or makes a face older. It shows what the model
        associates with the condition, and is *not causal*. Everything that goes along with the
        condition in the rows of ``fit`` changes with it. What z itself still holds of the condition
        does not change.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, with the columns of their own conditions.
        condition : object
            As in ``inverse_transform``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Means of p(x|z, c), without columns of conditions.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform``, and for an unknown condition.
        """
        return self.inverse_transform(self._encode(*self._read(X)), condition)

    def sample(
        self,
        n_samples: int = 1,
        condition: Any = None,
        *,
        mean: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw rows given conditions: z from the prior, x from the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        condition : object, default=None
            As in ``inverse_transform``, but an unknown condition is drawn from those of ``fit``.
        mean : bool, default=False
            Return E[x|z, c] instead of a random draw of x. This is usual for images.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. If ``None``, the seed of the fit is used.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows without the columns of conditions.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number, and for an unknown condition.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        n_samples = whole(n_samples, "n_samples")
        context = self._conditions.read(condition, n_samples, self._takes_unknown)
        inference, generator = self.vae_._sampling(random_state, "sample")
        context = self._conditions.drawn(context, generator)
        Z = inference.sample_latent(n_samples, generator, context)
        return inference.sample(Rows(Z, context=context), mean, generator)

    def score_samples(self, X: Any, y: Any = None, *, n_importance_samples: int = 1) -> np.ndarray:
        """Return a lower bound on log p(x|c) for each row, in nats.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, with the columns of conditions.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            With ``condition="y"``, the condition of each row. If ``None``, it is unknown, and the
            result is a bound on ``log p(x) = log Σ_c p(c) p(x|c)``, with the shares p(c) of
            ``fit``.
        n_importance_samples : int, default=1
            As in :meth:`VariationalAutoencoder.score_samples`.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            Nats per row, for the columns that are modelled.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform`` and :meth:`VariationalAutoencoder.score_samples`.
        """
        n_draws = whole(n_importance_samples, "n_importance_samples")
        rows, context = self._read(X, y, supported=True)
        inference = self.vae_._inference(rows.dtype, "score_samples")
        return self._averaged(lambda some: inference.bound(some, n_draws), rows, context, _log_mean)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean elbo over the rows of X, in nats per row.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, with the columns of conditions.
        y : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            As in ``score_samples``.

        Returns
        -------
        elbo : float
            Mean of ``score_samples(X, y)``. Higher is better.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``score_samples``.
        """
        return float(self.score_samples(X, y).mean(dtype=np.float64))

    def given(self, condition: Any) -> VariationalAutoencoder:
        """Return the model of the rows that have this condition.

        The result is a fitted VariationalAutoencoder with p(z), p(x|z, c) and q(z|x), in which c
        is fixed. Displays, metrics, exports and files take it like any other model.

        Parameters
        ----------
        condition : object
            A known condition, as in ``inverse_transform``.

        Returns
        -------
        vae : VariationalAutoencoder
            The fitted model of the columns that are modelled.

        Raises
        ------
        ValueError
            When the condition is unknown.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        if condition is None:
            raise ValueError("condition=None cannot be fixed. Pass a known condition.")
        return self.vae_._given(self._conditions.read(condition, 1, takes_unknown=False)[0])

    @property
    def categories_(self) -> dict[Any, list[Any]]:
        """The categories of each categorical condition, by the name of the column, or ``"y"``."""
        return self._conditions.categories

    @property
    def classes_(self) -> np.ndarray:
        """The classes of y, with ``condition="y"``.

        Raises
        ------
        AttributeError
            When y is not the condition, or is a number.
        """
        if self._positions is not None or "y" not in self.categories_:
            raise AttributeError("There are no classes_: y is not the condition, or is a number.")
        return np.array(self.categories_["y"])

    @property
    def _n_features_out(self) -> int:
        return self.vae_._n_features_out

    # State

    def _state_of_file(self) -> dict[str, Any]:
        state = super()._state_of_file()
        if callable(self.condition) or isinstance(self.condition, slice):
            state["condition"] = self._positions
        if isinstance(state["condition"], np.ndarray):
            state["condition"] = state["condition"].tolist()
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = self._is_by_y
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _mean(each: Iterable[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the mean of values by their shares."""
    return reduce(np.add, (share * value for share, value in each))


def _log_mean(each: Iterable[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the logarithm of the mean of what values are the logarithms of."""
    return reduce(
        np.logaddexp, (value + np.log(share).astype(value.dtype) for share, value in each)
    )
