"""Locks of purges: on folders themselves, so that no lock file is left to tell of what was there."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from screenalyzer import storage
from screenalyzer.artifacts import EpisodePaths, locked
from screenalyzer.errors import EpisodeBusyError
from screenalyzer.storage import Selection

_WAIT_S = 10.0
_PAUSE_S = 0.05


def ledgers(root: Path) -> Path:
    """Where the ledgers of unfinished purges lie; made where it is not there."""
    found = root / "diagnostics" / "purges"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


@contextmanager
def folder_held(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder against other holders, also of other processes; waits for some seconds.

    Args:
        folder: is there.
        what: it is, for the message.

    Raises:
        EpisodeBusyError: somebody else holds it for longer.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, what)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def facebank_held(root: Path, show: str) -> Iterator[None]:
    """Hold the facebank of a show for a change; nothing where there is none.

    Raises:
        EpisodeBusyError: somebody else holds it for longer than some seconds.
    """
    folder, what = root / "facebank" / show, "the facebank of the show is"
    with held_everywhere(folder, what):
        if not folder.is_dir():
            yield
            return
        with folder_held(folder, what):
            yield


@contextmanager
def held_everywhere(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder against other nodes, and pull it, where the data root lies in an object store.

    Raises:
        EpisodeBusyError: another node holds it for longer than some seconds.
        StoreError: the object store does not answer.
    """
    with storage.held(folder, wait_s=_WAIT_S) as mine:
        if not mine:
            raise EpisodeBusyError(f"{what} in use by another node. Wait for it.")
        storage.pull(Selection(folder))
        yield


@contextmanager
def episode_held(paths: EpisodePaths) -> Iterator[None]:
    """Hold an episode, with a message that does not name it: the message outlives the episode.

    Raises:
        EpisodeBusyError: another run holds it.
    """
    lock = locked(paths)
    try:
        lock.__enter__()
    except EpisodeBusyError:
        raise EpisodeBusyError("an episode is being processed by another run. Wait for it.") from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def _lock(descriptor: int, what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EpisodeBusyError(f"{what} in use by another process. Wait for it.") from None
            time.sleep(_PAUSE_S)
        else:
            return
