"""Episodes: listed, changed, processed again and purged; their facts and results."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.api import Api, add_episode, add_job, add_show, api_on, end_job, shelve

from screenalyzer.results import EpisodeFacts, read_timeline, read_totals
from services.db.models import Episode, Job

if TYPE_CHECKING:
    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def ready(api: Api, processed: "EpisodePaths", short_season: "list[DemoEpisode]") -> str:
    """Id of an episode with results."""
    return shelve(api.services, processed, short_season[0].video)


def test_the_state_of_an_episode_is_that_of_its_latest_processing(api: Api) -> None:
    show = add_show(api.services)
    new, running, done = (add_episode(api.services, show, name) for name in ("a", "b", "c"))
    add_job(api.services, running, state="failed")
    add_job(api.services, running, state="running")
    add_job(api.services, running, "export", state="done")
    end_job(api.services, add_job(api.services, done))

    states = {e["id"]: e["state"] for e in api.get("/episodes")["items"]}
    assert states == {new: "new", running: "running", done: "done"}
    for state, expected in {"new": [new], "running": [running], "done": [done], "failed": []}.items():
        found = api.get("/episodes", params={"state": state, "show_id": show})["items"]
        assert [e["id"] for e in found] == expected
    one = api.get(f"/episodes/{running}")
    assert (one["job"]["kind"], one["job"]["state"], one["facts"]) == ("process", "running", None)


def test_a_list_is_of_one_show(api: Api) -> None:
    first, second = add_show(api.services, "one"), add_show(api.services, "two")
    mine = add_episode(api.services, first)
    add_episode(api.services, second)
    assert [e["id"] for e in api.get("/episodes", params={"show_id": first})["items"]] == [mine]
    assert api.refused(404, "GET", "/episodes", params={"show_id": "0" * 32}) == "not-found"


def test_newest_first_page_by_page_while_episodes_come(api: Api) -> None:
    show = add_show(api.services)
    ids = [add_episode(api.services, show, f"e{n}") for n in range(7)]
    seen, cursor = [], None
    while True:
        page = api.get("/episodes", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        seen += [e["id"] for e in page["items"]]
        add_episode(api.services, show, f"later-{len(seen)}")
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_a_title_is_changed_on_the_revision_that_was_read(api: Api) -> None:
    path = f"/episodes/{add_episode(api.services, add_show(api.services))}"
    assert api.refused(428, "PATCH", path, json={"title": "Pilot"}) == "if-match-required"
    answer = api.ask("PATCH", path, api.analyst, json={"title": "Pilot"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert (answer.json()["title"], answer.json()["name"]) == ("Pilot", "s01e01")
    assert api.refused(412, "PATCH", path, json={"title": "x"}, headers={"If-Match": '"1"'}) == "stale"


def test_a_purge_is_an_admins_and_one_at_a_time(api: Api) -> None:
    path = f"/episodes/{add_episode(api.services, add_show(api.services))}"
    assert api.refused(403, "DELETE", path, api.analyst) == "not-allowed"
    answer = api.ask("DELETE", path)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert answer.json()["kind"] == "purge"
    assert answer.json()["episode_id"] == path.rsplit("/", 1)[-1]


@ON_SQLITE
def test_facts_come_from_the_manifest(api: Api, ready: str, processed: "EpisodePaths") -> None:
    facts, read = api.get(f"/episodes/{ready}")["facts"], EpisodeFacts.load(processed)
    assert (facts["width"], facts["height"], facts["fps"]) == (640, 360, round(read.fps, 3))
    assert (facts["duration_ms"], facts["start_ms"]) == (read.duration_ms, read.start_ms)
    assert (facts["shots"], facts["missing_ms"]) == (len(read.shots), 0)
    assert len(read.shots) > 1
    (api.services.settings.root / "harvest/My-Show/s01e01/manifest.json").unlink()
    assert api.get(f"/episodes/{ready}")["facts"]["shots"] is None


@ON_SQLITE
def test_results_are_those_of_the_artifacts(api: Api, ready: str, processed: "EpisodePaths") -> None:
    timeline = api.get(f"/episodes/{ready}/timeline", api.analyst)
    expected = [(i.person, *i.span, i.source, i.confidence) for i in read_timeline(processed)]
    assert [tuple(i.values()) for i in timeline["items"]] == expected
    assert timeline["rules"]["fuse_gap_ms"] == 2000
    totals = api.get(f"/episodes/{ready}/totals", api.analyst)
    assert {t["person"]: t["total_ms"] for t in totals["items"]} == {
        t.person: t.total_ms for t in read_totals(processed)
    }
    assert len(expected) > 1


@ON_SQLITE
def test_results_are_not_ready_before_they_are_computed(api: Api, ready: str) -> None:
    (api.services.settings.root / "outputs/My-Show/s01e01/stages/analytics.json").unlink()
    for what in ("timeline", "totals"):
        assert api.refused(409, "GET", f"/episodes/{ready}/{what}") == "not-ready"
    assert api.refused(409, "POST", f"/episodes/{ready}/exports", json={"format": "csv"}) == "not-ready"


@ON_SQLITE
def test_damaged_results_do_not_say_where_the_service_lies(api: Api, ready: str) -> None:
    (api.services.settings.root / "outputs/My-Show/s01e01/timeline.csv").write_text("person_name\nx\n")
    answer = api.ask("GET", f"/episodes/{ready}/timeline")
    assert answer.status_code == 409
    assert "timeline.csv is damaged" in answer.text
    assert str(api.services.settings.root) not in answer.text


def test_an_episode_is_processed_again_with_other_settings(api: Api) -> None:
    episode = add_episode(api.services, add_show(api.services), content=b"video")
    settings = {"video": {"sample_fps": 2.5}, "rules": {"fuse_gap_ms": 1500}}
    answer = api.ask("POST", f"/episodes/{episode}/jobs", api.analyst, json={"settings": settings})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["params"] == {"upload_id": None, "settings": settings, "replace": False, "actor": "ben"}
    assert job["user_id"] == api.analyst.id
    assert [s["state"] for s in job["stages"]] == ["ready", *["pending"] * 5]
    # Once the answer is out, the first stage has its place in the queue.
    assert api.get(f"/jobs/{job['id']}")["stages"][0]["state"] == "queued"
    assert api.refused(409, "POST", f"/episodes/{episode}/jobs", json={}) == "busy"


@pytest.mark.parametrize(
    "settings",
    [
        {"video": {"sample_fps": 0}},
        {"video": {"sample_fps": "two and a half"}},
        {"video": {"nonsense": 1}},
        {"rules": {"version": 2}},
        {"detect": {"min_conf": 0.5}},
        {"embed": {"mirror": "/etc"}},
        {"ray": {"num_cpus": 64}},
        {"rules": {"fuse_gap_ms": 1 << 60}},
        [],
        "x",
    ],
)
@ON_SQLITE
def test_settings_that_cannot_be_are_refused(api: Api, settings: object) -> None:
    episode = add_episode(api.services, add_show(api.services), content=b"video")
    code = api.refused(422, "POST", f"/episodes/{episode}/jobs", json={"settings": settings})
    assert code == "invalid"
    with api.services.database.read() as session:
        assert session.query(Job).count() == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
@ON_SQLITE
def test_numbers_that_are_none_are_refused(api: Api, number: str) -> None:
    episode = add_episode(api.services, add_show(api.services), content=b"video")
    body = f'{{"settings": {{"rules": {{"fuse_gap_ms": {number}, "partial_min_ms": {number}}}}}}}'
    answer = api.ask(
        "POST", f"/episodes/{episode}/jobs", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


def test_without_a_video_nothing_can_be_processed(api: Api) -> None:
    show = add_show(api.services)
    never = add_episode(api.services, show, "never")
    assert api.refused(409, "POST", f"/episodes/{never}/jobs", json={}) == "not-ready"
    swept = add_episode(api.services, show, "swept", content=b"video")
    with api.services.database.read() as session:
        sha256 = session.get_one(Episode, swept).video_sha256
    Path(api.services.settings.root / "videos" / str(sha256) / "swept.mp4").unlink()
    assert api.refused(410, "POST", f"/episodes/{swept}/jobs", json={}) == "gone"
