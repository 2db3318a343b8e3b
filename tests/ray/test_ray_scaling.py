"""An elastic cluster: from nothing to nodes, replicas and workers, and back."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from support.cloud_service import cloud_service
from support.fake_cloud import NodeType
from support.redis_server import RealRedis
from support.scaling import EPISODES, grow, table
from support.service import eventually

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

log = logging.getLogger(__name__)

_IDLE_S = 5.0


def test_the_deployed_file_scales_from_nothing_and_back(
    real_redis: RealRedis, short_season: "list[DemoEpisode]", tmp_path: Path
) -> None:
    types = {"cpu": NodeType(most=2, cpus=2)}
    videos = [e.video for e in short_season[:2]]
    with cloud_service(
        tmp_path, real_redis, types, _IDLE_S, SCREENALYZER_QUEUES__WORKERS="1",
        SCREENALYZER_QUEUES__MAX_WORKERS="2", SCREENALYZER_QUEUES__INFERENCE="2",
        SCREENALYZER_RAY__MAX_REPLICAS="2",
    ) as service:  # fmt: skip
        health = httpx.get(f"{service.desk.url}/v1/health")
        assert health.status_code == 200
        assert service.cloud.at_rest()
        jobs = service.queue(videos, "t")
        assert [service.desk.wait(j, patience_s=600)["state"] for j in jobs] == ["done"] * len(videos)
        for what in ("cpu", "detector", "embedder"):
            assert service.cloud.most(what) >= 1
        assert max(sum(look.workers.values()) for look in service.cloud.looks) == 2
        service.cloud.wait_for_rest(180)
        eventually(lambda: service.cloud.looks[-1].workers == {"head": 1}, 60, "the second worker is let go")
        assert {kind for look in service.cloud.looks for kind in look.workers} == {"head"}


@pytest.mark.long
def test_twelve_episodes_bring_nodes_replicas_and_workers_and_let_them_go(
    short_season: "list[DemoEpisode]", real_redis: RealRedis, tmp_path: Path
) -> None:
    videos = [e.video for e in short_season]
    one, two, four = (grow(_folder(tmp_path, n), real_redis, videos, n) for n in (1, 2, 4))
    for run in (one, two, four):
        log.info(table(run))
        assert run.states == ["done"] * EPISODES
        for what in ("gpu", "detector", "embedder"):
            assert max(look.of(what) for look in run.looks) == run.gpu_nodes
        assert max(look.of("cpu") for look in run.looks) >= 1
        assert {kind for look in run.looks for kind in look.workers} == {"head"}
    assert two.fps > 1.5 * one.fps
    assert four.fps > 2 * one.fps


def _folder(parent: Path, n: int) -> Path:
    folder = parent / str(n)
    folder.mkdir()
    return folder
