"""Locks between processes, as files: the lock of a killed holder is free at once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def taken(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock for the time of the block; yields False at once where somebody else holds it.

    The holder may remove the file, and its folder: whoever came to its door meanwhile makes another.

    Args:
        path: the lock's file; made with its folder where it is not there.
        wait: for the holder to let go, instead of yielding False.
    """
    file = _lock(path, wait)
    if file is None:
        yield False
        return
    with file:
        yield True


def _lock(path: Path, wait: bool) -> IO[str] | None:
    while True:
        file = _open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            return None
        if _is_still(path, file.fileno()):
            return file
        file.close()


def _open(path: Path) -> IO[str]:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return path.open("a")
        except FileNotFoundError:  # the folder went in between
            continue


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
