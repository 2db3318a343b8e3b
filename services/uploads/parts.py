"""The file of an unfinished upload: where it lies, who may write it, and writing it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from screenalyzer import storage
from screenalyzer.errors import ScreenalyzerError
from screenalyzer.locks import taken
from screenalyzer.storage import fsync_folder

PART: Final = ".part"
LOCK: Final = ".lock"

_NAME = re.compile(rf"([0-9a-f]{{32}})(?:{re.escape(PART)}|{re.escape(LOCK)})")
_OWNER_ONLY = 0o600


class UploadHeldError(ScreenalyzerError):
    """Another request or process is writing the upload."""


def folder(root: Path) -> Path:
    """Where unfinished uploads lie; made where it is not there."""
    found = root / "uploads"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def part_path(root: Path, upload_id: str) -> Path:
    """The bytes that have come."""
    return root / "uploads" / f"{upload_id}{PART}"


def free_bytes(root: Path) -> int:
    """Bytes that the disk of the uploads still takes."""
    return shutil.disk_usage(folder(root)).free


def remove(root: Path, upload_id: str) -> None:
    """Remove what an upload has on disk; who holds it holds it no longer."""
    storage.remove(part_path(root, upload_id))
    _lock_path(root, upload_id).unlink(missing_ok=True)


def files_by_upload(root: Path) -> dict[str, list[Path]]:
    """The files of all uploads, by id."""
    found: dict[str, list[Path]] = {}
    for path in folder(root).iterdir():
        if match := _NAME.fullmatch(path.name):
            found.setdefault(match[1], []).append(path)
    return found


@contextmanager
def held(root: Path, upload_id: str) -> Iterator[None]:
    """Hold an upload against everybody else, other processes too; a killed holder lets go at once.

    Raises:
        UploadHeldError: somebody holds it.
    """
    folder(root)  # made for this user alone
    with taken(_lock_path(root, upload_id)) as mine:
        if not mine:
            raise UploadHeldError(f"upload {upload_id} is being written by another request")
        yield


def _lock_path(root: Path, upload_id: str) -> Path:
    return root / "uploads" / f"{upload_id}{LOCK}"


class PartFile:
    """The open file, to be written from an offset on; what lay beyond was never acknowledged, and is cut."""

    def __init__(self, path: Path, offset: int) -> None:
        """Open it, or make it where nothing has come yet.

        Raises:
            FileNotFoundError: bytes that were acknowledged are not there.
        """
        flags = os.O_RDWR | (0 if offset else os.O_CREAT)
        self._file = os.fdopen(os.open(path, flags, _OWNER_ONLY), "r+b", buffering=0)
        if os.fstat(self._file.fileno()).st_size < offset:
            self._file.close()
            raise FileNotFoundError(f"{path} is shorter than what was acknowledged of it")
        if not offset:
            fsync_folder(path.parent)
        self.cut(offset)

    def write(self, data: bytes | bytearray) -> None:
        """Append all of it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def sync(self) -> None:
        """Return once everything is on the disk."""
        os.fdatasync(self._file.fileno())

    def cut(self, offset: int) -> None:
        """Forget what lies beyond an offset."""
        self._file.truncate(offset)
        self._file.seek(offset)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
