"""Networks: bodies of encoders and decoders, and the heads that complete them.

A body maps a batch to features; a head turns features into parameters. The user's own
modules are bodies like ours. Rows hold images channels last, row-major, so that the view
``(n, height, width, channels)``, permuted, is torch's ``channels_last`` without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = [
    "ACTIVATIONS",
    "Encoder",
    "conv_decoder",
    "conv_encoder",
    "dense",
    "features_of",
    "materialize",
    "parameter_head",
]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


def materialize(build: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """Build a network of ours and draw its weights from ``generator`` alone.

    The constructors of torch's layers draw from the global generator, unless they run on
    the meta device. Weights are uniform with the variance of He et al. 2015
    (https://arxiv.org/abs/1502.01852), biases zero.
    """
    with torch.device("meta"):
        module = build()
    module.to_empty(device="cpu")
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # A transposed weight is (in, out, ...): what torch calls fan-out is what comes in.
            mode: Literal["fan_in", "fan_out"] = (
                "fan_out" if isinstance(layer, nn.ConvTranspose2d) else "fan_in"
            )
            nn.init.kaiming_uniform_(
                layer.weight, mode=mode, nonlinearity="relu", generator=generator
            )
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def dense(sizes: Sequence[int], activation: str) -> list[nn.Module]:
    """Return linear layers of the given sizes, each followed by the activation."""
    return [
        layer
        for n_in, n_out in pairwise(sizes)
        for layer in (nn.Linear(n_in, n_out), ACTIVATIONS[activation]())
    ]


class RowsToImages(nn.Module):
    """View rows ``(n, H·W·C)`` as images ``(n, C, H, W)`` in channels-last memory."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, self.image_shape).permute(0, 3, 1, 2)


class ImagesToRows(nn.Module):
    """View images ``(n, C·k, H, W)`` as the parameters of rows, ``(n, H·W·C, k)``."""

    def __init__(self, n_params: int) -> None:
        super().__init__()
        self.n_params = n_params

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).reshape(len(images), -1, self.n_params)


def downsampled(image_shape: tuple[int, int, int], n_layers: int) -> list[tuple[int, int]]:
    """Return the image sizes before and after each of ``n_layers`` stride-2 convolutions."""
    sizes = [image_shape[:2]]
    for _ in range(n_layers):
        height, width = sizes[-1]
        sizes.append(((height + 1) // 2, (width + 1) // 2))
    return sizes


def conv_encoder(
    image_shape: tuple[int, int, int],
    conv_channels: Sequence[int],
    hidden_layer_sizes: Sequence[int],
    activation: str,
) -> nn.Sequential:
    """Return a body of 3×3 stride-2 convolutions and dense layers: rows to features."""
    convolutions = [
        layer
        for n_in, n_out in pairwise([image_shape[2], *conv_channels])
        for layer in (nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), ACTIVATIONS[activation]())
    ]
    height, width = downsampled(image_shape, len(conv_channels))[-1]
    flat = height * width * [image_shape[2], *conv_channels][-1]
    return nn.Sequential(
        RowsToImages(image_shape),
        *convolutions,
        nn.Flatten(),
        *dense([flat, *hidden_layer_sizes], activation),
    )


def conv_decoder(
    image_shape: tuple[int, int, int],
    conv_channels: Sequence[int],
    latent_dim: int,
    activation: str,
) -> nn.Sequential:
    """Return the mirror: a dense layer and stride-2 transposed convolutions, z to features.

    The features are images of full size with ``conv_channels[0]`` channels.
    """
    *sizes, deepest = downsampled(image_shape, len(conv_channels))
    first = conv_channels[-1]
    layers: list[nn.Module] = [
        *dense([latent_dim, first * deepest[0] * deepest[1]], activation),
        nn.Unflatten(1, (first, *deepest)),
    ]
    channels = [first, *reversed(conv_channels)]
    for (n_in, n_out), size in zip(pairwise(channels), reversed(sizes), strict=True):
        # (s + 1) // 2 pixels become s again: 2·((s + 1) // 2) − 1, and one more when s is even.
        even = (1 - size[0] % 2, 1 - size[1] % 2)
        layers += [
            nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=even),
            ACTIVATIONS[activation](),
        ]
    return nn.Sequential(*layers)


def parameter_head(
    features: torch.Size, n_features: int, n_params: int, image_shape: tuple[int, int, int] | None
) -> nn.Sequential:
    """Return the layer from a decoder's features to ``(n, n_features, n_params)``.

    Flat features take a linear layer, images of full size a 3×3 transposed convolution.
    """
    if image_shape is None or len(features) == 1:
        return nn.Sequential(
            nn.Linear(features[0], n_features * n_params),
            nn.Unflatten(-1, (n_features, n_params)),
        )
    out_channels = image_shape[2] * n_params
    return nn.Sequential(
        nn.ConvTranspose2d(features[0], out_channels, 3, padding=1), ImagesToRows(n_params)
    )


class Encoder(nn.Module):
    """A body and the head of a posterior family: embedded rows to q(z|x)."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x: Tensor) -> torch.distributions.Distribution:
        return self.head(self.body(x))


def features_of(body: nn.Module, example: Tensor, name: str) -> torch.Size:
    """Return the shape of one row's features, found by running two rows through the body.

    Raises
    ------
    ValueError
        When the body cannot take the batch, or does not return one tensor of two rows.
    """
    training = body.training
    try:
        with torch.no_grad():
            features = body.eval()(example)
    except (RuntimeError, TypeError, IndexError) as error:
        raise ValueError(
            f"{name} could not take a batch of shape {tuple(example.shape)}: {error}. "
            f"Check the input size of its first layer."
        ) from error
    finally:
        body.train(training)
    if not isinstance(features, Tensor) or features.ndim < 2 or len(features) != len(example):
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(
            f"{name} must return one tensor with a row of features for each row it is given; "
            f"for {len(example)} rows it returned {found}."
        )
    return features.shape[1:]
