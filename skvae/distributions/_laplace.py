"""The Laplace distribution."""

from __future__ import annotations

from torch import Tensor
from torch import distributions as td

from skvae.distributions._base import InverseTransformSampling


class Laplace(InverseTransformSampling, td.Laplace):
    """The Laplace distribution of torch: ``log p(x) = −|x − loc| / scale − log(2·scale)``.

    Parameters
    ----------
    loc : Tensor of any shape
        The mean and median.
    scale : Tensor of a shape that broadcasts with it
        The mean absolute deviation.

    Examples
    --------
    >>> import torch
    >>> from skvae.distributions import Laplace
    >>> p = Laplace(torch.zeros(1), torch.full((1,), 0.5))
    >>> p.log_prob(torch.tensor([0.0, 1.0])).exp()  # 1, e⁻²
    tensor([1.0000, 0.1353])
    """

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        super().__init__(loc, scale, validate_args=False)
