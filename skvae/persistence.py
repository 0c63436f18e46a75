"""Loading models from files, which may come from anybody."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae import _assemble, _modelfile
from skvae._allotment import Allotment
from skvae._vae import VariationalAutoencoder

__all__ = ["load"]

ESTIMATORS = {VariationalAutoencoder.__name__: VariationalAutoencoder}
OPTIONAL = {"feature_names_in_", "_sklearn_output_config"}
"""State that not every model has."""

ALLOWANCE = 2**26
"""Bytes that a model may need beyond three times its arrays, and for each column."""
COLUMN = 2**8


def load(path: str | os.PathLike[str], **objects: Any) -> VariationalAutoencoder:
    """Load a model that :meth:`VariationalAutoencoder.save` wrote.

    Nothing in the file is executed: it holds arrays and JSON. The model predicts and
    continues training bit for bit as the one that was saved.

    A file may come from anybody. Whatever it holds, reading it takes at most five times the
    memory of its arrays, 64 times that of its JSON (some kilobytes, and 250 bytes an epoch),
    256 bytes a column of X and 100 MB, and the time that goes with that. Networks and parts
    of your own, given as ``objects``, take what they take.

    Parameters
    ----------
    path : path-like
        The file.
    **objects
        Parameters that were objects of the user's own classes and so are not in the file:
        ``encoder=``, ``decoder=``, ``likelihood=``, ``prior=``, ``posterior_family=``,
        ``objective=``, unfitted as they were given to the constructor. ``callbacks=`` and
        ``random_state=`` may be given; they are ``None`` otherwise.

    Returns
    -------
    VariationalAutoencoder
        Fitted.

    Raises
    ------
    OSError
        When there is no such file, or it cannot be read.
    ValueError
        When the file is truncated, corrupted, foreign, of a later format or not a valid
        model, or an object of the user's is missing.
    ImportError
        When the model has a flow and zuko (extra ``flows``) is not installed.

    Examples
    --------
    >>> import skvae
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = skvae.VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> path = getfixture("tmp_path") / "iris.safetensors"
    >>> vae.save(path)
    >>> (skvae.load(path).transform(X) == vae.transform(X)).all()
    np.True_
    """
    document, arrays = _modelfile.read(path)
    if document["class"] not in ESTIMATORS:
        raise ValueError(
            f"{path} holds a {document['class'][:99]!r}; this skvae knows {sorted(ESTIMATORS)}."
        )
    estimator = ESTIMATORS[document["class"]]()
    unknown = sorted(set(objects) - set(estimator.get_params(deep=False)))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a parameter of {document['class']}.")
    # Objects of the user's run as they are.
    trusted = objects.keys() & set(_modelfile.OBJECTS)
    try:
        state = _state(estimator, document, arrays, objects)
        with nullcontext() if trusted else Allotment(_limit(state)):
            estimator.__setstate__(state)
        _check_arrays(estimator, state["_arrays"])
    except (ImportError, OSError, Warning):
        raise
    except Exception as error:  # what a hostile structure may trip over has no end
        told = (
            f": {error}"
            if isinstance(error, ValueError)
            else f" does not hold a valid model: {error!r}"
        )
        raise ValueError(f"{path}{told:.2000}") from error
    return estimator


def _limit(state: dict[str, Any]) -> int:
    """Return the bytes that making the model may take; a column has a number in the arrays."""
    arrays = state["_arrays"].values()
    columns = min(state["n_features_in_"], sum(array.size for array in arrays))
    return ALLOWANCE + COLUMN * columns + 3 * sum(array.nbytes for array in arrays)


def _state(
    estimator: Any, document: dict[str, Any], arrays: dict[str, Any], objects: dict[str, Any]
) -> dict[str, Any]:
    """Return the estimator's state, which has all its names and no others."""
    encoded = document["state"]
    params = set(estimator.get_params(deep=False))
    required = {*estimator._FITTED_STATE} - OPTIONAL
    if document["format_version"] == _modelfile.FORMAT_VERSION:
        required |= params  # older files lack what came later, which has its default
    for name in sorted(required ^ set(encoded)):
        if name in required or name not in params | OPTIONAL:
            raise ValueError(
                f"A valid model has {'' if name in required else 'no '}{name!r} in its state."
            )
    state = {
        name: _modelfile.decode(value, name, arrays, _assemble.PARTS, objects)
        for name, value in encoded.items()
    }
    if arrays:
        raise ValueError(f"A valid model has no array {min(arrays)!r}.")
    _check_parameters(estimator, {name: state[name] for name in params & set(state)})
    _check_structure(estimator, state["_fitted_structure"])
    _check_attributes(state)
    return state


def _check_parameters(estimator: Any, params: dict[str, Any]) -> None:
    """Raise ``ValueError`` for a parameter that ``fit`` would refuse."""
    type(estimator)(**params)._validate_params()


def _check_structure(estimator: Any, structure: dict[str, Any]) -> None:
    """Raise ``ValueError`` unless this is what some parameters resolve to."""
    params = {name: value for name, value in structure.items() if name != "n_features"}
    _check_parameters(estimator, params)
    resolved = vars(_assemble.resolve(params, structure["n_features"]))
    if {*resolved, "optimizer"} != {*structure}:
        raise ValueError(f"A valid model's structure is not {sorted(structure)}.")
    for name, value in resolved.items():
        if type(value) is not type(structure[name]) or not _assemble.same(value, structure[name]):
            raise ValueError(f"A valid model has no {name}={structure[name]!r} in its structure.")


def _check_attributes(state: dict[str, Any]) -> None:
    """Raise ``ValueError`` for a fitted attribute that ``fit`` could not have set."""
    structure, history = state["_fitted_structure"], state["history_"]
    n_components, n_features = structure["n_components"], structure["n_features"]
    output = state.get("_sklearn_output_config", {})
    valid = {
        "n_features_in_": _are_counts([state["n_features_in_"], n_features])
        and state["n_features_in_"] == n_features,
        "n_samples_": _are_counts([state["n_samples_"]]),
        "feature_names_in_": "feature_names_in_" not in state
        or _is_array(state["feature_names_in_"], "O", n_features),
        "categories_": _are_categories(state["categories_"]),
        "unit_": state["unit_"] in (1.0, 255.0),
        "history_": isinstance(history, list) and all(map(_is_epoch, history)),
        "n_iter_": _are_counts([state["n_iter_"]]) and state["n_iter_"] == len(history),
        "kl_per_component_": _is_array(state["kl_per_component_"], "f", n_components),
        "active_components_": _is_array(state["active_components_"], "b", n_components),
        # A file holds no callbacks; the user's own come from elsewhere.
        "callbacks": not any(map(_is_plain, state["callbacks"] or ())),
        "device": not state["device"].startswith("meta"),
        "_arrays": isinstance(state["_arrays"], dict),
        "_seed": type(state["_seed"]) is int and 0 <= state["_seed"] < 2**32,
        "_fitted_dtype": state["_fitted_dtype"] in ("float32", "float64"),
        "_sklearn_output_config": isinstance(output, dict)
        and all(key == "transform" and isinstance(value, str) for key, value in output.items()),
    }
    for name, is_valid in valid.items():
        if not is_valid:
            raise ValueError(f"{name} is none that a valid model has.")


def _are_counts(values: Iterable[Any]) -> bool:
    return all(type(value) is int and value > 0 for value in values)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | list | dict | tuple)


def _is_array(value: Any, kind: str, length: int) -> bool:
    is_one = isinstance(value, np.ndarray) and value.dtype.kind == kind
    return is_one and value.shape == (length,)


def _are_categories(categories: Any) -> bool:
    return isinstance(categories, dict) and all(
        isinstance(levels, list) and all(isinstance(level, str | int | float) for level in levels)
        for levels in categories.values()
    )


def _is_epoch(row: Any) -> bool:
    terms = ("epoch", "dur", "train_loss", "train_reconstruction", "train_kl")
    return isinstance(row, dict) and all(isinstance(row.get(term), int | float) for term in terms)


def _check_arrays(estimator: Any, arrays: dict[str, np.ndarray]) -> None:
    """Raise ``ValueError`` unless the model would be saved with the arrays that it came with."""
    kept = estimator.__getstate__()["_arrays"]
    if kept.keys() != arrays.keys():
        raise ValueError(f"A valid model has no array {min(arrays.keys() ^ kept.keys())!r}.")
    for name, made in kept.items():
        given = arrays[name]
        if (made.dtype, made.shape) != (given.dtype, given.shape):
            raise ValueError(
                f"{name} is {given.dtype} of shape {given.shape}; a valid model has {made.dtype} "
                f"of shape {made.shape}."
            )
    _check_slots(estimator.net_)


def _check_slots(net: Any) -> None:
    """Raise ``ValueError`` unless the optimiser could go on: it has slots that it makes itself."""
    probe = torch.zeros(1, requires_grad=True)
    probe.grad = torch.zeros(1)
    fresh = net.optimizer([probe], lr=0.0)
    fresh.step()
    for parameter, slots in net.optimizer_.state.items():
        known = isinstance(parameter, Tensor) and (
            not slots or slots.keys() == fresh.state[probe].keys()
        )
        if not known or not all(
            slots[name].shape == (parameter.shape if slot.ndim else ())
            for name, slot in fresh.state[probe].items()
        ):
            raise ValueError("The optimiser's state is none that a valid model has.")
