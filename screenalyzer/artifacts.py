"""How artifacts are written whole and read back, and how a stage says that it is done; `paths` knows where.

A file is written under a temporary name, flushed to disk and renamed; a marker with the fingerprint of what
the outputs were made from comes last. A file that exists is not a stage that is done; a marker that matches
is.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from screenalyzer import storage
from screenalyzer.errors import ArtifactError, EpisodeBusyError, StoreError
from screenalyzer.locks import taken
from screenalyzer.paths import EpisodePaths as EpisodePaths  # noqa: PLC0414 - who works on artifacts needs it
from screenalyzer.paths import clean_name as clean_name  # noqa: PLC0414 - likewise
from screenalyzer.storage import Selection

FRESH_S = 1.0  # who only looks at results of another node may see what they were so long ago

_TMP_SUFFIX = ".tmp"
_AT_ONCE = 32  # requests that write


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole: temporary name, fsync, rename. A reader sees the old file or the new one.

    Raises:
        StoreError: the object store that holds the data root did not take it; nothing has changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}{_TMP_SUFFIX}")
    try:
        with tmp.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        storage.publish(tmp, path)
    except (OSError, StoreError):
        tmp.unlink(missing_ok=True)  # a full disk is not kept full
        raise


def write_many(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files of a folder that do not depend on each other; into an object store many at once.

    Raises:
        StoreError: the object store did not take one of them; others may be there.
    """
    if not storage.is_mirrored(folder):
        for name, data in files:
            write_bytes(folder / name, data)
        return
    left = iter(files)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while batch := list(islice(left, _AT_ONCE)):
            list(pool.map(lambda f: write_bytes(folder / f[0], f[1]), batch))


@contextmanager
def locked(paths: EpisodePaths) -> Iterator[None]:
    """Hold an episode for the time of the block; the lock of a killed holder is free at once.

    With a data root in an object store it is held against other nodes too, and its files here are pulled.

    Raises:
        EpisodeBusyError: another run holds it.
        StoreError: the object store does not answer.
    """
    with taken(paths.audit.with_name("run.lock")) as mine, storage.held(paths.outputs) as everywhere:
        if not mine or not everywhere:
            raise EpisodeBusyError(
                f"episode {paths.key} is being processed by another run. Wait for it, or stop it."
            )
        pull(paths)
        yield


def episodes(root: Path) -> list[EpisodePaths]:
    """Every episode of a data root, by show and name.

    Raises:
        StoreError: the object store does not answer.
    """
    shows = storage.folders(root / "outputs")
    return [EpisodePaths(root, s.name, e.name) for s in shows for e in storage.folders(s)]


def pull(paths: EpisodePaths, *, chunks: bool = False, crops: bool = False, within_s: float = 0.0) -> None:
    """Make an episode's files here, and its show's facebank, equal to the object store; else nothing.

    Args:
        paths: the episode.
        chunks: the checkpoints of the inference too, which are large.
        crops: the crops too, which are many.
        within_s: do nothing where this process has done so within so many seconds.

    Raises:
        StoreError: the object store does not answer.
    """
    storage.pull(
        Selection(paths.harvest, deep=crops),
        Selection(paths.outputs, without=() if chunks else (paths.chunks,)),
        Selection(paths.facebank),
        within_s=within_s,
    )


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys, so equal values are equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))  # a file name may hold what is not UTF-8


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ArtifactError: missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as e:
        raise ArtifactError(f"{path} is missing. Process the episode first.") from e
    except ValueError as e:
        raise ArtifactError(f"{path} is damaged ({e}). Process the episode again.") from e


def write_table(
    path: Path, table: pa.Table, schema: pa.Schema, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a table that must match its schema, with more string metadata.

    Raises:
        ArtifactError: the table's columns are not the schema's, by name or kind.
    """
    if table.schema.names != schema.names:
        raise ArtifactError(f"{path.name}: columns {table.schema.names} are not {schema.names}")
    full = {**(schema.metadata or {}), **{k.encode(): v.encode() for k, v in (metadata or {}).items()}}
    try:
        fitting = table.cast(schema.remove_metadata())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise ArtifactError(f"{path.name}: {e}") from e
    sink = io.BytesIO()
    pq.write_table(fitting.replace_schema_metadata(full), sink, compression="zstd")
    write_bytes(path, sink.getvalue())


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table and hold it against its schema.

    Raises:
        ArtifactError: missing, damaged, or of another schema or version.
    """
    try:
        table = pq.read_table(path, columns=list(columns) if columns else None)
    except FileNotFoundError as e:
        raise ArtifactError(f"{path} is missing. Process the episode first.") from e
    except (pa.ArrowInvalid, OSError) as e:
        raise ArtifactError(f"{path} is damaged ({e}). Process the episode again.") from e
    found, wanted = table.schema.metadata or {}, schema.metadata
    for key in (b"schema", b"schema_version"):
        if found.get(key) != wanted[key]:
            raise ArtifactError(
                f"{path} has {key.decode()} {found.get(key)!r}, not {wanted[key]!r}. "
                "Process the episode again."
            )
    expected = pa.schema([schema.field(n) for n in columns or schema.names])
    if not table.schema.remove_metadata().equals(expected):
        raise ArtifactError(f"{path} has other columns than it says. Process the episode again.")
    return table


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file as one mapping a row.

    Raises:
        ArtifactError: missing.
    """
    try:
        with path.open(newline="", encoding="utf-8") as f:
            rows = csv.reader(f)
            header = next(rows, [])
            return [dict(zip(header, row, strict=False)) for row in rows if row]
    except FileNotFoundError as e:
        raise ArtifactError(f"{path} is missing. Process the episode first.") from e


def sha256_file(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def fingerprint(*parts: object) -> str:
    """Hex digest of what something is made from; equal parts give equal digests."""
    plain = lambda v: v.model_dump(mode="json") if isinstance(v, BaseModel) else str(v)  # noqa: E731
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=plain).encode()).hexdigest()


def mark_done(marker: Path, made_from: str, outputs: Iterable[Path]) -> None:
    """Record that outputs are complete, and what they were made from. Call when all are written."""
    digests = {os.path.relpath(p, marker.parent): sha256_file(p) for p in sorted(outputs)}
    write_json(marker, {"fingerprint": made_from, "outputs": digests})


def is_done(marker: Path, made_from: str) -> bool:
    """Whether a marker says that outputs made from exactly this are complete, and each is still that file."""
    if recorded_fingerprint(marker) != made_from:
        return False
    try:
        outputs = json.loads(marker.read_bytes())["outputs"].items()
        return all(sha256_file(marker.parent / p) == digest for p, digest in outputs)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def recorded_fingerprint(marker: Path) -> str | None:
    """What a marker says its outputs were made from; None where there is no marker, or a damaged one."""
    try:
        return str(json.loads(marker.read_bytes())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def sweep_temporaries(folder: Path, *, but: tuple[Path, ...] = ()) -> None:
    """Remove what a killed writer left behind. Call while nobody writes below the folder.

    Args:
        folder: with all that is below it.
        but: folders directly below it in which others may write at any time.
    """
    for leftover in folder.rglob(f".*{_TMP_SUFFIX}"):
        if not any(leftover.is_relative_to(b) for b in but):
            leftover.unlink(missing_ok=True)
