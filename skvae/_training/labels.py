"""Few labels: spread over the rows that have none, in turns with training.

After a first part of training without labels, those of some rows are spread over a graph of nearest
neighbours, where each other row has the mean of its neighbours (Zhu, Ghahramani and Lafferty 2003,
https://www.aaai.org/Papers/ICML/2003/ICML03-118.pdf), and taken for the rows' own in training. This
moves the classes apart in the latent space, so that the next spreading comes out better (Iscen et
al. 2019, https://arxiv.org/abs/1904.04717). Neighbours are those in the latent space and those
among the rows as they came: both together were better than one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from skorch.callbacks import Callback
from torch import Tensor

from skvae._data import Rows, hash_all
from skvae._random import Stream, generator
from skvae._training.image_labels import guess_image_labels, small_images, small_shape
from skvae._training.spreading import neighborhood, spread_labels
from skvae._world import world
from skvae.model import Batch

WITHOUT_LABELS = 1 / 3
"""The share of training that comes before the first spreading."""

N_ROUNDS = 6
"""How often labels are spread."""

LABELLED_SHARE = 1 / 8
"""Rows that have a label are repeated until they make up this share."""

MAX_ROWS = 2**16
"""So many rows without a label are guessed at most, by as many that have one."""

N_AXES, COMPARED_ROWS = 50, 5000
"""The principal axes in which rows are compared, and the rows that these are found by."""

FITTED_ROWS, ROWS_PER_GAUSSIAN = 4000, 10
"""The rows of a class that place its Gaussians: at most, and at least for each of them."""


def repeat_labelled(rows: Rows) -> Rows:
    """Return rows among which those that have a label are no rarity.

    Else most batches would hold none of them.
    """
    if rows.label is None:
        return rows
    known = ~np.isnan(rows.labels())
    counts = world().parts((np.count_nonzero(known), np.count_nonzero(~known)))
    n_known, n_unknown = map(sum, zip(*counts, strict=True))
    wanted = LABELLED_SHARE * n_unknown / n_known
    repeats = np.where(known, max(1, round(wanted)), 1)
    return rows.subset(np.repeat(np.arange(len(rows)), repeats))


def place_classes(prior: Any, Z: np.ndarray, label: np.ndarray, seed: int) -> None:
    """Put the Gaussians of each class where its points are.

    Parameters
    ----------
    prior : ClassMixture
        Whose Gaussians they are.
    Z : ndarray of shape (n, latent_dim)
        Draws of z.
    label : ndarray of shape (n,)
        The numbers of their classes; NaN: unknown.
    seed : int
        Decides where the search for them starts.
    """
    n_classes, m, latent_dim = prior.loc.shape
    weights = np.full((n_classes, m), 1 / m)
    loc, scale = np.zeros((n_classes, m, latent_dim)), np.ones((n_classes, m, latent_dim))
    for y in range(n_classes):
        members = Z[label == y]
        weights[y] *= max(len(members), 1)
        if not len(members):
            continue
        some = _some(members, FITTED_ROWS)
        if len(some) < 2 * ROWS_PER_GAUSSIAN:
            # A few points give a place, and next to no width.
            loc[y] = some.mean(0)
            continue
        n = min(m, len(some) // ROWS_PER_GAUSSIAN)
        mixture = GaussianMixture(n, covariance_type="diag", reg_covar=1e-3, random_state=seed)
        mixture.fit(some)
        # Fewer Gaussians than there is room for stand there several times.
        chosen = np.arange(m) % n
        share = mixture.weights_[chosen] / np.bincount(chosen, minlength=n)[chosen]
        weights[y] *= m * np.maximum(share, 1e-3)
        loc[y], scale[y] = mixture.means_[chosen], np.sqrt(mixture.covariances_[chosen])
    prior.place(*(torch.as_tensor(a) for a in (weights / weights.sum(), loc, scale)))


def _some(values: np.ndarray, n: int) -> np.ndarray:
    """Return at most so many of some values, evenly spread."""
    return values[np.linspace(0, len(values) - 1, min(len(values), n)).astype(int)]


class GuessLabels(Callback):
    """Spread the labels of rows that have one over the others, in some epochs.

    Idle where rows have no labels at all.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Plan the epochs, and choose the rows: each that is there once, be it repeated or not."""
        self.epochs_: set[int] = set()
        self.labels_: Any
        self.copies_: Any
        self.chosen_: Any
        if getattr(X, "label", None) is None:
            return
        _, once, self.copies_ = np.unique(hash_all(X), return_index=True, return_inverse=True)
        self.labels_ = X.labels()[once]
        known = ~np.isnan(self.labels_)
        first = WITHOUT_LABELS * net.max_epochs
        # Those of images are guessed once, by networks that do not need the model.
        is_once = net.module_.distortion is not None or all(world().parts(known.all()))
        n_rounds = 1 if is_once else N_ROUNDS
        rounds = np.linspace(first, net.max_epochs, n_rounds, endpoint=False)
        self.epochs_ = {len(net.history) + int(epoch) for epoch in rounds}
        each = [np.flatnonzero(known), np.flatnonzero(~known)]
        some = [_some(every, world().n_of(MAX_ROWS, len(every))) for every in each]
        self.chosen_ = np.sort(np.concatenate(some))
        self.rows_ = X.subset(once[self.chosen_])
        self.graph_: csr_array | None = None
        self.n_classes_ = net.module_.prior.n_classes

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Guess, where it is time to, and tell the rows; and at first the prior."""
        if len(net.history) - 1 not in self.epochs_:
            return
        loc, draw = self._encoded(net)
        guess = world().joined(self.rows_.labels())
        if np.isnan(guess).any() and len(guess) > 1:
            if self.graph_ is None:
                self.graph_ = neighborhood(self._principal_components(net))
            guess = self._spread(net, self.graph_, loc, guess)
        if not net.module_.prior.is_placed:
            place_classes(net.module_.prior, draw, guess, self.seed)
        # Processes of other processors may have come to another guess.
        guess = world().same(guess)
        world().same_weights(net.module_.prior)
        ends = np.cumsum(world().parts(len(self.rows_)))
        labels = self.labels_.copy()
        labels[self.chosen_] = np.split(guess, ends)[world().place]
        dataset_train.set_labels(labels[self.copies_])

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Keep the guesses, and let the rows go."""
        self.rows_ = self.graph_ = self.labels_ = self.copies_ = self.chosen_ = None

    def _spread(self, net: Any, graph: csr_array, loc: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Return a label for each row; ``graph`` is that of the rows as they came."""
        distortion = net.module_.distortion
        if distortion is None:
            return spread_labels(graph + neighborhood(loc), label, self.n_classes_)
        shape = distortion.image_shape

        def pixels(batch: Batch) -> np.ndarray:
            return small_images(net.module_.embedded(batch.x).float(), shape).cpu().numpy()

        with torch.no_grad():
            batches = self.rows_.batches(net.batch_size * 8, net.device)
            mine = np.concatenate([pixels(batch) for _, batch in batches])
        images = torch.as_tensor(world().joined(mine), device=net.device)
        return guess_image_labels(
            images, small_shape(shape), label, self.n_classes_, graph, self.seed
        )

    def _encoded(self, net: Any) -> tuple[np.ndarray, ...]:
        """Return the means of q(z|x), and a draw from each, for the rows of all processes."""
        module, training = net.module_, net.module_.training
        noise = generator(self.seed, Stream.LABELS, len(net.history), rank=world().place)
        module.train(False)
        every: list[tuple[Tensor, ...]] = []
        with torch.no_grad():
            for _, batch in self.rows_.batches(net.batch_size * 8, net.device):
                posterior = module.posterior(batch.x, batch.context)
                z = torch.randn((1, *posterior.mean.shape), generator=noise)
                z = posterior.reparameterize(z.to(posterior.mean.device))[0]
                every.append((posterior.mean.cpu(), z.cpu()))
        module.train(training)
        return tuple(world().joined(torch.cat(p).numpy()) for p in zip(*every, strict=True))

    def _principal_components(self, net: Any) -> np.ndarray:
        """Return rows as the encoder sees them, in fewer columns with about the same distances."""

        def embedded(batch: Batch) -> np.ndarray:
            with torch.no_grad():
                return net.module_.embedded(batch.x).cpu().numpy()

        n_some = world().n_of(COMPARED_ROWS, len(self.rows_))
        some = world().joined(embedded(self.rows_.batch(self.rows_.spread(n_some), net.device)))
        axes = PCA(min(N_AXES, *some.shape), random_state=self.seed).fit(some)
        batches = self.rows_.batches(net.batch_size * 8, net.device)
        mine = np.concatenate([axes.transform(embedded(batch)) for _, batch in batches])
        return world().joined(mine)
