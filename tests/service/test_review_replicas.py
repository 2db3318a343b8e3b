"""Several processes share nothing but SQL: each shows the newest edit, whoever made it, and wherever."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from support.analysts import Reviewer, unnamed
from support.api import Api
from support.callers import person
from support.databases import close_services, services_on
from support.http_server import serving

from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from services.review.desks import Desks

if TYPE_CHECKING:
    pass

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def eve(api: Api, ben: Reviewer, database_url: str) -> Iterator[Reviewer]:
    """On another server with its own memory."""
    from services.api.app import create_app  # noqa: PLC0415 - the routes take a second to import

    other = services_on(api.services.settings.root, database_url)
    who = person(api.services, "eve", "analyst")
    with serving(create_app(other, lambda _: None)) as client:
        yield Reviewer(Api(other, client, api.admin, who), ben.episode_id)
    close_services(other)


def test_an_edit_at_one_server_is_seen_at_the_other(ben: Reviewer, eve: Reviewer) -> None:
    one, two = unnamed(ben.read())[:2]
    eve.read()
    ben.assign(one, "Ada")
    assert ben.read() | {"media": 0} == eve.read() | {"media": 0}
    assert eve.totals() == ben.totals()
    result = eve.assign(two, "Bea")
    assert result["others"] == []
    told = ben.edit("add_span", name="Cid", kind="add", start_ms=0, end_ms=1000)
    assert [o["label"] for o in told["others"]] == [result["edit"]["label"]]
    assert {e["name"] for e in told["entities"]} >= {"Bea", "Cid"}
    eve.read()
    eve.undo()
    assert "Cid" not in {e["name"] for e in ben.read()["entities"]}


def test_a_server_that_begins_later_says_all_there_is(ben: Reviewer, eve: Reviewer) -> None:
    one, two = unnamed(ben.read())[:2]
    eve.seen = ben.seen
    ben.assign(one, "Ada")
    result = eve.assign(two, "Bea")
    assert result["complete"]
    assert result["entities"] == eve.read()["entities"]


def test_a_commit_that_fails_leaves_the_desk_as_it_was(ben: Reviewer) -> None:
    group = unnamed(ben.read())[0]
    before = ben.read()
    body = {"operation": {"op": "assign", "subject": {"groups": group["group_ids"]}, "name": "Ada"}}

    def fail(_: Session) -> None:
        raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))

    event.listen(Session, "before_commit", fail)
    try:
        answer = ben.ask("edits", body, key="k")
    finally:
        event.remove(Session, "before_commit", fail)
    assert answer.status_code == 503
    assert ben.read() == before
    again = ben.ask("edits", body, key="k")
    assert (again.status_code, again.json()["revision"]) == (201, 1)
    assert ben.read()["revision"] == 1


@ON_SQLITE
def test_another_run_gives_another_desk(ben: Reviewer) -> None:
    services = ben.api.services
    paths = EpisodePaths(services.settings.root, "My-Show", "s01e01")
    ben.assign(unnamed(ben.read())[0], "Ada")
    with services.database.read() as session, services.desks.open(session, ben.episode_id) as held:
        desk = held.desk
    marker = artifacts.read_json(paths.marker("cluster"))
    artifacts.write_json(paths.marker("cluster"), {**marker, "fingerprint": "another"})
    assert "Ada" in {e["name"] for e in ben.read()["entities"]}
    with services.database.read() as session, services.desks.open(session, ben.episode_id) as held:
        assert held.desk is not desk
    paths.marker("cluster").unlink()
    assert ben.api.refused(409, "GET", ben.path) == "not-ready"
    assert ben.refused(409, "lock", locked=True) == "not-ready"


@ON_SQLITE
def test_desks_that_were_not_used_for_longest_are_forgotten(ben: Reviewer) -> None:
    services = ben.api.services
    ben.assign(unnamed(ben.read())[0], "Ada")
    desks = Desks(services, most=1)
    for episode_id in (ben.episode_id, ben.episode_id):
        with services.database.read() as session, desks.open(session, episode_id) as held:
            assert held.revision == 1


_KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.orm import Session
from support.databases import services_on
from pathlib import Path
from screenalyzer.review.operations import AddSpan
from services.access.sessions import Caller
from services.review import edits
from services.review.edits import Wanted

root, url, episode_id, show_id, user_id, when = sys.argv[1:]
services = services_on(Path(root), url)
end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
wanted = Wanted(episode_id, show_id, Caller(user_id, "ben", "analyst", "x"), 0)
work = edits.operation(AddSpan(name="Ada", kind="add", start_ms=0, end_ms=3000))
with services.database.begin() as session:
    if when == "before":
        event.listen(session, "before_commit", end)
    with edits.made(services, session, wanted, work):
        session.commit()
    end()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_the_commit_it_is_all_or_nothing(ben: Reviewer, when: str, database_url: str) -> None:
    found = ben.read()
    words = [str(ben.api.services.settings.root), database_url, ben.episode_id, found["show_id"]]
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, *words, ben.api.analyst.id, when],
        check=False, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    after: dict[str, Any] = ben.read()
    expected = (0, False) if when == "before" else (1, True)
    assert (after["revision"], "Ada" in {e["name"] for e in after["entities"]}) == expected
    ben.edit("add_span", name="Bea", kind="add", start_ms=0, end_ms=3000)
