"""Where every artifact lies, how it is written whole, and how a stage says that it is done.

The only module that knows paths. A file is written under a temporary name, flushed to disk and renamed;
a marker with the fingerprint of what the outputs were made from comes last. A file that exists is not
a stage that is done; a marker that matches is.
"""

import csv
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from screenalyzer.errors import ArtifactError, EpisodeBusyError, EpisodeNameError

_HASH_BLOCK = 1 << 20
_TMP_SUFFIX = ".tmp"
_LONGEST_NAME = 200  # bytes; with what exports and temporary names add, file systems take 255


def clean_name(raw: str, what: str = "episode") -> str:
    """A show or episode name that is safe as a folder on every storage.

    Letters of any script with their marks, digits, dot, dash and underscore stay; runs of anything else
    become one dash.

    Raises:
        EpisodeNameError: nothing usable is left, or it is longer than 120 characters or 200 bytes.
    """
    kept = "".join(c if _in_name(c) else " " for c in unicodedata.normalize("NFC", raw))
    name = unicodedata.normalize("NFC", re.sub(r" +", "-", kept)).strip("-.")
    if not any(c.isalnum() for c in name):
        raise EpisodeNameError(f"{raw!r} cannot name the {what}: it needs a letter or a digit. Rename it.")
    if len(name) > 120 or len(name.encode()) > _LONGEST_NAME:
        raise EpisodeNameError(
            f"{raw!r} is too long to name the {what}: 120 letters at most, fewer in other scripts. Rename it."
        )
    return name


def _in_name(c: str) -> bool:
    """Vowel signs and the like are marks, and no letters to `str.isalnum`."""
    return c.isalnum() or c in "._-" or unicodedata.category(c).startswith("M")


@dataclass(frozen=True)
class EpisodePaths:
    """Every path of one episode below a data root."""

    root: Path
    show: str
    episode: str

    @property
    def key(self) -> str:
        """`{show}/{episode}`."""
        return f"{self.show}/{self.episode}"

    @property
    def harvest(self) -> Path:
        """Manifest, samples and crops."""
        return self.root / "harvest" / self.show / self.episode

    @property
    def outputs(self) -> Path:
        """Everything computed."""
        return self.root / "outputs" / self.show / self.episode

    @property
    def facebank(self) -> Path:
        """The named faces of the show."""
        return self.root / "facebank" / self.show

    @property
    def source_json(self) -> Path:
        """The probed video: identity, clock, size."""
        return self.harvest / "source.json"

    @property
    def manifest(self) -> Path:
        """Sampled frames."""
        return self.harvest / "manifest.parquet"

    @property
    def manifest_json(self) -> Path:
        """Source, size, rate, duration, shots, missing seconds."""
        return self.harvest / "manifest.json"

    @property
    def selected_samples(self) -> Path:
        """Best samples of each track."""
        return self.harvest / "selected_samples.csv"

    @property
    def crops(self) -> Path:
        """Face crops of the selected samples."""
        return self.harvest / "crops"

    @property
    def chunks(self) -> Path:
        """Checkpoints of the inference."""
        return self.outputs / "chunks"

    def chunk_frames(self, index: int) -> Path:
        """Frame log of one chunk."""
        return self.chunks / f"frames-{index:05d}.parquet"

    def chunk_faces(self, index: int) -> Path:
        """Faces of one chunk."""
        return self.chunks / f"faces-{index:05d}.parquet"

    @property
    def detections(self) -> Path:
        """Folder of detections/part-*.parquet."""
        return self.outputs / "detections"

    @property
    def embeddings(self) -> Path:
        """Embeddings with their tracks."""
        return self.outputs / "embeddings.parquet"

    @property
    def tracks(self) -> Path:
        """Tracks."""
        return self.outputs / "tracks.json"

    @property
    def clusters(self) -> Path:
        """People and groups."""
        return self.outputs / "clusters.parquet"

    @property
    def members(self) -> Path:
        """Tracks of each cluster."""
        return self.outputs / "members.parquet"

    @property
    def merge_suggestions(self) -> Path:
        """Pairs that may be one person."""
        return self.outputs / "assist" / "merge_suggestions.parquet"

    @property
    def timeline(self) -> Path:
        """Intervals of each person."""
        return self.outputs / "timeline.csv"

    @property
    def totals_csv(self) -> Path:
        """Totals for people."""
        return self.outputs / "totals.csv"

    @property
    def totals_parquet(self) -> Path:
        """Totals for programs."""
        return self.outputs / "totals.parquet"

    @property
    def audit(self) -> Path:
        """Append-only log."""
        return self.outputs / "diagnostics" / "audit.jsonl"

    @property
    def exports(self) -> Path:
        """Files made for people outside."""
        return self.outputs / "exports"

    def marker(self, stage: str) -> Path:
        """Says that a stage is done, and from what."""
        return self.outputs / "stages" / f"{stage}.json"

    def relative(self, path: Path) -> str:
        """A path as it is written into artifacts: below the data root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def purge(self) -> None:
        """Remove everything computed for the episode, but the audit log, which tells that it was there."""
        shutil.rmtree(self.harvest, ignore_errors=True)
        if self.outputs.is_dir():
            for child in self.outputs.iterdir():
                if child != self.audit.parent:
                    shutil.rmtree(child) if child.is_dir() else child.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole: temporary name, fsync, rename. A reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{uuid4().hex[:8]}{_TMP_SUFFIX}")
    try:
        with tmp.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        tmp.replace(path)
        fsync_folder(path.parent)
    except OSError:
        tmp.unlink(missing_ok=True)  # a full disk is not kept full
        raise


def fsync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(paths: EpisodePaths) -> Iterator[None]:
    """Hold an episode for the time of the block; the lock of a killed holder is free at once.

    Raises:
        EpisodeBusyError: another run holds it.
    """
    file = paths.audit.with_name("run.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise EpisodeBusyError(
                f"episode {paths.key} is being processed by another run. Wait for it, or stop it."
            ) from e
        yield


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
            return list(csv.DictReader(f))
    except FileNotFoundError as e:
        raise ArtifactError(f"{path} is missing. Process the episode first.") from e


def sha256_file(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(*parts: object) -> str:
    """Hex digest of what something is made from; equal parts give equal digests."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


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


def sweep_temporaries(folder: Path) -> None:
    """Remove what a killed writer left behind. Call while nobody writes below the folder."""
    for leftover in folder.rglob(f".*{_TMP_SUFFIX}"):
        leftover.unlink(missing_ok=True)
