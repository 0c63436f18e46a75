"""What a trained model says of rows: a batch at a time, on the device, numpy out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skvae import _quadrature
from skvae._data import Rows, hash_rows
from skvae._host import without_tf32
from skvae._training import follow
from skvae.distributions import given_row
from skvae.likelihoods._base import method_of
from skvae.model import VAE, Batch, Joint, kl_per_component, marginal_kl
from skvae.objectives import ELBO

FEW_ROWS = 32
"""So many rows go through the networks at once without a look at their size."""
DRAWS = 256
"""Draws of z for one row that go through the decoder at once."""
ACTIVATION_BYTES = {"cpu": 2**21, "cpu, large": 2**23, "cuda": 2**28}
"""What the widest layer may put out for one batch: on CPUs, what stays in a cache; convolutions go
through their images piece by piece, and float64 has numbers twice as large."""
CONVOLUTIONS = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d


class LargestOutput(TorchFunctionMode):
    """Notes the bytes of the largest tensor that torch's functions return within the block."""

    nbytes = 1

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.nbytes = max(self.nbytes, out.nbytes)
        return out


_CONVERTED: WeakKeyDictionary[VAE, tuple[Any, VAE]] = WeakKeyDictionary()


def _converted(model: VAE) -> VAE:
    """Return a copy of the model in float64, the same one until the model changes."""
    state = [(t.data_ptr(), t._version) for t in (*model.parameters(), *model.buffers())]
    known, converted = _CONVERTED.get(model, (None, model))
    if known != state:
        converted = copy.deepcopy(model).to(torch.float64).eval()
        _CONVERTED[model] = state, converted
    return converted


def _saturated(nats: Tensor, fraction: float = 1.0) -> Tensor:
    """Return nats beyond the largest float as that: rows may be so unlikely. NaN stays."""
    largest = fraction * torch.finfo(nats.dtype).max
    return nats.clamp(-largest, largest)


def _of_something(nats: Tensor, batch: Batch) -> Tensor:
    """Return nats of rows, 0 where nothing is observed: that is log p of nothing, for certain."""
    if not batch.has_missing:
        return nats
    return nats.masked_fill(batch.x.isnan().all(-1), 0.0)


def _in_memory(function: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """Apply a function to a batch; in two halves where the device has no memory for the whole."""
    try:
        return function(batch)
    except torch.OutOfMemoryError:
        if len(batch.x) == 1:
            raise
    # Only here, where the error and all that it holds are gone.
    torch.cuda.empty_cache()
    half = len(batch.x) // 2
    tensors: dict[str, Any] = {
        name: t for name, t in batch._asdict().items() if isinstance(t, Tensor)
    }
    halves = [
        batch._replace(**{name: tensor[some] for name, tensor in tensors.items()})
        for some in (slice(half), slice(half, None))
    ]
    return torch.cat([_in_memory(function, rows) for rows in halves])


class Inference:
    """A model in evaluation mode and in the precision of the caller's rows.

    Networks are trained in float32; for float64 rows they are converted (to a copy), which keeps
    the result for a row independent of its batch to 1e-12 or so. The title is that of a progress
    bar over rows, should they take long.
    """

    def __init__(
        self, model: VAE, dtype: np.dtype | type, device: str, title: str | None = None
    ) -> None:
        self.title = title
        self.dtype = np.dtype(dtype)
        self.torch_dtype = torch.float64 if self.dtype == np.float64 else torch.float32
        self.device = device
        self.model = model.eval() if model.dtype == self.torch_dtype else _converted(model)

    @cached_property
    def prior(self) -> Any:
        """p(z), made once: a prior may run the encoder for it."""
        with torch.no_grad():
            return self.model.prior(*self.model.told(self.model.prior, None))

    def _prior(self, batch: Batch) -> Any:
        """Return p(z), or p(z|c) where the prior sees a context."""
        told = self.model.told(self.model.prior, batch.context)
        return self.model.prior(*told) if told else self.prior

    def _joint(self, batch: Batch, noise: Tensor) -> Joint:
        """Return q(z|x), z made of the noise, p(x|z) and p(z)."""
        return self.model(batch, noise, self._prior(batch))

    def _map(
        self,
        function: Callable[[Batch], Tensor],
        rows: Rows,
        width: int,
        like: Callable[[Batch], Tensor] | None = None,
    ) -> np.ndarray:
        """Apply a function to batches of rows; return the results in one array.

        Where the function draws random numbers, ``like`` is one of the same size that does not.
        """
        out = np.empty((len(rows), width), self.dtype)
        target = torch.from_numpy(out)
        for some, batch in self._batches(like or function, rows):
            with self._computing():
                target[some] = _in_memory(function, batch)
        return out

    def _batches(
        self, function: Callable[[Batch], Any], rows: Rows
    ) -> Iterator[tuple[slice, Batch]]:
        """Yield rows, as many at a time as the function may take, by what it makes of one.

        They are views of X where it can be, unless the function changes what it is given.
        """
        if len(rows) <= FEW_ROWS:
            return rows.batches(FEW_ROWS, self.device)
        size, changed = self._batch_size(function, rows)
        batches = rows.batches(size, self.device, copy=changed)
        return batches if self.title is None else follow(batches, len(rows), self.title)

    def _batch_size(self, function: Callable[[Batch], Any], rows: Rows) -> tuple[int, bool]:
        """Try the function on one row: return how many to give it, and whether it changes them."""
        batch = rows.batch(slice(0, 1), self.device)
        x, version = batch.x, batch.x._version
        with self._computing(), self._eagerly(), LargestOutput() as largest:
            function(batch)
        kind = "cuda" if torch.device(self.device).type == "cuda" else "cpu"
        convolves = any(isinstance(layer, CONVOLUTIONS) for layer in self.model.modules())
        if kind == "cpu" and (convolves or self.dtype == np.float64):
            kind = "cpu, large"
        budget = ACTIVATION_BYTES[kind]
        return max(1, budget // max(largest.nbytes, x.nbytes)), x._version != version

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute without gradients, and in the precision that was asked for."""
        with without_tf32(self.device), torch.inference_mode():
            yield

    def _eagerly(self) -> AbstractContextManager[Any]:
        """Run compiled networks as they were written: only then can one look inside."""
        if self.model.encoder._compiled_call_impl is None:
            return nullcontext()
        return torch.compiler.set_stance("force_eager")

    def _posterior(self, batch: Batch) -> Any:
        return self.model.posterior(batch.x, batch.context)

    def posterior(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of q(z|x)."""

        def moments(batch: Batch) -> Tensor:
            q = self._posterior(batch)
            return torch.cat([q.mean, q.stddev], -1)

        both = self._map(moments, rows, 2 * self.model.latent_dim)
        return both[:, : self.model.latent_dim], both[:, self.model.latent_dim :]

    def _posterior_mean(self, batch: Batch) -> Tensor:
        return self._posterior(batch).mean

    def transform(self, rows: Rows) -> np.ndarray:
        """Return the mean of q(z|x)."""
        return self._map(self._posterior_mean, rows, self.model.latent_dim)

    def label_probabilities(self, rows: Rows) -> np.ndarray:
        """Return ``p(y|x) = E_q[p(y|z)]`` of every class, of a prior that tells them apart."""

        def probabilities(batch: Batch) -> Tensor:
            z = self._posterior(batch).reparameterize(self._balanced_noise(batch.x))
            return self.model.prior.log_prob_labels(z).exp().mean(0)

        return self._map(probabilities, rows, self.model.prior.n_classes)

    def _likelihood(self, batch: Batch) -> Any:
        """Return p(x|z) of a batch of z."""
        return self.model.likelihood(batch.x.to(self.torch_dtype), batch.context)

    def _mean(self, batch: Batch) -> Tensor:
        return self._likelihood(batch).mean

    def decode(self, z: Rows) -> np.ndarray:
        """Return the mean of p(x|z) for rows of z."""
        return self._map(self._mean, z, self.model.n_features)

    def sample_latent(
        self,
        n_samples: int,
        generator: torch.Generator,
        context: np.ndarray | None = None,
        label: int | None = None,
    ) -> np.ndarray:
        """Return draws of z from the prior.

        Given what each row is, where the prior sees it; or given the class of all of them.
        """
        z = []
        for start in range(0, n_samples, DRAWS):
            size = min(DRAWS, n_samples - start)
            some = None
            if context is not None:
                some = torch.tensor(context[start : start + size], device=self.device)
            with self._computing():
                told = self.model.told(self.model.prior, some)
                prior = self.model.prior(*told) if told else self.prior
                prior = prior if label is None else self.model.prior.given(label)
                shape = () if prior.batch_shape else (size,)
                z.append(prior.sample(shape, generator=generator).cpu())
        return torch.cat(z).numpy()

    def sample(self, z: Rows, mean: bool, generator: torch.Generator) -> np.ndarray:
        """Return draws of x, or E[x|z], for rows of z."""

        def draw(batch: Batch) -> Tensor:
            return self._likelihood(batch).sample(generator=generator)

        return self._map(self._mean if mean else draw, z, self.model.n_features, like=self._mean)

    def sample_posterior(self, rows: Rows, generator: torch.Generator) -> np.ndarray:
        """Return one draw of z from q(z|x) for each row."""

        def draw(batch: Batch) -> Tensor:
            shape = len(batch.x), self.model.latent_dim
            noise = torch.randn(shape, generator=generator, device=self.device)
            return self._posterior(batch).reparameterize(noise.to(self.torch_dtype))

        return self._map(draw, rows, self.model.latent_dim, like=self._posterior_mean)

    def draws(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Return balanced draws z from q(z|x), ``(n, 2·N_PAIRS, latent_dim)``, and their log q."""

        def draw(batch: Batch) -> Tensor:
            posterior = self._posterior(batch)
            z = posterior.reparameterize(self._balanced_noise(batch.x))
            both = torch.cat([z, posterior.log_prob(z).unsqueeze(-1)], -1)
            return both.transpose(0, 1).flatten(1)

        shape = len(rows), 2 * _quadrature.N_PAIRS, self.model.latent_dim + 1
        both = self._map(draw, rows, shape[1] * shape[2]).reshape(shape)
        return both[..., :-1], both[..., -1]

    def kl(self, rows: Rows) -> np.ndarray:
        """Return KL(q(z|x) ‖ p(z)) in nats for each component, weighted mean over rows.

        Where it does not split into components, that of their marginals.
        """

        def kl(batch: Batch) -> Tensor:
            posterior, prior = self._posterior(batch), self._prior(batch)
            z = posterior.reparameterize(self._balanced_noise(batch.x))
            terms = kl_per_component(posterior, prior, z)
            splits = terms.shape == posterior.mean.shape
            return terms if splits else marginal_kl(posterior, prior)

        total = np.zeros(self.model.latent_dim)
        for some, batch in self._batches(kl, rows):
            weight = np.ones(len(batch.x)) if rows.weight is None else rows.weight[some]
            with self._computing():
                total += weight @ kl(batch).double().cpu().numpy()
        return total / len(rows)

    def terms(self, rows: Rows, shared: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return reconstruction and KL, the two terms of the elbo, in nats per row.

        ``shared``: with the same noise for all rows, so that rows can be compared.
        """

        def terms(batch: Batch) -> Tensor:
            return self.terms_of(batch, self._balanced_noise(batch.x, shared))

        both = self._map(terms, rows, 2)
        return both[:, 0], both[:, 1]

    def terms_of(self, batch: Batch, noise: Tensor) -> Tensor:
        """Return the two terms of the elbo, ``(n, 2)``, with noise ``(n_draws, n, latent_dim)``."""
        terms = ELBO()(batch.x, *self._joint(batch, noise))
        reconstruction, kl = terms.reconstruction.to(self.torch_dtype), terms.kl
        # A KL so small beside the largest float that their difference is a float too.
        small = torch.finfo(kl.dtype).eps / 4
        both = [_saturated(reconstruction), _saturated(kl, small)]
        return torch.stack([_of_something(nats, batch) for nats in both], -1)

    def bound(self, rows: Rows, n_importance_samples: int) -> np.ndarray:
        """Return the elbo, or with several draws the importance-weighted bound, nats per row."""
        if n_importance_samples > 1:
            return self.importance_weighted_bound(rows, n_importance_samples)
        reconstruction, kl = self.terms(rows)
        return reconstruction - kl

    def importance_weighted_bound(self, rows: Rows, n_importance_samples: int) -> np.ndarray:
        """Return ``log mean_k p(x, z_k) / q(z_k|x)``, nats per row (Burda et al. 2016)."""
        points = _quadrature.sobol(n_importance_samples, self.model.latent_dim)

        def bound(batch: Batch) -> Tensor:
            keys = hash_rows(batch.x.cpu().numpy())
            draws = [self._weighted_draws(batch, keys, some)[-1] for some in points.split(DRAWS)]
            # Not all at once: the bound is to stay what it was to the last digit.
            log_weights = torch.logsumexp(torch.stack([torch.logsumexp(w, 0) for w in draws]), 0)
            bounds = _saturated(log_weights - math.log(n_importance_samples))
            return _of_something(bounds, batch).unsqueeze(-1)

        return self._map(bound, rows, 1)[:, 0]

    def _weighted_draws(
        self, batch: Batch, keys: np.ndarray, points: Tensor
    ) -> tuple[Tensor, Any, Tensor]:
        """Return z drawn from q(z|x), p(x|z) and the logarithms of ``p(x|z) p(z) / q(z|x)``."""
        noise = _quadrature.rotated_noise(keys, points).to(self.device, self.torch_dtype)
        posterior, z, likelihood, prior = self._joint(batch, noise)
        log_weight = likelihood.log_prob(batch.x) + prior.log_prob(z) - posterior.log_prob(z)
        return z, likelihood, log_weight

    def expected(self, rows: Rows, n_draws: int) -> np.ndarray:
        """Return what a likelihood expects, given the observed values of each row.

        The mean over p(z|x), by importance sampling from q(z|x) with weights that are divided by
        their sum (Mattei and Frellsen 2019, https://arxiv.org/abs/1812.02633).
        """
        points = _quadrature.sobol(n_draws, self.model.latent_dim)
        of_one = method_of(self.model.likelihood_family, "expected")

        def expect(batch: Batch) -> Tensor:
            keys = hash_rows(batch.x.cpu().numpy())
            total: Any = 0.0
            weights: Any = 0.0
            top = torch.full((len(batch.x),), -torch.inf, device=self.device)
            for some in points.split(DRAWS):
                _, likelihood, log_weight = self._weighted_draws(batch, keys, some)
                before, top = top, torch.maximum(top, log_weight.amax(0))
                kept = (before - top).exp().unsqueeze(-1)
                weight = (log_weight - top).exp().unsqueeze(-1)
                values = of_one(given_row(likelihood.base, batch.x))
                total = total * kept + (weight * values).sum(0)
                weights = weights * kept + weight.sum(0)
            return total / weights

        origin = torch.zeros(1, self.model.latent_dim, device=self.device, dtype=self.torch_dtype)
        with self._computing():
            width = of_one(self.model.likelihood(origin, rows.batch(slice(0, 1)).context)).shape[-1]
        return self._map(expect, rows, width)

    def settled(self, expected: np.ndarray) -> np.ndarray:
        """Return values that can stand in X, made of averages of what is expected."""
        family = self.model.likelihood_family
        with self._computing():
            x = method_of(family, "settled")(torch.from_numpy(expected).to(self.device))
        return x.cpu().numpy()

    def imputations(
        self, rows: Rows, n_draws: int, n_importance: int, generator: torch.Generator
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield positions and draws of whole rows given their observed values, ``(n_draws, n, d)``.

        z is drawn again from draws from q(z|x), by their importance weights (Rubin 1987's
        sampling importance resampling), and x from p(x|z).
        """
        points = _quadrature.sobol(n_importance, self.model.latent_dim)

        def draw(batch: Batch) -> Tensor:
            keys = hash_rows(batch.x.cpu().numpy())
            draws = [self._weighted_draws(batch, keys, some) for some in points.split(DRAWS)]
            z = torch.cat([z for z, *_ in draws])
            weights = torch.cat([log_weight for *_, log_weight in draws]).softmax(0)
            chosen = torch.multinomial(weights.T, n_draws, replacement=True, generator=generator)
            z = z.gather(0, chosen.T.unsqueeze(-1).expand(-1, -1, z.shape[-1]))
            likelihood = given_row(self.model.likelihood(z, batch.context), batch.x)
            return likelihood.sample(generator=generator)

        def like(batch: Batch) -> Tensor:
            """Return means of as many rows, without a random number."""
            noise = torch.zeros(n_draws, len(batch.x), self.model.latent_dim, device=self.device)
            return self.model.likelihood(noise.to(self.torch_dtype), batch.context).mean

        for some, batch in self._batches(like, rows):
            with self._computing():
                yield some, draw(batch)

    def _balanced_noise(self, x: Tensor, shared: bool = False) -> Tensor:
        """Return noise of shape ``(2·N_PAIRS, n, latent_dim)``."""
        keys = np.zeros(len(x), np.uint64) if shared else hash_rows(x.cpu().numpy())
        noise = _quadrature.balanced_noise(keys, self.model.latent_dim)
        return noise.to(self.device, self.torch_dtype)
