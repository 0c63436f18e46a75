"""Priors p(z): modules of torch that return a distribution when they are called.

The distribution has ``event_shape`` ``(latent_dim,)``, ``log_prob(z)``, ``mean``, ``stddev`` and
``sample(sample_shape, generator=...)``. The parameters of a prior are learned together with the
rest of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from skvae import distributions
from skvae._parameters import Parameters, check_number
from skvae.initialization import draw_weights, materialize

__all__ = [
    "PRIORS",
    "ClassMixture",
    "FlowPrior",
    "MixtureOfGaussians",
    "Prior",
    "StandardNormal",
    "VampPrior",
]


class Prior(Parameters, nn.Module):
    """Interface of a prior p(z).

    Examples
    --------
    A normal distribution whose mean is learned:

    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.distributions import Independent, Normal
    >>> from skvae.priors import Prior
    >>> class MovedNormal(Prior):
    ...     def initialize(self, latent_dim):
    ...         self.loc = torch.nn.Parameter(torch.zeros(latent_dim))
    ...
    ...     def forward(self):
    ...         return Independent(Normal(self.loc, torch.ones_like(self.loc)))
    >>> vae = VariationalAutoencoder(prior=MovedNormal(), max_epochs=5, random_state=0)
    >>> vae.fit(load_iris().data).sample(2).shape
    (2, 4)
    """

    def __init__(self) -> None:
        super().__init__()

    def initialize(self, latent_dim: int) -> None:
        """Create the parameters and buffers, which may depend on the latent dimension.

        This is called once in a fit. It is called again when a model is read from a file, and the
        arrays of the file then replace those made here.

        Parameters
        ----------
        latent_dim : int
            Dimension of z.
        """

    def connect(
        self, encoder: Callable[[Tensor], Distribution], x: Tensor, generator: torch.Generator
    ) -> None:
        """Set starting values that depend on the rest of the model. This method is optional.

        It is called once in a fit, after ``initialize``.

        Parameters
        ----------
        encoder : callable
            Maps embedded rows to q(z|x).
        x : Tensor of shape (n, n_embedded)
            Some training rows, as the encoder sees them.
        generator : torch.Generator
            The generator for random initial values.
        """

    def forward(self) -> Distribution:
        """Return p(z).

        Returns
        -------
        prior : torch.distributions.Distribution
            A distribution with batch shape ``()`` and event shape ``(latent_dim,)``.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define forward().")


class StandardNormal(Prior):
    """``p(z) = N(0, I)``, the prior of Kingma and Welling 2014 (https://arxiv.org/abs/1312.6114).

    Examples
    --------
    >>> from skvae.priors import StandardNormal
    >>> prior = StandardNormal()
    >>> prior.initialize(latent_dim=3)
    >>> prior().mean
    tensor([0., 0., 0.])
    """

    loc: Tensor
    scale: Tensor

    def initialize(self, latent_dim: int) -> None:
        """Set the dimension."""
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        """Return p(z)."""
        return distributions.Independent(distributions.Normal(self.loc, self.scale))


class MixtureOfGaussians(Prior):
    """A mixture of Gaussians, ``p(z) = Σ_k w_k N(z; loc_k, diag scale_k²)``, learned in training.

    Use it for rows that form groups. The mean of q(z|x) is then pulled towards the nearest Gaussian
    instead of 0. See Dilokthanakul et al. 2016 (https://arxiv.org/abs/1611.02648), and Tomczak and
    Welling 2018 (https://arxiv.org/abs/1705.07120), who compare it with the VampPrior.

    Parameters
    ----------
    n_components : int, default=10
        Number of Gaussians in the mixture.

    Raises
    ------
    ValueError
        In ``fit``, when ``n_components`` is not a positive whole number.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.priors import MixtureOfGaussians
    >>> vae = VariationalAutoencoder(prior=MixtureOfGaussians(3), max_epochs=5, random_state=0)
    >>> vae.fit(load_iris().data).sample(2).shape
    (2, 4)
    """

    _START = 0.5413  # softplus of it is 1

    def __init__(self, n_components: int = 10) -> None:
        super().__init__()
        self.n_components = n_components

    def initialize(self, latent_dim: int) -> None:
        """Create weights, means and scales. Every Gaussian is the standard normal at first."""
        k = self._whole("n_components")
        self.log_weights = nn.Parameter(torch.zeros(k))
        self.loc = nn.Parameter(torch.zeros(k, latent_dim))
        self.raw_scale = nn.Parameter(torch.full((k, latent_dim), self._START))

    def connect(
        self, encoder: Callable[[Tensor], Distribution], x: Tensor, generator: torch.Generator
    ) -> None:
        """Draw the means from the standard normal distribution."""
        nn.init.normal_(self.loc, generator=generator)

    def forward(self) -> Distribution:
        """Return p(z)."""
        normals = distributions.Normal(self.loc, distributions.positive(self.raw_scale))
        return distributions.Mixture(self.log_weights, distributions.Independent(normals))


class ClassMixture(Prior):
    """A learned mixture of Gaussians for each class y: ``p(z) = Σ_y p(y) p(z|y)``.

    Each class has its own place in the latent space, and rows are classified by it:
    ``p(y|z) = p(y) p(z|y) / p(z)``. This is the prior of :class:`skvae.VAEClassifier`. As soon as
    the classes can be told apart, the classifier moves the Gaussians to the rows of each class.
    Before that, and without a classifier, p(z) is N(0, I). See Jiang et al. 2017, VaDE
    (https://arxiv.org/abs/1611.05148), for such a mixture with unknown classes.

    Parameters
    ----------
    n_components : int, default=4
        Number of Gaussians for each class.
    n_classes : int, default=2
        Number of classes. The classifier sets it.
    label_weight : float or sequence of float of length n_classes, default=1.0
        Weight of ``log p(y|z)`` of a row with a label y relative to its bound on log p(x). With a
        weight of 1, the sum of both is the bound on log p(x, y). The classifier sets it.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAEClassifier, VariationalAutoencoder
    >>> from skvae.priors import ClassMixture
    >>> vae = VariationalAutoencoder(prior=ClassMixture(1), max_steps=200, random_state=0)
    >>> classifier = VAEClassifier(vae).fit(*load_iris(return_X_y=True))
    >>> classifier.vae_.net_.module_.prior.n_classes
    3
    """

    is_placed: Tensor
    origin: Tensor
    weight: Tensor

    def __init__(
        self,
        n_components: int = 4,
        n_classes: int = 2,
        label_weight: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__()
        self.n_components = n_components
        self.n_classes = n_classes
        self.label_weight = label_weight

    def initialize(self, latent_dim: int) -> None:
        """Create weights, means and scales. All Gaussians are the standard normal at first."""
        shape = self._whole("n_classes"), self._whole("n_components")
        self.log_weights = nn.Parameter(torch.zeros(shape))
        self.loc = nn.Parameter(torch.zeros(*shape, latent_dim))
        self.raw_scale = nn.Parameter(torch.full((*shape, latent_dim), MixtureOfGaussians._START))
        self.register_buffer("is_placed", torch.tensor(False))
        self.register_buffer("origin", torch.zeros(latent_dim), persistent=False)
        weights = torch.as_tensor(self._label_weights(shape[0]))
        self.register_buffer("weight", weights, persistent=False)

    def _label_weights(self, n_classes: int) -> list[float]:
        given = self.label_weight
        entries = list(given) if hasattr(given, "__iter__") else [given] * n_classes
        must = f"it must be a number, not below 0, or one for each of {n_classes} classes."
        what = "label_weight of ClassMixture"
        if len(entries) != n_classes:
            raise ValueError(f"{what} is {given!r}; {must}")
        return [
            check_number(entry, what, must, lambda value: 0 <= value < float("inf"), float)
            for entry in entries
        ]

    def place(self, weights: Tensor, loc: Tensor, scale: Tensor) -> None:
        """Set the Gaussians. Training continues from these values.

        Parameters
        ----------
        weights : Tensor of shape (n_classes, n_components)
            Weights of the Gaussians, positive, with sum 1.
        loc, scale : Tensor of shape (n_classes, n_components, latent_dim)
            Means and standard deviations.
        """
        with torch.no_grad():
            self.log_weights.copy_(weights.log())
            self.loc.copy_(loc)
            # The inverse of softplus.
            self.raw_scale.copy_(scale + torch.log(-torch.expm1(-scale)))
            self.is_placed.fill_(True)

    def forward(self) -> Distribution:
        """Return p(z)."""
        if not self.is_placed:
            ones = torch.ones_like(self.origin)
            return distributions.Independent(distributions.Normal(self.origin, ones))
        return self._mixture(slice(None))

    def given(self, label: int) -> Distribution:
        """Return p(z|y).

        Parameters
        ----------
        label : int
            The number of the class y.

        Returns
        -------
        p : torch.distributions.Distribution
            A distribution with batch shape ``()`` and event shape ``(latent_dim,)``.
        """
        return self._mixture(label) if self.is_placed else self()

    def _mixture(self, classes: int | slice) -> distributions.Mixture:
        """Return the mixture of the Gaussians of some classes."""
        loc = self.loc[classes].flatten(0, -2)
        scale = distributions.positive(self.raw_scale[classes]).flatten(0, -2)
        normals = distributions.Independent(distributions.Normal(loc, scale))
        return distributions.Mixture(self.log_weights[classes].flatten(), normals)

    def log_prob_labels(self, z: Tensor) -> Tensor:
        """Return log p(y|z) of every class.

        Parameters
        ----------
        z : Tensor of shape (..., latent_dim)
            Points in the latent space.

        Returns
        -------
        log_prob : Tensor of shape (..., n_classes)
            Nats.
        """
        every = self._mixture(slice(None))
        joint = distributions.pairwise_log_prob(every.components, z) + every.log_weights
        return torch.log_softmax(joint.unflatten(-1, self.log_weights.shape).logsumexp(-1), -1)

    def log_prob_label(self, z: Tensor, label: Tensor) -> Tensor:
        """Return log p(y|z) of the label that each row has, times its weight.

        Parameters
        ----------
        z : Tensor of shape (..., n, latent_dim)
            Points in the latent space.
        label : Tensor of shape (n,)
            Number of the class of each row. NaN means that it is unknown.

        Returns
        -------
        log_prob : Tensor of shape (..., n)
            Nats. 0 if the label is unknown.
        """
        known = ~label.isnan()
        # As long as no class has a place, no z says more of one than of another.
        if not self.is_placed:
            return torch.zeros_like(z[..., 0])
        classes = label.nan_to_num().long()
        log_prob = self.log_prob_labels(z).gather(-1, classes.expand(z.shape[:-1]).unsqueeze(-1))
        weight = self.weight[classes].to(z.dtype) * known
        return log_prob.squeeze(-1) * weight


class VampPrior(Prior):
    """The VampPrior ``p(z) = Σ_k w_k q(z|u_k)``: posteriors of learned pseudo-inputs u_k.

    This mixture follows the encoder. So it comes close to the average posterior of the training
    rows, which is the best possible prior for the bound (Tomczak and Welling 2018,
    https://arxiv.org/abs/1705.07120). Pseudo-inputs are embedded rows, as the encoder sees them,
    and start as training rows. They are encoded again for every batch, which takes time.

    Parameters
    ----------
    n_pseudo_inputs : int, default=50
        Number of pseudo-inputs. The paper uses 500 for MNIST.
    learn_weights : bool, default=False
        Learn the weights w_k, too. Otherwise they are all equal. Norouzi, Fleet and Norouzi 2020
        (https://arxiv.org/abs/2004.04467) use this form.

    Raises
    ------
    ValueError
        In ``fit``, when ``n_pseudo_inputs`` is not a positive whole number.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.priors import VampPrior
    >>> vae = VariationalAutoencoder(prior=VampPrior(8), max_epochs=5, random_state=0)
    >>> vae.fit(load_iris().data).sample(2).shape
    (2, 4)
    """

    _encoder: Any

    def __init__(self, n_pseudo_inputs: int = 50, learn_weights: bool = False) -> None:
        super().__init__()
        self.n_pseudo_inputs = n_pseudo_inputs
        self.learn_weights = learn_weights

    def connect(
        self, encoder: Callable[[Tensor], Distribution], x: Tensor, generator: torch.Generator
    ) -> None:
        """Take evenly spaced rows as pseudo-inputs."""
        k = self._whole("n_pseudo_inputs")
        # In a tuple, because a module would be registered and trained twice.
        self._encoder = (encoder,)
        rows = torch.linspace(0, len(x) - 1, k).round().long()
        self.pseudo_inputs = nn.Parameter(x[rows].float().clone())
        self.log_weights = nn.Parameter(torch.zeros(k), requires_grad=bool(self.learn_weights))

    def forward(self) -> Distribution:
        """Return p(z)."""
        return distributions.Mixture(self.log_weights, self._encoder[0](self.pseudo_inputs))


class FlowPrior(Prior):
    """A neural spline flow: a prior of any shape with an exact density.

    ``f(z) ~ N(0, I)``, where f is a chain of monotonic rational-quadratic splines on [−5, 5], whose
    knots depend on the preceding components (Durkan et al. 2019, https://arxiv.org/abs/1906.04032;
    Chen et al. 2017, https://arxiv.org/abs/1611.02731, use such flows as a prior). It starts as
    N(0, I). It needs ``zuko`` (extra ``flows``). A draw takes ``latent_dim`` passes for each step.

    Parameters
    ----------
    n_transforms : int, default=2
        Number of steps (transformations).
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Layers of the network in each step.
    n_bins : int, default=8
        Number of bins of the splines.

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
    >>> vae = VariationalAutoencoder(prior="flow", max_epochs=5, random_state=0)
    >>> vae.fit(load_iris().data).sample(2).shape
    (2, 4)
    """

    flow: Any
    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        n_transforms: int = 2,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        n_bins: int = 8,
    ) -> None:
        super().__init__()
        self.n_transforms = n_transforms
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_bins = n_bins

    def initialize(self, latent_dim: int) -> None:
        """Create the steps, but not yet their weights."""
        zuko = distributions.require_zuko("FlowPrior")
        n_transforms, n_bins = self._whole("n_transforms"), self._whole("n_bins")
        sizes = self._sizes("hidden_layer_sizes")
        flow = materialize(
            lambda: zuko.flows.NSF(
                latent_dim,
                transforms=n_transforms,
                bins=n_bins,
                hidden_features=sizes,
            ),
            torch.Generator().manual_seed(0),
        )
        self.flow = flow.transform
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def connect(
        self, encoder: Callable[[Tensor], Distribution], x: Tensor, generator: torch.Generator
    ) -> None:
        """Draw the weights. The last layer of every step is zero, so that f is the identity."""
        draw_weights(self.flow, generator)
        for step in self.flow.transforms:
            # One component alone has no network, only parameters that start at zero.
            for layer in list(getattr(step, "hyper", ()))[-1:]:
                nn.init.zeros_(layer.weight)

    def forward(self) -> Distribution:
        """Return p(z)."""
        base = distributions.Independent(distributions.Normal(self.loc, self.scale))
        return distributions.Transformed(base, self.flow().inv)


PRIORS: dict[str, type[Prior]] = {
    "normal": StandardNormal,
    "mixture": MixtureOfGaussians,
    "vamp": VampPrior,
    "flow": FlowPrior,
}
"""Priors by name."""
