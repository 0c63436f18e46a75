"""Objectives: what training maximises.

An objective is called with a batch and the three distributions and returns a
:class:`Bound`. It is plain Python: no parameters of its own, no knowledge of the loop but
the number of the epoch.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.distributions import Distribution

from skvae._parameters import Parameters
from skvae.model import kl_per_component

__all__ = ["ELBO", "Bound", "Objective"]


class Bound(NamedTuple):
    """What an objective says of a batch, in nats per row, each of shape ``(n,)``."""

    loss: Tensor
    """What is minimised."""
    reconstruction: Tensor
    """E_q[log p(x|z)]."""
    kl: Tensor
    """KL(q(z|x) ‖ p(z))."""


class Objective(Parameters):
    """Interface of an objective.

    Attributes
    ----------
    n_samples : int
        Draws of z for each row of a training batch.
    """

    n_samples: int = 1

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
        posterior, likelihood, prior : Distribution
            q(z|x) of batch shape ``(n,)``; p(x|z) of ``(n_samples, n)``; p(z).
        z : Tensor of shape (n_samples, n, latent_dim)
            Drawn from the posterior.
        epoch : int or None
            Epochs done before this one. ``None`` outside training: schedules are over.
        """
        raise TypeError(f"{type(self).__name__} does not define __call__.")


class ELBO(Objective):
    """``elbo = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))``, with its usual weights.

    The loss is ``−(reconstruction − beta · kl)``. ``beta=1`` is the bound on log p(x)
    (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114).

    Parameters
    ----------
    beta : float, default=1.0
        Weight of the KL (Higgins et al. 2017, β-VAE,
        https://openreview.net/forum?id=Sy2fzU9gl).
    kl_warmup_epochs : int, default=0
        Epochs over which the weight rises linearly to ``beta``
        (Sønderby et al. 2016, https://arxiv.org/abs/1602.02282).
    free_bits : float, default=0.0
        Nats per component, averaged over the batch, below which the KL costs nothing
        (Kingma et al. 2016, appendix C.8, https://arxiv.org/abs/1606.04934).

    Examples
    --------
    >>> from skvae.objectives import ELBO
    >>> ELBO(beta=4.0)
    ELBO(beta=4.0, kl_warmup_epochs=0, free_bits=0.0)
    """

    def __init__(
        self, beta: float = 1.0, kl_warmup_epochs: int = 0, free_bits: float = 0.0
    ) -> None:
        self.beta = beta
        self.kl_warmup_epochs = kl_warmup_epochs
        self.free_bits = free_bits

    def kl_weight(self, epoch: int | None) -> float:
        """Return the weight of the KL in a given epoch."""
        if epoch is None or epoch >= self.kl_warmup_epochs:
            return self.beta
        return self.beta * (epoch + 1) / (self.kl_warmup_epochs + 1)

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
        if self.free_bits:
            # The mean over the batch is compared with the free nats, not every row's own.
            excess = (kl_terms.mean(0) - self.free_bits).clamp_min(0).sum()
            paid = excess.expand_as(kl)
        return Bound(self.kl_weight(epoch) * paid - reconstruction, reconstruction, kl)
