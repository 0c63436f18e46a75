"""The public names of the package, and what their docstrings are held to."""

import importlib
import inspect
import pkgutil
from functools import cached_property
from types import FunctionType
from typing import NamedTuple

import pytest
import torch
from numpydoc.docscrape import NumpyDocString

import skvae

MODULES = [skvae] + [
    importlib.import_module(f"skvae.{found.name}")
    for found in pkgutil.iter_modules(skvae.__path__)
    if not found.name.startswith("_")
]
"""Modules that users import from; a package such as skvae.likelihoods stands for its files."""

TORCH = (torch.distributions.Distribution, torch.distributions.constraints.Constraint)
"""Interfaces that torch documents; the docstring of skvae.distributions says what ours add."""

PROPERTIES = property | cached_property


def is_ours(value):
    return str(getattr(value, "__module__", "")).split(".")[0] == "skvae"


class Documented(NamedTuple):
    """A public class, function, method or property; ``owner`` is the class it is defined in."""

    name: str
    value: object
    owner: type | None = None

    @property
    def doc(self):
        """The docstring, parsed; an unknown section is a warning, and so an error."""
        return NumpyDocString(inspect.cleandoc(self.value.__doc__ or ""))

    @property
    def is_class(self):
        return inspect.isclass(self.value)

    @property
    def is_property(self):
        return isinstance(self.value, PROPERTIES)

    @property
    def function(self):
        """The function that runs when this is called or read."""
        value = self.value.__init__ if self.is_class else self.value
        names = ("fget", "func", "__func__")
        value = next((getattr(value, name) for name in names if hasattr(value, name)), value)
        return inspect.unwrap(value)

    @property
    def signature(self):
        """The parameters of a call by name, without the object itself."""
        is_tuple = self.is_class and issubclass(self.value, tuple)
        if self.is_property or (self.is_class and not is_tuple and not is_ours(self.function)):
            return {}  # a constructor of another library
        parameters = inspect.signature(self.value if self.is_class else self.function).parameters
        is_bound = self.owner is not None and not isinstance(self.value, staticmethod)
        return dict(list(parameters.items())[is_bound:])

    @property
    def overridden(self):
        """Return what a member overrides: torch's class, or ours the highest, or ``None``."""
        name = self.name.rpartition(".")[2]
        above = [base for base in getattr(self.owner, "__mro__", ())[1:] if name in vars(base)]
        ours = [Documented(f"{base.__name__}.{name}", vars(base)[name], base)
                for base in above if is_ours(base)]  # fmt: skip
        torchs = [base for base in TORCH if base in above]
        return (torchs or ours[::-1] or [None])[0]

    @property
    def is_torchs(self):
        return self.overridden in TORCH

    @property
    def full_doc(self):
        """The docstring that documents a call: its own, or that of what it overrides.

        An override whose docstring has no sections says what it adds to its interface.
        """
        base = self.overridden
        is_brief = isinstance(base, Documented) and not self.doc["Parameters"]
        return base.doc if is_brief else self.doc


def members(cls):
    """Return the public functions and properties that our classes define for cls."""
    kinds = FunctionType | classmethod | staticmethod | PROPERTIES
    found = []
    for name in dir(cls):
        base = next((base for base in cls.__mro__ if name in vars(base)), object)
        is_public = not name.startswith("_") or name == "__call__"
        if is_ours(base) and is_public and isinstance(vars(base)[name], kinds):
            path = f"{base.__module__}.{base.__qualname__}.{name}"
            found.append(Documented(path, vars(base)[name], base))
    return found


def named():
    """Return the classes and functions behind the names of every ``__all__``, once each."""
    names = {
        getattr(module, name): f"{module.__name__}.{name}"
        for module in reversed(MODULES)
        for name in module.__all__
        if isinstance(getattr(module, name), FunctionType | type)
    }
    return [Documented(name, value) for value, name in names.items()]


TOP = sorted(named())
CLASSES = [item for item in TOP if item.is_class]
EVERYTHING = TOP + sorted({member for item in CLASSES for member in members(item.value)})


def each(items):
    """Parametrize a test by some items; there must be some."""
    items = list(items)
    assert items
    return pytest.mark.parametrize("item", items, ids=[item.name for item in items])
