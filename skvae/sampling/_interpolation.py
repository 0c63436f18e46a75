"""Paths through the latent space, decoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from skvae._fitted import opened
from skvae._numbers import whole


def interpolate(vae: Any, x1: Any, x2: Any, n: int = 10, *, method: str = "linear") -> np.ndarray:
    """Decode a path through the latent space from one row to another.

    The path joins the posterior means z1 and z2, at n equally spaced values t from 0 to 1. So it
    starts and ends at the reconstructions of ``x1`` and ``x2``.

    Parameters
    ----------
    vae : VariationalAutoencoder, Pipeline or search
        The fitted model. Steps of a pipeline before the model are applied to the rows, and inverted
        for the result.
    x1, x2 : array-like of shape (n_features,) or (m, n_features)
        One row each, or matrices of m rows each, which are joined in pairs.
    n : int, default=10
        Number of points on each path, including both ends.
    method : {"linear", "spherical"}, default="linear"
        ``(1 − t) z1 + t z2``, or ``(sin((1 − t) ω) z1 + sin(t ω) z2) / sin ω`` with ω the angle
        between them (Shoemake 1985, https://doi.org/10.1145/325334.325242). In many dimensions,
        points z of a normal prior have similar distances from the origin. A spherical path keeps
        this distance; a linear path does not (White 2016, https://arxiv.org/abs/1609.04468).
        Between parallel or opposite vectors, and from the origin, the spherical path is the linear
        one.

    Returns
    -------
    X : ndarray of shape (n, n_features) or (m, n, n_features)
        Means of p(x|z), in the units of X.

    Raises
    ------
    ValueError, TypeError
        When ``x1`` and ``x2`` differ in shape, ``n`` is below 2, or ``method`` has another value,
        and for the same reasons as ``VariationalAutoencoder.transform``.
    NotFittedError
        When the estimator is not fitted.

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
    inside, n = opened(vae, "vae"), whole(n, "n", least=2)
    if method not in _WEIGHTS:
        raise ValueError(f"method={method!r} must be one of {sorted(_WEIGHTS)}.")
    if np.shape(x1) != np.shape(x2):
        raise ValueError(
            f"x1 has shape {np.shape(x1)}, x2 {np.shape(x2)}. Give two rows, or two matrices "
            "of as many."
        )
    rows = [np.asarray(x)[None] if np.ndim(x) == 1 else x for x in (x1, x2)]
    z1, z2 = (inside.model.posterior(inside.encode(x))[0] for x in rows)
    t = np.linspace(0, 1, n)[:, None]
    first, second = _WEIGHTS[method](t, _angle(z1, z2)[:, None, None])
    Z = (first * z1[:, None] + second * z2[:, None]).astype(z1.dtype)
    decoded = inside.model.inverse_transform(Z.reshape(-1, Z.shape[-1]))
    X = inside.decode(decoded).reshape(len(z1), n, -1)
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
