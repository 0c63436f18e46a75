"""The model file: one safetensors file that holds arrays and JSON, and executes nothing.

An estimator's state is a dict of plain values, arrays and parts. Arrays become tensors of
the file; everything else becomes JSON in its metadata, with a SHA-256 of the whole. Objects
of the user's own classes are not stored, only that they were there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save as to_bytes
from torch import nn

from skvae import _files, _template
from skvae._template import Template
from skvae._world import world

FORMAT = "skvae"
FORMAT_VERSION = 2
OBJECTS = ("encoder", "decoder", "likelihood", "prior", "posterior_family", "objective")
"""Parameters whose objects a model cannot do without."""


def write(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    state: Mapping[str, Any],
    parts: Mapping[str, type],
) -> None:
    """Write a state: of several processes that train together, the first one does it.

    See :func:`write_here`.
    """
    world().of_first(lambda: write_here(path, header, state, parts))


def write_here(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    state: Mapping[str, Any],
    parts: Mapping[str, type],
) -> None:
    """Write a state, atomically: a crash midway leaves the file that was there.

    The header holds plain values that describe the file: class and versions. Objects of
    ``parts`` become data; others are not stored.
    """
    arrays: dict[str, np.ndarray] = {}
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **header,
        "state": {name: _encode(value, name, arrays, parts) for name, value in state.items()},
    }
    text = json.dumps(document)
    metadata = {"skvae": text, "sha256": _digest(text, arrays)}
    _files.replace(path, to_bytes(arrays, metadata))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON document and the arrays of a model file, checked."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except OSError:
        raise
    except Exception as error:  # of safetensors, and of numpy for types that it has not
        check_memory(path, error)
        raise ValueError(f"{path} is truncated or not a safetensors file: {error}") from error
    if "skvae" not in metadata or "sha256" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not one that skvae's save wrote.")
    if _digest(metadata["skvae"], arrays) != metadata["sha256"]:
        raise ValueError(f"{path} is corrupted: its contents do not match their SHA-256.")
    try:
        document = json.loads(metadata["skvae"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} does not hold a valid model: {error}") from error
    _check_document(document, path)
    return document, arrays


def check_memory(path: str | os.PathLike[str], error: Exception) -> None:
    """Raise ``MemoryError`` where an error says, in whatever words, that there is no more."""
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
        raise MemoryError(f"{path} needs more memory than is available: {error}") from error


_OUT_OF_MEMORY = re.compile("not enough memory|can't allocate memory|out of memory")


def _check_document(document: Any, path: str | os.PathLike[str]) -> None:
    """Raise ``ValueError`` unless this is a document of a format that is known."""
    named = isinstance(document, dict) and document.get("format") == FORMAT
    version = document.get("format_version") if named else None
    if type(version) is not int or version < 1:
        raise ValueError(f"{path} does not hold a valid model: it does not name a format of skvae.")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}; this skvae reads up to {FORMAT_VERSION}. "
            "Upgrade skvae."
        )
    types = {"class": str, "versions": dict, "state": dict}
    known = document.keys() == {"format", "format_version", *types}
    if not known or not all(isinstance(document[name], types[name]) for name in types):
        raise ValueError(
            f"{path} does not hold a valid model: its keys, {sorted(document)}, or the types of "
            "their values are not those of a model."
        )


def decode(
    value: Any, name: str, arrays: dict[str, np.ndarray], parts: Mapping[str, type], given: Any
) -> Any:
    """Return the value that JSON stands for; the inverse of ``_encode``.

    Arrays that the value refers to are taken out; only ``parts`` may be constructed; the user's
    own objects are given by the name of the parameter.
    """
    if isinstance(value, list):
        return [decode(item, name, arrays, parts, given) for item in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items())) if len(value) == 1 else ("", value)
    if not isinstance(content, _CONTENT.get(kind, ())):
        raise ValueError(f"{name} is not encoded as in a valid model.")
    if kind == "dict":
        return {key: decode(item, key, arrays, parts, given) for key, item in content.items()}
    if kind == "tuple":
        return tuple(decode(item, name, arrays, parts, given) for item in content)
    if kind == "array":
        return arrays.pop(content)
    if kind == "strings":
        return np.array([_string(item, name) for item in content], dtype=object)
    if kind == "part":
        params = decode(content["params"], name, arrays, parts, given)
        return parts[content["class"]](**params)
    return _given(name, content, given)


_CONTENT: dict[str, Any] = {
    "dict": dict,
    "tuple": list,
    "array": str,
    "strings": list,
    "part": dict,
    "foreign": str,
}
"""What each kind of encoded value holds."""


def _string(item: Any, name: str) -> str:
    if not isinstance(item, str):
        raise ValueError(
            f"{name} holds a value of type {type(item).__name__}, but a valid model has only "
            "strings there."
        )
    return item


def _given(name: str, described: str, given: Mapping[str, Any]) -> Any:
    """Return the user's object for a parameter; what a fitted model can do without is None."""
    if name in given:
        return given[name]
    if name not in OBJECTS:
        return None
    raise ValueError(
        f"The model was made with {name}={described}, an object of your own that a file without "
        f"pickle cannot hold. Pass it: skvae.load(path, {name}=...)."
    )


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray], parts: Mapping[str, type]) -> Any:
    """Return JSON for a value; arrays are put aside."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = [_encode(item, name, arrays, parts) for item in value]
        if any(map(_is_foreign, items)):
            return {"foreign": type(value).__qualname__}
        return items if isinstance(value, list) else {"tuple": items}
    if _is_packed(value):
        return value
    if isinstance(value, Mapping):
        content = {str(key): _encode(item, key, arrays, parts) for key, item in value.items()}
        return {"dict": content}
    if isinstance(value, np.ndarray):
        return _encode_array(value, name, arrays)
    if _is_part(value, parts):
        params = _encode(value.get_params(deep=False), name, arrays, parts)
        if not any(map(_is_foreign, params["dict"].values())):
            return {"part": {"class": type(value).__name__, "params": params}}
    return {"foreign": type(value).__qualname__}


def _is_part(value: Any, parts: Mapping[str, type]) -> bool:
    """Whether a reader would make this object again: its class is one of the registry."""
    return type(value) is parts.get(type(value).__name__)


def _is_foreign(encoded: Any) -> bool:
    return isinstance(encoded, dict) and "foreign" in encoded


def _is_packed(value: Any) -> bool:
    content = value.get("part") if isinstance(value, dict) and len(value) == 1 else None
    return isinstance(content, dict) and content.keys() == {"class", "params"}


def pack(state: Mapping[str, Any], parts: Mapping[str, type]) -> dict[str, Any]:
    """Return a state with parts of ours and networks of the user's as plain data.

    All else is as it was: arrays, numbers, and objects of other classes.
    """
    seen: dict[int, Any] = {}

    def packed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: packed(item) for key, item in value.items()}
        if _is_part(value, parts):
            arrays: dict[str, np.ndarray] = {}
            encoded = _encode(value, "", arrays, parts)
            return encoded if _is_packed(encoded) and not arrays else value
        if isinstance(value, nn.Module):
            # One network in two places stays one.
            seen.setdefault(id(value), (_template.packed(value), value))
            return seen[id(value)][0]
        return value

    return packed(dict(state))


def unpack(state: Mapping[str, Any], parts: Mapping[str, type]) -> dict[str, Any]:
    """Return what :func:`pack` was given."""
    seen: dict[int, nn.Module] = {}

    def unpacked(value: Any) -> Any:
        if _is_packed(value):
            return decode(value, "", {}, parts, {})
        if isinstance(value, dict):
            return {key: unpacked(item) for key, item in value.items()}
        if isinstance(value, Template):
            if id(value) not in seen:
                seen[id(value)] = _template.unpacked(value)
            return seen[id(value)]
        return value

    return unpacked(dict(state))


def _encode_array(value: np.ndarray, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if value.dtype == object:
        return {"strings": value.tolist()}
    key = name
    while key in arrays:
        key += "'"
    arrays[key] = np.asarray(value, order="C")
    return {"array": key}


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the JSON and of every array with its name, dtype and shape."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name}|{value.dtype.str}|{value.shape}|".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).data)
    return digest.hexdigest()
