"""A sampler that replaces the prior by a density fitted to the latent values of the rows."""

from __future__ import annotations

import copy
import inspect
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skvae import _random
from skvae._data import Rows
from skvae._fitted import opened
from skvae._numbers import whole
from skvae._random import Stream
from skvae._vae import VariationalAutoencoder
from skvae.sampling._flow_density import FlowDensity
from skvae.sampling._interpolation import interpolate


class LatentDensitySampler(BaseEstimator):
    """Draw rows with a density that is fitted to the latent values after training.

    Samples from the prior are good if the average posterior ``q(z) = 1/n Σ_i q(z|x_i)`` is close to
    the prior. Otherwise the prior draws points z that decode to no meaningful row. This sampler
    fits a density to one draw of q(z|x) for each row, and samples ``z ~ density, x ~ p(x|z)``. With
    labels, there is one density for each class.

    Parameters
    ----------
    vae : VariationalAutoencoder or a search over one
        The model. It is used as it is if it is fitted; otherwise a clone of it is fitted. In a
        Pipeline that ends in a model, put the sampler in the place of the model.
    density : density estimator or torch.nn.Module, default=None
        An estimator with ``fit(Z)`` and ``sample(n)``, such as
        :class:`~sklearn.neighbors.KernelDensity`, which is cloned; or a normalizing flow, which is
        wrapped in a :class:`FlowDensity`. If ``None``, it is a
        :class:`~sklearn.mixture.GaussianMixture` with 10 components (fewer if there are fewer
        rows).
    random_state : int, RandomState instance or None, default=None
        Seed of the draws in ``fit`` and of the fit of the density, whose own ``random_state`` it
        replaces. It is also the seed of ``sample`` if no ``random_state`` is given there.

    Attributes
    ----------
    vae_ : VariationalAutoencoder
        The fitted model.
    densities_ : list
        The fitted densities: one for each class, or a single one.
    classes_ : ndarray of shape (n_classes,) or None
        The classes. ``None`` if the sampler was fitted without labels.
    class_prior_ : ndarray of shape (n_classes,)
        Frequencies of the classes. Without labels, a single 1.
    n_features_in_ : int
        Number of columns of X.

    See Also
    --------
    skvae.metrics.aggregate_kl : Measures how far the average posterior is from the prior.

    References
    ----------
    .. [1] Ghosh et al., "From Variational to Deterministic Autoencoders", ICLR 2020,
       section 4 (ex-post density estimation), https://arxiv.org/abs/1903.12436
    .. [2] Dai and Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019,
       https://arxiv.org/abs/1903.05789

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.sampling import LatentDensitySampler
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> sampler = LatentDensitySampler(vae, random_state=0).fit(X, y)
    >>> sampler.sample(3).shape
    (3, 4)
    >>> sampler.sample(2, y=[0, 2]).shape
    (2, 4)
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 - scikit-learn's declaration
        "vae": [HasMethods(["fit"])],
        "density": [HasMethods(["fit", "sample"]), nn.Module, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        vae: Any,
        density: Any = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.vae = vae
        self.density = density
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> LatentDensitySampler:
        """Fit the densities, and before that the model, unless it is fitted already.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Labels. Each value is a class and gets its own density. If ``None``, there is one
            density for all rows.

        Returns
        -------
        self : LatentDensitySampler
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range, the model does not take X, y has another length, or a
            class has too few rows for its density.
        """
        vae = _fitted(self.vae, X)
        rows = vae._read(X)
        codes, classes = _encode(y, len(rows))
        seed = _random.draw_seed(self.random_state)
        generator = _random.generator(seed, Stream.SAMPLING, device=vae.net_.device)
        Z = vae._inference(rows.dtype).sample_posterior(rows, generator).astype(np.float64)
        counts = np.bincount(codes)
        self.densities_ = [
            _fit_density(self.density, Z[codes == k], seed) for k in range(len(counts))
        ]
        self.vae_, self.classes_ = vae, classes
        self.class_prior_ = counts / len(Z)
        self.n_features_in_ = vae.n_features_in_
        return self

    def sample(
        self,
        n_samples: int = 1,
        *,
        y: Any = None,
        mean: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw rows: z from the density, x from the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        y : label or array-like of shape (n_samples,), default=None
            One class for all rows, or one for each row. If ``None``, classes are drawn by their
            frequencies.
        mean : bool, default=False
            Return E[x|z] instead of a random draw of x. This is usual for images.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. If ``None``, the ``random_state`` of the estimator is used; if that
            is an int, every call returns the same rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of X.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as ``sample_latent``.
        NotFittedError
            When the estimator is not fitted.
        """
        seed = self._seed(random_state)
        Z = self.sample_latent(n_samples, y=y, random_state=seed)
        inference = self.vae_._inference(self.vae_._fitted_dtype)
        generator = _random.generator(seed, Stream.SAMPLING, device=inference.device)
        return inference.sample(Rows(Z), mean, generator)

    def sample_latent(
        self,
        n_samples: int = 1,
        *,
        y: Any = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw z from the density. The same int as ``random_state`` gives the z of ``sample``.

        Parameters
        ----------
        n_samples : int, default=1
            Number of points.
        y : label or array-like of shape (n_samples,), default=None
            One class for all points, or one for each point. If ``None``, classes are drawn by their
            frequencies.
        random_state : int, RandomState instance or None, default=None
            As in ``sample``.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Points in the latent space, in no particular order.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number, ``y`` is not a label of ``fit`` or
            has another length, or the sampler was fitted without labels.
        NotFittedError
            When the estimator is not fitted.
        """
        seed = self._seed(random_state)
        n_samples = whole(n_samples, "n_samples")
        rng = np.random.RandomState(seed)
        codes = self._codes(n_samples, y, rng)
        Z = np.empty((n_samples, self.vae_._n_features_out))
        for k in np.unique(codes):
            where = np.flatnonzero(codes == k)
            # Mixtures sort their draws by component.
            Z[rng.permutation(where)] = _draw(self.densities_[k], len(where), _next_seed(rng))
        return Z

    def interpolate(self, x1: Any, x2: Any, n: int = 10, *, method: str = "linear") -> np.ndarray:
        """Return decoded points between rows, by :func:`interpolate` with this model.

        Parameters
        ----------
        x1, x2 : array-like of shape (n_features,) or (m, n_features)
            A row each, or matrices of m rows that are joined pairwise.
        n : int, default=10
            Points on each path, both ends included.
        method : {"linear", "spherical"}, default="linear"
            The kind of path, as in :func:`interpolate`.

        Returns
        -------
        X : ndarray of shape (n, n_features) or (m, n, n_features)
            Means of p(x|z), in the units of X.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as :func:`interpolate`.
        """
        check_is_fitted(self)
        return interpolate(self.vae_, x1, x2, n, method=method)

    def _seed(self, random_state: Any) -> int:
        """Return the seed of one call; an int stands for itself."""
        check_is_fitted(self)
        state = self.random_state if random_state is None else random_state
        return int(state) if isinstance(state, Integral) else _random.draw_seed(state)

    def _codes(self, n_samples: int, y: Any, rng: np.random.RandomState) -> np.ndarray:
        """Return which density each draw comes from."""
        if y is None:
            return rng.choice(len(self.class_prior_), n_samples, p=self.class_prior_)
        if self.classes_ is None:
            raise ValueError(f"y={y!r}, but fit had no labels. Call fit(X, y), or leave y out.")
        labels = np.asarray(y)
        if labels.shape not in ((), (n_samples,)):
            raise ValueError(
                f"y has shape {labels.shape}, but n_samples={n_samples}. Give one label, or "
                f"an array of {n_samples}."
            )
        labels = np.broadcast_to(labels, n_samples)
        unknown = labels[~np.isin(labels, self.classes_)]
        if len(unknown):
            raise ValueError(
                f"y holds {unknown.tolist()[0]!r}; the classes are {self.classes_.tolist()}."
            )
        return np.searchsorted(self.classes_, labels)


def _fitted(vae: Any, X: Any) -> VariationalAutoencoder:
    """Return the model in an estimator that is fitted, else in a fitted clone."""
    try:
        inside = opened(vae, "vae")
    except NotFittedError:
        inside = opened(clone(vae).fit(X), "vae")
    if inside.before:
        raise TypeError(
            f"vae={vae!r} has steps before the model, so the model gets other rows than X. Put "
            "the sampler into the Pipeline instead, in the place of the model."
        )
    return inside.model


def _encode(y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return labels as whole numbers from 0, and the labels."""
    if y is None:
        return np.zeros(n_rows, dtype=np.intp), None
    labels = column_or_1d(y)
    check_consistent_length(np.empty(n_rows), labels)
    classes, codes = np.unique(labels, return_inverse=True)
    return codes, classes


def _fit_density(density: Any, Z: np.ndarray, seed: int) -> Any:
    """Return a fitted copy of a density, its random state decided by ``seed``."""
    if len(Z) < 2:
        raise ValueError(
            "X, or one class of it, has a single row, but a density needs at least two. Leave out "
            "such classes."
        )
    if density is None:
        density = GaussianMixture(min(10, len(Z)))
    wrapped = FlowDensity(density) if isinstance(density, nn.Module) else clone(density)
    return _seeded(wrapped, seed).fit(Z)


def _seeded(density: Any, seed: int) -> Any:
    """Set the random state of a density that has one."""
    known = "random_state" in density.get_params(deep=False)
    return density.set_params(random_state=seed) if known else density


def _draw(density: Any, n_samples: int, seed: int) -> np.ndarray:
    """Return draws of a fitted density, which stays as it is."""
    if "random_state" in inspect.signature(density.sample).parameters:
        return density.sample(n_samples, random_state=seed)
    drawn = _seeded(copy.copy(density), seed).sample(n_samples)
    return drawn[0] if isinstance(drawn, tuple) else drawn  # a mixture's labels


def _next_seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(np.iinfo(np.int32).max))
