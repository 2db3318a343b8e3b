"""How much of the disk each kind of thing takes."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, get_args

from screenalyzer import storage
from services.api.schemas.storage import StorageKind
from services.db.models import now

_KEPT_S: Final = 60.0  # a million files take seconds to count
_KEPT_OF_STORE_S: Final = 3600.0  # and a thousand requests in an object store
_TOP: Final[dict[str, StorageKind]] = {
    "videos": "videos", "uploads": "uploads", "harvest": "manifests", "outputs": "results",
    "facebank": "facebank", "logs": "logs",
}  # fmt: skip
_WITHIN: Final[dict[str, StorageKind]] = {"crops": "crops", "chunks": "chunks", "exports": "exports"}
_DATABASE: Final = "service.db"
_OF_NODE: Final = frozenset({"uploads", "logs", "database"})


@dataclass(frozen=True)
class Measured:
    """The disk at a moment.

    Attributes:
        kinds: files and bytes of each kind.
        free: bytes of the disk that are.
        total: bytes of the disk.
        at: the moment.
    """

    kinds: dict[StorageKind, tuple[int, int]]
    free: int
    total: int
    at: datetime


class StorageMeter:
    """Measures once for all who ask within a minute."""

    def __init__(self, root: Path) -> None:
        """Take the data root; nothing is looked at yet."""
        self._root = root
        self._kept_s = _KEPT_OF_STORE_S if storage.is_mirrored(root) else _KEPT_S
        self._lock = threading.Lock()
        self._last: tuple[float, Measured] | None = None

    def measure(self) -> Measured:
        """What lies below the data root."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > self._kept_s:
                self._last = time.monotonic(), _measure(self._root)
            return self._last[1]


def _measure(root: Path) -> Measured:
    counts: dict[StorageKind, list[int]] = {kind: [0, 0] for kind in get_args(StorageKind)}
    for place, size in _everything(root):
        found = counts[kind_of(place)]
        found[0] += 1
        found[1] += size
    disk = shutil.disk_usage(root)
    return Measured({k: (v[0], v[1]) for k, v in counts.items()}, disk.free, disk.total, now())


def kind_of(place: tuple[str, ...]) -> StorageKind:
    """What a file is, by its place below the data root."""
    if len(place) == 1:
        return "database" if place[0].startswith(_DATABASE) else "other"
    inner = _WITHIN.get(place[3]) if place[0] in {"harvest", "outputs"} and len(place) > 4 else None
    return inner or _TOP.get(place[0], "other")


def _everything(root: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every file of the data root with place and size: of an object store, and what only this node has."""
    mirrored = storage.is_mirrored(root)
    for place, size in _files(root):
        if not mirrored or kind_of(place) in _OF_NODE:
            yield place, size
    for entry in storage.files_below(root) if mirrored else ():
        place = entry.path.relative_to(root).parts
        if kind_of(place) not in _OF_NODE:
            yield place, entry.size


def _files(root: Path) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every file with its place and size; what goes away meanwhile is left out."""
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(root.joinpath(*place)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((*place, entry.name))
                    elif entry.is_file(follow_symlinks=False):
                        yield (*place, entry.name), entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
