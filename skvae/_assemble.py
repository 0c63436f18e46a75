"""From an estimator's parameters to a model: names to parts, parts to a VAE."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from skvae import likelihoods, networks, objectives, posteriors, priors
from skvae.initialization import materialize
from skvae.likelihoods import LIKELIHOODS
from skvae.model import VAE
from skvae.networks import Hidden
from skvae.objectives import OBJECTIVES
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS

__all__ = ["LIKELIHOODS", "OBJECTIVES", "POSTERIORS", "PRIORS"]

PARTS: dict[str, type] = {
    name: getattr(module, name)
    for module in (likelihoods, priors, posteriors, objectives)
    for name in module.__all__
    if hasattr(getattr(module, name), "get_params")
}
"""Classes of parts by name, for reading them from a file."""


def part(value: Any, registry: Mapping[str, Callable[..., Any]]) -> Any:
    """Return a fresh part: made from its name, or a copy of the user's object."""
    return registry[value]() if isinstance(value, str) else copy.deepcopy(value)


def snapshot(value: Any) -> Any:
    """Return a copy of a part whose parameters may be set later; other values as they are."""
    return copy.deepcopy(value) if hasattr(value, "get_params") else value


def same(one: Any, other: Any) -> bool:
    """Whether two parameters are equal: parts are by their class and their own parameters.

    Modules define no equality, because torch tells them apart by identity.
    """
    if one is other or type(one) is not type(other):
        return bool(one is other or one == other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "get_params"):
        params, others = one.get_params(deep=False), other.get_params(deep=False)
        return all(same(value, others[name]) for name, value in params.items())
    return bool(one == other)


@dataclass(frozen=True)
class Architecture:
    """The parameters that decide the shape of a model, with every default filled in."""

    n_features: int
    n_components: int
    image_shape: tuple[int, int, int] | None
    hidden_layer_sizes: tuple[int, ...]
    conv_channels: tuple[int, ...]
    conv_block: str
    activation: str
    normalization: str | None
    dropout: float
    encoder: nn.Module | None
    decoder: nn.Module | None
    likelihood: Any
    prior: Any
    posterior_family: Any

    @property
    def hidden(self) -> Hidden:
        """What follows the map of every hidden layer."""
        return Hidden(self.activation, self.normalization, self.dropout)


def resolve_image_shape(image_shape: Sequence[int] | None, n_features: int) -> Any:
    """Return ``(height, width, channels)``, the −1 filled in, or ``None`` for tables."""
    if image_shape is None:
        return None
    shape = tuple(image_shape)
    whole = all(isinstance(side, int | np.integer) for side in shape)
    if (
        not whole
        or len(shape) not in (2, 3)
        or min(shape) < -1
        or 0 in shape
        or shape.count(-1) > 1
    ):
        raise ValueError(
            f"image_shape={image_shape!r} must be (height, width) or (height, width, channels), "
            "positive whole numbers of which one may be -1."
        )
    full = [int(side) for side in shape] + [1] * (3 - len(shape))
    known = abs(int(np.prod(full)))
    if n_features % known if -1 in full else known != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} holds {'a multiple of ' if -1 in full else ''}{known} "
            f"values, but X has {n_features} columns. Give the height, width and channels that "
            "each row was flattened from."
        )
    return tuple(n_features // known if side == -1 else side for side in full)


def _sizes(value: Any, name: str, least: int) -> tuple[int, ...]:
    """Return layer sizes as a tuple of positive whole numbers."""
    sizes = tuple(np.atleast_1d(np.asarray(value, dtype=object)).tolist())
    if len(sizes) < least or not all(isinstance(n, int | np.integer) and n > 0 for n in sizes):
        raise ValueError(
            f"{name}={value!r} must hold positive whole numbers, at least {least} of them."
        )
    return tuple(int(n) for n in sizes)


# Chosen by measurement (benchmarks/defaults.py): wide layers overfit tables of a few hundred
# rows by tens of nats, narrow ones underfit thousands of digits.
SMALL_TABLE = 1000
SMALL_TABLE_LAYERS = (32,)
TABLE_LAYERS = (256, 128)
IMAGE_LAYERS = (128,)


def default_layers(is_image: bool, n_rows: int) -> tuple[int, ...]:
    """Return the dense layers that ``hidden_layer_sizes=None`` stands for."""
    if is_image:
        return IMAGE_LAYERS
    return SMALL_TABLE_LAYERS if n_rows < SMALL_TABLE else TABLE_LAYERS


_AS_GIVEN = (
    "conv_block",
    "activation",
    "normalization",
    "dropout",
    "encoder",
    "decoder",
    "likelihood",
    "prior",
    "posterior_family",
)
"""Parameters that an architecture takes over unchanged."""


def resolve(params: Mapping[str, Any], n_features: int) -> Architecture:
    """Return the architecture that an estimator's parameters, no longer "auto", ask for."""
    return Architecture(
        n_features=n_features,
        n_components=int(params["n_components"]),
        image_shape=resolve_image_shape(params["image_shape"], n_features),
        hidden_layer_sizes=_sizes(params["hidden_layer_sizes"], "hidden_layer_sizes", least=0),
        conv_channels=_sizes(params["conv_channels"], "conv_channels", least=1),
        **{name: params[name] for name in _AS_GIVEN},
    )


def build(
    architecture: Architecture,
    loc: torch.Tensor,
    scale: torch.Tensor,
    x: torch.Tensor,
    generator: torch.Generator,
) -> VAE:
    """Build the model, weights drawn from ``generator``.

    The likelihood sees location and scale of the training columns, the prior some of the rows.
    """
    likelihood = part(architecture.likelihood, LIKELIHOODS)
    likelihood.initialize(loc, scale)
    prior = part(architecture.prior, PRIORS)
    prior.initialize(architecture.n_components)
    embedded = likelihood.embed(x).float()
    if architecture.image_shape is not None and embedded.shape[1] != x.shape[1]:
        raise ValueError(
            f"likelihood={likelihood!r} turns rows of {x.shape[1]} values into "
            f"{embedded.shape[1]} for the encoder, which is no image of image_shape="
            f"{architecture.image_shape}. Set image_shape=None, or another likelihood."
        )
    encoder = _encoder(architecture, embedded.shape[1], generator)
    decoder = _decoder(architecture, likelihood.n_params, generator)
    if hasattr(prior, "connect"):
        prior.connect(encoder, embedded, generator)
    return VAE(prior, encoder, decoder, likelihood)


def _encoder_body(a: Architecture, n_in: int, generator: torch.Generator) -> nn.Module:
    """Return the encoder's body: the user's, a convolutional or a dense one."""
    image_shape = a.image_shape
    if a.encoder is not None:
        view = [] if image_shape is None else [networks.RowsToImages(image_shape)]
        return nn.Sequential(*view, copy.deepcopy(a.encoder))
    if image_shape is not None:
        return materialize(
            lambda: networks.conv_encoder(
                image_shape, a.conv_channels, a.hidden_layer_sizes, a.hidden, a.conv_block
            ),
            generator,
        )
    sizes = [n_in, *a.hidden_layer_sizes]
    return materialize(lambda: nn.Sequential(*networks.dense(sizes, a.hidden)), generator)


def _encoder(a: Architecture, n_in: int, generator: torch.Generator) -> nn.Module:
    body = _encoder_body(a, n_in, generator)
    features = networks.features_of(body, torch.zeros(2, n_in), "encoder")
    if len(features) != 1:
        raise ValueError(
            "encoder must return features of shape (n, n_out), got "
            f"(n, {', '.join(map(str, features))}). End it with a torch.nn.Flatten()."
        )
    head = part(a.posterior_family, POSTERIORS)
    head.initialize(features[0], a.n_components, generator)
    return networks.Encoder(body, head)


def _decoder_body(a: Architecture, generator: torch.Generator) -> nn.Module:
    """Return the decoder's body: the user's, a convolutional or a dense one."""
    image_shape = a.image_shape
    if a.decoder is not None:
        return copy.deepcopy(a.decoder)
    if image_shape is not None:
        return materialize(
            lambda: networks.conv_decoder(
                image_shape, a.conv_channels, a.n_components, a.hidden, a.conv_block
            ),
            generator,
        )
    sizes = [a.n_components, *reversed(a.hidden_layer_sizes)]
    return materialize(lambda: nn.Sequential(*networks.dense(sizes, a.hidden)), generator)


def _decoder(a: Architecture, n_params: int, generator: torch.Generator) -> nn.Module:
    body = _decoder_body(a, generator)
    features = networks.features_of(body, torch.zeros(2, a.n_components), "decoder")
    is_image = a.image_shape is not None and features[1:] == a.image_shape[:2]
    if len(features) != 1 and not is_image:
        images = (
            ""
            if a.image_shape is None
            else f" or (n, channels, {a.image_shape[0]}, {a.image_shape[1]})"
        )
        raise ValueError(
            f"decoder must return features of shape (n, n_out){images}, "
            f"got (n, {', '.join(map(str, features))}). The layer from there to X is added."
        )
    head = materialize(
        lambda: networks.parameter_head(features, a.n_features, n_params, a.image_shape), generator
    )
    return nn.Sequential(body, head)
