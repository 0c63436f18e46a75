"""scikit-learn's validation of parameters, with the name that was meant where one is wrong."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVar, cast

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)

from skvae._names import did_you_mean, no_parameter

Init = TypeVar("Init", bound=Callable[..., None])


class Number(Interval):
    """scikit-learn's interval, of numbers alone: to Python a boolean is an integer."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether the value is a number in the interval."""
        return not isinstance(val, bool) and super().is_satisfied_by(val)


class Names(StrOptions):
    """scikit-learn's set of strings, listed in the order in which they are given here."""

    def __init__(self, *names: str) -> None:
        super().__init__(set(names))
        self.names = names

    def __str__(self) -> str:
        listed = ", ".join(map(repr, self.names))
        return listed if len(self.names) == 1 else f"one of {listed}"


def asks_what_was_meant(init: Init) -> Init:
    """Let a constructor say which parameter was meant, where it is given one that it has not.

    Its signature stays what it is, for ``inspect`` and so for ``clone``.
    """
    _, *names = inspect.signature(init).parameters

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **params: Any) -> None:
        for name in params:
            if name not in names:
                raise TypeError(no_parameter(type(self).__name__, name, names))
        init(self, *args, **params)

    return cast("Init", checked)


class CheckedEstimator(BaseEstimator):
    """scikit-learn's estimator, whose errors say which name was meant."""

    _parameter_constraints: dict[str, Any]

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also ``name__parameter`` of those that have parameters themselves.

        Parameters
        ----------
        **params
            New values by name.

        Returns
        -------
        self : estimator
            The estimator itself. After an error about its own parameters it is as it was.

        Raises
        ------
        ValueError
            When a name is not one of them.
        """
        names = self._get_param_names()
        for key in params:
            if key.partition("__")[0] not in names:
                raise ValueError(no_parameter(type(self).__name__, key, self.get_params()))
        return super().set_params(**params)

    def _validate_params(self) -> None:
        for name, value in self.get_params(deep=False).items():
            try:
                validate_parameter_constraints(
                    self._parameter_constraints, {name: value}, type(self).__name__
                )
            except InvalidParameterError as error:
                if isinstance(value, str):
                    error.args = (f"{error}{did_you_mean(value, self._names_for(name))}",)
                raise

    def _names_for(self, parameter: str) -> list[str]:
        """Return the strings that a parameter takes."""
        constraints = self._parameter_constraints[parameter]
        return [name for one in constraints if isinstance(one, Names) for name in one.names]
