"""Which device to compute on."""

from __future__ import annotations

import warnings

import torch


def resolve_device(device: str) -> str:
    """Return the name of a device that is there.

    Raises
    ------
    ValueError
        When the device does not exist here or cannot hold float64.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]} "
            "Set device='auto' or device='cpu'."
        ) from error
    return device


def available_device(device: str) -> str:
    """Return the device, or the CPU with a warning where a saved model's is not there."""
    try:
        return resolve_device(device)
    except ValueError:
        warnings.warn(f"device={device!r} is not there; the model is on the CPU.", stacklevel=4)
        return "cpu"
