"""Factor analysis and probabilistic PCA of rows, by maximum likelihood."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

FEWEST_ROWS = 3
"""Fewer rows say nothing of how columns vary together."""

SMALL_SIDE = 300
"""Matrices with no more rows or columns than this are decomposed in full."""

MORE, STEPS, STEPS_FROM_SIMILAR = 10, 7, 2
"""Vectors beyond those that are looked for, and steps to them."""

TOLERANCE = 1e-4
"""Nats per row that count as progress."""

LEVEL = 1e-3
"""Nats per row by which two solutions differ that are the same but for the steps still to come."""

OPERATIONS = 3e10
"""What the iterations may cost: seconds."""

ROWS = 1000
"""So many rows at a time are turned to float64."""

BLOCK = 2**22
"""Second moments of z, of some rows at a time: so many numbers."""

IDLE = 1.0
"""A factor with no more information on z than the prior has tells little of the rows."""

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


def gain_of_covariance(
    rows: np.ndarray, n_components: int, least_noise: np.ndarray
) -> tuple[float, int]:
    """Return what one normal distribution of whole rows says more of them than factor analysis.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        At least two, without gaps.
    n_components : int
        Of the factor analysis, with no factor idle, which is where training starts.
    least_noise : ndarray of shape (n_features,)
        The share of a column's variance that is noise at least.

    Returns
    -------
    gain : float
        Nats per row by which the log-likelihood is higher.
    n_parameters : int
        By how many the parameters are more; not positive where factor analysis has them all.
    """
    d = rows.shape[1]
    factors = factor_analysis(rows, n_components, least_noise)
    k = factors.loadings.shape[1]
    centered = rows - factors.mean
    covariance = centered.T @ centered / len(rows)
    of_factors = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
    own = covariance + np.diag(least_noise * covariance.diagonal())
    gain = _mean_log_p(covariance, own) - _mean_log_p(covariance, of_factors)
    return gain, d * (d - 1) // 2 - (d * k - k * (k - 1) // 2)


def _mean_log_p(covariance: np.ndarray, of_model: np.ndarray) -> float:
    """Return the mean log-likelihood of rows with a covariance, but for a constant."""
    trace = np.linalg.solve(of_model, covariance).trace()
    return -0.5 * float(np.linalg.slogdet(of_model)[1] + trace)


def _root(centered: np.ndarray) -> np.ndarray:
    """Return a matrix, of few rows, whose ``rootᵀ · root`` is the covariance of centered rows.

    The rows are overwritten.
    """
    n, d = centered.shape
    if n <= 2 * d:
        centered /= np.sqrt(n)
        return centered
    # In half the time of a QR decomposition. What it rounds is far below the least noise.
    covariance = np.zeros((d, d))
    for start in range(0, n, ROWS):
        some = np.asarray(centered[start : start + ROWS], dtype=np.float64)
        covariance += some.T @ some / n
    variances, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(variances, 0))
    return root.T.astype(centered.dtype)


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


def has_any_covariance(n_columns: int, n_components: int) -> bool:
    """Return whether factor analysis has, with so many components, (nearly) every covariance.

    Its parameters are then as many as those of a covariance matrix (Ledermann 1937,
    https://doi.org/10.1007/BF02288062), and many solutions are as likely as each other.
    """
    return (n_columns - n_components) ** 2 <= n_columns + n_components
