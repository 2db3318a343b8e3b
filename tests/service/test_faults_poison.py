"""An episode that kills whoever reads it: given up with its reason, and nobody else waits for it."""

import itertools
import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psutil
import pytest
from support.desk import Desk
from support.service import RunningService

from screenalyzer.demo import DemoEpisode

pytestmark = [pytest.mark.ray, pytest.mark.long]  # twelve processes die, and each takes its time to come back

# A decoder's crash, the system's end to who takes all memory, and the watchdog's to who hangs.
_DEATHS = (signal.SIGSEGV, signal.SIGKILL, signal.SIGALRM)
_ONE_CHUNK = json.dumps({"video": {"chunk_s": 60}})


def _stage(job: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(s for s in job["stages"] if s["stage"] == name)
    return found


@contextmanager
def _deadly_to_read(service: RunningService, desk: Desk, job_id: str) -> Iterator[Counter[int]]:
    """Whoever reads the job's video dies while the block lasts; yields how many died of what."""
    over, died, deaths = threading.Event(), Counter[int](), itertools.cycle(_DEATHS)

    def strike() -> None:
        while not over.wait(0.1):
            if _stage(desk.get(f"/v1/jobs/{job_id}"), "inference")["state"] != "running":
                continue
            for process in service.processes_named("MapWorker"):
                with suppress(psutil.Error):
                    if ".submit" in " ".join(process.cmdline()):
                        death = next(deaths)
                        process.send_signal(death)
                        died[death] += 1

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield died
    finally:
        over.set()
        thread.join()


def test_an_episode_that_kills_its_reader_is_given_up_alone(
    service: RunningService, desk: Desk, short_season: list[DemoEpisode]
) -> None:
    poison = desk.job_of(desk.upload(short_season[0].video, "poison", settings=_ONE_CHUNK))
    with _deadly_to_read(service, desk, poison) as died:
        other = desk.job_of(desk.upload(short_season[1].video, "healthy"))
        good = desk.wait(other, patience_s=420)
        bad = desk.wait(poison, patience_s=420)
    assert good["state"] == "done"
    assert bad["state"] == "failed"
    assert set(died) == set(_DEATHS)
    run = _stage(bad, "inference")
    assert run["attempt"] >= 4  # those that come further than all before do not count
    assert "the process that reads it died 3 times in a row after 0 s of video" in bad["error"]
    assert "resume the job once the cause is mended" in bad["error"]
    assert datetime.fromisoformat(good["finished_at"]) < datetime.fromisoformat(bad["finished_at"])
    (letter,) = [d for d in desk.get("/v1/jobs/dead")["items"] if d["job_id"] == poison]
    assert (letter["stage"], letter["attempts"]) == ("inference", 4)
    desk.post(f"/v1/jobs/{poison}/resume")
    assert desk.wait(poison, patience_s=420)["state"] == "done"
