"""Distributions of rows with missing values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import given_row


class Observed(td.Distribution):
    """Distribution of the observed values of rows; missing values (NaN) are left out.

    ``log p(x) = Σ_observed log p(x_j)``. This is the log-density of the observed values if the
    columns of a row are independent given z, as they are under most likelihoods, or if the
    distribution has a method ``given_row`` that tells its terms which values are observed, as
    :class:`Correlated` has. Mean, variance and draws are those of whole rows. See Nazábal et al.
    2020 (https://arxiv.org/abs/1807.03653) and Mattei and Frellsen 2019
    (https://arxiv.org/abs/1812.02633).

    Parameters
    ----------
    base : Independent, Blocks or OneHotCategorical
        A distribution of whole rows, with a method ``log_prob_terms`` that splits its log-density
        into columns.

    Raises
    ------
    TypeError
        When ``base`` has no ``log_prob_terms``.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Independent, Normal, Observed
    >>> p = Observed(Independent(Normal(torch.zeros(2), torch.ones(2))))
    >>> p.log_prob(torch.tensor([[0.0, 0.0], [0.0, torch.nan], [torch.nan, torch.nan]]))
    tensor([-1.8379, -0.9189,  0.0000])
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    has_rsample = False

    def __init__(self, base: Any) -> None:
        if not hasattr(base, "log_prob_terms"):
            raise TypeError(
                f"X has missing values (NaN), but the density of {type(base).__name__} does not "
                "split into columns, so missing values cannot be left out. Let the likelihood "
                "return a skvae.distributions.Independent, or give the distribution a method "
                "log_prob_terms(value), or impute X."
            )
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean of whole rows."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """The variance of whole rows."""
        return self.base.variance

    def log_prob_terms(self, value: Tensor) -> Tensor:
        """Return the log-density of each value, and 0 for a missing value.

        Parameters
        ----------
        value : Tensor of shape (..., n_features)
            Rows. NaN means that a value is missing.

        Returns
        -------
        terms : Tensor of shape (..., n_features)
            Nats.
        """
        base = given_row(self.base, value)
        missing = value.isnan()
        # What stands for the missing has a density, and so a gradient that 0 can be taken of.
        filled = torch.where(missing, self.base.mean.detach().nan_to_num(), value)
        return base.log_prob_terms(filled).masked_fill(missing, 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of the observed values in nats, of shape ``value.shape[:-1]``."""
        return self.log_prob_terms(value).sum(-1)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw whole rows of shape ``sample_shape + batch_shape + event_shape``."""
        return self.base.sample(sample_shape, generator=generator)
