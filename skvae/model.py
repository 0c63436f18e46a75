"""The variational autoencoder: three distributions."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

__all__ = ["VAE", "Batch", "Joint", "kl_per_component", "marginal_kl"]


class Batch(NamedTuple):
    """Some rows, with what is known beside them: what a step of training sees.

    Attributes
    ----------
    x : Tensor of shape (n, n_features)
        Rows, in the units of X.
    context : Tensor of shape (n, n_context) or None
        What the rows are given and the model does not describe.
    label : Tensor of shape (n,) or None
        What a classifier learns; NaN: unknown.
    weight : Tensor of shape (n,) or None
        How much each row counts.

    Examples
    --------
    >>> import torch
    >>> from skvae.model import Batch
    >>> Batch(torch.zeros(3, 4)).x.shape
    torch.Size([3, 4])
    """

    x: Tensor
    context: Tensor | None = None
    label: Tensor | None = None
    weight: Tensor | None = None


class Joint(NamedTuple):
    """What a bound is made of: q(z|x), draws from it, p(x|z) and p(z).

    Attributes
    ----------
    posterior : torch.distributions.Distribution
        With batch shape ``(n,)`` and event shape ``(latent_dim,)``.
    z : Tensor of shape (n_samples, n, latent_dim)
        Drawn from it.
    likelihood : torch.distributions.Distribution
        With batch shape ``(n_samples, n)`` and event shape ``(n_features,)``.
    prior : torch.distributions.Distribution
        With event shape ``(latent_dim,)``; with a context, of batch shape ``(n,)``.

    Examples
    --------
    >>> from skvae.model import Joint
    >>> Joint._fields
    ('posterior', 'z', 'likelihood', 'prior')
    """

    posterior: Distribution
    z: Tensor
    likelihood: Distribution
    prior: Distribution


class VAE(nn.Module):
    """Prior p(z), likelihood p(x|z) and amortised posterior q(z|x).

    See Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114).

    Parameters
    ----------
    prior : torch.nn.Module
        Returns p(z).
    encoder : torch.nn.Module
        Maps embedded rows ``(n, n_features)`` to q(z|x).
    decoder : torch.nn.Module
        Maps z ``(n, latent_dim)`` to parameters ``(n, n_features, n_params)``.
    likelihood_family : torch.nn.Module
        Maps those parameters to p(x|z), and embeds rows for the encoder.

    Examples
    --------
    The estimator makes one, and trains it:

    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> X = load_iris().data
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> model = vae.net_.module_
    >>> posterior, z, likelihood, prior = model(torch.tensor(X), torch.zeros(150, 3, 2))
    >>> z.shape, likelihood.log_prob(torch.tensor(X)).shape
    (torch.Size([3, 150, 2]), torch.Size([3, 150]))
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
        """Return q(z|x).

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Rows.

        Returns
        -------
        posterior : torch.distributions.Distribution
            With batch shape ``(n,)`` and event shape ``(latent_dim,)``.
        """
        return self.encoder(self.likelihood_family.embed(x).to(self.dtype))

    def likelihood(self, z: Tensor) -> Distribution:
        """Return p(x|z).

        Parameters
        ----------
        z : Tensor of shape (..., latent_dim)
            Points in the latent space.

        Returns
        -------
        likelihood : torch.distributions.Distribution
            With batch shape ``(...)`` and event shape ``(n_features,)``.
        """
        params = self.decoder(z.reshape(-1, z.shape[-1])).to(self.dtype)
        return self.likelihood_family(params.reshape(*z.shape[:-1], *params.shape[1:]))

    def forward(
        self, x: Tensor, noise: Tensor
    ) -> tuple[Distribution, Tensor, Distribution, Distribution]:
        """Return ``q(z|x), z, p(x|z), p(z)``, all that a bound is made of.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Rows.
        noise : Tensor of shape (n, n_samples, latent_dim)
            Standard normal.

        Returns
        -------
        posterior : torch.distributions.Distribution
            With batch shape ``(n,)`` and event shape ``(latent_dim,)``.
        z : Tensor of shape (n_samples, n, latent_dim)
            Drawn from it.
        likelihood : torch.distributions.Distribution
            With batch shape ``(n_samples, n)`` and event shape ``(n_features,)``.
        prior : torch.distributions.Distribution
            With event shape ``(latent_dim,)``.
        """
        posterior = self.posterior(x)
        # In full precision also inside a bfloat16 region: the density of z needs the digits.
        # reparameterize is in the interface of our posteriors, not in that of torch's.
        with torch.autocast(noise.device.type, enabled=False):
            z = posterior.reparameterize(noise.transpose(0, 1))  # type: ignore[attr-defined]
        return posterior, z, self.likelihood(z), self.prior()


def kl_per_component(posterior: Distribution, prior: Distribution, z: Tensor) -> Tensor:
    """Return KL(q(z|x) ‖ p(z)) in nats, split into components where it splits.

    In closed form where both factorise over the components, or where the pair is
    registered with torch (one column then); else the mean over the samples of
    ``log q(z|x) − log p(z)``. The closed form of normals is in appendix B of Kingma and
    Welling 2014 (https://arxiv.org/abs/1312.6114).

    Parameters
    ----------
    posterior : torch.distributions.Distribution
        The q(z|x) of n rows.
    prior : torch.distributions.Distribution
        That of z.
    z : Tensor of shape (n_samples, n, latent_dim)
        Drawn from the posterior.

    Returns
    -------
    kl : Tensor of shape (n, latent_dim) or (n, 1)
        Nats; its sum over the columns is the KL of the row.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Normal
    >>> from skvae.model import kl_per_component
    >>> prior = Independent(Normal(torch.zeros(2), torch.ones(2)))
    >>> posterior = Independent(Normal(torch.tensor([[0.0, 2.0]]), torch.ones(2)))
    >>> kl_per_component(posterior, prior, z=torch.zeros(1, 1, 2))
    tensor([[0., 2.]])
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
    """Return the KL of each component's marginals in nats, both taken as normal.

    ``KL(N(E_q[z_j], Var_q[z_j]) ‖ N(E_p[z_j], Var_p[z_j]))``: how much a component says of
    a row where the KL of the vectors does not split into components.

    Parameters
    ----------
    posterior : torch.distributions.Distribution
        The q(z|x) of n rows.
    prior : torch.distributions.Distribution
        That of z.

    Returns
    -------
    kl : Tensor of shape (n, latent_dim)
        Nats.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, MultivariateNormal, Normal
    >>> from skvae.model import marginal_kl
    >>> prior = Independent(Normal(torch.zeros(2), torch.ones(2)))
    >>> posterior = MultivariateNormal(torch.tensor([[0.0, 2.0]]), torch.eye(2))
    >>> marginal_kl(posterior, prior)
    tensor([[0., 2.]])
    """
    return kl_divergence(Normal(posterior.mean, posterior.stddev), Normal(prior.mean, prior.stddev))
