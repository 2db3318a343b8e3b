"""Times to live of each kind, and that at most one sweep is live."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, func, select, update
from support.api import add_episode, add_show, api_on, end_job, shelve
from support.databases import close_services, services_on

from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from services.db.models import Episode, Event, IdempotencyKey, Job, Video, now
from services.jobs import lifecycle
from services.privacy import retention

if TYPE_CHECKING:
    from support.processed import Machine

    from screenalyzer.demo import DemoEpisode
    from services.context import Services

DAY = 86_400.0
KINDS = ("videos", "chunks", "crops", "exports", "logs", "events")


@pytest.fixture
def made(database_url: str, tmp_path: Path) -> Iterator[Any]:
    """Makes services with some times to live, in days."""
    opened = []

    def make(**days: float | None) -> "Services":
        limits = {f"{k}_days": days.get(k) for k in KINDS}
        opened.append(services_on(tmp_path / "data", database_url, retention=limits))
        return opened[-1]

    yield make
    for services in opened:
        close_services(services)


def _furnish(services: "Services", days_old: float, finished: bool = True) -> EpisodePaths:
    """An episode with one file of every kind, so many days old."""
    root = services.settings.root
    paths = EpisodePaths(root, "Show", "ep")
    add_episode(services, add_show(services, "Show"), "ep", b"a video")
    files = [
        paths.chunks / "faces-00000.parquet", paths.crops / "d.jpg", paths.exports / "x.csv",
        root / "logs" / "ray.log", paths.timeline, *([paths.marker("analytics")] if finished else []),
    ]  # fmt: skip
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    moment = time.time() - days_old * DAY
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (moment, moment))
    with services.database.write() as session:
        session.execute(update(Video).values(created_at=now() - timedelta(days=days_old)))
    return paths


def _there(services: "Services", paths: EpisodePaths) -> set[str]:
    root = services.settings.root
    places = {
        "videos": root / "videos", "chunks": paths.chunks, "crops": paths.crops, "exports": paths.exports,
        "logs": root / "logs",
    }  # fmt: skip
    return {k for k, folder in places.items() if any(p.is_file() for p in folder.rglob("*"))}


@pytest.mark.parametrize("kind", ["videos", "chunks", "crops", "exports", "logs"])
@pytest.mark.parametrize(("age", "goes"), [(9.9, False), (10.1, True)])
def test_each_kind_goes_when_its_time_is_over(made: Any, kind: str, age: float, goes: bool) -> None:
    services = made(**{kind: 10})
    paths = _furnish(services, age)
    found = retention.sweep(services)
    gone = {kind} if goes else set()
    assert _there(services, paths) == {"videos", "chunks", "crops", "exports", "logs"} - gone
    size = 7 if kind == "videos" else 4
    assert found[kind] == ({"files": 1, "bytes": size} if goes else {"files": 0, "bytes": 0})
    assert paths.timeline.exists()


def test_without_a_time_to_live_all_stays(made: Any) -> None:
    services = made()
    paths = _furnish(services, 10_000)
    retention.sweep(services)
    assert len(_there(services, paths)) == 5


def test_an_episode_that_is_not_finished_keeps_its_checkpoints(made: Any) -> None:
    services = made(chunks=1, crops=1)
    paths = _furnish(services, 50, finished=False)
    retention.sweep(services)
    assert {"chunks", "crops"} <= _there(services, paths)


def test_an_episode_that_is_busy_is_left_alone(made: Any) -> None:
    services = made(chunks=1, crops=1)
    paths = _furnish(services, 50)
    with artifacts.locked(paths):
        retention.sweep(services)
    assert {"chunks", "crops"} <= _there(services, paths)
    retention.sweep(services)
    assert not {"chunks", "crops"} & _there(services, paths)


def test_a_live_job_keeps_video_and_checkpoints(made: Any) -> None:
    services = made(videos=1, chunks=1)
    paths = _furnish(services, 50)
    with services.database.write() as session:
        job_id = lifecycle.create(
            session, "process", user_id=None, episode=session.scalars(select(Episode)).one()
        ).id
    retention.sweep(services)
    assert {"videos", "chunks"} <= _there(services, paths)
    end_job(services, job_id)
    retention.sweep(services)
    assert not {"videos", "chunks"} & _there(services, paths)


def test_rows_go_when_their_time_is_over(made: Any) -> None:
    services = made(events=10)
    with services.database.write() as session:
        jobs = [lifecycle.create(session, "export", user_id=None) for _ in range(3)]
        jobs[0].state, jobs[0].finished_at = "done", now() - timedelta(days=11)
        jobs[1].state, jobs[1].finished_at = "done", now() - timedelta(days=9)
        kept = {jobs[1].id, jobs[2].id}
        for n, days in enumerate((0.9, 1.1)):
            session.add(
                IdempotencyKey(
                    user_id="u",
                    key=str(n),
                    fingerprint="f",
                    status=200,
                    body="",
                    created_at=now() - timedelta(days=days),
                )
            )
    found = retention.sweep(services)
    assert found["rows"] == {"answers": 1, "events": 1}
    with services.database.read() as session:
        assert set(session.scalars(select(Event.job_id))) == kept
        assert session.scalars(select(IdempotencyKey.key)).all() == ["0"]
        assert session.scalar(select(func.count()).select_from(Job)) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_results_stay_readable_and_a_new_run_is_refused(
    made: Any, processed: EpisodePaths, short_season: "list[DemoEpisode]"
) -> None:
    services = made(videos=0, chunks=0, crops=0, exports=0)
    episode_id = shelve(services, processed, short_season[0].video)
    paths = replace(processed, root=services.settings.root)
    with api_on(services) as api:
        before = [api.get(f"/episodes/{episode_id}/{kind}") for kind in ("timeline", "totals", "artifacts")]
        found = retention.sweep(services)
        assert not paths.chunks.exists()
        assert found["chunks"]["files"] > 10
        assert found["chunks"]["bytes"] > 10_000
        after = [api.get(f"/episodes/{episode_id}/{kind}") for kind in ("timeline", "totals", "artifacts")]
        assert after[:2] == before[:2]
        assert after[0]["items"]
        assert api.refused(410, "POST", f"/episodes/{episode_id}/jobs", json={}) == "gone"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_crops_and_checkpoints_new_rules_run_analytics_alone(
    made: Any, processed: EpisodePaths, short_season: "list[DemoEpisode]", machine: "Machine"
) -> None:
    services = made(chunks=0, crops=0)
    shelve(services, processed, short_season[0].video)
    paths = replace(processed, root=services.settings.root)
    samples = paths.selected_samples.read_bytes()
    retention.sweep(services)
    assert not paths.chunks.exists()
    assert not paths.crops.exists()
    assert machine.stages(paths) == []
    rules = machine.settings.rules.model_copy(update={"min_interval_ms": 4000})
    assert machine.stages(paths, machine.settings.model_copy(update={"rules": rules})) == ["analytics"]
    assert paths.selected_samples.read_bytes() == samples
    paths.selected_samples.write_bytes(b"other")  # the marker still vouches for the rest
    upstream = artifacts.recorded_fingerprint(paths.marker("tracking"))
    assert upstream is not None
    assert not artifacts.is_done(paths.marker("tracking"), upstream)


def test_a_paused_sweep_is_no_reason_to_wait(services: "Services") -> None:
    retention.ensure_sweep(services)
    with services.database.write() as session:
        job = session.scalars(select(Job)).one()
        job.state, job.created_at = "paused", now() - timedelta(minutes=61)
    retention.ensure_sweep(services)
    retention.ensure_sweep(services)
    with services.database.read() as session:
        assert sorted(session.scalars(select(Job.state))) == ["cancelled", "queued"]


def test_a_sweep_is_made_when_the_last_one_is_old(services: "Services") -> None:
    retention.ensure_sweep(services)
    retention.ensure_sweep(services)
    with services.database.write() as session:
        job = session.scalars(select(Job)).one()
        assert (job.kind, job.state) == ("sweep", "queued")
        job.state = "done"
    retention.ensure_sweep(services)
    with services.database.write() as session:
        job = session.scalars(select(Job)).one()
        job.created_at = now() - timedelta(minutes=61)
    retention.ensure_sweep(services)
    with services.database.read() as session:
        assert sorted(session.scalars(select(Job.state))) == ["done", "queued"]


def test_nothing_is_written_where_nothing_is_due(services: "Services") -> None:
    retention.ensure_sweep(services)
    said: list[str] = []
    event.listen(services.database.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    retention.ensure_sweep(services)
    assert [s.split()[0] for s in said if s != "BEGIN"] == ["SELECT"]


def test_many_workers_at_once_make_one_sweep(services: "Services") -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: retention.ensure_sweep(services), range(48)))
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1
