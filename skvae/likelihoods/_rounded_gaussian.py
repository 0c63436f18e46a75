"""The likelihood of whole numbers that are not counts: a rounded normal distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from skvae import distributions
from skvae.likelihoods._gaussian import Gaussian


class RoundedGaussian(Gaussian):
    """Whole numbers of either sign: a normal variable around the output of the decoder, rounded.

    ``P(x|z) = Π Φ((x + ½ − loc(z)) / scale) − Φ((x − ½ − loc(z)) / scale)``, so that a score is a
    log-probability, in nats per row. Use it for years, ages, differences of counts, and codes with
    a meaningful order. Unlike for counts, their variance does not depend on their mean. Columns are
    standardised inside as in :class:`Gaussian`. Salimans et al. 2017
    (https://arxiv.org/abs/1701.05517) use the logistic distribution for grey levels in the same
    way.

    Parameters
    ----------
    scale : {"feature", "shared", "row"} or float, default="feature"
        As in :class:`Gaussian`, for the variable before rounding.
    min_scale : float, default=1e-3
        Lower bound of a learned scale, as a fraction of the column's standard deviation.
    low : float, default=None
        Smallest possible value, such as 0 for ages. ``None`` means that every whole number is
        possible.
    evenness : float, default=0.0
        In [0, 1]: how evenly columns count when means are learned. See :class:`Gaussian`.

    Raises
    ------
    ValueError
        In ``fit``, when ``scale``, ``min_scale``, ``low`` or ``evenness`` has none of these values.

    Examples
    --------
    >>> import torch
    >>> from skvae.likelihoods import RoundedGaussian
    >>> years = RoundedGaussian(scale=0.8)
    >>> years.initialize(loc=torch.tensor([2008.0]), scale=torch.tensor([0.8]))
    >>> p = years(torch.zeros(1, 1, 1))
    >>> p.log_prob(torch.tensor([[2008.0]])).exp()
    tensor([0.4680])
    """

    def __init__(
        self,
        scale: str | float = "feature",
        min_scale: float = 1e-3,
        low: float | None = None,
        evenness: float = 0.0,
    ) -> None:
        super().__init__(scale, min_scale, low, evenness)

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]  # a property
        """Whole numbers, from ``low`` up."""
        least = -math.inf if self.low is None else math.ceil(self.low)
        return constraints.integer_interval(least, math.inf)

    @property
    def requirement(self) -> str:  # type: ignore[override]  # a property
        """What the values must be."""
        return "whole numbers" + ("" if self.low is None else f" from {self.low:g} up")

    @property
    def cure(self) -> str:  # type: ignore[override]  # a property
        """What to do where they are not."""
        smaller = "" if self.low is None else "set a smaller low, "
        return f"Round X, {smaller}or set likelihood='gaussian'."

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Start at the spread before rounding, which is less than the spread of the column."""
        super().initialize(loc, _before_rounding(scale))

    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Standardise the columns by the moments before rounding, which follow from these."""
        super().meet(columns, loc, _before_rounding(scale))

    def _in_units(self, noise: Distribution) -> Distribution:
        return distributions.Rounded(noise, self.loc, self.column_scale, self._low)


def _before_rounding(scale: Tensor) -> Tensor:
    """Return the standard deviation of what has this one once it is rounded: Sheppard's correction.

    A column that hardly varies is rounded from much less; half of its own is taken then.
    """
    return torch.maximum(scale.square() - 1 / 12, scale.square() / 4).sqrt()
