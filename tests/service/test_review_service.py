"""A review on the real service: published whoever dies, exported, kept by another run, learned from."""

from typing import Any

import httpx
import pytest
from support.analysts import unnamed
from support.desk import Desk
from support.service import RunningService, eventually

from screenalyzer import artifacts, audit
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode
from screenalyzer.results import read_totals

pytestmark = pytest.mark.ray

SHOW = "reviewed"


def _totals(desk: Desk, episode_id: str) -> dict[str, int]:
    found = desk.get(f"/v1/episodes/{episode_id}/totals")["items"]
    return {t["person"]: t["total_ms"] for t in found}


def _edit(desk: Desk, episode_id: str, **operation: Any) -> dict[str, Any]:
    headers = {"If-Match": "*", "Idempotency-Key": repr(operation)[:200]}
    path = f"/v1/episodes/{episode_id}/review/edits"
    found: dict[str, Any] = desk.ask("POST", path, json={"operation": operation}, headers=headers).json()
    return found


def _process(desk: Desk, video: DemoEpisode, episode: str) -> str:
    job = desk.wait(desk.job_of(desk.upload(video.video, SHOW, episode=episode)))
    assert job["state"] == "done", job
    return str(job["episode_id"])


def test_from_an_edit_to_files_exports_other_runs_and_the_next_episode(
    service: RunningService, desk: Desk, short_season: list[DemoEpisode]
) -> None:
    paths = EpisodePaths(service.root, SHOW, "e1")
    episode_id = _process(desk, short_season[0], "e1")
    review = desk.get(f"/v1/episodes/{episode_id}/review")
    for n, group in enumerate(unnamed(review)[:2]):
        _edit(desk, episode_id, op="assign", subject={"groups": group["group_ids"]}, name=f"Lead {n}")
    service.kill("ServeReplica:screenalyzer-api")
    shown = _totals(desk, episode_id)
    assert {"Lead 0", "Lead 1"} <= shown.keys()

    # An export at once publishes first.
    job = desk.post(f"/v1/episodes/{episode_id}/exports", {"format": "csv"})
    assert desk.wait(job["id"])["state"] == "done"
    files = desk.get(f"/v1/episodes/{episode_id}/exports")["items"]
    table = next(f for f in files if f["name"].endswith("-totals.csv"))
    saved = service.root / "exported.csv"
    saved.write_bytes(httpx.get(f"{desk.url}{table['url']}").content)
    assert {r["person_name"]: int(r["total_ms"]) for r in artifacts.read_csv(saved)} == shown

    # A later edit is published by the workers alone, whatever becomes of who took it.
    _edit(desk, episode_id, op="add_span", name="Lead 2", kind="add", start_ms=500, end_ms=4500)
    service.kill("ServeReplica:screenalyzer-api")
    eventually(lambda: _published(desk, episode_id) == 3, 120, "the review is published")
    assert {t.person: t.total_ms for t in read_totals(paths)} == _totals(desk, episode_id)
    lines = [x for x in audit.read(paths.audit) if x["action"].startswith("review.")]
    assert [x["details"]["number"] for x in lines] == [1, 2, 3]
    assert desk.get("/v1/jobs", kind="publish", episode_id=episode_id)["items"]

    # Another run with another rate and other tracks keeps the names.
    before = _totals(desk, episode_id)
    again = desk.post(f"/v1/episodes/{episode_id}/jobs", {"settings": {"video": {"sample_fps": 4.0}}})
    assert desk.wait(again["id"])["state"] == "done"
    after = _totals(desk, episode_id)
    for name in ("Lead 0", "Lead 1", "Lead 2"):
        assert abs(after[name] - before[name]) <= 1500, (before, after)
    assert desk.get(f"/v1/episodes/{episode_id}/review")["carried"]["lost"] == []

    # The next episode begins with them.
    second = desk.get(f"/v1/episodes/{_process(desk, short_season[1], 'e2')}/review")
    known = {e["name"] for e in second["entities"] if e["auto"]}
    assert known <= {"Lead 0", "Lead 1"}
    assert known


def _published(desk: Desk, episode_id: str) -> int:
    return int(desk.get(f"/v1/episodes/{episode_id}/review")["published_revision"])
