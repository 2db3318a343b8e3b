"""The promise of the service: killed anywhere, however often, it ends with the bytes of a quiet run."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil
import pytest
from support.desk import ENDED, Desk, artifact_bytes_of
from support.service import RunningService

from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

_SEED = 20260
_KILLS = 20
_ROUNDS = 4
_SHOW = "chaos"
# By the name that Ray gives their processes; the proxy and the replica behind it are the ingress.
_VICTIMS = (
    "ServeReplica:screenalyzer-api",
    "ProxyActor",
    "ServeReplica:screenalyzer-detector",
    "ServeReplica:screenalyzer-embedder",
    "ray::Worker",
    "redis-server",
)


def _process_all(desk: Desk, season: list[DemoEpisode]) -> list[str]:
    """Upload three episodes at once in small parts; returns their jobs."""
    jobs: dict[int, str] = {}

    def send(n: int) -> None:
        jobs[n] = desk.job_of(desk.upload(season[n].video, _SHOW, part=64 << 10, retries=0))

    threads = [threading.Thread(target=send, args=(n,)) for n in range(len(season))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [jobs[n] for n in range(len(season))]


def _purge_show(desk: Desk) -> None:
    show = next(s for s in desk.get("/v1/shows")["items"] if s["name"] == _SHOW)
    job = desk.ask("DELETE", f"/v1/shows/{show['id']}").json()
    assert desk.wait(job["id"])["state"] == "done"


@dataclass
class _Reaper:
    """Kills one victim after another, in a fixed order, and remembers when."""

    service: RunningService
    rng: random.Random
    order: list[str]
    kills: list[tuple[str, datetime]] = field(default_factory=list)

    def during(self, began: datetime, ended: datetime | None = None) -> Counter[str]:
        """Who was killed in this time, until now where it has no end."""
        return Counter(v for v, at in self.kills if began <= at and (ended is None or at <= ended))

    @contextmanager
    def at_work(self) -> Iterator[threading.Event]:
        """Kill for the time of the block, or until the event is set."""
        over = threading.Event()
        thread = threading.Thread(target=self._strike, args=(over,))
        thread.start()
        try:
            yield over
        finally:
            over.set()
            thread.join()

    def _strike(self, over: threading.Event) -> None:
        while not over.is_set():
            victim = self.order[len(self.kills) % len(self.order)]
            if there := self.service.processes_named(victim):
                with suppress(psutil.NoSuchProcess):
                    self.rng.choice(there).send_signal(signal.SIGKILL)
                    self.kills.append((victim, datetime.now(UTC)))
            over.wait(self.rng.uniform(0.5, 4.0))


def _round(
    desk: Desk, season: list[DemoEpisode], reaper: _Reaper, wanted: int
) -> tuple[list[str], Counter[str]]:
    """Process all while the reaper strikes; returns the jobs, and who was killed while one was live."""
    with reaper.at_work() as over:
        jobs = _process_all(desk, season)
        began = min(_moment(desk.get(f"/v1/jobs/{j}")["created_at"]) for j in jobs)
        while reaper.during(began).total() < wanted:
            if all(desk.get(f"/v1/jobs/{j}")["state"] in ENDED for j in jobs):
                break
            time.sleep(0.2)
        over.set()
        ended = [desk.wait(j, patience_s=420) for j in jobs]
    assert [(j["state"], j["error"]) for j in ended] == [("done", None)] * 3, reaper.kills
    return jobs, reaper.during(began, max(_moment(j["finished_at"]) for j in ended))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_twenty_kills_change_no_byte(
    service: RunningService, desk: Desk, short_season: list[DemoEpisode]
) -> None:
    quiet_jobs = _process_all(desk, short_season)
    assert [desk.wait(j)["state"] for j in quiet_jobs] == ["done"] * 3
    quiet = artifact_bytes_of(service.root, _SHOW)
    _purge_show(desk)
    assert artifact_bytes_of(service.root, _SHOW) == {}

    rng = random.Random(_SEED)
    order = [v for _ in range(_KILLS // len(_VICTIMS) + 1) for v in _VICTIMS]
    rng.shuffle(order)
    reaper = _Reaper(service, rng, order)
    killed: Counter[str] = Counter()  # while a job was live; others do not count
    for turn in range(_ROUNDS):
        if turn:
            _purge_show(desk)
        missing = len(set(_VICTIMS) - set(killed))
        jobs, in_time = _round(desk, short_season, reaper, max(_KILLS - killed.total(), missing))
        killed += in_time
        assert artifact_bytes_of(service.root, _SHOW) == quiet
        for job in jobs:
            _check_told_once(desk, job)
        if killed.total() >= _KILLS and set(killed) == set(_VICTIMS):
            break
    assert killed.total() >= _KILLS
    assert all(killed[v] for v in _VICTIMS), killed


def _check_told_once(desk: Desk, job_id: str) -> None:
    events = desk.get(f"/v1/jobs/{job_id}/events", limit=200)["items"]
    done = Counter(e["data"].get("stage", "") for e in events if e["kind"] == "stage-done")
    assert set(done.values()) == {1}, done
    assert len(done) == 6
    assert [e["kind"] for e in events].count("done") == 1
    assert len(desk.get("/v1/episodes", limit=50)["items"]) >= 3
