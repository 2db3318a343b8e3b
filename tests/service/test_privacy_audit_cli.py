"""`screenalyzer audit verify` over good, torn and tampered logs."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from screenalyzer import audit
from services.cli.main import app

AT = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the service's log and one of an episode, of three lines each."""
    for place in ("diagnostics", "outputs/Show/ep/diagnostics"):
        for n in range(3):
            audit.append(tmp_path / place / "audit.jsonl", "did", "ada", {"n": n}, AT)
    return tmp_path


def _verify(root: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "verify", "--data-root", str(root), *more])
    return done.exit_code, done.stdout


def test_good_logs(root: Path) -> None:
    code, said = _verify(root)
    assert code == 0
    lines = said.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok"]
    assert all("3 lines good" in line for line in lines)
    assert "outputs/Show/ep" in lines[1]


def test_a_torn_tail_is_said_to_be_one(root: Path) -> None:
    log = root / "diagnostics/audit.jsonl"
    log.write_bytes(log.read_bytes()[:-5])
    code, said = _verify(root)
    assert code == 0
    assert said.startswith("torn")
    assert "2 lines good" in said


def test_a_tampered_log_fails(root: Path) -> None:
    log = root / "outputs/Show/ep/diagnostics/audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"n":1}', b'"n":7}'))
    code, said = _verify(root, "--json")
    assert code == 1
    found = json.loads(said)["logs"]
    assert [(log["kind"], log["lines"]) for log in found] == [("ok", 3), ("tampered", 1)]
    assert _verify(root, str(root / "diagnostics/audit.jsonl"))[0] == 0
    assert _verify(root, str(log))[0] == 1


def test_an_anchor_shows_that_lines_were_cut_off(root: Path) -> None:
    log = root / "diagnostics/audit.jsonl"
    anchor = audit.last_hash(log)
    assert _verify(root, "--anchor", anchor)[0] == 0
    whole = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(whole[:-1]))
    assert _verify(root)[0] == 0
    assert _verify(root, str(log), "--anchor", anchor)[0] == 1


def test_a_log_that_is_named_must_be_there(root: Path) -> None:
    assert _verify(root, str(root / "nothing.jsonl"))[0] == 1


def test_no_logs_at_all(tmp_path: Path) -> None:
    assert _verify(tmp_path)[0] == 0
