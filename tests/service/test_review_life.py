"""The life of edits over HTTP: they are applied, shown, undone, redone, replayed, and seen by others."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from support.analysts import Reviewer, unnamed
from support.api import Api, add_episode, add_show, problem_code
from support.load import tolerance

from services.api.schemas import review as schemas
from services.db import models

if TYPE_CHECKING:
    from pydantic import BaseModel

    from screenalyzer.artifacts import EpisodePaths

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_name_reaches_entities_totals_timeline_people_and_log(ben: Reviewer) -> None:
    before = ben.read()
    first = unnamed(before)[0]
    result = ben.assign(first, "Ada")
    assert (result["revision"], result["edit"]["number"], result["edit"]["actor"]) == (1, 1, "ben")
    ada = next(e for e in result["entities"] if e["name"] == "Ada")
    assert (ada["kind"], ada["entity_id"]) == ("person", ada["person_id"])
    assert first["entity_id"] in result["removed"]
    assert (ada["screen_ms"], ada["reviewed"]) == (first["screen_ms"], 1.0)
    after = ben.read()
    assert ada in after["entities"]
    assert after["undo"] == {"number": 1, "label": result["edit"]["label"]}
    assert {"person_id": ada["person_id"], "name": "Ada"} in after["people"]
    assert after["unresolved_ms"] == before["unresolved_ms"] - first["seen_ms"]
    assert ben.totals()["Ada"] == ada["screen_ms"] == _totals(result)["Ada"]
    timeline = ben.api.get(f"/episodes/{ben.episode_id}/timeline")["items"]
    assert {i["source"] for i in timeline if i["person"] == "Ada"} == {"reviewed"}
    assert [e["label"] for e in ben.get("edits")["items"]] == [result["edit"]["label"]]
    people = ben.api.get(f"/shows/{after['show_id']}/people")["items"]
    assert [p["person_id"] for p in people if p["name"] == "Ada"] == [ada["person_id"]]


@ON_SQLITE
def test_without_edits_it_shows_what_the_stages_found(ben: Reviewer, processed: "EpisodePaths") -> None:
    found = ben.read()
    totals = ben.totals()
    credited = {e["name"]: e["screen_ms"] for e in found["entities"] if e["screen_ms"]}
    assert credited == totals
    assert (found["revision"], found["undo"], found["redo"]) == (0, None, None)
    assert "{det}" in found["media"]["thumb"]
    faces = ben.get(f"entities/{found['entities'][0]['entity_id']}/faces")
    assert faces["total"] == found["entities"][0]["face_count"]
    distances = [f["distance"] for f in faces["items"]]
    assert distances == sorted(distances, reverse=True)


def test_undo_and_redo_as_deep_as_the_log(ben: Reviewer) -> None:
    start = _shown(ben.read())
    states = [start]
    for n, group in enumerate(unnamed(ben.read())[:3]):
        ben.assign(group, f"Person {chr(65 + n)}.")
        states.append(_shown(ben.read()))
    for state in reversed(states[:-1]):
        ben.undo()
        assert _shown(ben.read()) == state
    assert problem_code(ben.ask("undo", {}), 409) == "undo-impossible"
    for state in states[1:]:
        ben.redo()
        assert _shown(ben.read()) == state
    assert problem_code(ben.ask("redo", {}), 409) == "undo-impossible"
    log = ben.get("edits?limit=4")
    assert [e["kind"] for e in log["items"]] == ["redo", "redo", "redo", "undo"]
    rest = ben.get(f"edits?limit=200&cursor={log['next']}")
    assert [e["number"] for e in log["items"] + rest["items"]] == list(range(9, 0, -1))


def test_an_undo_that_later_edits_built_upon_is_refused_with_the_reason(ben: Reviewer) -> None:
    group = unnamed(ben.read())[0]
    ben.assign(group, "Ada")
    ada = next(e for e in ben.read()["entities"] if e["name"] == "Ada")
    ben.assign(ada, "Bea")
    answer = ben.ask("undo", {"number": 1})
    assert problem_code(answer, 409) == "undo-impossible"
    assert "edit 2" in answer.json()["detail"]
    ben.undo(number=2)
    ben.undo(number=1)
    assert "Ada" not in ben.totals()


def test_an_edit_without_or_with_a_bad_revision_is_refused(ben: Reviewer) -> None:
    group = unnamed(ben.read())[0]
    body = {"operation": {"op": "assign", "subject": {"groups": group["group_ids"]}, "name": "Ada"}}
    post = f"{ben.path}/edits"
    assert ben.api.refused(428, "POST", post, json=body) == "if-match-required"
    for tag in ('"7"', '"x"', 'W/"0"', '"0", "1"'):
        assert ben.api.refused(412, "POST", post, json=body, headers={"If-Match": tag}) == "stale"
    assert ben.read()["revision"] == 0
    full = ben.api.ask("GET", ben.path).headers["etag"]
    assert ben.api.ask("POST", post, json=body, headers={"If-Match": full}).status_code == 201


@ON_SQLITE
def test_what_cannot_be_is_refused_and_changes_nothing(ben: Reviewer) -> None:
    ben.read()
    gone = "00000000-0000-5000-8000-000000000000"
    assert ben.refused(409, "assign", subject={"groups": [gone]}, name="Ada") == "refused"
    assert ben.refused(422, "assign", subject={"groups": [gone]}) == "invalid"
    assert ben.refused(422, "assign", subject={"groups": [gone]}, name="A\u0000da") == "invalid"
    assert ben.refused(422, "add_span", name="Ada", kind="add", start_ms=0, end_ms=10**30) == "invalid"
    assert ben.api.refused(404, "GET", f"{ben.path}/entities/{gone}/faces") == "not-found"
    with ben.api.services.database.read() as session:
        assert session.query(models.Person).count() == session.query(models.Edit).count() == 0


@ON_SQLITE
def test_an_edit_that_changes_nothing_adds_no_line(ben: Reviewer) -> None:
    group = unnamed(ben.read())[0]
    ben.assign(group, "Ada")
    ada = next(e for e in ben.read()["entities"] if e["name"] == "Ada")
    answer = ben.ask(
        "edits",
        {"operation": {"op": "assign", "subject": {"groups": ada["group_ids"]}, "name": "Ada"}},
    )
    assert (answer.status_code, answer.json()["edit"], answer.json()["revision"]) == (200, None, 1)


def test_others_are_told_and_only_what_meets_is_a_conflict(ben: Reviewer, eve: Reviewer) -> None:
    one, two, three = unnamed(ben.read())[:3]
    eve.read()
    ben.assign(one, "Ada")
    answer = eve.ask(
        "edits", {"operation": {"op": "assign", "subject": {"groups": one["group_ids"]}, "name": "Eva"}}
    )
    assert problem_code(answer, 409) == "conflict"
    assert "ben" in answer.json()["detail"]
    result = eve.assign(two, "Bea")
    assert [(o["actor"], o["number"]) for o in result["others"]] == [("ben", 1)]
    assert {e["name"] for e in result["entities"]} >= {"Ada", "Bea"}
    assert not result["complete"]
    assert ben.ask("undo", {}).status_code == 409  # it would take back what ben has not seen
    ben.read()
    ben.assign(three, "Cid")
    assert ben.last["others"] == []


def test_two_who_race_for_one_group_do_not_overwrite_one_another(ben: Reviewer, eve: Reviewer) -> None:
    groups = unnamed(ben.read())[:2]
    eve.read()
    together = threading.Barrier(2)

    def name(who: Reviewer, group: dict[str, Any], called: str) -> int:
        together.wait()
        body = {"operation": {"op": "assign", "subject": {"groups": group["group_ids"]}, "name": called}}
        return who.ask("edits", body).status_code

    with ThreadPoolExecutor(2) as pool:
        same = list(pool.map(name, (ben, eve), (groups[0], groups[0]), ("Ada", "Eva")))
        assert sorted(same) == [201, 409]
        ben.read()
        eve.read()
        other = list(pool.map(name, (ben, eve), (groups[1], _marked(ben)), ("Bea", "Bea")))
    assert other.count(201) >= 1
    numbers = [e["number"] for e in ben.get("edits")["items"]]
    assert numbers == list(range(len(numbers), 0, -1))
    fresh = ben.read()
    assert {e["name"] for e in fresh["entities"]} & {"Ada", "Eva"} in ({"Ada"}, {"Eva"})


def _marked(who: Reviewer) -> dict[str, Any]:
    return unnamed(who.read())[1]


def test_many_edits_at_once_are_all_in_the_log(ben: Reviewer) -> None:
    groups = unnamed(ben.read())
    work = [(g, f"Somebody {n}") for n, g in enumerate(groups)]

    def name(job: tuple[dict[str, Any], str]) -> int:
        mine = Reviewer(ben.api, ben.episode_id, seen=0)
        body = {"operation": {"op": "assign", "subject": {"groups": job[0]["group_ids"]}, "name": job[1]}}
        return mine.ask("edits", body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(name, work)) == {201}
    found = ben.read()
    assert found["revision"] == len(groups)
    assert {e["name"] for e in found["entities"] if e["kind"] == "person"} == {name for _, name in work}


def test_the_same_key_is_applied_once_and_answered_the_same(ben: Reviewer) -> None:
    group = unnamed(ben.read())[0]
    body = {"operation": {"op": "assign", "subject": {"groups": group["group_ids"]}, "name": "Ada"}}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ben.ask("edits", body, "k1"), range(6)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert ben.read()["revision"] == 1


def test_the_review_is_sent_once_as_long_as_it_is_the_same(ben: Reviewer) -> None:
    first = ben.api.ask("GET", ben.path)
    tag = {"If-None-Match": first.headers["etag"]}
    again = ben.api.ask("GET", ben.path, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    ben.read()
    ben.assign(unnamed(first.json())[0], "Ada")
    assert ben.api.ask("GET", ben.path, headers=tag).status_code == 200


def test_changes_come_within_a_moment(ben: Reviewer, eve: Reviewer) -> None:
    group = unnamed(ben.read())[0]
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(lambda: (eve.get("changes?since=0&wait_s=20"), time.monotonic()))
        time.sleep(0.7)
        ben.assign(group, "Ada")
        done = time.monotonic()
        found, at = waits.result()
    assert at - done < 1.5 * tolerance()
    assert [(e["number"], e["actor"]) for e in found["items"]] == [(1, "ben")]
    assert found["revision"] == 1
    begun = time.monotonic()
    assert eve.get("changes?since=1&wait_s=0.5")["items"] == []
    assert 0.4 < time.monotonic() - begun < 2 * tolerance()


@ON_SQLITE
def test_an_episode_without_results_has_no_review(api: Api) -> None:
    new = Reviewer(api, add_episode(api.services, add_show(api.services)))
    assert api.refused(409, "GET", new.path) == "not-ready"
    assert new.refused(409, "lock", locked=True) == "not-ready"


@ON_SQLITE
def test_answers_are_as_the_description_says(ben: Reviewer) -> None:
    found = ben.read()
    result = ben.edit("add_span", name="Ada", kind="add", start_ms=1000, end_ms=2500)
    entity = found["entities"][0]["entity_id"]
    answers: list[tuple[type[BaseModel], Any]] = [
        (schemas.ReviewView, ben.read()),
        (schemas.EditResult, result),
        (schemas.FaceList, ben.get(f"entities/{entity}/faces")),
        (schemas.DoubtList, ben.get("doubts")),
        (schemas.SuggestionList, ben.get("suggestions")),
        (schemas.FaceSample, ben.get("sample?count=3&seed=1")),
        (schemas.SpanList, ben.get("spans")),
        (schemas.Changes, ben.get("changes?since=0")),
    ]
    for model, answer in answers:
        kept = model.model_validate(answer).model_dump(mode="json")
        assert kept == answer, model.__name__
    span = ben.get("spans")["items"][0]
    assert (span["name"], span["kind"], span["start_ms"], span["end_ms"]) == ("Ada", "add", 1000, 2500)
    ben.edit("remove_span", span=span["id"])
    assert ben.get("spans")["items"] == []


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    """What an undo must bring back; who is known in the show may stay."""
    return {k: found[k] for k in ("entities", "counts", "unresolved_ms", "locked")}


def _totals(result: dict[str, Any]) -> dict[str, int]:
    return {t["person"]: t["total_ms"] for t in result["totals"]}
