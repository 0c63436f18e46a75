"""A classifier that also learns from rows without a label."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import Tags, assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._param_validation import Interval
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skvae import _state
from skvae._data import Rows, check_weight
from skvae._holder import Holder
from skvae._numbers import whole
from skvae._vae import VariationalAutoencoder
from skvae._validation import Names, asks_what_was_meant
from skvae._world import world
from skvae.priors import ClassMixture

CLASSIFIER = VariationalAutoencoder(16, hidden_layer_sizes=(256,))
"""The default model: see benchmarks/few_labels.py."""


@_state.keeps(_state.VAE_CLASSIFIER)
class VAEClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, Holder):
    """Classifier that is also trained on rows without a label.

    The model learns p(x) from all rows of ``fit``, and p(y|z) from those with a label. Each class y
    has its own Gaussians in the latent space, ``p(z) = Σ_y p(y) p(z|y)``, so that
    ``p(y|z) = p(y) p(z|y) / p(z)``. During training, rows without a label are given the label of
    their neighbours.

    Parameters
    ----------
    vae : VariationalAutoencoder, default=None
        The model. A clone of it is fitted, with the prior :class:`skvae.priors.ClassMixture` in
        place of the standard normal. If ``None``, it has 16 components and one hidden layer of 256
        units.
    label_weight : float, default=5.0
        Weight of ``log p(y|z)`` of a row relative to its bound on log p(x), both in nats. With a
        weight of 1, their sum is the bound on log p(x, y).
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn's classifiers. ``label_weight`` is multiplied by
        them. "balanced" counts the rows that have a label.
    random_state : int, RandomState instance or None, default=None
        Seed of the fit. If ``None``, the ``random_state`` of ``vae`` is used.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, in order.
    vae_ : VariationalAutoencoder
        The fitted model. It can be used like any other: for densities, samples, displays, exports.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it has any.

    See Also
    --------
    sklearn.semi_supervised.LabelSpreading : Spreads labels to neighbours, without a model.
    ConditionalVAE : Draws rows of a given class; it does not predict classes.

    Notes
    -----
    The first third of the training does not use labels. Then, and five more times later, labels are
    spread over a graph of nearest neighbours, until each row has the mean of its neighbours (Zhu,
    Ghahramani and Lafferty 2003, https://www.aaai.org/Papers/ICML/2003/ICML03-118.pdf). Neighbours
    are found in the latent space and among the rows as the encoder sees them. Training then treats
    the most probable label as the label of the row (Iscen et al. 2019,
    https://arxiv.org/abs/1904.04717). The loss of a row is

    ``−elbo(x) − label_weight · E_q[log p(y|z)]``,

    weighted as in Kingma et al. 2014 (https://arxiv.org/abs/1406.5298). If all rows have a label,
    nothing is spread.

    If ``vae`` has an ``image_shape``, the rows are images, and p(y|z) is learnt from randomly
    distorted copies of them (:class:`skvae.networks.Distortion`). Labels are then spread once, over
    the graph of neighbours among the images and among the features of three convolutional networks,
    which learn the labels of distorted copies in turns with the spreading. This takes 3,600 of
    their steps. With five labels of each digit, 2 % of new digits get a wrong class, and 4 % if the
    model is not told that they are images.

    Rows with a label are repeated until they make up an eighth of all rows. At most 65,536 rows
    without a label are given one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from skvae import VAEClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> few = np.where(np.arange(178) % 10 == 0, y, -1)  # 18 labels
    >>> classifier = VAEClassifier(random_state=0).fit(X, few)
    >>> classifier.score(X, y) > 0.9
    True
    >>> classifier.sample(2, y=1).shape
    (2, 13)
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012 - scikit-learn's declaration
        "vae": [VariationalAutoencoder, None],
        "label_weight": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [Names("balanced"), dict, None],
        "random_state": ["random_state"],
    }

    @asks_what_was_meant
    def __init__(
        self,
        vae: VariationalAutoencoder | None = None,
        *,
        label_weight: float = 5.0,
        class_weight: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.vae = vae
        self.label_weight = label_weight
        self.class_weight = class_weight
        self.random_state = random_state

    # Fitting

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> VAEClassifier:
        """Fit the model to rows, some of which have a label.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows, as :meth:`VariationalAutoencoder.fit` takes them.
        y : array-like of shape (n_samples,)
            Labels of the rows: numbers or strings. None, NaN and ``pandas.NA`` mean that a row has
            no label. −1 means the same if there are at least two other classes.
        sample_weight : array-like of shape (n_samples,), default=None
            As in :meth:`VariationalAutoencoder.fit`.

        Returns
        -------
        self : VAEClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range, no row has a label, y does not hold classes, the prior
            of ``vae`` cannot tell classes apart, or the model does not take X. The object is then
            left unchanged.
        """
        if y is None:
            raise ValueError(
                "This VAEClassifier estimator requires y to be passed, but the target y is None."
            )
        with world().alike():
            check_consistent_length(X, y)
            weight = check_weight(sample_weight, X)
            classes, label = _numbered(y, weight)
            vae = clone(CLASSIFIER if self.vae is None else self.vae)
            if self.random_state is not None:
                vae.set_params(random_state=self.random_state)
            vae.set_params(prior=self._prior(vae.prior, classes, label, weight))
            vae._validate_params()
        self.vae_ = vae._fit(X, sample_weight, False, label=label)
        self.classes_ = classes
        self.n_features_in_ = vae.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(vae, "feature_names_in_"):
            self.feature_names_in_ = vae.feature_names_in_
        return self

    def _prior(
        self, prior: Any, classes: np.ndarray, label: np.ndarray, weight: np.ndarray | None
    ) -> ClassMixture:
        """Return the prior of these classes."""
        if isinstance(prior, str) and prior == "normal":
            prior = ClassMixture()
        if not isinstance(prior, ClassMixture):
            raise ValueError(
                f"vae has prior={prior!r}, which has no place for each class. Leave "
                "prior='normal', or pass a skvae.priors.ClassMixture."
            )
        known = ~np.isnan(label)
        of_known = None if weight is None else weight[known]
        counts = np.bincount(label[known].astype(int), of_known, len(classes))
        weights = compute_class_weight(
            self.class_weight,
            classes=classes,
            y=classes,
            sample_weight=np.sum(world().parts(counts), 0),
        )
        weights = tuple((self.label_weight * weights).tolist())
        return clone(prior, safe=False).set_params(n_classes=len(classes), label_weight=weights)

    # Using the model

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, ``p(y|x) = E_q(z|x)[p(y|z)]``.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        P : ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``. The same row always gives the same result.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as :meth:`VariationalAutoencoder.transform`.
        """
        check_is_fitted(self)
        rows = self.vae_._read(X)
        return self.vae_._inference(rows.dtype, "predict_proba").label_probabilities(rows)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_P : ndarray of shape (n_samples, n_classes)
            Logarithms of the probabilities, in nats.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``predict_proba``.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Values of ``classes_``.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``predict_proba``.
        """
        most_likely = self.predict_proba(X).argmax(1)
        return self.classes_[most_likely]

    def transform(self, X: Any) -> np.ndarray:
        """Return the mean of q(z|x) for each row, in the latent space that separates the classes.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            As returned by :meth:`VariationalAutoencoder.transform`.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as :meth:`VariationalAutoencoder.transform`.
        """
        check_is_fitted(self)
        return self.vae_.transform(X)

    def sample(
        self,
        n_samples: int = 1,
        y: Any = None,
        *,
        mean: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw rows of a class: z from p(z|y), x from the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        y : object, default=None
            A class of ``classes_``. If ``None``, z is drawn from p(z), that is from all classes.
        mean : bool, default=False
            Return E[x|z] instead of a random draw of x. This is usual for images.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. If ``None``, the seed of the fit is used.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of X.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number, or y is not one of the classes.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        number = None if y is None else self._number(y)
        inference, generator = self.vae_._sampling(random_state, "sample")
        z = inference.sample_latent(whole(n_samples, "n_samples"), generator, label=number)
        return inference.sample(Rows(z), mean, generator)

    def _number(self, y: Any) -> int:
        """Return the number of a class."""
        found = [n for n, known in enumerate(self.classes_.tolist()) if known == y]
        if not found:
            raise ValueError(f"y={y!r} is not one of the classes {self.classes_.tolist()}.")
        return found[0]

    @property
    def _n_features_out(self) -> int:
        return self.vae_._n_features_out

    # State

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _numbered(y: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes, and the number of that of each row; NaN where it is unknown."""
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f":
        assert_all_finite(y, allow_nan=True, input_name="y")
        hidden = np.isnan(y)
    elif y.dtype.kind == "O":
        hidden = np.array([v is None or is_scalar_nan(v) or is_pandas_na(v) for v in y], bool)
    else:
        hidden = np.zeros(len(y), bool)
    # A row without weight is none.
    hidden = hidden if weight is None else hidden | (weight == 0)
    if not hidden.all():
        check_classification_targets(y[~hidden])
    # Of all processes; those without a label say nothing of the type of classes.
    each = [found for found in world().parts(np.unique(y[~hidden])) if len(found)]
    if not each:
        raise ValueError("y holds no label. Give at least one row of each class its label.")
    if len({found.dtype.kind in "OU" for found in each}) > 1:
        raise ValueError(
            "The classes of y are numbers in some processes and texts in others. Give them the "
            "same type in all."
        )
    classes = np.unique(np.concatenate(each))
    if len(classes) > 2 and -1 in classes.tolist():
        hidden |= y == -1
        classes = classes[classes != -1]
    label = np.full(len(y), np.nan)
    label[~hidden] = np.searchsorted(classes, y[~hidden])
    return classes, label
