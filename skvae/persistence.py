"""Loading models from files that ``save`` wrote."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae import _modelfile, _state
from skvae._allotment import Allotment
from skvae._classifier import VAEClassifier
from skvae._conditional import ConditionalVAE
from skvae._host import host_by_default
from skvae._outliers import VAEOutlierDetector
from skvae._vae import VariationalAutoencoder
from skvae.likelihoods import LIKELIHOODS
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS

__all__ = ["load"]

ALLOWANCE = 2**26
"""Bytes that a model may need beyond three times its arrays, and for each column."""
COLUMN = 2**8


def load(
    path: str | os.PathLike[str], **objects: Any
) -> VariationalAutoencoder | ConditionalVAE | VAEClassifier | VAEOutlierDetector:
    """Load a model from a file that its method ``save`` wrote.

    Nothing in the file is executed: it holds arrays and JSON. The loaded model gives the same
    results as the saved one and continues training in the same way, bit for bit.

    A file may come from an unknown source. Whatever it holds, reading it takes at most five times
    the memory of its arrays, 64 times that of its JSON (some kilobytes, and 250 bytes per epoch),
    256 bytes per column of X for each model in it, and 100 MB, and a corresponding time. Your own
    networks and parts, given as ``objects``, are not included in this.

    Parameters
    ----------
    path : path-like
        The file.
    **objects
        Parameters that are objects of your own classes, which are not in the file: ``encoder=``,
        ``decoder=``, ``likelihood=``, ``prior=``, ``posterior_family=``, ``objective=``. Give them
        unfitted, as they were given to the constructor. ``callbacks=`` and ``random_state=`` can be
        given as well; otherwise they are ``None``.

    Returns
    -------
    VariationalAutoencoder, ConditionalVAE, VAEClassifier or VAEOutlierDetector
        The fitted estimator that was saved.

    Raises
    ------
    OSError
        When there is no such file, or it cannot be read.
    MemoryError
        When this machine does not have enough memory.
    ValueError
        When the file is truncated, corrupted, of another kind, of a later format or not a valid
        model, or when an object of your own class is missing.
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
    known = _state.ESTIMATORS
    if document["class"] not in known:
        raise ValueError(
            f"{path} holds a {document['class'][:99]!r}, which this version of skvae cannot load. "
            f"It can load {sorted(known)}."
        )
    cls: Any = known[document["class"]]
    holders = [cls, *(known[a.holds] for a in cls._fitted.values() if a.holds)]
    unknown = sorted(set(objects).difference(*(c().get_params(deep=False) for c in holders)))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a parameter of {document['class']}.")
    try:
        with host_by_default():
            estimator = _made(cls, document["state"], document["format_version"], arrays, objects)
        if arrays:
            raise ValueError(f"The array {min(arrays)!r} does not belong to a valid model.")
    except (ImportError, OSError, Warning):
        raise
    except Exception as error:  # what a hostile structure may trip over has no end
        _modelfile.check_memory(path, error)
        told = (
            f": {error}"
            if isinstance(error, ValueError)
            else f" does not hold a valid model: {error!r}"
        )
        raise ValueError(f"{path}{told:.2000}") from error
    return estimator


def _made(
    cls: Any, encoded: dict[str, Any], version: int, arrays: dict[str, Any], objects: dict[str, Any]
) -> Any:
    """Return the fitted estimator of a state, as JSON; its arrays are taken out of the others."""
    estimator = cls()
    held = {name: attribute.holds for name, attribute in cls._fitted.items() if attribute.holds}
    inside = {
        name: _made_within(holds, encoded.get(name), name, version, arrays, objects)
        for name, holds in held.items()
    }
    encoded = {name: value for name, value in encoded.items() if name not in held}
    state = _state_of(estimator, encoded, inside, version, arrays, objects)
    # Objects of the user's run as they are.
    trusted = objects.keys() & set(_modelfile.OBJECTS)
    with nullcontext() if trusted or inside else Allotment(_limit(state)):
        estimator.__setstate__(state)
    if "_arrays" in state:
        _check_arrays(estimator, state["_arrays"])
    return estimator


def _made_within(holds: str, value: Any, name: str, *others: Any) -> Any:
    """Return the fitted estimator, or the list of them, that an attribute of another one is."""
    several = isinstance(value, list)
    made = [
        _made(_state.ESTIMATORS[holds], _content(one, name), *others)
        for one in (value if several else [value])
    ]
    return made if several else made[0]


def _content(value: Any, name: str) -> dict[str, Any]:
    """Return what is encoded of an estimator within another one."""
    content = value.get("dict") if isinstance(value, dict) else None
    if not isinstance(content, dict):
        raise ValueError(f"A valid model has {name!r} in its state.")
    return content


def _limit(state: dict[str, Any]) -> int:
    """Return the bytes that making the model may take; a column has a number in the arrays."""
    arrays = state["_arrays"].values()
    columns = min(state["n_features_in_"], sum(array.size for array in arrays))
    return ALLOWANCE + COLUMN * columns + 3 * sum(array.nbytes for array in arrays)


def _state_of(
    estimator: Any,
    encoded: dict[str, Any],
    inside: dict[str, Any],
    format_version: int,
    arrays: dict[str, Any],
    objects: dict[str, Any],
) -> dict[str, Any]:
    """Return the estimator's state, which has all its names and no others, as plain data.

    The fitted estimators that are ``inside`` it are made already.
    """
    fitted, params = estimator._fitted, set(estimator.get_params(deep=False))
    for version in range(format_version, _modelfile.FORMAT_VERSION):
        encoded = _UPGRADES[version](encoded, arrays)
    optional = {name for name, attribute in fitted.items() if attribute.is_optional}
    required = {*fitted} - optional - {*inside}
    if format_version == _modelfile.FORMAT_VERSION:
        required |= params  # older files lack what came later, which has its default
    for name in sorted(required ^ set(encoded)):
        if name in required or name not in params | optional:
            raise ValueError(
                f"A valid model has {'' if name in required else 'no '}{name!r} in its state."
            )
    state = {
        name: _modelfile.decode(value, name, arrays, _state.PARTS, objects)
        for name, value in encoded.items()
    }
    state |= inside
    if isinstance(state.get("vae"), dict):
        _check_parameters(VariationalAutoencoder(), state["vae"])
        state["vae"] = VariationalAutoencoder(**state["vae"])
    _check_parameters(estimator, {name: state[name] for name in params & set(state)})
    if "_architecture" in state:
        names = params & {*state["_architecture"]}
        structure = {name: state["_architecture"][name] for name in names}
        _check_parameters(estimator, structure | {"optimizer": state["_optimizer"]})
    _state.check(fitted, _state.restored(fitted, state))
    return state


def _check_parameters(estimator: Any, params: dict[str, Any]) -> None:
    """Raise ``ValueError`` for a parameter that ``fit`` would refuse."""
    type(estimator)(**params)._validate_params()
    # A file holds no callbacks; the user's own come from elsewhere.
    if any(map(_is_plain, params.get("callbacks") or ())):
        raise ValueError("callbacks has a value that no valid model has.")
    if params.get("device", "").startswith("meta"):
        raise ValueError("device has a value that no valid model has.")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | list | dict | tuple)


def _from_version_1(state: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return a state of format 1, as JSON, in the terms of format 2, and complete its arrays.

    There the architecture is whole, with parts as objects, the optimiser beside it; what X
    means is known to the reader; the epoch whose weights were kept is recorded; and likelihoods
    know more of their columns.
    """
    state = dict(state)
    structure = dict(state.pop("_fitted_structure")["dict"])
    state["_optimizer"] = structure.pop("optimizer")
    structure |= {"n_context": 0, "encoder_sees_context": False, "encoder_sees_missing": False}
    structure["linear_path"] = False
    structure["dropout"] = float(structure["dropout"])
    for name, registry in (
        ("likelihood", LIKELIHOODS),
        ("prior", PRIORS),
        ("posterior_family", POSTERIORS),
    ):
        if isinstance(structure[name], str):
            made = registry[structure[name]].__name__
            structure[name] = {"part": {"class": made, "params": {"dict": {}}}}
    state["_architecture"] = {"dict": structure}
    reader = {"categories": state.pop("categories_"), "unit": state.pop("unit_"), "unsettled": None}
    state["_reader"] = {"dict": reader}
    state["best_epoch_"] = _best_epoch([row["dict"] for row in state["history_"]], state["tol"])
    later = _later_buffers(arrays)
    arrays |= later
    references = {name: {"array": name} for name in later}
    state["_arrays"] = {"dict": state["_arrays"]["dict"] | references}
    return state


def _later_buffers(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what likelihoods have more in format 2, such that it changes nothing.

    Counts are standardised; and constant columns are known.
    """
    later: dict[str, np.ndarray] = {}
    for name in arrays:
        owner, _, buffer = name.rpartition(".")
        shape = arrays.get(f"{owner}.loc", np.zeros(0)).shape
        if buffer == "typical_total":
            later[f"{owner}.log_scale"] = np.ones(shape, np.float32)
            later[f"{owner}.embedded_loc"] = np.zeros(shape)
            later[f"{owner}.embedded_scale"] = np.ones(shape)
        elif buffer == "column_scale":
            later[f"{owner}.varies"] = np.ones(shape, bool)
    return later


def _best_epoch(history: list[dict[str, Any]], tol: float) -> int:
    """Return the last epoch, or where rows were held out the one that early stopping restored."""
    kept, threshold = len(history), np.inf
    if "valid_loss" in history[-1]:
        for number, row in enumerate(history, start=1):
            # An improvement is one by more than tol.
            if row.get("valid_loss", np.inf) < threshold:
                kept, threshold = number, row["valid_loss"] - tol
    return kept


_UPGRADES = {1: _from_version_1}
"""For every older format, what makes a state of it and its arrays those of the next."""


def _check_arrays(estimator: Any, arrays: dict[str, np.ndarray]) -> None:
    """Raise ``ValueError`` unless the model would be saved with the arrays that it came with."""
    kept = estimator.__getstate__()["_arrays"]
    if kept.keys() != arrays.keys():
        raise ValueError(
            f"The array {min(arrays.keys() ^ kept.keys())!r} is missing, or does not belong to a "
            "valid model."
        )
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
            raise ValueError("The optimiser's state is not that of a valid model.")
