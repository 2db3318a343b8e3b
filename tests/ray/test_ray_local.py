"""The path that every user takes: no RAY_ADDRESS, a local cluster that the command starts and stops."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from support.main_job import Environment, artifact_bytes, checkpoints, command

from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

_PATIENCE_S, _DEATH_S = 300, 20


@pytest.fixture
def alone(environment: Environment) -> Environment:
    """The same settings, and no cluster to join."""
    return {k: v for k, v in environment.items() if k != "RAY_ADDRESS"}


@contextmanager
def _begun(video: Path, root: Path, environment: Environment) -> Iterator[subprocess.Popen[str]]:
    """A run in a process group of its own, as a shell gives it one; ended at the latest with the block."""
    process = subprocess.Popen(
        command([video], root), env=environment, start_new_session=True, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for_checkpoints(process: subprocess.Popen[str], root: Path, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while checkpoints(root) < count:
        assert process.poll() is None, "the run was over before it could be disturbed"
        assert time.monotonic() < deadline, f"no {count} checkpoints in {_PATIENCE_S} s"
        time.sleep(0.02)


def _scratches(pid: int) -> list[Path]:
    return list(Path("/tmp").glob(f"screenalyzer-{pid}-*"))


def _survivors(pid: int) -> list[str]:
    """Command lines of the cluster that a run started, which all name its scratch folder."""
    mark = f"/tmp/screenalyzer-{pid}-"
    lines = (" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))
    return [line for line in lines if mark in line]


def _assert_all_gone(pid: int) -> None:
    deadline = time.monotonic() + _DEATH_S
    while (left := _survivors(pid)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not left


def test_killed_run_leaves_no_process_and_goes_on(
    quiet_root: Path, season: list[DemoEpisode], alone: Environment, tmp_path: Path
) -> None:
    video = season[0].video
    with _begun(video, tmp_path, alone) as process:
        _wait_for_checkpoints(process, tmp_path, 2)
        assert _survivors(process.pid), "the cluster is not known by its scratch folder"
        process.send_signal(signal.SIGKILL)
        process.wait()
        _assert_all_gone(process.pid)
        stale = _scratches(process.pid)
    assert stale
    with _begun(video, tmp_path, alone) as again:
        _, stderr = again.communicate(timeout=_PATIENCE_S)
        assert again.returncode == 0, stderr
    assert not [s for s in stale if s.exists()]
    assert not _scratches(again.pid)
    quiet = {k: v for k, v in artifact_bytes(quiet_root).items() if video.stem in k.split("/")}
    found = {k: v for k, v in artifact_bytes(tmp_path).items() if video.stem in k.split("/")}
    assert len(quiet) > 5
    assert sorted(found) == sorted(quiet)
    assert found == quiet


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted."), (signal.SIGTERM, 143, "stopped.")]
)
def test_told_to_end_says_so_and_takes_its_cluster_along(
    season: list[DemoEpisode], alone: Environment, tmp_path: Path, number: int, code: int, word: str
) -> None:
    with _begun(season[0].video, tmp_path, alone) as process:
        _wait_for_checkpoints(process, tmp_path, 1)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # a terminal interrupts the whole group
        else:
            process.send_signal(number)
        stdout, stderr = process.communicate(timeout=_PATIENCE_S)
    # Python run with -m may end by the very signal, which a shell shows as 130 too.
    assert process.returncode in {code, -signal.SIGINT if number == signal.SIGINT else code}, stderr
    said = [line for line in stderr.splitlines() if " real time, " not in line]
    assert said == [f"error: {word} What is done is kept; the same command goes on from there."]
    assert not stdout
    _assert_all_gone(process.pid)


def test_no_cluster_at_ray_address_says_so(alone: Environment) -> None:
    # Ray itself asks a silent address for minutes before it raises the same error.
    program = (
        "import socket\nfrom services.cli.run import _ray_explained\n"
        "with _ray_explained(): socket.create_connection(('127.0.0.1', 1))"
    )
    words, elsewhere = [sys.executable, "-c", program], {**alone, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(words, env=elsewhere, capture_output=True, text=True, timeout=60, check=False)
    last = done.stderr.splitlines()[-1]
    assert "SettingsError: no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1: start it" in last
