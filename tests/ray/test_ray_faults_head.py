"""The head's GCS is killed; another finds in Redis what it knew. Without that Redis a new cluster goes on."""

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
from support.ray_nodes import QUIET, ray_cluster, settings_for
from support.redis_server import RealRedis
from support.service import eventually, free_port

from screenalyzer.demo import DemoEpisode

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
    head: Cluster, quiet: dict[str, bytes], short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    video, root, node = short_season[0].video, tmp_path / "data", head.head_node
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
    assert artifact_bytes(root) == quiet


def test_without_redis_outside_all_of_it_ends_and_a_new_cluster_goes_on(
    quiet: dict[str, bytes], short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    words = command([short_season[0].video], tmp_path)
    with ray_cluster("127.0.0.1") as lost:
        lost.add()
        env = {**lost.env, **settings_for(lost.address)}
        with subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL) as run:
            try:
                eventually(lambda: checkpoints(tmp_path) >= 2, _PATIENCE_S, "two checkpoints")
                assert run.poll() is None, "the run was over before the head could be lost"
                began = time.monotonic()
                lost.kill_head()
                assert run.wait(_PATIENCE_S) != 0
                log.info("the run ended %.1f s after the head", time.monotonic() - began)
            finally:
                run.kill()
        eventually(lambda: lost.processes() == [], 180, "what is left of the cluster ends by itself")
        log.info("all of it had ended %.1f s after the head", time.monotonic() - began)
    published = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("done-*.json")}
    with ray_cluster("127.0.0.1") as found:
        found.add()
        env = {**found.env, **settings_for(found.address)}
        done = subprocess.run(
            words, env=env, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in published} == published
    assert artifact_bytes(tmp_path) == quiet
