"""The head's GCS is killed; another finds in Redis what it knew. Without that Redis a new cluster goes on."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from support.faults import Line
from support.main_job import PATIENCE_S, artifact_bytes, check_ends_well, checkpoints, run, under_way
from support.ray_nodes import QUIET, ray_cluster, settings_for
from support.redis_server import RealRedis
from support.service import eventually, free_port

from screenalyzer.demo import DemoEpisode

pytestmark = [pytest.mark.ray, pytest.mark.long]

log = logging.getLogger(__name__)

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
    env, node = {**os.environ, **settings_for(head.address)}, head.head_node
    with under_way(short_season[0].video, tmp_path, env) as run:
        node.kill_gcs_server()
        before, began = checkpoints(tmp_path), time.monotonic()
        time.sleep(_AWAY_S)
        meanwhile = checkpoints(tmp_path) - before
        node.start_gcs_server()
        log.info("%d checkpoints in %.0f s without it", meanwhile, _AWAY_S)
        check_ends_well(run)
        log.info("done %.1f s after it was killed", time.monotonic() - began)
    assert artifact_bytes(tmp_path) == quiet


def test_without_redis_outside_all_of_it_ends_and_a_new_cluster_goes_on(
    quiet: dict[str, bytes], short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    video = short_season[0].video
    with ray_cluster("127.0.0.1") as lost:
        lost.add()
        with under_way(video, tmp_path, {**lost.env, **settings_for(lost.address)}) as running:
            began = time.monotonic()
            lost.kill_head()
            running.communicate(timeout=PATIENCE_S)
            assert running.returncode != 0
            log.info("the run ended %.1f s after the head", time.monotonic() - began)
        eventually(lambda: lost.processes() == [], 180, "what is left of the cluster ends by itself")
        log.info("all of it had ended %.1f s after the head", time.monotonic() - began)
    published = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("done-*.json")}
    with ray_cluster("127.0.0.1") as found:
        found.add()
        done = run([video], tmp_path, {**found.env, **settings_for(found.address)})
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in published} == published
    assert artifact_bytes(tmp_path) == quiet
