"""Figures for Prometheus: read from SQL and Redis, exact, never falling, and for scrapers alone."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete
from support.api import Api, add_episode, add_job, add_show, api_on, end_job, problem_code
from support.callers import admin
from support.databases import close_services, services_on
from support.job_worlds import take_due
from support.metrics import figures
from support.programs import program

from services.db.figures import EpisodeFigures
from services.db.models import DeadLetter, Job, StageRun, Upload, now
from services.jobs import claims, lifecycle
from services.jobs.claims import Claim
from services.metrics import counting, deadlines
from services.metrics.counting import Counted
from services.metrics.families import FAMILIES
from services.privacy import retention
from services.settings import DeadlineSettings, QueueSettings

if TYPE_CHECKING:
    from support.redis_server import RealRedis

    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TOKEN = "a-scraper's-own-token"
CFG = QueueSettings(max_attempts=2)


@pytest.fixture
def api(database_url: str, tmp_path: Path, real_redis: "RealRedis") -> Iterator[Api]:
    made = services_on(tmp_path / "data", database_url, real_redis.url, api={"metrics_token": TOKEN})
    with api_on(made) as found:
        yield found
    close_services(made)


def _read(api: Api) -> dict[tuple[str, ...], float]:
    return figures(api.ask("GET", "/metrics").text)


def _take(services: "Services", worker: str = "w1") -> Claim:
    return take_due(services, CFG, worker)


def _complete(services: "Services", mine: Claim, found: Counted | None = None, length_ms: int = 0) -> None:
    """End a stage as a worker does."""
    with services.database.write() as session:
        claims.complete(session, mine, length_ms=length_ms, skipped=bool(found and found.skipped))
        if found:
            counting.note(session, mine.episode_id, found)
        if mine.stage == "analytics":
            deadlines.note_end(session, mine.job_id, services.settings.deadline)


CLUSTERED = Counted(
    skipped=False,
    counts={"clusters": 3, "low_conf_clusters": 1, "low_conf_tracks": 2},
    clustered=9,
    variances=[0.03, 0.2, 0.9],
)
FOUND = {
    "inference": Counted(skipped=False, counts={"frames": 150, "faces": 40}),
    "tracking": Counted(skipped=False, counts={"tracks": 10}),
    "cluster": CLUSTERED,
}


def _run_through(services: "Services", length_ms: int = 30_000) -> None:
    """Take the one job that is due through its stages."""
    while True:
        mine = _take(services)
        _complete(services, mine, FOUND.get(mine.stage), length_ms if mine.stage == "harvest" else 0)
        if mine.stage == "analytics":
            return


# ---- gauges of what is now


def _furnish(api: Api) -> None:
    """Jobs in several states, an upload, a video, a dead letter."""
    services, show = api.services, add_show(api.services)
    episodes = [add_episode(services, show, n, content=b"12345" if n == "a" else None) for n in "abc"]
    running, waiting, paused = (add_job(services, e) for e in episodes)
    dead = add_job(services, episodes[0], "export", state="failed")
    end_job(services, add_job(services, episodes[0], "export"))
    with services.database.write() as session:
        runs = session.get_one(Job, running).runs
        runs[0].state, runs[0].eta_error = "done", -0.5
        runs[1].state, runs[1].progressed_at = "running", now() - timedelta(hours=2)
        session.get_one(Job, running).state = "running"
        session.get_one(Job, paused).state = "paused"
        ready = session.get_one(Job, waiting).runs[0]
        ready.not_before = ready.not_before.replace(year=ready.not_before.year - 1)
        session.add(
            DeadLetter(job_id=dead, stage="export", queue="analytics", attempts=4, error="", traceback="")
        )
        session.add(
            Upload(
                user_id=api.admin.id, length=9, offset=4, file_name="a", show_id=show, episode_name="a",
                expires_at=ready.not_before,
            )
        )  # fmt: skip


def test_figures_are_read_from_sql_and_redis(api: Api, real_redis: "RealRedis") -> None:
    _furnish(api)
    api.services.streams.put("harvest", "x")

    answer = api.ask("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = figures(answer.text)
    assert found["jobs", "process", "running"] == 1
    assert found["jobs", "export", "failed"] == 1
    assert found["queue_runs", "inference", "running"] == 1
    assert found["queue_runs", "harvest", "ready"] == 1  # not that of the paused job
    assert found["queue_runs", "ops", "queued"] == 0
    assert found["queue_oldest_seconds", "harvest"] > 300 * 86400
    assert found["queue_oldest_seconds", "inference"] == 0
    assert 7200 <= found["queue_silent_seconds", "inference"] < 8000
    assert found["queue_silent_seconds", "harvest"] == 0
    assert found["eta_error_ratio", "harvest"] == -0.5
    assert found["eta_error_size_ratio", "harvest"] == 0.5
    assert found["dead_letters", "analytics"] == 1
    assert found["uploads", "receiving"] == 1
    assert found["upload_bytes", "receiving"] == 4
    assert found["video_bytes",] == 5
    assert found["archive_episodes",] == 3
    assert found["disk_free_bytes",] > 0
    assert found["redis_up",] == 1
    assert found["stream_entries", "harvest"] == 1

    real_redis.kill()
    without = _read(api)
    assert without["redis_up",] == 0
    assert without["jobs", "process", "running"] == 1


@ON_SQLITE
def test_a_dead_letter_is_shown_until_somebody_resumes_its_job(api: Api) -> None:
    show = add_show(api.services)
    job_id = add_job(api.services, add_episode(api.services, show, "a"))
    for attempt in range(CFG.max_attempts):
        mine = _take(api.services)
        with api.services.database.write() as session:
            claims.fail(session, mine, "it broke", "", CFG, final=False)
        assert _read(api)["stage_failures_total", "failed", "harvest"] == attempt + 1
    found = _read(api)
    assert found["dead_letters", "harvest"] == 1
    assert found["stage_failures_total", "given_up", "harvest"] == 1
    api.post(f"/jobs/{job_id}/resume")
    found = _read(api)
    assert found["dead_letters", "harvest"] == 0
    assert found["stage_failures_total", "given_up", "harvest"] == 1


# ---- counters


def test_what_stages_made_is_counted_once(api: Api) -> None:
    services = api.services
    show = add_show(services)
    episode_id = add_episode(services, show, "a")
    job_id = add_job(services, episode_id)
    before = _read(api)
    assert before["processed_frames_total",] == 0
    assert before["jobs_late_total",] == 0
    _run_through(services)
    first = _read(api)
    counts = {
        "processed_frames_total": 150, "processed_faces_total": 40, "processed_tracks_total": 10,
        "processed_clusters_total": 3, "processed_clustered_tracks_total": 9,
        "processed_low_confidence_clusters_total": 1, "processed_low_confidence_tracks_total": 2,
        "archive_frames": 150, "archive_clusters": 3, "archive_low_confidence_clusters": 1,
    }  # fmt: skip
    assert {name: first[name,] for name in counts} == counts
    assert first["stage_duration_seconds_count", "inference"] == 1
    assert first["stage_duration_seconds_bucket", "0.5", "inference"] == 1
    assert first["stage_video_seconds_total", "inference"] == 30
    assert first["job_pace_ratio_count",] == 1
    variance = [first["cluster_variance_bucket", b] for b in ("0.02", "0.05", "0.2", "0.5", "+Inf")]
    assert variance == [0, 1, 2, 2, 3]
    assert first["cluster_variance_sum",] == pytest.approx(1.13)

    # What is done again and was there is not counted; what is kept now is not counted twice either.
    api.post(f"/jobs/{job_id}/retry", {"stage": "tracking"})
    mine = _take(services)
    _complete(services, mine, Counted(skipped=True, counts={"tracks": 10}))
    assert _read(api)["processed_tracks_total",] == 10
    _complete(services, _take(services), CLUSTERED)
    again = _read(api)
    assert again["processed_clusters_total",] == 6
    assert again["archive_clusters",] == 3

    # Rows go, counters stay: to Prometheus a fall is a new beginning.
    with services.database.write() as session:
        session.execute(delete(StageRun))
        session.execute(delete(EpisodeFigures))
    after = _read(api)
    assert after["processed_clusters_total",] == 6
    assert after["stage_duration_seconds_count", "inference"] == 1
    assert after["archive_clusters",] == 0


@ON_SQLITE
def test_what_is_not_committed_is_not_counted(api: Api) -> None:
    add_job(api.services, add_episode(api.services, add_show(api.services), "a"))
    mine = _take(api.services)

    def broken() -> None:
        with api.services.database.write() as session:
            claims.complete(session, mine)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert _read(api).get(("stage_duration_seconds_count", "harvest"), 0) == 0


# ---- deadlines


@ON_SQLITE
def test_a_job_is_overdue_past_its_deadline_and_late_when_it_ends(
    database_url: str, tmp_path: Path, real_redis: "RealRedis"
) -> None:
    cfg = DeadlineSettings(ratio=2, grace_minutes=10)
    made = services_on(tmp_path / "data", database_url, real_redis.url, deadline=cfg)
    with api_on(made) as api:
        show = add_show(made)
        for name, ago, late in (("in time", 12.9, False), ("late", 13.1, True)):
            job_id = add_job(made, add_episode(made, show, name))
            _complete(made, _take(made), length_ms=90_000)
            with made.database.write() as session:
                session.get_one(Job, job_id).created_at = now() - timedelta(minutes=ago)
            assert _read(api)["jobs_overdue",] == late
            before = _read(api)["jobs_late_total",]
            while (mine := _take(made)).stage != "analytics":
                _complete(made, mine)
            _complete(made, mine)
            found = _read(api)
            assert found["jobs_late_total",] == before + late
            assert found["jobs_overdue",] == 0
        assert _read(api)["job_pace_ratio_count",] == 2

        # Whoever waited for a person is not measured by the clock.
        job_id = add_job(made, add_episode(made, show, "paused"))
        with made.database.write() as session:
            job = session.get_one(Job, job_id)
            job.created_at = now() - timedelta(days=3)
            lifecycle.pause(session, job)
            lifecycle.note(session, job, "paused", {})
            lifecycle.resume(session, job)
        assert _read(api)["jobs_overdue",] == 0
        _run_through(made)
        assert _read(api)["job_pace_ratio_count",] == 2
    close_services(made)


# ---- what is told, and to whom


def test_all_families_are_told_and_promtool_finds_nothing_wrong(api: Api) -> None:
    add_job(api.services, add_episode(api.services, add_show(api.services), "a", content=b"1"))
    _run_through(api.services)
    add_job(api.services, add_episode(api.services, add_show(api.services, "B"), "b"))
    mine = _take(api.services)
    with api.services.database.write() as session:
        claims.fail(session, mine, "it is no video", "", CFG, final=True)
    retention.sweep(api.services)
    text = api.ask("GET", "/metrics").text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert told == {f"screenalyzer_{f.name}" + "_total" * (f.kind == "counter") for f in FAMILIES}
    for line in text.splitlines():
        assert "My-Show" not in line  # nothing could be purged from Prometheus
    done = subprocess.run(
        [program("promtool", "prometheus"), "check", "metrics"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@ON_SQLITE
def test_figures_are_for_admins_and_for_the_scraper(api: Api) -> None:
    def status(*authorization: str, path: str = "/v1/metrics") -> int:
        headers = [("Authorization", a.encode("latin-1")) for a in authorization]
        return api.client.get(path, headers=headers).status_code  # type: ignore[arg-type]

    assert status(f"Bearer {api.admin.token}") == 200
    assert status(f"Bearer {TOKEN}") == 200
    assert status(f"Bearer {TOKEN}", path="/v1/metrics/targets") == 200
    assert status(f"Bearer {api.analyst.token}") == 403
    assert status(f"Bearer {api.analyst.token}", path="/v1/metrics/targets") == 403
    for wrong in ("Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer é", f"Basic {TOKEN}", TOKEN):
        assert status(wrong) == 401
    assert status() == 401
    # The scraper's token opens nothing else.
    answer = api.client.get("/v1/jobs", headers={"Authorization": f"Bearer {TOKEN}"})
    assert problem_code(answer, 401) == "not-authenticated"


@ON_SQLITE
@pytest.mark.parametrize("token", [None, ""])
def test_no_token_that_is_set_lets_nobody_in(
    database_url: str, tmp_path: Path, real_redis: "RealRedis", token: str | None
) -> None:
    made = services_on(tmp_path / "data", database_url, real_redis.url, api={"metrics_token": token})
    with api_on(made) as api:
        for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer None"}):
            assert api.client.get("/v1/metrics", headers=headers).status_code == 401
        assert api.client.get("/v1/metrics", headers=admin(made, "cy").headers).status_code == 200
    close_services(made)
