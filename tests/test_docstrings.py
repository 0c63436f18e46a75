"""Docstrings held to the code: parameters, defaults, errors, shapes, units, sources, examples."""

import ast
import builtins
import inspect
import math
import re
import textwrap
from dataclasses import is_dataclass
from functools import cache
from types import FunctionType, ModuleType

import optuna
import pandas as pd
import pytest
import sklearn.exceptions
import zuko
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris

from skvae import (
    ConditionalVAE,
    VAEClassifier,
    VAEImputer,
    VAEOutlierDetector,
    VariationalAutoencoder,
)
from skvae.sampling import FlowDensity, LatentDensitySampler
from tests.public import EVERYTHING, MODULES, TOP, Documented, each, is_ours

FORM = {"GL03", "GL05", "GL06", "GL07", "GL08", "SS03", "SS04", "PR05", "PR09", "PR10"}
FORM |= {"RT05", "SA02", "SA04", "YD01"}
"""numpydoc's checks of the form: blank lines, order and names of sections, whole sentences."""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_says_what_it_is_for(module):
    assert len(module.__doc__.splitlines()[0]) > 20
    assert len(module.__all__) == len(set(module.__all__))


def constants(module):
    """Return the public names of a module that are neither classes nor functions."""
    values = {name: getattr(module, name) for name in module.__all__ if not name.startswith("__")}
    return {name for name, value in values.items() if not isinstance(value, FunctionType | type)}


@pytest.mark.parametrize(
    "module", list(filter(constants, MODULES)), ids=lambda module: module.__name__
)
def test_constants_have_docstrings_below_them(module):
    body = ast.parse(inspect.getsource(module)).body
    strings = [isinstance(getattr(node, "value", None), ast.Constant) for node in body]
    explained = {
        ast.unparse(getattr(node, "target", None) or node.targets[0])
        for node, is_explained in zip(body, [*strings[1:], False], strict=True)
        if is_explained and isinstance(node, ast.Assign | ast.AnnAssign)
    }
    assert constants(module) <= explained


@each(EVERYTHING)
def test_docstrings_are_numpydoc(item):
    assert item.value.__doc__, f"{item.name} has no docstring"
    found = validate(get_doc_object(item.value if item.is_class else item.function))["errors"]
    assert [message for code, message in found if code in FORM] == [], item.name


# Parameters and what is returned


def documented_parameters(item):
    """Return the type of each documented parameter by name; a named tuple has attributes."""
    section = "Attributes" if item.is_class and issubclass(item.value, tuple) else "Parameters"
    return {
        name.strip("* "): entry.type
        for entry in item.full_doc[section]
        for name in entry.name.split(",")
    }


@each(item for item in EVERYTHING if not item.is_torchs)
def test_parameters_are_those_of_the_signature(item):
    assert list(documented_parameters(item)) == list(item.signature), f"parameters of {item.name}"


@each(item for item in EVERYTHING if item.signature and not item.is_torchs)
def test_defaults_are_those_of_the_signature(item):
    types = documented_parameters(item)
    for name, parameter in item.signature.items():
        said = types.get(name, "not documented")
        stated = re.search(r"default=(.+)$", said)
        what = f"{name} of {item.name}: {said!r} in the docstring, {parameter} in the code"
        if said == "Ignored" or parameter.default is inspect.Parameter.empty:
            assert not stated, what
        else:
            assert stated, what
            value = math.nan if stated[1] == "nan" else ast.literal_eval(stated[1])
            assert repr(value) == repr(parameter.default), what


def returns_something(item):
    """Whether the annotation promises a value other than the object itself."""
    if item.is_class or item.is_property or item.is_torchs:
        return False
    annotation = inspect.signature(item.function).return_annotation
    return annotation not in (None, "None", "Self", getattr(item.owner, "__name__", None))


@each(filter(returns_something, EVERYTHING))
def test_what_is_returned_is_said(item):
    doc = item.full_doc
    assert doc["Returns"] or doc["Yields"], f"{item.name} has no section Returns"


ARRAY = re.compile(r"\b(array-like|ndarray|sparse matrix|Tensor)\b")
SHAPE = re.compile(r"\bshape\b|\((\w+|\.\.\.),")


@each(EVERYTHING)
def test_arrays_have_shapes(item):
    for section in ("Parameters", "Attributes", "Returns"):
        for entry in item.doc[section]:
            text = " ".join([entry.type, *entry.desc])
            if ARRAY.search(entry.type):
                assert SHAPE.search(text), f"{entry.name or 'result'} of {item.name}: {text}"


QUANTITIES = re.compile(
    r"elbo|score|^kl$|^kl_per|_kl$|bound|log_(prob|density|likelihood)|entropy|information$|correlation"
    r"|rate_|bits"
)
"""Names of functions that return nats, bits, or errors in the units of X."""


@each(
    item for item in EVERYTHING
    if QUANTITIES.search(item.name.rpartition(".")[2]) and not item.is_class
)  # fmt: skip
def test_quantities_have_units(item):
    assert re.search(r"\b([Nn]ats|[Bb]its|units of X)\b", item.value.__doc__), item.name


# Errors

CHECKS = {
    "check_is_fitted": {"NotFittedError"},
    "check_scalar": {"TypeError", "ValueError"},
    "check_array": {"ValueError"},
    "check_consistent_length": {"ValueError"},
    "column_or_1d": {"ValueError"},
    "validate_data": {"ValueError"},
}
"""Functions of scikit-learn that raise, and what."""


def exception(name):
    """Return the exception class of a name in a section Raises."""
    if name == "optuna.TrialPruned":
        return optuna.TrialPruned
    return getattr(builtins, name, None) or getattr(sklearn.exceptions, name)


def said_to_raise(doc):
    return [exception(name) for entry in doc["Raises"] for name in re.split(r",\s*", entry.type)]


def called(node, function, owner):
    """Return what a call in a function's source leads to, as far as names tell."""
    if isinstance(node, ast.Name):
        return function.__globals__.get(node.id)
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return None
    module = function.__globals__.get(node.value.id)
    if isinstance(module, ModuleType):
        return getattr(module, node.attr, None)
    is_own = node.value.id in ("self", "cls") and owner is not None
    return inspect.getattr_static(owner, node.attr, None) if is_own else None


def error_name(node, function, owner):
    """Return the name of an error's class, or of what a function that makes one returns."""
    annotations = getattr(called(node, function, owner), "__annotations__", {})
    return annotations.get("return", ast.unparse(node))


@cache
def raised(function, owner):
    """Return the names of errors that a function raises, itself or by ours that it calls.

    What the body of a ``try`` raises is taken to be caught.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    bodies = [part for node in ast.walk(tree) if isinstance(node, ast.Try) for part in node.body]
    caught = {node for body in bodies for node in ast.walk(body)}
    found = set()
    for node in set(ast.walk(tree)) - caught:
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found.add(error_name(node.exc.func, function, owner))
        if isinstance(node, ast.Call):
            target = called(node.func, function, owner)
            found |= CHECKS.get(getattr(target, "__name__", None), set())
            if isinstance(target, FunctionType) and is_ours(target) and target is not function:
                found |= raised(inspect.unwrap(target), owner)
    return found


def has_source(item):
    return is_ours(item.function) and not (item.is_class and is_dataclass(item.value))


@each(item for item in EVERYTHING if has_source(item) and not item.is_torchs)
def test_what_is_raised_is_said(item):
    # A class may say for its methods what they raise: users give parts, and do not call them.
    docs = [item.full_doc, *([Documented("", item.owner).doc] if item.owner else [])]
    said = {error for doc in docs for error in said_to_raise(doc)}
    for name in raised(item.function, item.owner) - {"NotImplementedError"}:
        assert exception(name) in said, f"{item.name} raises {name}"


@each(item for item in EVERYTHING if item.doc["Raises"])
def test_errors_are_said_by_their_names(item):
    assert all(issubclass(error, Exception) for error in said_to_raise(item.doc))


# Sources, examples, attributes


def is_of_a_paper(item):
    """Whether an object is the model, a part of it, a measure or a way to sample."""
    kinds = {"_vae", "likelihoods", "priors", "posteriors", "objectives", "metrics", "sampling"}
    interfaces = {"Likelihood", "Prior", "Posterior", "Objective", "Bound"}
    return item.value.__module__.split(".")[1] in kinds and item.value.__name__ not in interfaces


@each(filter(is_of_a_paper, TOP))
def test_every_part_names_its_source(item):
    assert re.search(r"\b(17|19|20)\d\d\b", item.value.__doc__), f"{item.name} has no year"
    assert re.search(r"https?://", item.value.__doc__), f"{item.name} has no link"


@each(item for item in TOP if not (item.is_class and issubclass(item.value, Warning)))
def test_every_class_and_function_has_an_example(item):
    # A method may have one; what is to be seen of it is in the class's, as in scikit-learn.
    assert ">>> " in "".join(item.doc["Examples"]), f"{item.name} has no example"


@pytest.fixture(scope="module")
def fitted():
    """Estimators of each class, fitted to a table with names and a category."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    table = X.assign(species=pd.Categorical(y))
    vae = VariationalAutoencoder(likelihood="mixed", max_epochs=1, random_state=0).fit(table)
    sampler = LatentDensitySampler(vae, random_state=0).fit(table, y)
    flow = FlowDensity(zuko.flows.MAF(4), n_steps=1, random_state=0).fit(X)
    imputer = VAEImputer(vae, n_importance_samples=1).fit(table)
    conditional = ConditionalVAE(VariationalAutoencoder(max_epochs=1)).fit(X, y)
    detector = VAEOutlierDetector(vae, n_estimators=1).fit(table)
    classifier = VAEClassifier(VariationalAutoencoder(max_epochs=1)).fit(X, y)
    estimators = vae, sampler, flow, imputer, conditional, detector, classifier
    return {type(estimator): estimator for estimator in estimators}


@each(item for item in TOP if item.is_class and issubclass(item.value, BaseEstimator))
def test_fitted_attributes_are_those_documented(item, fitted):
    attributes = {n for n in dir(fitted[item.value]) if re.fullmatch(r"[a-z]\w*(?<!_)_", n)}
    said = {n.strip() for entry in item.doc["Attributes"] for n in entry.name.split(",")}
    assert said == attributes
