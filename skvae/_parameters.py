"""scikit-learn's parameter protocol for the parts of a model, without scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any


class Parameters:
    """Give a class ``get_params``, ``set_params`` and a ``repr`` made from its constructor.

    The constructor stores each argument under its own name, as in scikit-learn. That is
    all it takes for ``sklearn.base.clone``, for nested names such as
    ``likelihood__scale`` in a grid search, and for :func:`skvae.load`.
    """

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments as a dict."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Parameters:
        """Set constructor arguments; a name that is not one raises ``ValueError``."""
        unknown = sorted(set(params) - set(self._parameter_names()))
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; "
                f"it has {self._parameter_names()}."
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({arguments})"
