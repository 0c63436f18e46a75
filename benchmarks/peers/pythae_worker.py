"""pythae: its VAE with its "bce" loss (probabilities, not logits) in its training pipeline."""

from importlib.metadata import version
from tempfile import TemporaryDirectory

import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from serve import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, EpochClock, serve
from torch_networks import SHAPES, Encoder, count, make_decoder


class PythaeEncoder(BaseEncoder):
    def __init__(self, network):
        super().__init__()
        self.layers = Encoder(network)

    def forward(self, x):
        loc, log_var = self.layers(x)
        return ModelOutput(embedding=loc, log_covariance=log_var)


class PythaeDecoder(BaseDecoder):
    def __init__(self, network):
        super().__init__()
        self.layers = make_decoder(network)

    def forward(self, z):
        return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))


class Clock(EpochClock, TrainingCallback):
    def on_log(self, training_config, logs, **kwargs):
        self.loss = logs["train_epoch_loss"]


class Trainer:
    def __init__(self, network):
        self.shape = SHAPES[network]
        config = VAEConfig(self.shape, LATENT_DIM[network], reconstruction_loss="bce")
        self.vae = VAE(config, PythaeEncoder(network), PythaeDecoder(network))

    def train(self, X):
        clock = Clock()
        with TemporaryDirectory() as folder:
            config = BaseTrainerConfig(
                folder,
                num_epochs=1,
                learning_rate=LEARNING_RATE,
                per_device_train_batch_size=BATCH_SIZE,
            )
            TrainingPipeline(self.vae, config)(X.reshape(-1, *self.shape), callbacks=[clock])
        return clock.seconds, clock.loss

    def parameters(self):
        return count(self.vae.encoder, self.vae.decoder)


if __name__ == "__main__":
    serve(Trainer, f"pythae {version('pythae')}, torch {torch.__version__}")
