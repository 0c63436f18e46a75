"""The likelihood that is chosen by the values of X."""

from __future__ import annotations

from torch import Tensor

from skvae.likelihoods import _guess
from skvae.likelihoods._base import Columns, Likelihood
from skvae.likelihoods._gaussian import Gaussian
from skvae.likelihoods._student_t import StudentT
from skvae.likelihoods._unit_interval import Bernoulli, ContinuousBernoulli


class Auto(Likelihood):
    """The likelihood that is chosen by the values of X.

    It is :class:`Bernoulli` when X holds only 0 and 1. It is :class:`ContinuousBernoulli` when all
    values lie in [0, 1] and either rows are images, or most columns have many values near 0 or 1,
    as grey pixels do (Loaiza-Ganem and Cunningham 2019, https://arxiv.org/abs/1907.06845, explain
    why grey pixels should not be treated as binary). It is :class:`StudentT` for tables whose
    columns have, on average, heavier tails than a normal distribution, and :class:`Gaussian`
    otherwise.

    For tables of at least 10 rows for each column, these two have ``correlated=True`` and
    ``evenness=0.5``, and with three or more components ``scale="row"``. Noise is left uncorrelated
    if factor analysis with as many components says as much of how columns vary together, by the
    criterion of Akaike 1974 (https://doi.org/10.1109/TAC.1974.1100705); if X has more than 200
    columns, or missing values and more than 30; and if components are nearly as many as the columns
    (``(columns − components)² ≤ columns + components``). Three or more components then have
    ``evenness=0``.

    Raises
    ------
    ValueError
        When it is used before ``resolve``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder
    >>> vae = VariationalAutoencoder(3, likelihood="auto", max_epochs=5).fit(load_iris().data)
    >>> vae.likelihood_
    Gaussian(scale='row', min_scale=0.001, low=None, evenness=0.0, correlated=False)
    """

    left_open = True

    @property
    def reads_bytes_of_images(self) -> bool:
        """Whole numbers from 0 to 255 are grey values if rows are images, otherwise numbers."""
        return True

    def resolve(self, columns: Columns) -> Likelihood:
        """Return the likelihood that suits the values of X."""
        if not bool(((columns.low < 0) | (columns.high > 1)).any()):
            if bool(columns.whole.all()):
                return Bernoulli()
            if columns.is_image or _guess.grey(columns):
                return ContinuousBernoulli()
        real = StudentT if _guess.real(columns) == "student_t" else Gaussian
        return real(**_guess.noise(columns))

    def initialize(self, loc: Tensor, scale: Tensor) -> None:
        """Raise an error, because mean and standard deviation do not say which values there are."""
        raise ValueError(
            "Auto chooses a likelihood by the values of X, which are not known here. Set "
            "likelihood='auto' of the estimator, or choose a likelihood."
        )
