"""Which device to compute on, and in which precision."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from skvae.networks import Conv2d, ConvTranspose2d


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
        warnings.warn(
            f"device={device!r} is not available here, so the model is on the CPU.", stacklevel=4
        )
        return "cpu"


def has_bfloat16(device: str) -> bool:
    """Whether the hardware multiplies matrices of bfloat16 itself."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool({"amx_bf16", "avx512_bf16"} & _abilities(device))


def _abilities(device: str) -> set[str]:
    """Return what a processor is known to do; an older torch does not say."""
    if torch.device(device).type != "cpu":
        return set()
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return {name for name, has in known.items() if has is True}


LARGE = 2**17
"""Weights of a dense layer from which on products in bfloat16 gain more than conversions cost."""


def resolve_precision(precision: str, device: str, model: nn.Module, compiled: bool) -> str:
    """Return the precision of training, ``"auto"`` resolved.

    That is bfloat16 where the hardware has it and it pays: for convolutions, if all are ours,
    which know where its kernels go wrong, and for large dense layers in a step that is compiled
    whole, or on a processor that has AVX512-BF16 and no AMX. With AMX, dense layers lose in
    conversions what they gain in products (benchmarks/against_torch.py: by hand .95 of float32 on
    an Intel with AMX, 1.4 on an AMD with AVX512-BF16).
    """
    if precision != "auto":
        return precision
    modules = list(model.modules())
    convolutions = [m for m in modules if isinstance(m, nn.modules.conv._ConvNd)]
    if convolutions:
        pays = all(isinstance(m, Conv2d | ConvTranspose2d) for m in convolutions)
    else:
        dense = [m for m in modules if isinstance(m, nn.Linear)]
        is_large = any(layer.weight.numel() >= LARGE for layer in dense)
        has_avx_alone = _abilities(device) & {"avx512_bf16", "amx_bf16"} == {"avx512_bf16"}
        pays = is_large and (compiled or has_avx_alone)
    return "bfloat16" if pays and has_bfloat16(device) else "float32"
