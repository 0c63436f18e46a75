"""zuko, the library of normalizing flows, where it is installed."""

from __future__ import annotations

from typing import Any


def require_zuko(what: str) -> Any:
    """Return the module.

    Raises
    ------
    ImportError
        Naming what needs it and the cure.
    """
    try:
        import zuko
    except ImportError as error:
        raise ImportError(
            f"{what} is built on zuko, which is not installed: pip install 'skvae[flows]'."
        ) from error
    return zuko
