"""The promise of the service: killed anywhere, however often, it ends with the bytes of a quiet run."""

import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest
from support.desk import Desk, artifact_bytes_of
from support.service import RunningService

from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

_SEED = 20260
_KILLS = 20
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
    killed: Counter[str] = Counter()
    over = threading.Event()

    def strike() -> None:
        while not over.is_set():
            victim = order[killed.total() % len(order)]
            if there := service.processes_named(victim):
                with suppress(psutil.NoSuchProcess):
                    rng.choice(there).send_signal(signal.SIGKILL)
                    killed[victim] += 1
            over.wait(rng.uniform(0.5, 4.0))

    reaper = threading.Thread(target=strike)
    reaper.start()
    try:
        jobs = _process_all(desk, short_season)
        while killed.total() < _KILLS:
            time.sleep(0.2)
        over.set()
        ended = [desk.wait(j, patience_s=420) for j in jobs]
    finally:
        over.set()
        reaper.join()
    assert [(j["state"], j["error"]) for j in ended] == [("done", None)] * 3, killed
    assert killed.total() >= _KILLS
    assert all(killed[v] for v in _VICTIMS), killed
    assert artifact_bytes_of(service.root, _SHOW) == quiet
    for job in jobs:
        _check_told_once(desk, job)


def _check_told_once(desk: Desk, job_id: str) -> None:
    events = desk.get(f"/v1/jobs/{job_id}/events", limit=200)["items"]
    done = Counter(e["data"].get("stage", "") for e in events if e["kind"] == "stage-done")
    assert set(done.values()) == {1}, done
    assert len(done) == 6
    assert [e["kind"] for e in events].count("done") == 1
    assert len(desk.get("/v1/episodes", limit=50)["items"]) >= 3
