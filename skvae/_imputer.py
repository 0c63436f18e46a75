"""An imputer that fills missing values with the predictions of a variational autoencoder."""

from __future__ import annotations

import copy
import math
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import TransformerMixin, _fit_context, clone
from sklearn.impute import MissingIndicator
from sklearn.utils import Tags, check_random_state
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import Interval, MissingValues
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from skvae import _random
from skvae._conformal import ROUNDING, Ends, Widening
from skvae._data import Reader, Rows, frame_of, of_bytes, some_columns
from skvae._numbers import is_number, whole
from skvae._random import Stream
from skvae._stacking import MOST_ROWS, Partners, mixed, shares_of
from skvae._training import follow
from skvae._vae import VariationalAutoencoder
from skvae._validation import CheckedEstimator, asks_what_was_meant
from skvae._world import world
from skvae.likelihoods import LIKELIHOODS
from skvae.likelihoods._mixed import columns_without, ordered_columns
from skvae.objectives import IWAE

N_PROBES = 64
"""Draws that tell whether a likelihood is one of whole numbers."""

DRAWN = 2**24
"""Values that are drawn at once for intervals."""

HIDDEN = 0.1
"""The share of observed numbers that each model is not shown, to see how sure it may be."""

FEW_HIDDEN, MANY_HIDDEN, N_DRAWS = 1000, 3000, 500
"""As many of these are looked at for each model as there are rows, so that it takes about as long
as filling them: between the first two numbers for all models together, with so many draws of each
at most."""

NARROW, WIDE = 32, 64
"""Units of each of the two layers of the default model."""

STEPS, ROWS_PER_COLUMN, ROWS = 3000, 30, 2000
"""So many steps train it, fewer where there are less rows for each column, and more beyond as many
rows."""


class NotShown(NamedTuple):
    """Values that networks and their partners were not shown, and what each of these says of them.

    ``draws`` are of shape (n_models, n_draws, n_values), ``expected`` of (n_models, n_values), all
    others of (n_values,); ``scale`` is the spread of a value's column.
    """

    x: np.ndarray
    columns: np.ndarray
    draws: np.ndarray
    expected: np.ndarray
    scale: np.ndarray


class VAEImputer(TransformerMixin, CheckedEstimator):
    """Fill missing values with their expected values, given the observed values of the row.

    The model is trained on the observed values alone, and nothing is filled in before (Nazábal et
    al. 2020, https://arxiv.org/abs/1807.03653). A missing value is then estimated by its mean given
    the observed values, ``E[x_m | x_o] = Σ_k w_k E[x_m | z_k]``. The z_k are drawn from q(z|x_o),
    and the importance weights w_k add up to 1 (Mattei and Frellsen 2019, MIWAE,
    https://arxiv.org/abs/1812.02633). If all columns are real numbers, the estimate is averaged
    with those of four simpler models of the same values: a factor analysis, a mixture of factor
    analyses (Ghahramani and Hinton 1996, http://mlg.eng.cam.ac.uk/zoubin/papers/tr-96-1.pdf), the
    nearest rows, and trees (Stekhoven and Bühlmann 2012,
    https://doi.org/10.1093/bioinformatics/btr597). Numbers that ``fit`` hides from all of them
    decide the weights (stacking, Breiman 1996, https://doi.org/10.1007/BF00117832). Observed values
    are not changed.

    Parameters
    ----------
    vae : VariationalAutoencoder, default=None
        The model. A clone of it is fitted. If ``None``, it has 16 components (or as many as there
        are columns, if these are fewer) and two hidden layers. It is trained on the bound of
        :class:`~skvae.objectives.IWAE` with five draws, with a learning rate that falls to 0, and
        for longer when there are more rows per column. Its likelihood is ``"mixed"`` if X is a data
        frame with categorical columns, otherwise ``"gaussian"``.
    n_importance_samples : int, default=1000
        Number of draws z_k for each row.
    n_estimators : int, default=3
        Number of models that are fitted. They have different seeds, and each is fitted, with its
        simpler models, without another tenth of the observed numbers (see ``fit``). Their
        estimates are averaged, and draws and intervals use all of them. If there are few rows, the
        models differ, and this is part of the uncertainty of a missing value.
    sample_posterior : bool, default=False
        Fill in a random draw from the distribution of the missing values instead of their mean. For
        several imputations of one table, see :meth:`draw`.
    add_indicator : bool, default=False
        Append columns that say which values were missing, as
        :class:`~sklearn.impute.MissingIndicator` does. There is one for each column of X that had
        missing values in ``fit``.
    keep_empty_features : bool, default=False
        Keep columns that had no value at all in ``fit``, and fill them with 0. By default, they are
        left out.
    missing_values : int, float, nan, None or pandas.NA, default=nan
        The value that means "missing" in X. nan, None and pandas.NA have the same effect.
    random_state : int, RandomState instance or None, default=None
        Seed of the fit and of the draws. If ``None``, the fit uses the ``random_state`` of ``vae``.
    verbose : int, default=0
        Progress bars and tables of the fits, and bars for calls that take longer than a second, as
        ``verbose`` of :class:`VariationalAutoencoder`. The larger of the two is used.

    Attributes
    ----------
    vae_ : VariationalAutoencoder
        The first of the fitted models. It has the columns that are not empty.
    estimators_ : list of VariationalAutoencoder
        All fitted models.
    indicator_ : MissingIndicator or None
        The transformer that makes the columns of ``add_indicator``.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it has any.

    See Also
    --------
    sklearn.impute.IterativeImputer : Fits a regression for each column in turn.
    VariationalAutoencoder : Takes missing values itself, without imputation.

    Notes
    -----
    With ``likelihood="mixed"``, a categorical or binary column gets the most probable category, and
    a column of counts the nearest whole number. The same holds for other likelihoods of such
    columns. With ``"gaussian"``, estimates are real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAEImputer
    >>> X = load_iris().data
    >>> X[::3, 2] = np.nan
    >>> imputer = VAEImputer(n_estimators=1, random_state=0)
    >>> filled = imputer.fit_transform(X)
    >>> bool(np.abs(filled - load_iris().data).max() < 1.5)
    True
    >>> low, high = imputer.interval(X, level=0.9)
    >>> bool((low[::3, 2] < filled[::3, 2]).all() and (filled[::3, 2] < high[::3, 2]).all())
    True
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's declaration
        "vae": [VariationalAutoencoder, None],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "sample_posterior": ["boolean"],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "missing_values": [MissingValues(numeric_only=True), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @asks_what_was_meant
    def __init__(
        self,
        vae: VariationalAutoencoder | None = None,
        *,
        n_importance_samples: int = 1000,
        n_estimators: int = 3,
        sample_posterior: bool = False,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        missing_values: Any = np.nan,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.vae = vae
        self.n_importance_samples = n_importance_samples
        self.n_estimators = n_estimators
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.missing_values = missing_values
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> VAEImputer:
        """Fit the model to the observed values of X.

        Each of the ``n_estimators`` models is fitted without another tenth of the observed numbers.
        Some of these hidden numbers, each given all other values of its row, are used to find out
        which weights networks and simpler models get in estimates and draws, and how wide
        :meth:`interval` has to be. Categories are not hidden, nor are values of columns with two
        distinct values; and at least two values of each column stay.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows, with or without missing values. All of them are held in memory.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self : VAEImputer
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range, or when X is sparse, holds no value at all, or is not
            taken by the model.
        """
        # A copy is fitted: should anything fail, this object is as it was.
        fitted = copy.copy(self)._fit(X)
        self.__dict__ = dict(vars(fitted))
        return self

    def _fit(self, X: Any) -> VAEImputer:
        with world().alike():
            likelihood = "mixed" if self.vae is None else self.vae.likelihood
            named = LIKELIHOODS.get(likelihood) if isinstance(likelihood, str) else likelihood
            takes_categories = getattr(named, "takes_categories", False)
            reader, values, types = Reader.meet(self, X, takes_categories and self._is_nan)
            self._types = types
            self._levels = {
                column: some.levels for column, some in enumerate(types) if some.kind == "category"
            }
            values = self._marked(values)
            missing = np.isnan(values)
            self._kept = ~np.all(world().parts(missing.all(0)), 0)
            if not self._kept.any():
                raise ValueError("X holds only missing values, so there is nothing to learn.")
            self.indicator_ = None
            if self.add_indicator:
                has_gaps = np.any(world().parts(missing.any(0)), 0)
                pattern = np.where(has_gaps, np.nan, 0.0)[np.newaxis]
                self.indicator_ = MissingIndicator(error_on_new=False).fit(pattern)
            n_rows = sum(world().parts(len(values)))
            vae = self._default(n_rows, reader) if self.vae is None else self.vae
            state = vae.random_state if self.random_state is None else self.random_state
            state = check_random_state(_random.draw_seed(state))
            seeds = [_random.draw_seed(state) for _ in range(self.n_estimators)]
            table = self._table(X, values)
            self._reader = reader
            kept = values[:, self._kept]
            hidden = self._some_of(kept, likelihood, seeds)
        loudness = max(int(vae.verbose), int(self.verbose))
        self.estimators_ = [
            clone(vae).set_params(random_state=seed, verbose=loudness)._fit_without(table, some)
            for seed, some in zip(seeds, hidden, strict=True)
        ]
        self.vae_ = self.estimators_[0]
        self._are_whole = self._look_for_whole_numbers(kept / self._unit(table))
        self._range = self._look_for_range(kept / self._unit(table))
        largest = np.fmax.reduce(world().parts(np.fmax.reduce(np.abs(kept))))
        self._rounding = ROUNDING * largest / self._unit(table)
        self._partners = self._beside(kept, hidden, seeds)
        self._shares, self._widening = self._look_at(table, hidden, seeds)
        are_used = self._shares > 0
        are_used[0] = True
        self._shares = self._shares[are_used]
        self._partners = [partners.some(are_used[1:]) for partners in self._partners]
        return self

    def _beside(
        self, values: np.ndarray, hidden: list[np.ndarray], seeds: list[int]
    ) -> list[Partners]:
        """Return the partners of each model, of what it was shown, if all columns are numbers."""
        if not np.isinf(self._range).all() or self._are_whole.any():
            return [Partners.none(values.shape[1]) for _ in hidden]
        n = world().n_of(MOST_ROWS, len(values))
        some = np.linspace(0, len(values) - 1, n).round().astype(np.int64)
        shown = [np.where(h[some], np.nan, values[some]) for h in hidden]
        return [
            world().of_first(partial(Partners.of, world().joined(rows), seed))
            for rows, seed in zip(shown, seeds, strict=True)
        ]

    def _some_of(self, values: np.ndarray, likelihood: Any, seeds: list[int]) -> list[np.ndarray]:
        """Return for each model which of the observed numbers it is not shown."""
        names = list(map(str, getattr(self, "feature_names_in_", np.empty(0))))
        names = [name for name, is_kept in zip(names, self._kept, strict=False) if is_kept]
        are_numbers = np.array(ordered_columns(likelihood, values.shape[1], names))
        are_numbers[np.isin(np.flatnonzero(self._kept), list(self._levels))] = False
        # Two distinct values are no numbers: they say yes and no, or are of one-hot categories.
        low = np.fmin.reduce(world().parts(np.fmin.reduce(values)))
        high = np.fmax.reduce(world().parts(np.fmax.reduce(values)))
        are_between = ((low < values) & (values < high)).any(0)
        are_numbers &= np.any(world().parts(are_between), 0)
        observed = ~np.isnan(values)
        hidden = []
        for seed in seeds:
            some = np.random.default_rng(seed).random(values.shape) < HIDDEN
            some &= observed & are_numbers
            # Of a column, two values stay at least: nothing can be learned of less.
            n_left = np.sum(world().parts((observed & ~some).sum(0)), 0)
            hidden.append(some & (n_left > 1))
        return hidden

    def _look_at(
        self, table: Any, hidden: list[np.ndarray], seeds: list[int]
    ) -> tuple[np.ndarray, Widening]:
        """Return what the values that models were not shown say of them.

        The shares of networks and of each of their partners, and how far intervals are to be
        widened then.
        """
        each = zip(self.estimators_, self._partners, hidden, seeds, strict=True)
        parts = zip(*(self._not_shown(table, *one) for one in each), strict=True)
        seen = NotShown(*(world().joined(np.concatenate(part, -1).T).T for part in parts))
        shares = shares_of(seen.x, seen.expected, seen.scale)
        networks, *others = seen.draws
        draws = mixed(networks, others, shares, np.random.default_rng(seeds))
        of_columns = self._are_whole[seen.columns], self._rounding[seen.columns]
        return shares, Widening.of(seen.x, draws, *of_columns)

    def _not_shown(
        self,
        table: Any,
        vae: VariationalAutoencoder,
        partners: Partners,
        hidden: np.ndarray,
        seed: int,
    ) -> NotShown:
        """Return some values that a model was not shown, and what it takes them for."""
        whole = vae._read(table)
        # As with values that are missing, all others of the row help to tell one: each of those
        # that were hidden has a row of its own, in which it is the only one.
        at, columns = np.nonzero(hidden)
        n_models = len(self.estimators_)
        n_wanted = np.clip(whole.n_in_all() * n_models, FEW_HIDDEN, MANY_HIDDEN)
        n_some = world().n_of(math.ceil(n_wanted / n_models), len(at))
        some = np.sort(np.random.default_rng([seed, 1]).permutation(len(at))[:n_some])
        at, columns = at[some], columns[some]
        each = np.arange(len(at))
        values = whole.subset(at).block(slice(None))
        x = values[each, columns]
        values[each, columns] = np.nan
        rows = Rows(values, has_missing=True)
        n = min(self._n_draws, N_DRAWS)
        draws = np.empty((n, len(x)), whole.dtype)
        inference = vae._inference(whole.dtype, "hidden values")
        generator = _random.generator(seed, Stream.SAMPLING, device=vae.net_.device)
        n_importance = max(self.n_importance_samples, n)
        for part, filled in inference.imputations(rows, n, n_importance, generator):
            draws[:, part] = filled.cpu().numpy()[:, each[: filled.shape[1]], columns[part]]
        scale = partners.scale[columns]
        if not partners.models:
            return NotShown(x, columns, draws[None], np.zeros((1, len(x))), scale)
        networks = inference.expected(rows, self.n_importance_samples)[each, columns]
        rng = np.random.default_rng([seed, 2])
        size = max(1, DRAWN // (n * values.shape[1]))
        others, means = [], []
        for start in range(0, max(1, len(x)), size):
            some, asked = values[start : start + size], columns[start : start + size]
            here = each[: len(some)]
            means.append(partners.expected(some)[:, here, asked])
            others.append([drawn[:, here, asked] for drawn in partners.draws(some, n, rng)])
        drawn = np.concatenate([draws[None], np.concatenate(others, -1)])
        expected = np.vstack([networks, np.concatenate(means, -1)])
        return NotShown(x, columns, drawn, expected, scale)

    @property
    def _n_draws(self) -> int:
        """Draws of each model for an interval."""
        return math.ceil(self.n_importance_samples / len(self.estimators_))

    @property
    def _is_nan(self) -> bool:
        marker = self.missing_values
        return marker is None or is_scalar_nan(marker) or is_pandas_na(marker)

    def _default(self, n_rows: int, reader: Reader) -> VariationalAutoencoder:
        """Return the model that ``vae=None`` stands for: see benchmarks/imputation.py."""
        n_columns = int(self._kept.sum())
        width = int(np.clip(4 * n_rows / n_columns, NARROW, WIDE))
        # Fewer where rows are few, more where there are more than a model sees often enough.
        steps = STEPS * min(1, n_rows / (ROWS_PER_COLUMN * n_columns))
        return VariationalAutoencoder(
            min(16, n_columns),
            hidden_layer_sizes=(width, width),
            likelihood="mixed" if reader.categories else "gaussian",
            objective=IWAE(5),
            batch_size=64,
            learning_rate=3e-3,
            learning_rate_schedule="cosine",
            max_steps=math.ceil(steps * math.sqrt(max(1, n_rows / ROWS))),
        )

    def _marked(self, values: np.ndarray) -> np.ndarray:
        """Return values with NaN where one is missing."""
        if self._is_nan:
            return values
        if np.isnan(values).any():
            raise ValueError(
                f"X contains NaN, but only missing_values={self.missing_values!r} means missing. "
                "Set missing_values=numpy.nan, or replace one by the other."
            )
        return np.where(values == self.missing_values, np.nan, values)

    def _table(self, X: Any, values: np.ndarray) -> Any:
        """Return what the model is given: X, without the empty columns; bytes stay bytes."""
        frame = some_columns(X, self._kept) if self._is_nan else None
        if frame is not None:
            return frame
        kept = values[:, self._kept]
        if not of_bytes(X):
            return kept
        return np.ma.array(np.nan_to_num(kept).astype(np.uint8), mask=np.isnan(kept))

    def _unit(self, table: Any) -> float:
        """Return the value of a table that the model takes for 1: 255 for bytes of images."""
        return self.vae_.unit_ if of_bytes(table) else 1.0

    def _look_for_whole_numbers(self, values: np.ndarray) -> np.ndarray:
        """Return the columns in which all values are whole, and all draws of the model too."""
        are_whole = ((values == np.floor(values)) | np.isnan(values)).all(0)
        observed = np.all(world().parts(are_whole), 0)
        draws = self.vae_.sample(N_PROBES, random_state=0)
        return observed & (draws == np.floor(draws)).all(0)

    def _look_for_range(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest number of each column that the likelihood takes."""
        support = self.vae_.likelihood_.support
        is_not_negative = np.array(columns_without(-1.0, support, values.shape[1]))
        is_share = np.array(columns_without(2.0, support, values.shape[1]))
        is_share &= np.fmax.reduce(world().parts(np.fmax.reduce(values))) <= 1
        return np.where(is_not_negative, 0, -np.inf), np.where(is_share, 1, np.inf)

    def _read(self, X: Any) -> tuple[np.ndarray, Any, np.ndarray]:
        """Return the values of X, what the model is given, and the rows that have gaps there."""
        check_is_fitted(self)
        values = self._marked(self._reader.values(self, X))
        gaps = np.flatnonzero(np.isnan(values[:, self._kept]).any(1))
        return values, self._table(X, values), gaps

    def transform(self, X: Any) -> np.ndarray:
        """Return X with its missing values filled.

        A row always gets the same values, whatever the other rows are, unless
        ``sample_posterior=True``.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
            The filled rows, with the float dtype of X, or with dtype object if X is a data frame
            with categories. Columns that were empty in ``fit`` are left out unless
            ``keep_empty_features``. The columns of ``add_indicator`` come last. After
            ``set_output``, a data frame whose columns have the types that they had in ``fit``;
            whole numbers and booleans only if the likelihood is one of such values, else float64.

        Raises
        ------
        ValueError, TypeError
            When X has other columns than in ``fit``, or the model does not take its values.
        NotFittedError
            When the estimator is not fitted.
        """
        values, table, gaps = self._read(X)
        filled = values.copy()
        if len(gaps):
            rows = table, gaps, values.dtype
            if self.sample_posterior:
                (found,) = self._imputations(*rows, 1, self.random_state, "transform")
            else:
                found = self._expected(*rows)
            self._fill(filled, gaps, found * self._unit(table))
        missing = None if self.indicator_ is None else self.indicator_.transform(values)
        library = _get_output_config("transform", self)["dense"]
        if self._types and library != "default":
            return frame_of(self._typed(filled, missing, library), library, X)
        filled = self._out(filled)
        return filled if missing is None else np.hstack([filled, missing])

    def _expected(self, table: Any, gaps: np.ndarray, dtype: Any) -> np.ndarray:
        """Return what is expected in the rows that have gaps."""
        models = [vae._inference(dtype, title) for vae, title in self._titled("transform")]
        rows = self.vae_._read(table).subset(gaps)
        each = [model.expected(rows, self.n_importance_samples) for model in models]
        expected = np.mean(each, axis=0, dtype=np.float64)
        if len(self._shares) > 1:
            x = rows.block(slice(None))
            expected *= self._shares[0]
            for partners in self._partners:
                share = self._shares[1:] / len(self._partners)
                expected += np.tensordot(share, partners.expected(x), 1)
        values = models[0].settled(expected.astype(dtype))
        values[:, self._are_whole] = np.round(values[:, self._are_whole])
        return values

    def draw(
        self,
        X: Any,
        n_draws: int,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Return several imputations of X, drawn from the distribution of its missing values.

        This is for multiple imputation: make the analysis on each of them, and pool the results
        (Rubin 1987, https://doi.org/10.1002/9780470316696), so that standard errors include the
        uncertainty of the missing values. First z is drawn from p(z|x_o), by sampling importance
        resampling, then x from p(x|z). The models take turns. With a probability that is its
        weight, a row is drawn from one of the simpler models that belong to the model instead.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.
        n_draws : int
            Number of imputations.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. If ``None``, the ``random_state`` of the imputer is used.

        Returns
        -------
        draws : ndarray of shape (n_draws, n_samples, n_features_out)
            The filled tables, without the columns of ``add_indicator``.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform``, and when ``n_draws`` is not a positive whole
            number.
        """
        n_draws = whole(n_draws, "n_draws")
        state = self.random_state if random_state is None else random_state
        return np.stack([self._out(filled) for filled in self._draw(X, n_draws, state)])

    def _draw(self, X: Any, n_draws: int, random_state: Any) -> np.ndarray:
        values, table, gaps = self._read(X)
        filled = np.repeat(values[np.newaxis], n_draws, 0)
        if len(gaps):
            draws = self._imputations(table, gaps, values.dtype, n_draws, random_state, "draw")
            for one, drawn in zip(filled, draws, strict=True):
                self._fill(one, gaps, drawn * self._unit(table))
        return filled

    def _titled(self, title: str | None) -> list[tuple[VariationalAutoencoder, str | None]]:
        """Return the models, each with the title of its progress bar."""
        n_models = len(self.estimators_)
        if title is None or n_models == 1:
            return [(vae, title) for vae in self.estimators_]
        numbered = enumerate(self.estimators_, start=1)
        return [(vae, f"{title}, model {number} of {n_models}") for number, vae in numbered]

    def _imputations(
        self,
        table: Any,
        gaps: np.ndarray,
        dtype: Any,
        n_draws: int,
        random_state: Any,
        title: str | None = None,
    ) -> np.ndarray:
        """Return draws of the rows with gaps, ``(n_draws, n, d)``, from each model as many."""
        seed = _random.draw_seed(random_state)
        generator = _random.generator(seed, Stream.SAMPLING, device=self.vae_.net_.device)
        rng = np.random.default_rng(seed)
        rows = self.vae_._read(table).subset(gaps)
        drawn = np.empty((n_draws, len(gaps), rows.n_features), dtype)
        n_models = len(self.estimators_)
        for first, (vae, model_title) in enumerate(self._titled(title)):
            mine = drawn[first::n_models]
            if not len(mine):
                continue
            inference = vae._inference(dtype, model_title)
            n = max(self.n_importance_samples, len(mine))
            for some, draws in inference.imputations(rows, len(mine), n, generator):
                mine[:, some] = draws.cpu().numpy()
                if len(self._shares) > 1:
                    others = self._partners[first].draws(rows.block(some), len(mine), rng)
                    mine[:, some] = mixed(mine[:, some], others, self._shares, rng)
        return drawn

    def interval(self, X: Any, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return an interval that contains each missing value with a given probability.

        The interval lies between two quantiles of the draws. The quantiles are taken in each model,
        averaged over the models, and moved away from the median by a factor. The factor is needed
        because networks that are fitted to few rows are overconfident. ``fit`` hides a tenth of
        the observed numbers from each model, and the factor is the smallest one with which the
        intervals contain a share ``level`` of these hidden numbers (split conformal prediction,
        similar to Romano, Patterson and Candès 2019, https://arxiv.org/abs/1905.03222). So the
        intervals also contain this share of the values that are missing at random in these rows,
        over all columns together. They contain less in new rows with many columns, or with many
        more gaps than the rows of ``fit`` (``benchmarks/imputation.py``).

        If fewer numbers were hidden than the level needs (19 for .95), the factor is the largest
        one that any of them needs, and at least 1, which is the interval of the model itself. Ends
        of whole numbers stay whole, and stay within the values that the likelihood allows. The
        results of :meth:`draw` are not widened.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.
        level : float, default=0.95
            The probability, for each value by itself.

        Returns
        -------
        low, high : ndarray of shape (n_samples, n_features_out)
            Arrays as ``transform`` returns, without the columns of ``add_indicator``. For an
            observed value, both are the value itself. For a missing category, both are None,
            because it has no interval.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform``, and when ``level`` does not lie in (0, 1).
        """
        if not (is_number(level, Real) and 0 < level < 1):
            raise ValueError(f"level={level!r} must be a number in (0, 1).")
        values, table, gaps = self._read(X)
        bounds = values.copy(), values.copy()
        n_draws = self._n_draws * len(self.estimators_)
        size = max(1, DRAWN // (n_draws * values.shape[1]))
        parts = (
            (slice(start, min(start + size, len(gaps))), gaps[start : start + size])
            for start in range(0, len(gaps), size)
        )
        title = self.vae_._title("interval")
        for _, some in parts if title is None else follow(parts, len(gaps), title):
            draws = self._imputations(table, some, values.dtype, n_draws, self.random_state)
            for bound, end in zip(bounds, self._ends(draws, level), strict=True):
                self._fill(bound, some, end * self._unit(table))
        missing = np.isnan(values)
        low, high = (self._out(bound, missing) for bound in bounds)
        return low, high

    def _ends(self, draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of intervals, by draws of all models in turn.

        Each model was looked at by itself. So it is their intervals that are averaged, and not
        their draws that are pooled: those spread wider than the draws of one.
        """
        each = [
            Ends.of(draws[first :: len(self.estimators_)], level, self._are_whole, self._rounding)
            for first in range(len(self.estimators_))
        ]
        ends = Ends(*np.mean(each, axis=0))
        low, high = ends.widened(self._widening.at(level), self._are_whole)
        return np.clip(low, *self._range), np.clip(high, *self._range)

    def _fill(self, values: np.ndarray, rows: np.ndarray, drawn: np.ndarray) -> None:
        """Put numbers into the gaps of some rows."""
        kept = np.flatnonzero(self._kept)
        some = values[np.ix_(rows, kept)]
        values[np.ix_(rows, kept)] = np.where(np.isnan(some), drawn, some)

    def _out(self, filled: np.ndarray, without: np.ndarray | None = None) -> np.ndarray:
        """Return a filled table as it leaves: with categories, and without empty columns."""
        empty = ~self._kept
        filled[:, empty] = np.nan_to_num(filled[:, empty])
        if self._levels:
            numbers, filled = filled, filled.astype(object)
            for column, levels in self._levels.items():
                # A column that is empty may have no category.
                some = np.array([*levels, None], dtype=object)
                filled[:, column] = some[numbers[:, column].astype(np.int64)]
                if without is not None:
                    filled[without[:, column], column] = None
        return filled if self.keep_empty_features else filled[:, self._kept]

    def _typed(self, filled: np.ndarray, missing: np.ndarray | None, library: str) -> list[Any]:
        """Return the columns of a filled table for a frame, with the types of those of ``fit``."""
        are_whole = np.zeros(len(self._kept), bool)
        are_whole[self._kept] = self._are_whole
        numbers = np.nan_to_num(filled)  # of columns that are empty
        columns = [
            of_fit.series(numbers[:, column], library)
            if are_whole[column] or of_fit.kind in ("real", "category")
            else numbers[:, column]
            for column, of_fit in enumerate(self._types)
            if self.keep_empty_features or self._kept[column]
        ]
        return columns if missing is None else [*columns, *missing.T]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns that ``transform`` returns.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of the columns of X. If ``None``, these are ``feature_names_in_``, or x0, x1 and
            so on.

        Returns
        -------
        names : ndarray of shape (n_features_out,)
            Array of str.

        Raises
        ------
        ValueError
            When the names differ from ``feature_names_in_``, or there is another number of them.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        input_features = _check_feature_names_in(self, input_features)
        names = input_features if self.keep_empty_features else input_features[self._kept]
        if self.indicator_ is None:
            return names
        added = self.indicator_.get_feature_names_out(input_features)
        return np.concatenate([names, added])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._is_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
