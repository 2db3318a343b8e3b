"""Backing a service up while it runs, and setting one up from a backup.

The rows come first, the files after them: what is processed meanwhile is then found done by the restored
service, which thinks that it is still to be done, and nothing is missing. A marker is kept only with what it
vouches for.
"""

import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from screenalyzer import storage
from screenalyzer.errors import ServiceError
from screenalyzer.locks import taken
from screenalyzer.storage import Entry
from services.backup import rows
from services.backup.vault import Manifest, Saved, Vault
from services.context import Services
from services.db.models import now
from services.host.state import holder

# All else is this machine's own: it is made anew, or comes from elsewhere.
_KEPT: Final = frozenset({"harvest", "outputs", "facebank", "videos", "diagnostics", "uploads"})
_TRIES: Final = 3

Report = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """What a backup or a restoration did.

    Attributes:
        name: of the backup.
        rows: of the database.
        files: of the data root.
        bytes: of these files.
        copied: files whose content was read; all others are whole in the former backup, by their size.
        secrets: whether it holds the keys.
    """

    name: str
    rows: int
    files: int
    bytes: int
    copied: int
    secrets: bool


def back_up(services: Services, target: Path, *, secrets: bool, keep: int | None, report: Report) -> Done:
    """Copy the database and the data root into a folder; only what the last backup there has not.

    Args:
        services: whose.
        target: the folder of backups.
        secrets: copy the keys too.
        keep: how many backups to keep; all where None.
        report: told what is done.

    Raises:
        ServiceError: another backup is made there, or the target lies in the data root.
        StoreError: the object store does not answer.
    """
    root, vault = services.settings.root, Vault(target)
    if target.absolute().is_relative_to(root):
        raise ServiceError(f"{target} lies in the data root, and would be lost with it. Name another folder.")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with taken(target / "backup.lock") as mine:
        if not mine:
            raise ServiceError(f"another backup is being made in {target}. Wait for it.")
        name = vault.name_at(now())
        report("rows of the database")
        with tempfile.TemporaryDirectory(dir=target, prefix=".rows-") as scratch:
            file = Path(scratch) / "rows.jsonl"
            revision, row_count = rows.dump(services.database, file)
            digest, _ = vault.keep(file)
        report("files of the data root")
        known = vault.manifest(vault.names()[-1]).files if vault.names() else {}
        files, copied = _keep_files(root, vault, known)
        keys = _keep_secrets(services.settings.secrets, vault) if secrets else {}
        vault.finish(Manifest(name, revision, digest, row_count, files, keys))
        if keep:
            vault.prune(keep, name)
    return Done(name, row_count, len(files), sum(s.size for s in files.values()), copied, bool(keys))


def restore(services: Services, source: Path, name: str | None, report: Report) -> Done:
    """Set a service up from a backup, in an empty data root and an empty database.

    Raises:
        ServiceError: there is no such backup, something of it is damaged, or the place is not empty.
        StoreError: the object store does not answer.
    """
    root, vault = services.settings.root, Vault(source)
    manifest = vault.find(name)
    if holder(root) is not None:
        raise ServiceError("the service runs. Stop it with `screenalyzer down`.")
    for kind in sorted(_KEPT):
        if any(storage.files_below(root / kind)):
            raise ServiceError(f"{root / kind} is not empty. Restore into an empty data root.")
    rows.check(services.database, manifest.revision)
    report("checking the backup")
    vault.check(manifest)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    report("files of the data root")
    for path in sorted(manifest.files, key=_markers_last):
        _put(vault, manifest.files[path], root / path)
    for key, saved in manifest.secrets.items():
        _put(vault, saved, services.settings.secrets / key)
    report("rows of the database")
    count = rows.load(services.database, vault.place(manifest.rows), manifest.revision)
    if count != manifest.row_count:
        raise ServiceError(f"the backup names {manifest.row_count} rows and holds {count}. Restore another.")
    size = sum(s.size for s in manifest.files.values())
    return Done(manifest.name, count, len(manifest.files), size, len(manifest.files), bool(manifest.secrets))


def _keep_files(root: Path, vault: Vault, known: Mapping[str, Saved]) -> tuple[dict[str, Saved], int]:
    """Copy until every marker stands with what it vouches for; one that does not at last is left out."""
    files: dict[str, Saved] = {}
    copied, torn = 0, list[str]()
    for _ in range(_TRIES):
        files, fresh = _keep_once(root, vault, {**known, **files})
        copied += fresh
        torn = [path for path in files if not _stands(path, files, vault)]
        if not torn:
            break
    return {path: saved for path, saved in files.items() if path not in torn}, copied


def _keep_once(root: Path, vault: Vault, known: Mapping[str, Saved]) -> tuple[dict[str, Saved], int]:
    files: dict[str, Saved] = {}
    copied = 0
    for kind in sorted(_KEPT):
        for entry in storage.files_below(root / kind):
            if storage.is_local(entry.path.name):
                continue
            path = entry.path.relative_to(root).as_posix()
            before = known.get(path)
            unchanged = before and (before.size, before.version) == (entry.size, entry.version)
            if before and unchanged and vault.has(before):
                files[path] = before
            elif saved := _keep(entry, vault):
                files[path] = saved
                copied += 1
    return files, copied


def _keep(entry: Entry, vault: Vault) -> Saved | None:
    """Copy a file; None where it went meanwhile."""
    try:
        with storage.borrowed(entry.path):
            sha256, size = vault.keep(entry.path)
    except FileNotFoundError:
        return None
    return Saved(sha256, size, entry.version)


def _stands(path: str, files: Mapping[str, Saved], vault: Vault) -> bool:
    """Whether a file is no marker, or all that it vouches for is in the backup as it says."""
    if not storage.is_marker(path):
        return True
    try:
        outputs = json.loads(vault.place(files[path].sha256).read_bytes())["outputs"]
    except (ValueError, KeyError, TypeError):
        return True  # a damaged one vouches for nothing
    folder = posixpath.dirname(path)
    places = {posixpath.normpath(posixpath.join(folder, p)): digest for p, digest in outputs.items()}
    return all(p in files and files[p].sha256 == digest for p, digest in places.items())


def _keep_secrets(folder: Path, vault: Vault) -> dict[str, Saved]:
    found = {}
    for path in sorted(folder.glob("*")):
        if path.is_file() and not storage.is_local(path.name):
            sha256, size = vault.keep(path)
            found[path.name] = Saved(sha256, size, "")
    return found


def _put(vault: Vault, saved: Saved, path: Path) -> None:
    """Write a file whole, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.tmp")
    with vault.place(saved.sha256).open("rb") as source, tmp.open("wb") as file:
        tmp.chmod(0o600)
        while block := source.read(1 << 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    storage.publish(tmp, path)


def _markers_last(path: str) -> tuple[bool, str]:
    return storage.is_marker(path), path
