"""Nobody waits at an episode of 2,000 tracks in 500 groups: the pages, an edit, a wall of 10,000 faces."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from support.analysts import Reviewer, unnamed
from support.api import add_episode, add_job, add_show, api_on, end_job
from support.big_episode import Size, video_of, write_big_episode
from support.callers import PASSWORD
from support.databases import close_services, services_on
from support.http_server import serving
from support.keyboard import saved
from support.load import tolerance
from support.pages import Pages, pages_on
from support.scrolling import scroll
from support.ui import PAGES, Ui

from screenalyzer.artifacts import EpisodePaths

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from services.context import Services

_USABLE_S = 1.0
_EDIT_S = 0.2
_SIZE = Size()
_MOST_FACES = 10_000  # on a wall

Note = Callable[..., None]

# For each page what somebody must see before they can work: all of these.
_WORKABLE = {
    "All Faces": (".roster .row", ".wall .cell", ".right h3"),
    "Pairwise": (".side h3", ".side .big img"),
    "Low-Confidence Queue": (".roster .row", ".bigs .big"),
    "Merge Suggestions": (".roster .row", ".side h3"),
    "Manual Add": (".roster .row", ".screen img", ".right h3"),
    "Analytics": (
        "[data-testid=stMetric]",
        "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg",
    ),
}


@dataclass(frozen=True)
class Stage:
    """The episode behind an API and pages.

    Attributes:
        pages: of the UI.
        ben: an analyst over HTTP, who is logged in.
        services: of the API.
    """

    pages: Pages
    ben: Reviewer
    services: "Services"


@pytest.fixture(scope="module")
def stage(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Made once: it takes some seconds."""
    folder = tmp_path_factory.mktemp("big")
    with ExitStack() as stack:
        services = services_on(folder / "data", f"sqlite:///{folder / 'service.db'}")
        stack.callback(close_services, services)
        api = stack.enter_context(api_on(services))
        paths = EpisodePaths(services.settings.root, "Long-Show", "s01e01")
        content = video_of(folder, _SIZE).read_bytes()
        episode_id = add_episode(services, add_show(services, paths.show), paths.episode, content)
        (video,) = (paths.root / "videos").glob("*/*.mp4")
        write_big_episode(paths, video, _SIZE, services.main_job)
        end_job(services, add_job(services, episode_id))
        pages = stack.enter_context(pages_on(str(api.client.base_url).rstrip("/")))
        yield Stage(pages, Reviewer(api, episode_id), services)


@pytest.fixture
def ui(page: "Page", stage: Stage) -> Iterator[Ui]:
    """The first page, by an analyst."""
    found = Ui(page, stage.pages).open(f"status?episode={stage.ben.episode_id}").log_in("ben", PASSWORD)
    yield found
    assert found.errors == []


@pytest.fixture
def note(pictures: Path, request: pytest.FixtureRequest) -> Note:
    """Keeps what was measured, with the load of the machine, beside the pictures."""

    def keep(**measured: object) -> None:
        found = {**measured, "load": [round(x, 1) for x in os.getloadavg()], "cpus": os.cpu_count()}
        (pictures / f"big-episode-{request.node.name}.json").write_text(json.dumps(found, indent=1))

    return keep


@pytest.mark.parametrize("ahead", [0, 4])
def test_the_first_page_after_a_start_is_usable_within_a_second(
    stage: Stage, browser: "Browser", note: Note, ahead: int
) -> None:
    """Without and with desks that are loaded ahead; a start is tried again where the machine was busy."""
    from services.api.app import create_app  # noqa: PLC0415 - the routes take a second to import

    allowed, tries = _USABLE_S * tolerance(), []
    settings = stage.services.settings
    while not tries or (tries[-1] > _USABLE_S and len(tries) < 3):
        with ExitStack() as stack:
            services = services_on(settings.root, settings.database, api={"desks_ahead": ahead})
            stack.callback(close_services, services)
            app = create_app(services, lambda _: None)
            client = stack.enter_context(serving(app, lifespan=True))
            pages = stack.enter_context(pages_on(str(client.base_url).rstrip("/")))
            page = stack.enter_context(closing(browser.new_context())).new_page()
            ui = Ui(page, pages).open("upload").log_in("ben", PASSWORD)
            tries.append(_usable(ui, "All Faces"))
    note(seconds=tries, ahead=ahead)
    assert min(tries) <= allowed, f"slower than {allowed:.1f} s"


def test_every_page_is_usable_within_a_second(ui: Ui, pictures: Path, note: Note) -> None:
    times: dict[str, list[float]] = {}
    for name in _WORKABLE:
        tries = times[name] = [_usable(ui, name)]
        while tries[-1] > _USABLE_S and len(tries) < 3:
            tries.append(_usable(ui, name))
        ui.page.screenshot(path=pictures / f"big-episode-{PAGES[name]}.png")
    note(seconds=times)
    allowed = _USABLE_S * tolerance()
    assert {n: t for n, t in times.items() if min(t) > allowed} == {}, f"slower than {allowed:.1f} s"


def test_a_wall_of_ten_thousand_faces_scrolls_smoothly(ui: Ui, stage: Stage, note: Note) -> None:
    lead = unnamed(stage.ben.read())[0]
    assert lead["face_count"] > _MOST_FACES
    _usable(ui, "All Faces")
    wall = ui.page.locator(".wall")
    runs = [scroll(wall, 60)]
    while not runs[-1].smooth and len(runs) < 4:  # a busy machine drops frames of its own, but not each time
        runs.append(scroll(wall, 60))
    flying = scroll(wall, 900)  # every face is another in each frame
    note(slow=[asdict(r) for r in runs], flying=asdict(flying))
    assert runs[-1].smooth
    assert flying.most < 400, "elements are not bounded by what is on screen"
    wall.evaluate("e => e.scrollTop = e.scrollHeight")
    last = ui.page.locator(f".wall .cell[data-index='{_MOST_FACES - 1}'] img")
    assert last.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 0


def test_the_service_has_new_totals_at_once(stage: Stage, note: Note) -> None:
    ben = stage.ben
    lead_ms, *others_ms = (_assign_ms(ben, f"Somebody {n}") for n in range(21))
    undone_ms = [_timed_ms(ben.undo) for _ in range(10)]
    note(lead_ms=lead_ms, others_ms=others_ms, undone_ms=undone_ms)
    assert median([*others_ms, *undone_ms]) < 1000 * _EDIT_S * tolerance()


def test_a_key_is_acknowledged_soon(ui: Ui, stage: Stage, note: Note) -> None:
    _usable(ui, "All Faces")
    keyboard, before, times = ui.page.keyboard, stage.ben.read()["counts"], []
    names = [f"By hand {n}" for n in range(8)]
    for name in names:
        keyboard.press("n")
        keyboard.type(name)
        times.append(_timed_ms(lambda: (keyboard.press("Enter"), saved(ui.page))))
    note(milliseconds=times)
    assert set(names) <= set(stage.ben.totals())
    left = before["groups_unnamed"] - len(names)
    expect(ui.page.locator(".left h2")).to_have_text(f"{left} groups to name")
    assert median(times) < 1000 * _USABLE_S * tolerance()


def test_a_sample_is_looked_through(ui: Ui, stage: Stage) -> None:
    before = stage.ben.read()["revision"]
    ui.visit("Audit")
    page = ui.page.get_by_test_id("stMain")
    page.get_by_test_id("stButtonGroup").get_by_text("Sample", exact=True).click()
    expect(page.get_by_test_id("stImage")).to_have_count(24)
    page.get_by_text("Wrong", exact=True).first.click()
    page.get_by_role("button", name="Save: 23 right, 1 wrong").click()
    expect(page.get_by_text("Saved: 1 of 24 were wrong (4%).")).to_be_visible()
    made = stage.ben.get("edits?limit=200")["items"]
    mine = [e["label"] for e in made if e["number"] > before]
    assert sum("not " in label.lower() for label in mine) == 1
    assert len(mine) > 1


def _usable(ui: Ui, name: str) -> float:
    """Seconds from another page until this one can be worked with; waits for what else is on its way, too."""
    ui.visit("Upload")
    began = time.monotonic()
    ui.visit(name)
    for each in _WORKABLE[name]:
        ui.page.locator(each).first.wait_for()
    took = time.monotonic() - began
    ui.quiet()
    return round(took, 2)


def _assign_ms(ben: Reviewer, name: str) -> int:
    """Give the largest group that has no name a name; returns the milliseconds until the totals are there."""
    group = unnamed(ben.read())[0]
    took = _timed_ms(lambda: ben.assign(group, name))
    assert any(t["person"] == name for t in ben.last["totals"])
    return took


def _timed_ms(act: Callable[[], object]) -> int:
    began = time.monotonic()
    act()
    return round(1000 * (time.monotonic() - began))
