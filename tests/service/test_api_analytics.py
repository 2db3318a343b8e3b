"""Seasons, who appears with whom, plots, audit logs, the disk and the settings."""

import io
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from support.analysts import Reviewer, unnamed
from support.api import Api, add_episode, add_show, api_on, problem_code, shelve

from screenalyzer import audit
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.results import read_timeline, read_totals
from services.access import trail
from services.access.sessions import Caller
from services.access.signing import signed_url
from services.api.storage import kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from screenalyzer.demo import DemoEpisode
    from services.context import Services

_AT = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def database_url(tmp_path: "Path") -> str:
    return f"sqlite:///{tmp_path / 'service.db'}"


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def ready(api: Api, processed: "EpisodePaths", short_season: "list[DemoEpisode]") -> str:
    """Id of an episode with results."""
    return shelve(api.services, processed, short_season[0].video)


def _paths(api: Api, episode: str = "s01e01") -> EpisodePaths:
    return EpisodePaths(api.services.settings.root, "My-Show", episode)


def _second_episode(api: Api) -> str:
    """The same results once more, under another name."""
    root, show_id = api.services.settings.root, api.get("/shows")["items"][0]["id"]
    for folder in ("harvest", "outputs"):
        shutil.copytree(root / folder / "My-Show/s01e01", root / folder / "My-Show/s01e02")
    return add_episode(api.services, show_id, "s01e02", b"v")


def _name(api: Api, episode_id: str, *names: str) -> None:
    """Name the groups that are seen longest."""
    reviewer = Reviewer(api, episode_id)
    for name in names:
        reviewer.assign(unnamed(reviewer.read())[0], name)


# ---- together


def test_who_is_on_screen_with_whom_is_what_the_timeline_says(api: Api, ready: str) -> None:
    found = api.get(f"/episodes/{ready}/coappearance", api.analyst)
    spans: dict[str, set[int]] = {}
    for row in read_timeline(_paths(api)):
        spans.setdefault(row.person, set()).update(range(row.span.start_ms, row.span.end_ms))
    assert found["people"] == [t.person for t in read_totals(_paths(api))]
    assert len(found["people"]) > 2
    expected = [[len(spans[a] & spans[b]) for b in found["people"]] for a in found["people"]]
    assert found["ms"] == expected
    assert sum(map(sum, expected)) > sum(expected[n][n] for n in range(len(expected)))  # some are together
    assert found["left_out"] == 0


def test_of_many_people_those_seen_longest_are_shown(api: Api, ready: str) -> None:
    whole = api.get(f"/episodes/{ready}/coappearance")
    found = api.get(f"/episodes/{ready}/coappearance", params={"limit": 2})
    assert found["people"] == whole["people"][:2]
    assert found["ms"] == [row[:2] for row in whole["ms"][:2]]
    assert found["left_out"] == len(whole["people"]) - 2


def test_an_edit_is_in_it_at_once(api: Api, ready: str) -> None:
    _name(api, ready, "Ada Park")
    assert "Ada Park" in api.get(f"/episodes/{ready}/coappearance")["people"]


# ---- season


def test_a_season_has_a_row_for_every_named_person(api: Api, ready: str) -> None:
    second = _second_episode(api)
    show_id = api.get("/shows")["items"][0]["id"]
    waiting = add_episode(api.services, show_id, "s01e03")
    _name(api, ready, "Ada Park", "Ben")
    _name(api, second, "ada park")
    found = api.get(f"/shows/{show_id}/totals", api.analyst)

    assert [(e["episode_id"], e["name"]) for e in found["episodes"]] == [
        (ready, "s01e01"),
        (second, "s01e02"),
    ]
    assert [w["episode_id"] for w in found["waiting"]] == [waiting]
    people = {p["person"]: p for p in found["people"]}
    assert people.keys() == {"Ada Park", "Ben"}  # nobody called "Person 01" is anybody's
    for number, episode_id in enumerate((ready, second)):
        totals = {t["person"]: t["total_ms"] for t in api.get(f"/episodes/{episode_id}/totals")["items"]}
        for name, person in people.items():
            assert person["ms"][number] == totals.pop(name, 0)
        assert found["episodes"][number]["unnamed"] == len(totals)
        assert found["episodes"][number]["unnamed_ms"] == sum(totals.values())
    assert all(p["total_ms"] == sum(p["ms"]) for p in people.values())
    assert people["Ben"]["ms"][1] == 0
    assert [p["total_ms"] for p in found["people"]] == sorted(
        (p["total_ms"] for p in found["people"]), reverse=True
    )


def test_a_season_without_results_is_no_error(api: Api) -> None:
    show_id = add_show(api.services)
    assert api.get(f"/shows/{show_id}/totals") == {
        "show_id": show_id, "episodes": [], "people": [], "waiting": [],
    }  # fmt: skip
    assert api.refused(404, "GET", f"/shows/{'0' * 32}/totals") == "not-found"


# ---- plots


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_plot_comes_in_both_kinds(api: Api, ready: str, theme: str) -> None:
    svg = api.ask("GET", f"/episodes/{ready}/plot.svg", api.analyst, params={"theme": theme})
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert svg.headers["content-security-policy"] == "default-src 'none'; sandbox"
    page = {"light": "#ffffff", "dark": "#12181e"}[theme]
    assert page in svg.text
    assert ElementTree.fromstring(svg.content).tag.endswith("svg")
    png = api.ask("GET", f"/episodes/{ready}/plot.png", params={"theme": theme})
    with Image.open(io.BytesIO(png.content)) as picture:
        assert (picture.format, picture.width) == ("PNG", 2400)
    assert api.ask("GET", f"/episodes/{ready}/plot.svg", params={"theme": theme}).content == svg.content


def test_a_plot_shows_the_newest_edit(api: Api, ready: str) -> None:
    before = api.ask("GET", f"/episodes/{ready}/plot.svg").content
    _name(api, ready, "Ada Park")
    after = api.ask("GET", f"/episodes/{ready}/plot.svg").content
    assert after != before
    assert after.count(b"<image") == before.count(b"<image")  # everybody keeps a face


def test_a_plot_opens_by_a_signed_url_of_its_own_path(api: Api, ready: str) -> None:
    ben = api.analyst
    caller = Caller(ben.id, ben.name, "analyst", ben.session_id)
    url = signed_url(api.services, caller, f"/v1/episodes/{ready}/plot.svg")
    assert api.client.get(f"{url}&theme=dark").status_code == 200
    assert problem_code(api.client.get(url.replace("svg", "png")), 401) == "bad-url"


def test_what_cannot_be_drawn_says_why(api: Api) -> None:
    episode = add_episode(api.services, add_show(api.services))
    for path in ("plot.svg", "coappearance"):
        assert api.refused(409, "GET", f"/episodes/{episode}/{path}") == "not-ready"
        assert api.refused(404, "GET", f"/episodes/{'0' * 32}/{path}") == "not-found"
    assert api.refused(422, "GET", f"/episodes/{episode}/plot.pdf") == "invalid"
    assert api.refused(422, "GET", f"/episodes/{episode}/plot.svg", params={"theme": "blue"}) == "invalid"


# ---- audit


def _log(path: "Path", lines: int) -> None:
    for n in range(1, lines + 1):
        audit.append(path, "thing.done", "ada", {"number": n}, _AT)


def _read_all(api: Api, path: str, limit: int) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = api.get(path, params={"limit": limit, **({"cursor": cursor} if cursor else {})})
        assert page["verdict"]["whole"]
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def test_an_episodes_log_comes_newest_first_in_pages(api: Api, ready: str) -> None:
    path = _paths(api).audit
    _log(path, 25)
    whole = [json.loads(line) for line in path.read_text().splitlines()]
    found = _read_all(api, f"/episodes/{ready}/audit", 7)
    assert [line["n"] for line in found] == list(range(len(whole), 0, -1))
    assert [(x["hash"], x["details"], x["action"]) for x in reversed(found)] == [
        (x["hash"], x["details"], x["action"]) for x in whole
    ]


def test_a_log_that_was_changed_shows_what_can_be_trusted(api: Api) -> None:
    episode = add_episode(api.services, add_show(api.services))
    assert api.get(f"/episodes/{episode}/audit") == {
        "items": [], "next": None,
        "verdict": {"whole": True, "kind": "ok", "lines": 0, "broken_line": None, "detail": ""},
    }  # fmt: skip
    path = _paths(api).audit
    _log(path, 5)
    raw = path.read_text()
    path.write_text(raw.replace('"number":4', '"number":9'))
    found = api.get(f"/episodes/{episode}/audit")
    assert [x["n"] for x in found["items"]] == [3, 2, 1]
    assert not found["verdict"]["whole"]
    assert (found["verdict"]["kind"], found["verdict"]["broken_line"]) == ("tampered", 4)
    assert "line 4" in found["verdict"]["detail"]
    path.write_text(raw[:-5])  # its writer was killed
    torn = api.get(f"/episodes/{episode}/audit")
    assert (torn["verdict"]["whole"], torn["verdict"]["kind"], len(torn["items"])) == (True, "torn", 4)


def test_the_services_own_log_is_an_admins(api: Api) -> None:
    trail.record(api.services, "user.created", "ada", {"user": "x"})
    assert api.get("/audit")["items"][0]["action"] == "user.created"
    assert api.refused(403, "GET", "/audit", api.analyst) == "not-allowed"
    assert api.refused(422, "GET", "/audit", params={"cursor": "x"}) == "bad-cursor"


# ---- the machine


def test_storage_counts_every_file_once(api: Api, ready: str) -> None:
    root = api.services.settings.root
    for place in ("outputs/My-Show/s01e01/exports/a.csv", "logs/x.log", "uploads/y.part", "odd"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(b"12345")
    (root / "link").symlink_to("/etc/passwd")
    found = api.get("/storage")
    files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
    kinds = {k["kind"]: k for k in found["kinds"]}
    assert sum(k["files"] for k in kinds.values()) == len(files)
    assert (
        found["used_bytes"] == sum(k["bytes"] for k in kinds.values()) == sum(p.stat().st_size for p in files)
    )
    crops = list((root / "harvest").rglob("crops/*"))
    assert kinds["crops"]["files"] == len(crops) > 0
    assert kinds["videos"]["bytes"] == sum(p.stat().st_size for p in (root / "videos").rglob("*.mp4"))
    assert (kinds["exports"]["bytes"], kinds["logs"]["bytes"], kinds["uploads"]["bytes"]) == (5, 5, 5)
    assert found["free_bytes"] <= found["total_bytes"]
    (root / "odd2").write_bytes(b"1")
    assert api.get("/storage") == found  # measured once a minute


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("service.db", "database"), ("service.db-wal", "database"), ("service.json", "other"),
        ("videos/ab/x.mp4", "videos"), ("uploads/x", "uploads"), ("secrets/keys.json", "other"),
        ("harvest/S/e/crops/x.jpg", "crops"), ("harvest/S/e/manifest.parquet", "manifests"),
        ("outputs/S/e/chunks/x", "chunks"), ("outputs/S/e/exports/x", "exports"),
        ("outputs/S/e/review/decisions.json", "results"), ("outputs/S/crops/e", "results"),
        ("outputs/S/e/timeline.csv", "results"), ("outputs/S/e/crops", "results"),
        ("facebank/S/x.npy", "facebank"), ("logs/service.log", "logs"), ("diagnostics/audit.jsonl", "other"),
    ],
)  # fmt: skip
def test_each_file_is_of_one_kind(place: str, kind: str) -> None:
    assert kind_of(tuple(place.split("/"))) == kind


def test_settings_hold_no_secret(api: Api) -> None:
    found = api.get("/settings")
    assert found["retention"]["crops_days"] == 365
    assert found["retention"]["videos_days"] is None
    assert found["uploads"]["max_bytes"] == 64 << 30
    assert found.keys() == {"retention", "uploads", "access"}
    for path in ("/settings", "/storage"):
        assert api.refused(403, "GET", path, api.analyst) == "not-allowed"
