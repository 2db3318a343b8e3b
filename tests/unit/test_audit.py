import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from screenalyzer import audit
from screenalyzer.errors import ArtifactError

AT = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "diagnostics" / "audit.jsonl"
    for k in range(4):
        audit.append(path, "cluster.merge", "ana", {"a": f"c{k}", "ü": [1, 2.5, None]}, AT)
    return path


def test_a_good_log_verifies_and_reads_back(log):
    assert audit.verify(log) == audit.Verdict(True, 4)
    lines = audit.read(log)
    assert [line["n"] for line in lines] == [1, 2, 3, 4]
    assert lines[2]["details"] == {"a": "c2", "ü": [1, 2.5, None]}
    assert lines[0]["at"] == "2024-05-01T12:00:00.000+00:00"
    assert audit.last_hash(log) == lines[-1]["hash"]


def test_no_log_is_a_good_log(tmp_path):
    assert audit.verify(tmp_path / "none").ok
    assert audit.last_hash(tmp_path / "none") == audit.GENESIS
    assert audit.read(tmp_path / "none") == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_any_changed_byte_is_found_at_its_line(log, number):
    lines = log.read_bytes().splitlines(keepends=True)
    before = b"".join(lines[: number - 1])
    for offset in range(0, len(lines[number - 1]) - 1, 7):
        damaged = bytearray(log.read_bytes())
        damaged[len(before) + offset] ^= 1
        copy = log.with_name("copy.jsonl")
        copy.write_bytes(bytes(damaged))
        verdict = audit.verify(copy)
        assert (verdict.ok, verdict.broken_line, verdict.kind) == (False, number, "tampered")


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [1, 2, 3], [0, 2, 3], [0, 1, 1, 2, 3]])
def test_dropped_moved_and_repeated_lines_are_found(log, order):
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[k] for k in order))
    assert audit.verify(log).kind == "tampered"
    with pytest.raises(ArtifactError, match="cannot be trusted"):
        audit.read(log)


def test_an_edit_with_its_hash_made_anew_breaks_the_next_line(log):
    lines = log.read_bytes().splitlines()
    body = json.loads(lines[1])
    body["actor"] = "eve"
    del body["hash"]
    body["hash"] = audit._hash(body["prev"], body)
    lines[1] = audit.canonical(body)
    log.write_bytes(b"\n".join(lines) + b"\n")
    assert audit.verify(log).broken_line == 3


def test_a_torn_line_is_told_from_tampering_and_repaired_at_every_length(log):
    whole = log.read_bytes()
    start = len(b"".join(whole.splitlines(keepends=True)[:3]))
    for cut in range(start + 1, len(whole)):
        log.write_bytes(whole[:cut])
        verdict = audit.verify(log)
        assert (verdict.kind, verdict.broken_line, verdict.lines) == ("torn", 4, 3)
    assert audit.repair(log)
    assert log.read_bytes() == whole[:start]
    assert not audit.repair(log)
    assert audit.append(log, "x", "ana", {}, AT) == audit.last_hash(log)
    assert audit.verify(log) == audit.Verdict(True, 4)


def test_appending_after_a_kill_goes_on(log):
    log.write_bytes(log.read_bytes()[:-9])
    audit.append(log, "x", "ana", {}, AT)
    assert audit.verify(log) == audit.Verdict(True, 4)


def test_nothing_is_appended_to_a_damaged_last_line(log):
    log.write_bytes(log.read_bytes().replace(b"c3", b"c9"))
    with pytest.raises(ArtifactError, match="line 4"):
        audit.append(log, "x", "ana", {}, AT)


def test_long_lines_are_chained(tmp_path):
    path = tmp_path / "a.jsonl"
    for _ in range(3):
        audit.append(path, "x", "ana", {"text": "y" * 200_000}, AT)
    path.write_bytes(path.read_bytes()[:-150_000])
    audit.append(path, "x", "ana", {}, AT)
    assert audit.verify(path) == audit.Verdict(True, 3)


def test_what_cannot_be_hashed_the_same_twice_is_refused(log):
    with pytest.raises(ValueError, match="time zone"):
        audit.append(log, "x", "ana", {}, AT.replace(tzinfo=None))
    with pytest.raises(ValueError, match="JSON"):
        audit.append(log, "x", "ana", {"v": float("nan")}, AT)
    assert audit.verify(log) == audit.Verdict(True, 4)


def _write(path: Path, actor: str) -> None:
    for _ in range(15):
        audit.append(path, "x", actor, {}, AT)


def test_writers_of_several_processes_take_turns(tmp_path):
    path = tmp_path / "a.jsonl"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write, args=(path, f"w{k}")) for k in range(2)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert audit.verify(path) == audit.Verdict(True, 30)
