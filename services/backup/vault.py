"""The folder of backups: contents by their digest, and for each backup a manifest that is written last.

    contents/ab/ab12…       every content once, however many backups hold it
    backups/NAME.json       manifest: which file has which content, and the rows' revision

A backup is there when its manifest is. So one that was killed leaves the former ones whole, and what it had
copied serves the next one.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from screenalyzer.artifacts import read_json, sha256_file, write_json
from screenalyzer.errors import ServiceError
from screenalyzer.storage import fsync_folder

FORMAT: Final = 1
_BLOCK: Final = 1 << 20
_NAME: Final = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True)
class Saved:
    """A file in a backup.

    Attributes:
        sha256: of its content.
        size: bytes.
        version: as it was seen in the data root; the same means that it need not be read again.
    """

    sha256: str
    size: int
    version: str


@dataclass(frozen=True)
class Manifest:
    """A backup.

    Attributes:
        name: when it was begun, in UTC; later than those before it, whatever the clock said.
        revision: of the database's tables.
        rows: digest of the content that holds them.
        row_count: how many.
        files: of the data root, by path.
        secrets: files of the folder of keys, by name; none where they were left out.
    """

    name: str
    revision: str
    rows: str
    row_count: int
    files: dict[str, Saved]
    secrets: dict[str, Saved]


class Vault:
    """One folder of backups."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it need not exist."""
        self._contents, self._backups = folder / "contents", folder / "backups"
        self.folder = folder

    def names(self) -> list[str]:
        """Names of the backups that are whole, oldest first."""
        return sorted(p.stem for p in self._backups.glob("*.json"))

    def name_at(self, moment: datetime) -> str:
        """A name for a backup that begins now: after all others, though the clock was set back."""
        for former in filter(None, map(_moment, self.names())):
            moment = max(moment, former + timedelta(microseconds=1))
        return f"{moment:{_NAME}}"

    def manifest(self, name: str) -> Manifest:
        """What a backup holds.

        Raises:
            ServiceError: there is none of this name, or another version of this program made it.
            ArtifactError: it is damaged.
        """
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise ServiceError(f"there is no backup {name} in {self.folder}. There are: {known}.")
        raw: dict[str, Any] = read_json(self._backups / f"{name}.json")
        if raw.pop("format") != FORMAT:
            raise ServiceError(f"backup {name} is of a later version. Restore it with that version.")
        for kind in ("files", "secrets"):
            raw[kind] = {path: Saved(**saved) for path, saved in raw[kind].items()}
        return Manifest(**raw)

    def find(self, name: str | None) -> Manifest:
        """What a backup holds; the newest where no name is given.

        Raises:
            ServiceError: there is none, or another version of this program made it.
            ArtifactError: it is damaged.
        """
        if not self.names():
            raise ServiceError(f"there is no backup in {self.folder}.")
        return self.manifest(name or self.names()[-1])

    def keep(self, path: Path) -> tuple[str, int]:
        """Take a content in, in place of the same one that is here, which may be damaged.

        Returns:
            Its digest and size.
        """
        self._contents.mkdir(mode=0o700, parents=True, exist_ok=True)
        tmp = self._contents / f".{uuid4().hex}.tmp"
        digest, size = hashlib.sha256(), 0
        try:
            with (
                path.open("rb") as source,
                os.fdopen(os.open(tmp, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file,
            ):
                while block := source.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            target = self.place(digest.hexdigest())
            target.parent.mkdir(exist_ok=True)
            tmp.replace(target)
            fsync_folder(target.parent)
        finally:
            tmp.unlink(missing_ok=True)
        return digest.hexdigest(), size

    def place(self, sha256: str) -> Path:
        """Where a content lies."""
        return self._contents / sha256[:2] / sha256

    def has(self, saved: Saved) -> bool:
        """Whether a content is here, by its size alone."""
        try:
            return self.place(saved.sha256).stat().st_size == saved.size
        except FileNotFoundError:
            return False

    def finish(self, manifest: Manifest) -> None:
        """Say that a backup is whole: all that it holds was kept."""
        write_json(self._backups / f"{manifest.name}.json", {"format": FORMAT, **asdict(manifest)})

    def check(self, manifest: Manifest) -> None:
        """Read everything that a backup holds.

        Raises:
            ServiceError: a content is missing or damaged.
        """
        for place in self.damaged(manifest):
            raise ServiceError(f"{place} is missing or damaged. Restore another backup.")

    def damaged(self, manifest: Manifest) -> Iterator[Path]:
        """Read everything that a backup holds; gives the contents that are missing or not what they were."""
        for sha256 in sorted(_digests(manifest)):
            if not _is_whole(self.place(sha256), sha256):
                yield self.place(sha256)

    def prune(self, keep: int, finished: str) -> int:
        """Remove old backups, and the contents that none holds.

        Args:
            keep: how many of the newest stay.
            finished: the backup that was just made; it stays in any case.

        Returns:
            How many contents were removed.
        """
        for name in self.names()[:-keep]:
            if name != finished:
                (self._backups / f"{name}.json").unlink()
        held: set[str] = set()
        for manifest in map(self.manifest, self.names()):
            held |= _digests(manifest)
        gone = [p for p in self._contents.glob("*/*") if p.name not in held]
        gone += list(self._contents.glob(".*.tmp"))
        for path in gone:
            path.unlink()
        return len(gone)


def _digests(manifest: Manifest) -> set[str]:
    return {manifest.rows, *(s.sha256 for s in (*manifest.files.values(), *manifest.secrets.values()))}


def _is_whole(place: Path, sha256: str) -> bool:
    try:
        return sha256_file(place) == sha256
    except OSError as e:
        if e.errno not in {errno.ENOENT, errno.EIO}:
            raise
        return False


def _moment(name: str) -> datetime | None:
    """The moment in a name; None of one that somebody gave."""
    try:
        return datetime.strptime(name, _NAME).replace(tzinfo=UTC)
    except ValueError:
        return None
