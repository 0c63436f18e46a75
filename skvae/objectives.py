"""Objectives: what training maximises.

An objective is called with a batch and the three distributions, and returns a :class:`Bound`. It is
plain Python: it has no weights, and knows nothing about the training loop except the number of the
epoch. An objective that draws random numbers declares ``generator = None``. Training then sets a
new generator in every epoch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from skvae._parameters import Parameters
from skvae.distributions import pairwise_log_prob
from skvae.model import kl_per_component

__all__ = [
    "ELBO",
    "IWAE",
    "OBJECTIVES",
    "BetaTCVAE",
    "Bound",
    "CyclicalAnnealing",
    "InfoVAE",
    "LinearWarmup",
    "Objective",
    "Trimmed",
]


class Bound(NamedTuple):
    """The result of an objective for a batch, in nats per row.

    Attributes
    ----------
    loss : Tensor of shape (n,)
        The loss of each row. Training minimises its mean over the batch.
    reconstruction : Tensor of shape (n,)
        E_q[log p(x|z)].
    kl : Tensor of shape (n,)
        KL(q(z|x) ‖ p(z)).

    Examples
    --------
    >>> import torch
    >>> from skvae.objectives import Bound
    >>> reconstruction, kl = torch.tensor([-3.0, -4.0]), torch.tensor([1.0, 2.0])
    >>> Bound(loss=kl - reconstruction, reconstruction=reconstruction, kl=kl).loss
    tensor([4., 6.])
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


Gather = Callable[[Tensor], tuple[Tensor, slice]]


class Schedule(Protocol):
    """A weight that depends on the epoch. ``None`` asks for its final value."""

    def __call__(self, epoch: int | None) -> float: ...


class LinearWarmup(Parameters):
    """A weight that rises or falls linearly to its final value (Sønderby et al. 2016).

    See https://arxiv.org/abs/1602.02282. With a weight that falls from a large value, information
    in z is expensive at first. A :class:`skvae.ConditionalVAE` then learns everything that the
    condition says from the condition, and does not repeat it in z.

    Parameters
    ----------
    n_epochs : int, default=10
        Number of epochs before the final value is reached. In epoch ``e = 0, 1, …`` the weight is
        ``start + (weight − start) · (e + 1) / (n_epochs + 1)``. From epoch ``n_epochs`` on, it is
        ``weight``.
    weight : float, default=1.0
        The final value.
    start : float, default=0.0
        The value from which the weight rises or falls.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter is out of its range or not a number.

    Examples
    --------
    >>> from skvae.objectives import LinearWarmup
    >>> [LinearWarmup(3)(epoch) for epoch in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    >>> [LinearWarmup(3, start=9.0)(epoch) for epoch in range(5)]
    [7.0, 5.0, 3.0, 1.0, 1.0]
    """

    def __init__(self, n_epochs: int = 10, weight: float = 1.0, start: float = 0.0) -> None:
        self.n_epochs = n_epochs
        self.weight = weight
        self.start = start

    def __call__(self, epoch: int | None) -> float:
        """Return the weight in an epoch.

        Parameters
        ----------
        epoch : int or None
            Number of epochs before this one. ``None`` asks for the final value.

        Returns
        -------
        weight : float
            A number without a unit.
        """
        weight, start = self._real("weight"), self._real("start")
        n_epochs = self._whole("n_epochs", least=0)
        if epoch is None or epoch >= n_epochs:
            return weight
        return start + (weight - start) * (epoch + 1) / (n_epochs + 1)


class CyclicalAnnealing(Parameters):
    """A weight that rises from 0 several times and then stays constant (Fu et al. 2019).

    Each cycle gives components that are still unused another chance to be used. See
    https://arxiv.org/abs/1903.10145.

    Parameters
    ----------
    n_epochs : int, default=40
        Length of all cycles together. After that, the weight has its final value.
    n_cycles : int, default=4
        Number of cycles.
    ramp : float, default=0.5
        Fraction of a cycle in which the weight rises.
    weight : float, default=1.0
        The final value.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter is out of its range or not a number.

    Examples
    --------
    >>> from skvae.objectives import ELBO, CyclicalAnnealing
    >>> [CyclicalAnnealing(8, n_cycles=2)(epoch) for epoch in range(9)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]
    >>> objective = ELBO(beta=CyclicalAnnealing(weight=4.0))
    """

    def __init__(
        self, n_epochs: int = 40, n_cycles: int = 4, ramp: float = 0.5, weight: float = 1.0
    ) -> None:
        self.n_epochs = n_epochs
        self.n_cycles = n_cycles
        self.ramp = ramp
        self.weight = weight

    def __call__(self, epoch: int | None) -> float:
        """Return the weight in an epoch.

        Parameters
        ----------
        epoch : int or None
            Number of epochs before this one. ``None`` asks for the final value.

        Returns
        -------
        weight : float
            A number without a unit.
        """
        weight, n_epochs, n_cycles = (
            self._real("weight"), self._whole("n_epochs"), self._whole("n_cycles")
        )  # fmt: skip
        ramp = self._real("ramp", "it must lie in (0, 1].", lambda value: 0 < value <= 1)
        if epoch is None or epoch >= n_epochs:
            return weight
        position = (epoch * n_cycles / n_epochs) % 1.0
        return weight * min(1.0, position / ramp)


class Objective(Parameters):
    """Interface of an objective.

    Attributes
    ----------
    n_samples : int
        Number of draws of z for each row of a training batch.
    compares_rows : bool
        Whether the loss of a row depends on the other rows of its batch. Such an objective cannot
        be used in :func:`skvae.data_parallel`, where each process has a part of the batch.
    gather : callable or None
        A function that is set during a fit in :func:`skvae.data_parallel`. It takes a tensor with
        an entry for each row of this process, and returns the entries of the whole batch, and the
        slice of them that belongs to this process. It is differentiable. An objective that compares
        rows only through this function may set ``compares_rows`` to false.

    Examples
    --------
    A plain autoencoder, without a term that keeps the posterior near the prior:

    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.objectives import ELBO, Objective
    >>> class Reconstruction(Objective):
    ...     def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
    ...         bound = ELBO()(x, posterior, z, likelihood, prior)
    ...         return bound._replace(loss=-bound.reconstruction)
    >>> vae = VariationalAutoencoder(objective=Reconstruction(), max_epochs=5, random_state=0)
    >>> vae.fit_transform(load_iris().data).shape
    (150, 2)
    """

    n_samples: int = 1
    compares_rows: bool = False
    gather: Gather | None = None

    def __call__(
        self,
        x: Tensor,
        posterior: Distribution,
        z: Tensor,
        likelihood: Distribution,
        prior: Distribution,
        epoch: int | None = None,
    ) -> Bound:
        """Return the bound of a batch.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Rows.
        posterior : torch.distributions.Distribution
            The q(z|x), of batch shape ``(n,)``.
        z : Tensor of shape (n_samples, n, latent_dim)
            Drawn from the posterior.
        likelihood : torch.distributions.Distribution
            The p(x|z), of batch shape ``(n_samples, n)``.
        prior : torch.distributions.Distribution
            The distribution p(z).
        epoch : int, default=None
            Number of epochs before this one. ``None``, outside training, means that all schedules
            are over.

        Returns
        -------
        bound : Bound
            Tensors of shape ``(n,)``, in nats.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define __call__.")

    def weights(self, epoch: int | None) -> list[float]:
        """Return the numbers in the loss that depend on the epoch.

        Parameters
        ----------
        epoch : int or None
            Number of epochs before this one. ``None`` means that all schedules are over.

        Returns
        -------
        weights : list of float
            Numbers without a unit. The list is empty if the loss is the same in every epoch.
        """
        return []

    def given(self, weights: Sequence[Any]) -> Objective:
        """Return the same objective with these ``weights`` in every epoch.

        Parameters
        ----------
        weights : sequence of float or of Tensor of shape ()
            As many as :meth:`weights` returns.

        Returns
        -------
        objective : Objective
            Its loss does not depend on the epoch, so that one compiled graph can serve all epochs.
        """
        return self


class ELBO(Objective):
    """The elbo, ``E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))``, with its usual weights.

    The loss is ``−(reconstruction − beta · kl)``. ``beta=1`` is the bound on log p(x)
    (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114).

    Parameters
    ----------
    beta : float or schedule, default=1.0
        Weight of the KL (Higgins et al. 2017, β-VAE,
        https://openreview.net/forum?id=Sy2fzU9gl). A schedule is called with the epoch:
        :class:`LinearWarmup`, :class:`CyclicalAnnealing` or your own.
    kl_warmup_epochs : int, default=0
        Number of epochs over which the weight rises linearly to ``beta``, as in
        :class:`LinearWarmup`.
    free_bits : float, default=0.0
        Amount of KL per component, in nats and averaged over the batch, that is not penalised
        (Kingma et al. 2016, appendix C.8, https://arxiv.org/abs/1606.04934). With a full or flow
        posterior or a learned prior, the KL does not split into components, and
        ``latent_dim · free_bits`` of its sum are free.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter is out of its range or not a number.

    Examples
    --------
    >>> from skvae.objectives import ELBO
    >>> ELBO(beta=4.0)
    ELBO(beta=4.0, kl_warmup_epochs=0, free_bits=0.0)
    """

    def __init__(
        self, beta: float | Schedule = 1.0, kl_warmup_epochs: int = 0, free_bits: float = 0.0
    ) -> None:
        self.beta = beta
        self.kl_warmup_epochs = kl_warmup_epochs
        self.free_bits = free_bits

    def kl_weight(self, epoch: int | None) -> float:
        """Return the weight of the KL in a given epoch.

        Parameters
        ----------
        epoch : int or None
            Number of epochs before this one. ``None`` means that all schedules are over.

        Returns
        -------
        weight : float
            A number without a unit.
        """
        beta = self.beta(epoch) if callable(self.beta) else self._real("beta")
        n_epochs = self._whole("kl_warmup_epochs", least=0)
        return beta * LinearWarmup(n_epochs)(epoch) if n_epochs else beta

    def weights(self, epoch: int | None) -> list[float]:
        """Return the weight of the KL."""
        return [self.kl_weight(epoch)]

    def given(self, weights: Sequence[Any]) -> ELBO:
        """Return the same objective with this weight of the KL in every epoch."""
        fixed = copy.copy(self)
        (weight,) = weights
        fixed.kl_weight = lambda epoch: weight  # type: ignore[method-assign]  # of this object
        return fixed

    def __call__(
        self,
        x: Tensor,
        posterior: Distribution,
        z: Tensor,
        likelihood: Distribution,
        prior: Distribution,
        epoch: int | None = None,
    ) -> Bound:
        """Return the bound of a batch."""
        reconstruction = likelihood.log_prob(x).mean(0)
        kl_terms = kl_per_component(posterior, prior, z)
        kl = kl_terms.sum(-1)
        paid = kl
        free_bits = self._real("free_bits")
        if free_bits:
            # The mean over the batch is compared with the free nats, not every row's own.
            free = free_bits * z.shape[-1] / kl_terms.shape[-1]
            everyone = kl_terms if self.gather is None else self.gather(kl_terms)[0]
            paid = (everyone.mean(0) - free).clamp_min(0).sum().expand_as(kl)
        return Bound(self.kl_weight(epoch) * paid - reconstruction, reconstruction, kl)


class IWAE(Objective):
    """The importance-weighted bound ``E[log 1/k Σ_i p(x, z_i) / q(z_i|x)]``.

    It rises with k from the elbo (k = 1) towards log p(x). It trains a posterior that is good as a
    proposal for importance sampling, rather than one that is close to the exact posterior (Burda,
    Grosse and Salakhutdinov 2016, https://arxiv.org/abs/1509.00519). The terms in ``history_`` are
    those of the elbo.

    Parameters
    ----------
    n_samples : int, default=5
        Number of draws k, and of decoder passes for each row.
    doubly_reparameterized : bool, default=False
        Estimate the gradient of the encoder with squared importance weights (Tucker et al. 2019,
        DReG, https://arxiv.org/abs/1810.04152). The mean is the same, but the relative variance
        falls with k instead of rising. This holds for posteriors that are about as wide as the
        exact one. For a much narrower posterior, as at the start of training, the estimate is
        noisier. It needs a normal posterior.

    Raises
    ------
    ValueError
        In ``fit``, when ``doubly_reparameterized=True`` is used with a flow posterior, whose
        density cannot be held fixed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.objectives import IWAE
    >>> vae = VariationalAutoencoder(objective=IWAE(8), max_epochs=5, random_state=0)
    >>> vae.fit_transform(load_iris().data).shape
    (150, 2)
    """

    def __init__(self, n_samples: int = 5, doubly_reparameterized: bool = False) -> None:
        self.n_samples = n_samples
        self.doubly_reparameterized = doubly_reparameterized

    def __call__(
        self,
        x: Tensor,
        posterior: Distribution,
        z: Tensor,
        likelihood: Distribution,
        prior: Distribution,
        epoch: int | None = None,
    ) -> Bound:
        """Return the bound of a batch."""
        log_likelihood = likelihood.log_prob(x)
        q = _detached(posterior) if self.doubly_reparameterized else posterior
        log_ratio = q.log_prob(z) - prior.log_prob(z)
        log_weight = log_likelihood - log_ratio
        bound = torch.logsumexp(log_weight, 0) - math.log(len(z))
        loss = -bound
        if self.doubly_reparameterized and z.requires_grad:
            weight = torch.softmax(log_weight.detach(), 0)
            # The decoder's gradient takes the weights once, the path through z twice.
            z.register_hook(lambda gradient: weight.unsqueeze(-1).to(gradient) * gradient)
        return Bound(loss, log_likelihood.mean(0), log_ratio.mean(0))


def _detached(posterior: Any) -> Any:
    """Return q with its parameters held fixed, so that only z carries a gradient."""
    base = getattr(posterior, "base_dist", posterior)
    if not hasattr(base, "detach"):
        raise ValueError(
            "doubly_reparameterized=True of IWAE needs a normal posterior, not "
            f"{type(base).__name__}. Set posterior_family='diagonal' or 'full', or "
            "doubly_reparameterized=False."
        )
    detached = base.detach()
    return type(posterior)(detached) if base is not posterior else detached


class BetaTCVAE(Objective):
    """β-TCVAE: the KL is split into three terms, each with its own weight.

    ``KL = I(x; z) + KL(q(z) ‖ Π_j q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j))``, on average over rows. The
    terms are the mutual information, the total correlation, and the distance of each component from
    the prior. Their weights are ``alpha``, ``beta`` and ``gamma`` (Chen et al. 2018,
    https://arxiv.org/abs/1802.04942). With all three equal to 1 it is the elbo. A large ``beta``
    makes components independent without a penalty on the information in z.

    q(z) is estimated from the posteriors of the batch, which takes n² densities for a batch of n
    rows. Up to a constant, this is the minibatch weighted sampling of the paper. The posterior of
    the row itself has weight 1/n, so small batches overestimate how much z says about x. The
    marginals q(z_j|x) of a flow posterior are taken as normal.

    Parameters
    ----------
    alpha : float, default=1.0
        Weight of the mutual information.
    beta : float, default=6.0
        Weight of the total correlation. The paper uses 6 for dSprites.
    gamma : float, default=1.0
        Weight of the distance of the components from the prior.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter is out of its range or not a number.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.objectives import BetaTCVAE
    >>> vae = VariationalAutoencoder(objective=BetaTCVAE(beta=3.0), max_epochs=5)
    >>> vae.fit_transform(load_iris().data).shape
    (150, 2)
    """

    compares_rows = True

    def __init__(self, alpha: float = 1.0, beta: float = 6.0, gamma: float = 1.0) -> None:
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma

    def __call__(
        self,
        x: Tensor,
        posterior: Distribution,
        z: Tensor,
        likelihood: Distribution,
        prior: Distribution,
        epoch: int | None = None,
    ) -> Bound:
        """Return the bound of a batch."""
        bound = ELBO()(x, posterior, z, likelihood, prior)
        log_aggregate, log_marginals = aggregate_log_prob(posterior, z)
        information = (posterior.log_prob(z) - log_aggregate).mean(0)
        total_correlation = (log_aggregate - log_marginals).mean(0)
        distance = (log_marginals - prior.log_prob(z)).mean(0)
        # The elbo's own KL may be exact; what is added to it is 0 at the weights 1.
        extra = (
            (self._real("alpha") - 1) * information
            + (self._real("beta") - 1) * total_correlation
            + (self._real("gamma") - 1) * distance
        )
        return bound._replace(loss=bound.loss + extra)


def aggregate_log_prob(posterior: Any, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log q(z)`` and ``Σ_j log q(z_j)`` with ``q(z) = 1/n Σ_i q(z|x_i)``.

    Marginals of q(z|x_i) are taken as normal, which they are for normal families.
    """
    n = math.log(posterior.batch_shape[0])
    log_aggregate = torch.logsumexp(pairwise_log_prob(posterior, z), -1) - n
    # (..., n, d): every row's marginals at every value.
    marginals = torch.distributions.Normal(posterior.mean, posterior.stddev, validate_args=False)
    log_marginals = torch.logsumexp(marginals.log_prob(z.unsqueeze(-2)), -2) - n
    return log_aggregate, log_marginals.sum(-1)


class InfoVAE(Objective):
    """InfoVAE: the elbo plus a penalty on the distance of the average posterior from the prior.

    ``loss = −(reconstruction − beta · kl) + mmd · MMD²(q(z), p(z))``. MMD² is the squared maximum
    mean discrepancy between the z of the batch and as many draws from the prior, with the kernel
    ``exp(−‖a − b‖² / (2 latent_dim))`` (Zhao, Song and Ermon 2019,
    https://arxiv.org/abs/1706.02262, with ``beta = 1 − α`` and ``mmd = α + λ − 1``; ``beta=0`` is
    the MMD-VAE). The rows together then fill the space of the prior, without a penalty on the
    information in each z.

    Parameters
    ----------
    mmd : float, default=100.0
        Weight of MMD², in nats per row. MMD² lies between 0 and 2.
    beta : float, default=1.0
        Weight of the KL. With 0, nothing keeps single posteriors from becoming very narrow.

    Raises
    ------
    ValueError
        In ``fit``, when a parameter is out of its range or not a number.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.objectives import InfoVAE
    >>> vae = VariationalAutoencoder(objective=InfoVAE(mmd=10.0), max_epochs=5)
    >>> vae.fit_transform(load_iris().data).shape
    (150, 2)
    """

    generator: torch.Generator | None = None
    compares_rows = True

    def __init__(self, mmd: float = 100.0, beta: float = 1.0) -> None:
        self.mmd = mmd
        self.beta = beta

    def __call__(
        self,
        x: Tensor,
        posterior: Distribution,
        z: Tensor,
        likelihood: Distribution,
        prior: Any,
        epoch: int | None = None,
    ) -> Bound:
        """Return the bound of a batch."""
        mmd, beta = self._real("mmd"), self._real("beta")
        bound = ELBO(beta)(x, posterior, z, likelihood, prior)
        drawn = prior.sample((z.shape[1],), generator=self.generator)
        distance = maximum_mean_discrepancy(z[0], drawn)
        return bound._replace(loss=bound.loss + mmd * distance)


def maximum_mean_discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """Return the squared MMD of two samples ``(n, d)``, kernel ``exp(−‖a − b‖² / (2 d))``.

    The biased form, all pairs, which is never negative (Gretton et al. 2012, equation 5,
    https://jmlr.org/papers/v13/gretton12a.html).
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(-1)
        return torch.exp(-squares / (2 * a.shape[-1])).mean()

    return kernel(one, one) + kernel(other, other) - 2 * kernel(one, other)


class Trimmed(Objective):
    """Another objective, applied only to the most likely rows of each batch.

    In every batch, the rows with the largest loss are ignored, and the others get more weight in
    their place. So outliers among the rows of ``fit`` do not distort the model, and get lower
    scores. This is the trimmed likelihood of Hadi and Luceño 1997
    (https://doi.org/10.1016/S0167-9473(97)00011-X), applied to batches as in Shen and Sanghavi 2019
    (https://proceedings.mlr.press/v97/shen19e.html). Note that rare rows are ignored in the same
    way as wrong ones; see :class:`skvae.VAEOutlierDetector`.

    Parameters
    ----------
    share : float, default=0.4
        The share of a batch that is ignored, in [0, 1). At least one row stays. It must not be
        smaller than the share of outliers. No method can handle much more than one half.
    objective : Objective, default=None
        The objective whose loss is trimmed. If ``None``, it is :class:`ELBO`.

    Raises
    ------
    ValueError
        In ``fit``, when ``share`` is out of its range or not a number.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.objectives import Trimmed
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> X[:60] += 30
    >>> vae = VariationalAutoencoder(1, objective=Trimmed(), max_steps=200, random_state=0)
    >>> score = vae.fit(X).score_samples(X)
    >>> bool(score[:60].max() < np.quantile(score[60:], 0.05))
    True
    """

    def __init__(self, share: float = 0.4, objective: Any = None) -> None:
        self.share = share
        self.objective = objective

    @property
    def _trimmed(self) -> Any:
        return ELBO() if self.objective is None else self.objective

    @property
    def n_samples(self) -> int:  # type: ignore[override]  # a property where the base has a value
        """Number of draws of z for each row, as in the objective that is trimmed."""
        return self._trimmed.n_samples

    @property
    def compares_rows(self) -> bool:  # type: ignore[override]  # the same
        """Whether the objective that is trimmed compares rows itself."""
        return getattr(self._trimmed, "compares_rows", False)

    @property
    def generator(self) -> Any:
        """The generator of the objective that is trimmed. It can be set if that objective draws."""
        return getattr(self._trimmed, "generator", 0)

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        self._trimmed.generator = generator

    def weights(self, epoch: int | None) -> list[float]:
        """Return the weights of the objective that is trimmed."""
        return self._trimmed.weights(epoch)

    def given(self, weights: Sequence[Any]) -> Trimmed:
        """Return the same objective with these weights in every epoch."""
        fixed = copy.copy(self)
        fixed.objective = self._trimmed.given(weights)
        return fixed

    @property
    def gather(self) -> Gather | None:
        """The function that collects the rows of all processes."""
        return getattr(self, "_gather", None)

    @gather.setter
    def gather(self, gather: Gather | None) -> None:
        self._gather = gather
        if hasattr(self.objective, "gather"):
            self.objective.gather = gather

    def __call__(
        self,
        x: Tensor,
        posterior: Distribution,
        z: Tensor,
        likelihood: Distribution,
        prior: Distribution,
        epoch: int | None = None,
    ) -> Bound:
        """Return the bound of a batch, in which a trimmed row has the loss 0."""
        share = self._real("share", "it must lie in [0, 1).", lambda value: 0 <= value < 1)
        bound = self._trimmed(x, posterior, z, likelihood, prior, epoch)
        losses = bound.loss.detach()
        losses, mine = (losses, slice(None)) if self.gather is None else self.gather(losses)
        n = len(losses)
        n_kept = max(1, n - math.floor(share * n))
        kept = torch.zeros_like(losses)
        kept[losses.argsort()[:n_kept]] = n / n_kept
        return bound._replace(loss=bound.loss * kept[mine])


OBJECTIVES: dict[str, type[Objective]] = {
    "elbo": ELBO,
    "iwae": IWAE,
    "beta_tcvae": BetaTCVAE,
    "infovae": InfoVAE,
}
"""Objectives by name."""
