"""Arrays of more than two dimensions: images and volumes, and how they become rows."""

from __future__ import annotations

from typing import Any

CHANNELS = (1, 3, 4)
"""Of grey, coloured, and coloured transparent images: what tells channels from heights."""


def check_dimensions(X: Any, do_first: str = "") -> None:
    """Raise ``ValueError`` for more than two dimensions, and say how to make rows of them.

    ``do_first`` is what has to be done to X before that.
    """
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) <= 2:
        return
    says = _volumes if len(shape) == 5 else _images if len(shape) < 5 else _tables
    # The end of the first part is in scikit-learn's words, which its checks look for.
    what, cure = says(shape, "permute" if hasattr(X, "permute") else "transpose")
    raise ValueError(
        f"X has {len(shape)} dimensions, {shape}, but {what}: expected 2, found array with dim "
        f"{len(shape)}. {do_first}{cure}"
    )


def _is_channels_first(shape: tuple[int, ...]) -> bool:
    return len(shape) > 3 and shape[1] in CHANNELS and shape[-1] not in CHANNELS


def _channels_last(shape: tuple[int, ...], permute: str) -> tuple[tuple[int, ...], str, str]:
    """Return the shape with channels last, how to get there, and a note of it."""
    if not _is_channels_first(shape):
        return shape, "X", ""
    axes = (0, *range(2, len(shape)), 1)
    return tuple(shape[axis] for axis in axes), f"X.{permute}{axes}", ", with the channels last"


def _images(shape: tuple[int, ...], permute: str) -> tuple[str, str]:
    (_, *image), x, order = _channels_last(shape, permute)
    seen = " (the channels of X seem to come first)" if order else ""
    return (
        f"every image must be one row{order}{seen}",
        f"Pass {x}.reshape(len(X), -1) with image_shape={tuple(image)}.",
    )


def _volumes(shape: tuple[int, ...], permute: str) -> tuple[str, str]:
    (n, depth, height, width, channels), x, order = _channels_last(shape, permute)
    seen = " (the channels of X seem to come first)" if order else ""
    return (
        f"it seems to hold volumes, each of which must be one row{order}{seen}, and there are no "
        "networks for volumes",
        f"Pass {x}.reshape(len(X), -1), either as a table with image_shape=None, or as images in "
        f"which the slices are below each other, image_shape={(depth * height, width, channels)}. "
        f"Or make every slice one row: {x}.reshape({n * depth}, -1) with "
        f"image_shape={(height, width, channels)}.",
    )


def _tables(shape: tuple[int, ...], permute: str) -> tuple[str, str]:
    return (
        "every sample must be one row",
        "Pass X.reshape(len(X), -1), as a table with image_shape=None.",
    )
