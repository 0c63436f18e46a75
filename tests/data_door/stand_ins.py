"""An estimator and likelihoods with what the door asks of them."""

from types import SimpleNamespace

from sklearn.base import BaseEstimator

from skvae._data import Reader


class Estimator(BaseEstimator):
    def __init__(self, image_shape=None):
        self.image_shape = image_shape


LEFT_OPEN = SimpleNamespace(reads_bytes_of_images=True)
UNIT_INTERVAL = SimpleNamespace(reads_bytes=True)
REAL = SimpleNamespace()
BY_COLUMN = SimpleNamespace(takes_categories=True)


def learn(X, likelihood=REAL, image_shape=None, **beside):
    """Return reader, rows and columns of X, and the estimator that has seen it."""
    estimator = Estimator(image_shape)
    return *Reader.learn(estimator, X, likelihood, **beside), estimator


def read(X, likelihood=REAL):
    """Return X as numbers in its own order, learnt and read."""
    reader, _, _, estimator = learn(X, likelihood)
    return reader.read(estimator, X).block(slice(None))
