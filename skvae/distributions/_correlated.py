"""Columns whose noise is correlated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td


def _times(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return ``matrix · row`` of each row; densities need the digits that bfloat16 has not."""
    with torch.autocast(rows.device.type, enabled=False):
        return rows @ matrix.to(rows.dtype).mT


class Correlated(td.Distribution):
    """Numbers around ``loc`` whose noise is correlated: ``x = loc + scale · W⁻¹ · noise``.

    W, ``whitening``, is lower triangular with ones on its diagonal, so that it makes independent
    noise of the columns' correlated one, each column being predicted by those before it. The
    log-density of a column is that given the columns before it; together they are that of the row.
    With normal noise every covariance can be had (Pourahmadi 1999,
    https://doi.org/10.1093/biomet/86.3.677).

    Parameters
    ----------
    base : Normal, Laplace or StudentT
        The noise if W is 1: symmetric around ``loc``, and wide as ``scale``; with batch shape
        ``(..., d)``.
    whitening : Tensor of shape (d, d)
        W, of which only what is below its diagonal is read.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Correlated, Normal
    >>> base = Normal(torch.zeros(2), torch.tensor([1.0, 0.6]))
    >>> p = Correlated(base, whitening=torch.tensor([[1.0, 0.0], [-4 / 3, 1.0]]))
    >>> p.stddev
    tensor([1., 1.])
    >>> normal = torch.distributions.MultivariateNormal(
    ...     torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    ... )
    >>> x = torch.tensor([1.0, -1.0])
    >>> torch.allclose(p.log_prob(x).sum(), normal.log_prob(x))
    True
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch's declaration
    has_rsample = False

    def __init__(self, base: Any, whitening: Tensor) -> None:
        self.base = base
        self.whitening = whitening
        super().__init__(base.batch_shape, validate_args=False)

    @property
    def support(self) -> td.constraints.Constraint:
        """Real numbers."""
        return self.base.support

    @property
    def mean(self) -> Tensor:
        """That of ``base``."""
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        """``scale² · Σ_i (W⁻¹)²_ji · Var[noise_i]``."""
        squares = self.base.scale.square()
        return squares * _times(self.base.variance / squares, self._mixing().square())

    def _mixing(self) -> Tensor:
        """Return ``W⁻¹``."""
        w = self.whitening
        one = torch.eye(len(w), dtype=w.dtype, device=w.device)
        return torch.linalg.solve_triangular(w, one, upper=False, unitriangular=True)

    def _residual(self, value: Tensor) -> Tensor:
        return (value - self.base.loc) / self.base.scale

    def _in_units(self, residual: Tensor) -> Tensor:
        return self.base.loc + self.base.scale * residual

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each number, given those before it, in nats."""
        return self.base.log_prob_of_residual(self._noise(self._residual(value)))

    def _noise(self, residual: Tensor) -> Tensor:
        """Return the independent noise that residuals are made of."""
        return residual + _times(residual, torch.tril(self.whitening, -1))

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw a tensor of shape ``sample_shape + batch_shape``."""
        with torch.no_grad():
            noise = self._residual(self.base.sample(sample_shape, generator=generator))
            return self._in_units(_times(noise, self._mixing()))

    def given_row(self, value: Tensor) -> CorrelatedGivenRow:
        """Return the distribution that is told the observed values of rows.

        Parameters
        ----------
        value : Tensor of shape (..., d)
            Rows. NaN means that a value is missing.

        Returns
        -------
        told : CorrelatedGivenRow
            The same where nothing is missing.
        """
        return CorrelatedGivenRow(self.base, self.whitening, value)


class CorrelatedGivenRow(Correlated):
    """Columns whose noise is correlated, of rows of which some values are observed.

    The log-density of an observed value is that given the observed ones before it; together they
    are that of what is observed. Mean and draws of the missing ones are those given what is
    observed. All of this is exact for normal noise. Other noise keeps its shape and the right
    covariance for what is observed.

    Parameters
    ----------
    base : Normal, Laplace or StudentT
        As for :class:`Correlated`.
    whitening : Tensor of shape (d, d)
        As for :class:`Correlated`.
    row : Tensor of shape (..., d)
        The rows. NaN means that a value is missing.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Correlated, Normal
    >>> base = Normal(torch.zeros(2), torch.tensor([1.0, 0.6]))
    >>> p = Correlated(base, whitening=torch.tensor([[1.0, 0.0], [-4 / 3, 1.0]]))
    >>> p.given_row(torch.tensor([torch.nan, 1.0])).mean  # the correlation is 0.8
    tensor([0.8000, 1.0000])
    """

    def __init__(self, base: Any, whitening: Tensor, row: Tensor) -> None:
        super().__init__(base, whitening)
        self._observed = ~row.isnan()
        # What stands for the missing has a gradient that 0 can be taken of.
        self.row = torch.where(self._observed, row, 0.0)
        # Columns that determine each other leave a root that float32 has no digits for.
        mixing = self._mixing().double()
        self._covariance = mixing @ mixing.mT
        # Of what is observed; a missing column is by itself, with variance 1.
        both = self._observed.unsqueeze(-1) & self._observed.unsqueeze(-2)
        one = torch.eye(len(mixing), dtype=mixing.dtype, device=mixing.device)
        self._root = torch.linalg.cholesky_ex(torch.where(both, self._covariance, one)).L

    def _observed_residual(self, value: Tensor) -> Tensor:
        """Return the residuals of observed values, and 0 where one is missing."""
        return torch.where(self._observed, self._residual(value), 0.0)

    def _whitened(self, residual: Tensor) -> Tensor:
        """Return the independent noise that observed residuals are made of."""
        column = residual.to(self._root.dtype).unsqueeze(-1)
        with torch.autocast(residual.device.type, enabled=False):
            return torch.linalg.solve_triangular(self._root, column, upper=False).squeeze(-1)

    def _expected(self, residual: Tensor) -> Tensor:
        """Return the residuals of whole rows that observed ones let expect."""
        weights = torch.linalg.solve_triangular(
            self._root.mT, self._whitened(residual).unsqueeze(-1), upper=True
        ).squeeze(-1)
        return _times(weights, self._covariance).to(residual.dtype)

    @property
    def mean(self) -> Tensor:
        """Of whole rows, given what is observed."""
        return self._in_units(self._expected(self._observed_residual(self.row)))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each observed number, given those before it, in nats."""
        residual = self._observed_residual(value)
        noise = self._whitened(residual).to(residual.dtype)
        log_scale = self._root.diagonal(dim1=-2, dim2=-1).log().to(residual.dtype)
        # Rows without gaps keep the bits that they have where nobody asks for any.
        whole = self._observed.all(-1, keepdim=True)
        noise = torch.where(whole, self._noise(residual), noise)
        log_scale = torch.where(whole, 0.0, log_scale)
        return self.base.log_prob_of_residual(noise) - log_scale

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw whole rows given what is observed: ``sample_shape + batch_shape``.

        A draw from the joint distribution is corrected by what its observed values missed
        (Matheron's rule; Wilson et al. 2021, https://arxiv.org/abs/2011.04026).
        """
        drawn = self._residual(super().sample(sample_shape, generator=generator))
        with torch.no_grad():
            missed = self._observed_residual(self.row) - torch.where(self._observed, drawn, 0.0)
            return self._in_units(drawn + self._expected(missed))
