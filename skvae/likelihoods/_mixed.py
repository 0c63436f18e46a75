"""Tables whose columns are of different kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from skvae import distributions, likelihoods
from skvae._parameters import template_copy
from skvae.likelihoods._base import Likelihood


class Mixed(Likelihood):
    """Columns of different kinds: blocks of columns, each with its own likelihood.

    ``log p(x|z) = Σ_blocks log p_block(x_block|z)``, nats per row; densities of real
    columns, in their units, and probabilities of discrete ones are added. Every block
    counts with the nats it has: see Nazábal et al. 2020 (HI-VAE,
    https://arxiv.org/abs/1807.03653).

    Parameters
    ----------
    blocks : list of (likelihood, columns), default=None
        The likelihood by name or as an object, which is copied; the columns as a list of
        indices or of column names, one index or name, or a slice. Every column of X is in
        exactly one block. The decoder puts out as many numbers for every column as the
        widest block needs. ``None``: as ``likelihood="mixed"`` of the estimator, which
        finds the blocks by the types of a DataFrame's columns or the values of X.

    Attributes
    ----------
    blocks_ : list of (list of int, Likelihood)
        The columns and the fitted likelihood of each block.

    Raises
    ------
    ValueError
        At ``fit``, when a column is in no block, in two, or unknown, and when a name is
        none of a likelihood.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import Gaussian, Mixed
    >>> mixed = Mixed([(Gaussian(1.0), [0, 2]), ("bernoulli", 1)])
    >>> mixed.initialize(loc=torch.tensor([0.0, 0.5, 0.0]), scale=torch.ones(3))
    >>> p = mixed(torch.zeros(1, 3, mixed.n_params))
    >>> p.mean
    tensor([[0.0000, 0.5000, 0.0000]])
    """

    requirement = "in every block of columns what the block's likelihood requires"

    def __init__(self, blocks: Sequence[tuple[Any, Any]] | None = None) -> None:
        super().__init__()
        self.blocks = blocks

    def resolve(self, n_features: int, feature_names: Sequence[str] | None = None) -> Mixed:
        """Return the same with every block's columns as a list of indices.

        Parameters
        ----------
        n_features : int
            Columns of X.
        feature_names : sequence of str, default=None
            Their names.

        Returns
        -------
        mixed : Mixed
            A new one; blocks without columns are left out.

        Raises
        ------
        ValueError
            When there are no blocks, or a column is in no block, in two, or unknown.
        """
        if self.blocks is None:
            raise ValueError(
                "Mixed has no blocks. Give them, Mixed([('gaussian', [0, 1]), ...]), or set "
                "likelihood='mixed' at the estimator, which finds them."
            )
        names = [] if feature_names is None else [str(name) for name in feature_names]
        blocks = [(part, _indices(columns, n_features, names)) for part, columns in self.blocks]
        taken = Counter(column for _, columns in blocks for column in columns)
        for column, label in enumerate(names or range(n_features)):
            if taken[column] != 1:
                raise ValueError(
                    f"Column {label!r} is in {taken[column]} blocks of Mixed; every column of X "
                    "must be in exactly one."
                )
        return Mixed([block for block in blocks if block[1]])

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Make a likelihood for each block and let it meet its columns."""
        blocks = [
            _Block(_make(part), columns) for part, columns in self.resolve(len(loc)).blocks or []
        ]
        for block in blocks:
            block.likelihood.initialize(loc[block.columns], scale[block.columns])
        self._blocks = nn.ModuleList(blocks)

    @property
    def blocks_(self) -> list[tuple[list[int], Any]]:
        """The columns and the likelihood of each block."""
        return [(block.indices, block.likelihood) for block in self._fitted()]

    def _fitted(self) -> list[_Block]:
        return list(self._blocks)  # type: ignore[arg-type]  # holds blocks

    @property
    def n_params(self) -> int:  # type: ignore[override]  # a property
        """Numbers per feature of the widest block."""
        return max(block.likelihood.n_params for block in self._fitted())

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]  # a property
        """The supports of the blocks."""
        return distributions.BlockSupport(
            [(columns, likelihood.support) for columns, likelihood in self.blocks_]
        )

    def embed(self, x: Tensor) -> Tensor:
        """Return the embedded blocks side by side."""
        parts = [block.likelihood.embed(x[..., block.columns]) for block in self._fitted()]
        return torch.cat(parts, -1)

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return distributions.Blocks([(block.columns, block(params)) for block in self._fitted()])


class _Block(nn.Module):
    """A likelihood and its columns, which follow it to a device."""

    columns: Tensor

    def __init__(self, likelihood: Any, indices: list[int]) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.indices = indices
        self.register_buffer("columns", torch.tensor(indices), persistent=False)

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x_block|z), from the first of each column's parameters."""
        return self.likelihood(params[..., self.columns, : self.likelihood.n_params])


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _make(likelihood: Any) -> Any:
    """Return a fresh likelihood: made from its name in snake_case, or a copy of an object."""
    if not isinstance(likelihood, str):
        return template_copy(likelihood)
    by_name = {_snake_case(name): getattr(likelihoods, name) for name in likelihoods.__all__}
    del by_name["likelihood"], by_name["mixed"], by_name["categorical_codes"]
    if likelihood not in by_name:
        raise ValueError(
            f"{likelihood!r} in the blocks of Mixed is no likelihood; the names are "
            f"{sorted(by_name)}, and CategoricalCodes and your own are given as objects."
        )
    return by_name[likelihood]()


def _indices(columns: Any, n_features: int, names: list[str]) -> list[int]:
    """Return columns given as indices, names, one of these or a slice as a list of indices."""
    if isinstance(columns, slice):
        return list(range(n_features))[columns]
    one = isinstance(columns, str) or not hasattr(columns, "__len__")
    position = {name: index for index, name in enumerate(names)}
    return [_index(column, n_features, position) for column in ([columns] if one else columns)]


def _index(column: Any, n_features: int, position: dict[str, int]) -> int:
    if column in position:
        return position[column]
    if hasattr(column, "__index__") and -n_features <= column < n_features:
        return int(column) % n_features
    known = f"the columns {list(position)}" if position else f"{n_features} columns, without names"
    raise ValueError(f"Column {column!r} in the blocks of Mixed is not in X, which has {known}.")
