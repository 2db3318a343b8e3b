"""The audit log: append-only JSON lines, each chained to the last by hash.

A line's hash is sha256 over the hash of the line before and the line's own canonical JSON without its hash.
Whoever changes, drops, inserts or reorders a line breaks every hash that follows. Cutting whole lines off
the end cannot be seen from the file alone: keep `last_hash` elsewhere to notice that too.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

from screenalyzer import storage
from screenalyzer.artifacts import write_bytes
from screenalyzer.errors import ArtifactError, StoreError

GENESIS = "0" * 64
_TAIL_BLOCK = 1 << 16
_TURN_S = 60.0


@dataclass(frozen=True)
class Verdict:
    """What a verification found.

    Attributes:
        ok: every line is whole and chained.
        lines: count of good lines from the top.
        broken_line: number, from 1, of the first line that is not; None where all are.
        kind: torn is the mark of a writer killed within its last line, and `repair` removes it;
            tampered is anything else, and nothing here repairs it.
        reason: for people; empty where all is well.
        last: hash of the last good line.
    """

    ok: bool
    lines: int
    broken_line: int | None = None
    kind: Literal["ok", "torn", "tampered"] = "ok"
    reason: str = ""
    last: str = field(default=GENESIS, compare=False)


def canonical(value: object) -> bytes:
    """The one way to write a value as JSON bytes: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: the value holds NaN or infinity.
        TypeError: it is not plain JSON data.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _hash(previous: str, body: Mapping[str, Any]) -> str:
    return hashlib.sha256(previous.encode() + canonical(body)).hexdigest()


def append(path: Path, action: str, actor: str, details: Mapping[str, Any], at: datetime) -> str:
    """Add one line and flush it to disk. Writers of several processes take turns.

    A torn last line of a killed writer is removed first: it was never acknowledged to anyone.

    Args:
        path: the log; made with its folder where it is not there.
        action: what was done, a short word with dots.
        actor: who did it.
        details: plain JSON data.
        at: when; must know its time zone, is written in UTC.

    Returns:
        The new line's hash.

    Raises:
        ArtifactError: the last line is whole but damaged; nothing is appended to a broken chain.
        StoreError: the object store that holds it does not take it.
        ValueError: `at` has no time zone, or the details hold NaN.
    """
    if at.tzinfo is None:
        raise ValueError("the time of an audit line must know its time zone")
    with storage.held(path, wait_s=_TURN_S) as mine:
        if not mine:
            raise StoreError(f"other nodes keep {path.name} busy. Nothing is lost: try it again.")
        storage.need(path)
        return _append(path, action, actor, details, at)


def _append(path: Path, action: str, actor: str, details: Mapping[str, Any], at: datetime) -> str:
    created = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as file:
        _cut_torn(file)
        last = _last_line(file)
        previous, number = _chain_end(path, last) if last else (GENESIS, 0)
        body = {
            "n": number + 1,
            "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
            "actor": actor,
            "action": action,
            "details": dict(details),
            "prev": previous,
        }
        digest = _hash(previous, body)
        _add(path, file, canonical({**body, "hash": digest}) + b"\n")
    if created:
        storage.fsync_folder(path.parent)
    return digest


def _add(path: Path, file: BinaryIO, line: bytes) -> None:
    if storage.is_mirrored(path):  # an object store cannot append
        file.seek(0)
        write_bytes(path, file.read() + line)
        return
    file.seek(0, os.SEEK_END)
    file.write(line)
    file.flush()
    os.fsync(file.fileno())


def verify(path: Path, seen: tuple[int, str] | None = None) -> Verdict:
    """Walk the chain from the top. A log that is not there yet is a good log of no lines.

    Args:
        path: the log.
        seen: number and hash of a line that was there before. Without it a log that was cut off at its end,
            or written anew from some line on, cannot be told from a good one.
    """
    known, wanted = seen or (0, GENESIS)
    previous, good = GENESIS, 0
    with path.open("rb") if path.exists() else BytesIO() as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                problem = f"line {number} was not written to its end"
                return _held(Verdict(False, good, number, "torn", problem, previous), known)
            problem, digest = _check(raw, previous, number)
            if not problem and number == known and digest != wanted:
                problem = "it is not the line that was here before"
            if problem:
                return Verdict(False, good, number, "tampered", f"line {number}: {problem}", previous)
            previous, good = digest, number
    return _held(Verdict(True, good, last=previous), known)


def _held(found: Verdict, known: int) -> Verdict:
    if found.lines >= known:
        return found
    reason = f"lines are missing at its end: there were {known}"
    return Verdict(False, found.lines, found.lines + 1, "tampered", reason, found.last)


def repair(path: Path) -> bool:
    """Remove a torn last line. Whole lines are never touched, however broken.

    Returns:
        Whether there was one.
    """
    if not path.exists():
        return False
    with _locked(path) as file:
        return _cut_torn(file)


def last_hash(path: Path) -> str:
    """Hash of the last whole line; the anchor to keep elsewhere against a shortened log.

    Raises:
        ArtifactError: the last line is damaged.
    """
    if not path.exists():
        return GENESIS
    with _locked(path) as file:
        _cut_torn(file)
        last = _last_line(file)
    return _chain_end(path, last)[0] if last else GENESIS


def read(path: Path) -> list[dict[str, Any]]:
    """Every line of a good log, oldest first.

    Raises:
        ArtifactError: the chain is broken.
    """
    verdict = verify(path)
    if verdict.kind == "tampered":
        raise ArtifactError(f"{path} cannot be trusted: {verdict.reason}")
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[: verdict.lines]
    return [json.loads(line) for line in lines]


def _check(raw: bytes, previous: str, number: int) -> tuple[str, str]:
    """What is wrong with a whole line (empty: nothing), and its hash."""
    try:
        line = json.loads(raw)
        digest = line.pop("hash")
        if line["prev"] != previous:
            return "it does not follow the line before", ""
        if line["n"] != number:
            return f"it says it is line {line['n']}", ""
        if _hash(previous, line) != digest or canonical({**line, "hash": digest}) + b"\n" != raw:
            return "its content is not what was hashed", ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return "it is not a line of this log", ""
    return "", str(digest)


def _chain_end(path: Path, last: bytes) -> tuple[str, int]:
    try:
        line = json.loads(last)
        previous, number = str(line["prev"]), int(line["n"])
    except (ValueError, KeyError, TypeError) as e:
        raise ArtifactError(
            f"{path}: the last line is damaged. Verify the log and restore it from a backup."
        ) from e
    problem, digest = _check(last, previous, number)
    if problem:
        raise ArtifactError(f"{path}: line {number}: {problem}. Verify the log and restore it from a backup.")
    return digest, number


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _last_line(file: BinaryIO) -> bytes:
    """The last line with its newline, of a file that is empty or ends in one."""
    end = file.seek(0, os.SEEK_END)
    tail, at = b"", end
    while at > 0 and b"\n" not in tail[:-1]:
        size = min(_TAIL_BLOCK, at)
        at -= size
        file.seek(at)
        tail = file.read(size) + tail
    return tail[tail[:-1].rfind(b"\n") + 1 :]


def _cut_torn(file: BinaryIO) -> bool:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return False
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return False
    keep = 0
    at = end
    while at > 0:
        size = min(_TAIL_BLOCK, at)
        at -= size
        file.seek(at)
        cut = file.read(size).rfind(b"\n")
        if cut >= 0:
            keep = at + cut + 1
            break
    file.truncate(keep)
    file.flush()
    os.fsync(file.fileno())
    return True
