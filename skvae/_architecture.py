"""The architecture: the parameters that decide which state a model has, and the way to it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from skvae import networks
from skvae._linear_start import start_linear
from skvae._numbers import is_number
from skvae.initialization import draw_bends, materialize
from skvae.likelihoods import LIKELIHOODS
from skvae.likelihoods._base import method_of
from skvae.model import VAE
from skvae.networks import Hidden
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS, ClassMixture


def part(value: Any, registry: Mapping[str, Callable[..., Any]]) -> Any:
    """Return a fresh part: made from its name, or a copy of the user's object."""
    return registry[value]() if isinstance(value, str) else copy.deepcopy(value)


def settled(value: Any, registry: Mapping[str, Callable[..., Any]]) -> Any:
    """Return a part as an object whose parameters nobody else can set.

    One that has no parameters is the same only as itself, and stays itself.
    """
    return (
        part(value, registry) if isinstance(value, str) or hasattr(value, "get_params") else value
    )


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


DROPOUT = 0.1
IMAGE_LAYERS = (128,)
NARROW, WIDE = 32, 256


def default_layers(n_rows: int, n_features: int, linear_path: bool) -> tuple[int, ...]:
    """Return the dense layers of a table that ``hidden_layer_sizes=None`` stands for.

    Measured in benchmarks/real_tables.py and benchmarks/defaults.py: wide layers overfit tables
    of a few hundred rows by tens of nats, narrow ones underfit thousands of digits. Beside a
    linear path it is the rows for each column that count, because columns that vary together
    are its business; without one the layers have to learn these from the rows, too.
    """
    if linear_path:
        return (_between(4 * n_rows / n_features),)
    width = _between(NARROW * (n_rows / 512) ** 1.66)
    return (width,) if width == NARROW else (width, max(width // 2, NARROW))


def _between(width: float) -> int:
    return int(min(max(width, NARROW), WIDE))


@dataclass(frozen=True, eq=False)
class Architecture:
    """The parameters that decide the shape of a model, with every default filled in.

    Parts are objects, no names, and templates: models are made of copies.
    """

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
    linear_path: bool = False
    n_context: int = 0
    encoder_sees_context: bool = False
    encoder_sees_missing: bool = False
    given: tuple[float, ...] | None = None
    """The context that is bound: then all rows have it."""

    @classmethod
    def of(
        cls,
        params: Mapping[str, Any],
        n_features: int,
        n_rows: int,
        has_missing: bool = False,
        **context: Any,
    ) -> Any:
        """Return the architecture that an estimator's parameters ask for.

        Parameters
        ----------
        params : mapping
            The estimator's parameters; others in it are not looked at.
        n_features, n_rows : int
            Columns and rows of X.
        has_missing : bool, default=False
            Whether X has missing values: our encoder of tables is then told which.
        **context
            ``n_context``, ``encoder_sees_context`` and ``given``, where rows have a context.
        """
        resolved = {
            "n_features": n_features,
            "n_components": int(params["n_components"]),
            "image_shape": resolve_image_shape(params["image_shape"], n_features),
            "conv_channels": _sizes(params["conv_channels"], "conv_channels", least=1),
            "encoder": params["encoder"],
            "decoder": params["decoder"],
            "likelihood": settled(params["likelihood"], LIKELIHOODS),
            "prior": settled(params["prior"], PRIORS),
            "posterior_family": settled(params["posterior_family"], POSTERIORS),
        }
        is_ours = resolved["image_shape"] is None and resolved["encoder"] is None
        resolved["encoder_sees_missing"] = has_missing and is_ours
        resolved["linear_path"] = linear_path = _has_linear_path(params["linear_path"], resolved)
        sizes, dropout = params["hidden_layer_sizes"], params["dropout"]
        if sizes is None:
            is_table = resolved["image_shape"] is None
            sizes = default_layers(n_rows, n_features, linear_path) if is_table else IMAGE_LAYERS
        resolved["hidden_layer_sizes"] = _sizes(sizes, "hidden_layer_sizes", least=0)
        resolved["dropout"] = DROPOUT * linear_path if dropout == "auto" else float(dropout)
        as_given = ("conv_block", "activation", "normalization")
        return cls(**resolved, **{name: params[name] for name in as_given}, **context)

    def params(self) -> dict[str, Any]:
        """Return the fields by name: the inverse of the constructor."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def differences(self, other: Architecture) -> list[str]:
        """Return the names of the fields in which two architectures differ."""
        theirs = other.params()
        return [name for name, value in self.params().items() if not same(value, theirs[name])]

    @property
    def hidden(self) -> Hidden:
        """What follows the map of every hidden layer."""
        return Hidden(self.activation, self.normalization, self.dropout)

    def build(
        self,
        loc: torch.Tensor,
        scale: torch.Tensor,
        x: torch.Tensor,
        generator: torch.Generator,
        columns: Any = None,
        context: torch.Tensor | None = None,
    ) -> VAE:
        """Build the model, weights drawn from ``generator``.

        The likelihood sees location and scale of the training columns and, in a fit, what else is
        known of them; the prior some of the rows, with their context.
        """
        likelihood = copy.deepcopy(self.likelihood)
        likelihood.initialize(loc, scale)
        if columns is not None:
            method_of(likelihood, "observe")(columns)
            # Of what lies beyond the support the embedding may not be finite.
            method_of(likelihood, "check")(x)
        prior = copy.deepcopy(self.prior)
        sees_context = getattr(prior, "sees_context", False)
        prior.initialize(self.n_components, *([self.n_context] if sees_context else []))
        embedded = likelihood.embed(x)
        if self.image_shape is not None and embedded.shape[1] != x.shape[1]:
            raise ValueError(
                f"likelihood={likelihood!r} turns rows of {x.shape[1]} values into "
                f"{embedded.shape[1]} for the encoder, which are not images of image_shape="
                f"{self.image_shape}. Set image_shape=None, or another likelihood."
            )
        encoder = self._encoder(embedded.shape[1], generator)
        decoder = self._decoder(likelihood.n_params, generator)
        parts = prior, encoder, decoder, likelihood
        vae = VAE(*parts, self.n_components, self.n_features, self._distortion())
        if hasattr(prior, "connect"):
            seen = [vae.embedded(x), *vae.told(encoder, context)]
            prior.connect(encoder, torch.cat(seen, -1), generator)
        if self.linear_path and _starts_linear(likelihood, encoder.head):
            start_linear(vae, embedded, context)
        return vae if self.given is None else vae.given(torch.tensor(self.given))

    def blank(self) -> VAE:
        """Build a model whose numbers will be replaced: by arrays of a file, or of another."""
        zeros = torch.zeros(1, self.n_features).double()
        context = torch.zeros(1, self.n_context) if self.n_context else None
        moments = zeros[0], torch.ones_like(zeros[0])
        return self.build(*moments, zeros, torch.Generator(), context=context)

    def _distortion(self) -> nn.Module | None:
        """Return what distorts images that have a class."""
        if self.image_shape is None or not isinstance(self.prior, ClassMixture):
            return None
        return networks.Distortion(self.image_shape)

    def _encoder(self, n_in: int, generator: torch.Generator) -> nn.Module:
        is_told_images = self.encoder_sees_context and self.image_shape is not None
        if is_told_images and self.encoder is not None:
            raise ValueError(
                f"encoder={type(self.encoder).__name__} gets only images of "
                f"image_shape={self.image_shape}, but it would also need the columns of "
                "condition=. Leave encoder=None, or set condition='y', which only the prior and "
                "the decoder see."
            )
        n_in += self.n_features * self.encoder_sees_missing
        n_in += self.n_context * self.encoder_sees_context
        body = self._encoder_body(n_in, generator)
        features = networks.features_of(body, torch.zeros(2, n_in), "encoder")
        if len(features) != 1:
            raise ValueError(
                "encoder must return features of shape (n, n_out), got "
                f"(n, {', '.join(map(str, features))}). End it with a torch.nn.Flatten()."
            )
        head = copy.deepcopy(self.posterior_family)
        head.initialize(features[0], self.n_components, generator)
        return networks.Encoder(body, head, self.encoder_sees_context, self.encoder_sees_missing)

    def _encoder_body(self, n_in: int, generator: torch.Generator) -> nn.Module:
        """Return the encoder's body: the user's, a convolutional or a dense one."""
        image_shape = self.image_shape
        if self.encoder is not None:
            view = [] if image_shape is None else [networks.RowsToImages(image_shape)]
            return nn.Sequential(*view, copy.deepcopy(self.encoder))
        if image_shape is not None:
            sizes = self.conv_channels, self.hidden_layer_sizes
            n_context = self.n_context * self.encoder_sees_context
            return materialize(
                lambda: networks.conv_encoder(
                    image_shape, *sizes, self.hidden, self.conv_block, n_context
                ),
                generator,
            )
        return self._dense([n_in, *self.hidden_layer_sizes], generator)

    def _dense(self, widths: Sequence[int], generator: torch.Generator) -> nn.Module:
        """Return dense layers, with a linear path beside them where there is to be one."""
        body: nn.Module = materialize(
            lambda: nn.Sequential(*networks.dense(widths, self.hidden)),
            generator,
            draw_bends if self.linear_path else None,
        )
        return networks.LinearPath(body) if self.linear_path and len(widths) > 1 else body

    def _decoder(self, n_params: int, generator: torch.Generator) -> nn.Module:
        n_in = self.n_components + self.n_context
        body = self._decoder_body(n_in, generator)
        features = networks.features_of(body, torch.zeros(2, n_in), "decoder")
        image_shape = self.image_shape
        is_image = image_shape is not None and features[1:] == image_shape[:2]
        if len(features) != 1 and not is_image:
            images = (
                ""
                if image_shape is None
                else f" or (n, channels, {image_shape[0]}, {image_shape[1]})"
            )
            raise ValueError(
                f"decoder must return features of shape (n, n_out){images}, "
                f"got (n, {', '.join(map(str, features))}). The layer from there to X is added."
            )
        head = materialize(
            lambda: networks.parameter_head(features, self.n_features, n_params, image_shape),
            generator,
        )
        return nn.Sequential(body, head)

    def _decoder_body(self, n_in: int, generator: torch.Generator) -> nn.Module:
        """Return the decoder's body: the user's, a convolutional or a dense one."""
        image_shape = self.image_shape
        if self.decoder is not None:
            return copy.deepcopy(self.decoder)
        if image_shape is not None:
            return materialize(
                lambda: networks.conv_decoder(
                    image_shape, self.conv_channels, n_in, self.hidden, self.conv_block
                ),
                generator,
            )
        return self._dense([n_in, *reversed(self.hidden_layer_sizes)], generator)


def _has_linear_path(asked: bool | str, resolved: Mapping[str, Any]) -> bool:
    """Return whether the networks are ours for tables, and are to have a linear path."""
    is_ours = all(resolved[name] is None for name in ("image_shape", "encoder", "decoder"))
    return is_ours and (_starts_linear(resolved["likelihood"]) if asked == "auto" else bool(asked))


def _starts_linear(*parts: Any) -> bool:
    """Return whether training can start at a linear model with these parts, maybe foreign."""
    return all(getattr(part, "starts_linear", False) for part in parts)


def resolve_image_shape(image_shape: Sequence[int] | None, n_features: int) -> Any:
    """Return ``(height, width, channels)``, the −1 filled in, or ``None`` for tables."""
    if image_shape is None:
        return None
    shape = tuple(image_shape)
    if (
        not all(is_number(side, int) for side in shape)
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
    if len(sizes) < least or not all(is_number(n, int) and n > 0 for n in sizes):
        raise ValueError(
            f"{name}={value!r} must hold positive whole numbers, at least {least} of them."
        )
    return tuple(int(n) for n in sizes)
