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
    """A batch of rows, with what else is known about them; the input of a training step.

    Attributes
    ----------
    x : Tensor of shape (n, n_features)
        Rows, in the units of X.
    context : Tensor of shape (n, n_context), default=None
        The conditions of the rows, which the model does not describe.
    label : Tensor of shape (n,), default=None
        Number of the class of each row, for a prior with classes. NaN means unknown.
    weight : Tensor of shape (n,), default=None
        Weight of each row.
    has_missing : bool, default=False
        Whether x may hold NaN, which means that a value was not observed.

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
    """The terms of a bound: q(z|x), draws from it, p(x|z) and p(z).

    Attributes
    ----------
    posterior : torch.distributions.Distribution
        The distribution q(z|x), with batch shape ``(n,)`` and event shape ``(latent_dim,)``.
    z : Tensor of shape (n_samples, n, latent_dim)
        Draws from the posterior.
    likelihood : torch.distributions.Distribution
        The distribution p(x|z), with batch shape ``(n_samples, n)`` and event shape
        ``(n_features,)``.
    prior : torch.distributions.Distribution
        The distribution p(z), with event shape ``(latent_dim,)``. A prior that sees the context
        has batch shape ``(n,)``.

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
    """The model: a prior p(z), a likelihood p(x|z) and an approximate posterior q(z|x).

    See Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114). If every row has a context c, the
    decoder computes p(x|z, c). The prior and the encoder get c if they declare ``sees_context``
    (Sohn, Lee and Yan 2015, https://papers.nips.cc/paper/5775).

    Parameters
    ----------
    prior : torch.nn.Module
        Returns p(z). If its ``sees_context`` is true, it takes the context and returns p(z|c).
    encoder : torch.nn.Module
        Maps embedded rows ``(n, n_features)`` to q(z|x). If its ``sees_context`` is true, it takes
        the context, too, and returns q(z|x, c).
    decoder : torch.nn.Module
        Maps z ``(n, latent_dim)`` to parameters ``(n, n_features, n_params)``. A context is
        appended to z.
    likelihood_family : torch.nn.Module
        Maps those parameters to p(x|z), and embeds rows for the encoder.
    latent_dim : int
        Dimension of z.
    n_features : int
        Number of columns of X.
    distortion : torch.nn.Module, default=None
        Distorts embedded rows at random in training, without changing their class. In training,
        the class of a row is then told by z of a distorted copy. If ``None``, it is told by z of
        the row.

    Examples
    --------
    The estimator makes such a model and trains it:

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
        distortion: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.prior: Any = prior
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood_family: Any = likelihood_family
        self.latent_dim = latent_dim
        self.n_features = n_features
        self.distortion = distortion

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
            Rows as the likelihood embeds them, with 0 for missing values. If ``sees_missing`` of
            the encoder is true, columns follow that are 1 for a missing value and otherwise 0.
        """
        # In the networks' precision, which is the cheaper one; there infinity is far, too.
        embedded = self.likelihood_family.embed(x).to(self.dtype).clamp(-FARTHEST, FARTHEST)
        embedded = embedded.nan_to_num()
        if getattr(self.encoder, "sees_missing", False):
            return torch.cat([embedded, x.isnan().to(self.dtype)], -1)
        return embedded

    def told(self, part: nn.Module, context: Tensor | None) -> list[Tensor]:
        """Return the context as a list of arguments for the prior or the encoder.

        Parameters
        ----------
        part : torch.nn.Module
            The prior or the encoder.
        context : Tensor of shape (n, n_context) or None
            The context of the rows.

        Returns
        -------
        arguments : list of Tensor of shape (n, n_context)
            The context in the precision of the networks. Empty if the part does not see it.
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
            The context of these points.

        Returns
        -------
        likelihood : torch.distributions.Distribution
            A distribution with batch shape ``(...)`` and event shape ``(n_features,)``.
        """
        told = z
        if context is not None:
            told = torch.cat([z, context.to(z.dtype).expand(*z.shape[:-1], -1)], -1)
        params = self.decoder(told.reshape(-1, told.shape[-1])).to(self.dtype)
        return self.likelihood_family(params.reshape(*z.shape[:-1], *params.shape[1:]))

    def forward(self, batch: Batch, noise: Tensor, prior: Distribution | None = None) -> Joint:
        """Return all terms that are needed for the bound of a batch.

        Parameters
        ----------
        batch : Batch
            Rows, with their context.
        noise : Tensor of shape (n_samples, n, latent_dim)
            Standard normal.
        prior : torch.distributions.Distribution, default=None
            The distribution p(z), if it was computed before. A prior may need the encoder for it.

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
            told = self._told_class(batch, noise) if self._is_distorting else z
            likelihood = Tilted(likelihood, self.prior.log_prob_label(told, batch.label))
        return Joint(posterior, z, likelihood, prior)

    @property
    def _is_distorting(self) -> bool:
        return self.training and self.distortion is not None and bool(self.prior.is_placed)

    def _told_class(self, batch: Batch, noise: Tensor) -> Tensor:
        """Return draws of z of distorted copies of the rows."""
        assert self.distortion is not None
        copies = self.distortion(self.embedded(batch.x))
        posterior: Any = self.encoder(copies, *self.told(self.encoder, batch.context))
        with torch.autocast(noise.device.type, enabled=False):
            return posterior.reparameterize(noise)

    def given(self, context: Tensor) -> VAE:
        """Return the model of rows that all have this context.

        Parameters
        ----------
        context : Tensor of shape (n_context,)
            The context of these rows.

        Returns
        -------
        model : VAE
            A model with the same networks. Its methods need no context.
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
    """Return KL(q(z|x) ‖ p(z)) in nats, split into components if possible.

    The closed form is used if both distributions factorise over the components, or if the pair is
    registered with torch (the result then has one column). Otherwise, it is the mean over the
    samples of ``log q(z|x) − log p(z)``. The closed form for normal distributions is in appendix B
    of Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114).

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
        Nats. The sum over the columns is the KL of the row.

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
    """Return the KL of the marginals of each component in nats, both taken as normal.

    It is ``KL(N(E_q[z_j], Var_q[z_j]) ‖ N(E_p[z_j], Var_p[z_j]))``. It says how much a component
    tells about a row if the KL of the vectors does not split into components.

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
