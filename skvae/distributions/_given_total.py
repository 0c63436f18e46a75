"""Counts of a row given their total."""

from __future__ import annotations

from torch import Tensor

from skvae.distributions._counts import LARGEST, Counts
from skvae.distributions._independent import Independent


def size_factor(x: Tensor, typical_total: Tensor) -> Tensor:
    """Return ``s = max(Σ x, 1) / typical_total`` for each row.

    Parameters
    ----------
    x : Tensor of shape (..., n_features)
        Counts.
    typical_total : Tensor of shape (1,)
        The total of a row whose s is 1.

    Returns
    -------
    s : Tensor of shape (..., 1)
        Positive, without unit.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import size_factor
    >>> size_factor(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), typical_total=torch.tensor([2.0]))
    tensor([[2.0000],
            [0.5000]])
    """
    return x.clamp_max(LARGEST).sum(-1, keepdim=True).clamp_min(1) / typical_total


class GivenTotal(Independent):
    """A row of counts given its total: its means are ``s`` times those of ``base``.

    ``log_prob`` takes s from the row, :func:`size_factor`; ``mean`` and ``sample`` are
    those of ``base``, a row of the typical total. The size factors are those of Lopez et
    al. 2018 (https://doi.org/10.1038/s41592-018-0229-2).

    Parameters
    ----------
    base : Poisson, NegativeBinomial or ZeroInflated
        Of the features, with batch shape ``(..., n_features)``.
    typical_total : Tensor of shape (1,)
        The total of a row whose s is 1.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import GivenTotal, Poisson
    >>> p = GivenTotal(Poisson(torch.zeros(2)), typical_total=torch.tensor([2.0]))
    >>> twice = Poisson(torch.full((2,), 2.0).log())
    >>> x = torch.tensor([1.0, 3.0])  # s = 2
    >>> p.log_prob(x) == twice.log_prob(x).sum()
    tensor(True)
    """

    def __init__(self, base: Counts, typical_total: Tensor) -> None:
        super().__init__(base)
        self.typical_total = typical_total

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-probability of each count in nats, given the total of its row."""
        return self.base_dist.times(size_factor(value, self.typical_total)).log_prob(value)
