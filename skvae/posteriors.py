"""Posterior families q(z|x): heads that turn features of the encoder into a distribution.

A family is a ``torch.nn.Module`` with the interface of :class:`Posterior`. Called with features, it
returns a distribution with ``mean``, ``stddev``, ``log_prob(z)`` and ``reparameterize(noise)``,
which turns standard normal noise into z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from skvae import distributions
from skvae._parameters import Parameters
from skvae.initialization import materialize

__all__ = ["POSTERIORS", "DiagonalNormal", "FullNormal", "InverseAutoregressiveFlow", "Posterior"]

_START = math.log(math.expm1(0.1))
"""Standard deviations start at a tenth of the prior's: at full width the decoder sees noise
alone, learns to ignore z, and some seeds never recover."""


class Posterior(Parameters, nn.Module):
    """Interface of a posterior family q(z|x).

    Examples
    --------
    A posterior with one standard deviation for all rows and components:

    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.distributions import Independent, Normal
    >>> from skvae.initialization import materialize
    >>> from skvae.posteriors import Posterior
    >>> class SharedScale(Posterior):
    ...     def initialize(self, n_in, latent_dim, generator):
    ...         self.loc = materialize(lambda: torch.nn.Linear(n_in, latent_dim), generator)
    ...         self.log_scale = torch.nn.Parameter(torch.tensor(-2.0))
    ...
    ...     def forward(self, features):
    ...         loc = self.loc(features)
    ...         return Independent(Normal(loc, self.log_scale.exp().expand_as(loc)))
    >>> vae = VariationalAutoencoder(posterior_family=SharedScale(), max_epochs=5)
    >>> loc, scale = vae.fit(load_iris().data).posterior(load_iris().data)
    >>> bool((scale == scale[0, 0]).all())
    True
    """

    starts_linear: bool = False

    def __init__(self) -> None:
        super().__init__()

    def initialize(self, n_in: int, latent_dim: int, generator: torch.Generator) -> None:
        """Create the layers, and draw their weights from ``generator``.

        Parameters
        ----------
        n_in : int
            Number of features of the encoder.
        latent_dim : int
            Dimension of z.
        generator : torch.Generator
            The generator of the initial weights.
        """

    def start(self, weight: Tensor, bias: Tensor, scale: Tensor) -> None:
        """Set the head to ``N(weight · x + bias, diag scale²)``, the start of training.

        This is called if the encoder has a linear path and ``starts_linear`` is true. The first
        features are then the embedded row x.

        Parameters
        ----------
        weight : Tensor of shape (k, n_embedded)
            Weights of the first ``k`` components. The others equal the prior for every x.
        bias : Tensor of shape (k,)
            Means of these components for x = 0.
        scale : Tensor of shape (k,)
            Standard deviations of these components.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define start(weight, bias, scale).")

    def forward(self, features: Tensor) -> Distribution:
        """Return q(z|x).

        Parameters
        ----------
        features : Tensor of shape (n, n_in)
            Features of the encoder.

        Returns
        -------
        posterior : torch.distributions.Distribution
            A distribution with batch shape ``(n,)`` and event shape ``(latent_dim,)``.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define forward(features).")


def _raw(scale: Tensor) -> Tensor:
    """Return what a head must put out for standard deviations of ``scale``."""
    return torch.log(torch.expm1(scale)) - _START


class DiagonalNormal(Posterior):
    """A normal posterior with independent components, ``q(z|x) = N(loc(x), diag scale(x)²)``.

    See Kingma and Welling 2014, equation 9 (https://arxiv.org/abs/1312.6114).

    Examples
    --------
    >>> import torch
    >>> from skvae.posteriors import DiagonalNormal
    >>> head = DiagonalNormal()
    >>> head.initialize(n_in=16, latent_dim=2, generator=torch.Generator().manual_seed(0))
    >>> head(torch.zeros(5, 16)).mean.shape
    torch.Size([5, 2])
    """

    starts_linear = True
    moments: nn.Linear

    def initialize(self, n_in: int, latent_dim: int, generator: torch.Generator) -> None:
        """Create the layer for means and scales."""
        self.moments = materialize(lambda: nn.Linear(n_in, 2 * latent_dim), generator)

    def start(self, weight: Tensor, bias: Tensor, scale: Tensor) -> None:
        """Set the head to ``N(weight · x + bias, diag scale²)``."""
        k, n_in = weight.shape
        latent_dim = self.moments.out_features // 2
        nn.init.zeros_(self.moments.weight)
        nn.init.zeros_(self.moments.bias)
        self.moments.weight[:k, :n_in] = weight
        self.moments.bias[:k] = bias
        self.moments.bias[latent_dim : latent_dim + k] = _raw(scale)

    def forward(self, features: Tensor) -> Distribution:
        """Return q(z|x)."""
        # float32 even when the features come from a bfloat16 region: a KL needs the digits.
        loc, raw = self.moments(features).to(self.moments.weight.dtype).chunk(2, -1)
        scale = distributions.positive(raw + _START)
        return distributions.Independent(distributions.Normal(loc, scale))


class FullNormal(Posterior):
    """A normal posterior with correlated components, ``q(z|x) = N(loc(x), L(x) L(x)ᵀ)``.

    L is lower triangular. The exact posterior of any linear-Gaussian model has this form. Row i of
    L is ``scale_i · (t_i1, …, t_i(i−1), 1, 0, …)``, with the vector scaled to length 1, so that
    ``scale`` holds the standard deviations of the components. The head computes d(d + 1)/2 numbers
    for scale and t. Every ``|t|`` is below 10, which keeps L far from singular: correlations are at
    most .995. See Kingma and Welling 2019, section 2.5 (https://arxiv.org/abs/1906.02691).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> vae = VariationalAutoencoder(posterior_family="full", max_epochs=5)
    >>> vae.fit(load_iris().data).transform(load_iris().data).shape
    (150, 2)
    """

    starts_linear = True
    _LIMIT = 10.0
    loc: nn.Linear
    tril: nn.Linear
    below: Tensor

    def initialize(self, n_in: int, latent_dim: int, generator: torch.Generator) -> None:
        """Create the two layers."""
        n_tril = latent_dim * (latent_dim + 1) // 2
        self.loc = materialize(lambda: nn.Linear(n_in, latent_dim), generator)
        self.tril = materialize(lambda: nn.Linear(n_in, n_tril), generator)
        below = torch.tril_indices(latent_dim, latent_dim, -1)
        self.register_buffer("below", below, persistent=False)

    def start(self, weight: Tensor, bias: Tensor, scale: Tensor) -> None:
        """Set the head to ``N(weight · x + bias, diag scale²)``."""
        k, n_in = weight.shape
        for layer in (self.loc, self.tril):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.loc.weight[:k, :n_in] = weight
        self.loc.bias[:k] = bias
        self.tril.bias[:k] = _raw(scale)

    def forward(self, features: Tensor) -> Distribution:
        """Return q(z|x)."""
        dtype = self.loc.weight.dtype
        loc, raw = self.loc(features).to(dtype), self.tril(features).to(dtype)
        d = loc.shape[-1]
        scale = distributions.positive(raw[..., :d] + _START)
        rows = torch.eye(d, dtype=dtype, device=loc.device).repeat(*loc.shape[:-1], 1, 1)
        # Damped, so that correlations start small.
        below = self._LIMIT * torch.tanh(0.1 * raw[..., d:] / self._LIMIT)
        rows[..., self.below[0], self.below[1]] = below
        scale_tril = scale.unsqueeze(-1) * F.normalize(rows, dim=-1)
        return distributions.MultivariateNormal(loc, scale_tril)


class InverseAutoregressiveFlow(Posterior):
    """A diagonal normal distribution, transformed by autoregressive steps; fast to draw from.

    ``z = f_T(… f_1(u))`` with ``u ~ N(loc(x), diag scale(x)²)`` and
    ``f_t(u)_j = u_j · exp(s_t(u_<j, h(x))) + m_t(u_<j, h(x))`` (Kingma et al. 2016,
    https://arxiv.org/abs/1606.04934). The steps start as the identity. Networks and transformations
    come from ``zuko`` (extra ``flows``).

    The mean, which is the result of ``transform``, is an average over 32 fixed points. The density
    of a z that was not drawn from q itself takes ``latent_dim`` passes.

    Parameters
    ----------
    n_transforms : int, default=2
        Number of steps. The order of the components is reversed from one step to the next.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Layers of the network in each step.
    context_size : int, default=32
        Size of h(x), a linear function of the features of the encoder.

    Raises
    ------
    ImportError
        In ``fit``, when zuko is not installed.
    ValueError
        In ``fit``, when a parameter is not a positive whole number.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> vae = VariationalAutoencoder(posterior_family="flow", max_epochs=5)
    >>> vae.fit(load_iris().data).transform(load_iris().data).shape
    (150, 2)
    """

    starts_linear = True
    base: DiagonalNormal
    context: nn.Linear
    steps: nn.Module

    def __init__(
        self,
        n_transforms: int = 2,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        context_size: int = 32,
    ) -> None:
        super().__init__()
        self.n_transforms = n_transforms
        self.hidden_layer_sizes = hidden_layer_sizes
        self.context_size = context_size

    def initialize(self, n_in: int, latent_dim: int, generator: torch.Generator) -> None:
        """Create the base, the context and the steps."""
        zuko = distributions.require_zuko("InverseAutoregressiveFlow")
        n_transforms, context_size = self._whole("n_transforms"), self._whole("context_size")
        sizes = self._sizes("hidden_layer_sizes")
        self.base = DiagonalNormal()
        self.base.initialize(n_in, latent_dim, generator)
        self.context = materialize(lambda: nn.Linear(n_in, context_size), generator)
        ascending = torch.arange(latent_dim)

        def step(order: Tensor) -> nn.Module:
            return zuko.flows.MaskedAutoregressiveTransform(
                latent_dim,
                context_size,
                order=order,
                hidden_features=sizes,
            )

        orders = [ascending.flip(0) if t % 2 else ascending for t in range(n_transforms)]
        steps = materialize(lambda: nn.ModuleList(map(step, orders)), generator)
        for layer in steps:
            _start_as_identity(layer)
        self.steps = zuko.lazy.LazyComposedTransform(*steps)

    def start(self, weight: Tensor, bias: Tensor, scale: Tensor) -> None:
        """Set the base to ``N(weight · x + bias, diag scale²)``. The steps are the identity."""
        self.base.start(weight, bias, scale)

    def forward(self, features: Tensor) -> Distribution:
        """Return q(z|x)."""
        context = self.context(features).to(self.context.weight.dtype)
        return distributions.Transformed(self.base(features), self.steps(context))


_FARTHEST = 1e6


def _limited(network: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Bound what a step's network sees: to invert a step is to feed it its own results in turn."""
    return (inputs[0].clamp(-_FARTHEST, _FARTHEST),)


def _start_as_identity(step: Any) -> None:
    """Set the last layer of a step's network to zero: no shift, scale one. Bound what it sees."""
    step.hyper.register_forward_pre_hook(_limited)
    last = step.hyper[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


POSTERIORS: dict[str, type[Posterior]] = {
    "diagonal": DiagonalNormal,
    "full": FullNormal,
    "flow": InverseAutoregressiveFlow,
}
"""Posterior families by name."""
