"""Noise for expectations over q(z|x): fixed for each row, independent between rows.

Every row rotates one quasi-random point set by a shift of its own, modulo 1, made from a
hash of the row (Cranley and Patterson 1976, https://doi.org/10.1137/0713071). So the same row has
the same noise in any batch and order, and the errors of different rows average out.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from skvae._data import mix

N_PAIRS = 4
"""Antithetic pairs behind an elbo: eight decoder passes a row."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _shifts(keys: np.ndarray, n_components: int) -> Tensor:
    """Return uniform numbers of shape ``(n, n_components)``, a function of each row's key."""
    component = np.arange(1, n_components + 1, dtype=np.uint64) * _GOLDEN
    words = mix(keys[:, np.newaxis] + component)
    return torch.from_numpy((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)


@cache
def sobol(n_points: int, n_components: int) -> Tensor:
    """Return scrambled Sobol points in the unit cube, ``(n_points, n_components)``."""
    engine = torch.quasirandom.SobolEngine(n_components, scramble=True, seed=0)
    return engine.draw(n_points, dtype=torch.float64)


def rotated_noise(keys: np.ndarray, points: Tensor) -> Tensor:
    """Return standard normal noise of shape ``(n_points, n, n_components)``.

    The keys are a hash of each row; the points lie in the unit cube.
    """
    u = (points.unsqueeze(1) + _shifts(keys, points.shape[1])) % 1.0
    return torch.special.ndtri(u.clamp(2.0**-54, 1 - 2.0**-53))


def balanced_noise(keys: np.ndarray, n_components: int) -> Tensor:
    """Return ``2·N_PAIRS`` draws a row with the mean 0 and variance 1 of every component exact.

    Antithetic pairs, scaled: the expectation of any function that is linear in z plus a
    sum of squares of its components comes out exactly, as in linear-Gaussian models.
    """
    noise = rotated_noise(keys, sobol(N_PAIRS, n_components))
    noise = noise / noise.square().mean(0).sqrt()
    return torch.cat([noise, -noise])
