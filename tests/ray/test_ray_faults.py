"""What the run survives: replicas and decoders that die."""

import signal
import time
from pathlib import Path

import psutil
import pytest
from support.main_job import Environment, artifact_bytes, checkpoints, run, start

from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray


def _kill_one(name: str) -> bool:
    """SIGKILL a worker of this session's cluster, by the name that Ray gives its process."""
    for process in psutil.Process().children(recursive=True):
        if name in process.name() or name in " ".join(process.cmdline()):
            process.send_signal(signal.SIGKILL)
            return True
    return False


@pytest.mark.parametrize(
    "victim", ["ServeReplica:screenalyzer-detector", "ServeReplica:screenalyzer-embedder", "MapWorker"]
)
def test_a_killed_worker_changes_nothing(
    victim: str, quiet_root: Path, season: list[DemoEpisode], environment: Environment, tmp_path: Path
) -> None:
    process = start([e.video for e in season], tmp_path, environment)
    while process.poll() is None and checkpoints(tmp_path) < 5:
        time.sleep(0.02)
    assert _kill_one(victim), f"there is no {victim}"
    assert process.wait(timeout=300) == 0
    assert artifact_bytes(tmp_path) == artifact_bytes(quiet_root)


def test_two_runs_of_one_episode_do_not_meet(
    season: list[DemoEpisode], environment: Environment, quiet_root: Path, tmp_path: Path
) -> None:
    videos = [e.video for e in season]
    first = start(videos, tmp_path, environment)
    while first.poll() is None and not list(tmp_path.rglob("source.json")):
        time.sleep(0.02)
    second = run(videos[:1], tmp_path, environment)
    assert second.returncode == 1
    assert "another run" in second.stderr
    assert first.wait(timeout=300) == 0
    assert artifact_bytes(tmp_path) == artifact_bytes(quiet_root)
