"""Claim: told the digit, ConditionalVAE describes MNIST well, and writes the digit asked for.

    python benchmarks/conditional.py --data DIR                      # both parts
    python benchmarks/conditional.py --data DIR --parts read --picture digits.png    # 4 min

*read*: at least 97 % of ``sample(n, condition=c, mean=True)``, and 95 % of held-out digits that
``translate`` writes as another, are read as what was asked for by a convolutional network that
reads at least 98.5 % of the real test digits. Beside it the same model with a plain bound, of
which fewer are read: z then says the digit as well, and the decoder believes z. A weight of the KL
that falls to 1, ``LinearWarmup(start=10)``, keeps the digit out of z.

*density*: at most 82.3 nats of negative log-likelihood of the test images given their digits
(published: 82.32), by the bound of 5,000 draws. Dynamic binarisation: every epoch draws its black
and white images anew from the grey values, the test images are drawn once. Two hidden layers of 200
gated units on each side, 50 components, one draw of z for each image in training. The encoder is
told the digit, too, as it is a column of X, and p(z|c) is a normal with a mean and a scale of each
digit. All test images get 100 draws, 1,000 of them 5,000; what these gain is taken off the mean of
all. 13 minutes of CPU.

DIR holds the four idx.gz files of MNIST. One thread.
"""

import argparse
import gzip
import math
import time
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from skvae import ConditionalVAE, VariationalAutoencoder
from skvae.distributions import Independent, Normal, positive
from skvae.model import Batch
from skvae.objectives import ELBO, LinearWarmup
from skvae.priors import Prior

AIM = 82.3
N_FEW = 100
DIGITS = np.arange(10)
COMMON = {
    "activation": "gated",
    "likelihood": "bernoulli",
    "learning_rate_schedule": "cosine",
    "precision": "bfloat16",
    "linear_path": False,
    "random_state": 0,
}
DENSITY = COMMON | {
    "n_components": 50,
    "hidden_layer_sizes": (200, 200),
    "batch_size": 200,
    "learning_rate": 4e-3,
}
READ = COMMON | {
    "n_components": 8,
    "hidden_layer_sizes": (512, 256),
    "batch_size": 250,
    "learning_rate": 3e-3,
    "max_epochs": 16,
}
FALLING = ELBO(LinearWarmup(8, start=10.0))


def load(directory):
    """Return training images and digits, and those of the test, uint8."""
    for part in ("train", "t10k"):
        images, labels = (
            gzip.decompress((Path(directory) / f"{part}-{kind}-ubyte.gz").read_bytes())
            for kind in ("images-idx3", "labels-idx1")
        )
        yield np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784)
        yield np.frombuffer(labels, np.uint8, offset=8)


def binarize(pixels, seed):
    """Draw binary images: a pixel of level g is 1 with probability g / 255, exactly."""
    levels = np.random.default_rng(seed).integers(0, 255, pixels.shape, dtype=np.uint8)
    return (levels < pixels).view(np.uint8)


# Density


class NormalOfClass(Prior):
    """p(z|c) = N(loc_c, diag scale_c²)."""

    sees_context = True

    def initialize(self, latent_dim, n_context):
        self.loc = nn.Parameter(torch.zeros(n_context, latent_dim))
        self.raw_scale = nn.Parameter(torch.full((n_context, latent_dim), math.log(math.e - 1)))

    def forward(self, context):
        return Independent(Normal(context @ self.loc, positive(context @ self.raw_scale)))


class DynamicBinarization(Callback):
    """Draw the training images anew in every epoch."""

    def __init__(self, pixels):
        self.pixels = pixels

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        dataset_train.X = binarize(self.pixels, seed=[0, len(net.history)])


class Curve(Callback):
    """Print the loss of training and test images now and then, of one draw each."""

    def __init__(self, X, y, every):
        self.X, self.y, self.every = X, y, every

    def on_train_begin(self, net, **kwargs):
        self.start = time.process_time()

    def on_epoch_end(self, net, **kwargs):
        last = net.history[-1]
        if last["epoch"] % self.every:
            return
        x, digit = torch.from_numpy(self.X).float(), torch.from_numpy(self.y).long()
        shape = 1, len(x), net.module_.latent_dim
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            posterior, z, likelihood, prior = net.module_(
                Batch(x, context=one_hot(digit).float()), noise
            )
            bound = likelihood.log_prob(x) - posterior.log_prob(z) + prior.log_prob(z)
        minutes = (time.process_time() - self.start) / 60
        print(
            f"epoch {last['epoch']:5d}  training loss {last['train_loss']:.2f}  "
            f"test loss {-bound.mean():.2f}  {minutes:.1f} minutes of CPU",
            flush=True,
        )


def density(data, n_epochs, every, n_rows, n_draws, save):
    """Print held-out negative log-likelihoods, and return whether they are as claimed."""
    pixels, digits, test_pixels, test_digits = data
    X_test = binarize(test_pixels, seed=1)
    vae = VariationalAutoencoder(
        **DENSITY,
        prior=NormalOfClass(),
        max_epochs=n_epochs,
        callbacks=[DynamicBinarization(pixels), Curve(X_test, test_digits, every)],
    )
    model = ConditionalVAE(vae, condition=-1)
    model.fit(np.column_stack([binarize(pixels, seed=0), digits]))
    if save:
        model.save(save)
    rows = np.column_stack([X_test, test_digits])
    some = np.sort(np.random.default_rng(0).choice(len(rows), n_rows, replace=False))

    def nll(chosen, draws):
        found = -model.score_samples(rows[chosen], n_importance_samples=draws)
        return found.astype(np.float64)

    def line(name, mean, error):
        print(f"| {name} | {mean:.2f} | {error:.2f} |", flush=True)

    few = nll(slice(None), N_FEW)
    many = nll(some, n_draws)
    gained = few[some] - many
    estimate = few.mean() - gained.mean()
    print("\n| negative log-likelihood | nats | standard error |\n| --- | --- | --- |")
    line(f"{len(few)} test rows, {N_FEW} draws", few.mean(), standard_error(few))
    line(f"{n_rows} of them, {N_FEW} draws", few[some].mean(), standard_error(few[some]))
    line(f"{n_rows} of them, {n_draws} draws", many.mean(), standard_error(many))
    line("what more draws gain", gained.mean(), standard_error(gained))
    line("all by this difference", estimate, math.hypot(*map(standard_error, (few, gained))))
    return bool(estimate <= AIM)


def standard_error(values):
    return values.std() / math.sqrt(len(values))


# Reading


def fit_reader(pixels, digits, n_epochs=4):
    """Train a network to read real digits, half of them grey and half drawn black and white."""
    torch.manual_seed(0)
    reader = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(nn.Conv2d(1, 16, 5, 2, 2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 5, 2, 2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.25)),
        *(nn.Linear(32 * 49, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )
    X, y = torch.from_numpy(pixels.copy()), torch.from_numpy(digits.astype(np.int64))
    optimizer = torch.optim.AdamW(reader.parameters())
    course = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 4e-3, epochs=n_epochs, steps_per_epoch=math.ceil(len(X) / 128)
    )
    for _ in range(n_epochs):
        for rows in torch.randperm(len(X)).split(128):
            grey = X[rows] / 255
            x = torch.where(torch.rand(len(rows), 1) < 0.5, grey, torch.bernoulli(grey))
            optimizer.zero_grad()
            cross_entropy(reader(x), y[rows]).backward()
            optimizer.step()
            course.step()
    reader.eval()

    @torch.no_grad()
    def read(images):
        batches = torch.from_numpy(np.asarray(images, np.float32)).split(1000)
        return torch.cat([reader(batch).argmax(1) for batch in batches]).numpy()

    return read


def shares(model, read, pixels, digits, n_samples):
    """Return which shares of images are read as the digits that were asked for, by digit."""
    asked = np.repeat(DIGITS, n_samples)
    means = model.sample(len(asked), condition=asked, mean=True, random_state=0)
    drawn = model.sample(len(asked), condition=asked, random_state=0)
    others = np.repeat(digits, 10) != np.tile(DIGITS, len(digits))
    X, targets = np.repeat(pixels, 10, axis=0)[others], np.tile(DIGITS, len(digits))[others]
    written = model.translate(X, condition=targets)
    return {
        "sample, means": by_digit(read(means) == asked, asked),
        "sample, drawn pixels": by_digit(read(drawn) == asked, asked),
        "translate, to the nine other digits": by_digit(read(written) == targets, targets),
    }


def by_digit(is_right, asked):
    return np.array([is_right[asked == digit].mean() for digit in DIGITS])


def draw_picture(model, path):
    """Save ten digits by ten hands, one z each."""
    import matplotlib.pyplot as plt

    Z = model.given(0).sample_latent(10, random_state=0)
    images = model.inverse_transform(np.repeat(Z, 10, axis=0), condition=np.tile(DIGITS, 10))
    page = images.reshape(10, 10, 28, 28).transpose(0, 2, 1, 3).reshape(280, 280)
    plt.imsave(path, np.kron(page, np.ones((3, 3))), cmap="gray_r", vmin=0, vmax=1)


def reading(data, n_samples, n_translated, picture):
    """Print what is read, and return whether it is as claimed."""
    pixels, digits, test_pixels, test_digits = data
    read = fit_reader(pixels, digits)
    real, drawn = (
        np.mean(read(images) == test_digits)
        for images in (test_pixels / np.float32(255), binarize(test_pixels, seed=1))
    )
    print(f"real test digits: {real:.4f} are read, drawn black and white {drawn:.4f}\n")
    print("| weight of the KL | images | read as asked | worst digit | test bound |")
    print("| --- | --- | --- | --- | --- |")
    chosen = test_pixels[:n_translated], test_digits[:n_translated]
    for name, objective in (("1", "elbo"), ("from 10 to 1", FALLING)):
        start = time.process_time()
        vae = VariationalAutoencoder(**READ, objective=objective)
        model = ConditionalVAE(vae).fit(pixels, digits)
        seconds = time.process_time() - start
        bound = model.score(test_pixels, test_digits)
        found = shares(model, read, *chosen, n_samples)
        for images, share in found.items():
            worst = share.argmin()
            print(
                f"| {name} | {images} | {share.mean():.4f} | {worst}: {share[worst]:.3f} "
                f"| {bound:.2f} |",
                flush=True,
            )
        print(f"({seconds:.0f} s of CPU)", flush=True)
    if picture:
        draw_picture(model, picture)
    means, _, translated = (share.mean() for share in found.values())
    return bool(real >= 0.985 and means >= 0.97 and translated >= 0.95)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with the idx.gz files of MNIST")
    parser.add_argument(
        "--parts", nargs="+", choices=("read", "density"), default=("read", "density")
    )
    parser.add_argument("--samples", type=int, default=1000, help="for each digit")
    parser.add_argument(
        "--translated", type=int, default=1000, help="test images, to nine digits each"
    )
    parser.add_argument("--picture", help="PNG file: ten digits by ten hands")
    parser.add_argument("--epochs", type=int, default=240, help="of the density's model")
    parser.add_argument("--every", type=int, default=10, help="epochs between two lines")
    parser.add_argument("--rows", type=int, default=1000, help="test rows that get all draws")
    parser.add_argument("--draws", type=int, default=5000, help="for each of them")
    parser.add_argument("--save", help="file for the density's model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = tuple(load(args.data))
    is_as_claimed = {}
    if "read" in args.parts:
        is_as_claimed["read"] = reading(data, args.samples, args.translated, args.picture)
    if "density" in args.parts:
        is_as_claimed["density"] = density(
            data, args.epochs, args.every, args.rows, args.draws, args.save
        )
    assert all(is_as_claimed.values()), is_as_claimed


if __name__ == "__main__":
    main()
