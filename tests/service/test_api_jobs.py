"""Jobs: how far they are, what may be done to them, and what is answered while Redis is away."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.api import Api, add_episode, add_job, add_show, api_on, end_job
from support.databases import close_services, services_on

from services.db.models import DeadLetter, Job, StageRun, now
from services.jobs import claims, lifecycle
from services.jobs.claims import Claim

if TYPE_CHECKING:
    from support.redis_server import RealRedis

    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def mirrored(database_url: str, tmp_path: Path, real_redis: "RealRedis") -> Iterator[Api]:
    """An API with a Redis."""
    made = services_on(tmp_path / "data", database_url, real_redis.url)
    with api_on(made) as found:
        yield found
    close_services(made)


def _begin(services: "Services", job_id: str) -> Claim:
    """Let a worker take the first stage that is due."""
    with services.database.write() as session:
        job = session.get_one(Job, job_id)
        run = next(r for r in job.runs if r.state in {"ready", "queued"})
        run.state = "queued"
        session.flush()
        mine = claims.claim(session, run.id, "w", services.settings.queues)
    assert mine is not None
    return mine


def _done(services: "Services", mine: Claim, length_ms: int = 0) -> None:
    with services.database.write() as session:
        claims.complete(session, mine, length_ms=length_ms)


def _worked(services: "Services", run_id: str, seconds: float) -> None:
    """As if the attempt had been going on for so long."""
    with services.database.write() as session:
        run = session.get_one(StageRun, run_id)
        run.started_at = now() - timedelta(seconds=seconds)


def test_progress_and_eta_come_from_the_rows(api: Api) -> None:
    job_id = add_job(api.services, add_episode(api.services, add_show(api.services)))
    fresh = api.get(f"/jobs/{job_id}")
    assert (fresh["state"], fresh["progress"], fresh["eta_s"]) == ("queued", 0, None)

    _done(api.services, _begin(api.services, job_id), length_ms=60_000)
    mine = _begin(api.services, job_id)
    _worked(api.services, mine.run_id, 10)
    with api.services.database.write() as session:
        claims.beat(session, mine, 30_000, 60_000)
    found = api.get(f"/jobs/{job_id}")
    harvest, inference = found["stages"][:2]
    assert (harvest["state"], inference["state"]) == ("done", "running")
    assert (inference["done_ms"], inference["total_ms"]) == (30_000, 60_000)
    assert inference["speed"] == pytest.approx(3, rel=0.2)
    assert 0.3 < found["progress"] < 0.6
    assert 10 < found["eta_s"] < 15  # as much again, and a little for the later stages


def test_all_done_is_one(api: Api) -> None:
    job_id = add_job(api.services, add_episode(api.services, add_show(api.services)), "export")
    end_job(api.services, job_id)
    found = api.get(f"/jobs/{job_id}")
    assert (found["state"], found["progress"], found["eta_s"]) == ("done", 1, None)


def test_redis_has_it_fresher_and_when_it_dies_sql_answers_and_says_so(
    mirrored: Api, real_redis: "RealRedis"
) -> None:
    services = mirrored.services
    job_id = add_job(services, add_episode(services, add_show(services)))
    _done(services, _begin(services, job_id), length_ms=60_000)
    mine = _begin(services, job_id)
    with services.database.write() as session:
        claims.beat(session, mine, 6_000, 60_000)
    post = {
        "stage": "inference",
        "done_ms": 9_000,
        "total_ms": 60_000,
        "speed": 2.0,
        "eta_s": 25.0,
        "at": 1.0,
    }
    services.board.post(job_id, post)  # type: ignore[arg-type]

    live = mirrored.ask("GET", f"/jobs/{job_id}")
    assert live.json()["live"] is True
    assert "screenalyzer-mirror" not in live.headers
    assert live.json()["stages"][1]["done_ms"] == 9_000

    real_redis.kill()
    away = mirrored.ask("GET", f"/jobs/{job_id}")
    assert (away.status_code, away.headers["screenalyzer-mirror"]) == (200, "away")
    assert away.json()["live"] is False
    assert away.json()["stages"][1]["done_ms"] == 6_000
    for path in ("/jobs", "/episodes", f"/episodes/{away.json()['episode_id']}"):
        assert mirrored.ask("GET", path).headers["screenalyzer-mirror"] == "away"
    assert mirrored.post(f"/jobs/{job_id}/pause")["state"] == "pausing"

    real_redis.start()
    assert mirrored.get(f"/jobs/{job_id}")["live"] is True


def test_a_dead_redis_does_not_delay_an_answer(mirrored: Api, real_redis: "RealRedis") -> None:
    job_id = add_job(mirrored.services, add_episode(mirrored.services, add_show(mirrored.services)))
    real_redis.kill()
    begun = time.monotonic()
    assert mirrored.get(f"/jobs/{job_id}")["live"] is False
    assert time.monotonic() - begun < 2


def test_pause_resume_cancel_and_retry(api: Api) -> None:
    path = f"/jobs/{add_job(api.services, add_episode(api.services, add_show(api.services)))}"
    assert api.post(f"{path}/pause", who=api.analyst)["state"] == "paused"
    assert api.post(f"{path}/pause")["state"] == "paused"
    assert api.post(f"{path}/resume", who=api.analyst)["state"] == "queued"
    assert api.post(f"{path}/cancel", who=api.analyst)["state"] == "cancelled"
    assert api.refused(409, "POST", f"{path}/pause") == "job-state"
    assert api.post(f"{path}/retry", {"stage": "harvest"}, api.analyst)["state"] == "queued"
    assert api.refused(409, "POST", f"{path}/retry", json={"stage": "harvest"}) == "job-state"
    assert api.refused(409, "POST", f"{path}/retry", json={"stage": "export"}) == "job-state"
    assert api.refused(422, "POST", f"{path}/retry", json={"stage": "nonsense"}) == "invalid"
    end_job(api.services, path.rsplit("/", 1)[-1])
    assert api.refused(409, "POST", f"{path}/cancel") == "job-state"
    assert api.refused(409, "POST", f"{path}/resume") == "job-state"


def test_resume_is_refused_where_another_job_has_begun(api: Api) -> None:
    episode = add_episode(api.services, add_show(api.services))
    first = add_job(api.services, episode)
    api.post(f"/jobs/{first}/cancel")
    add_job(api.services, episode)
    assert api.refused(409, "POST", f"/jobs/{first}/resume") == "conflict"
    assert api.get(f"/jobs/{first}")["state"] == "cancelled"


def test_an_action_heeds_the_revision_it_names(api: Api) -> None:
    path = f"/jobs/{add_job(api.services, add_episode(api.services, add_show(api.services)))}"
    etag = api.ask("GET", path).headers["etag"]
    answer = api.ask("POST", f"{path}/pause", headers={"If-Match": etag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != etag
    assert api.refused(412, "POST", f"{path}/cancel", headers={"If-Match": etag}) == "stale"
    assert api.get(path)["state"] == "paused"


@pytest.mark.parametrize("action", ["pause", "cancel", "resume"])
@ON_SQLITE
def test_a_purge_is_handled_by_admins_alone(api: Api, action: str) -> None:
    job_id = add_job(api.services, add_episode(api.services, add_show(api.services)), "purge")
    assert api.refused(403, "POST", f"/jobs/{job_id}/{action}", api.analyst) == "not-allowed"
    assert api.ask("POST", f"/jobs/{job_id}/{action}").status_code == 200


def test_lists_are_filtered(api: Api) -> None:
    first, second = add_show(api.services, "one"), add_show(api.services, "two")
    a, b = add_episode(api.services, first), add_episode(api.services, second)
    process, export = add_job(api.services, a, state="running"), add_job(api.services, a, "export")
    other = add_job(api.services, b, state="failed")
    for wanted, expected in (
        ({}, [other, export, process]),
        ({"show_id": first}, [export, process]),
        ({"episode_id": b}, [other]),
        ({"kind": "process"}, [other, process]),
        ({"state": "failed"}, [other]),
        ({"state": "done"}, []),
    ):
        assert [j["id"] for j in api.get("/jobs", params=wanted)["items"]] == expected
    assert api.refused(422, "GET", "/jobs", params={"state": "nonsense"}) == "invalid"


def test_tracebacks_are_for_admins(api: Api) -> None:
    job_id = add_job(api.services, add_episode(api.services, add_show(api.services)), state="failed")
    with api.services.database.write() as session:
        session.add(
            DeadLetter(job_id=job_id, stage="harvest", queue="harvest", attempts=4, error="e", traceback="T!")
        )
    for who, traceback in ((api.admin, "T!"), (api.analyst, None)):
        letters = api.get(f"/jobs/{job_id}", who)["dead_letters"]
        assert [(x["error"], x["traceback"]) for x in letters] == [("e", traceback)]
    found = api.get("/jobs/dead")["items"]
    assert [(x["job_id"], x["traceback"]) for x in found] == [(job_id, "T!")]
    assert api.refused(403, "GET", "/jobs/dead", api.analyst) == "not-allowed"


def test_a_job_nobody_knows(api: Api) -> None:
    assert api.refused(404, "GET", f"/jobs/{'0' * 32}") == "not-found"
    assert api.refused(404, "POST", f"/jobs/{'0' * 32}/cancel") == "not-found"
    assert api.refused(422, "GET", "/jobs/nonsense") == "invalid"


def test_an_action_is_sent_to_the_workers(mirrored: Api) -> None:
    services = mirrored.services
    job_id = add_job(services, add_episode(services, add_show(services)))
    with services.database.write() as session:
        lifecycle.pause(session, session.get_one(Job, job_id))
    assert services.streams.depths()["harvest"] == 0
    mirrored.post(f"/jobs/{job_id}/resume")
    assert services.streams.depths()["harvest"] == 1
