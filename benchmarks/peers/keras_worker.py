"""Keras 3 on the backend that KERAS_BACKEND names: a Model with its own loss, and its fit."""

from importlib import import_module

import keras
from keras import layers, ops
from serve import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, EpochClock, serve

SHAPES = {"conv": (28, 28, 1), "dense": (784,)}


def dense(width):
    return layers.Dense(width, activation="relu")


def convolution(layer, channels):
    return layer(channels, 3, strides=2, padding="same", activation="relu")


def make_encoder(network):
    """Return a model from images to the mean and the log-variance of q(z|x)."""
    bodies = {
        "dense": lambda: [dense(256), dense(128)],
        "conv": lambda: [
            convolution(layers.Conv2D, 32),
            convolution(layers.Conv2D, 64),
            layers.Flatten(),
            dense(16),
        ],
    }
    image = keras.Input(SHAPES[network])
    features = keras.Sequential(bodies[network]())(image)
    heads = [layers.Dense(LATENT_DIM[network])(features) for _ in ("loc", "log_var")]
    return keras.Model(image, heads)


def make_decoder(network):
    """Return a model from z to logits."""
    z = keras.Input((LATENT_DIM[network],))
    if network == "dense":
        return keras.Sequential([z, dense(128), dense(256), layers.Dense(784)])
    return keras.Sequential(
        [
            z,
            dense(7 * 7 * 64),
            layers.Reshape((7, 7, 64)),
            convolution(layers.Conv2DTranspose, 64),
            convolution(layers.Conv2DTranspose, 32),
            layers.Conv2DTranspose(1, 3, padding="same"),
        ]
    )


class VAE(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.encoder = make_encoder(network)
        self.decoder = make_decoder(network)
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x):
        loc, log_var = self.encoder(x)
        noise = keras.random.normal(ops.shape(loc), seed=self.seed_generator)
        return self.decoder(loc + ops.exp(0.5 * log_var) * noise), loc, log_var

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits, loc, log_var = y_pred
        cross_entropy = ops.binary_crossentropy(x, logits, from_logits=True)
        kl = -0.5 * ops.sum(1 + log_var - ops.square(loc) - ops.exp(log_var), axis=1)
        return ops.mean(ops.sum(cross_entropy, axis=tuple(range(1, len(x.shape)))) + kl)


class Clock(EpochClock, keras.callbacks.Callback):
    pass


class Trainer:
    def __init__(self, network):
        self.shape = SHAPES[network]
        self.vae = VAE(network)
        self.vae.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE))

    def train(self, X):
        clock = Clock()
        images = X.reshape(-1, *self.shape)
        fit = self.vae.fit(images, batch_size=BATCH_SIZE, verbose=0, callbacks=[clock])
        return clock.seconds, fit.history["loss"][-1]

    def parameters(self):
        return self.vae.encoder.count_params(), self.vae.decoder.count_params()


if __name__ == "__main__":
    backend = keras.backend.backend()
    version = import_module(backend).__version__
    serve(Trainer, f"keras {keras.__version__}, {backend} {version}")
