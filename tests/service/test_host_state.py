"""One supervisor a data root, and what it says of itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from screenalyzer.errors import ServiceError
from services.host.state import STATE, State, Teller, hold, holder, running


def test_a_data_root_has_one_supervisor(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with hold(tmp_path):
        assert holder(tmp_path) == os.getpid()
        with pytest.raises(ServiceError, match="already runs"), hold(tmp_path):
            pytest.fail("there were two")
    assert holder(tmp_path) is None


def test_a_killed_supervisor_does_not_hold_on(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom services.host.state import Teller, hold\n"
        "with hold(Path(sys.argv[1])):\n"
        "    Teller(Path(sys.argv[1])).tell(phase='running')\n"
        "    print('held', flush=True)\n    time.sleep(60)"
    )
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        found = running(tmp_path)
        assert found == State(process.pid, str(tmp_path), phase="running")
        process.kill()
        process.wait()
    assert running(tmp_path) is None
    left = State.load(tmp_path)
    assert left is not None
    assert left.phase == "running"


def test_what_a_former_supervisor_said_is_not_taken_for_the_present_one(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(
        json.dumps({"pid": 1, "data_root": "x", "phase": "running", "api": "http://old"})
    )
    with hold(tmp_path):
        assert running(tmp_path) == State(os.getpid(), str(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"phase": "running"}'])
def test_a_state_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE).write_text(text)
    assert State.load(tmp_path) is None


def test_a_state_of_a_later_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text(json.dumps({"pid": 7, "data_root": "/d", "colour": "blue"}))
    assert State.load(tmp_path) == State(7, "/d")


def test_the_secret_is_shown_while_it_is_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    state = State(7, str(tmp_path), api="http://a", admin="admin", secret=str(secret))
    assert state.shown()["secret"] is None
    secret.write_text("x")
    assert state.shown() == {
        "api": "http://a", "ui": None, "admin": "admin", "secret": str(secret), "pid": 7,
        "data_root": str(tmp_path),
    }  # fmt: skip


def test_changes_are_told_whole(tmp_path: Path) -> None:
    teller = Teller(tmp_path)
    teller.tell(phase="running", workers=3)
    teller.tell(workers=4)
    found = State.load(tmp_path)
    assert found is not None
    assert (found.phase, found.workers, found.pid) == ("running", 4, os.getpid())
    teller.forget()
    assert State.load(tmp_path) is None
