"""skvae with ``compile=True``, the second epoch of a ``fit`` of two."""

import torch
from serve import serve
from skvae_worker import Trainer

import skvae


class CompiledTrainer(Trainer):
    def train(self, X):
        # A call of partial_fit compiles for itself, or reads from the disk what is compiled
        # already: in a fit of some epochs that is done in the first.
        self.vae.set_params(compile=True, max_epochs=2).fit(X)
        epoch = self.vae.history_[-1]
        return epoch["dur"], epoch["train_loss"]


if __name__ == "__main__":
    serve(CompiledTrainer, f"skvae {skvae.__version__}, torch {torch.__version__}")
