"""How the process runs while it trains: memory that stays, and no denormal numbers."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

# Parameters of glibc's mallopt, and where glibc's own adaptation of them ends.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER = 2**31 - 1


@cache
def _glibc() -> Any:
    """Return the C library where it is glibc, else ``None``."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep freed memory within the block, and give it back to the system after it.

    By default glibc returns the activations of a step to the system, which then has to clear
    every page again for the next: half of the time of a convolutional network in
    float32. On other systems this does nothing.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _NEVER)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        # What glibc itself would have come to after such blocks; there is no way back.
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        libc.malloc_trim(0)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Round numbers below 1e-38 to 0 within the block.

    Adam's averages for weights whose gradient has become 0 decay to such numbers and stay
    there; processors take many times longer for each.
    """
    smallest = torch.tensor(1e-40)
    was_flushed = bool(smallest * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushed)
