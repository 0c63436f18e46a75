"""The state of a net as plain numpy arrays and numbers, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from skvae._training.net import VAENet, channels_last

_MODEL, _OPTIMIZER = "model.", "optimizer."


def state_arrays(net: VAENet) -> dict[str, np.ndarray]:
    """Return weights and optimiser state, each under its dotted name."""
    model = net.module_.state_dict()
    arrays = {_MODEL + name: value for name, value in model.items()}
    for index, slots in net.optimizer_.state_dict()["state"].items():
        for name, value in slots.items():
            if value is not None:
                arrays[f"{_OPTIMIZER}{index}.{name}"] = torch.as_tensor(value, device="cpu")
    return {name: value.detach().cpu().numpy().copy() for name, value in arrays.items()}


def load_arrays(net: VAENet, arrays: dict[str, np.ndarray]) -> None:
    """Put a state back; the inverse of :func:`state_arrays`.

    Raises
    ------
    ValueError
        When names or shapes are not those of the net.
    """
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    weights = {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
    try:
        net.module_.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"The weights do not fit the model: {error}") from error
    slots: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = channels_last(tensor)
    groups = net.optimizer_.state_dict()["param_groups"]
    net.optimizer_.load_state_dict({"state": slots, "param_groups": groups})
