"""Which supervisor has a data root, and what it says of itself: `service.lock` and `service.json`."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from screenalyzer import artifacts
from screenalyzer.errors import ArtifactError, ServiceError

LOCK, STATE, LOG = "service.lock", "service.json", "logs/service.log"
_LOOKER_S = 1.0  # whoever looks holds the lock for an instant

Phase = Literal["starting", "running", "stopping", "failed"]


@dataclass(frozen=True)
class State:
    """What a supervisor says of itself.

    Attributes:
        pid: its process.
        data_root: absolute.
        phase: how far it is.
        step: what it does now, in words; while it starts or stops.
        api: address of the API.
        ui: address of the review UI; None where it is not started.
        admin: name of the first Admin.
        secret: path of the one-time secret that the first Admin logs in with; None once that was done.
        tls_cert: certificate of the API, where it speaks HTTPS.
        error: why it failed.
        warnings: what its operator should know.
        workers: how many live.
        apps: state of each Serve application.
    """

    pid: int
    data_root: str
    phase: Phase = "starting"
    step: str = ""
    api: str | None = None
    ui: str | None = None
    admin: str | None = None
    secret: str | None = None
    tls_cert: str | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    workers: int = 0
    apps: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, root: Path) -> "State | None":
        """What the last supervisor of a data root has said; None where there was none."""
        path = root / STATE
        if not path.exists():
            return None
        try:
            found = artifacts.read_json(path)
            known = {f.name for f in fields(cls)}
            return cls(**{k: v for k, v in found.items() if k in known})
        except (ArtifactError, TypeError, AttributeError):  # of another version, or removed meanwhile
            return None

    def shown(self) -> dict[str, Any]:
        """The part for whoever starts the service."""
        secret = self.secret if self.secret and Path(self.secret).exists() else None
        return {
            "api": self.api, "ui": self.ui, "admin": self.admin, "secret": secret, "pid": self.pid,
            "data_root": self.data_root,
        }  # fmt: skip


class Teller:
    """Writes a supervisor's state down whenever it changes."""

    def __init__(self, root: Path) -> None:
        """Take the data root; nothing is written yet."""
        self._path = root / STATE
        self.state = State(os.getpid(), str(root))

    def tell(self, **changes: Any) -> None:
        """Change some attributes."""
        changed = replace(self.state, **changes)
        if changed != self.state or not self._path.exists():
            self.state = changed
            artifacts.write_json(self._path, asdict(changed))

    def forget(self) -> None:
        """Remove the file: nothing runs."""
        self._path.unlink(missing_ok=True)


@contextmanager
def hold(root: Path) -> Iterator[None]:
    """Be the one supervisor of the data root for the time of the block.

    Raises:
        ServiceError: another one is.
    """
    with (root / LOCK).open("a+") as file:
        deadline = time.monotonic() + _LOOKER_S
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise ServiceError(f"the service already runs on {root}. Stop it with `screenalyzer down`.")
            time.sleep(0.05)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def holder(root: Path) -> int | None:
    """Process id of the supervisor that runs on the data root; None where none does."""
    try:
        file = (root / LOCK).open("r+")
    except FileNotFoundError:
        return None
    with file:
        if _locked(file.fileno()):
            return None
        pid = file.read().strip()
    return int(pid) if pid.isdigit() else None


def running(root: Path) -> State | None:
    """The state of the supervisor that runs on the data root; None where none does."""
    pid = holder(root)
    if pid is None:
        return None
    found = State.load(root)
    return found if found and found.pid == pid else State(pid, str(root))


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
