"""scikit-learn's parameter protocol for the parts of a model, without scikit-learn."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from skvae._names import no_parameter
from skvae._numbers import is_number

Number = TypeVar("Number", int, float)


def template_copy(part: Any) -> Any:
    """Return a copy of a part that the user gave, which is itself never changed."""
    return copy.deepcopy(part)


def check_number(
    value: Any, what: str, must: str, allowed: Callable[[Any], bool], kind: type[Number]
) -> Number:
    """Return a number, numpy's or Python's, as Python's ``int`` or ``float``; bool is none.

    numpy's own would take over where it meets a tensor.
    """
    if not is_number(value, kind) or not allowed(value):
        raise ValueError(f"{what} is {value!r}; {must}")
    return kind(value)


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

    def _real(
        self,
        name: str,
        must: str = "it must be a number, not below 0.",
        allowed: Callable[[Any], bool] = lambda value: 0 <= value < float("inf"),
    ) -> float:
        """Return a parameter that is a real number, checked."""
        what = f"{name} of {type(self).__name__}"
        return check_number(getattr(self, name), what, must, allowed, float)

    def _whole(self, name: str, least: int = 1) -> int:
        """Return a parameter that is a whole number, checked."""
        what = f"{name} of {type(self).__name__}"
        kind = "positive whole number" if least else "whole number, not below 0"
        must = f"it must be a {kind}."
        return check_number(getattr(self, name), what, must, lambda value: value >= least, int)

    def _sizes(self, name: str) -> tuple[int, ...]:
        """Return a parameter that is a sequence of positive whole numbers, checked."""
        given = getattr(self, name)
        what = f"{name} of {type(self).__name__}"
        must = f"all of {given!r} must be positive whole numbers."
        entries = list(given) if hasattr(given, "__iter__") else [given]
        return tuple(
            check_number(entry, f"An entry of {what}", must, lambda value: value >= 1, int)
            for entry in entries
        )

    def _check_name(self, key: str, plain: dict[str, Any]) -> None:
        """Raise ``ValueError`` for a name that is no parameter, or has none of its own."""
        owner = type(self).__name__
        name, nested, _ = key.partition("__")
        if name not in self._parameter_names():
            raise ValueError(no_parameter(owner, name, self._parameter_names()))
        value = plain.get(name, getattr(self, name))
        if nested and not hasattr(value, "set_params"):
            raise ValueError(f"{name}={value!r} of {owner} has no parameters of its own.")

    def __repr__(self) -> str:
        arguments = ", ".join(
            f"{name}={value!r}" for name, value in self.get_params(deep=False).items()
        )
        return f"{type(self).__name__}({arguments})"
