"""Files below a data root, wherever it lies: the one way to publish, remove, look for and hold them.

With a plain folder each of these is what it says and nothing more. With a data root in an object store the
same paths lie in a working folder that mirrors it (`mirror`): what is published goes to the store first, what
is removed leaves the store first, and what is read is pulled before.
"""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from screenalyzer.storage.mirror import LEASES, Selection, is_local, is_marker
from screenalyzer.storage.places import mirror_of, working_folder

__all__ = [
    "LEASES", "Entry", "Selection", "borrowed", "files_below", "folders", "forget", "fsync_folder", "held",
    "is_local", "is_marker", "is_mirrored", "is_there", "look", "names_there", "need", "publish", "pull",
    "remove", "remove_tree", "share", "working_folder",
]  # fmt: skip

_UNITS = ("harvest/*/*", "outputs/*/*", "facebank/*", "videos/*")  # what goes as a whole


@dataclass(frozen=True)
class Entry:
    """A file of a data root.

    Attributes:
        path: of it.
        size: bytes.
        modified: when it was written, in seconds since the epoch.
        version: another one after each write.
    """

    path: Path
    size: int
    modified: float
    version: str = ""


def publish(tmp: Path, path: Path) -> None:
    """Let a file that lies flushed under a temporary name in the same file system appear under its own.

    Raises:
        StoreError: the object store did not take it; nothing has changed.
    """
    mirror = mirror_of(path)
    if mirror is None:
        tmp.replace(path)
        fsync_folder(path.parent)
    else:
        mirror.publish(tmp, path)


def remove(*paths: Path) -> None:
    """Remove files; those that are not there are fine.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(paths[0]) if paths else None
    if mirror is not None:
        mirror.remove(paths)
    else:
        for path in paths:
            path.unlink(missing_ok=True)


def remove_tree(folder: Path, keep: Path | None = None) -> None:
    """Remove everything below a folder, and the folder; or all but one folder right in it.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.remove_tree(folder, keep)
    if not folder.is_dir() or folder.is_symlink():
        folder.unlink(missing_ok=True)
    elif keep is None:
        shutil.rmtree(folder)
    else:
        for child in folder.iterdir():
            if child != keep:
                _remove_local(child)


def _remove_local(path: Path) -> None:
    """Remove a file or a folder from this node alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def pull(*selections: Selection, within_s: float = 0.0) -> None:
    """Make folders here equal to the object store; nothing with a plain folder.

    Args:
        selections: all of one data root.
        within_s: do nothing where this process has done so within so many seconds.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(selections[0].folder)
    if mirror is not None:
        mirror.pull(selections, within_s)


def need(path: Path) -> bool:
    """Have one file here to be read; returns whether there is one.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(path)
    return path.is_file() if mirror is None else mirror.need(path)


@contextmanager
def borrowed(path: Path) -> Iterator[None]:
    """Have one file here for the time of the block; one that was not here before is not kept.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(path)
    was_here = mirror is None or path.exists()
    if mirror is not None:
        mirror.need(path)
    try:
        yield
    finally:
        if mirror is not None and not was_here:
            mirror.let_go(path)


def look(path: Path) -> Entry | None:
    """What there is of one file, without bringing it here; None where there is none.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(path)
    if mirror is not None:
        fact = mirror.store.fact(mirror.key(path))
        return Entry(path, fact.size, fact.modified, fact.version) if fact else None
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Entry(path, facts.st_size, facts.st_mtime) if path.is_file() else None


def is_there(path: Path) -> bool:
    """Whether there is such a file, here or in the object store.

    Raises:
        StoreError: the object store does not answer.
    """
    return look(path) is not None


def files_below(folder: Path) -> Iterator[Entry]:
    """Every file below a folder, whether it is here or in the object store alone; not locks of this node.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(folder)
    if mirror is not None:
        for path, fact in mirror.files(folder):
            yield Entry(path, fact.size, fact.modified, fact.version)
        return
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        facts = path.stat()
        yield Entry(path, facts.st_size, facts.st_mtime, f"{facts.st_ino}-{facts.st_mtime_ns}")


def folders(folder: Path) -> list[Path]:
    """The folders right in a folder, sorted; none where there is no such folder.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(folder)
    if mirror is not None:
        return [folder / name for name in sorted(mirror.store.folders(mirror.key(folder)))]
    return sorted(p for p in folder.glob("*") if p.is_dir())


def names_there(folder: Path, names: Collection[str]) -> set[str]:
    """Which of some names are files right in a folder.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(folder)
    if mirror is None:
        return {n for n in names if (folder / n).is_file()}
    return {key.rsplit("/", 1)[-1] for key in mirror.store.list(mirror.key(folder), deep=False)} & {*names}


def share(path: Path) -> None:
    """Let other nodes have a file that was written in place; nothing with a plain folder.

    Raises:
        StoreError: the object store did not take it.
    """
    mirror = mirror_of(path)
    if mirror is not None:
        mirror.store.put(path, mirror.key(path))


def forget(root: Path) -> None:
    """Remove the copies on this node of what the object store has no more; nothing with a plain folder.

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(root)
    if mirror is not None:
        mirror.forget(p for glob in _UNITS for p in root.glob(glob))


@contextmanager
def held(path: Path, wait_s: float = 0.0) -> Iterator[bool]:
    """Hold a path against other nodes for the time of the block; yields False where another holds it.

    With a plain folder nobody is asked, and it is held: there a file lock is enough (`locks`).

    Raises:
        StoreError: the object store does not answer.
    """
    mirror = mirror_of(path)
    if mirror is None:
        yield True
        return
    with mirror.leases.held(mirror.key(path), wait_s=wait_s) as mine:
        yield mine


def is_mirrored(root: Path) -> bool:
    """Whether a data root lies in an object store."""
    return mirror_of(root) is not None


def fsync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
