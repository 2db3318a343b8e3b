"""Starting a supervisor and waiting until the service runs; stopping it again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from screenalyzer.errors import ServiceError
from services.host.state import LOG, State, holder, running
from services.settings import ServiceSettings

Say = Callable[[str], None]

_LOOK_EVERY_S = 0.1
_SILENT_S = 300.0  # in one step; the longest may fetch weights
_END_S = 30.0
_LOG_BYTES = 20 << 20


def bring_up(settings: ServiceSettings, ui: bool, say: Say) -> tuple[State, bool]:
    """Start the service in the background, unless it runs, and wait until it answers.

    Args:
        settings: with what was typed; the supervisor is given them as its environment.
        ui: whether the review UI is started, if it is installed.
        say: is told each step.

    Returns:
        Its state, and whether it was started by this call.

    Raises:
        ServiceError: it could not be started; nothing of it runs then.
        OSError: the data root cannot be written.
    """
    root = settings.root
    if holder(root) is not None:
        return _await(root, None, say), False
    process = _spawn(settings, ui)
    try:
        found = _await(root, process, say)
    except BaseException:  # also an interrupt: what was begun is ended
        _end(process)
        raise
    return found, found.pid == process.pid  # somebody else may have been faster


def bring_down(root: Path, say: Say, patience_s: float = _END_S) -> bool:
    """Stop the service and wait until it is gone.

    Args:
        root: the data root.
        say: is told each step.
        patience_s: after so long it is killed; what it did is safe then too.

    Returns:
        Whether it ran.

    Raises:
        ServiceError: it is another user's.
    """
    pid = holder(root)
    if pid is None:
        return False
    _signal(pid, signal.SIGTERM)
    step, deadline, killed = "", time.monotonic() + patience_s, False
    while holder(root) == pid:
        found = running(root)
        if found and found.step and found.step != step:
            step = found.step
            say(step)
        if time.monotonic() > deadline:
            say(f"not gone after {patience_s:g} s: killing it")
            _signal(pid, signal.SIGKILL)
            deadline, killed = deadline + patience_s, True
        time.sleep(_LOOK_EVERY_S)
    if killed:
        _sweep()
    return True


def log_path(root: Path) -> Path:
    """Where the service writes what it does."""
    return root / LOG


def environment(settings: ServiceSettings) -> dict[str, str]:
    """The environment of a supervisor: this one's, with what was typed."""
    return {
        **os.environ,
        "SCREENALYZER_DATA_ROOT": str(settings.root),
        "SCREENALYZER_API__HOST": settings.api.host,
        "SCREENALYZER_API__PORT": str(settings.api.port),
        "SCREENALYZER_API__UI_PORT": str(settings.api.ui_port),
    }


def _spawn(settings: ServiceSettings, ui: bool) -> "subprocess.Popen[bytes]":
    path = log_path(settings.root)
    settings.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    words = [sys.executable, "-m", "services.host.supervisor", *([] if ui else ["--no-ui"])]
    with path.open("ab") as log:
        path.chmod(0o600)
        return subprocess.Popen(
            words, env=environment(settings), start_new_session=True, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log,
        )  # fmt: skip


def _await(root: Path, process: "subprocess.Popen[bytes] | None", say: Say) -> State:
    """Wait until the service runs; the process is the one that was started for it, if any was."""
    step, deadline = "", time.monotonic() + _SILENT_S
    while time.monotonic() < deadline:
        ended = process is not None and process.poll() is not None
        found = running(root)
        if found is not None and found.phase == "running":
            return found
        if found is None and (ended or process is None):
            raise ServiceError(_why(root, process))
        if found is not None and found.step != step:
            step, deadline = found.step, time.monotonic() + _SILENT_S
            if step:
                say(step)
        time.sleep(_LOOK_EVERY_S)
    raise ServiceError(f"the service has been {step or 'starting'} for {_SILENT_S:.0f} s. {_see(root)}")


def _why(root: Path, process: "subprocess.Popen[bytes] | None") -> str:
    """Why there is no service, from what it left."""
    left = State.load(root)
    if left is not None and left.error and (process is None or left.pid == process.pid):
        return f"{left.error} {_see(root)}"
    if process is None:
        return "the service that was there has just ended. Start it again."
    with suppress(OSError):
        last = log_path(root).read_text(errors="replace").strip().splitlines()[-1:]
        return f"the service ended with exit code {process.returncode}: {''.join(last)} {_see(root)}"
    return f"the service ended with exit code {process.returncode}. {_see(root)}"


def _see(root: Path) -> str:
    return f"Its log is {log_path(root)}."


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        _sweep()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as e:
        raise ServiceError(
            f"the service is process {pid}, which is another user's. Stop it as that user."
        ) from e


def _sweep() -> None:
    """End what a killed supervisor's cluster left."""
    from pipelines.cluster import sweep_scratch  # noqa: PLC0415 - Ray takes seconds to import

    sweep_scratch()
