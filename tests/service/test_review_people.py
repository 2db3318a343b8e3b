"""People are the show's: what one episode's review does to them holds in all of its episodes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from support.analysts import Reviewer, shelve_next, unnamed
from support.api import api_on, shelve

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.results import read_totals
from services.db import models
from services.db.models import Episode, Job
from services.review import publish
from services.review.people import but_for_names

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services


@dataclass
class Two:
    """Two episodes of one show."""

    first: Reviewer
    second: Reviewer
    paths: EpisodePaths
    show_id: str

    def publish(self) -> None:
        for who, name in ((self.first, "s01e01"), (self.second, "s01e02")):
            publish.publish(who.api.services, who.episode_id, replace(self.paths, episode=name))


@pytest.fixture
def two(services: "Services", processed: EpisodePaths, short_season: "list[DemoEpisode]") -> Iterator[Two]:
    video = short_season[0].video
    with api_on(services) as api:
        first = shelve(services, processed, video)
        with services.database.read() as session:
            show_id = session.get_one(Episode, first).show_id
        second = shelve_next(services, processed, video, "s01e02", show_id)
        paths = EpisodePaths(services.settings.root, "My-Show", "s01e01")
        yield Two(Reviewer(api, first), Reviewer(api, second), paths, show_id)


def _entity(who: Reviewer, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in who.read()["entities"] if e["name"] == name)
    return found


def _names(who: Reviewer) -> set[str]:
    return {e["name"] for e in who.read()["entities"] if e["kind"] == "person"}


def test_the_same_name_is_the_same_person(two: Two) -> None:
    two.first.assign(unnamed(two.first.read())[0], "Ada")
    two.second.assign(unnamed(two.second.read())[0], "ADA")
    assert _names(two.second) == {"Ada"}
    assert _entity(two.first, "Ada")["person_id"] == _entity(two.second, "Ada")["person_id"]


def test_a_rename_holds_everywhere_and_is_published_everywhere(two: Two) -> None:
    services = two.first.api.services
    two.first.assign(unnamed(two.first.read())[0], "Ada")
    two.second.assign(unnamed(two.second.read())[0], "Ada")
    two.publish()
    etag = two.second.api.ask("GET", two.second.path).headers["etag"]
    known = two.second.get("changes?since=1")["people_revision"]
    ada = _entity(two.first, "Ada")["person_id"]
    two.first.edit("rename_person", person=ada, name="Ann")
    again = two.second.api.ask("GET", two.second.path, headers={"If-None-Match": etag})
    assert again.status_code == 200
    assert _names(two.second) == {"Ann"}
    assert two.second.read()["revision"] == 1
    woken = two.second.get(f"changes?since=1&people_since={known}&wait_s=10")
    assert (woken["items"], woken["people_revision"]) == ([], known + 1)
    assert "Ann" in two.second.totals()
    result = two.second.edit("add_span", name="Ann", kind="add", start_ms=0, end_ms=3000)
    assert "Ann" in {e["name"] for e in result["entities"]}
    with services.database.read() as session:
        published = session.get_one(Episode, two.second.episode_id).published_revision
    assert published == but_for_names(1)
    publish.ensure_published(services)
    with services.database.read() as session:
        made = session.scalars(select(Job.episode_id).where(Job.kind == "publish")).all()
    assert two.second.episode_id in made
    two.publish()
    for who, name in ((two.first, "s01e01"), (two.second, "s01e02")):
        found = {t.person: t.total_ms for t in read_totals(replace(two.paths, episode=name))}
        assert found == who.totals()
        assert "Ann" in found
    people = two.first.api.get(f"/shows/{two.show_id}/people")["items"]
    shown = [(p["person_id"], p["name"], p["episodes"]) for p in people]
    assert shown == [(ada, "Ann", ["s01e01", "s01e02"])]
    two.first.undo()
    assert _names(two.second) == {"Ada"}


def test_merged_people_are_one_everywhere(two: Two) -> None:
    one, other = unnamed(two.first.read())[:2]
    two.first.assign(one, "Ada")
    two.first.assign(other, "Bea")
    two.second.assign(unnamed(two.second.read())[0], "Bea")
    ada, bea = (_entity(two.first, n)["person_id"] for n in ("Ada", "Bea"))
    two.first.edit("merge_people", person=bea, into=ada)
    assert (_names(two.first), _names(two.second)) == ({"Ada"}, {"Ada"})
    assert [p["name"] for p in two.second.read()["people"]] == ["Ada"]
    assert two.second.totals()["Ada"] > 0
    two.first.undo()
    assert (_names(two.first), _names(two.second)) == ({"Ada", "Bea"}, {"Bea"})


def test_a_name_is_borne_by_one(two: Two) -> None:
    two.first.assign(unnamed(two.first.read())[0], "Ada")
    two.second.assign(unnamed(two.second.read())[0], "Bea")
    bea = _entity(two.second, "Bea")["person_id"]
    assert two.second.refused(409, "rename_person", person=bea, name="ada") == "refused"
    two.second.edit("rename_person", person=bea, name="Bo")
    two.first.read()
    two.first.assign(unnamed(two.first.read())[0], "Cid")
    cid = _entity(two.first, "Cid")["person_id"]
    two.first.edit("rename_person", person=cid, name="Cyd")
    two.second.undo()
    assert _names(two.second) == {"Bea"}


def test_who_is_known_elsewhere_stays_when_their_making_is_undone(two: Two) -> None:
    two.first.assign(unnamed(two.first.read())[0], "Ada")
    two.second.read()
    two.second.assign(unnamed(two.second.read())[0], "Ada")
    two.first.undo()
    assert _names(two.first) == set()
    assert _names(two.second) == {"Ada"}
    assert two.second.totals()["Ada"] > 0
    with two.first.api.services.database.read() as session:
        assert [p.name for p in session.scalars(select(models.Person))] == ["Ada"]
    two.second.undo()
    assert _names(two.second) == set()
