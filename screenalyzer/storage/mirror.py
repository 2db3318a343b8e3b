"""A working folder that mirrors an object store: written through, pulled before use.

A file goes to the store before it appears in the folder, and leaves the store before it leaves the folder; so
the store is never behind what anybody is shown. Which version a file here is stands in its time stamp: the
nanoseconds of its modification time are a hash of the version. So a copy and what is known of it cannot part.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

from screenalyzer.errors import StoreError
from screenalyzer.locks import taken
from screenalyzer.storage.leases import Leases
from screenalyzer.storage.store import Fact, Store

LEASES: Final = "leases"

_AT_ONCE: Final = 16  # requests
_ROUNDS: Final = 5  # a pull ends here at last, though somebody still writes
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class Selection:
    """What of a folder is pulled.

    Attributes:
        folder: below the working folder.
        deep: with its subfolders.
        without: folders below it that are left out.
        only: names of files right in it; all where empty.
    """

    folder: Path
    deep: bool = True
    without: tuple[Path, ...] = ()
    only: tuple[str, ...] = ()


class Mirror:
    """One working folder and its store."""

    def __init__(self, folder: Path, store: Store) -> None:
        """Take both; nothing is asked of the store yet."""
        self.folder, self.store = folder, store
        self.leases = Leases(store, LEASES, folder / ".leases")
        self._pulled: dict[tuple[Selection, ...], float] = {}
        self._able = False

    def key(self, path: Path) -> str:
        """The object's key of a file; empty of the working folder itself."""
        return "" if path == self.folder else path.relative_to(self.folder).as_posix()

    def publish(self, tmp: Path, path: Path) -> None:
        """Let a file that lies under a temporary name appear in the store, then here.

        Raises:
            StoreError: the store did not take it; nothing has changed.
        """
        self.leases.check()
        version = self.store.put(tmp, self.key(path))
        self._stamp(tmp, version)
        with self._turn():
            tmp.replace(path)

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files from the store, then here; those that are not there are fine.

        Raises:
            StoreError: the store does not answer; they may be there still.
        """
        self.leases.check()
        gone = list(paths)
        self.store.remove(map(self.key, gone))
        with self._turn():
            for path in gone:
                path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path, keep: Path | None = None) -> None:
        """Remove everything below a folder from the store, markers first; what is here is the caller's.

        Raises:
            StoreError: the store does not answer.
        """
        self.leases.check()
        kept = f"{self.key(keep)}/" if keep else None
        keys = [k for k in self.store.list(self.key(folder)) if not (kept and k.startswith(kept))]
        self.store.remove(k for k in keys if is_marker(k))
        self.store.remove(k for k in keys if not is_marker(k))

    def pull(self, selections: tuple[Selection, ...], within_s: float = 0.0) -> None:
        """Make the folder equal to the store.

        Markers go before what they vouch for changes, and come last.

        Args:
            selections: what of it.
            within_s: do nothing where this process has done so within so many seconds.

        Raises:
            StoreError: the store does not answer.
        """
        if within_s and monotonic() - self._pulled.get(selections, -within_s) < within_s:
            return
        began = monotonic()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in range(_ROUNDS):
                if not self._pull_once(selections, pool):
                    break
        self._pulled[selections] = began

    def need(self, path: Path) -> bool:
        """Have one file here as it is in the store; returns whether there is one.

        Raises:
            StoreError: the store does not answer.
        """
        key = self.key(path)
        fact = self.store.fact(key)
        if fact is None:
            self._drop(key, _facts(path))
            return False
        if _is_copy(_facts(path), fact):
            return True
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        with taken(self.folder / ".fetching" / f"{name}.lock", wait=True):  # it may be a film: once is enough
            while fact is not None and not _is_copy(before := _facts(path), fact):
                self._fetch(key, fact, before)
                fact = self.store.fact(key)
        return fact is not None

    def let_go(self, path: Path) -> None:
        """Remove a copy here alone, with the folders that it leaves empty."""
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.folder or not folder.is_relative_to(self.folder):
                return
            with suppress(OSError):
                folder.rmdir()

    def files(self, folder: Path) -> Iterator[tuple[Path, Fact]]:
        """What the store has below a folder, whether it is here or not."""
        for key, fact in self.store.list(self.key(folder)).items():
            yield self.folder / key, fact

    def forget(self, folders: Iterable[Path]) -> None:
        """Remove the copies here of what the store has no more: files, and folders that are empty."""
        for folder in folders:
            there = self.store.list(self.key(folder)).keys()
            for key in _local(self.folder, Selection(folder)).keys() - there:
                self._drop(key, _facts(self.folder / key))
            if not there:
                _remove_unheld(folder)

    def _pull_once(self, selections: tuple[Selection, ...], pool: ThreadPoolExecutor) -> bool:
        """Look once, and mend; returns whether there was anything to mend."""
        listed = pool.map(lambda s: self.store.list(self.key(s.folder), deep=s.deep), selections)
        there: dict[str, Fact] = {}
        here: dict[str, os.stat_result] = {}
        for selection, found in zip(selections, listed, strict=True):
            wanted = self._wanted(selection)
            there |= {k: f for k, f in found.items() if wanted(k)}
            here |= {k: f for k, f in _local(self.folder, selection).items() if wanted(k)}
        gone = here.keys() - there.keys()
        stale = [k for k, f in there.items() if not _is_copy(here.get(k), f)]
        for key in sorted({*gone, *stale} & here.keys(), key=lambda k: not is_marker(k)):
            if key in gone or is_marker(key):
                self._drop(key, here[key], sure=key not in gone)
        for wanted in (lambda k: not is_marker(k), is_marker):
            list(pool.map(lambda k: self._fetch(k, there[k], _facts(self.folder / k)), filter(wanted, stale)))
        return bool(gone or stale)

    def _wanted(self, selection: Selection) -> Callable[[str], bool]:
        out = tuple(f"{self.key(w)}/" for w in selection.without)
        only = {self.key(selection.folder / name) for name in selection.only}
        return lambda key: not key.startswith(out) and (not only or key in only)

    def _fetch(self, key: str, fact: Fact, before: os.stat_result | None) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}.tmp")
        try:
            if self.store.get(key, tmp):
                self._stamp(tmp, fact.version, fact.modified)
                with self._turn():
                    if _same(_facts(path), before):  # nobody has written it meanwhile
                        tmp.replace(path)
        finally:
            tmp.unlink(missing_ok=True)

    def _drop(self, key: str, before: os.stat_result | None, *, sure: bool = False) -> None:
        """Remove a copy, unless it has been written since it was looked at."""
        if before is None:
            return
        path = self.folder / key
        with self._turn():
            if _same(_facts(path), before) and (sure or self.store.fact(key) is None):
                self.let_go(path)

    def _stamp(self, path: Path, version: str, modified: float = 0.0) -> None:
        """Write into a file's time stamp which version it is."""
        seconds = int(modified or path.stat().st_mtime)
        wanted = seconds * _SECOND + _nanos(version)
        os.utime(path, ns=(wanted, wanted))
        if not self._able:
            if path.stat().st_mtime_ns != wanted:
                raise StoreError(
                    f"{self.folder} keeps no nanoseconds in time stamps. Use another file system."
                )
            self._able = True

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process of the node at a time puts files in their places."""
        with taken(self.folder / ".mirror.lock", wait=True):
            yield


def is_local(name: str) -> bool:
    """Whether a file is of this node alone: locks, and what is being written."""
    return name.startswith(".") or name.endswith(".lock")


def _local(root: Path, selection: Selection) -> dict[str, os.stat_result]:
    """The copies here, by key."""
    found: dict[str, os.stat_result] = {}
    waiting = [selection.folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting += [Path(entry.path)] if selection.deep else []
                    elif not is_local(entry.name):
                        found[Path(entry.path).relative_to(root).as_posix()] = entry.stat(
                            follow_symlinks=False
                        )
        except FileNotFoundError:
            continue
    return found


def _remove_unheld(folder: Path) -> None:
    """Remove what is left of a folder without files: locks that nobody holds, and empty folders."""
    for lock in [*folder.rglob("*.lock")]:
        with taken(lock) as mine:
            if mine:
                lock.unlink(missing_ok=True)
    for left in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        with suppress(OSError):
            left.rmdir()
    for left in (folder, folder.parent):
        with suppress(OSError):
            left.rmdir()


def is_marker(key: str) -> bool:
    """Whether a file says that others are there in full."""
    folder, _, name = key.rpartition("/")
    return folder.endswith("/stages") or (folder.endswith("/chunks") and name.startswith("done-"))


def _is_copy(facts: os.stat_result | None, fact: Fact) -> bool:
    return (
        facts is not None
        and facts.st_size == fact.size
        and facts.st_mtime_ns % _SECOND == _nanos(fact.version)
    )


def _nanos(version: str) -> int:
    return int.from_bytes(hashlib.sha256(version.encode()).digest()[:8]) % _SECOND


def _facts(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _same(a: os.stat_result | None, b: os.stat_result | None) -> bool:
    seen: Callable[[os.stat_result], tuple[int, int, int]] = lambda s: (s.st_ino, s.st_mtime_ns, s.st_size)  # noqa: E731
    return (a and seen(a)) == (b and seen(b))
