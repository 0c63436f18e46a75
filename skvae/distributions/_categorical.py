"""Distributions of categories: as codes, and as one-hot columns side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints


def _gumbel(shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return Gumbel noise: the largest of ``logits + noise`` is a draw from their softmax."""
    # In float64, where two equal numbers among many draws do not happen.
    u = torch.rand(shape, generator=generator, dtype=torch.float64, device=like.device)
    return -torch.log(-torch.log(u.clamp_min(torch.finfo(u.dtype).tiny)))


class Categorical(td.Categorical):
    """The categorical distribution of torch: codes 0 to K−1, given by K logits.

    An average of codes has no meaning, so ``mean`` is the most probable code. A draw is the code
    with the largest ``logits + Gumbel noise`` (Jang, Gu and Poole 2017,
    https://arxiv.org/abs/1611.01144).

    Parameters
    ----------
    logits : Tensor of shape (..., K)
        Logarithms of the probabilities, up to a constant.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Categorical
    >>> p = Categorical(logits=torch.tensor([[0.2, 0.5, 0.3]]).log())
    >>> p.mean, p.log_prob(torch.tensor([2.0])).exp()
    (tensor([1.]), tensor([0.3000]))
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The most probable code, since a value between two codes is not a category."""
        return self.mode.to(self.logits.dtype)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw codes of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.logits.shape
            noisy = self.logits + _gumbel(shape, self.logits, generator)
            return noisy.argmax(-1).to(self.logits.dtype)


def _group_max(values: Tensor, groups: Tensor) -> Tensor:
    """Return for every column the largest value of its group."""
    index = groups.expand(values.shape)
    best = torch.full_like(values, -torch.inf).scatter_reduce(-1, index, values, "amax")
    return best.gather(-1, index)


def _group_sum(values: Tensor, groups: Tensor) -> Tensor:
    """Return for every column the sum of its group."""
    return torch.zeros_like(values).index_add(-1, groups, values)[..., groups]


class OneHotGroups(constraints.Constraint):
    """Support of rows with exactly one 1 in every group of columns, and otherwise 0.

    Parameters
    ----------
    groups : Tensor of int, shape (n_features,)
        The group that each column belongs to.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import OneHotGroups
    >>> support = OneHotGroups(groups=torch.tensor([0, 0, 1, 1]))
    >>> support.check(torch.tensor([[1.0, 0, 0, 1], [1.0, 1, 0, 0]]))
    tensor([ True, False])
    """

    is_discrete = True
    event_dim = 1

    def __init__(self, groups: Tensor) -> None:
        self.groups = groups
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Return for each row whether every group is one-hot, or missing (NaN)."""
        binary = (value == 0) | (value == 1)
        held = binary & (_group_sum(value, self.groups) == 1)
        missing = value.isnan()
        # A group that is missing in part has a sum of NaN, and fails where it is not.
        n_observed = _group_sum((~missing).to(value.dtype), self.groups)
        return (held | (missing & (n_observed == 0))).all(-1)


class OneHotCategorical(td.Distribution):
    """Independent categories, each a group of one-hot columns: ``Σ_groups log softmax``.

    Parameters
    ----------
    logits : Tensor of shape (..., n_features)
        Logarithms of the probabilities, up to a constant for each group.
    groups : Tensor of int, shape (n_features,)
        The group that each column belongs to, numbered below ``n_features``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import OneHotCategorical
    >>> p = OneHotCategorical(torch.zeros(5), groups=torch.tensor([0, 0, 1, 1, 1]))
    >>> p.mean
    tensor([0.5000, 0.5000, 0.3333, 0.3333, 0.3333])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    has_rsample = False

    def __init__(self, logits: Tensor, groups: Tensor) -> None:
        # The softmax does not change when a constant is taken off; its gradient neither.
        shifted = logits - _group_max(logits.detach(), groups)
        self.log_probs = shifted - _group_sum(shifted.exp(), groups).log()
        self.groups = groups
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def support(self) -> OneHotGroups:
        """One-hot in every group."""
        return OneHotGroups(self.groups)

    @property
    def mean(self) -> Tensor:
        """The probabilities."""
        return self.log_probs.exp()

    @property
    def variance(self) -> Tensor:
        """``p · (1 − p)``."""
        return self.mean * (1 - self.mean)

    @property
    def mode(self) -> Tensor:
        """The most probable category of each group, one-hot. If several are equal, the first."""
        best = self.log_probs == _group_max(self.log_probs, self.groups)
        same_group = self.groups.unsqueeze(-1) == self.groups
        n_before = best.to(self.log_probs.dtype) @ same_group.triu(1).to(self.log_probs.dtype)
        return (best & (n_before == 0)).to(self.log_probs.dtype)

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return ``x · log p`` of each column; the sum over a group is its log-probability.

        Parameters
        ----------
        value : Tensor of shape (..., n_features)
            One-hot rows.

        Returns
        -------
        terms : Tensor of shape (..., n_features)
            Nats.
        """
        return value * self.log_probs

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of one-hot rows in nats, of shape ``value.shape[:-1]``."""
        return self.log_prob_terms(value).sum(-1)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw one-hot rows of shape ``sample_shape + batch_shape + event_shape``."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            noisy = self.log_probs + _gumbel(shape, self.log_probs, generator)
            return (noisy == _group_max(noisy, self.groups)).to(self.log_probs.dtype)
