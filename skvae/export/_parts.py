"""The parts of a model that can leave, each a function of one matrix in torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from skvae import _quadrature
from skvae._fitted import Opened
from skvae._inference import Inference
from skvae._outliers import VAEOutlierDetector
from skvae._vae import VariationalAutoencoder
from skvae.distributions import Blocks
from skvae.model import Batch
from skvae.networks import ConvTranspose2d


class Part(nn.Module):
    """Part of a fitted model, as a function of one matrix: a copy, on the CPU."""

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
        self.model = self._portable(vae)
        self.eval()

    @classmethod
    def of(cls, inside: Opened) -> Self:
        """Return the part of a fitted estimator."""
        return cls(inside.model._whole())

    @property
    def estimator(self) -> str:
        """The name of the class of the estimator that it says the same as."""
        return type(self.vae).__name__

    def _portable(self, vae: VariationalAutoencoder) -> Any:
        """Return a copy of the networks, to be traced."""
        model = copy.deepcopy(vae.net_.module_).cpu().eval()
        for layer in model.modules():
            if isinstance(layer, ConvTranspose2d):
                # Ours computes the same in a way made for training: hundreds of nodes for one.
                layer.__class__ = nn.ConvTranspose2d  # type: ignore[assignment]  # its base class
        return model

    def read(self, x: Tensor) -> Tensor:
        """Return rows of X as the networks take them: bytes become numbers in [0, 1]."""
        return x.float() / self.vae.unit_ if x.dtype == torch.uint8 else x

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


class Encoder(Part):
    """X to mean and standard deviation of q(z|x)."""

    name = "encoder"
    input = "X"
    outputs: tuple[str, ...] = ("loc", "scale")
    dtypes = ("float32", "float64", "uint8")
    made_of = ("encoder", "likelihood", "posterior_family")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.read(x)
        q: Any = self.model.posterior(x)
        return q.mean.to(x.dtype), q.stddev.to(x.dtype)


class Transform(Encoder):
    """X to the mean of q(z|x)."""

    outputs = ("loc",)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return super().forward(x)[:1]


class Decoder(Part):
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


class Score(Part):
    """X to the elbo of each row in nats, with the same noise for all rows; the mean over models."""

    name = "score"
    input = "X"
    dtypes = ("float32", "float64", "uint8")
    made_of = ("encoder", "decoder", "likelihood", "prior", "posterior_family")

    def __init__(self, models: Sequence[VariationalAutoencoder], offset: float | None) -> None:
        super().__init__(models[0])
        each = [self.model, *map(self._portable, models[1:])]
        self.models = nn.ModuleList(each)
        self.inferences = [Inference(model, np.float32, "cpu") for model in each]
        # Of one row: it is that of every other one, too.
        row = np.zeros(1, np.uint64)
        self.noise = [
            _quadrature.balanced_noise(row, model.latent_dim).to(model.dtype) for model in each
        ]
        self.offset = offset
        self.outputs = ("score",) if offset is None else ("score", "decision")
        z = torch.zeros(1, self.model.latent_dim)
        self.has_missing = _splits(self.model.likelihood(z))

    @classmethod
    def of(cls, inside: Opened) -> Self:
        """Return the score of a fitted estimator; of a detector with its threshold."""
        if isinstance(inside.last, VAEOutlierDetector):
            return cls([vae._whole() for vae in inside.last.estimators_], inside.last.offset_)
        return cls([inside.model._whole()], None)

    @property
    def estimator(self) -> str:
        """The name of the class of the estimator that it says the same as."""
        return super().estimator if self.offset is None else VAEOutlierDetector.__name__

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.read(x)
        batch = Batch(x, has_missing=self.has_missing)
        terms = [
            inference.terms_of(batch, noise.expand(-1, x.shape[0], -1))
            for inference, noise in zip(self.inferences, self.noise, strict=True)
        ]
        reconstruction, kl = torch.stack(terms).unbind(-1)
        score = (reconstruction - kl).mean(0).to(x.dtype)
        return (score,) if self.offset is None else (score, score - self.offset)


def _splits(likelihood: Any) -> bool:
    """Whether p(x|z) splits into columns, so that missing ones can be left out."""
    if isinstance(likelihood, Blocks):
        return all(_splits(block) for _, block in likelihood.blocks)
    return hasattr(likelihood, "log_prob_terms")


PARTS: dict[str, type[Part]] = {part.name: part for part in (Encoder, Decoder, Score)}
