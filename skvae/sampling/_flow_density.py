"""A normalizing flow as a density estimator."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from torch import distributions as td

from skvae import _random
from skvae._numbers import real, whole
from skvae._random import Stream
from skvae._uncompiled import Adam


class FlowDensity(BaseEstimator):
    """A normalizing flow as a scikit-learn density estimator.

    ``fit`` maximises the mean log-density of the rows by a fixed number of steps of Adam, on the
    CPU. Rows are standardised first, because flows start near the standard normal distribution.

    Parameters
    ----------
    flow : torch.nn.Module
        A module such as ``zuko.flows.NSF(2)``. Called without arguments, it must return a
        distribution of vectors with ``log_prob`` and ``sample``. ``fit`` makes a copy of it.
    n_steps : int, default=1000
        Number of steps of the optimiser.
    learning_rate : float, default=1e-3
        Step size of the optimiser.
    batch_size : int, default=256
        Number of rows in each step, drawn with replacement.
    random_state : int, RandomState instance or None, default=None
        Seed of the batches, and of ``sample`` if no ``random_state`` is given there. The initial
        weights are those of ``flow``.

    Attributes
    ----------
    flow_ : torch.nn.Module
        The fitted flow, over standardised rows.
    loc_, scale_ : ndarray of shape (n_features,)
        Mean and standard deviation of the columns.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it has any.

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
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range, X is not a matrix of finite numbers, the flow is one
            over vectors of another size, or the density is no longer finite.
        """
        for name in ("n_steps", "batch_size"):
            whole(getattr(self, name), name)
        real(self.learning_rate, "learning_rate")
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
        optimizer = Adam(self.flow_.parameters(), lr=self.learning_rate)
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
            When the estimator is not fitted.
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
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. If ``None``, the ``random_state`` of the estimator is used.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of X.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number.
        NotFittedError
            When the estimator is not fitted.
        """
        check_is_fitted(self)
        n_samples = whole(n_samples, "n_samples")
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
