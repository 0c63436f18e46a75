"""Parts of a model, and an estimator, as others would write them outside the package."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted
from torch import distributions as td
from torch import nn

from skvae import VariationalAutoencoder
from skvae.distributions import Independent, InverseTransformSampling, Normal
from skvae.objectives import Bound


class SeededLaplace(InverseTransformSampling, td.Laplace):
    pass


class Vector(td.Independent):
    def sample(self, sample_shape=(), generator=None):
        return self.base_dist.sample(sample_shape, generator=generator)


class LaplaceLikelihood(nn.Module):
    """Unit-scale Laplace noise; inherits nothing of ours."""

    n_params = 1
    support = td.constraints.real
    requirement = "numbers"
    cure = "None needed."

    def initialize(self, loc, scale):
        self.register_buffer("loc", loc)

    def embed(self, x):
        return x - self.loc

    def forward(self, params):
        loc = params[..., 0] + self.loc.to(params.dtype)
        return Vector(SeededLaplace(loc, torch.ones_like(loc)), 1)


class LaplacePrior(nn.Module):
    """p(z) = Laplace(0, 1)."""

    def initialize(self, latent_dim):
        self.register_buffer("loc", torch.zeros(latent_dim))

    def forward(self):
        return Vector(SeededLaplace(self.loc, torch.ones_like(self.loc)), 1)


class ShiftedNormal(nn.Module):
    """p(z|c) = N(W c, 1): a prior that sees the context of a row."""

    sees_context = True

    def initialize(self, latent_dim, n_context):
        self.weight = nn.Parameter(torch.zeros(n_context, latent_dim))

    def forward(self, context):
        loc = context @ self.weight
        return Independent(Normal(loc, torch.ones_like(loc)))


class GivenColumns(TransformerMixin, BaseEstimator):
    """A VAE of all columns but the last ones, which every row is given."""

    def __init__(self, vae=None, n_given=1):
        self.vae = vae
        self.n_given = n_given

    def _split(self, X):
        X = np.asarray(X)
        return X[:, : -self.n_given], X[:, -self.n_given :]

    def fit(self, X, y=None):
        vae = VariationalAutoencoder() if self.vae is None else clone(self.vae)
        rows, given = self._split(X)
        self.vae_ = vae._fit(rows, None, continued=False, context=given)
        return self

    def transform(self, X):
        check_is_fitted(self)
        rows = self.vae_._read(*self._split(X))
        return self.vae_._inference(rows.dtype).transform(rows)

    def score_samples(self, X):
        rows = self.vae_._read(*self._split(X))
        reconstruction, kl = self.vae_._inference(rows.dtype).terms(rows)
        return reconstruction - kl


class SquaredBound:
    """An objective that is called like ours, two draws a row."""

    n_samples = 2

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        reconstruction = likelihood.log_prob(x).mean(0)
        kl = (posterior.log_prob(z) - prior.log_prob(z)).mean(0)
        return Bound(kl - reconstruction, reconstruction, kl)


def mlp(n_in, n_out):
    """A body with dropout-free normalisation, none of our layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n_in, 24), nn.LayerNorm(24), nn.GELU(), nn.Linear(24, n_out))


class PixelDecoder(nn.Module):
    """z to feature images of full size, for 8×8 images."""

    def __init__(self, n_components):
        super().__init__()
        torch.manual_seed(0)
        self.up = nn.Linear(n_components, 5 * 64)

    def forward(self, z):
        return torch.relu(self.up(z)).unflatten(1, (5, 8, 8))
