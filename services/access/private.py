"""Files that only the service's own user may read."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from screenalyzer.storage import fsync_folder
from services.access.errors import KeysError

_OTHERS = 0o077


def make_folder(folder: Path) -> None:
    """Make a folder that only this user may enter; one that is there is left as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write(path: Path, data: bytes) -> None:
    """Write a file whole, mode 0600 from its first byte on. A reader sees the old file or the new one."""
    make_folder(path.parent)
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        tmp.replace(path)
        fsync_folder(path.parent)
    except OSError:
        tmp.unlink(missing_ok=True)
        raise


def check_mode(path: Path, found: os.stat_result) -> None:
    """Refuse a secret that others can read.

    Raises:
        KeysError: the file's mode gives anything to group or others.
    """
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise KeysError(
            f"{path} is open to other users (mode {mode:04o}), so its keys may be known to them. "
            f"Run chmod 600 {path}; where others have accounts on this machine, rotate the keys too."
        )


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes for the time of the block; a killed holder's lock is free."""
    make_folder(folder)
    with os.fdopen(os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
