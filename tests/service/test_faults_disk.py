"""The disk is full: what is refused says so, nothing is half, and it goes on once there is room."""

import itertools
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.api import Api, api_on, problem_code
from support.callers import PASSWORD
from support.databases import close_services, services_on
from support.desk import Desk, artifact_bytes_of
from support.faults import fill, small_disk
from support.main_job import artifact_bytes
from support.processed import Machine
from support.service import RunningService, eventually
from support.tus_server import PART, encode

from screenalyzer import audit, disk
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode
from services.access import trail

MIB = 1 << 20


@contextmanager
def _api(root: Path) -> Iterator[Api]:
    """The API whose data root and database lie on the disk."""
    made = services_on(root, f"sqlite:///{root / 'service.db'}", uploads={"keep_free_bytes": 0})
    with api_on(made) as api:
        yield api
    close_services(made)


def _upload(api: Api, length: int) -> str:
    head = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length)}
    named = encode({"filename": "s01e01.mp4", "show": "My Show"})
    made = api.ask("POST", "/uploads", headers={**head, "Upload-Metadata": named})
    assert made.status_code == 201, made.text
    return made.headers["location"].removeprefix("/v1")


def _send(api: Api, path: str, data: bytes, offset: int) -> int:
    head = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": PART}
    answer = api.ask("PATCH", path, headers=head, content=data)
    if answer.status_code != 204:
        assert problem_code(answer, 507) == "disk-full"
    return answer.status_code


def _offset(api: Api, path: str) -> int:
    return int(api.ask("HEAD", path, headers={"Tus-Resumable": "1.0.0"}).headers["upload-offset"])


def test_an_upload_stops_where_the_disk_ends_and_goes_on_from_there(tmp_path: Path) -> None:
    data = os.urandom(10 * MIB)
    with small_disk(tmp_path / "data", 24) as root, _api(root) as api:
        path = _upload(api, len(data))
        ballast = fill(root, leave=6 * MIB)
        assert _send(api, path, data, 0) == 507
        offset = _offset(api, path)
        assert 4 * MIB <= offset < len(data)
        assert _send(api, path, data[offset:], offset) == 507
        ballast.unlink()
        offset = _offset(api, path)
        assert _send(api, path, data[offset:], offset) == 204
        assert _offset(api, path) == len(data)
        assert (root / "uploads" / f"{path.rsplit('/', 1)[1]}.part").read_bytes() == data


def test_a_database_without_room_changes_nothing_and_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 24) as root, _api(root) as api:
        api.post("/shows", {"title": "before"})
        ballast = fill(root)
        form = {"grant_type": "password", "username": api.admin.name, "password": PASSWORD}
        answers = (api.ask("POST", "/shows", json={"title": f"made-{n}"}) for n in range(100))
        # The disk counts in pages: what fits into the last one still goes in.
        made = list(itertools.takewhile(lambda a: a.status_code == 201, answers))
        assert problem_code(next(answers), 507) == "disk-full"
        titles = {"before", *(a.json()["title"] for a in made)}
        assert problem_code(api.client.post("/v1/auth/token", data=form), 507) == "disk-full"
        assert {s["title"] for s in api.get("/shows", params={"limit": 200})["items"]} == titles
        assert api.get("/health")["disk"]["status"] in {"ok", "degraded"}
        ballast.unlink()
        assert api.client.post("/v1/auth/token", data=form).status_code == 200
        api.post("/shows", {"title": "after"})
        assert {s["title"] for s in api.get("/shows", params={"limit": 200})["items"]} == {*titles, "after"}
        assert audit.verify(trail.path(api.services)).ok
        with sqlite3.connect(root / "service.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_stage_without_room_leaves_nothing_half(
    processed: EpisodePaths, machine: Machine, short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    quiet = artifact_bytes(processed.root)
    size = sum(len(b) for b in quiet.values())
    with small_disk(tmp_path / "data", 2 * size / MIB + 4) as root:
        paths = EpisodePaths(root, processed.show, processed.episode)
        for share in (0.0, 0.3, 0.8):
            ballast = fill(root, leave=round(share * size))
            with pytest.raises((OSError, AssertionError)) as caught:
                machine.process(short_season[0].video, paths)
            assert disk.is_full(caught.value), caught.value
            ballast.unlink()
            assert not list(root.rglob("*.tmp"))
        machine.process(short_season[0].video, paths)
        assert artifact_bytes(root) == quiet


@pytest.mark.ray
def test_a_running_service_waits_for_room_and_goes_on_by_itself(
    service: RunningService, desk: Desk, short_season: list[DemoEpisode]
) -> None:
    show = "no-room"
    outputs = service.root / "outputs" / show
    with small_disk(outputs, 0.05):
        job_id = desk.job_of(desk.upload(short_season[0].video, show))

        def waits() -> str:
            return next((s["error"] for s in desk.get(f"/v1/jobs/{job_id}")["stages"] if s["error"]), "")

        said = eventually(waits, 120, "a stage waits for room")
        assert "No space left on device" in said
        assert "once the disk has room" in said
        assert desk.get(f"/v1/jobs/{job_id}")["state"] == "running"
        other = desk.job_of(desk.upload(short_season[0].video, "has-room"))
        assert desk.wait(other)["state"] == "done"
        _grow(outputs)
        assert desk.wait(job_id)["state"] == "done"
        found = artifact_bytes_of(service.root, show, nameless=True)
        assert found == artifact_bytes_of(service.root, "has-room", nameless=True)
        kept = shutil.copytree(outputs, service.root / "kept")
    shutil.copytree(kept, outputs, dirs_exist_ok=True)
    shutil.rmtree(kept)


def _grow(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
