"""The head's GCS is killed; another finds in Redis what it knew, and whoever worked goes on."""

import logging
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from support.faults import Line
from support.main_job import artifact_bytes, checkpoints, command
from support.processed import Machine
from support.ray_nodes import QUIET, settings_for
from support.redis_server import RealRedis
from support.service import eventually, free_port

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode
from screenalyzer.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.long]

log = logging.getLogger(__name__)

_PATIENCE_S = 600
_AWAY_S = 10.0


@pytest.fixture
def head(real_redis: RealRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of one node whose state lies in Redis."""
    line = Line(Path(real_redis.url.removeprefix("unix://")), free_port())
    line.open()
    outside = {"RAY_REDIS_ADDRESS": line.address, "RAY_external_storage_namespace": "screenalyzer"}
    for name, value in {**QUIET, **outside}.items():
        monkeypatch.setenv(name, value)
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "object_store_memory": 300_000_000,
            "gcs_server_port": free_port(),
            "include_dashboard": False,
        },
    )
    yield made
    made.shutdown()
    line.cut()


def test_a_new_gcs_takes_over_and_the_run_goes_on(
    head: Cluster, machine: Machine, short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    video, quiet, root = short_season[0].video, tmp_path / "quiet", tmp_path / "data"
    settings = Settings.model_validate({"video": {"chunk_s": 2}, "embed": {"embedder": "dlib"}})
    machine.process(video, EpisodePaths(quiet, "t", video.stem), settings)
    node = head.head_node
    env = {**os.environ, **settings_for(head.address)}
    with subprocess.Popen(command([video], root), env=env, stderr=subprocess.PIPE, text=True) as run:
        try:
            eventually(lambda: checkpoints(root) >= 2, _PATIENCE_S, "two checkpoints")
            assert run.poll() is None, "the run was over before the GCS could be killed"
            node.kill_gcs_server()
            before, began = checkpoints(root), time.monotonic()
            time.sleep(_AWAY_S)
            meanwhile = checkpoints(root) - before
            node.start_gcs_server()
            log.info("%d checkpoints in %.0f s without it", meanwhile, _AWAY_S)
            _, said = run.communicate(timeout=_PATIENCE_S)
            log.info("done %.1f s after it was killed", time.monotonic() - began)
        finally:
            run.kill()
    assert run.returncode == 0, said
    assert artifact_bytes(root) == artifact_bytes(quiet)
