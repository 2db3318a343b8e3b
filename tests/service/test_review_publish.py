"""From SQL into files: publication, learning, exports, the audit log; each as often as one likes."""

import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from sqlalchemy import select, update
from support.analysts import Reviewer, shelve_next, unnamed
from support.api import problem_code

from pipelines.harvest import REPLACED
from screenalyzer import artifacts, audit, exports, facebank
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.facebank import person_id
from screenalyzer.results import read_timeline, read_totals
from services.db.models import Edit, Episode, Job, StageRun, now
from services.review import publish, record
from services.review.learning import MOST_FACES

if TYPE_CHECKING:
    from support.processed import Machine

    from screenalyzer.demo import DemoEpisode
    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def paths(ben: Reviewer) -> EpisodePaths:
    return EpisodePaths(ben.api.services.settings.root, "My-Show", "s01e01")


def _publish(ben: Reviewer, paths: EpisodePaths) -> None:
    publish.publish(ben.api.services, ben.episode_id, paths)


def _jobs(services: "Services") -> list[tuple[str, str]]:
    with services.database.read() as session:
        return [(j.kind, j.state) for j in session.scalars(select(Job).order_by(Job.created_at))]


def _let_pass(services: "Services", seconds: float) -> None:
    with services.database.write() as session:
        for row in session.scalars(select(Edit)).all():
            row.created_at -= timedelta(seconds=seconds)


def _end_jobs(services: "Services", state: str = "done") -> None:
    with services.database.write() as session:
        session.execute(update(StageRun).values(state="done"))
        session.execute(update(Job).values(state=state))


def test_the_files_show_what_the_api_says(ben: Reviewer, paths: EpisodePaths) -> None:
    groups = unnamed(ben.read())
    ben.assign(groups[0], "Ada")
    ben.assign(groups[1], "Bea")
    ben.edit("add_span", name="Cid", kind="add", start_ms=2000, end_ms=5000)
    before = (ben.totals(), ben.api.get(f"/episodes/{ben.episode_id}/timeline"))
    assert ben.read()["published_revision"] == 0
    _publish(ben, paths)
    assert ben.read()["published_revision"] == 3
    assert {t.person: t.total_ms for t in read_totals(paths)} == before[0]
    assert {"Ada", "Bea", "Cid"} <= {i.person for i in read_timeline(paths)}
    assert (ben.totals(), ben.api.get(f"/episodes/{ben.episode_id}/timeline")) == before
    first = _files(paths)
    _publish(ben, paths)
    assert _files(paths) == first
    ben.undo()
    ben.undo()
    ben.undo()
    _publish(ben, paths)
    assert {t.person: t.total_ms for t in read_totals(paths)} == ben.totals()
    assert ben.read()["published_revision"] == 6


def test_an_export_says_what_the_api_says(ben: Reviewer, paths: EpisodePaths) -> None:
    ben.assign(unnamed(ben.read())[0], "Ada")
    _publish(ben, paths)
    files = exports.export(paths, "csv")
    table = next(f for f in files if f.name.endswith("-totals.csv"))
    assert {r["person_name"]: int(r["total_ms"]) for r in artifacts.read_csv(table)} == ben.totals()


def test_a_job_is_made_once_the_analyst_rests(ben: Reviewer, paths: EpisodePaths) -> None:
    """Also where the process that took the edit has died: all that is needed is in SQL."""
    services = ben.api.services
    publish.ensure_published(services)
    assert _jobs(services) == []
    ben.assign(unnamed(ben.read())[0], "Ada")
    publish.ensure_published(services)
    assert _jobs(services) == []
    _let_pass(services, 4)
    publish.ensure_published(services)
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "queued")]
    assert ben.api.get("/jobs")["items"] == []
    assert [j["kind"] for j in ben.api.get("/jobs?kind=publish")["items"]] == ["publish"]
    _publish(ben, paths)
    _end_jobs(services)
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "done")]
    ben.edit("lock", locked=True)
    _let_pass(services, 4)
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "queued")]  # its predecessor is gone


@ON_SQLITE
def test_who_never_rests_is_published_all_the_same(ben: Reviewer) -> None:
    services = ben.api.services
    one, two = unnamed(ben.read())[:2]
    ben.assign(one, "Ada")
    _let_pass(services, 31)
    ben.assign(two, "Bea")
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "queued")]


@ON_SQLITE
@pytest.mark.parametrize("kind", ["process", "purge"])
def test_not_while_something_else_writes_the_episode(ben: Reviewer, kind: str) -> None:
    services = ben.api.services
    ben.assign(unnamed(ben.read())[0], "Ada")
    _let_pass(services, 4)
    if kind == "process":
        ben.api.post(f"/episodes/{ben.episode_id}/jobs", {})
    else:
        assert ben.api.ask("DELETE", f"/episodes/{ben.episode_id}").status_code == 202
        assert ben.refused(409, "lock", locked=True) == "busy"
    publish.ensure_published(services)
    assert [k for k, _ in _jobs(services)] == [kind]


@ON_SQLITE
def test_after_a_failure_it_is_tried_again_later(ben: Reviewer) -> None:
    services = ben.api.services
    ben.assign(unnamed(ben.read())[0], "Ada")
    _let_pass(services, 4)
    publish.ensure_published(services)
    _end_jobs(services, "failed")
    with services.database.write() as session:
        job = session.scalars(select(Job)).one()
        job.finished_at = job.created_at
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "failed")]
    with services.database.write() as session:
        session.scalars(select(Job)).one().finished_at -= timedelta(minutes=11)
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "failed"), ("publish", "queued")]


@ON_SQLITE
def test_each_edit_has_one_line_in_the_audit_log_without_names(ben: Reviewer, paths: EpisodePaths) -> None:
    ben.assign(unnamed(ben.read())[0], "Ada")
    _publish(ben, paths)
    ben.undo()
    ben.redo()
    _publish(ben, paths)
    _publish(ben, paths)
    lines = [x for x in audit.read(paths.audit) if x["action"].startswith("review.")]
    assert [(x["action"], x["actor"], x["details"]["number"]) for x in lines] == [
        ("review.edit", "ben", 1), ("review.undo", "ben", 2), ("review.redo", "ben", 3),
    ]  # fmt: skip
    assert lines[1]["details"]["of"] == 1
    assert "Ada" not in json.dumps(lines)


@ON_SQLITE
def test_decisions_go_with_a_video_that_is_replaced(ben: Reviewer, paths: EpisodePaths) -> None:
    services = ben.api.services
    one, two = unnamed(ben.read())[:2]
    ben.assign(one, "Ada")
    ben.assign(two, "Bea")
    _publish(ben, paths)
    audit.append(paths.audit, REPLACED, "ben", {}, now())
    with services.database.write() as session:
        record.discard(session, session.get_one(Episode, ben.episode_id))
    assert ben.read()["revision"] == 0
    assert {e["kind"] for e in ben.read()["entities"]} == {"group"}
    publish.ensure_published(services)
    assert _jobs(services) == [("publish", "queued")]
    _publish(ben, paths)
    bank = facebank.load(paths.facebank)
    assert bank is None or not any(bank.people.values())
    ben.assign(unnamed(ben.read())[0], "Cid")
    _publish(ben, paths)
    lines = [x for x in audit.read(paths.audit) if x["action"].startswith("review.")]
    assert [x["details"]["number"] for x in lines] == [1, 2, 1]


@ON_SQLITE
def test_people_who_change_meanwhile_are_published_again(ben: Reviewer, paths: EpisodePaths) -> None:
    services = ben.api.services
    ben.assign(unnamed(ben.read())[0], "Ada")
    settings, video = publish.source_of(services, ben.episode_id)
    publish.write_record(services, ben.episode_id, paths)
    done = publish.publish_files(paths, settings, video)
    ada = next(e for e in ben.read()["entities"] if e["name"] == "Ada")
    ben.edit("rename_person", person=ada["person_id"], name="Ann")
    with services.database.write() as session:
        publish.note(session, ben.episode_id, done)
        assert session.get_one(Episode, ben.episode_id).published_revision == 0


def test_the_facebank_learns_from_people_and_never_from_guesses(ben: Reviewer, paths: EpisodePaths) -> None:
    groups = unnamed(ben.read())
    ben.assign(groups[0], "Ada")
    ben.edit("mark", subject={"groups": groups[1]["group_ids"]}, mark="background")
    _publish(ben, paths)
    faces = {f["det_id"] for f in _faces(ben, "Ada")}
    bank = facebank.load(paths.facebank)
    assert bank is not None
    assert bank.people.keys() == {"Ada"}
    kept = bank.people["Ada"]
    assert 0 < len(kept) <= MOST_FACES
    assert {f.det_id for f in kept} <= faces
    assert all(f.crop[:2] == b"\xff\xd8" and f.episode == "s01e01" for f in kept)
    before = (paths.facebank / "embeddings.parquet").stat().st_mtime_ns
    _publish(ben, paths)
    assert (paths.facebank / "embeddings.parquet").stat().st_mtime_ns == before
    ada = _entity(ben, "Ada")
    ben.edit("rename_person", person=ada["person_id"], name="Ann")
    _publish(ben, paths)
    bank = facebank.load(paths.facebank)
    assert bank is not None
    assert {f.det_id for f in bank.people["Ann"]} == {f.det_id for f in kept}
    ben.undo()
    ben.undo(number=1)
    _publish(ben, paths)
    bank = facebank.load(paths.facebank)
    assert bank is None or not any(bank.people.values())


@ON_SQLITE
def test_the_next_episode_begins_with_them(
    ben: Reviewer, paths: EpisodePaths, machine: "Machine", processed: EpisodePaths,
    short_season: "list[DemoEpisode]",
) -> None:  # fmt: skip
    ben.assign(unnamed(ben.read())[0], "Ada")
    _publish(ben, paths)
    services = ben.api.services
    with services.database.read() as session:
        show_id = session.get_one(Episode, ben.episode_id).show_id
    second = Reviewer(ben.api, shelve_next(services, processed, short_season[0].video, "s01e02", show_id))
    next_paths = replace(paths, episode="s01e02")
    machine.stages(next_paths)
    ada = _entity(second, "Ada")
    assert (ada["auto"], ada["reviewed"], ada["known_from"]) == (True, 0.0, 1)
    assert ada["looks"] == 4
    known = second.read()["media"]["known"]
    picture = ben.api.client.get(known.replace("{person}", ada["person_id"]))
    with Image.open(io.BytesIO(picture.content)) as image:
        assert (image.format, max(image.size)) == ("WEBP", 160)
    nobody = ben.api.client.get(known.replace("{person}", person_id("nobody")))
    assert problem_code(nobody, 404) == "not-found"
    sample = second.get("sample?count=50")["items"]
    assert sample
    assert {f["entity_id"] for f in sample} == {ada["entity_id"]}
    assert not any(f["pinned"] for f in sample)
    publish.publish(services, second.episode_id, next_paths)
    bank = facebank.load(paths.facebank)
    assert bank is not None
    assert {f.episode for f in bank.people["Ada"]} == {"s01e01"}
    assert ada["person_id"] == _entity(ben, "Ada")["person_id"]


@ON_SQLITE
def test_without_its_video_it_keeps_what_it_knows(ben: Reviewer, paths: EpisodePaths) -> None:
    one, two = unnamed(ben.read())[:2]
    ben.assign(one, "Ada")
    _publish(ben, paths)
    known = facebank.load(paths.facebank)
    for video in (paths.root / "videos").rglob("*.mp4"):
        video.unlink()
    ben.assign(two, "Bea")
    _publish(ben, paths)
    bank = facebank.load(paths.facebank)
    assert bank is not None
    assert known is not None
    assert bank.people.keys() == {"Ada"}
    assert [f.det_id for f in bank.people["Ada"]] == [f.det_id for f in known.people["Ada"]]


def _entity(who: Reviewer, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in who.read()["entities"] if e["name"] == name)
    return found


def _faces(who: Reviewer, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who.get(f"entities/{_entity(who, name)['entity_id']}/faces")["items"]
    return found


def _files(paths: EpisodePaths) -> dict[str, bytes]:
    places: list[Path] = [*paths.outputs.rglob("*"), *paths.facebank.rglob("*")]
    return {str(p): p.read_bytes() for p in places if p.is_file()}
