"""What the workers share: the settings, and a loop that trains when a line on stdin asks for it.

A worker is started with the path of an npy file of rows. It first answers with its versions.
After that it answers ``{"network": "conv", "rows": 12800}`` with the figures of one epoch on so
many rows, after a short warm-up. Between requests it waits on stdin and uses no processor time.
"""

import json
import sys
import time
from functools import cache

import numpy as np

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
LATENT_DIM = {"conv": 2, "dense": 16}
PARAMETERS = {"conv": (69_076, 65_089), "dense": (237_984, 236_688)}  # encoder, decoder
WARM_UP_ROWS = 10 * BATCH_SIZE


class EpochClock:
    """The half of a callback that times an epoch."""

    def on_epoch_begin(self, *args, **kwargs):
        self.start = time.perf_counter()

    def on_epoch_end(self, *args, **kwargs):
        self.seconds = time.perf_counter() - self.start


def timed_epoch(trainer, X):
    """Warm up, train one epoch, and return its figures."""
    # The remainder has the shape of the last batch: nothing is left to compile.
    trainer.train(X[: WARM_UP_ROWS + len(X) % BATCH_SIZE])
    start = time.perf_counter()
    seconds, loss = trainer.train(X)
    return {"seconds": seconds, "call": time.perf_counter() - start, "loss": float(loss)}


def serve(trainer_class, versions):
    """Answer requests until stdin ends.

    A trainer is made from the name of a network. Its ``train(X)`` runs one epoch on rows and
    returns the seconds from the epoch's begin to its end and the mean loss in nats; its
    ``parameters()`` counts those of encoder and decoder.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a framework prints is no answer

    def answer(message):
        print(json.dumps(message), file=answers, flush=True)

    X = np.load(sys.argv[1])
    trainer_of = cache(trainer_class)
    answer(versions)
    for line in sys.stdin:
        request = json.loads(line)
        trainer = trainer_of(request["network"])
        figures = timed_epoch(trainer, X[: request["rows"]])
        assert tuple(trainer.parameters()) == PARAMETERS[request["network"]]
        answer(figures)
