"""What a trained model says of rows: a batch at a time, on the device, numpy out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae import _quadrature
from skvae._training import Rows, hash_rows
from skvae.model import VAE, kl_per_component, marginal_kl
from skvae.objectives import ELBO

BATCH_SIZE = 256
"""Rows, or draws of z, that a network sees at once: convolutions run faster while their
activations stay in the cache."""


class Inference:
    """A model in evaluation mode and in the precision of the caller's rows.

    Parameters
    ----------
    model : VAE
    dtype : numpy dtype
        float32 or float64. Networks are trained in float32; for float64 rows they are
        converted (a copy for the time of the call), which keeps the result for a row
        independent of its batch to 1e-12 or so.
    device : str
    """

    def __init__(self, model: VAE, dtype: np.dtype | type, device: str) -> None:
        self.dtype = np.dtype(dtype)
        self.torch_dtype = torch.float64 if self.dtype == np.float64 else torch.float32
        self.device = device
        if model.dtype != self.torch_dtype:
            model = copy.deepcopy(model).to(self.torch_dtype)
        self.model = model.eval()

    @cached_property
    def prior(self) -> Any:
        """p(z), made once: a prior may run the encoder for it."""
        with torch.no_grad():
            return self.model.prior()

    def _distributions(self, x: Tensor, noise: Tensor) -> tuple[Any, Tensor, Any, Any]:
        """Return ``q(z|x), z, p(x|z), p(z)``, as the model does."""
        posterior: Any = self.model.posterior(x)
        z = posterior.reparameterize(noise.transpose(0, 1))
        return posterior, z, self.model.likelihood(z), self.prior

    def _map(
        self,
        function: Callable[[Tensor], Tensor],
        rows: Rows,
        width: int,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """Apply a function to batches of rows; return the results in one array."""
        out = np.empty((len(rows), width), self.dtype)
        with torch.inference_mode():
            for part, x in rows.batches(batch_size):
                out[part] = function(x.to(self.device)).cpu().numpy()
        return out

    def posterior(self, rows: Rows, n_components: int) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of q(z|x)."""

        def moments(x: Tensor) -> Tensor:
            q = self.model.posterior(x)
            return torch.cat([q.mean, q.stddev], -1)

        both = self._map(moments, rows, 2 * n_components)
        return both[:, :n_components], both[:, n_components:]

    def transform(self, rows: Rows, n_components: int) -> np.ndarray:
        """Return the mean of q(z|x)."""
        return self._map(lambda x: self.model.posterior(x).mean, rows, n_components)

    def decode(self, rows: Rows, n_features: int) -> np.ndarray:
        """Return the mean of p(x|z) for rows of z."""

        def mean(z: Tensor) -> Tensor:
            return self.model.likelihood(z.to(self.torch_dtype)).mean

        return self._map(mean, rows, n_features)

    def sample(
        self, n_samples: int, n_features: int, mean: bool, generator: torch.Generator
    ) -> np.ndarray:
        """Return draws of x, or of E[x|z], with z from the prior."""
        out = np.empty((n_samples, n_features), self.dtype)
        with torch.inference_mode():
            for start in range(0, n_samples, BATCH_SIZE):
                part = slice(start, min(start + BATCH_SIZE, n_samples))
                z = self.prior.sample((part.stop - start,), generator=generator)
                out[part] = self._draw(z, mean, generator).cpu().numpy()
        return out

    def sample_given(
        self, z: Rows, n_features: int, mean: bool, generator: torch.Generator
    ) -> np.ndarray:
        """Return draws of x, or E[x|z], for rows of z."""
        return self._map(
            lambda z: self._draw(z.to(self.torch_dtype), mean, generator), z, n_features
        )

    def _draw(self, z: Tensor, mean: bool, generator: torch.Generator) -> Tensor:
        p: Any = self.model.likelihood(z)  # ours and the user's take a generator
        return p.mean if mean else p.sample(generator=generator)

    def sample_posterior(self, rows: Rows, generator: torch.Generator) -> np.ndarray:
        """Return one draw of z from q(z|x) for each row."""

        def draw(x: Tensor) -> Tensor:
            noise = torch.randn(len(x), self._latent_dim, generator=generator, device=self.device)
            posterior: Any = self.model.posterior(x)
            return posterior.reparameterize(noise.to(self.torch_dtype))

        return self._map(draw, rows, self._latent_dim)

    def draws(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return balanced draws z from q(z|x), ``(n, 2·N_PAIRS, latent_dim)``, and their log q."""

        def draw(x: Tensor) -> Tensor:
            posterior: Any = self.model.posterior(x)
            z = posterior.reparameterize(self._balanced_noise(x))
            both = torch.cat([z, posterior.log_prob(z).unsqueeze(-1)], -1)
            return both.transpose(0, 1).flatten(1)

        shape = len(rows), 2 * _quadrature.N_PAIRS, self._latent_dim + 1
        both = self._map(draw, rows, shape[1] * shape[2]).reshape(shape)
        return both[..., :-1], both[..., -1]

    def kl(self, rows: Rows) -> np.ndarray:
        """Return KL(q(z|x) ‖ p(z)) in nats for each component, weighted mean over rows.

        Where it does not split into components, that of their marginals.
        """
        total: np.ndarray | float = 0.0
        with torch.inference_mode():
            for part, x in rows.batches(BATCH_SIZE):
                posterior: Any = self.model.posterior(x.to(self.device))
                z = posterior.reparameterize(self._balanced_noise(x))
                terms = kl_per_component(posterior, self.prior, z)
                if terms.shape != posterior.mean.shape:
                    terms = marginal_kl(posterior, self.prior)
                kl = terms.double().cpu().numpy()
                weight = np.ones(len(kl)) if rows.weight is None else rows.weight[part]
                total = total + weight @ kl
        return np.asarray(total) / len(rows)

    def terms(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return reconstruction and KL, the two terms of the elbo, in nats per row."""

        def bound(x: Tensor) -> Tensor:
            noise = self._balanced_noise(x).transpose(0, 1)
            terms = ELBO()(x, *self._distributions(x, noise))
            return torch.stack([terms.reconstruction, terms.kl], -1)

        both = self._map(bound, rows, 2, batch_size=BATCH_SIZE // (2 * _quadrature.N_PAIRS))
        return both[:, 0], both[:, 1]

    def importance_weighted_bound(self, rows: Rows, n_importance_samples: int) -> np.ndarray:
        """Return ``log mean_k p(x, z_k) / q(z_k|x)``, nats per row (Burda et al. 2016)."""
        points = _quadrature.sobol(n_importance_samples, self._latent_dim)

        def bound(x: Tensor) -> Tensor:
            keys = hash_rows(x.cpu().numpy())
            draws = [self._log_weights(x, keys, some) for some in points.split(BATCH_SIZE)]
            log_weights = torch.logsumexp(torch.stack(draws), 0)
            return (log_weights - math.log(n_importance_samples)).unsqueeze(-1)

        batch_size = max(1, BATCH_SIZE // n_importance_samples)
        return self._map(bound, rows, 1, batch_size)[:, 0]

    def _log_weights(self, x: Tensor, keys: np.ndarray, points: Tensor) -> Tensor:
        """Return ``log Σ_k p(x|z_k) p(z_k) / q(z_k|x)`` over some draws, of shape ``(n,)``."""
        noise = _quadrature.rotated_noise(keys, points).to(self.device, self.torch_dtype)
        posterior, z, likelihood, prior = self._distributions(x, noise.transpose(0, 1))
        log_weight = likelihood.log_prob(x) + prior.log_prob(z) - posterior.log_prob(z)
        return torch.logsumexp(log_weight, 0)

    def _balanced_noise(self, x: Tensor) -> Tensor:
        noise = _quadrature.balanced_noise(hash_rows(x.cpu().numpy()), self._latent_dim)
        return noise.to(self.device, self.torch_dtype)

    @property
    def _latent_dim(self) -> int:
        return self.prior.event_shape[0]
