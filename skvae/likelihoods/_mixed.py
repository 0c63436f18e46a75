"""A likelihood for tables with different kinds of columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from skvae import distributions, likelihoods
from skvae._names import did_you_mean
from skvae._parameters import template_copy
from skvae.likelihoods import _guess
from skvae.likelihoods._base import Columns, Likelihood, method_of
from skvae.likelihoods._categorical import CategoricalCodes


class Mixed(Likelihood):
    """Different kinds of columns: blocks of columns, each with its own likelihood.

    ``log p(x|z) = Σ_blocks log p_block(x_block|z)``, in nats per row. Log-densities of real columns
    (in their units) and log-probabilities of discrete columns are added, without weights. See
    Nazábal et al. 2020 (HI-VAE, https://arxiv.org/abs/1807.03653).

    Parameters
    ----------
    blocks : list of (likelihood, columns), default=None
        A likelihood is given by name or as an object, which is copied. Columns are given as a list
        of indices or of column names, as one index or name, or as a slice. Every column of X must
        be in exactly one block. The decoder has as many outputs for every column as the largest
        likelihood needs. If ``None``, blocks are found by the types of the columns of a data frame
        or by the values of X, as with ``likelihood="mixed"`` of the estimator.

    Attributes
    ----------
    blocks_ : list of (list of int, Likelihood)
        The columns and the fitted likelihood of each block.

    Raises
    ------
    ValueError
        In ``fit``, when a column is in no block, in two blocks, or unknown, and when a likelihood
        has an unknown name.

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

    takes_categories = True
    wants_detail = True
    starts_linear = True

    @property
    def left_open(self) -> bool:  # type: ignore[override]  # a property
        """Whether the blocks are still to be found."""
        return self.blocks is None

    def resolve(self, columns: Columns) -> Mixed:
        """Find the blocks, and return the likelihood with the columns of each block as indices.

        If no blocks were given: columns of booleans, or of only 0 and 1, become Bernoulli;
        categories become CategoricalCodes; whole numbers become NegativeBinomial, or
        RoundedGaussian if they are not counts; positive numbers that vary by factors become
        LogNormal or ZeroInflatedLogNormal; all others become Gaussian, or StudentT if their tails
        are heavy. RoundedGaussian and Gaussian are truncated at 0 for columns without a negative
        value whose mean is less than 10 standard deviations. A column without a declared type
        holds whole numbers if all of its values are whole.
        """
        if self.blocks is None:
            return _found(columns)
        return self._indexed(len(columns), [str(name) for name in columns.names or []])

    def _indexed(self, n_features: int, names: list[str]) -> Mixed:
        """Return the same, each block's columns as indices; those without columns left out."""
        if self.blocks is None:
            raise ValueError(
                "Mixed has no blocks. Give them, Mixed([('gaussian', [0, 1]), ...]), or set "
                "likelihood='mixed' at the estimator, which finds them."
            )
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
        """Create the likelihood of each block, with its columns."""
        indexed = self._indexed(len(loc), []).blocks or []
        blocks = [_Block(_make(part), columns) for part, columns in indexed]
        for block in blocks:
            block.likelihood.initialize(loc[block.columns], scale[block.columns])
        self._blocks = nn.ModuleList(blocks)

    def observe(self, columns: Columns) -> None:
        """Set starting values for each block by its own columns."""
        for indices, likelihood in self.blocks_:
            method_of(likelihood, "observe")(_Some(columns, indices))

    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Update each block by its own columns."""
        for indices, likelihood in self.blocks_:
            held = [i for i, column in enumerate(columns) if column in indices]
            if held:
                inside = [indices.index(columns[i]) for i in held]
                method_of(likelihood, "meet")(inside, loc[held], scale[held])

    def check(self, x: Tensor, where: str = "") -> None:
        """Check each block of columns."""
        for indices, likelihood in self.blocks_:
            in_block = f" in its columns {_shortened(indices)}"
            method_of(likelihood, "check")(x[:, indices], in_block)

    def holds(self, columns: Columns) -> bool:
        """Return whether the extremes show that all values of each block are allowed."""
        return all(
            method_of(likelihood, "holds")(_Some(columns, indices))
            for indices, likelihood in self.blocks_
        )

    @property
    def blocks_(self) -> list[tuple[list[int], Any]]:
        """The columns and the likelihood of each block."""
        return [(block.indices, block.likelihood) for block in self._fitted()]

    def _fitted(self) -> list[_Block]:
        return list(self._blocks)  # type: ignore[arg-type]  # holds blocks

    @property
    def n_params(self) -> int:  # type: ignore[override]  # a property
        """Number of outputs of the decoder for each feature, as the largest likelihood needs."""
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

    @property
    def least_noise(self) -> Tensor:
        """Those of the blocks, for each embedded column."""
        return torch.cat(
            [
                torch.as_tensor(getattr(block.likelihood, "least_noise", 0.1)).expand(block.width())
                for block in self._fitted()
            ]
        )

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the decoder: those of each block, and 0 elsewhere."""
        blocks = self._fitted()
        n_features = sum(len(block.indices) for block in blocks)
        weight = loadings.new_zeros(n_features, self.n_params, loadings.shape[1])
        bias = loadings.new_zeros(n_features, self.n_params)
        widths = [block.width() for block in blocks]
        each = (values.split(widths) for values in (mean, loadings, noise))
        for block, *of_block in zip(blocks, *each, strict=True):
            likelihood, columns = block.likelihood, block.indices
            if getattr(likelihood, "starts_linear", False):
                n_params = likelihood.n_params
                started = likelihood.start(*of_block)
                weight[columns, :n_params], bias[columns, :n_params] = started
        return weight, bias

    def expected(self, likelihood: Any) -> Tensor:
        """Return what the blocks average over z, side by side."""
        parts = zip(self._fitted(), likelihood.blocks, strict=True)
        return torch.cat([method_of(b.likelihood, "expected")(p) for b, (_, p) in parts], -1)

    def settled(self, expected: Tensor) -> Tensor:
        """Return the values of the blocks, each in its columns."""
        blocks = self._fitted()
        x = expected.new_empty(*expected.shape[:-1], sum(len(b.indices) for b in blocks))
        parts = expected.split([block.n_expected() for block in blocks], -1)
        for block, part in zip(blocks, parts, strict=True):
            x[..., block.indices] = method_of(block.likelihood, "settled")(part)
        return x

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return distributions.Blocks([(block.columns, block(params)) for block in self._fitted()])


class _Some:
    """Some of the columns, as Columns."""

    def __init__(self, columns: Columns, indices: list[int]) -> None:
        self._columns, self._indices = columns, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getattr__(self, name: str) -> Any:
        of_all = getattr(self._columns, name)
        if of_all is None or isinstance(of_all, bool):
            return of_all
        if isinstance(of_all, Tensor):
            return of_all[self._indices]
        return [of_all[index] for index in self._indices]


class _Block(nn.Module):
    """A likelihood and its columns, which follow it to a device."""

    columns: Tensor

    def __init__(self, likelihood: Any, indices: list[int]) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.indices = indices
        self.register_buffer("columns", torch.tensor(indices), persistent=False)

    def width(self) -> int:
        """Return the number of columns that the encoder sees of it."""
        return self.likelihood.embed(torch.zeros(1, len(self.indices))).shape[1]

    def n_expected(self) -> int:
        """Return the number of columns that are averaged of it."""
        params = self.columns.new_zeros(1, len(self.indices), self.likelihood.n_params)
        likelihood = self.likelihood(params.float())
        return method_of(self.likelihood, "expected")(likelihood).shape[1]

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x_block|z), from the first of each column's parameters."""
        # An index would sort, in its backward pass on CUDA.
        mine = params[..., : self.likelihood.n_params].index_select(-2, self.columns)
        return self.likelihood(mine)


def ordered_columns(likelihood: Any, n_features: int, names: list[str]) -> list[bool]:
    """Return which columns hold numbers, and not categories, under a likelihood yet to be fitted.

    Parameters
    ----------
    likelihood : str, Likelihood or class of one
        As the user gave it.
    n_features : int
        Number of columns of X.
    names : list of str
        Their names; empty where they have none.
    """
    found = likelihoods.LIKELIHOODS.get(likelihood) if isinstance(likelihood, str) else likelihood
    ordered = [getattr(found, "is_ordered", True)] * n_features
    if isinstance(found, Mixed) and not found.left_open:
        for part, columns in found._indexed(n_features, names).blocks or []:
            inside = ordered_columns(part, len(columns), [names[i] for i in columns if names])
            for column, is_ordered in zip(columns, inside, strict=True):
                ordered[column] = is_ordered
    return ordered


def columns_without(value: float, support: constraints.Constraint, n_features: int) -> list[bool]:
    """Return which columns have no place for a number.

    Parameters
    ----------
    value : float
        The number.
    support : torch.distributions.constraints.Constraint
        Of rows: of all columns alike, or of blocks of them. Any other is taken to have a place.
    n_features : int
        Number of columns of X.
    """
    without = [False] * n_features
    if isinstance(support, distributions.BlockSupport):
        for columns, part in support.blocks:
            for column, is_one in zip(
                columns, columns_without(value, part, len(columns)), strict=True
            ):
                without[column] = is_one
    elif support.event_dim == 0:
        without = (~support.check(torch.full((n_features,), value, device="cpu"))).tolist()
    return without


def _shortened(columns: list[int]) -> str:
    return f"{columns}" if len(columns) <= 8 else f"{columns[:8]} and {len(columns) - 8} more"


def _make(likelihood: Any) -> Any:
    """Return a fresh likelihood: made from its name, or a copy of an object."""
    if not isinstance(likelihood, str):
        return template_copy(likelihood)
    made = {name: cls() for name, cls in likelihoods.LIKELIHOODS.items()}
    by_name = {name: found for name, found in made.items() if not found.left_open}
    if likelihood not in by_name:
        raise ValueError(
            f"{likelihood!r} in the blocks of Mixed is not a likelihood; the names are "
            f"{sorted(by_name)}. Give CategoricalCodes and your own likelihoods as objects."
            f"{did_you_mean(likelihood, by_name)}"
        )
    return by_name[likelihood]


def _found(columns: Columns) -> Mixed:
    """Return the blocks that the columns' types ask for, or where there are none, their values."""
    kinds, n_levels = columns.kinds, columns.n_levels
    numbers, whole = _guess.number(columns), _guess.whole(columns)
    from_zero = _guess.from_zero(columns).tolist()
    members: dict[tuple[str | int, bool], list[int]] = {}
    for column, is_whole in enumerate(columns.whole.tolist()):
        of_numbers = whole if is_whole and kinds[column] != "real" else numbers
        is_category = kinds[column] == "category"
        key = n_levels[column] if is_category else of_numbers[column]
        is_cut = from_zero[column] and key in ("gaussian", "rounded_gaussian")
        members.setdefault((key, is_cut), []).append(column)
    return Mixed([(_part(*key), found) for key, found in members.items()])


def _part(key: str | int, is_cut: bool) -> Any:
    """Return the likelihood of a block, by its name or its number of categories."""
    if isinstance(key, int):
        return CategoricalCodes(key)
    return _make(key).set_params(low=0.0) if is_cut else key


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
