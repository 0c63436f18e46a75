"""What the displays ask of a fitted estimator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from skvae._data import Reader
from skvae._fitted import Opened
from skvae.display import _drawing

PRIOR_DRAWS = 2**15
"""Draws for the quantiles of a prior that has none in closed form; their error at 0.02 and
0.98 is under 0.02 standard deviations."""

MODEL_ROWS = 1000
"""Rows drawn from a model for the mean and the standard deviation of its features."""


class FittedModel(Opened):
    """An estimator taken apart, and what is shown of it."""

    def attribute(self, name: str, use: str) -> Any:
        """Return an attribute of the model, or say what it would be used for."""
        if not hasattr(self.model, name):
            raise TypeError(
                f"estimator is a {type(self.model).__name__}, which has no {name}, {use}. Pass a "
                "fitted VariationalAutoencoder, or a pipeline that ends in one."
            )
        return getattr(self.model, name)

    @property
    def n_components(self) -> int:
        """The latent dimension."""
        return len(self.model.get_feature_names_out())

    @property
    def feature_names(self) -> Sequence[str] | None:
        """The names of the columns of X, if they had any."""
        return getattr(self.first, "feature_names_in_", None)

    # Rows and their shape

    def image_shape(self, image_shape: Sequence[int] | None) -> tuple[int, ...] | None:
        """Return the shape of a row as a picture: the one given, else the model's, or ``None``.

        Steps before the model that keep the number of columns keep the picture.
        """
        n_features = self.first.n_features_in_
        if image_shape is None and self.model.n_features_in_ == n_features:
            image_shape = getattr(self.model, "image_shape", None)
        return (
            None if image_shape is None else _drawing.resolve_image_shape(image_shape, n_features)
        )

    def required_image_shape(self, image_shape: Sequence[int] | None) -> tuple[int, ...]:
        """Return the same for a display that shows nothing but pictures."""
        shape = self.image_shape(image_shape)
        if shape is None:
            raise ValueError(
                "image_shape=None, here and in the estimator, but this display can only show "
                "pictures. Pass image_shape=(height, width)."
            )
        return shape

    # What X means: bytes and categories, of which nothing else here knows

    @property
    def categories(self) -> dict[str, list[Any]]:
        """What the codes stand for that :meth:`floats` returns, by the names of columns."""
        return {} if self.before else getattr(self.model, "categories_", {})

    def floats(self, rows: Any) -> np.ndarray:
        """Return rows of any kind that estimators take as the numbers that come out again.

        Bytes of images are shares of ``unit_``, categories of a data frame are codes.
        """
        reader = getattr(self.model, "_reader", Reader())
        # What a step before the model gets has categories of its own.
        return (Reader(unit=reader.unit) if self.before else reader).floats(rows)

    # There and back

    def decode(self, rows: Any) -> np.ndarray:
        """Return rows of the model in the units of X, as floats."""
        return super().decode(rows).astype(float)

    def transform(self, X: Any) -> np.ndarray:
        """Return the posterior means."""
        return np.asarray(self.model.transform(self.encode(X)))

    def inverse_transform(self, Z: np.ndarray) -> np.ndarray:
        """Return the mean of p(x|z), in the units of X."""
        return self.decode(self.model.inverse_transform(Z))

    def posterior(self, X: Any, use: str) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of q(z|x)."""
        posterior = self.attribute("posterior", use)
        return posterior(self.encode(X))

    def sample(self, n_samples: int, **options: Any) -> np.ndarray:
        """Draw rows from the model, in the units of X."""
        # What holds the model may draw otherwise than from the prior.
        sample = getattr(self.last, "sample", None)
        sample = sample or self.attribute("sample", "which new rows come from")
        return self.decode(sample(n_samples, **options))

    def feature_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each feature of rows drawn from the model."""
        rows = self.sample(MODEL_ROWS, random_state=0)
        spread = rows.std(axis=0)
        return rows.mean(axis=0), np.where(spread > 0, spread, 1.0)

    def prior_quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Return quantiles of each component of p(z), ``(n_components, n_levels)``.

        Exact where the components are independent and know their quantiles, as in the
        standard normal, which also stands for the prior of an estimator that has none; else
        those of draws that are the same in every call.
        """
        import torch

        if not hasattr(self.model, "net_"):
            return np.tile([NormalDist().inv_cdf(p) for p in levels], (self.n_components, 1))
        is_independent = isinstance(self._prior, torch.distributions.Independent)
        marginals = self._prior.base_dist if is_independent else self._prior
        if not is_independent or type(marginals).icdf is torch.distributions.Distribution.icdf:
            return np.quantile(self._prior_draws, levels, axis=0).T
        shares = torch.tensor(levels, dtype=torch.float64, device=self.model.net_.device)
        return marginals.icdf(shares[:, None]).T.detach().cpu().numpy()

    @cached_property
    def _prior(self) -> Any:
        """The distribution p(z)."""
        import torch

        # Not in training mode: a prior may run the encoder, which may drop features then.
        with torch.no_grad():
            module = self.model.net_.module_.eval()
            return module.prior(*module.told(module.prior, None))

    @cached_property
    def _prior_draws(self) -> np.ndarray:
        """Draws from p(z), ``(PRIOR_DRAWS, n_components)``."""
        import torch

        generator = torch.Generator(self.model.net_.device).manual_seed(0)
        with torch.no_grad():
            draws = self._prior.sample((PRIOR_DRAWS,), generator=generator)
        return draws.double().cpu().numpy()


def first_rows(X: Any, n: int) -> Any:
    """Return the first rows of a matrix of any kind that estimators take."""
    return _safe_indexing(X, slice(0, n))
