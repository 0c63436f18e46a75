"""scikit-learn's parameter protocol for the parts of a model, without scikit-learn."""

from __future__ import annotations

import copy
import inspect
from typing import Any


def template_copy(part: Any) -> Any:
    """Return a copy of a part that the user gave, which is itself never changed."""
    return copy.deepcopy(part)


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
        """Return the constructor's arguments as a dict.

        Parameters
        ----------
        deep : bool, default=True
            Add the parameters of arguments that are parts, as ``name__parameter``.

        Returns
        -------
        params : dict
            From the names to the values.
        """
        params = {name: getattr(self, name) for name in self._parameter_names()}
        parts = {k: v for k, v in params.items() if deep and hasattr(v, "get_params")}
        nested = {
            f"{name}__{key}": value
            for name, part in parts.items()
            for key, value in part.get_params().items()
        }
        return params | nested

    def set_params(self, **params: Any) -> Parameters:
        """Set constructor arguments, or ``name__parameter`` of one that is a part.

        Parameters
        ----------
        **params
            New values by name.

        Returns
        -------
        self : Parameters
            The object itself.

        Raises
        ------
        ValueError
            When a name is not one of them.
        """
        plain = {key: value for key, value in params.items() if "__" not in key}
        nested = {key: value for key, value in params.items() if "__" in key}
        for key in params:
            self._check_name(key, plain)
        for name, value in plain.items():
            setattr(self, name, value)
        for key, value in nested.items():
            name, _, parameter = key.partition("__")
            getattr(self, name).set_params(**{parameter: value})
        return self

    def _check_name(self, key: str, plain: dict[str, Any]) -> None:
        """Raise ``ValueError`` for a name that is no parameter, or has none of its own."""
        owner = type(self).__name__
        name, nested, _ = key.partition("__")
        if name not in self._parameter_names():
            raise ValueError(
                f"{owner} has no parameter {name!r}; it has {self._parameter_names()}."
            )
        value = plain.get(name, getattr(self, name))
        if nested and not hasattr(value, "set_params"):
            raise ValueError(f"{name}={value!r} of {owner} has no parameters of its own.")

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{name}={value!r}" for name, value in self.get_params(deep=False).items()
        )
        return f"{type(self).__name__}({arguments})"


def check_number(value, what, kind=int, low=None):  # type: ignore
    from numbers import Integral
    if isinstance(value, bool) or not isinstance(value, Integral): raise TypeError(f"{what} is {value!r}")
    if low is not None and value < low: raise ValueError(f"{what} is {value!r}")
    return int(value)
