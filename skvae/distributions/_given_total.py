"""Distributions of the counts of a row, given their total."""

from __future__ import annotations

import torch
from torch import Tensor

from skvae.distributions._counts import LARGEST, Counts
from skvae.distributions._independent import Independent


def size_factor(x: Tensor, typical_total: Tensor, shares: Tensor) -> Tensor:
    """Return ``s = max(Σ x, 1) / typical_total`` for each row.

    If counts are missing, the total is estimated: it is the total of the observed counts, divided
    by the share that these columns typically have. A row without observed counts gets the typical
    total.

    Parameters
    ----------
    x : Tensor of shape (..., n_features)
        Counts. NaN means that a count is missing.
    typical_total : Tensor of shape (1,)
        The total of a row with s = 1.
    shares : Tensor of shape (n_features,)
        Share of each column in a typical total. They add up to 1.

    Returns
    -------
    s : Tensor of shape (..., 1)
        Size factors: positive numbers without a unit.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import size_factor
    >>> x = torch.tensor([[1.0, 3.0], [0.0, 0.0], [2.0, torch.nan]])
    >>> size_factor(x, typical_total=torch.tensor([2.0]), shares=torch.tensor([0.25, 0.75]))
    tensor([[2.0000],
            [0.5000],
            [4.0000]])
    """
    missing = x.isnan()
    observed = x.nan_to_num().clamp_max(LARGEST).sum(-1, keepdim=True)
    # Taken off 1, so that the total of a row without gaps is exactly the sum of its counts.
    share = 1 - torch.where(missing, shares, 0).sum(-1, keepdim=True)
    total = observed / share.clamp_min(torch.finfo(share.dtype).eps)
    total = torch.where(missing.all(-1, keepdim=True), typical_total, total.clamp_min(1))
    return total / typical_total


class GivenTotal(Independent):
    """Distribution of the counts of a row, given their total.

    The means are ``s`` times those of ``base``. ``log_prob`` computes s from the row by
    :func:`size_factor`. ``mean`` and ``sample`` are those of ``base``, which is a row with the
    typical total. The size factors are those of Lopez et al. 2018
    (https://doi.org/10.1038/s41592-018-0229-2).

    Parameters
    ----------
    base : Poisson, NegativeBinomial or ZeroInflated
        The distribution of the features, with batch shape ``(..., n_features)``.
    typical_total : Tensor of shape (1,)
        The total of a row with s = 1.
    shares : Tensor of shape (n_features,)
        Share of each column in a typical total. They add up to 1.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import GivenTotal, Poisson
    >>> p = GivenTotal(Poisson(torch.zeros(2)), torch.tensor([2.0]), shares=torch.full((2,), 0.5))
    >>> twice = Poisson(torch.full((2,), 2.0).log())
    >>> x = torch.tensor([1.0, 3.0])  # s = 2
    >>> p.log_prob(x) == twice.log_prob(x).sum()
    tensor(True)
    """

    def __init__(self, base: Counts, typical_total: Tensor, shares: Tensor) -> None:
        super().__init__(base)
        self.typical_total = typical_total
        self.shares = shares

    def given_row(self, value: Tensor) -> Independent:
        """Return the distribution of counts for rows with the same totals as these rows.

        Parameters
        ----------
        value : Tensor of shape (..., n_features)
            Rows. NaN means that a count is missing.

        Returns
        -------
        counts : Independent
            The distribution with s times the means.
        """
        s = size_factor(value, self.typical_total, self.shares)
        return Independent(self.base_dist.times(s))

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-probability of each count in nats, given the total of its row."""
        return self.given_row(value).log_prob_terms(value)
