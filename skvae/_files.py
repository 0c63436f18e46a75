"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


def replace(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, atomically: after a crash or an error, what was there is as it was.

    A temporary file beside the target is written, flushed to disk and renamed. A symlink stays
    and its target is replaced; a file that is there keeps its mode. What is no file, such as a
    pipe, cannot be renamed over and is written to.
    """
    before = _status(path)
    if before is not None and not (stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode)):
        Path(path).write_bytes(content)
        return
    target = Path(os.path.realpath(path))
    # Of one length, whatever the target's: names have a limit.
    prefix = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}"
    _remove_abandoned(target.parent, prefix)
    with ExitStack() as held:
        temporary, file = _create(target, prefix)
        try:
            with file:
                if before is not None:
                    _keep_mode(temporary, stat.S_IMODE(before.st_mode))
                if sys.platform != "win32":  # whose files must be closed to be renamed
                    held.callback(os.close, os.dup(file.fileno()))  # keeps the lock
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    _flush_folder(target.parent)


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except FileNotFoundError:
        return None


def _create(target: Path, prefix: str) -> tuple[Path, BinaryIO]:
    """Return a new file beside the target, of the mode of any new file, and locked."""
    if not target.parent.is_dir():
        raise OSError(errno.ENOENT, "There is no folder to write into", str(target.parent))
    while True:
        temporary = target.with_name(f"{prefix}.{secrets.token_hex(8)}.tmp")
        file = temporary.open("xb")
        if _lock(file):
            return temporary, file
        file.close()  # taken for abandoned, and removed, before it was locked


def _keep_mode(temporary: Path, mode: int) -> None:
    """Give a file a mode, unless it has it: there are file systems with none to set."""
    if stat.S_IMODE(temporary.stat().st_mode) != mode:
        temporary.chmod(mode)


def _lock(file: BinaryIO) -> bool:
    """Lock a file, as a sign that its writer lives; return whether it is still there."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks, on which nothing is ever removed
            return True
    return os.fstat(file.fileno()).st_nlink > 0


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove temporary files of the same target whose writers were killed.

    The system unlocks what a process had locked when that ends, however it ends.
    """
    if sys.platform == "win32":
        return
    for temporary in folder.glob(f"{prefix}.*.tmp"):
        # What lives, was renamed meanwhile, or belongs to somebody else is left alone.
        with suppress(OSError), temporary.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def _flush_folder(folder: Path) -> None:
    """Make the new name last through a loss of power, where folders can be flushed."""
    with suppress(OSError):
        folder_fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
