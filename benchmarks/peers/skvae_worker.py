"""skvae at its default settings, one ``partial_fit`` an epoch."""

import torch
from serve import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, serve
from torch_networks import count

import skvae

NETWORKS = {
    "conv": {"image_shape": (28, 28), "conv_channels": (32, 64), "hidden_layer_sizes": (16,)},
    # The network of the others: without the linear path and the dropout that tables get.
    "dense": {"hidden_layer_sizes": (256, 128), "linear_path": False, "dropout": 0.0},
}


class Trainer:
    def __init__(self, network):
        self.vae = skvae.VariationalAutoencoder(
            LATENT_DIM[network],
            **NETWORKS[network],
            likelihood="bernoulli",
            batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            learning_rate_schedule="constant",
            random_state=0,
        )

    def train(self, X):
        # "dur" is skorch's, the same clock as the stock worker's. The call as a whole also
        # checks X, copies the net and measures the KL of every row afterwards; `fit` does
        # that once, not once an epoch.
        self.vae.partial_fit(X)
        epoch = self.vae.history_[-1]
        return epoch["dur"], epoch["train_loss"]

    def parameters(self):
        return count(self.vae.encoder_, self.vae.decoder_)


if __name__ == "__main__":
    serve(Trainer, f"skvae {skvae.__version__}, torch {torch.__version__}")
