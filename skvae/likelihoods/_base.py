"""The interface of a likelihood."""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from skvae._parameters import Parameters

GAIN = 20.0
"""Learned numbers that stand beside the networks are stored divided by this: Adam moves every
parameter by about the learning rate a step, and a log scale has far to go in nats. At 20 it
falls from 1 to a tenth in 115 steps of 1e-3."""

FLOOR = 1e-4
"""Means of columns are raised to this before their logarithm is taken."""


class Likelihood(Parameters, nn.Module):
    """Interface of a likelihood p(x|z).

    Attributes
    ----------
    n_params : int
        Numbers per feature that the decoder puts out.
    support : torch.distributions.constraints.Constraint
        Values that a row may hold; checked in ``fit`` and ``score_samples``.
    requirement : str
        The support in words, for the error message: "X must hold ...".
    cure : str
        What to do about values outside the support.
    reads_bytes : bool
        Whether rows of uint8 with values above 1 are images in [0, 255], read as [0, 1].

    Examples
    --------
    Waiting times, whose rate the decoder gives:

    >>> import numpy as np
    >>> import torch
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.distributions import Independent, InverseTransformSampling
    >>> from skvae.likelihoods import Likelihood
    >>> class Exponential(InverseTransformSampling, torch.distributions.Exponential): ...
    >>> class WaitingTimes(Likelihood):
    ...     support = torch.distributions.constraints.nonnegative
    ...     requirement = "times, not below 0,"
    ...
    ...     def initialize(self, loc, scale):
    ...         self.register_buffer("log_rate", -loc.log().float())
    ...
    ...     def embed(self, x):
    ...         return x.log1p()
    ...
    ...     def forward(self, params):
    ...         return Independent(Exponential((self.log_rate + params[..., 0]).exp()))
    >>> X = np.random.default_rng(0).exponential(10.0, (100, 3))
    >>> vae = VariationalAutoencoder(likelihood=WaitingTimes(), max_epochs=5, random_state=0)
    >>> vae.fit(X).score_samples(X).shape
    (100,)
    """

    n_params: int = 1
    support: constraints.Constraint = constraints.real
    requirement: str = "finite numbers"
    cure: str = "Drop or impute the other values."
    reads_bytes: bool = False

    def __init__(self) -> None:
        super().__init__()

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Meet the data: make what depends on the columns.

        Called once for a fit, and again with zeros and ones when a model is read from a
        file, whose arrays then replace what was made here: shapes may depend on the
        constructor's arguments and the number of columns, not on the values.

        Parameters
        ----------
        loc, scale : Tensor of shape (n_features,), float64
            Mean and standard deviation of the training columns; the scale of a constant
            column is 1.
        """

    def embed(self, x: Tensor) -> Tensor:
        """Return the row as the encoder sees it.

        Parameters
        ----------
        x : Tensor of shape (..., n_features)
            Rows in the units of X.

        Returns
        -------
        embedded : Tensor of shape (..., n_embedded)
            Numbers of ordinary size, as networks like them.
        """
        return x

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z).

        Parameters
        ----------
        params : Tensor of shape (..., n_features, n_params)
            The output of the decoder.

        Returns
        -------
        likelihood : torch.distributions.Distribution
            With batch shape ``(...)`` and event shape ``(n_features,)``; its ``log_prob``
            in nats per row, its ``mean`` and draws in the units of X.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define forward(params).")

    def _check_choice(self, name: str, *choices: str | None) -> None:
        """Raise ``ValueError`` when a parameter is none of the choices."""
        value = getattr(self, name)
        if value not in choices:
            raise ValueError(
                f"{name} of {type(self).__name__} is {value!r}; "
                f"it must be {' or '.join(map(repr, choices))}."
            )
