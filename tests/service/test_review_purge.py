"""Purges take reviews along: an episode's log, a show's people, and a person out of everybody's logs."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import MetaData, func, select, text
from support.analysts import Reviewer, shelve_next, unnamed
from support.callers import person
from support.purging import run_purge

from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths
from services.db import models
from services.db.models import Episode, Job, now
from services.review import publish
from services.review.desks import Desks

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

NAME, OLD = "Xanthippe Quill", "Zenobia Umbra"


@pytest.fixture
def second(ben: Reviewer, processed: EpisodePaths, short_season: "list[DemoEpisode]") -> Reviewer:
    video = short_season[0].video
    made = shelve_next(ben.api.services, processed, video, "s01e02", ben.read()["show_id"])
    return Reviewer(ben.api, made)


def _purge(ben: Reviewer, path: str) -> dict[str, Any]:
    """Ask for a purge as an Admin and run it."""
    answer = ben.api.ask("DELETE", path)
    assert answer.status_code == 202, answer.text
    services, job_id = ben.api.services, answer.json()["id"]
    with services.database.write() as session:
        params = {**session.get_one(Job, job_id).params, "job_id": job_id}
    result = run_purge(services, params)
    with services.database.write() as session:
        job = session.get_one(Job, job_id)
        job.state, job.finished_at = "done", now()
    return result


def _rows_with(services: "Services", *words: str) -> list[str]:
    tables, found = MetaData(), []
    tables.reflect(services.database.engine)
    with services.database.read() as session:
        for name in tables.tables:
            for row in session.execute(text(f'SELECT * FROM "{name}"')):
                found += [f"{name}: {w}: {row}" for w in words if w in repr(tuple(row))]
    return found


def _entity(who: Reviewer, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in who.read()["entities"] if e["name"] == name)
    return found


def test_a_person_goes_from_all_reviews_and_the_rest_goes_on(ben: Reviewer, second: Reviewer) -> None:
    """Unpublished, renamed, merged, in two episodes, in spans, refusals and undone edits."""
    services = ben.api.services
    paths = EpisodePaths(services.settings.root, "My-Show", "s01e01")
    one, two, three = unnamed(ben.read())[:3]
    ben.assign(one, OLD)
    ben.assign(two, "Ada")
    publish.publish(services, ben.episode_id, paths)
    who = _entity(ben, OLD)["person_id"]
    ben.edit("rename_person", person=who, name=NAME)
    ben.edit("add_span", person=who, kind="add", start_ms=0, end_ms=3000)
    ben.edit("not_person", subject={"groups": three["group_ids"]}, person=who)
    second.assign(unnamed(second.read())[1], NAME.upper())
    second.undo()
    second.assign(unnamed(second.read())[0], NAME)
    second.assign(unnamed(second.read())[0], "Cid")
    before = {n: t for n, t in ben.totals().items() if n == "Ada"}
    result = _purge(ben, f"/shows/{ben.read()['show_id']}/people/{who}")
    assert result["removed"]["people"] == 1
    assert result["removed"]["faces"] > 0
    assert result["scan"]["found"] == 0
    assert _rows_with(services, NAME, OLD, NAME.upper()) == []
    files = [p for p in paths.root.rglob("*") if p.is_file() and "logs" not in p.parts]
    assert [p for p in files for n in (NAME, OLD) if n.encode() in p.read_bytes()] == []
    with services.database.read() as session:
        assert [p.name for p in session.scalars(select(models.Person).order_by("name"))] == ["Ada", "Cid"]
    shown = json.dumps([w.get(part) for w in (ben, second) for part in ("doubts", "suggestions", "edits")])
    shown += json.dumps([ben.read(), second.read()])
    assert [n for n in (NAME, OLD, NAME.upper()) if n in shown] == []
    assert {n: t for n, t in ben.totals().items() if n == "Ada"} == before
    assert "Cid" in second.totals()
    assert ben.get("spans")["items"] == []
    ben.read()
    ben.undo(number=2)
    assert "Ada" not in ben.totals()
    ben.redo()
    assert {n: t for n, t in ben.totals().items() if n == "Ada"} == before
    _check_learned({ben.episode_id: paths, second.episode_id: replace(paths, episode="s01e02")}, services)


def _check_learned(episodes: dict[str, EpisodePaths], services: "Services") -> None:
    for episode_id, paths in episodes.items():
        publish.publish(services, episode_id, paths)
    bank = facebank.load(paths.facebank)
    assert bank is not None
    assert bank.people.keys() == {"Ada", "Cid"}


def test_a_person_who_was_found_to_be_another_goes_with_them(ben: Reviewer) -> None:
    services = ben.api.services
    one, two = unnamed(ben.read())[:2]
    ben.assign(one, NAME)
    ben.assign(two, OLD)
    ids = [_entity(ben, n)["person_id"] for n in (NAME, OLD)]
    ben.edit("merge_people", person=ids[1], into=ids[0])
    _purge(ben, f"/shows/{ben.read()['show_id']}/people/{ids[0]}")
    assert _rows_with(services, NAME, OLD) == []
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(models.Person)) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_is_named_alike_after_a_purge_is_somebody_else(ben: Reviewer, second: Reviewer) -> None:
    """They get the same id, so a desk that was open all along must not take them for the one who is gone."""
    ben.assign(unnamed(ben.read())[0], "Ada")
    ben.edit("add_span", name=NAME, kind="add", start_ms=0, end_ms=3000)
    _purge(ben, f"/shows/{ben.read()['show_id']}/people/{_entity(ben, NAME)['person_id']}")
    second.assign(unnamed(second.read())[0], NAME)
    assert ben.get("spans")["items"] == []
    assert NAME not in ben.totals()
    ben.edit("add_span", name=NAME, kind="add", start_ms=0, end_ms=3000)
    ben.edit("add_span", name=NAME, kind="add", start_ms=4000, end_ms=6000)
    fresh = Desks(ben.api.services)
    with ben.api.services.database.read() as session, fresh.open(session, ben.episode_id) as held:
        assert len(held.desk.spans()) == 2


_KILLED = """
import json, os, signal, sys
from pathlib import Path
from sqlalchemy import event
from support.databases import services_on
from services.privacy import purge

root, url, params, moments = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
for moment in moments:
    child = os.fork()
    if child == 0:
        left = [moment]
        def step(_):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        services = services_on(Path(root), url)
        event.listen(services.database.engine, "commit", step)
        purge.run(services, params, lambda *_: None, lambda: False)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_at_any_commit_and_run_again_it_comes_to_the_same_end(
    ben: Reviewer, database_url: str
) -> None:  # fmt: skip
    services, moments = ben.api.services, list(range(8))
    one, two = unnamed(ben.read())[:2]
    ben.assign(one, NAME)
    ben.assign(two, "Ada")
    before = {n: t for n, t in ben.totals().items() if n == "Ada"}
    answer = ben.api.ask("DELETE", f"/shows/{ben.read()['show_id']}/people/{_entity(ben, NAME)['person_id']}")
    with services.database.read() as session:
        params = {**session.get_one(Job, answer.json()["id"]).params, "job_id": answer.json()["id"]}
    words = [str(services.settings.root), database_url, json.dumps(params), json.dumps(moments)]
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, *words], check=True, capture_output=True, text=True, timeout=400,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    codes = [int(code) for code in ended.stdout.split()]
    assert set(codes) <= {0, -signal.SIGKILL}, ended.stderr
    assert codes.count(-signal.SIGKILL) >= 3
    result = run_purge(services, params)
    assert (result["removed"]["people"], result["scan"]["found"]) == (1, 0)
    assert result["removed"]["faces"] > 0
    assert _rows_with(services, NAME) == []
    assert {n: t for n, t in ben.totals().items() if n == "Ada"} == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_same_name_in_another_show_and_of_a_user_stays(ben: Reviewer) -> None:
    services = ben.api.services
    ben.who = person(services, NAME, "analyst")
    ben.assign(unnamed(ben.read())[0], NAME)
    with services.database.write() as session:
        show = models.Show(name="Other", title="Other")
        session.add(show)
        session.flush()
        episode = Episode(show_id=show.id, name="e1", title="e1")
        session.add(episode)
        session.flush()
        session.add(models.Person(show_id=show.id, id="x", name=NAME, name_key=NAME.casefold()))
        session.add(
            models.Edit(
                episode_id=episode.id, number=1, kind="edit", operation={"name": NAME}, changes=[],
                touches=[], label=f"Assign to {NAME}", actor="x",
            )
        )  # fmt: skip
    who = _entity(ben, NAME)["person_id"]
    result = _purge(ben, f"/shows/{ben.read()['show_id']}/people/{who}")
    assert result["scan"]["found"] == 0
    assert len(_rows_with(services, f"Assign to {NAME}")) == 1


def test_an_episode_goes_with_its_log_and_the_people_only_it_knew(ben: Reviewer, second: Reviewer) -> None:
    services = ben.api.services
    one, two = unnamed(ben.read())[:2]
    ben.assign(one, NAME)
    ben.assign(two, "Ada")
    second.assign(unnamed(second.read())[0], "Ada")
    result = _purge(ben, f"/episodes/{ben.episode_id}")
    assert result["scan"]["found"] == 0
    assert _rows_with(services, NAME) == []
    with services.database.read() as session:
        assert session.scalars(select(models.Edit.episode_id)).all() == [second.episode_id]
        assert set(session.scalars(select(models.Anchor.episode_id))) == {second.episode_id}
        assert [p.name for p in session.scalars(select(models.Person))] == ["Ada"]
    assert "Ada" in second.totals()


def test_a_show_goes_with_its_people(ben: Reviewer) -> None:
    services = ben.api.services
    ben.assign(unnamed(ben.read())[0], NAME)
    run_purge(services, _started(ben))
    with services.database.read() as session:
        for table in (models.Edit, models.Anchor, models.Person, models.Show):
            assert session.scalar(select(func.count()).select_from(table)) == 0
    assert NAME not in json.dumps(_rows_with(services, NAME))


def _started(ben: Reviewer) -> dict[str, Any]:
    answer = ben.api.ask("DELETE", f"/shows/{ben.read()['show_id']}")
    with ben.api.services.database.read() as session:
        job = session.get_one(Job, answer.json()["id"])
        return {**job.params, "job_id": job.id}
