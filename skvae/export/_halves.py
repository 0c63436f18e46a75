"""The halves of a model, each a function of one matrix in torch."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from skvae._vae import VariationalAutoencoder
from skvae.networks import ConvTranspose2d


class Half(nn.Module):
    """Half of a fitted model, as a function of one matrix: a copy, on the CPU."""

    name: str
    input: str
    outputs: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float64")
    """What the input may be."""
    made_of: tuple[str, ...]
    """The estimator's parameters that decide which operations it takes."""

    def __init__(self, vae: VariationalAutoencoder) -> None:
        super().__init__()
        self.vae = vae
        self.model = copy.deepcopy(vae.net_.module_).cpu()
        self.eval()
        for layer in self.modules():
            if isinstance(layer, ConvTranspose2d):
                # Ours computes the same in a way made for training: hundreds of nodes for one.
                layer.__class__ = nn.ConvTranspose2d  # type: ignore[assignment]

    def example(self, dtype: str) -> Tensor:
        """Return an input; of two rows, since torch takes sizes of 1 for constants."""
        return torch.zeros(2, self.n_columns, dtype=getattr(torch, dtype))

    @property
    def n_columns(self) -> int:
        """Columns of the input."""
        return self.vae.n_features_in_

    def describe_origin(self) -> str:
        """Return the estimator's parameters that it is made of, for a message."""
        values = {name: getattr(self.vae, name) for name in self.made_of}
        return ", ".join(
            f"{name}={value!r}" if isinstance(value, str) else f"{name}={type(value).__name__}"
            for name, value in values.items()
            if value is not None
        )


class EncoderHalf(Half):
    """X to mean and standard deviation of q(z|x)."""

    name = "encoder"
    input = "X"
    outputs: tuple[str, ...] = ("loc", "scale")
    dtypes = ("float32", "float64", "uint8")
    made_of = ("encoder", "likelihood", "posterior_family")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if x.dtype == torch.uint8:
            x = x.float() / self.vae.unit_
        q: Any = self.model.posterior(x)
        return q.mean.to(x.dtype), q.stddev.to(x.dtype)


class Transform(EncoderHalf):
    """X to the mean of q(z|x)."""

    outputs = ("loc",)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return super().forward(x)[:1]


class DecoderHalf(Half):
    """Z to the mean of p(x|z)."""

    name = "decoder"
    input = "Z"
    outputs = ("X",)
    made_of = ("decoder", "likelihood")

    @property
    def n_columns(self) -> int:
        """Columns of the input."""
        return len(self.vae.active_components_)

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        p: Any = self.model.likelihood(z.to(self.model.dtype))
        return (p.mean.to(z.dtype),)


HALVES: dict[str, type[Half]] = {half.name: half for half in (EncoderHalf, DecoderHalf)}
