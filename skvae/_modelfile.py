"""The model file: one safetensors file that holds arrays and JSON, and executes nothing.

An estimator's state is a dict of plain values, arrays and parts. Arrays become tensors of
the file; everything else becomes JSON in its metadata, with a SHA-256 of the whole. Objects
of the user's own classes are not stored, only that they were there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

FORMAT = "skvae"
FORMAT_VERSION = 1


def write(
    path: str | os.PathLike[str], header: Mapping[str, Any], state: Mapping[str, Any]
) -> None:
    """Write a state, atomically: a crash midway leaves the file that was there.

    Parameters
    ----------
    path : path-like
    header : mapping
        Plain values that describe the file: class and versions.
    state : mapping
        The estimator's state.
    """
    arrays: dict[str, np.ndarray] = {}
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **header,
        "state": {name: _encode(value, name, arrays) for name, value in state.items()},
    }
    text = json.dumps(document)
    metadata = {"skvae": text, "sha256": _digest(text, arrays)}
    _replace(Path(path), to_bytes(arrays, metadata))


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON document and the arrays of a model file.

    Raises
    ------
    ValueError
        When the file is truncated, corrupted, not of skvae, or of a later format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is truncated or not a safetensors file: {error}") from error
    if "skvae" not in metadata or "sha256" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not one that skvae's save wrote.")
    if _digest(metadata["skvae"], arrays) != metadata["sha256"]:
        raise ValueError(f"{path} is corrupted: its contents do not match their SHA-256.")
    document = json.loads(metadata["skvae"])
    version = document["format_version"]
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}; this skvae reads up to {FORMAT_VERSION}. "
            "Upgrade skvae."
        )
    return document, arrays


def decode(
    value: Any, name: str, arrays: Mapping[str, np.ndarray], parts: Mapping[str, type], given: Any
) -> Any:
    """Return the value that JSON stands for; the inverse of ``_encode``.

    Parameters
    ----------
    name : str
        The parameter or attribute that is being read.
    parts : mapping
        Classes that may be constructed, by name.
    given : mapping
        The user's own objects, by parameter name.
    """
    if isinstance(value, list):
        return [decode(item, name, arrays, parts, given) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"{name} is not encoded as in a valid model.")
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: decode(item, key, arrays, parts, given) for key, item in content.items()}
    if kind == "tuple":
        return tuple(decode(item, name, arrays, parts, given) for item in content)
    if kind == "array":
        return arrays[content]
    if kind == "strings":
        return np.array(content, dtype=object)
    if kind == "part":
        params = decode(content["params"], name, arrays, parts, given)
        return parts[content["class"]](**params)
    return _given(name, content, given)


def _given(name: str, described: str, given: Mapping[str, Any]) -> Any:
    """Return the user's object for a parameter; what a fitted model can do without is None."""
    if name in given:
        return given[name]
    if name in ("callbacks", "random_state"):
        return None
    raise ValueError(
        f"The model was made with {name}={described}, an object of your own that a file without "
        f"pickle cannot hold. Pass it: skvae.load(path, {name}=...)."
    )


def _encode(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return JSON for a value; arrays are put aside."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        items = [_encode(item, name, arrays) for item in value]
        if any(map(_is_foreign, items)):
            return {"foreign": type(value).__qualname__}
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        return {"dict": {str(key): _encode(item, key, arrays) for key, item in value.items()}}
    if isinstance(value, np.ndarray):
        return _encode_array(value, name, arrays)
    if type(value).__module__.startswith("skvae.") and hasattr(value, "get_params"):
        params = _encode(value.get_params(deep=False), name, arrays)
        if not any(map(_is_foreign, params["dict"].values())):
            return {"part": {"class": type(value).__name__, "params": params}}
    return {"foreign": type(value).__qualname__}


def _is_foreign(encoded: Any) -> bool:
    return isinstance(encoded, dict) and "foreign" in encoded


def _encode_array(value: np.ndarray, name: str, arrays: dict[str, np.ndarray]) -> Any:
    if value.dtype == object:
        return {"strings": value.tolist()}
    key = name
    while key in arrays:
        key += "'"
    arrays[key] = np.ascontiguousarray(value)
    return {"array": key}


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the JSON and of every array with its name, dtype and shape."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name}|{value.dtype.str}|{value.shape}|".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write to a temporary file beside the target, flush it to disk, and rename it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
