"""An object store as this project needs it: whole objects below one prefix, each with a version.

Built on fsspec, whose clients (s3fs, gcsfs) read credentials and endpoints as their makers' own tools do.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from glob import has_magic
from pathlib import Path
from typing import Any, Final

import fsspec

from screenalyzer.errors import SettingsError, StoreError

SCHEMES: Final = ("s3", "gs")

_PART: Final = 16 << 20  # bytes of a part of a large object; 10,000 of them are the most that S3 takes
_SINGLE: Final = 2 * _PART  # up to here an object goes in one request
_CONNECT_S: Final = 5
_READ_S: Final = 60
_TRIES: Final = 3
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"max_attempts": _TRIES, "mode": "standard"},
            "max_pool_connections": 32,
        }
    },
    "gs": {"timeout": _READ_S},
}
_PACKAGE: Final = {"s3": "s3fs", "gs": "gcsfs"}


@dataclass(frozen=True)
class Fact:
    """An object as the store describes it.

    Attributes:
        version: another one after each write.
        size: bytes.
        modified: when it was written by the store's own clock, in seconds since the epoch; 0.0 if not told.
    """

    version: str
    size: int
    modified: float = 0.0


class Store:
    """Objects below a prefix. Keys are relative to it, with forward slashes."""

    def __init__(self, uri: str) -> None:
        """Take an address such as s3://bucket/prefix; nothing is asked of the store yet.

        Raises:
            SettingsError: the client library is not installed.
        """
        self.uri = uri.rstrip("/")
        self._scheme, self._base = self.uri.split("://", 1)
        try:
            fsspec.get_filesystem_class(self._scheme)
        except ImportError as e:
            package = _PACKAGE[self._scheme]
            raise SettingsError(
                f"a data root at {self._scheme}:// needs {package}: pip install {package}."
            ) from e

    def list(self, prefix: str, *, deep: bool = True) -> dict[str, Fact]:
        """The objects below a folder, or only those right in it.

        Raises:
            StoreError: the store does not answer.
        """
        place = self._place(prefix)
        with self._asking("list", prefix):
            try:
                found = (
                    self._fs.find(place, detail=True) if deep else _by_name(self._fs.ls(place, detail=True))
                )
            except FileNotFoundError:
                return {}
        below = {n: i for n, i in found.items() if i["type"] == "file" and n.startswith(f"{place}/")}
        return {self._key(name): _fact(info) for name, info in below.items()}

    def folders(self, prefix: str) -> set[str]:
        """Names of the folders right in a folder.

        Raises:
            StoreError: the store does not answer.
        """
        place = self._place(prefix)
        with self._asking("list", prefix):
            try:
                found = self._fs.ls(place, detail=True)
            except FileNotFoundError:
                return set()
        return {i["name"].rstrip("/").rsplit("/", 1)[-1] for i in found if i["type"] == "directory"}

    def fact(self, key: str) -> Fact | None:
        """What there is of an object; None where there is none.

        Raises:
            StoreError: the store does not answer.
        """
        with self._asking("look at", key):
            try:
                info = self._fs.info(self._place(key))
            except FileNotFoundError:
                return None
        return _fact(info) if info["type"] == "file" else None

    def put(self, source: Path, key: str) -> str:
        """Write an object from a file, which is not held in memory whole; returns its version.

        A reader sees the object before or after it, nothing between.

        Raises:
            StoreError: the store does not take it.
        """
        size = source.stat().st_size
        with self._asking("write", key):
            more = {"chunksize": _PART, "max_concurrency": 2} if self._scheme == "s3" else {}
            self._fs.put_file(str(source), self._place(key), **more)
            if self._scheme == "s3" and size < _SINGLE:
                # The usual ETag of a small object. Where it is another, as with keys of one's own, the file
                # is taken for changed once and fetched again.
                return hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
            return _fact(self._fs.info(self._place(key))).version

    def put_bytes(self, data: bytes, key: str) -> None:
        """Write a small object.

        Raises:
            StoreError: the store does not take it.
        """
        with self._asking("write", key):
            self._fs.pipe_file(self._place(key), data)

    def get(self, key: str, target: Path) -> bool:
        """Bring an object into a file, block by block; returns False where there is none.

        Raises:
            StoreError: the store does not answer, or the disk is full.
        """
        with self._asking("read", key):
            try:
                self._fs.get_file(self._place(key), str(target))
            except FileNotFoundError:
                return False
        return True

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects, in any order; those that are not there are fine.

        Raises:
            StoreError: the store does not answer.
        """
        wanted = set(keys)
        many = {k for k in wanted if not has_magic(k)} if len(wanted) > 1 else set[str]()
        if many:
            with self._asking("remove", min(many)), suppress(FileNotFoundError):
                self._fs.rm([self._place(k) for k in many])
        for key in wanted - many:  # a name that `rm` would take for a pattern
            with self._asking("remove", key), suppress(FileNotFoundError):
                self._fs.rm_file(self._place(key))

    @property
    def _fs(self) -> Any:
        """The client; fsspec keeps one a process, so one that was inherited by a fork is never used."""
        return fsspec.filesystem(self._scheme, use_listings_cache=False, **_OPTIONS[self._scheme])

    def _place(self, key: str) -> str:
        return f"{self._base}/{key}" if key else self._base

    def _key(self, place: str) -> str:
        return place[len(self._base) + 1 :]

    @contextmanager
    def _asking(self, what: str, key: str) -> Iterator[None]:
        """Turn whatever the client raises into one error; each client has a tree of its own."""
        try:
            yield
        except StoreError:
            raise
        except Exception as e:
            said = (str(e).strip().splitlines() or [""])[0] or type(e).__name__
            raise StoreError(
                f"the object store did not let us {what} {self.uri}/{key}: {said}. Nothing is lost: look at "
                "the store, the network and the credentials; then the same can be done again."
            ) from e


def _by_name(infos: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {i["name"]: i for i in infos}


def _fact(info: dict[str, Any]) -> Fact:
    version = str(info.get("ETag") or info.get("etag") or info.get("generation") or "").strip('"')
    when = info.get("LastModified") or info.get("mtime") or info.get("updated")
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    modified = when.timestamp() if isinstance(when, datetime) else float(when or 0.0)
    return Fact(version, int(info["size"]), modified)
