"""The whole service as its users start it, `screenalyzer up`; a pytest plugin with one for all tests."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.lasting import lasting

if TYPE_CHECKING:
    from services.host.state import State

Environment = dict[str, str]

PASSWORD = "a password for the tests 7421"
_START_S, _STOP_S, _CALL_S = 240, 90, 300
_PORTS = range(
    20_000, 30_000
)  # above those of Ray's workers, below those that Linux gives to connections out
_ELSEWHERE = ("RAY_ADDRESS", "DATABASE_URL", "REDIS_URL")


@dataclass(frozen=True)
class RunningService:
    """A service that runs.

    Attributes:
        root: its data root.
        url: of the API.
        ui: address of the review UI; None where it does not run.
        admin_token: of the Admin, who is also logged in for the command line; it lives for hours.
        env: environment of programs that talk to it, by its data root.
        pid: of the supervisor.
    """

    root: Path
    url: str
    ui: str | None
    admin_token: str
    env: Environment
    pid: int

    @property
    def headers(self) -> dict[str, str]:
        """What a request of the Admin bears."""
        return {"Authorization": f"Bearer {self.admin_token}"}

    def process_named(self, name: str) -> psutil.Process:
        """The first process of the service with a name in its title, such as `ServeReplica:screenalyzer`."""
        found = self.processes_named(name)
        assert found, f"the service has no process {name}"
        return found[0]

    def processes_named(self, name: str) -> list[psutil.Process]:
        """All of them; looked up in titles and command lines."""
        return [p for p in psutil.Process(self.pid).children(recursive=True) if name in _title(p)]

    def kill(self, name: str) -> int:
        """SIGKILL one of them, and wait until it is gone; returns its process id."""
        victim = self.process_named(name)
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        return victim.pid

    def cli(self, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run the command line as the Admin."""
        return cli(self.env, *words, **more)


def cli(
    env: Mapping[str, str], *words: str, stdin: str = "", timeout_s: float = _CALL_S
) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end."""
    return subprocess.run(
        command(*words), env=env, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def command(*words: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "services.cli.main", *words]


def service_environment(home: Path, root: Path, **settings: str) -> Environment:
    """The environment of a service and its clients: small chunks, no network, cheap passwords, its own home.

    Args:
        home: folder for what the command line keeps for a user.
        root: the data root.
        settings: more variables, by name.
    """
    kept = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE and not k.startswith("SCREENALYZER_")}
    return {
        **kept,
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "SCREENALYZER_DATA_ROOT": str(root),
        "SCREENALYZER_EMBED__EMBEDDER": "dlib",
        "SCREENALYZER_EMBED__OFFLINE": "1",
        "SCREENALYZER_VIDEO__CHUNK_S": "2",
        "SCREENALYZER_ACCESS__ACCESS_MINUTES": "600",
        "SCREENALYZER_ACCESS__HASH_MIB": "1",
        "SCREENALYZER_ACCESS__HASH_ROUNDS": "1",
        **settings,
    }


def start_service(env: Environment, *flags: str, ui: bool = False) -> RunningService:
    """`up`, then the first login with the one-time secret, where there is one, and a password.

    Args:
        env: from `service_environment`.
        flags: more of `up`.
        ui: whether the review UI runs too.
    """
    shown = ["--ui-port", str(free_port())] if ui else ["--no-ui"]
    done = cli(env, "up", *shown, "--port", str(free_port()), "--json", *flags, timeout_s=_START_S)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if found["secret"]:
        first_login(env, found["admin"], found["secret"])
    kept = json.loads((Path(env["XDG_CONFIG_HOME"]) / "screenalyzer" / "credentials.json").read_text())
    token = kept[found["api"]]["access_token"] if found["api"] in kept else ""
    return RunningService(Path(found["data_root"]), found["api"], found["ui"], token, env, found["pid"])


def first_login(env: Environment, user: str, secret: str) -> None:
    """Log in with a one-time secret, and set the password of all tests."""
    done = cli(env, "login", "--user", user, "--secret-file", secret)
    assert done.returncode == 0, done.stderr
    done = cli(env, "users", "password", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr


def stop_service(env: Environment) -> None:
    """`down`; nothing of it runs afterwards."""
    done = cli(env, "down", timeout_s=_STOP_S)
    assert done.returncode == 0, done.stderr


@contextmanager
def service_on(env: Environment, *flags: str, ui: bool = False) -> Iterator[RunningService]:
    """A service for the time of the block."""
    try:
        yield start_service(env, *flags, ui=ui)
    finally:
        stop_service(env)


def free_port() -> int:
    """A port that nobody listens on, and that no connection out takes meanwhile."""
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def eventually(look: Callable[[], Any], within_s: float, what: str) -> Any:
    """The first true value of `look`."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
    return found


def state_of(root: Path) -> "State | None":
    """What the supervisor of a data root says of itself, if one runs."""
    from services.host.state import running  # noqa: PLC0415 - most tests need no service

    return running(root)


def processes_of(scratch_of: int) -> list[str]:
    """Titles of processes that a supervisor's cluster has left, known by what they have open."""
    mark, found = f"/tmp/screenalyzer-{scratch_of}-", []
    for process in psutil.process_iter():
        try:
            used = [*process.cmdline(), *(f.path for f in process.open_files())]
        except psutil.Error:
            continue
        if any(mark in u for u in used):
            found.append(_title(process))
    return found


def _title(process: psutil.Process) -> str:
    try:
        dead = process.status() == psutil.STATUS_ZOMBIE
        return "" if dead else f"{process.name()} {' '.join(process.cmdline())}"
    except psutil.Error:
        return ""


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningService:
    """A running service with its UI and its Admin logged in; stopped after the last test that asks for it."""
    home = tmp_path_factory.mktemp("service")
    return lasting(request).enter_context(service_on(service_environment(home, home / "data"), ui=True))
