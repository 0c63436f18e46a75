"""Likelihoods of categories: one-hot columns, and codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skvae import distributions
from skvae.likelihoods._base import FLOOR, Likelihood, first_of, slope_of_logits

_TOLERANCE = 1e-6
"""Of the sum of a group's means, which is 1 up to rounding."""


class Categorical(Likelihood):
    """Categories as groups of one-hot columns, as OneHotEncoder makes them.

    ``log p(x|z) = Σ_groups log softmax(η)`` at the column that is 1, in nats per row. The decoder
    computes η, which starts at the logarithm of the means of the columns. ``mean`` holds the
    probabilities, ``sample`` exactly one 1 in each group. See Jang, Gu and Poole 2017
    (https://arxiv.org/abs/1611.01144) for the Gumbel noise with which samples are drawn.

    Parameters
    ----------
    group_sizes : sequence of int, default=None
        Number of columns of each group, from the left. Their sum is the number of columns of X. If
        ``None``, the groups are found by adding up the means of the columns from the left: a group
        ends when the sum reaches a whole number. A column that is never 1 in ``fit`` then belongs
        to the group before it, so give the sizes if the first category of a group may be missing.
        If the means do not add up to whole numbers, all columns are one group.

    Raises
    ------
    ValueError
        In ``fit``, when ``group_sizes`` are not positive whole numbers or do not add up, or when a
        group of a row is neither exactly one 1 and otherwise 0, nor NaN in all of its columns.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import Categorical
    >>> categorical = Categorical(group_sizes=[2, 3])
    >>> categorical.initialize(loc=torch.tensor([0.5, 0.5, 0.2, 0.2, 0.6]), scale=torch.ones(5))
    >>> p = categorical(torch.zeros(1, 5, 1))
    >>> p.log_prob(torch.tensor([[1.0, 0, 0, 0, 1]])).exp()  # .5 · .6
    tensor([0.3000])
    """

    requirement = "one-hot columns, with exactly one 1 in each group and otherwise 0,"
    cure = (
        "Encode categories by OneHotEncoder (drop=None, handle_unknown='error'), and give the "
        "columns of each group: likelihood=Categorical(group_sizes=[...])."
    )
    is_ordered = False
    starts_linear = True
    loc: Tensor
    groups: Tensor

    def __init__(self, group_sizes: Sequence[int] | None = None) -> None:
        super().__init__()
        self.group_sizes = group_sizes

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]  # a property
        """One-hot in every group."""
        return distributions.OneHotGroups(self.groups.cpu())

    def check(self, x: Tensor, where: str = "") -> None:
        """Check that each group is one-hot, or missing as a whole."""
        missing = x.isnan()
        if bool(missing.any()):
            groups = self.groups.to(x.device)
            n_missing = x.new_zeros(len(x), int(groups.max()) + 1)
            n_missing.index_add_(1, groups, missing.to(x.dtype))
            in_part = ((n_missing > 0) & (n_missing < groups.bincount())).any(1)
            if bool(in_part.any()):
                raise ValueError(
                    "X holds rows with NaN in some columns of a one-hot group and numbers in the "
                    f"others{where}. With likelihood=Categorical, all columns of a group must be "
                    "missing together: set all of them to NaN in such rows, or, if the category is "
                    "known, set its column to 1 and the others to 0."
                )
        super().check(x, where)

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Find the groups, and start at the means of the columns."""
        groups = _inferred_groups(loc) if self.group_sizes is None else self._given_groups(len(loc))
        self.register_buffer("groups", groups)
        self.register_buffer("loc", loc.clamp_min(FLOOR).log().float())

    def _given_groups(self, n_features: int) -> Tensor:
        sizes = self._sizes("group_sizes")
        if sum(sizes) != n_features:
            raise ValueError(
                f"group_sizes of Categorical is {self.group_sizes!r}; it must hold positive "
                f"whole numbers that add up to the {n_features} columns."
            )
        return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the decoder, whose logits start at those of the means."""
        weight = slope_of_logits(mean, loadings)
        return first_of(self.n_params, weight, torch.zeros_like(mean))

    def settled(self, expected: Tensor) -> Tensor:
        """Return the most probable category of each group, one-hot."""
        return distributions.OneHotCategorical(expected.log(), self.groups).mode

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return distributions.OneHotCategorical(self.loc + params[..., 0], self.groups)


def _inferred_groups(means: Tensor) -> Tensor:
    """Return the group of each column: groups are where the means add up to 1."""
    groups = (torch.ceil(means.cumsum(0) - _TOLERANCE) - 1).clamp_min(0).long()
    used = groups.unique()
    if bool((used < len(means)).all()):
        sums = torch.zeros_like(means).index_add(0, groups, means)[used]
        if bool(((sums - 1).abs() <= _TOLERANCE).all()):
            return groups
    return torch.zeros_like(groups)


class CategoricalCodes(Likelihood):
    """Categories as codes 0 to K−1, one column for each variable, all with the same K.

    ``log p(x|z) = Σ log softmax(η)`` at the code, in nats per row. The decoder computes K logits
    for each column. The encoder sees the codes one-hot. ``sample`` returns codes. ``mean`` returns
    the most probable code, since an average of codes is not a category. For columns with different
    K, see :class:`Mixed`. Nazábal et al. 2020 (https://arxiv.org/abs/1807.03653) use it as a part
    of such a model.

    Parameters
    ----------
    n_categories : int
        The number of categories, K.

    Raises
    ------
    ValueError
        In ``fit``, when ``n_categories`` is not a positive whole number, or X holds anything other
        than codes below it.

    See Also
    --------
    Categorical : For columns that are one-hot already.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import CategoricalCodes
    >>> codes = CategoricalCodes(n_categories=4)
    >>> codes.initialize(loc=torch.zeros(3), scale=torch.ones(3))
    >>> p = codes(torch.zeros(1, 3, 4))
    >>> p.log_prob(torch.tensor([[0.0, 1, 3]])).exp()  # 1/4³
    tensor([0.0156])
    """

    def __init__(self, n_categories: int) -> None:
        super().__init__()
        self.n_categories = n_categories

    @property
    def n_params(self) -> int:  # type: ignore[override]  # a property
        """K."""
        return int(self.n_categories)

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]  # a property
        """Whole numbers from 0 to K−1."""
        return constraints.integer_interval(0, self.n_params - 1)

    @property
    def requirement(self) -> str:  # type: ignore[override]  # a property
        """The support in words."""
        return f"codes, whole numbers from 0 to {self.n_params - 1},"

    cure = "Encode categories by OrdinalEncoder, and give their number as n_categories."
    is_ordered = False
    starts_linear = True

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Check the number of categories. Nothing depends on the columns."""
        self._whole("n_categories")

    def embed(self, x: Tensor) -> Tensor:
        """Return the codes one-hot, ``(..., n_features·K)``; NaN if a code is missing."""
        codes = torch.arange(self.n_params, device=x.device)
        one_hot = (x.unsqueeze(-1) == codes).to(x.dtype)
        return one_hot.masked_fill(x.isnan().unsqueeze(-1), torch.nan).flatten(-2)

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and biases of the decoder, whose logits start at those of the shares."""
        weight = slope_of_logits(mean, loadings).unflatten(0, (-1, self.n_params))
        return weight, mean.clamp_min(FLOOR).log().unflatten(0, (-1, self.n_params))

    def expected(self, likelihood: Any) -> Tensor:
        """Return the probabilities of the codes, ``(..., n_features·K)``."""
        return likelihood.base_dist.probs.flatten(-2)

    def settled(self, expected: Tensor) -> Tensor:
        """Return the most probable codes."""
        probabilities = expected.unflatten(-1, (-1, self.n_params))
        return probabilities.argmax(-1).to(expected.dtype)

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z)."""
        return distributions.Independent(distributions.Categorical(params))
