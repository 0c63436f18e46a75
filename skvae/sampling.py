"""Drawing rows otherwise than from the prior, and walking between them."""

from __future__ import annotations

import copy
import inspect
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_consistent_length, check_scalar, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from torch import distributions as td

from skvae import _random
from skvae._data import Rows
from skvae._random import Stream
from skvae._vae import VariationalAutoencoder

__all__ = ["FlowDensity", "LatentDensitySampler", "interpolate"]


class LatentDensitySampler(BaseEstimator):
    """Samples from a density that is fitted to the latent after training.

    A model generates well where the average posterior ``q(z) = 1/n Σ_i q(z|x_i)`` meets
    the prior. Where it does not, z from the prior decode to nothing in particular. This
    fits a density to one draw of q(z|x) for each row, and samples
    ``z ~ density, x ~ p(x|z)``; with labels, a density for each class.

    Parameters
    ----------
    vae : VariationalAutoencoder
        Used as it is when fitted; otherwise a clone is fitted.
    density : density estimator or torch.nn.Module, default=None
        With ``fit(Z)`` and ``sample(n)``, such as
        :class:`~sklearn.neighbors.KernelDensity`: cloned. Or a normalizing flow, wrapped in
        a :class:`FlowDensity`. ``None``: a :class:`~sklearn.mixture.GaussianMixture` of
        10 components, or of as many as there are rows.
    random_state : int, RandomState instance or None, default=None
        Decides the draws of ``fit`` and the fit of the density, whose own ``random_state``
        it replaces; and those of ``sample`` where that is given none.

    Attributes
    ----------
    vae_ : VariationalAutoencoder
        The fitted model.
    densities_ : list
        Fitted to the latent, one for each class, or one alone.
    classes_ : ndarray of shape (n_classes,) or None
        The labels; ``None`` when fitted without.
    class_prior_ : ndarray of shape (n_classes,)
        Their frequencies; 1 alone without labels.
    n_features_in_ : int
        Columns of X.

    See Also
    --------
    skvae.metrics.aggregate_kl : How far the average posterior is from the prior.

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
        "vae": [VariationalAutoencoder],
        "density": [HasMethods(["fit", "sample"]), nn.Module, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        vae: VariationalAutoencoder,
        density: Any = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.vae = vae
        self.density = density
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> LatentDensitySampler:
        """Fit the model, unless it is fitted, and the densities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Labels, a value a class: one density for each. ``None``: one density for all.

        Returns
        -------
        self : LatentDensitySampler
            Fitted.

        Raises
        ------
        ValueError, TypeError
            On parameters out of range, X that the model does not take, y of another length,
            and a class of too few rows for its density.
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
            How many rows.
        y : label or array-like of shape (n_samples,), default=None
            The class of all rows, or of each. ``None``: classes by their frequencies.
        mean : bool, default=False
            Return E[x|z] instead of a draw of x: what one shows for images.
        random_state : int, RandomState instance or None, default=None
            Decides the draws. ``None``: the estimator's ``random_state``; an int there
            gives the same rows in every call.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of X.

        Raises
        ------
        ValueError, TypeError
            As ``sample_latent``.
        NotFittedError
            Before ``fit``.
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
        """Draw z from the density; with the same int as ``random_state``, those of ``sample``.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        y : label or array-like of shape (n_samples,), default=None
            The class of all, or of each. ``None``: classes by their frequencies.
        random_state : int, RandomState instance or None, default=None
            As in ``sample``.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            In no particular order.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number, ``y`` is no label of ``fit``
            or holds another number of them, or ``fit`` had none.
        NotFittedError
            Before ``fit``.
        """
        seed = self._seed(random_state)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        rng = np.random.RandomState(seed)
        codes = self._codes(n_samples, y, rng)
        Z = np.empty((n_samples, self.vae_._n_features_out))
        for k in np.unique(codes):
            where = np.flatnonzero(codes == k)
            # Mixtures sort their draws by component.
            Z[rng.permutation(where)] = _draw(self.densities_[k], len(where), _next_seed(rng))
        return Z

    def interpolate(self, x1: Any, x2: Any, n: int = 10, *, method: str = "linear") -> np.ndarray:
        """Return decoded points between rows: :func:`interpolate` with this model.

        Parameters
        ----------
        x1, x2 : array-like of shape (n_features,) or (m, n_features)
            A row each, or matrices of m rows that are joined pairwise.
        n : int, default=10
            Points on each path, both ends included.
        method : {"linear", "spherical"}, default="linear"
            The path; see there.

        Returns
        -------
        X : ndarray of shape (n, n_features) or (m, n, n_features)
            Means of p(x|z), in the units of X.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As there.
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


def _fitted(vae: VariationalAutoencoder, X: Any) -> VariationalAutoencoder:
    """Return the model itself when it is fitted, else a fitted clone."""
    try:
        check_is_fitted(vae)
    except NotFittedError:
        return clone(vae).fit(X)
    return vae


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
            "X, or one class of it, has a single row; a density is fitted to two or more. "
            "Leave out such classes."
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


class FlowDensity(BaseEstimator):
    """A normalizing flow as a scikit-learn density estimator.

    Maximises the mean log-density of the rows by a fixed number of steps of Adam, on the
    CPU. Rows are standardised first, since flows start near the standard normal.

    Parameters
    ----------
    flow : torch.nn.Module
        Called without arguments it returns a distribution of vectors with ``log_prob`` and
        ``sample``, such as ``zuko.flows.NSF(2)``. A template, copied by ``fit``.
    n_steps : int, default=1000
        Steps of the optimiser.
    learning_rate : float, default=1e-3
        Their size.
    batch_size : int, default=256
        Rows for each step, drawn with replacement.
    random_state : int, RandomState instance or None, default=None
        Decides the batches, and the draws of ``sample`` where that is given none. The
        initial weights are those of ``flow``.

    Attributes
    ----------
    flow_ : torch.nn.Module
        The fitted flow, over standardised rows.
    loc_, scale_ : ndarray of shape (n_features,)
        Mean and standard deviation of the columns.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, when X had any.

    References
    ----------
    Durkan et al., "Neural Spline Flows", NeurIPS 2019, https://arxiv.org/abs/1906.04032

    Examples
    --------
    >>> import zuko
    >>> from sklearn.datasets import load_iris
    >>> from skvae.sampling import FlowDensity
    >>> X = load_iris().data[:, :2]
    >>> density = FlowDensity(zuko.flows.NSF(2), n_steps=5, random_state=0).fit(X)
    >>> density.sample(3).shape
    (3, 2)
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 - scikit-learn's declaration
        "flow": [nn.Module],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        flow: nn.Module,
        *,
        n_steps: int = 1000,
        learning_rate: float = 1e-3,
        batch_size: int = 256,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.flow = flow
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> FlowDensity:
        """Fit the flow to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, at least two.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self : FlowDensity
            Fitted.

        Raises
        ------
        ValueError
            On parameters out of range, X that is not a matrix of finite numbers, a flow
            over vectors of another size, and when the density stops being finite.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.loc_, scale = X.mean(0), X.std(0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        self.flow_ = copy.deepcopy(self.flow).cpu()
        width = tuple(self.flow_().event_shape)
        if width != (X.shape[1],):
            raise ValueError(
                f"flow is over vectors of shape {width}, but X has {X.shape[1]} columns. Make "
                f"it one over {X.shape[1]}."
            )
        seed = _random.draw_seed(self.random_state)
        self._maximize(self._standardized(X), _random.generator(seed, Stream.TRAINING))
        return self

    def _standardized(self, X: np.ndarray) -> Tensor:
        """Return rows as the flow sees them."""
        dtype = next(self.flow_.parameters()).dtype
        return torch.from_numpy((X - self.loc_) / self.scale_).to(dtype)

    def _maximize(self, x: Tensor, generator: torch.Generator) -> None:
        """Maximise the mean log-density of batches of x."""
        optimizer = torch.optim.Adam(self.flow_.parameters(), lr=self.learning_rate)
        for step in range(self.n_steps):
            batch = torch.randint(len(x), (self.batch_size,), generator=generator)
            loss = -self.flow_().log_prob(x[batch]).mean()
            if not torch.isfinite(loss):
                raise ValueError(
                    f"The flow's log-density is {-loss.item()} in step {step}. Lower "
                    f"learning_rate={self.learning_rate}."
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.flow_.eval()

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Nats per row, in the units of X.

        Raises
        ------
        ValueError
            When X is not a matrix of finite numbers with the columns of ``fit``.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        with torch.no_grad():
            log_density = self.flow_().log_prob(self._standardized(X)).double().numpy()
        return log_density - np.log(self.scale_).sum()

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Draw rows from the flow.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState instance or None, default=None
            Decides the draws. ``None``: the estimator's ``random_state``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of X.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        seed = _random.draw_seed(self.random_state if random_state is None else random_state)
        with torch.no_grad():
            u = _sample(self.flow_(), n_samples, seed)
        return self.loc_ + self.scale_ * u.double().numpy()


def _sample(distribution: Any, n_samples: int, seed: int) -> Tensor:
    """Draw from a distribution on the CPU that knows no generator of the caller's."""
    base: Any = getattr(distribution, "base", None)
    if isinstance(getattr(base, "base_dist", None), td.Normal):  # zuko's flows
        generator = _random.generator(seed, Stream.SAMPLING)
        noise = torch.randn(n_samples, *base.event_shape, generator=generator)
        return distribution.transform.inv(base.mean + base.stddev * noise)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return distribution.sample((n_samples,))


def interpolate(
    vae: VariationalAutoencoder, x1: Any, x2: Any, n: int = 10, *, method: str = "linear"
) -> np.ndarray:
    """Decode a path through the latent space from one row to another.

    The path joins the posterior means z1 and z2 at n equally spaced t from 0 to 1, so that
    it starts and ends at the reconstructions of ``x1`` and ``x2``.

    Parameters
    ----------
    vae : VariationalAutoencoder
        Fitted.
    x1, x2 : array-like of shape (n_features,) or (m, n_features)
        A row each, or matrices of m rows that are joined pairwise.
    n : int, default=10
        Points on each path, both ends included.
    method : {"linear", "spherical"}, default="linear"
        ``(1 − t) z1 + t z2``, or ``(sin((1 − t) ω) z1 + sin(t ω) z2) / sin ω`` with ω the
        angle between them (Shoemake 1985, https://doi.org/10.1145/325334.325242): it keeps
        the distance from the origin that z of a normal prior have in many dimensions, which
        the linear path leaves (White 2016, https://arxiv.org/abs/1609.04468). For parallel
        vectors this becomes linear; so it is too where ω has no plane, between opposite
        vectors and from the origin.

    Returns
    -------
    X : ndarray of shape (n, n_features) or (m, n, n_features)
        Means of p(x|z), in the units of X.

    Raises
    ------
    ValueError, TypeError
        When ``x1`` and ``x2`` differ in shape, ``n`` is below 2, ``method`` is neither, and
        as ``VariationalAutoencoder.transform``.
    NotFittedError
        Before ``fit``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.sampling import interpolate
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> interpolate(vae, X[0], X[100], n=5).shape
    (5, 4)
    """
    check_scalar(n, "n", Integral, min_val=2)
    if method not in _WEIGHTS:
        raise ValueError(f"method={method!r} must be one of {sorted(_WEIGHTS)}.")
    if np.shape(x1) != np.shape(x2):
        raise ValueError(
            f"x1 has shape {np.shape(x1)}, x2 {np.shape(x2)}. Give two rows, or two matrices "
            "of as many."
        )
    z1, z2 = (vae.posterior(np.asarray(x)[None] if np.ndim(x) == 1 else x)[0] for x in (x1, x2))
    t = np.linspace(0, 1, n)[:, None]
    first, second = _WEIGHTS[method](t, _angle(z1, z2)[:, None, None])
    Z = (first * z1[:, None] + second * z2[:, None]).astype(z1.dtype)
    X = vae.inverse_transform(Z.reshape(-1, Z.shape[-1])).reshape(len(z1), n, -1)
    return X[0] if np.ndim(x1) == 1 else X


def _angle(z1: np.ndarray, z2: np.ndarray) -> np.ndarray:
    """Return the angle between rows, and 0 where no plane holds it."""
    norms = np.linalg.norm(z1, axis=1) * np.linalg.norm(z2, axis=1)
    cosine = np.divide((z1 * z2).sum(1), norms, out=np.ones_like(norms), where=norms > 0)
    angle = np.arccos(cosine.clip(-1, 1))
    return np.where(angle > np.pi - 1e-3, 0.0, angle)


def _linear(t: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 1 - t, t


def _spherical(t: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``sin((1 − t) ω) / sin ω`` and ``sin(t ω) / sin ω``, at ω = 0 their limits."""

    def ratio(s: np.ndarray) -> np.ndarray:
        return s * np.sinc(s * angle / np.pi) / np.sinc(angle / np.pi)

    return ratio(1 - t), ratio(t)


_WEIGHTS = {"linear": _linear, "spherical": _spherical}
