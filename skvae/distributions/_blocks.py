"""Rows that consist of blocks of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints

from skvae.distributions._base import given_row


class BlockSupport(constraints.Constraint):
    """Support of rows in which every block lies in its own support.

    Parameters
    ----------
    blocks : sequence of (list of int, Constraint)
        The columns and the constraint of each block.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import constraints
    >>> from skvae.distributions import BlockSupport
    >>> support = BlockSupport([([0, 2], constraints.positive), ([1], constraints.boolean)])
    >>> support.check(torch.tensor([[3.0, 1.0, 0.5], [3.0, 0.5, 0.5]]))
    tensor([ True, False])
    """

    event_dim = 1

    def __init__(self, blocks: Sequence[tuple[list[int], constraints.Constraint]]) -> None:
        self.blocks = blocks
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        """Return for each row whether every block fulfils its constraint."""
        rows = value.shape[:-1]
        held = [
            support.check(value[..., columns]).reshape(*rows, -1).all(-1)
            for columns, support in self.blocks
        ]
        return torch.stack(held).all(0)


class Blocks(td.Distribution):
    """Distribution of rows that consist of independent blocks of columns.

    Parameters
    ----------
    blocks : sequence of (Tensor of int, Distribution)
        The columns of each block, ``(n_columns,)``, and the distribution of the vector of these
        columns.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Bernoulli, Blocks, Independent, Normal
    >>> normal = Independent(Normal(torch.zeros(2), torch.ones(2)))
    >>> coin = Independent(Bernoulli(torch.zeros(1)))
    >>> p = Blocks([(torch.tensor([0, 2]), normal), (torch.tensor([1]), coin)])
    >>> p.mean
    tensor([0.0000, 0.5000, 0.0000])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    has_rsample = False

    def __init__(self, blocks: Sequence[tuple[Tensor, Any]]) -> None:
        self.blocks = blocks
        self._order = torch.cat([columns for columns, _ in blocks]).argsort()
        super().__init__(blocks[0][1].batch_shape, self._order.shape, validate_args=False)

    def _join(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the blocks side by side, in the order of the row's columns."""
        return torch.cat(list(parts), -1).index_select(-1, self._order)

    @property
    def mean(self) -> Tensor:
        """The means of the blocks."""
        return self._join([p.mean for _, p in self.blocks])

    @property
    def variance(self) -> Tensor:
        """The variances of the blocks."""
        return self._join([p.variance for _, p in self.blocks])

    def given_row(self, value: Tensor) -> Blocks:
        """Return the blocks, each with what it needs from its own columns; see ``given_row``.

        Parameters
        ----------
        value : Tensor of shape (..., n_features)
            Rows. NaN means that a value is missing.

        Returns
        -------
        blocks : Blocks
            The blocks of the same columns, for these rows.
        """
        told = [(columns, given_row(p, value[..., columns])) for columns, p in self.blocks]
        return Blocks(told)

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-density of each column. Their sum is ``log_prob``.

        Parameters
        ----------
        value : Tensor of shape (..., n_features)
            Rows.

        Returns
        -------
        terms : Tensor of shape (..., n_features)
            Nats.
        """
        return self._join([p.log_prob_terms(value[..., columns]) for columns, p in self.blocks])

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the sum of the blocks' log-densities in nats, of shape ``value.shape[:-1]``."""
        terms = [p.log_prob(value[..., columns]) for columns, p in self.blocks]
        return torch.stack(terms).sum(0)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape + event_shape``."""
        return self._join([p.sample(sample_shape, generator=generator) for _, p in self.blocks])
