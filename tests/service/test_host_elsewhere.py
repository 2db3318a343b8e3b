"""The same service on a Ray cluster, a PostgreSQL and a Redis that are there: used, and left as they are."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import ray
from ray import serve
from support.redis_server import RealRedis
from support.service import cli, eventually, service_environment, start_service, state_of, stop_service

from pipelines.cluster import cluster
from screenalyzer.settings import Settings
from services.context import connect
from services.db.engine import Database
from services.db.models import User
from services.ingress import APP_NAME
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray


def _workers() -> list[dict[str, str]]:
    named = ray.util.list_named_actors(all_namespaces=True)
    return [a for a in named if a["name"].startswith("worker-")]


def _take_away_what_ray_does_not_bring_back() -> None:
    worker = next(a for a in _workers() if a["name"].startswith("worker-2-"))
    ray.kill(ray.get_actor(worker["name"], worker["namespace"]))
    serve.delete(APP_NAME, _blocking=False)  # waiting would miss the moment between gone and deployed again


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_three_addresses(
    database_url: str, real_redis: RealRedis, short_season: "list[DemoEpisode]", tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    root = tmp_path / "data"
    with cluster(Settings().ray):
        there = {
            "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
            "DATABASE_URL": database_url,
            "REDIS_URL": real_redis.url,
        }
        env = service_environment(tmp_path, root, **there)
        try:
            found = start_service(env)
            sent = cli(env, "upload", str(short_season[0].video), "--show", "t", "--wait", "--json")
            assert sent.returncode == 0, sent.stderr
            assert json.loads(sent.stdout)[0]["job"]["state"] == "done"
            assert not (root / "service.db").exists()
            assert not (root / "redis").exists()
            assert found.processes_named("redis-server") == []
            database = Database(database_url)
            with database.read() as session:
                assert [u.name for u in session.query(User)] == ["admin"]
            database.close()
            client = connect(ServiceSettings(data_root=root, redis_url=real_redis.url))
            assert client.exists("harvest.q")
            _take_away_what_ray_does_not_bring_back()
            log = root / "logs" / "service.log"
            eventually(lambda: f"given them up: {APP_NAME}" in log.read_text(), 90, "it is deployed again")
            eventually(lambda: _answers(found.url), 90, "the API answers again")
            assert "worker 2 is gone for good" in log.read_text()
            eventually(lambda: state_of(root).workers == 4, 60, "there are four workers")  # type: ignore[union-attr]
            assert cli(env, "users", "list").returncode == 0
        finally:
            stop_service(env)
        eventually(lambda: not serve.status().applications, 30, "its applications are gone")
        assert ray.cluster_resources()["CPU"] >= 2
        assert client.ping()
        client.close()
