"""Where the training of a table starts: at the factor analysis of its rows, or their PCA.

A linear decoder with normal noise is factor analysis, whose posterior is linear too. Networks with
a linear path beside their hidden layers can be set to that solution, the hidden layers' share to
zero: training then starts at the bound of the linear model, which is its log-likelihood. Where
noise is correlated, components need not explain how columns vary together, and start at PCA.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae._factor_analysis import (
    FEWEST_ROWS,
    Factors,
    factor_analysis,
    principal_components,
)
from skvae.model import VAE

LARGE = 2**22
"""So many values are decomposed in float32: half the memory, and half the time."""

FILLINGS = 10
"""Times that gaps are filled by what is known of a context's effect: they hide a share of it."""

ROUNDS = 10
"""Steps that fit the noise to an encoder which is not told the context."""

LEAST_LEFT = 1e-3
"""The share of a column's standard deviation that a context is taken to leave of it at least."""


def _mean(rows: np.ndarray) -> np.ndarray:
    """Return the mean of the observed values of each column."""
    return np.nan_to_num(rows).sum(0) / np.maximum((~np.isnan(rows)).sum(0), 1)


def _filled(rows: np.ndarray) -> np.ndarray:
    """Return rows less the mean of their columns, 0 where a value is missing."""
    return np.nan_to_num(rows - _mean(rows))


class Effect(NamedTuple):
    """What a context adds to rows: ``x = mean + effect · (c − centre) + the rest``.

    Attributes
    ----------
    effect : ndarray of shape (n_features, n_context)
        By least squares.
    centre : ndarray of shape (n_context,)
        The mean of the contexts.
    root : ndarray of shape (n_context, n_context)
        ``root · rootᵀ`` is their covariance.
    rest : ndarray of shape (n, n_features)
        Rows without the effect.
    """

    effect: np.ndarray
    centre: np.ndarray
    root: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, context: np.ndarray) -> Effect:
        """Return the effect of a context on rows, which may have gaps."""
        if not context.shape[1]:
            nothing = np.empty((rows.shape[1], 0))
            return cls(nothing, np.empty(0), np.empty((0, 0)), rows)
        centre = context.mean(0)
        centered = context - centre
        # One observation's worth of no effect: a category may be that of few rows.
        squares = centered.T @ centered
        regression = np.linalg.solve(squares + np.eye(len(centre)), centered.T)
        missing = np.isnan(rows)
        left = _filled(rows)
        for _ in range(FILLINGS if missing.any() else 1):
            effect = regression @ left
            left = np.where(missing, centered @ effect, left)
        variances, axes = np.linalg.eigh(squares / len(rows))
        root = axes * np.sqrt(np.maximum(variances, 0))
        return cls(effect.T, centre, root, rows - centered @ effect)

    def correlated(
        self, rows: np.ndarray, n_components: int, least_noise: np.ndarray
    ) -> tuple[Factors, np.ndarray]:
        """Return the probabilistic PCA of the rest, and the covariance of all that it leaves.

        It leaves the noise, and what is not known of z given x (and c, if it has to be guessed).
        With it as the covariance of the noise, the bound is the log-likelihood of one normal
        distribution of whole rows. Gaps are filled by what a factor analysis expects there.
        """
        missing, whole, unknown = np.isnan(rows), self, np.zeros(rows.shape[1])
        if missing.any():
            filling = self.factors(rows, n_components, least_noise)
            whole = self._replace(rest=np.where(missing, filling.expected(self.rest), self.rest))
            unknown = missing.mean(0) * filling.noise
        factors = principal_components(whole.rest, n_components, least_noise)
        left = whole._left(factors, _filled(rows))
        of_z = factors.loadings / (1 + factors.information) @ factors.loadings.T
        covariance = left.T @ left / len(left) + of_z
        variance = np.square(_filled(rows)).mean(0)
        least = least_noise * np.where(variance > 0, variance, 1.0)
        return factors, covariance + np.diag(least + unknown)

    def factors(self, rows: np.ndarray, n_components: int, least_noise: np.ndarray) -> Factors:
        """Return the factor analysis of the rest, of which a context may leave little.

        It goes by how much columns vary, and is shown the rest with the spread that rows had.
        """
        if not len(self.centre):
            return factor_analysis(rows, n_components, least_noise, near_pca=True)
        of_rows, of_rest = (np.sqrt(_mean(np.square(x - _mean(x)))) for x in (rows, self.rest))
        left = np.divide(of_rest, of_rows, where=of_rows > 0, out=np.ones_like(of_rows))
        left = np.clip(left, LEAST_LEFT, 1.0)
        least = np.minimum(least_noise / np.square(left), 1.0)
        found = factor_analysis(self.rest / left, n_components, least, near_pca=True)
        mean, loadings, noise, information = found
        return Factors(left * mean, left[:, None] * loadings, np.square(left) * noise, information)

    def guess(self, factors: Factors) -> np.ndarray:
        """Return the weights ``(n_context, n_features)`` of ``E[c − centre | x]`` on ``x − mean``.

        Context and z are the factors of one linear model there, the rest being noise.
        """
        loadings = np.hstack([self.effect @ self.root, factors.loadings])
        scaled = (loadings / factors.noise[:, None]).T
        weights = np.linalg.solve(np.eye(len(scaled)) + scaled @ loadings, scaled)
        return self.root @ weights[: len(self.centre)]

    def regression(self, factors: Factors) -> np.ndarray:
        """Return the weights of ``E[z|x]`` on ``x − mean`` where c has to be guessed from x."""
        of_x = factors.regression()
        return of_x - of_x @ self.effect @ self.guess(factors)

    def _left(self, factors: Factors, filled: np.ndarray) -> np.ndarray:
        """Return what is left of rows without what E[z|x] tells, where c has to be guessed."""
        return self.rest - factors.mean - filled @ self.regression(factors).T @ factors.loadings.T

    def untold(self, factors: Factors, rows: np.ndarray) -> Factors:
        """Return the factors with the noise that is left where c has to be guessed from x.

        By some steps of variational EM, which leave loadings and effect as they are.
        """
        if not len(self.centre):
            return factors
        filled = _filled(rows)
        for _ in range(ROUNDS):
            left = self._left(factors, filled)
            of_z = np.square(factors.loadings) @ (1 / (1 + factors.information))
            noise = np.maximum(_mean(np.square(left)) + of_z, factors.noise)
            factors = Factors.turned(factors.mean, factors.loadings, noise)
        return factors


@torch.no_grad()
def start_linear(vae: VAE, embedded: Tensor, context: Tensor | None = None) -> None:
    """Set a model with linear paths to the factor analysis of some rows.

    With a context, it is that of what the context leaves of them: ``x = mean + effect · c +
    loadings · z + noise``. An encoder that is not told c goes by what x says of it.

    Parameters
    ----------
    vae : VAE
        Whose bodies return what they are given, and behind it the features of their hidden layers,
        and whose likelihood and posterior family start linear. Where the rows are too few it stays
        as it is.
    embedded : Tensor of shape (n, n_embedded)
        Rows as the likelihood embeds them.
    context : Tensor of shape (n, n_context), default=None
        What they are given.
    """
    if len(embedded) < FEWEST_ROWS:
        return
    is_large = embedded.numel() >= LARGE and context is None and not bool(embedded.isnan().any())
    rows = (embedded.float() if is_large else embedded.double()).numpy()
    given = Effect.of(
        rows, np.empty((len(rows), 0)) if context is None else context.double().numpy()
    )
    likelihood = vae.likelihood_family
    least_noise = torch.as_tensor(likelihood.least_noise).expand(embedded.shape[1]).numpy()
    if getattr(likelihood, "correlated", False):
        factors, noise = given.correlated(rows, vae.latent_dim, least_noise)
    else:
        factors = given.factors(rows, vae.latent_dim, least_noise)
        if not vae.encoder.sees_context:
            factors = given.untold(factors, rows)
        noise = factors.noise
    _start_encoder(vae, factors, given)
    _start_decoder(vae, factors, noise, given)


def _start_encoder(vae: VAE, factors: Factors, given: Effect) -> None:
    """Set q(z|x), or q(z|x, c), to the posterior of the linear model."""
    encoder: Any = vae.encoder
    if encoder.sees_context:
        of_x = factors.regression()
        of_context = -of_x @ given.effect
        shift = -of_x @ factors.mean - of_context @ given.centre
        n_missing = vae.n_features * encoder.sees_missing
        of_x = np.hstack([of_x, np.zeros((len(of_x), n_missing)), of_context])
    else:
        of_x = given.regression(factors)
        shift = -of_x @ factors.mean
    scale = (1 + factors.information) ** -0.5
    encoder.head.start(*map(torch.from_numpy, (of_x, shift, scale)))


def _start_decoder(vae: VAE, factors: Factors, noise: np.ndarray, given: Effect) -> None:
    """Set p(x|z, c) to the linear model."""
    k = factors.loadings.shape[1]
    # A likelihood takes what it is given for factors of variance 1.
    spread = np.sqrt(np.square(given.root).sum(1))
    loadings = np.hstack([factors.loadings, given.effect * spread])
    moments = map(torch.from_numpy, (factors.mean, loadings, noise))
    weight, bias = vae.likelihood_family.start(*moments)
    of_context = weight[..., k:] / torch.from_numpy(np.where(spread > 0, spread, 1.0))
    decoder: Any = vae.decoder
    head = decoder[-1][0]
    head.weight.zero_()
    head.weight[:, :k] = weight[..., :k].flatten(0, 1)
    n_told = vae.latent_dim + len(spread)
    head.weight[:, vae.latent_dim : n_told] = of_context.flatten(0, 1)
    head.bias.copy_((bias - of_context @ torch.from_numpy(given.centre)).flatten())
