"""The two networks in plain PyTorch, as a tutorial writes them."""

import torch
from serve import LATENT_DIM
from torch import nn

SHAPES = {"conv": (1, 28, 28), "dense": (784,)}


def encoder_body(network):
    """Return the layers up to the heads, and how many features they put out."""
    if network == "dense":
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU()), 128
    layers = [nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, 16), nn.ReLU()), 16


class Encoder(nn.Module):
    """Map images to the mean and the log-variance of q(z|x)."""

    def __init__(self, network):
        super().__init__()
        self.body, n_features = encoder_body(network)
        self.loc = nn.Linear(n_features, LATENT_DIM[network])
        self.log_var = nn.Linear(n_features, LATENT_DIM[network])

    def forward(self, x):
        features = self.body(x)
        return self.loc(features), self.log_var(features)


def make_decoder(network):
    """Return the layers from z to logits."""
    latent_dim = LATENT_DIM[network]
    if network == "dense":
        layers = [nn.Linear(latent_dim, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(256, 784))
    return nn.Sequential(
        nn.Linear(latent_dim, 64 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, 2, 1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, 2, 1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, 1, 1),
    )


def sample(loc, log_var):
    """Draw z by the reparameterisation trick."""
    return loc + torch.exp(0.5 * log_var) * torch.randn_like(loc)


def kl_divergence(loc, log_var):
    """Return the KL of each row to the standard normal."""
    return -0.5 * (1 + log_var - loc**2 - log_var.exp()).sum(1)


def count(*modules):
    """Return the number of parameters of each module."""
    return [sum(p.numel() for p in module.parameters()) for module in modules]
