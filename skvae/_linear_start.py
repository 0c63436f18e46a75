"""Where the training of a table starts: at the factor analysis of its rows, or their PCA.

A linear decoder with normal noise is factor analysis, whose posterior is linear too. Networks with
a linear path beside their hidden layers can be set to that solution, the hidden layers' share to
zero: training then starts at the bound of the linear model, which is its log-likelihood. Where
noise is correlated, components need not explain how columns vary together, and start at PCA.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods._guess import has_any_covariance
from skvae.model import VAE

FEWEST_ROWS = 3
"""Fewer rows say nothing of how columns vary together."""

SMALL_SIDE = 300
"""Matrices with no more rows or columns than this are decomposed in full."""

MORE, STEPS, STEPS_FROM_SIMILAR = 10, 7, 2
"""Vectors beyond those that are looked for, and steps to them."""

LARGE = 2**23
"""So many values are decomposed in float32: half the memory, and half the time."""

TOLERANCE = 1e-4
"""Nats per row that count as progress."""

LEVEL = 1e-3
"""Nats per row by which two solutions differ that are the same but for the steps still to come."""

OPERATIONS = 3e10
"""What the iterations may cost: seconds."""

BLOCK = 2**22
"""Second moments of z, of some rows at a time: so many numbers."""

IDLE = 1.0
"""A factor with no more information on z than the prior has tells little of the rows."""

FILLINGS = 10
"""Times that gaps are filled by what is known of a context's effect: they hide a share of it."""

ROUNDS = 10
"""Steps that fit the noise to an encoder which is not told the context."""

LEAST_LEFT = 1e-3
"""The share of a column's standard deviation that a context is taken to leave of it at least."""

SHARE = 0.8
"""Of the variance along a principal component, what an idle factor that is given it explains."""


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

    @classmethod
    def turned(cls, mean: np.ndarray, loadings: np.ndarray, noise: np.ndarray) -> Factors:
        """Return the factors of the same rows whose posterior is diagonal."""
        information, turn = np.linalg.eigh((loadings / noise[:, None]).T @ loadings)
        order = np.argsort(-information)
        return cls(mean, loadings @ turn[:, order], noise, np.maximum(information[order], 0))

    def regression(self) -> np.ndarray:
        """Return the weights ``(k, n_features)`` of ``E[z|x]`` on ``x − mean``."""
        return (self.loadings / self.noise[:, None]).T / (1 + self.information[:, None])

    def expected(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean of p(x|z), where z is expected by what is observed of each row.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        """
        observed = (~np.isnan(rows)).astype(float)
        x = np.where(observed, rows, 0.0)
        z = np.concatenate([expectations(self, x[s], observed[s])[0] for s in self.blocks(rows)])
        return z @ np.column_stack([self.loadings, self.mean]).T

    def draw(self, rows: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of whole rows given what is observed of them, ``(n_draws, n, n_features)``.

        Parameters
        ----------
        rows : ndarray of shape (n, n_features)
            NaN where a value is missing.
        n_draws : int
            Of each row.
        rng : numpy.random.Generator
            Decides the draws.
        """
        observed = (~np.isnan(rows)).astype(float)
        x = np.where(observed, rows, 0.0)
        drawn = rng.standard_normal((n_draws, *rows.shape)) * np.sqrt(self.noise) + self.mean
        for some in self.blocks(rows):
            information, residual = _information(self, x[some], observed[some])
            mean = np.linalg.solve(information, (residual @ self.loadings)[..., None])
            noise = rng.standard_normal((*mean.shape[:2], n_draws))
            # Of the inverse of L·Lᵀ, which is the covariance, L⁻ᵀ is a root.
            root = np.linalg.cholesky(information).transpose(0, 2, 1)
            z = (mean + np.linalg.solve(root, noise)).transpose(2, 0, 1)
            drawn[:, some] += z @ self.loadings.T
        return drawn

    def blocks(self, rows: np.ndarray) -> list[slice]:
        """Return the positions of rows, as many at a time as their second moments leave memory."""
        size = max(1, BLOCK // (self.loadings.shape[1] + 1) ** 2)
        return [slice(start, start + size) for start in range(0, max(1, len(rows)), size)]


def factor_analysis(
    rows: np.ndarray,
    n_components: int,
    least_noise: np.ndarray,
    tolerance: float = TOLERANCE,
    near_pca: bool = False,
) -> Factors:
    """Return the factor analysis of some rows, by maximum likelihood, with no factor idle.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        At least two; NaN where a value is missing.
    n_components : int
        At most as many are found as there are columns, and rows less one.
    least_noise : ndarray of shape (n_features,)
        The share of a column's variance that is noise at least.
    tolerance : float, default=1e-4
        Nats per row that count as progress.
    near_pca : bool, default=False
        Whether it is, of solutions that are equally likely, one that leaves little of the rows to
        the noise.
    """
    missing = np.isnan(rows)
    how = n_components, least_noise, tolerance, near_pca
    if not missing.any():
        return _without_idle(*_of_whole(rows, *how))
    mean = np.where(missing, 0.0, rows).sum(0) / np.maximum((~missing).sum(0), 1)
    filled = np.where(missing, mean, rows)
    factors, _, least = _of_whole(filled, *how)
    factors, filled = _of_observed(factors, rows, least, tolerance)
    return _without_idle(factors, _root(filled - factors.mean), least)


def principal_components(rows: np.ndarray, n_components: int, least_noise: np.ndarray) -> Factors:
    """Return the probabilistic PCA of some rows without gaps (Tipping and Bishop 1999).

    Its noise is the same for all columns (https://doi.org/10.1111/1467-9868.00196).

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        At least two.
    n_components : int
        At most as many are found as there are columns, and rows less one.
    least_noise : ndarray of shape (n_features,)
        The share of a column's variance that is noise at least.
    """
    n, d = rows.shape
    k = min(n_components, d, n - 1)
    mean = rows.mean(0, dtype=np.float64)
    root = _root(rows - mean.astype(rows.dtype))
    variance = np.einsum("ij,ij->", root, root, dtype=np.float64)
    singular, axes, _ = _leading(root, k)
    left = (variance - np.square(singular).sum()) / max(d - k, 1)
    noise = max(left, float(least_noise.max()) * variance / d)
    loadings = axes.T * np.sqrt(np.maximum(np.square(singular) - noise, 0))
    return Factors.turned(mean, loadings, np.full(d, noise))


def _root(centered: np.ndarray) -> np.ndarray:
    """Return a matrix, of few rows, whose ``rootᵀ · root`` is the covariance of centered rows.

    The rows are overwritten.
    """
    n, d = centered.shape
    root = np.linalg.qr(centered, mode="r") if n > d else centered
    root /= np.sqrt(n)
    return root


def _of_whole(
    rows: np.ndarray, n_components: int, least_noise: np.ndarray, tolerance: float, near_pca: bool
) -> tuple[Factors, np.ndarray, np.ndarray]:
    """Return the factors of rows without gaps, their root, and the least variance of the noise.

    Few columns have many solutions that are as likely, the more so the closer their number is to
    that of the components; see ``has_any_covariance``. Steps from the noise of probabilistic PCA
    (Tipping and Bishop 1999, https://doi.org/10.1111/1467-9868.00196) find one there that leaves
    little of the rows to the noise.
    """
    n, d = rows.shape
    k = min(n_components, d, n - 1)
    mean = rows.mean(0, dtype=np.float64)
    root = _root(rows - mean.astype(rows.dtype))
    squares = np.einsum("ij,ij->j", root, root, dtype=np.float64)
    # A column that is constant in these rows need not be in others.
    variance = np.maximum(squares, squares.mean() or 1.0)
    least = least_noise * variance
    found = _improved(variance, root, squares, variance, least, k, tolerance)
    if near_pca and has_any_covariance(d, k):
        singular = np.linalg.svd(root, compute_uv=False)
        n_principal = min(k, d - 1, n - 2)
        left = (squares.sum() - np.square(singular[:n_principal]).sum()) / (d - n_principal)
        noise = np.maximum(left, least)
        principal = _improved(noise, root, squares, variance, least, k, tolerance)
        found = principal if principal[0] > found[0] - LEVEL else found
    return Factors.turned(mean, *found[1:]), root, least


def _improved(
    noise: np.ndarray,
    root: np.ndarray,
    squares: np.ndarray,
    variance: np.ndarray,
    least: np.ndarray,
    k: int,
    tolerance: float,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return a log-likelihood, and loadings and noise that have it, by steps from some noise.

    Each takes the loadings from the leading singular vectors of the columns divided by their noise,
    and the noise from what the loadings leave (Barber 2012, algorithm 21.1,
    http://www.cs.ucl.ac.uk/staff/d.barber/brml).
    """
    before, similar = -np.inf, None
    n_iterations = int(np.clip(OPERATIONS / (20 * root.size * min(k + 10, *root.shape)), 20, 1000))
    for _ in range(n_iterations):
        scaled = root / np.sqrt(noise).astype(root.dtype)
        singular, axes, similar = _leading(scaled, k, similar)
        loadings = np.sqrt(noise) * np.sqrt(np.maximum(singular**2 - 1, 0))[:, None] * axes
        log_p = _log_likelihood(squares, noise, singular)
        noise = np.maximum(variance - np.square(loadings).sum(0), least)
        if log_p - before < tolerance:
            break
        before = log_p
    return log_p, loadings.T, noise


def _of_observed(
    factors: Factors, rows: np.ndarray, least: np.ndarray, tolerance: float
) -> tuple[Factors, np.ndarray]:
    """Return the factors of rows with gaps by some steps of EM, and the rows, filled by E[x].

    The expectations of z are those given the observed values of a row; loadings and mean of a
    column are then a regression over the rows in which it is observed (Rubin and Thayer 1982,
    https://doi.org/10.1007/BF02293851).
    """
    n, d = rows.shape
    k = factors.loadings.shape[1]
    observed = (~np.isnan(rows)).astype(float)
    x = np.where(observed, rows, 0.0)
    counts = np.maximum(observed.sum(0), 1)
    squares = np.square(x).sum(0)
    n_iterations = int(np.clip(OPERATIONS / (4 * n * d * (k + 1) ** 2), 5, 200))
    blocks = factors.blocks(rows)
    before = -np.inf
    for _ in range(n_iterations):
        moments = np.zeros((d, (k + 1) ** 2))
        products = np.zeros((d, k + 1))
        log_p = 0.0
        for some in blocks:
            z, second, log_p_some = expectations(factors, x[some], observed[some])
            moments += observed[some].T @ second.reshape(len(z), -1)
            products += x[some].T @ z
            log_p += float(log_p_some.sum())
        # One observation's worth of no loadings: a column may be seen in fewer rows than k.
        moments = moments.reshape(d, k + 1, k + 1) + np.diag([1.0] * k + [0.0])
        moments[:, k, k] = np.maximum(moments[:, k, k], 1)
        weights = np.linalg.solve(moments, products[:, :, None])[..., 0]
        noise = np.maximum((squares - (weights * products).sum(1)) / counts, least)
        factors = Factors(weights[:, k], weights[:, :k], noise, factors.information)
        if log_p - before < tolerance * n:
            break
        before = log_p
    factors = Factors.turned(*factors[:3])
    return factors, np.where(observed, rows, factors.expected(rows))


def _information(
    factors: Factors, x: np.ndarray, observed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse covariance of z given what is observed, and what weighs on its mean."""
    mean, loadings, noise, _ = factors
    n, k = len(x), loadings.shape[1]
    precision = observed / noise
    outer = (loadings[:, :, None] * loadings[:, None, :]).reshape(-1, k * k)
    return np.eye(k) + (precision @ outer).reshape(n, k, k), precision * (x - mean)


def expectations(
    factors: Factors, x: np.ndarray, observed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what rows tell of z.

    Parameters
    ----------
    factors : Factors
        Of which the information does not matter.
    x : ndarray of shape (n, n_features)
        Rows, with anything where a value is missing.
    observed : ndarray of shape (n, n_features)
        1, and 0 where one is missing.

    Returns
    -------
    z : ndarray of shape (n, k + 1)
        The means of z, and 1, given what is observed.
    second : ndarray of shape (n, k + 1, k + 1)
        Their second moments.
    log_p : ndarray of shape (n,)
        Nats of what is observed, but for half log 2π for each value.
    """
    mean, loadings, noise, _ = factors
    n, k = len(x), loadings.shape[1]
    information, residual = _information(factors, x, observed)
    covariance = np.linalg.inv(information)
    z = np.ones((n, k + 1))
    z[:, :k] = np.einsum("nij,nj->ni", covariance, residual @ loadings)
    second = z[:, :, None] * z[:, None, :]
    second[:, :k, :k] += covariance
    explained = ((residual @ loadings) * z[:, :k]).sum(1)
    log_det = np.linalg.slogdet(information)[1] + observed @ np.log(noise)
    return z, second, -0.5 * ((residual * (x - mean)).sum(1) - explained + log_det)


def _log_likelihood(squares: np.ndarray, noise: np.ndarray, singular: np.ndarray) -> float:
    """Return the mean log-likelihood of the best loadings for some noise, but for a constant."""
    explained = np.maximum(singular**2, 1)
    return -0.5 * float(
        np.log(noise).sum() + (squares / noise).sum() + (np.log(explained) - explained + 1).sum()
    )


def _without_idle(factors: Factors, root: np.ndarray, least: np.ndarray) -> Factors:
    """Give the factors that tell little the principal components of what the others leave.

    Where a column varies by itself the likelihood does not mind whether a factor or the noise
    explains it; a reducer does.
    """
    n_busy = int((factors.information > IDLE).sum())
    n_idle = len(factors.information) - n_busy
    if not n_idle:
        return factors
    busy = factors.loadings[:, :n_busy]
    explained = root @ factors.regression()[:n_busy].T.astype(root.dtype)
    left = root - explained @ busy.T.astype(root.dtype)
    singular, axes, _ = _leading(left, n_idle)
    added = (math.sqrt(SHARE) * singular[:, None] * axes).T
    noise = factors.noise + np.square(factors.loadings[:, n_busy:]).sum(1)
    noise = np.maximum(noise - np.square(added).sum(1), np.maximum(least, (1 - SHARE) / 4 * noise))
    return Factors.turned(factors.mean, np.hstack([busy, added]), noise)


def _leading(
    root: np.ndarray, k: int, similar: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the k largest singular values, their right vectors, as rows, and some more of these.

    Of a large matrix by subspace iteration (Halko, Martinsson and Tropp 2011,
    https://doi.org/10.1137/090771806), which takes few steps from the vectors of a similar one.
    """
    if min(root.shape) <= SMALL_SIDE:
        _, singular, axes = np.linalg.svd(root, full_matrices=False)
    else:
        if similar is None:
            start = np.random.default_rng(0).standard_normal((k + MORE, root.shape[1]))
            similar, steps = start.astype(root.dtype), STEPS
        else:
            steps = STEPS_FROM_SIMILAR
        basis = similar.T
        for _ in range(steps):
            basis = np.linalg.qr(root.T @ (root @ basis))[0]
        _, singular, turn = np.linalg.svd(root @ basis, full_matrices=False)
        axes = turn @ basis.T
    return singular[:k].astype(np.float64), axes[:k].astype(np.float64), axes


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
