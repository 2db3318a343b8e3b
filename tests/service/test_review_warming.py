"""Desks that are loaded before somebody opens them, and answers that need none."""

from typing import TYPE_CHECKING, Any

import pytest
from support.analysts import Reviewer, shelve_next, unnamed
from support.api import add_job, end_job
from support.service import eventually

from services.review import publish
from services.review.desks import Desks
from services.review.warming import Warmer

if TYPE_CHECKING:
    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
_PATIENCE_S = 60


class _Counted(Desks):
    """Desks that say which ones were wanted ahead."""

    def __init__(self, services: "Services", most: int | None = None) -> None:
        super().__init__(services, most)
        self.asked: list[str] = []

    def prepare(self, episode_id: str) -> None:
        super().prepare(episode_id)
        self.asked.append(episode_id)


@pytest.fixture
def three(ben: Reviewer, processed: "EpisodePaths", short_season: "list[DemoEpisode]") -> list[str]:
    """Three episodes whose processing is done, the last one last."""
    services, show_id = ben.api.services, ben.read()["show_id"]
    video = short_season[0].video
    names = ("s01e02", "s01e03")
    found = [ben.episode_id, *(shelve_next(services, processed, video, n, show_id) for n in names)]
    for episode_id in found:
        end_job(services, add_job(services, episode_id))
    return found


def _desks(services: "Services", most: int | None = None) -> _Counted:
    """In place of those that the tests' own questions have opened."""
    services.__dict__["desks"] = found = _Counted(services, most)
    return found


def test_what_was_worked_on_last_is_loaded_first(services: "Services", three: list[str]) -> None:
    desks, warmer = _desks(services), Warmer(services)
    warmer.ask(three[0])  # does nothing before the start
    warmer.start()
    try:
        eventually(lambda: len(desks.asked) == 3, _PATIENCE_S, "all were loaded")
        assert desks.asked == three[::-1]
        assert desks.loaded() == set(three)
        for _ in range(2):
            warmer.ask(three[1])
        eventually(lambda: len(desks.asked) == 4, _PATIENCE_S, "it was looked at again")
        warmer.ask(three[1], three[0])
        eventually(lambda: len(desks.asked) == 5, _PATIENCE_S, "the other one too")
        assert desks.asked[3:] == [three[1], three[0]], "none of them twice within a minute"
    finally:
        warmer.stop()


def test_what_somebody_has_opened_is_not_driven_out(services: "Services", three: list[str]) -> None:
    desks = _desks(services, most=2)
    for episode_id in three:
        desks.prepare(episode_id)
    assert desks.loaded() == set(three[1:]), "the one that was loaded ahead first has made room"
    for episode_id in three[1:]:
        desks.warm(episode_id)
        _open(services, desks, episode_id)
    desks.prepare(three[0])
    assert desks.loaded() == set(three[1:])
    _open(services, desks, three[0])
    assert desks.loaded() == {three[0], three[2]}, "who asks is given room"


def test_one_that_was_loaded_ahead_is_as_good(services: "Services", three: list[str]) -> None:
    desks = _desks(services)
    desks.prepare(three[0])
    assert _open(services, desks, three[0]) == _open(services, Desks(services), three[0])


def test_a_season_needs_no_desks_after_a_rename(
    services: "Services", ben: Reviewer, three: list[str]
) -> None:
    second = Reviewer(ben.api, three[1])
    second.assign(unnamed(second.read())[0], "Ada")
    ben.read()
    ben.assign(unnamed(ben.read())[0], "Cid")
    for episode_id in three:
        with services.database.read() as session:
            paths = services.desks.glance(session, episode_id).paths
        publish.publish(services, episode_id, paths)
    who = {p["name"]: p["person_id"] for p in ben.read()["people"]}
    ben.edit("rename_person", person=who["Ada"], name="Ann")
    desks = _desks(services)
    found = _season(ben)
    assert desks.loaded() <= {three[0]}, "at most that of the episode that was edited"
    assert found.keys() >= {"Ann", "Cid"}
    assert found["Ann"] == sum(Reviewer(ben.api, e).totals().get("Ann", 0) for e in three)
    second.read()
    second.edit("merge_people", person=who["Ada"], into=who["Cid"])
    assert _season(ben)["Cid"] == sum(Reviewer(ben.api, e).totals().get("Cid", 0) for e in three)


def _season(ben: Reviewer) -> dict[str, int]:
    found = ben.api.get(f"/shows/{ben.read()['show_id']}/totals")
    return {p["person"]: p["total_ms"] for p in found["people"]}


def _open(services: "Services", desks: Desks, episode_id: str) -> dict[str, Any]:
    with services.database.read() as session, desks.open(session, episode_id) as held:
        return held.desk.snapshot()
