"""Runs the main job as a user does, in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.service import eventually

Environment = dict[str, str]
PATIENCE_S = 600


def command(videos: Sequence[Path], root: Path | str, *more: str) -> list[str]:
    """The command line for a show called t."""
    head = [sys.executable, "-m", "services.cli.main", "process", *map(str, videos)]
    return [*head, "--show", "t", "--data-root", str(root), *more]


def start(videos: Sequence[Path], root: Path | str, environment: Environment) -> subprocess.Popen[bytes]:
    """Begin a run without waiting for it."""
    silent = subprocess.DEVNULL
    return subprocess.Popen(command(videos, root), env=environment, stdout=silent, stderr=silent)


def run(
    videos: Sequence[Path], root: Path | str, environment: Environment, *more: str
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    words = command(videos, root, *more)
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=900, check=False)


@contextmanager
def under_way(video: Path, root: Path, environment: Environment) -> "Iterator[subprocess.Popen[str]]":
    """A run that has two checkpoints and is not over; with the block it is killed, if it still runs."""
    with subprocess.Popen(
        command([video], root), env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            eventually(lambda: checkpoints(root) >= 2, PATIENCE_S, "two checkpoints")
            assert running.poll() is None, "the run was over before anything could be lost"
            yield running
        finally:
            running.kill()


def check_ends_well(running: "subprocess.Popen[str]") -> None:
    """Wait for its end, and show what it said where that was not a good one."""
    _, said = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, said


def checkpoints(root: Path) -> int:
    """Markers of chunks and stages: how far a run is."""
    return len([*root.rglob("done-*.json"), *root.rglob("stages/*.json")])


def artifact_bytes(root: Path) -> dict[str, bytes]:
    """Every artifact by its path; logs tell the time and are left out."""
    files = (p for p in root.rglob("*") if p.is_file() and not {"diagnostics", "logs"} & set(p.parts))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}
