"""How the service says that it is: to anybody, and to those who are logged in."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.api import Api, add_episode, add_job, add_show, api_on, problem_code
from support.databases import close_services, services_on
from support.http_server import serving
from support.job_worlds import let_pass
from support.metrics import figures

from services.access import tokens
from services.access.tokens import Claims
from services.context import Services
from services.db.models import Job, now

if TYPE_CHECKING:
    from support.redis_server import RealRedis

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PARTS = ("database", "redis", "workers", "disk")


@pytest.fixture
def api(database_url: str, tmp_path: Path, real_redis: "RealRedis") -> Iterator[Api]:
    made = services_on(tmp_path / "data", database_url, real_redis.url)
    with api_on(made) as found:
        yield found
    close_services(made)


def _conditions(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {"all": str(found["status"]), **{p: found[p]["status"] for p in PARTS}}


def test_it_is_degraded_while_work_waits_and_nobody_takes_it(api: Api) -> None:
    assert _conditions(api.get("/health")) == dict.fromkeys(("all", *PARTS), "ok")
    show = add_show(api.services)
    waiting = add_job(api.services, add_episode(api.services, show, "a"))
    assert api.get("/health")["status"] == "ok"  # it has only just come
    with api.services.database.write() as session:
        let_pass(session, 60)
    found = api.get("/health")
    assert _conditions(found) == {**dict.fromkeys(PARTS, "ok"), "all": "degraded", "workers": "degraded"}
    assert found["workers"]["detail"] == "1 stages wait and no worker takes one"

    busy = add_job(api.services, add_episode(api.services, show, "b"), state="running")
    with api.services.database.write() as session:
        run = session.get_one(Job, busy).runs[0]
        run.state, run.heartbeat_at, run.worker = "running", now(), "node-0"
    assert api.get("/health")["status"] == "ok"  # all workers have something to do
    assert figures(api.ask("GET", "/metrics").text)["workers_busy",] == 1
    with api.services.database.write() as session:
        let_pass(session, 60)
    assert api.get("/health")["workers"]["status"] == "degraded"
    for job_id in (waiting, busy):
        api.post(f"/jobs/{job_id}/pause")
    assert api.get("/health")["workers"]["status"] == "ok"  # what is paused does not wait for a worker


@ON_SQLITE
def test_figures_are_for_those_who_are_logged_in(api: Api) -> None:
    assert api.get("/health", api.analyst)["version"]
    for headers in ({}, {"Authorization": "Bearer forged"}):
        anybody = api.client.get("/v1/health", headers=headers)
        assert anybody.status_code == 200
        assert anybody.json()["version"] is None
        assert [anybody.json()[p]["detail"] for p in PARTS] == [None] * 4


@ON_SQLITE
def test_without_redis_it_is_degraded(api: Api, real_redis: "RealRedis") -> None:
    real_redis.kill()
    found = _conditions(api.get("/health"))
    assert (found["all"], found["redis"], found["database"]) == ("degraded", "degraded", "ok")


def test_without_a_database_it_is_down_and_nothing_is_a_server_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    nowhere = Services.from_environment()
    nowhere = Services(
        nowhere.settings.model_copy(
            update={
                "data_root": tmp_path / "data",
                "database_url": "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1",
                "redis_url": "redis://127.0.0.1:1/0",
            }
        ),
        nowhere.main_job,
    )
    from services.api.app import create_app  # noqa: PLC0415

    with serving(create_app(nowhere, lambda _: None)) as client:
        answer = client.get("/v1/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "down")
        token = tokens.issue(nowhere.keyring, Claims("0" * 32, "0" * 32), timedelta(minutes=1), now())
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/v1/health", headers=headers).status_code == 503
        for method, path in (("GET", "/v1/shows"), ("POST", "/v1/shows"), ("GET", "/v1/metrics")):
            answer = client.request(method, path, headers=headers, json={"title": "x"})
            assert problem_code(answer, 503) == "database-away"
            assert answer.headers["retry-after"]
    close_services(nowhere)


@ON_SQLITE
def test_a_full_disk_is_foretold(database_url: str, tmp_path: Path, real_redis: "RealRedis") -> None:
    made = services_on(tmp_path / "data", database_url, real_redis.url, uploads={"keep_free_bytes": 1 << 62})
    with api_on(made) as api:
        found = api.get("/health")
    close_services(made)
    assert found["disk"]["status"] == "degraded"
    assert "uploads are refused" in found["disk"]["detail"]
