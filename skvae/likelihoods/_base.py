"""The interface of a likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from skvae._parameters import Parameters

GAIN = 20.0
"""Learned numbers that stand beside the networks are stored divided by this: Adam moves every
parameter by about the learning rate a step, and a log scale has far to go in nats. At 20 it
falls from 1 to a tenth in 115 steps of 1e-3."""

FLOOR = 1e-4
"""Means of columns are raised to this before their logarithm is taken."""


def first_of(n_params: int, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and biases of all parameters of a feature: these of the first, 0 of others."""
    n_features, k = weight.shape
    weights = weight.new_zeros(n_features, n_params, k)
    biases = bias.new_zeros(n_features, n_params)
    weights[:, 0], biases[:, 0] = weight, bias
    return weights, biases


def slope_of_logits(mean: Tensor, loadings: Tensor) -> Tensor:
    """Return the slopes of logits whose probabilities have these loadings on a standard normal.

    A slope is the loading over the variance ``p·(1 − p)`` where it is small, and more where z
    decides nearly all: as for a normal that is cut in two, whose correlations with z these are.

    Parameters
    ----------
    mean : Tensor of shape (n_features,)
        Probabilities.
    loadings : Tensor of shape (n_features, k)
        Covariances of zeros and ones with z.
    """
    deviation = (mean * (1 - mean)).clamp_min(FLOOR).sqrt().unsqueeze(-1)
    correlation = loadings / deviation
    explained = correlation.square().sum(-1, keepdim=True).clamp_max(0.9)
    return correlation / (deviation * (1 - explained).sqrt())


_OF_EXTREMES = tuple(
    type(constraint)
    for constraint in (
        constraints.boolean,
        constraints.interval(0.0, 1.0),
        constraints.half_open_interval(0.0, 1.0),
        constraints.greater_than(0.0),
        constraints.greater_than_eq(0.0),
        constraints.less_than(0.0),
        constraints.integer_interval(0, 1),
        constraints.nonnegative_integer,
    )
)
"""Kinds of supports that hold all that lies between two numbers, or all whole numbers there."""


class Columns(Protocol):
    """What is known of the columns of X; the tensors, ``(n_features,)``, of the values seen."""

    n_rows: int
    names: Sequence[str] | None
    kinds: Sequence[str | None]  # as declared: "real", "whole", "boolean", "category"
    n_levels: Sequence[int]  # of a category
    low: Tensor
    high: Tensor
    mean: Tensor
    scale: Tensor
    whole: Tensor
    constant: Tensor
    distinct: Tensor
    zeros: Tensor
    at_ends: Tensor
    log_mean: Tensor
    log_scale: Tensor
    median: Tensor
    robust_scale: Tensor
    kurtosis: Tensor
    missing: Tensor
    is_image: bool
    n_components: int | None

    def __len__(self) -> int: ...

    def varies_beyond(self, n_components: int) -> bool: ...


class Likelihood(Parameters, nn.Module):
    """Interface of a likelihood p(x|z).

    Attributes
    ----------
    n_params : int
        Number of outputs of the decoder for each feature.
    support : torch.distributions.constraints.Constraint
        The values that a row may hold. They are checked in ``fit`` and ``score_samples``.
    requirement : str
        The support in words, for the error message "X must hold ...".
    cure : str
        What the user can do about values outside the support, for the error message.
    reads_bytes : bool
        Whether rows of uint8 with values above 1 are images in [0, 255], to be read as [0, 1].
    reads_bytes_of_images : bool
        Whether they are read so if ``image_shape`` says that rows are images.
    takes_categories : bool
        Whether categorical columns of a data frame are passed as codes.
    starts_linear : bool
        Whether training can start from a linear decoder; see ``start``.
    least_noise : float or Tensor of shape (n_embedded,)
        The smallest share of the variance of an embedded column that the factor analysis for
        ``start`` assigns to noise.
    is_ordered : bool
        Whether values are numbers, and values between two others have a meaning. False for codes of
        categories.
    left_open : bool
        Whether the likelihood is still to be chosen by the values of the first fit; see
        ``resolve``.

    Examples
    --------
    A likelihood of waiting times. The decoder computes their rate:

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
    takes_categories: bool = False
    is_ordered: bool = True
    left_open: bool = False
    starts_linear: bool = False
    least_noise: Any = 0.1  # no factor for the chance of a single column

    def __init__(self) -> None:
        super().__init__()

    @property
    def reads_bytes_of_images(self) -> bool:
        """The same as ``reads_bytes``."""
        return self.reads_bytes

    def resolve(self, columns: Columns) -> Likelihood:
        """Return the likelihood for these columns, with everything decided.

        Parameters
        ----------
        columns : Columns
            What is known about the columns of X. It has a length; ``names`` (a list or ``None``);
            ``kinds``, a list with the type of each column in a data frame: ``"real"``, ``"whole"``,
            ``"boolean"``, ``"category"`` or ``None``; and ``n_levels``, a list with the number of
            categories of each column. Tensors of shape ``(n_features,)`` describe the values:
            ``low``, ``high``, ``mean`` and ``scale`` (1 if a column is constant); ``whole`` and
            ``constant`` (whether all values are whole numbers, and whether all are equal);
            ``distinct``, the number of distinct values, counted up to 256; ``zeros`` and
            ``at_ends``, the share of values that are exactly 0, and exactly ``low`` or ``high``;
            ``log_mean`` and ``log_scale``, mean and standard deviation of the logarithms of the
            positive values; ``missing``, the number of missing values.

        Returns
        -------
        likelihood : Likelihood
            The likelihood itself, if there is nothing to choose.
        """
        return self

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Create the parameters and buffers that depend on the columns.

        This is called once in a fit. It is called again, with zeros and ones, when a model is read
        from a file, and the arrays of the file then replace those made here. So shapes may depend
        on the arguments of the constructor and the number of columns, but not on the values.

        Parameters
        ----------
        loc, scale : Tensor of shape (n_features,), float64
            Mean and standard deviation of the training columns; the scale of a constant
            column is 1.
        """

    def observe(self, columns: Columns) -> None:
        """Set starting values by what is known about the columns, beyond mean and scale.

        This is called once in a fit, after ``initialize``. It is not called when a model is read
        from a file. So it may set values of parameters and buffers, but must not create any.

        Parameters
        ----------
        columns : Columns
            As in ``resolve``.
        """

    def meet(self, columns: Sequence[int], loc: Tensor, scale: Tensor) -> None:
        """Update the mean and scale of columns that were constant in all earlier rows.

        ``partial_fit`` calls this when such a column varies for the first time. Nothing has to be
        done if mean and scale only decide where training starts.

        Parameters
        ----------
        columns : sequence of int
            The numbers of these columns.
        loc, scale : Tensor of shape (len(columns),), float64
            Mean and standard deviation of these columns.
        """

    def check(self, x: Tensor, where: str = "") -> None:
        """Check that the likelihood allows every value.

        Missing values are allowed if the support is one of single numbers. A support of whole rows,
        such as one-hot groups, has to handle them itself.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Rows; NaN is missing.
        where : str, default=""
            The names of these columns, for the error message.

        Raises
        ------
        ValueError
            When a value is not allowed. The message gives the range of the values and says what to
            do.
        """
        support = self.support
        held = support.check(x)
        if not bool(held.all()) and support.event_dim == 0:
            held |= x.isnan()
        if not bool(held.all()):
            values = x[~x.isnan()]
            raise ValueError(
                f"X must hold {self.requirement} under likelihood={type(self).__name__}, but it "
                f"has values from {values.min():.6g} to {values.max():.6g}{where}. {self.cure}"
            )

    def holds(self, columns: Columns) -> bool:
        """Return whether the extremes of the columns show that all values are allowed.

        They do if the support is an interval, or the whole numbers of an interval. ``fit`` then
        needs no pass over all rows for ``check``.

        Parameters
        ----------
        columns : Columns
            As in ``resolve``.

        Returns
        -------
        shown : bool
            ``False`` means that the rows have to be checked.
        """
        if getattr(type(self), "check", Likelihood.check) is not Likelihood.check:
            return False
        if self.support is constraints.real:
            return True
        if not isinstance(self.support, _OF_EXTREMES):
            return False
        # Of numbers that are not all whole, one that is not.
        between = torch.where(columns.whole, columns.low, columns.low + 0.5)
        some = torch.stack([columns.low, columns.high, torch.minimum(between, columns.high)])
        return bool(self.support.check(some).all())

    def embed(self, x: Tensor) -> Tensor:
        """Return the row as the encoder sees it.

        Parameters
        ----------
        x : Tensor of shape (..., n_features)
            Rows in the units of X.

        Returns
        -------
        embedded : Tensor of shape (..., n_embedded)
            Numbers of ordinary size, which suit networks.
        """
        return x

    def start(self, mean: Tensor, loadings: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the linear decoder that is closest to a linear model of the embedded rows.

        This is called after ``initialize`` and ``observe`` if the networks of a table have a linear
        path and ``starts_linear`` is true. It also sets the parameters of the likelihood itself,
        such as the scale of the noise. The model, a factor analysis, is ``mean + loadings · z +
        noise``.

        Parameters
        ----------
        mean : Tensor of shape (n_embedded,), float64
            Mean of each embedded column.
        loadings : Tensor of shape (n_embedded, k), float64
            What each component adds to the embedded columns.
        noise : Tensor of shape (n_embedded,) or (n_embedded, n_embedded), float64
            Variance of the noise of each embedded column. Its covariance if the likelihood has a
            true attribute ``correlated`` and no value is missing; the linear model is then a
            probabilistic PCA.

        Returns
        -------
        weight : Tensor of shape (n_features, n_params, k)
            Weights of z, for the parameters that ``forward`` takes.
        bias : Tensor of shape (n_features, n_params)
            The parameters for z = 0.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define start(mean, loadings, noise).")

    def forward(self, params: Tensor) -> Distribution:
        """Return p(x|z).

        Parameters
        ----------
        params : Tensor of shape (..., n_features, n_params)
            The output of the decoder.

        Returns
        -------
        likelihood : torch.distributions.Distribution
            A distribution with batch shape ``(...)`` and event shape ``(n_features,)``. Its
            ``log_prob`` is in nats per row, its ``mean`` and its draws are in the units of X.

        Raises
        ------
        TypeError
            When a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} does not define forward(params).")

    def expected(self, likelihood: Any) -> Tensor:
        """Return what is averaged over z to estimate missing values: by default, the means.

        Parameters
        ----------
        likelihood : torch.distributions.Distribution
            What ``forward`` returned, with the row given; see
            :func:`~skvae.distributions.given_row`.

        Returns
        -------
        expected : Tensor of shape (..., n_expected)
            The values to average. For a category, for example, the probability of each level.
        """
        return likelihood.mean

    def settled(self, expected: Tensor) -> Tensor:
        """Turn averages of ``expected`` into values that X can hold.

        Parameters
        ----------
        expected : Tensor of shape (..., n_expected)
            Averages of ``expected``.

        Returns
        -------
        x : Tensor of shape (..., n_features)
            Rows in the units of X. A category is the most probable one.
        """
        return expected

    def _check_choice(self, name: str, *choices: str | None) -> None:
        """Raise ``ValueError`` when a parameter is none of the choices."""
        value = getattr(self, name)
        if value not in choices:
            raise ValueError(
                f"{name} of {type(self).__name__} is {value!r}; "
                f"it must be {' or '.join(map(repr, choices))}."
            )


def method_of(likelihood: Any, name: str) -> Callable[..., Any]:
    """Return a method of a likelihood, or that of the interface where it inherits nothing."""
    return getattr(likelihood, name, partial(getattr(Likelihood, name), likelihood))


def log_moments(mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of the logarithm of what has these moments itself.

    Those of the log-normal distribution. Where the scale is small against the mean, the logarithm
    spreads by their ratio.
    """
    variance = torch.log1p((scale / mean).square())
    return mean.log() - variance / 2, variance.sqrt()
