"""Access to zuko, the library of normalizing flows, if it is installed."""

from __future__ import annotations

from typing import Any


def require_zuko(what: str) -> Any:
    """Return the module ``zuko``.

    Parameters
    ----------
    what : str
        Name of the class that needs it, for the error message.

    Returns
    -------
    zuko : module
        The library.

    Raises
    ------
    ImportError
        When zuko is not installed. The message gives the command that installs it.

    Examples
    --------
    >>> from skvae.distributions import require_zuko
    >>> require_zuko("FlowPrior").__name__
    'zuko'
    """
    try:
        import zuko
    except ImportError as error:
        raise ImportError(
            f"{what} needs zuko, which is not installed. Run: pip install 'skvae[flows]'"
        ) from error
    return zuko
