"""The door for fitted estimators: the model in what a caller hands over, and the steps before it.

Measures, pictures, exports and samplers take a model wherever it stands: alone, at the end of a
pipeline, as the best of a search, frozen, or inside an estimator that keeps it as ``vae_``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skvae._vae import VariationalAutoencoder


class Opened:
    """A fitted estimator of any kind, taken apart.

    Attributes
    ----------
    before : list of transformers
        The steps that X passes before the last estimator.
    last : estimator
        That: the model, or what holds it.
    model : estimator
        The model. Of an estimator that holds no autoencoder, such as PCA, itself.
    """

    def __init__(self, estimator: Any) -> None:
        check_is_fitted(estimator)
        self.before: list[Any] = []
        self.last = estimator
        while (inside := self._inside(self.last)) is not None:
            self.last = inside
        self.model = getattr(self.last, "vae_", self.last)

    def _inside(self, estimator: Any) -> Any:
        """Return what a search, a pipeline or a freezer ends in; of all else ``None``."""
        if isinstance(estimator, FrozenEstimator):
            return estimator.estimator
        if hasattr(estimator, "best_estimator_"):
            return estimator.best_estimator_
        if not hasattr(estimator, "steps"):
            return None
        *before, last = [step for _, step in estimator.steps]
        self.before += [step for step in before if step not in (None, "passthrough")]
        return last

    @property
    def first(self) -> Any:
        """The step, or the model, that sees the columns of X."""
        return self.before[0] if self.before else self.model

    def encode(self, X: Any) -> Any:
        """Return X as the model sees it."""
        for step in self.before:
            X = step.transform(X)
        return X

    def decode(self, rows: Any) -> np.ndarray:
        """Return rows of the model in the units of X, dense."""
        for step in reversed(self.before):
            if not hasattr(step, "inverse_transform"):
                raise TypeError(
                    f"estimator has a {type(step).__name__} before the model, which has no "
                    "inverse_transform, so results cannot be converted to the units of X. Pass "
                    "the model alone, with X as the model gets it."
                )
            rows = step.inverse_transform(rows)
        return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)


def opened(estimator: Any, name: str = "estimator") -> Opened:
    """Return an estimator taken apart, in which there must be an autoencoder."""
    inside = Opened(estimator)
    if not isinstance(inside.model, VariationalAutoencoder):
        raise TypeError(
            f"{name}={estimator!r} is neither a VariationalAutoencoder, nor an estimator that "
            "holds one as vae_, nor a Pipeline or a search that ends in one. Pass the fitted "
            "model itself."
        )
    return inside


def model_and_rows(estimator: Any, X: Any) -> tuple[VariationalAutoencoder, Any]:
    """Return the autoencoder in an estimator, and X as it sees it."""
    inside = opened(estimator)
    # As it is now: another thread may refit it.
    return inside.model._whole(), inside.encode(X)
