"""Looking through files for traces: the bytes of each as they lie there, and what is packed within them.

Faces, as numbers and as pictures, are looked for at every offset of every file, whatever its name. Parquet
files are decoded column by column besides, workbooks and other zip archives member by member. What a finding
says never repeats the word that was found.
"""

import os
import stat
import time
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zlib import error as ZlibError  # noqa: N812 - as all other errors are called

import pyarrow as pa
import pyarrow.parquet as pq

from screenalyzer import storage
from screenalyzer.erasure.needles import Needles
from screenalyzer.erasure.traces import Traces, digests, vectors_of
from screenalyzer.erasure.words import Words

_BLOCK = 1 << 20
_ROWS = 512
_LEAST_WIDTH = 16  # numbers; boxes and landmarks are no faces
_MOST_UNPACKED = 1 << 28  # bytes of all members of an archive: a workbook of a season is far below
_PARQUET = b"PAR1"  # at both ends of such a file
_BEING_WRITTEN_S = 60.0  # a temporary file that is younger may not be whole yet
_CODED = frozenset(
    {".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts", ".m4v", ".mxf", ".parquet"}
    | {".jpg", ".jpeg", ".png", ".webp"}
)


@dataclass(frozen=True)
class Finding:
    """A trace that is still there.

    Attributes:
        path: of the file, from the folder that was looked through; a word that was found is masked in it.
        what: for people.
    """

    path: Path
    what: str


@dataclass(frozen=True)
class Scan:
    """What was looked through.

    Attributes:
        files: count of them.
        bytes: their sizes in all.
        found: what is still there, by path; a file that cannot be read is a finding too.
        complete: not told to stop before the end.
    """

    files: int
    bytes: int
    found: tuple[Finding, ...]
    complete: bool = True


def scan_files(
    root: Path, traces: Traces, skip: Collection[Path], report: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> Scan:  # fmt: skip
    """Look through every file below a folder. Links are not followed.

    Args:
        root: the folder.
        traces: what to look for.
        skip: files and folders that are left out.
        report: told the bytes that were looked through and those there are, a file at a time and within.
        stop: asked often; True ends the search.
    """
    files = _with_stored(root, dict(_files(root, frozenset(skip))), skip)
    search = _Search(traces, report, stop, sum(size for _, size in files))
    found: list[Finding] = []
    done = 0
    for path, size in files:
        if stop():
            break
        name = path.relative_to(root)
        with _here(path) as is_here:
            whats = search.through(path, size) if is_here else search.by_digest(path)
        if search.words.in_text(name.as_posix()):
            whats.append("a word in its name")
        shown = Path(search.words.mask(name.as_posix()))
        found += [Finding(shown, what) for what in dict.fromkeys(whats)]
        done += 1
    return Scan(done, search.done, tuple(found), complete=done == len(files) and not search.stopped)


class _Search:
    """One pass; `done` counts bytes."""

    def __init__(
        self, traces: Traces, report: Callable[[int, int], None], stop: Callable[[], bool], total: int
    ) -> None:
        self._traces, self._report, self._stop, self._total = traces, report, stop, total
        self.words = Words(traces.words)
        self._needles = Needles(traces.probes, traces.vectors | traces.crops)
        self._reach = max(self.words.reach, self._needles.reach)
        self.done, self.stopped = 0, False

    def through(self, path: Path, size: int) -> list[str]:
        """What is found in one file; nothing in one that went meanwhile."""
        before, found = self.done, list[str]()
        try:
            found += self._raw(path)
            if not self.stopped and (path.suffix == ".parquet" or _begins(path, _PARQUET)):
                found += self._table(path)
            elif zipfile.is_zipfile(path) and not self.stopped:
                found += self._archive(path)
        except FileNotFoundError:
            return []
        except PermissionError:
            found.append("it may not be read")
        if not self.stopped:
            self.done = before + size
            self._report(self.done, self._total)
        return found

    def by_digest(self, path: Path) -> list[str]:
        """What a video in an object store is, which lies below the digest of its content."""
        return ["the file itself"] if path.parent.name in self._traces.digests else []

    def _raw(self, path: Path) -> Iterator[str]:
        """The bytes as they are: words, faces at any offset, and the hash of the whole."""
        coded = path.suffix.lower() in _CODED
        wanted = self._traces.digests | self._traces.crops
        whole, tail, first = sha256(), b"", True
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                if self._stop():
                    self.stopped = True
                    return
                if wanted:
                    whole.update(block)
                last = len(block) < _BLOCK
                text = tail[-self.words.reach :] + block if self.words.reach else block
                if self.words.in_bytes(text, coded=coded, first=first, last=last):
                    yield "a word"
                yield from self._faces(tail[-self._needles.reach :] + block if self._needles else b"")
                first = False
                tail = (tail + block)[-self._reach :] if self._reach else b""
                self.done += len(block)
                self._report(min(self.done, self._total), self._total)
        if whole.hexdigest() in wanted:
            yield "a picture of a face" if whole.hexdigest() in self._traces.crops else "the file itself"

    def _faces(self, data: bytes) -> Iterator[str]:
        found = self._needles.find(data)
        if found & self._traces.vectors:
            yield "a face as numbers"
        if found & self._traces.crops:
            yield "a picture of a face"

    def _table(self, path: Path) -> list[str]:
        found: list[str] = []
        try:
            with pq.ParquetFile(path) as file:
                facts = file.schema_arrow.metadata or {}
                if any(self.words.in_text(v.decode(errors="replace")) for v in facts.values()):
                    found.append("a word in the metadata")
                for n, column in enumerate(file.schema_arrow):
                    found += self._column(file, n, column)
        except (pa.ArrowException, OSError) as e:
            if isinstance(e, FileNotFoundError):
                raise
            if path.suffix != ".tmp" or time.time() - path.stat().st_mtime > _BEING_WRITTEN_S:
                found.append("it cannot be decoded")
        return found

    def _column(self, file: pq.ParquetFile, n: int, column: pa.Field) -> Iterator[str]:
        look = self._look(column.type)
        name = self.words.mask(column.name)
        if self.words.in_text(column.name):
            yield f"a word as the name of column {n}"
        for batch in file.iter_batches(_ROWS, columns=[column.name], use_threads=False) if look else ():
            if self._stop():
                self.stopped = True
                return
            if look and (what := look(batch.column(0))):
                yield f"{what} in column {name}"

    def _look(self, kind: pa.DataType) -> Callable[[pa.Array], str | None] | None:
        """How to look through a column of a kind; None where it can hold nothing that is looked for."""
        types, traces = pa.types, self._traces
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if lists and types.is_float32(kind.value_type) and traces.vectors:
            short = types.is_fixed_size_list(kind) and kind.list_size < _LEAST_WIDTH
            return None if short else self._vectors
        if (types.is_binary(kind) or types.is_large_binary(kind)) and (traces.crops or traces.words):
            return self._pictures
        texts = types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)
        if (texts or (lists and types.is_string(kind.value_type))) and traces.words:
            return self._texts
        return None

    def _vectors(self, column: pa.Array) -> str | None:
        return "a face as numbers" if digests(vectors_of(column)) & self._traces.vectors else None

    def _pictures(self, column: pa.Array) -> str | None:
        values = [v for v in column.to_pylist() if v]
        if digests(values) & self._traces.crops:
            return "a picture of a face"
        coded = (self.words.in_bytes(v, coded=True) for v in values)
        return "a word" if self.words and any(coded) else None

    def _texts(self, column: pa.Array) -> str | None:
        texts = (column.flatten() if hasattr(column, "flatten") else column).unique().to_pylist()
        return "a word" if any(self.words.in_text(str(t)) for t in texts if t is not None) else None

    def _archive(self, path: Path) -> Iterator[str]:
        left = _MOST_UNPACKED
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    data = archive.open(member).read(left + 1)
                    left -= len(data)
                    if left < 0:
                        yield "it is too large to be unpacked"
                        return
                    yield from self._member(member.filename, data)
        except (zipfile.BadZipFile, ZlibError, NotImplementedError, RuntimeError, EOFError):
            yield "it cannot be unpacked"

    def _member(self, name: str, data: bytes) -> Iterator[str]:
        coded = Path(name).suffix.lower() in _CODED
        if self.words.in_text(name) or self.words.in_bytes(data, coded=coded):
            yield "a word in what is packed in it"
        yield from (f"{what} in what is packed in it" for what in self._faces(data))
        whole = sha256(data).hexdigest()
        if whole in self._traces.crops:
            yield "a picture of a face in what is packed in it"
        elif whole in self._traces.digests:
            yield "the file itself in what is packed in it"


def _with_stored(root: Path, here: dict[Path, int], skip: Collection[Path]) -> list[tuple[Path, int]]:
    """The files that are here, and those that lie in the object store alone."""
    if not storage.is_mirrored(root):
        return list(here.items())
    out = frozenset(skip)
    for entry in storage.files_below(root):
        if entry.path.parts[len(root.parts)] != storage.LEASES and out.isdisjoint(
            (entry.path, *entry.path.parents)
        ):
            here.setdefault(entry.path, entry.size)
    return sorted(here.items())


@contextmanager
def _here(path: Path) -> Iterator[bool]:
    """Have a file here for the time of the block; False for a video that is not."""
    if path.exists() or not storage.is_mirrored(path):
        yield True
    elif path.parent.parent.name == "videos":
        yield False
    else:
        with storage.borrowed(path):
            yield True


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _files(root: Path, skip: frozenset[Path]) -> Iterator[tuple[Path, int]]:
    """Regular files with their sizes, in the order of their paths."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if here / f not in skip)
        for path in (here / n for n in sorted(names) if here / n not in skip):
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):
                yield path, facts.st_size
