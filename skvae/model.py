"""The variational autoencoder: three distributions."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from skvae.distributions import Observed, Tilted

__all__ = ["VAE", "Batch", "Joint", "kl_per_component", "marginal_kl"]


FARTHEST = 1e6
"""The encoder sees an embedded value beyond this as this one: what comes out of the networks then
has a finite square. The density goes by the value itself."""


class Batch(NamedTuple):
    """Some rows, with what is known beside them: what a step of training sees.

    Attributes
    ----------
    x : Tensor of shape (n, n_features)
        Rows, in the units of X.
    context : Tensor of shape (n, n_context), default=None
        What the rows are given and the model does not describe.
    label : Tensor of shape (n,), default=None
        The numbers of their classes, for a prior that tells classes apart; NaN: unknown.
    weight : Tensor of shape (n,), default=None
        How much each row counts.
    has_missing : bool, default=False
        Whether x may hold NaN, which stands for a value that was not observed.

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
    has_missing: bool = False


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

    See Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114). With a context c beside
    every row the decoder makes p(x|z, c); prior and encoder are told c where they declare that
    they see it (Sohn, Lee and Yan 2015, https://papers.nips.cc/paper/5775).

    Parameters
    ----------
    prior : torch.nn.Module
        Returns p(z); one whose ``sees_context`` is true takes the context and returns p(z|c).
    encoder : torch.nn.Module
        Maps embedded rows ``(n, n_features)`` to q(z|x); with ``sees_context``, and their
        context, to q(z|x, c).
    decoder : torch.nn.Module
        Maps z ``(n, latent_dim)``, with a context side by side with it, to parameters
        ``(n, n_features, n_params)``.
    likelihood_family : torch.nn.Module
        Maps those parameters to p(x|z), and embeds rows for the encoder.
    latent_dim : int
        Dimension of z.
    n_features : int
        Number of columns of X.

    Examples
    --------
    The estimator makes one, and trains it:

    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.model import Batch
    >>> x = torch.tensor(load_iris().data)
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(x.numpy())
    >>> model = vae.net_.module_
    >>> posterior, z, likelihood, prior = model(Batch(x), noise=torch.zeros(3, 150, 2))
    >>> z.shape, likelihood.log_prob(x).shape
    (torch.Size([3, 150, 2]), torch.Size([3, 150]))
    """

    def __init__(
        self,
        prior: nn.Module,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood_family: nn.Module,
        latent_dim: int,
        n_features: int,
    ) -> None:
        super().__init__()
        self.prior: Any = prior
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood_family: Any = likelihood_family
        self.latent_dim = latent_dim
        self.n_features = n_features

    @cached_property
    def dtype(self) -> torch.dtype:
        """The precision of the networks."""
        return next(self.parameters()).dtype

    def _apply(self, fn: Any, recurse: bool = True) -> VAE:
        """Move or convert everything; the precision may be another afterwards."""
        self.__dict__.pop("dtype", None)
        return super()._apply(fn, recurse)

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        """Return q(z|x).

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Rows; NaN where a value is missing.
        context : Tensor of shape (n, n_context), default=None
            The context of these rows.

        Returns
        -------
        posterior : torch.distributions.Distribution
            With batch shape ``(n,)`` and event shape ``(latent_dim,)``.
        """
        return self.encoder(self.embedded(x), *self.told(self.encoder, context))

    def embedded(self, x: Tensor) -> Tensor:
        """Return rows as the encoder sees them.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Rows; NaN where a value is missing.

        Returns
        -------
        embedded : Tensor of shape (n, n_embedded)
            As the likelihood embeds them, 0 for what is missing; with ``sees_missing`` of the
            encoder, and beside them 1 where a value is missing and else 0.
        """
        # In the networks' precision, which is the cheaper one; there infinity is far, too.
        embedded = self.likelihood_family.embed(x).to(self.dtype).clamp(-FARTHEST, FARTHEST)
        embedded = embedded.nan_to_num()
        if getattr(self.encoder, "sees_missing", False):
            return torch.cat([embedded, x.isnan().to(self.dtype)], -1)
        return embedded

    def told(self, part: nn.Module, context: Tensor | None) -> list[Tensor]:
        """Return the context as one more argument of a part that sees it.

        Parameters
        ----------
        part : torch.nn.Module
            The prior or the encoder; others know of no context, and are called as ever.
        context : Tensor of shape (n, n_context) or None
            What the rows are given.

        Returns
        -------
        arguments : list of Tensor of shape (n, n_context)
            Empty, or the context in the precision of the networks.
        """
        if context is None or not getattr(part, "sees_context", False):
            return []
        return [context.to(self.dtype)]

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """Return p(x|z).

        Parameters
        ----------
        z : Tensor of shape (..., latent_dim)
            Points in the latent space.
        context : Tensor of a shape that broadcasts to (..., n_context), default=None
            What their rows are given.

        Returns
        -------
        likelihood : torch.distributions.Distribution
            With batch shape ``(...)`` and event shape ``(n_features,)``.
        """
        told = z
        if context is not None:
            told = torch.cat([z, context.to(z.dtype).expand(*z.shape[:-1], -1)], -1)
        params = self.decoder(told.reshape(-1, told.shape[-1])).to(self.dtype)
        return self.likelihood_family(params.reshape(*z.shape[:-1], *params.shape[1:]))

    def forward(self, batch: Batch, noise: Tensor, prior: Distribution | None = None) -> Joint:
        """Return all that a bound of some rows is made of.

        Parameters
        ----------
        batch : Batch
            Rows, with their context.
        noise : Tensor of shape (n_samples, n, latent_dim)
            Standard normal.
        prior : torch.distributions.Distribution, default=None
            p(z), where it was made before: a prior may run the encoder for it.

        Returns
        -------
        joint : Joint
            q(z|x), z, p(x|z) and p(z).
        """
        posterior: Any = self.posterior(batch.x, batch.context)
        # In full precision also inside a bfloat16 region: the density of z needs the digits.
        with torch.autocast(noise.device.type, enabled=False):
            z = posterior.reparameterize(noise)
        if prior is None:
            prior = self.prior(*self.told(self.prior, batch.context))
        likelihood = self.likelihood(z, batch.context)
        if batch.has_missing:
            likelihood = Observed(likelihood)
        if batch.label is not None:
            likelihood = Tilted(likelihood, self.prior.log_prob_label(z, batch.label))
        return Joint(posterior, z, likelihood, prior)

    def given(self, context: Tensor) -> VAE:
        """Return the model of rows that all have one context.

        Parameters
        ----------
        context : Tensor of shape (n_context,)
            The context of these rows.

        Returns
        -------
        model : VAE
            With the networks of this one. Its methods need no context.
        """
        return _GivenContext(self, context)


class _GivenContext(VAE):
    """A model with its context bound; see :meth:`VAE.given`."""

    context: Tensor

    def __init__(self, model: VAE, context: Tensor) -> None:
        networks = model.prior, model.encoder, model.decoder, model.likelihood_family
        super().__init__(*networks, model.latent_dim, model.n_features)
        self.register_buffer("context", context.to(model.dtype), persistent=False)

    def told(self, part: nn.Module, context: Tensor | None) -> list[Tensor]:
        return super().told(part, self.context if context is None else context)

    def posterior(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return super().posterior(x, self.context.expand(len(x), -1))

    def likelihood(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        return super().likelihood(z, self.context)


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
        The distribution p(z).
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
        The distribution p(z).

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
