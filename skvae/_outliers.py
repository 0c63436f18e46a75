"""A detector of outliers, with a threshold and the columns that make a row unusual."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import OutlierMixin, _fit_context, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples, check_is_fitted

from skvae import _random, _state
from skvae._data import Rows, has_categories, n_columns
from skvae._holder import Holder
from skvae._vae import VariationalAutoencoder
from skvae._validation import Names, asks_what_was_meant
from skvae._world import world
from skvae.exceptions import PosteriorCollapseWarning, UndertrainedWarning
from skvae.likelihoods import StudentT
from skvae.objectives import Trimmed

SKEWNESS, LEAST, MOST = 4.0, 6.5, 30.0
"""The threshold ``"auto"`` lies below the median of the scores by their lower quartile's distance
times four times its ratio to that of the upper quartile, within these limits."""

LATEST_ROWS, LATEST_VALUES = 2000, 2**22
"""What ``partial_fit`` keeps of the latest rows, to find the threshold by."""

EXPECTED_ROWS, EXPECTED_CALLS = 200, 2**13
"""The model's own rows, whose columns are as strange as is to be expected: so many, and fewer
where they would be scored more often than that."""

MOST_SCORES = 2**24
"""The threshold of more rows is found by so many scores, evenly spread."""

N_FOLDS, FEWEST_ROWS = 5, 20
"""Of clean rows, so many parts, of which each model leaves out one; not of fewer rows."""

PATCHES = 256
"""So many parts of an image are hidden in turn, at most."""


DETECTOR = VariationalAutoencoder(
    4,
    hidden_layer_sizes=(32,),
    linear_path=False,
    likelihood=StudentT(min_scale=0.1, robust=True),
    objective=Trimmed(),
    learning_rate=1e-3,
    learning_rate_schedule="constant",
    max_steps=400,
)
"""The default model for rows with outliers among them: see benchmarks/outliers.py."""

COLUMNS_PER_COMPONENT = 3
"""It has fewer components where there are less columns for each, and at least two."""

FOLLOWER = VariationalAutoencoder(
    16,
    hidden_layer_sizes=(64,),
    dropout=0.0,
    linear_path=False,
    likelihood=StudentT(min_scale=0.1),
    learning_rate=3e-3,
    learning_rate_schedule="cosine",
    max_steps=3000,
)
"""That for clean rows."""

WEIGHTS = ("beta", "kl_warmup_epochs", "free_bits")


def _has_outliers(detector: Any) -> bool:
    """Whether there may be outliers among the rows of ``fit``."""
    if detector.novelty:
        raise AttributeError(
            "fit_predict is not available with novelty=True, because then no row of fit is an "
            "outlier. Call fit(X) and predict(new_rows), or set novelty=False."
        )
    return True


@_state.keeps(_state.VAE_OUTLIER_DETECTOR)
class VAEOutlierDetector(OutlierMixin, Holder):
    """Detect outliers with a variational autoencoder: a score, a threshold and reasons.

    The score is a lower bound on log p(x) in nats per row. The same row has the same score in every
    call. The model is trained only on the most likely rows of each batch, so that outliers among
    the rows of ``fit`` do not distort it.

    Parameters
    ----------
    vae : VariationalAutoencoder, default=None
        The model. A clone of it is fitted, with a trimmed objective
        (:class:`skvae.objectives.Trimmed`) unless ``novelty=True``. If ``None``, the model is the
        one that found most outliers on public tables: a Student's t likelihood with tails learned
        for each column, columns standardised by quartiles, few components, one small hidden layer
        and few steps. With ``novelty=True`` it is a larger model that is trained for longer. Data
        frames with categorical columns get ``likelihood="mixed"``. For images and counts, give a
        model with a suitable likelihood.
    contamination : float or "auto", default="auto"
        The share of the rows of ``fit`` that is flagged, in (0, 0.5]. ``"auto"`` flags the rows
        that score far below the others, however many these are; see Notes.
    novelty : bool, default=False
        Whether the rows of ``fit`` are known to be free of outliers, so that only new rows can be
        outliers. Nothing is then trimmed, the default model follows the rows more closely, and each
        model leaves out a fifth of the rows, which are used to find the threshold.
        ``contamination`` is then the share of false alarms. That is why this is a parameter of its
        own, and not ``contamination=0``.
    n_estimators : int, default=3
        Number of models that are fitted, with different seeds. Their scores are averaged.
    random_state : int, RandomState instance or None, default=None
        Seed of the fit. If ``None``, the ``random_state`` of ``vae`` is used.
    n_jobs : int, default=None
        Number of models that are fitted at the same time, by joblib. −1 uses all processors.

    Attributes
    ----------
    offset_ : float
        The threshold: ``decision_function`` is ``score_samples − offset_``, negative for outliers.
    vae_ : VariationalAutoencoder
        The first of the fitted models.
    estimators_ : list of VariationalAutoencoder
        All fitted models.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it has any.

    See Also
    --------
    sklearn.ensemble.IsolationForest : Uses random splits, and is faster.
    skvae.display.OutlierDisplay : A picture of :meth:`explain`.

    Notes
    -----
    ``contamination="auto"`` takes the fence of a box plot of the scores, adjusted to their skewness
    (similar to Hubert and Vandervieren 2008, https://doi.org/10.1016/j.csda.2007.11.008). The
    threshold is ``median − m · (median − lower quartile)``. Here m is four times the ratio of the
    distances of the lower and the upper quartile from the median, but at least 6.5 and at most 30.
    The least likely row is always flagged. Of rows without outliers (normal, heavy-tailed or
    log-normal), usually 1 % and at most 3 % are flagged. If a quarter of the rows or more are
    outliers, they are not found. Measured in ``benchmarks/outliers.py``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from skvae import VAEOutlierDetector
    >>> X = load_wine().data
    >>> X[::30, 6] += 20
    >>> detector = VAEOutlierDetector(random_state=0).fit(X)
    >>> bool((detector.predict(X[::30]) == -1).all())
    True
    >>> detector.explain(X[::30]).argmax(1).tolist()
    [6, 6, 6, 6, 6, 6]
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's declaration
        "vae": [VariationalAutoencoder, None],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), Names("auto")],
        "novelty": ["boolean"],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    @asks_what_was_meant
    def __init__(
        self,
        vae: VariationalAutoencoder | None = None,
        *,
        contamination: float | str = "auto",
        novelty: bool = False,
        n_estimators: int = 3,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.vae = vae
        self.contamination = contamination
        self.novelty = novelty
        self.n_estimators = n_estimators
        self.random_state = random_state
        self.n_jobs = n_jobs

    # Fitting

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model and the threshold.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, as :meth:`VariationalAutoencoder.fit` takes them. NaN means that a value was not
            observed.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self : VAEOutlierDetector
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range, when the model does not take X, or when there are
            several jobs within ``data_parallel(shards=True)``. The object is then left unchanged.
        """
        with world().alike():
            self._check_jobs()
            models = self._models(X)
            weights = self._left_out(X, models)
        models = Parallel(n_jobs=self.n_jobs)(
            delayed(_trained)(vae, X, self.vae is None, weight)
            for vae, weight in zip(models, weights, strict=True)
        )
        rows = models[0]._read(X)
        if weights[0] is None:
            scores = _scores(models, rows)
        else:
            each = zip(models, weights, strict=True)
            of_others = [_scores([vae], rows.subset(np.flatnonzero(w == 0))) for vae, w in each]
            scores = np.concatenate(of_others)
        scores = np.sort(scores)
        some = np.linspace(0, len(scores) - 1, world().n_of(MOST_SCORES, len(scores)))
        self._adopt(models, world().joined(scores[some.round().astype(np.int64)]))
        self.__dict__.pop("_latest", None)
        return self

    @available_if(_has_outliers)
    def fit_predict(self, X: Any, y: Any = None, **kwargs: Any) -> np.ndarray:
        """Fit, and return −1 for outliers among the rows and 1 for all others.

        Not available with ``novelty=True``, because then no row of ``fit`` is an outlier.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.
        **kwargs
            Keyword arguments for ``fit``.

        Returns
        -------
        labels : ndarray of int, shape (n_samples,)
            As returned by ``predict``.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as ``fit``.
        """
        return self.fit(X, y, **kwargs).predict(X)

    @_fit_context(prefer_skip_nested_validation=False)
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one epoch on X, starting from the present state; update the threshold.

        Use this for rows that arrive over time. The threshold is computed from the latest rows with
        the present models. Up to 2,000 rows are kept for this, fewer if rows are long.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self : VAEOutlierDetector
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as ``fit``.
        """
        is_first = not hasattr(self, "estimators_")
        models = self._models(X) if is_first else [vae._copy() for vae in self.estimators_]
        models = [_trained(vae, X, self.vae is None, one_epoch=True) for vae in models]
        rows = models[0]._read(X)
        n_kept = self._n_latest(rows.n_features)
        n_mine = world().n_of(n_kept, len(rows))
        latest = world().joined(rows.block(np.arange(len(rows))[-n_mine:]))
        before = getattr(self, "_latest", latest[:0])
        latest = np.concatenate([before, latest])[-n_kept:]
        self._adopt(models, _scores(models, _rows(latest)))
        self._latest = latest
        return self

    @staticmethod
    def _n_latest(n_features: int) -> int:
        """Return how many of the latest rows are kept."""
        return max(1, min(LATEST_ROWS, LATEST_VALUES // n_features))

    def _models(self, X: Any) -> list[VariationalAutoencoder]:
        """Return the models that are to be fitted."""
        state = self.random_state
        if state is None and self.vae is not None:
            state = self.vae.random_state
        seeds = check_random_state(_random.draw_seed(state))
        template = self._template(X)
        return [
            clone(template).set_params(random_state=_random.draw_seed(seeds))
            for _ in range(self.n_estimators)
        ]

    def _template(self, X: Any) -> VariationalAutoencoder:
        """Return what these are clones of."""
        if self.vae is None:
            default = clone(FOLLOWER if self.novelty else DETECTOR)
            if has_categories(X):
                default.set_params(likelihood="mixed")
            if not self.novelty:
                # With as many as there are columns, whatever is strange could be described.
                few = max(2, math.ceil(n_columns(X) / COLUMNS_PER_COMPONENT))
                default.set_params(n_components=min(default.n_components, few))
            return default
        if self.novelty or isinstance(self.vae.objective, Trimmed):
            return self.vae
        self.vae._validate_params()
        # What weighs the terms of the objective is a part of it from here on.
        unweighted = {name: getattr(DETECTOR, name) for name in WEIGHTS}
        trimmed = Trimmed(objective=self.vae._objective())
        return clone(self.vae).set_params(objective=trimmed, **unweighted)

    def _check_jobs(self) -> None:
        """Raise ``ValueError`` where jobs would fit to the rows of one process alone."""
        if len(world().parts(self.n_jobs)) > 1 and effective_n_jobs(self.n_jobs) > 1:
            raise ValueError(
                f"n_jobs={self.n_jobs!r} would fit each model in a separate process, which would "
                "use only the rows of one process of data_parallel(shards=True). Set n_jobs=1."
            )

    def _left_out(self, X: Any, models: list[VariationalAutoencoder]) -> list[Any]:
        """Return for each model weights of the rows, 0 for those that it is not to see.

        A model that follows clean rows closely finds them more normal than other clean rows. So
        the threshold is found by what each model has not seen: a fifth of the rows.
        """
        n_rows = _num_samples(X)
        if not self.novelty or min(world().parts(n_rows)) < FEWEST_ROWS:
            return [None] * len(models)
        seed = _random.draw_seed(models[0].random_state)
        fold = np.random.default_rng(seed).permutation(n_rows) % N_FOLDS
        return [(fold != k % N_FOLDS).astype(float) for k in range(len(models))]

    def _adopt(self, models: list[VariationalAutoencoder], scores: np.ndarray) -> None:
        """Take over fitted models, and find the threshold by the scores of some rows."""
        share = self.contamination
        offset = _fence(scores) if isinstance(share, str) else np.quantile(scores, share)
        self.estimators_ = models
        self.offset_ = float(offset)
        self.n_features_in_ = self.vae_.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(self.vae_, "feature_names_in_"):
            self.feature_names_in_ = self.vae_.feature_names_in_

    @property
    def vae_(self) -> VariationalAutoencoder:
        """The first of the fitted models."""
        return self.estimators_[0]

    # Using the model

    def score_samples(self, X: Any) -> np.ndarray:
        """Return a lower bound on log p(x) for each row, in nats: higher is more normal.

        This is the elbo (see :meth:`VariationalAutoencoder.elbo_terms`), averaged over the models,
        with the same eight draws of noise for every row.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Nats per row, always finite.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as :meth:`VariationalAutoencoder.score_samples`.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        return _scores(self.estimators_, self.vae_._supported(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return ``score_samples(X) − offset_``: the distance from the threshold, in nats per row.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Negative for outliers.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``score_samples``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return −1 for outliers and 1 for all other rows.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of int, shape (n_samples,)
            −1 where ``decision_function`` is negative.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``score_samples``.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> np.ndarray:
        """Return how much each column contributes to making a row unusual, in nats.

        A value is unusual if the other columns make one expect another value. To measure this, the
        column is hidden, and the rise of the score is ``−log p(x_j | x_others)``. The average rise
        for rows that the model draws itself is subtracted. What several columns contribute only
        together is divided equally between them, so that the contributions of a row add up to
        ``E[score] − score_samples``; the expectation is over rows that the models draw. A missing
        value contributes 0.

        This takes one call of ``score_samples`` for each column. The pixels of images are hidden in
        patches, at most 256 of them, and the pixels of a patch share its contribution.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, usually a few outliers.

        Returns
        -------
        nats : ndarray of shape (n_samples, n_features)
            Contributions; positive if a value is more unusual than expected.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``score_samples``, and when the likelihood does not split into
            columns.
        """
        check_is_fitted(self)
        x = self.vae_._supported(X).block(slice(None))
        return np.mean([_reasons(vae, x) for vae in self.estimators_], axis=0)

    # State

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def _trained(
    vae: VariationalAutoencoder,
    X: Any,
    is_default: bool,
    weight: np.ndarray | None = None,
    one_epoch: bool = False,
) -> VariationalAutoencoder:
    """Return a model that was trained on X."""
    with warnings.catch_warnings():
        if is_default:
            # Its few steps are what was measured, and columns may have nothing in common.
            warnings.simplefilter("ignore", UndertrainedWarning)
            warnings.simplefilter("ignore", PosteriorCollapseWarning)
        return vae.partial_fit(X) if one_epoch else vae.fit(X, sample_weight=weight)


def _rows(x: np.ndarray) -> Rows:
    """Return rows that are in the model's units already."""
    return Rows(x, has_missing=bool(np.isnan(x).any()))


def _scores(models: list[VariationalAutoencoder], rows: Rows) -> np.ndarray:
    """Return the bound on log p(x) for each row, the mean over the models.

    With the same noise for all rows: they are compared, and with themselves without a column.
    """
    terms = [vae._inference(rows.dtype, "score_samples").terms(rows, True) for vae in models]
    return np.mean([reconstruction - kl for reconstruction, kl in terms], axis=0)


def _fence(scores: np.ndarray) -> float:
    """Return the threshold ``"auto"``: the fence of a box plot, adjusted to skewness."""
    scores = scores.astype(np.float64)
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    with np.errstate(over="ignore"):  # a fence beyond all floats is below all scores
        skewness = (middle - low) / max(high - middle, np.finfo(float).tiny)
        fence = middle - np.clip(SKEWNESS * skewness, LEAST, MOST) * (middle - low)
    # Halved first: scores may be as low as floats go.
    lowest = (np.sort(scores)[:2] / 2).sum() if len(scores) > 1 else scores[0]
    return max(fence, lowest)


def _reasons(vae: VariationalAutoencoder, x: np.ndarray) -> np.ndarray:
    """Return what each column of rows adds to how strange they are, under one model."""
    parts = _parts(vae._architecture.image_shape, x.shape[1])
    n_own = int(np.clip(EXPECTED_CALLS // (parts.max() + 1), 20, EXPECTED_ROWS))
    own = vae.sample(n_own, random_state=0).astype(x.dtype)
    score, gain = _gains(vae, x, parts)
    usual_score, usual_gain = (values.mean(0) for values in _gains(vae, own, parts))
    # What is to be expected of each part, which together is E[score].
    usual = (usual_score + usual_gain.sum()) / len(usual_gain) - usual_gain
    n_observed = np.zeros_like(gain)
    np.add.at(n_observed.T, parts, ~np.isnan(x).T)
    n_parts = np.maximum((n_observed > 0).sum(1), 1)
    rest = -(score + gain.sum(1)) / n_parts
    nats = (gain + usual + rest[:, np.newaxis]) / np.maximum(n_observed, 1)
    return np.where(np.isnan(x), 0, nats[:, parts])


def _gains(
    vae: VariationalAutoencoder, x: np.ndarray, parts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of each row, and by how much it rises when a part is hidden."""
    score = _scores([vae], _rows(x))
    gains = [
        _scores([vae], _rows(np.where(parts == part, np.nan, x))) - score
        for part in range(parts.max() + 1)
    ]
    return score, np.stack(gains, -1)


def _parts(image_shape: tuple[int, int, int] | None, n_features: int) -> np.ndarray:
    """Return for each column the number of the part that it is hidden with."""
    if image_shape is None:
        return np.arange(n_features)
    height, width, n_channels = image_shape
    side = math.ceil(math.sqrt(height * width / PATCHES))
    rows, columns = np.indices((height, width, n_channels))[:2] // side
    return np.ravel(rows * -(-width // side) + columns)
