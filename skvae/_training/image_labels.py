"""Few labels of images: networks learn them from distorted copies, in turns with spreading.

Labels are spread over a graph of nearest neighbours. Networks learn the labels of distorted copies.
Their features show other neighbours, which are near by what an image shows and not by its pixels,
so that the next spreading comes out better (Iscen et al. 2019, https://arxiv.org/abs/1904.04717).
The model itself does not find such features, because its latent variables must also tell how to
draw an image.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from skvae import networks
from skvae._random import Stream, generator
from skvae._training.spreading import neighborhood, spread_labels
from skvae._uncompiled import Adam
from skvae.initialization import materialize

N_NETWORKS, N_STEPS, N_ROUNDS = 3, 1200, 8
"""Networks, whose graphs are added; the steps of each, and how often labels are spread by them.

A group of images that has a wrong label is mended by one network and not by the next. Three err
less than one, and than one of as many steps as three.
"""

BATCH_SIZE, LEARNING_RATE, WARM_UP = 128, 5e-3, 100
"""Images of a step; the greatest rate of Adam, and the steps until it is reached."""

WIDTHS, N_DENSE, N_FEATURES = (64, 128, 128), 128, 16
"""Channels of the convolutions, of which small images have two; features of the layers after."""

SMALL, GREATEST = 16, 32
"""Sides of images: of small ones at most; and larger ones are made smaller, to bound the time."""


def small_images(images: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """Return images as rows, each side at most ``GREATEST`` pixels.

    Parameters
    ----------
    images : Tensor of shape (n, height · width · channels)
        As the encoder sees them.
    image_shape : tuple of int
        ``(height, width, channels)``.
    """
    if max(image_shape[:2]) <= GREATEST:
        return images
    height, width, _ = small_shape(image_shape)
    channels_first = images.unflatten(-1, image_shape).permute(0, 3, 1, 2)
    small = nn.functional.adaptive_avg_pool2d(channels_first, (height, width))
    return small.permute(0, 2, 3, 1).flatten(1)


def small_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the shape of the images that ``small_images`` returns."""
    height, width, channels = image_shape
    return min(height, GREATEST), min(width, GREATEST), channels


class LabelNetwork(nn.Module):
    """Convolutions, dense layers, and the logits of classes.

    Parameters
    ----------
    image_shape : tuple of int
        ``(height, width, channels)``.
    n_classes : int
    """

    def __init__(self, image_shape: tuple[int, int, int], n_classes: int) -> None:
        super().__init__()
        channels = WIDTHS[: 2 if max(image_shape[:2]) <= SMALL else 3]
        settings = networks.Hidden(normalization="batch")
        self.distortion = networks.Distortion(image_shape)
        self.body = networks.conv_encoder(image_shape, channels, (N_DENSE,), settings)
        self.features = nn.Linear(N_DENSE, N_FEATURES)
        self.classes = nn.Linear(N_FEATURES, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return features; in training, of distorted images."""
        return self.features(self.body(self.distortion(images)))


def guess_image_labels(
    images: Tensor,
    image_shape: tuple[int, int, int],
    label: np.ndarray,
    n_classes: int,
    graph: csr_array,
    seed: int,
) -> np.ndarray:
    """Return a label for each image, by the labels that some of them have.

    Parameters
    ----------
    images : Tensor of shape (n, height · width · channels)
        As rows, on the device on which the network is to be trained.
    image_shape : tuple of int
        ``(height, width, channels)``.
    label : ndarray of shape (n,)
        Numbers of classes; NaN: unknown.
    n_classes : int
    graph : csr_array of shape (n, n)
        Neighbours among the images as they came.
    seed : int

    Returns
    -------
    guess : ndarray of shape (n,)
        As ``label``; NaN where no short path leads to a known one.
    """
    learners = [_Learner(image_shape, n_classes, seed, i, images) for i in range(N_NETWORKS)]
    guess = spread_labels(graph, label, n_classes)
    for _ in range(N_ROUNDS):
        places = np.flatnonzero(~np.isnan(guess))
        told = images.new_tensor(places, dtype=torch.int64)
        classes = images.new_tensor(guess[places], dtype=torch.int64)
        for _ in range(N_STEPS // N_ROUNDS):
            for learner in learners:
                learner.step(told, classes)
        guess = _spread(learners, graph, label, n_classes)
    return guess


def _spread(
    learners: list[_Learner], graph: csr_array, label: np.ndarray, n_classes: int
) -> np.ndarray:
    """Return a label for each image, by its neighbours in the graph and among all features."""
    for learner in learners:
        graph = graph + neighborhood(learner.features())
    return spread_labels(graph, label, n_classes)


class _Learner:
    """A network that learns labels of some images, its optimiser, and what it draws."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        n_classes: int,
        seed: int,
        number: int,
        images: Tensor,
    ) -> None:
        weights = generator(seed, Stream.LABELS, 2 * number)
        build = partial(LabelNetwork, image_shape, n_classes)
        self.images = images
        self.network = materialize(build, weights, _draw_small_weights).to(images.device)
        self.draws = generator(seed, Stream.LABELS, 2 * number + 1, images.device)
        self.network.distortion.generator = self.draws
        self.optimizer = Adam(self.network.parameters(), LEARNING_RATE)
        self.rate = torch.optim.lr_scheduler.LambdaLR(self.optimizer, _factor)

    def step(self, told: Tensor, classes: Tensor) -> None:
        """Take a step of the optimiser, by some of the images that have these classes."""
        device = self.images.device
        some = torch.randint(len(told), (BATCH_SIZE,), generator=self.draws, device=device)
        logits = self.network.classes(self.network(self.images[told[some]]))
        loss = nn.functional.cross_entropy(logits, classes[some])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.rate.step()

    def features(self) -> np.ndarray:
        """Return the features of all images."""
        self.network.eval()
        with torch.no_grad():
            found = torch.cat([self.network(some) for some in self.images.split(8 * BATCH_SIZE)])
        self.network.train()
        return found.cpu().numpy()


def _draw_small_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw weights and biases as torch does, uniform in ``±1 / √n_in``.

    Behind a normalisation, the size of weights decides how much a step changes them. With He's,
    which are larger by √6, the network learns wrong labels before its features can mend them.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            bound = layer.weight[0].numel() ** -0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)


def _factor(step: int) -> float:
    """Return the factor of the learning rate, which rises at first and then falls to 0."""
    return min(1.0, (step + 1) / WARM_UP) * (1 + math.cos(math.pi * step / N_STEPS)) / 2
