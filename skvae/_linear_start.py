"""Where the training of a table starts: at the factor analysis of its rows.

A linear decoder with normal noise is factor analysis, whose posterior is linear too. Networks with
a linear path beside their hidden layers can be set to that solution, the hidden layers' share to
zero: training then starts at the bound of the linear model, which is its log-likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from skvae.model import VAE

FEWEST_ROWS = 3
"""Fewer rows say nothing of how columns vary together."""

SMALL_SIDE = 300
"""Matrices with no more rows or columns than this are decomposed in full."""

LEAST_NOISE = 1e-6
"""A column's noise is no less than this share of its variance."""

TOLERANCE = 1e-4
"""Nats per row that count as progress."""

OPERATIONS = 3e10
"""What the iterations may cost: seconds."""


class Factors(NamedTuple):
    """A factor analysis, ``x = mean + loadings · z + noise``, turned so that q(z|x) is diagonal.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        Of the columns.
    loadings : ndarray of shape (n_features, k)
        Columns in falling order of what they tell of z.
    noise : ndarray of shape (n_features,)
        Variances.
    information : ndarray of shape (k,)
        The diagonal of ``loadingsᵀ · noise⁻¹ · loadings``: the variance of z given x is
        ``1 / (1 + information)``.
    """

    mean: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray
    information: np.ndarray

    def regression(self) -> np.ndarray:
        """Return the weights ``(k, n_features)`` of ``E[z|x]`` on ``x − mean``."""
        return (self.loadings / self.noise[:, None]).T / (1 + self.information[:, None])


def factor_analysis(rows: np.ndarray, n_components: int) -> Factors:
    """Return the factor analysis of some rows, by maximum likelihood.

    Each iteration takes the loadings from the leading singular vectors of the columns divided by
    their noise, and the noise from what the loadings leave (Lawley 1940, as in Barber 2012,
    algorithm 21.1, http://www.cs.ucl.ac.uk/staff/d.barber/brml). What comes from the last one
    is diagonal in the sense of ``Factors``.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        At least two.
    n_components : int
        At most as many are found as there are columns, and rows less one.
    """
    n, d = rows.shape
    k = min(n_components, d, n - 1)
    mean = rows.mean(0)
    root = rows - mean
    if n > d:
        root = np.linalg.qr(root, mode="r")  # rootᵀ · root stays as it is
    root /= np.sqrt(n)
    variance = np.maximum(np.square(root).sum(0), np.finfo(float).tiny)
    least = LEAST_NOISE * variance
    noise, before = variance.copy(), -np.inf
    n_iterations = int(np.clip(OPERATIONS / (20 * root.size * min(k + 10, *root.shape)), 20, 1000))
    for _ in range(n_iterations):
        singular, axes, rest = _leading(root / np.sqrt(noise), k)
        information = np.maximum(singular**2 - 1, 0)
        loadings = np.sqrt(noise * information[:, None]) * axes
        log_p = -0.5 * (np.log1p(information).sum() + np.log(noise).sum() + rest)
        log_p -= 0.5 * (np.minimum(singular**2, 1)).sum()
        noise = np.maximum(variance - np.square(loadings).sum(0), least)
        if log_p - before < TOLERANCE:
            break
        before = log_p
    information, turn = np.linalg.eigh((loadings / noise) @ loadings.T)
    order = np.argsort(-information)
    loadings = turn[:, order].T @ loadings
    return Factors(mean, loadings.T, noise, np.maximum(information[order], 0))


def _leading(root: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the k largest singular values, their right vectors, and the squares of the rest."""
    total = np.square(root).sum()
    if min(root.shape) <= SMALL_SIDE:
        _, singular, axes = np.linalg.svd(root, full_matrices=False)
    else:
        _, singular, axes = randomized_svd(root, k, random_state=0)
    singular, axes = singular[:k], axes[:k]
    return singular, axes, total - np.square(singular).sum()


@torch.no_grad()
def start_linear(vae: VAE, embedded: Tensor) -> None:
    """Set a model with linear paths to the factor analysis of some rows.

    Parameters
    ----------
    vae : VAE
        Whose bodies return what they are given behind the features of their hidden layers, and
        whose likelihood and posterior family have a method ``start``. Else, and where the rows
        are too few, it stays as it is.
    embedded : Tensor of shape (n, n_embedded)
        Rows as the likelihood embeds them.
    """
    if len(embedded) < FEWEST_ROWS:
        return
    factors = factor_analysis(embedded.double().numpy(), vae.latent_dim)
    regression = torch.from_numpy(factors.regression())
    shift = -regression @ torch.from_numpy(factors.mean)
    scale = torch.from_numpy((1 + factors.information) ** -0.5)
    vae.encoder.head.start(regression, shift, scale)
    loadings = torch.from_numpy(factors.loadings)
    weight, bias = vae.likelihood_family.start(
        torch.from_numpy(factors.mean), loadings, torch.from_numpy(factors.noise)
    )
    head = vae.decoder[-1][0]
    head.weight.zero_()
    head.weight[:, : loadings.shape[1]] = weight.flatten(0, 1)
    head.bias.copy_(bias.flatten())
