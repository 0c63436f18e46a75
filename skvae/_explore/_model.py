"""A fitted model, and the conditions under which it decodes."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np

from skvae._conditional import ConditionalVAE
from skvae.display import _classes
from skvae.display._model import FittedModel


class ExploredModel(FittedModel):
    """An estimator taken apart. One without conditions decodes under a single nameless one."""

    @property
    def is_conditional(self) -> bool:
        """Whether the decoder is told something beside z."""
        return isinstance(self.last, ConditionalVAE)

    def conditions(self) -> dict[str, Any]:
        """Return the values of each condition by its name, or nothing."""
        if not self.is_conditional:
            return {}
        numbers = [c.name for c in self.last._conditions.columns if not hasattr(c, "levels")]
        if numbers:
            raise ValueError(
                f"The conditions {numbers} are numbers, but the page can only offer categories. "
                "Fix a value: explore(model.given(value), X), with X without the conditions."
            )
        found = self.last.categories_
        n_combined = prod(map(len, found.values()))
        if n_combined > _classes.MAX_LEGEND:
            raise ValueError(
                f"The model has {n_combined} conditions, but the page can offer at most "
                f"{_classes.MAX_LEGEND}. Fix one: explore(model.given(value), X)."
            )
        return {str(name): levels for name, levels in found.items()}

    def rows(self, X: Any) -> Any:
        """Return the columns of X that are modelled."""
        return self.last._split(X, None, reset=False)[0] if self.is_conditional else X

    def transform(self, X: Any) -> np.ndarray:
        """Return the posterior means, under the conditions that X itself holds."""
        if self.is_conditional:
            return np.asarray(self.last.transform(self.encode(X)))
        return super().transform(X)

    def decoded(self, Z: np.ndarray) -> np.ndarray:
        """Return E[x|z] in the units of X under each condition, ``(n_conditions, n, d)``."""
        if not self.is_conditional:
            return self.inverse_transform(Z)[None]
        each = product(*self.last.categories_.values())
        return np.stack([self.decode(self.last.inverse_transform(Z, one)) for one in each])
