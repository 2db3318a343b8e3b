"""Stopping a supervisor that does not want to, and saying why one did not come up."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from screenalyzer.errors import ServiceError
from services.host.launch import bring_down, bring_up, log_path
from services.host.state import holder
from services.settings import ServiceSettings


@contextmanager
def _supervisor(root: Path, first: str, then: str = "") -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a data root as a supervisor does, and does something else first and then."""
    program = (
        "import signal, sys, time\nfrom pathlib import Path\nfrom services.host.state import Teller, hold\n"
        f"root = Path({str(root)!r})\nwith hold(root):\n    teller = Teller(root)\n    {first}\n"
        f"    print('held', flush=True)\n    time.sleep(0.5)\n    {then}\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    said: list[str] = []
    with _supervisor(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)") as process:
        assert bring_down(tmp_path, said.append, patience_s=0.5)
        assert process.wait(5) == -9
    assert said == ["not gone after 0.5 s: killing it"]
    assert holder(tmp_path) is None
    assert not bring_down(tmp_path, said.append)


def test_one_that_starts_is_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    first, then = (
        "teller.tell(step='finding the moon')",
        "teller.tell(phase='running', step='', api='http://a')",
    )
    settings = ServiceSettings(data_root=tmp_path)
    with _supervisor(tmp_path, first, then) as process:
        found, fresh = bring_up(settings, False, said.append)
        assert (found.pid, found.api, fresh) == (process.pid, "http://a", False)
    assert said == ["finding the moon"]


def test_one_that_gives_up_is_not_waited_for(tmp_path: Path) -> None:
    first = "teller.tell(phase='failed', error='the moon is away')"
    said = pytest.raises(ServiceError, match=r"^the moon is away Its log is ")
    with _supervisor(tmp_path, first, "sys.exit()"), said:
        bring_up(ServiceSettings(data_root=tmp_path), False, lambda _: None)


def test_one_that_dies_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself does not come up
    with pytest.raises(ServiceError, match=r"^the service ended with exit code 1: .*Its log is"):
        bring_up(ServiceSettings(data_root=tmp_path), False, lambda _: None)
    assert "/nowhere" in log_path(tmp_path).read_text()


def test_a_long_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://no")
    path = log_path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"x" * (21 << 20))
    with pytest.raises(ServiceError, match="mysql"):
        bring_up(ServiceSettings(data_root=tmp_path), False, lambda _: None)
    assert path.stat().st_size < 1 << 20
    assert path.with_suffix(".log.1").stat().st_size == 21 << 20
