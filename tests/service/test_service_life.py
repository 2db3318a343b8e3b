"""The life of jobs on the real service: real uploads, real models, a real cluster."""

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from support.desk import Desk, artifact_bytes_of, no_longer_than
from support.service import RunningService, eventually

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode
from screenalyzer.evaluation import Truth, score
from screenalyzer.results import read_timeline
from services.settings import ServiceSettings

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def quiet(service: RunningService, longer: DemoEpisode) -> dict[str, bytes]:
    """Artifacts of an episode that nobody disturbed."""
    desk = Desk(service.url, lambda: service.admin_token)
    job = desk.wait(desk.job_of(desk.upload(longer.video, "quiet", episode="e")))
    assert job["state"] == "done", job
    return artifact_bytes_of(service.root, "quiet", nameless=True)


def _paths(service: RunningService, show: str) -> EpisodePaths:
    return EpisodePaths(service.root, show, "e")


def _under_way(service: RunningService, desk: Desk, longer: DemoEpisode, show: str) -> str:
    """A job that has its first checkpoint, and far to go."""
    job_id = desk.job_of(desk.upload(longer.video, show, episode="e"))
    eventually(lambda: any(_paths(service, show).chunks.glob("done-*.json")), 120, "a checkpoint")
    return job_id


def _episode(desk: Desk, show: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = desk.get("/v1/episodes", limit=100)["items"]
    return next(e for e in found if e["show"] == show)


def _check_same(service: RunningService, show: str, quiet: dict[str, bytes]) -> None:
    found = artifact_bytes_of(service.root, show, nameless=True)
    assert sorted(found) == sorted(quiet)
    assert found == quiet


def test_an_uploaded_episode_comes_out_right(
    service: RunningService, quiet: dict[str, bytes], longer: DemoEpisode
) -> None:
    found = read_timeline(_paths(service, "quiet"))
    assert score(Truth.load(longer.truth), found).f1 >= 0.9


def test_the_same_file_twice_is_one_video(
    service: RunningService, desk: Desk, quiet: dict[str, bytes], longer: DemoEpisode
) -> None:
    before = sorted((service.root / "videos").rglob("*.mp4"))
    job = desk.wait(desk.job_of(desk.upload(longer.video, "again", episode="e")))
    assert job["state"] == "done"
    assert sorted((service.root / "videos").rglob("*.mp4")) == before
    _check_same(service, "again", quiet)


def test_cancel_takes_hold_in_5_s_and_resume_goes_on(
    service: RunningService, desk: Desk, quiet: dict[str, bytes], longer: DemoEpisode
) -> None:
    job_id = _under_way(service, desk, longer, "cancelled")
    with no_longer_than(5):
        desk.post(f"/v1/jobs/{job_id}/cancel")
        desk.wait(job_id, ("cancelled",), 10)
    checkpoints = list(_paths(service, "cancelled").chunks.glob("done-*.json"))
    assert checkpoints
    made = {c: c.stat().st_mtime_ns for c in checkpoints}
    desk.post(f"/v1/jobs/{job_id}/resume")
    assert desk.wait(job_id)["state"] == "done"
    assert {c: c.stat().st_mtime_ns for c in checkpoints} == made
    _check_same(service, "cancelled", quiet)


def test_pause_flush_and_a_dead_redis_lose_nothing(
    service: RunningService, desk: Desk, quiet: dict[str, bytes], longer: DemoEpisode
) -> None:
    job_id = _under_way(service, desk, longer, "flushed")
    redis = Redis.from_url(ServiceSettings(data_root=service.root).redis)
    redis.flushall()
    with no_longer_than(5):
        desk.post(f"/v1/jobs/{job_id}/pause")
        desk.wait(job_id, ("paused",), 10)
    redis.flushall()
    desk.post(f"/v1/jobs/{job_id}/resume")
    desk.wait(job_id, ("running",))
    redis.flushall()
    service.kill("redis-server")
    assert desk.wait(job_id)["state"] == "done"
    redis.close()
    _check_same(service, "flushed", quiet)


def test_another_run_with_other_settings_and_a_stage_done_again(
    service: RunningService, desk: Desk, quiet: dict[str, bytes]
) -> None:
    episode = _episode(desk, "quiet")
    job = desk.post(
        f"/v1/episodes/{episode['id']}/jobs", {"settings": {"rules": {"min_interval_ms": 100000}}}
    )
    assert desk.wait(job["id"])["state"] == "done"
    assert desk.get(f"/v1/episodes/{episode['id']}/totals")["items"] == []
    back = desk.post(f"/v1/episodes/{episode['id']}/jobs", {})
    assert desk.wait(back["id"])["state"] == "done"
    assert artifact_bytes_of(service.root, "quiet", nameless=True) == quiet
    clusters = _paths(service, "quiet").clusters
    before = clusters.stat().st_mtime_ns
    desk.post(f"/v1/jobs/{back['id']}/retry", {"stage": "cluster"})
    assert desk.wait(back["id"])["state"] == "done"
    assert clusters.stat().st_mtime_ns != before
    assert artifact_bytes_of(service.root, "quiet", nameless=True) == quiet


def test_progress_and_eta_are_shown_and_their_error_kept(
    desk: Desk, quiet: dict[str, bytes], short_season: list[DemoEpisode]
) -> None:
    job_id = desk.job_of(desk.upload(short_season[1].video, "eta"))
    seen = []
    while (job := desk.get(f"/v1/jobs/{job_id}"))["state"] not in {"done", "failed"}:
        seen.append((job["progress"], job["eta_s"]))
    assert job["state"] == "done"
    assert [p for p, _ in seen] == sorted(p for p, _ in seen)
    assert any(eta for _, eta in seen)
    inference = next(s for s in job["stages"] if s["stage"] == "inference")
    assert inference["eta_error"] is not None


def test_an_export_is_made_and_fetched_by_its_signed_url(desk: Desk, quiet: dict[str, bytes]) -> None:
    episode = _episode(desk, "quiet")
    job = desk.post(f"/v1/episodes/{episode['id']}/exports", {"format": "csv"})
    assert desk.wait(job["id"])["state"] == "done"
    files = desk.get(f"/v1/episodes/{episode['id']}/exports")["items"]
    assert len(files) == 3
    answer = httpx.get(f"{desk.url}{files[0]['url']}")
    assert answer.status_code == 200
    assert answer.content


def test_bad_episodes_fail_alone(desk: Desk, tmp_path: Path, short_season: list[DemoEpisode]) -> None:
    whole = short_season[2].video.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3] + bytes(len(whole) // 3))
    good = desk.upload(short_season[2].video, "mixed")
    upload_id = desk.upload(cut, "mixed")
    states = {}

    def follow(name: str, upload: str) -> None:
        states[name] = desk.wait(desk.job_of(upload))["state"]

    threads = [threading.Thread(target=follow, args=a) for a in (("good", good), ("cut", upload_id))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert states["good"] == "done"
    assert states["cut"] in {"failed", "done"}  # damage may also be read around, and is then named
