"""Networks: bodies of encoders and decoders, and the heads that complete them.

A body maps a batch to features; a head turns features into parameters. Your own modules take the
place of the built-in bodies. An image in a row has its channels last, in row-major order, so that
the view ``(n, height, width, channels)``, permuted, has torch's format ``channels_last`` without a
copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from skvae import functional

__all__ = [
    "ACTIVATIONS",
    "CONV_BLOCKS",
    "NORMALIZATIONS",
    "Distortion",
    "Dropout",
    "Encoder",
    "Hidden",
    "LinearPath",
    "conv_decoder",
    "conv_encoder",
    "dense",
    "features_of",
    "parameter_head",
]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    # a ⊙ σ(b) of a map with twice the outputs (Dauphin et al. 2017, arXiv:1612.08083)
    "gated": partial(nn.GLU, dim=1),
}
"""Activation functions by name."""


LEVELS = 2**16
"""Of sixteen random bits; the fraction that is kept on the CPU is so many parts of one."""


def kept_of(features: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Return 0 with probability ``p`` for each number, else what keeps the mean.

    On the CPU, where the draws are what costs, four decisions are made of one draw of 64 bits.
    """
    kept = torch.empty_like(features)
    if not features.is_cpu:
        return kept.bernoulli_(1 - p, generator=generator).div_(1 - p)
    n, n_kept = features.numel(), max(1, round((1 - p) * LEVELS))
    words = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    levels = words.view(torch.int16)[:n].view(features.shape)
    return torch.le(levels, n_kept - LEVELS // 2 - 1, out=kept).mul_(LEVELS / n_kept)


class Dropout(nn.Module):
    """Set a fraction ``p`` of the features to zero in training (Srivastava et al. 2014).

    Unlike ``torch.nn.Dropout``, it does not use torch's global generator. The noise comes from
    ``generator``, which training sets in every epoch. See
    https://jmlr.org/papers/v15/srivastava14a.html.

    Parameters
    ----------
    p : float
        Probability of setting a feature to zero, between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import Dropout
    >>> dropout = Dropout(0.5)
    >>> dropout.generator = torch.Generator().manual_seed(0)
    >>> dropout(torch.ones(1000)).unique()  # what is left grows, so that the mean stays
    tensor([0., 2.])
    """

    generator: torch.Generator | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, with some set to zero in training.

        Parameters
        ----------
        features : Tensor of any shape
            Features. For each number it is decided separately whether it is kept.

        Returns
        -------
        features : Tensor of that shape
            Features that are kept are divided by ``1 − p``. On the CPU, p is rounded to a multiple
            of 1/65,536.
        """
        if not self.training:
            return features
        return features * self.kept(features)

    def kept(self, features: Tensor) -> Tensor:
        """Draw the factors by which the features are multiplied.

        Parameters
        ----------
        features : Tensor of any shape
            Features. Only their number and their memory layout are used.

        Returns
        -------
        kept : Tensor of that shape
            0, or the factor that keeps the mean.
        """
        return kept_of(features, self.p, self.generator)


class Distortion(nn.Module):
    """Distort images at random in training, so that their class stays what it is.

    Each image is turned, sheared, stretched and moved a little, its contrast is changed, and noise
    is added. A classifier that gives an image and its distorted copies the same class needs fewer
    labels (Sohn et al. 2020, FixMatch, https://arxiv.org/abs/2001.07685).

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)`` of a row.

    Notes
    -----
    As in :class:`Dropout`, the random numbers come from ``generator``, which training sets in every
    epoch. What comes into an image from beyond its border is 0. The strengths were chosen for
    images of digits: see benchmarks/few_labels.py.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import Distortion
    >>> distortion = Distortion((8, 8, 1))
    >>> distortion.generator = torch.Generator().manual_seed(0)
    >>> distortion(torch.rand(5, 64)).shape
    torch.Size([5, 64])
    """

    MAP, CONTRAST, NOISE = 0.15, 0.3, 0.25
    """Standard deviations: of the entries of the linear map and of the shift, both with the image
    as [−1, 1]²; of the factor of the contrast; of the noise, in those of the image's pixels."""

    generator: torch.Generator | None = None

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, x: Tensor) -> Tensor:
        """Return distorted images in training, else the images.

        Parameters
        ----------
        x : Tensor of shape (n, height · width · channels)
            Images as rows.

        Returns
        -------
        x : Tensor of that shape
            Distorted images as rows.
        """
        if not self.training:
            return x
        images = x.unflatten(-1, self.image_shape).permute(0, 3, 1, 2)
        maps = torch.eye(2, 3, device=x.device) + self.MAP * self._normal(x, 2, 3)
        # In bfloat16 a pixel's place would be off by a part of a pixel.
        with torch.autocast(x.device.type, enabled=False):
            grid = nn.functional.affine_grid(maps.to(x.dtype), images.shape, align_corners=False)
            images = nn.functional.grid_sample(images, grid, align_corners=False)
        pixels = images.permute(0, 2, 3, 1).flatten(1)
        contrast = 1 + self.CONTRAST * self._normal(x, 1)
        spread = pixels.std(-1, correction=0, keepdim=True)
        return contrast * pixels + self.NOISE * spread * self._normal(x, pixels.shape[1])

    def _normal(self, x: Tensor, *shape: int) -> Tensor:
        """Draw standard normal numbers, of this shape for each row."""
        return torch.randn(len(x), *shape, generator=self.generator, device=x.device, dtype=x.dtype)


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation of features or images (Ioffe and Szegedy 2015).

    One row alone has no variance; it is normalised by the running statistics. See
    https://arxiv.org/abs/1502.03167.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of dimensions."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.numel() == input.shape[1]:
            # mypy cannot see that buffers are tensors here.
            mean, var = self.running_mean, self.running_var
            return nn.functional.batch_norm(input, mean, var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": BatchNorm,
    "layer": partial(nn.GroupNorm, 1),  # over all features of a row, or channels and pixels
}
"""Normalisations by name. Each is called with the number of features."""


@dataclass(frozen=True)
class Hidden:
    """The settings of hidden layers: activation, normalisation and dropout.

    Parameters
    ----------
    activation : str, default="relu"
        A name in ``ACTIVATIONS``.
    normalization : str, default=None
        A name in ``NORMALIZATIONS``. If ``None``, there is no normalisation.
    dropout : float, default=0.0
        Fraction of the features that is set to zero in training.

    Examples
    --------
    >>> from skvae.networks import Hidden
    >>> Hidden("tanh", dropout=0.1).after(32)
    [Tanh(), Dropout()]
    """

    activation: str = "relu"
    normalization: str | None = None
    dropout: float = 0.0

    @property
    def widening(self) -> int:
        """Number of outputs of the linear or convolutional map for each feature of the layer."""
        return 2 if self.activation == "gated" else 1

    def after(self, n_out: int) -> list[nn.Module]:
        """Return the normalisation, activation and dropout that follow the map of a layer.

        Parameters
        ----------
        n_out : int
            Number of features of the layer.

        Returns
        -------
        layers : list of torch.nn.Module
            Layers to be put after a map to ``n_out · widening`` numbers.

        Raises
        ------
        KeyError
            When a name is in neither table.
        """
        layers: list[nn.Module] = []
        if self.normalization is not None:
            layers.append(NORMALIZATIONS[self.normalization](n_out * self.widening))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout:
            layers.append(Dropout(self.dropout))
        return layers


def dense(sizes: Sequence[int], hidden: Hidden) -> list[nn.Module]:
    """Return linear layers of the given sizes, each with normalisation, activation and dropout.

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, and of the features of each layer.
    hidden : Hidden
        The settings of the layers.

    Returns
    -------
    layers : list of torch.nn.Module
        Layers that map ``(n, sizes[0])`` to ``(n, sizes[-1])``.

    Examples
    --------
    >>> from skvae.networks import Hidden, dense
    >>> dense([4, 32, 16], Hidden("tanh"))[::2]
    [Linear(in_features=4, out_features=32, bias=True), Linear(in_features=32, ...)]
    """
    return [
        layer
        for n_in, n_out in pairwise(sizes)
        for layer in (nn.Linear(n_in, n_out * hidden.widening), *hidden.after(n_out))
    ]


class LinearPath(nn.Module):
    """A body with a linear path: it returns its input and its features, side by side.

    The next layer then computes a linear function of the input plus a linear function of the
    features. So it can be set to the best linear model, from which training starts.

    Parameters
    ----------
    body : torch.nn.Module
        Maps ``(n, n_in)`` to features ``(n, n_out)``.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import LinearPath
    >>> LinearPath(torch.nn.Linear(4, 16))(torch.zeros(3, 4)).shape
    torch.Size([3, 20])
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, followed by the features of the body.

        Parameters
        ----------
        x : Tensor of shape (n, n_in)
            Rows or points z.

        Returns
        -------
        features : Tensor of shape (n, n_in + n_out)
            Input and features, side by side.
        """
        return torch.cat([x, self.body(x)], -1)


class Conv2d(nn.Conv2d):
    """torch's layer, right in bfloat16 for narrow images too; see :func:`functional.conv2d`."""

    def forward(self, input: Tensor) -> Tensor:
        assert self.bias is not None
        geometry: Any = self.stride, self.padding
        return functional.conv2d(input, self.weight, self.bias, *geometry)


class ConvTranspose2d(nn.ConvTranspose2d):
    """torch's layer, with a cheaper backward pass; see :func:`functional.conv_transpose2d`."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert self.bias is not None
        geometry: Any = self.stride, self.padding, self.output_padding
        return functional.conv_transpose2d(input, self.weight, self.bias, *geometry)


class Beside(nn.Module):
    """A body of the first columns; the others stand beside its features as they are.

    So what pixels are given reaches the dense layers behind their convolutions.
    """

    def __init__(self, body: nn.Module, n_beside: int) -> None:
        super().__init__()
        self.body, self.n_beside = body, n_beside

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.body(x[:, : -self.n_beside]), x[:, -self.n_beside :]], -1)


class ResidualBlock(nn.Module):
    """``x + conv(h(conv(x)))`` with 3×3 convolutions at constant size (He et al. 2016).

    h is what follows every hidden layer. See https://arxiv.org/abs/1603.05027.
    """

    def __init__(self, channels: int, hidden: Hidden) -> None:
        super().__init__()
        wide = channels * hidden.widening
        self.body = nn.Sequential(
            Conv2d(channels, wide, 3, padding=1),
            *hidden.after(channels),
            Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


CONV_BLOCKS: dict[str, Callable[[int, Hidden], list[nn.Module]]] = {
    "plain": lambda channels, hidden: [],
    "residual": lambda channels, hidden: [ResidualBlock(channels, hidden)],
}
"""The layers that follow each change of resolution, by name."""


class RowsToImages(nn.Module):
    """View rows ``(n, H·W·C)`` as images ``(n, C, H, W)`` in channels-last memory."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, self.image_shape).permute(0, 3, 1, 2)


class ImagesToRows(nn.Module):
    """View images ``(n, C, H, W)`` in channels-last memory as rows ``(n, H·W·C)``."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


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
    hidden: Hidden,
    conv_block: str = "plain",
    n_context: int = 0,
) -> nn.Sequential:
    """Return a body of 3×3 stride-2 convolutions and dense layers, from rows to features.

    It uses strides instead of pooling, as in Radford, Metz and Chintala 2016
    (https://arxiv.org/abs/1511.06434).

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)`` of a row.
    conv_channels : sequence of int
        Number of channels of each convolution. Each halves height and width, rounded up.
    hidden_layer_sizes : sequence of int
        Sizes of the dense layers after the convolutions.
    hidden : Hidden
        The settings of the layers.
    conv_block : {"plain", "residual"}, default="plain"
        A name in ``CONV_BLOCKS``.
    n_context : int, default=0
        Number of columns after the pixels. The dense layers see them, the convolutions do not.

    Returns
    -------
    body : torch.nn.Sequential
        A network from ``(n, height·width·channels + n_context)`` to ``(n, n_out)``.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import Hidden, conv_encoder
    >>> body = conv_encoder((8, 8, 1), (16, 32), (64,), Hidden())
    >>> body(torch.zeros(5, 64)).shape
    torch.Size([5, 64])
    """
    convolutions = [
        layer
        for n_in, n_out in pairwise([image_shape[2], *conv_channels])
        for layer in (
            Conv2d(n_in, n_out * hidden.widening, 3, stride=2, padding=1),
            *hidden.after(n_out),
            *CONV_BLOCKS[conv_block](n_out, hidden),
        )
    ]
    height, width = downsampled(image_shape, len(conv_channels))[-1]
    flat = height * width * [image_shape[2], *conv_channels][-1]
    of_pixels = RowsToImages(image_shape), *convolutions, ImagesToRows()
    seen = [Beside(nn.Sequential(*of_pixels), n_context)] if n_context else of_pixels
    return nn.Sequential(*seen, *dense([flat + n_context, *hidden_layer_sizes], hidden))


def conv_decoder(
    image_shape: tuple[int, int, int],
    conv_channels: Sequence[int],
    latent_dim: int,
    hidden: Hidden,
    conv_block: str = "plain",
) -> nn.Sequential:
    """Return a body of a dense layer and stride-2 transposed convolutions, from z to features.

    The features are images of full size with ``conv_channels[0]`` channels.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)`` of a row.
    conv_channels : sequence of int
        The ``conv_channels`` of the encoder. They are used from the last to the first.
    latent_dim : int
        Dimension of z.
    hidden : Hidden
        The settings of the layers.
    conv_block : {"plain", "residual"}, default="plain"
        A name in ``CONV_BLOCKS``.

    Returns
    -------
    body : torch.nn.Sequential
        A network from ``(n, latent_dim)`` to ``(n, conv_channels[0], height, width)``.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import Hidden, conv_decoder
    >>> body = conv_decoder((7, 5, 1), (16, 32), 2, Hidden())
    >>> body(torch.zeros(3, 2)).shape
    torch.Size([3, 16, 7, 5])
    """
    *sizes, deepest = downsampled(image_shape, len(conv_channels))
    first = conv_channels[-1]
    layers: list[nn.Module] = [
        *dense([latent_dim, first * deepest[0] * deepest[1]], hidden),
        RowsToImages((*deepest, first)),
    ]
    channels = [first, *reversed(conv_channels)]
    for (n_in, n_out), size in zip(pairwise(channels), reversed(sizes), strict=True):
        # (s + 1) // 2 pixels become s again: 2·((s + 1) // 2) − 1, and one more when s is even.
        even = (1 - size[0] % 2, 1 - size[1] % 2)
        wide = n_out * hidden.widening
        layers += [
            *CONV_BLOCKS[conv_block](n_in, hidden),
            ConvTranspose2d(n_in, wide, 3, stride=2, padding=1, output_padding=even),
            *hidden.after(n_out),
        ]
    return nn.Sequential(*layers)


def parameter_head(
    features: torch.Size, n_features: int, n_params: int, image_shape: tuple[int, int, int] | None
) -> nn.Sequential:
    """Return the layer from a decoder's features to ``(n, n_features, n_params)``.

    It is a linear layer for flat features, and a 3×3 transposed convolution for images.

    Parameters
    ----------
    features : torch.Size
        Shape of one row's features: ``(n_out,)`` or ``(n_channels, height, width)``.
    n_features : int
        Number of columns of X.
    n_params : int
        Number of parameters of the likelihood for each feature.
    image_shape : tuple of int or None
        ``(height, width, channels)`` of a row that is an image. ``None`` for tables.

    Returns
    -------
    head : torch.nn.Sequential
        A network from ``(n, *features)`` to ``(n, n_features, n_params)``.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import parameter_head
    >>> head = parameter_head(torch.Size([16]), n_features=4, n_params=2, image_shape=None)
    >>> head(torch.zeros(3, 16)).shape
    torch.Size([3, 4, 2])
    """
    if image_shape is None or len(features) == 1:
        return nn.Sequential(
            nn.Linear(features[0], n_features * n_params),
            nn.Unflatten(-1, (n_features, n_params)),
        )
    out_channels = image_shape[2] * n_params
    return nn.Sequential(
        ConvTranspose2d(features[0], out_channels, 3, padding=1),
        ImagesToRows(),
        nn.Unflatten(-1, (n_features, n_params)),
    )


class Encoder(nn.Module):
    """A body and the head of a posterior family, from embedded rows to q(z|x).

    Parameters
    ----------
    body : torch.nn.Module
        Maps embedded rows ``(n, n_embedded)`` to features ``(n, n_out)``.
    head : torch.nn.Module
        Maps features to q(z|x); see :class:`skvae.posteriors.Posterior`.
    sees_context : bool, default=False
        Whether the body takes the context of a row, appended to the row.
    sees_missing : bool, default=False
        Whether an embedded row is followed by columns that are 1 for missing values, else 0.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import Encoder
    >>> from skvae.posteriors import DiagonalNormal
    >>> head = DiagonalNormal()
    >>> head.initialize(n_in=4, latent_dim=2, generator=torch.Generator().manual_seed(0))
    >>> Encoder(torch.nn.Tanh(), head)(torch.zeros(3, 4)).mean.shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        body: nn.Module,
        head: nn.Module,
        sees_context: bool = False,
        sees_missing: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.sees_context = sees_context
        self.sees_missing = sees_missing

    def forward(self, x: Tensor, context: Tensor | None = None) -> torch.distributions.Distribution:
        """Return q(z|x).

        Parameters
        ----------
        x : Tensor of shape (n, n_embedded)
            Rows as the likelihood embeds them.
        context : Tensor of shape (n, n_context), default=None
            The context of these rows.

        Returns
        -------
        posterior : torch.distributions.Distribution
            A distribution with batch shape ``(n,)`` and event shape ``(latent_dim,)``.
        """
        if context is not None:
            x = torch.cat([x, context], -1)
        return self.head(self.body(x))


def features_of(body: nn.Module, example: Tensor, name: str) -> torch.Size:
    """Return the shape of the features of one row, by running some rows through the body.

    Parameters
    ----------
    body : torch.nn.Module
        The body. Its mode (training or not) is not changed.
    example : Tensor of shape (n, ...)
        Embedded rows for an encoder, or points z for a decoder.
    name : str
        Name of the parameter that holds the body, for the error message.

    Returns
    -------
    shape : torch.Size
        The shape without the batch dimension.

    Raises
    ------
    ValueError
        When the body cannot take the batch, or does not return one tensor of as many rows.

    Examples
    --------
    >>> import torch
    >>> from skvae.networks import features_of
    >>> features_of(torch.nn.Linear(4, 16), torch.zeros(2, 4), "encoder")
    torch.Size([16])
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
