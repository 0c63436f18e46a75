"""Stock skorch: a NeuralNet with its default callbacks, DataLoader and optimiser loop."""

import skorch
import torch
from serve import BATCH_SIZE, LEARNING_RATE, serve
from skorch import NeuralNet
from torch import nn
from torch_networks import SHAPES, Encoder, count, kl_divergence, make_decoder, sample


class VAE(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.encoder = Encoder(network)
        self.decoder = make_decoder(network)

    def forward(self, x):
        loc, log_var = self.encoder(x)
        return self.decoder(sample(loc, log_var)), loc, log_var


class VAENet(NeuralNet):
    def get_loss(self, y_pred, y_true, X=None, training=False):
        logits, loc, log_var = y_pred
        return self.criterion_(logits, X) / len(X) + kl_divergence(loc, log_var).mean()


class Trainer:
    def __init__(self, network):
        self.shape = SHAPES[network]
        self.net = VAENet(
            VAE,
            module__network=network,
            criterion=nn.BCEWithLogitsLoss,
            criterion__reduction="sum",
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=BATCH_SIZE,
            max_epochs=1,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
        )

    def train(self, X):
        self.net.partial_fit(X.reshape(-1, *self.shape))
        epoch = self.net.history[-1]
        return epoch["dur"], epoch["train_loss"]

    def parameters(self):
        return count(self.net.module_.encoder, self.net.module_.decoder)


if __name__ == "__main__":
    serve(Trainer, f"skorch {skorch.__version__}, torch {torch.__version__}")
