"""The variational autoencoder: three distributions."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

__all__ = ["VAE", "kl_per_component", "marginal_kl"]


class VAE(nn.Module):
    """Prior p(z), likelihood p(x|z) and amortised posterior q(z|x).

    Parameters
    ----------
    prior : Module
        Returns p(z).
    encoder : Module
        Maps embedded rows ``(n, n_features)`` to q(z|x).
    decoder : Module
        Maps z ``(n, latent_dim)`` to parameters ``(n, n_features, n_params)``.
    likelihood_family : Module
        Maps those parameters to p(x|z), and embeds rows for the encoder.
    """

    def __init__(
        self, prior: nn.Module, encoder: nn.Module, decoder: nn.Module, likelihood_family: nn.Module
    ) -> None:
        super().__init__()
        self.prior = prior
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood_family: Any = likelihood_family

    @cached_property
    def dtype(self) -> torch.dtype:
        """The precision of the networks."""
        return next(self.parameters()).dtype

    def _apply(self, fn: Any, recurse: bool = True) -> VAE:
        """Move or convert everything; the precision may be another afterwards."""
        self.__dict__.pop("dtype", None)
        return super()._apply(fn, recurse)

    def posterior(self, x: Tensor) -> Distribution:
        """Return q(z|x) for rows ``(n, n_features)``."""
        return self.encoder(self.likelihood_family.embed(x).to(self.dtype))

    def likelihood(self, z: Tensor) -> Distribution:
        """Return p(x|z) for z of shape ``(..., latent_dim)``."""
        params = self.decoder(z.reshape(-1, z.shape[-1])).to(self.dtype)
        return self.likelihood_family(params.reshape(*z.shape[:-1], *params.shape[1:]))

    def forward(
        self, x: Tensor, noise: Tensor
    ) -> tuple[Distribution, Tensor, Distribution, Distribution]:
        """Return ``q(z|x), z, p(x|z), p(z)``, all that a bound is made of.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
        noise : Tensor of shape (n, n_samples, latent_dim)
            Standard normal; the sampled z has shape ``(n_samples, n, latent_dim)``.
        """
        posterior = self.posterior(x)
        # In full precision also inside a bfloat16 region: the density of z needs the digits.
        # reparameterize is in the interface of our posteriors, not in that of torch's.
        with torch.autocast(noise.device.type, enabled=False):
            z = posterior.reparameterize(noise.transpose(0, 1))  # type: ignore[attr-defined]
        return posterior, z, self.likelihood(z), self.prior()


def kl_per_component(posterior: Distribution, prior: Distribution, z: Tensor) -> Tensor:
    """Return KL(q(z|x) ‖ p(z)) in nats, of shape ``(n, latent_dim)``, or ``(n, 1)``.

    In closed form where both factorise over the components, or where the pair is
    registered with torch (one column then); else the mean over the samples of
    ``log q(z|x) − log p(z)``.
    """
    if isinstance(posterior, Independent) and isinstance(prior, Independent):
        pair = posterior.base_dist, prior.base_dist
        width: tuple[int, ...] = ()
    else:
        pair, width = (posterior, prior), (1,)
    try:
        kl = kl_divergence(*pair)
    except NotImplementedError:
        return (posterior.log_prob(z) - prior.log_prob(z)).mean(0).unsqueeze(-1)
    return kl.reshape(*kl.shape, *width)


def marginal_kl(posterior: Distribution, prior: Distribution) -> Tensor:
    """Return KL of each component's marginals in nats, ``(n, latent_dim)``, taken as normal.

    ``KL(N(E_q[z_j], Var_q[z_j]) ‖ N(E_p[z_j], Var_p[z_j]))``: how much a component says of
    a row where the KL of the vectors does not split into components.
    """
    return kl_divergence(Normal(posterior.mean, posterior.stddev), Normal(prior.mean, prior.stddev))
