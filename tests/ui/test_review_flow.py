"""The review pages over the real API: by the keyboard, by two at a time, and through a lost service."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from support.analysts import Reviewer, unnamed
from support.api import Api, shelve
from support.api_process import ApiProcess
from support.callers import PASSWORD, person
from support.databases import close_services, services_on
from support.keyboard import keys, name_them, saved, shown
from support.load import tolerance
from support.pages import Pages, pages_on
from support.ui import Ui

if TYPE_CHECKING:
    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode

NAMES = ("Ada Park", "Ben Osei", "Chiara Rossi", "Dimitri Volkov", "Esi Mensah", "Finn Larsen", "Gita Rao")
_SEEN_MS = 2000  # an edit of somebody else is on screen within


@pytest.fixture
def desk(ben: Reviewer, pages: Pages, page: Page) -> Iterator[Ui]:
    """All Faces, opened by an analyst."""
    ui = Ui(page, pages).open().log_in("ben", PASSWORD)
    ui.visit("All Faces")
    page.locator(".wall .cell").first.wait_for()
    yield ui
    assert ui.errors == []


def test_everyone_is_named_by_the_keyboard_alone_and_all_totals_agree(desk: Ui, ben: Reviewer) -> None:
    page, groups = desk.page, unnamed(ben.read())
    for name, _ in zip(NAMES, groups, strict=False):
        name_them(page, name)
    saved(page)
    expect(page.locator(".left h2")).to_have_text("Everyone is reviewed")
    totals = ben.totals()
    assert set(totals) <= set(NAMES[: len(groups)])
    assert len(totals) > 1
    expect(page.locator(".roster .row")).to_have_count(len(groups))
    assert shown(page) == totals
    sources = ben.api.get(f"/episodes/{ben.episode_id}/timeline")["items"]
    assert {i["source"] for i in sources} == {"reviewed"}


def test_merge_split_undo_and_redo(desk: Ui, ben: Reviewer) -> None:
    page, before = desk.page, ben.totals()
    count = len(before)
    name_them(page, "Ada Park")
    keys(page, "Shift+J", "m")
    saved(page)
    merged = ben.totals()
    assert len(merged) < count + 1
    assert shown(page) == merged
    keys(page, "z")
    saved(page)
    assert len(ben.totals()) == count
    keys(page, "Shift+Z")
    saved(page)
    assert ben.totals() == merged == shown(page)
    keys(page, "z", "z")
    saved(page)
    assert ben.totals() == before
    expect(page.locator(".toast").last).to_contain_text("Undone")
    keys(page, "t", " ", "s")
    saved(page)
    assert ben.get("edits")["items"][0]["label"].startswith("Split")
    assert shown(page) == ben.totals()


def test_what_somebody_else_does_is_seen_within_two_seconds(desk: Ui, ben: Reviewer, api: Api) -> None:
    eve = Reviewer(api, ben.episode_id, person(api.services, "eve", "analyst"))
    last = unnamed(eve.read())[-1]
    eve.assign(last, "Gita Rao")
    expect(desk.page.locator(".row", has_text="Gita Rao")).to_be_visible(timeout=_SEEN_MS * tolerance())
    expect(desk.page.locator(".toast.other")).to_contain_text("eve")


def test_two_who_decide_on_the_same_at_once_are_told(desk: Ui, ben: Reviewer, api: Api) -> None:
    eve = Reviewer(api, ben.episode_id, person(api.services, "eve", "analyst"))
    group = desk.page.locator(".row.open .name").inner_text()
    mine = next(e for e in eve.read()["entities"] if e["name"] == group)
    desk.page.keyboard.press("n")
    desk.page.keyboard.type("Ada Park")
    eve.assign(mine, "Esi Mensah")
    desk.page.keyboard.press("Enter")
    card = desk.page.locator(".card")
    expect(card).to_contain_text("eve")
    expect(card).to_contain_text("Not done")
    assert "Ada Park" not in ben.totals()
    card.get_by_role("button", name="Do it all the same").click()
    saved(desk.page)
    expect(desk.page.locator(".row", has_text="Ada Park")).to_be_visible()
    assert "Ada Park" in ben.totals()


def test_time_is_added_and_taken_away_frame_by_frame(desk: Ui, ben: Reviewer) -> None:
    page = desk.page
    name_them(page, "Ada Park")
    saved(page)
    before = ben.totals()["Ada Park"]
    desk.visit("Manual Add")
    expect(page.locator(".right h3").first).to_have_text("Ada Park")
    frame = page.locator(".screen img")
    frame.evaluate("image => image.decode()")
    keys(page, "End", *["Shift+ArrowLeft"] * 2, "i", "Shift+ArrowRight", "o", "Enter")
    saved(page)
    (span,) = ben.get("spans")["items"]
    assert span["end_ms"] - span["start_ms"] == pytest.approx(1000, abs=90)
    expect(page.locator(".spans li")).to_have_count(1)
    after = ben.totals()["Ada Park"]
    assert after >= before
    page.get_by_role("button", name=re.compile("Remove the interval")).click()
    saved(page)
    assert ben.get("spans")["items"] == []
    assert ben.totals()["Ada Park"] == before


@pytest.fixture
def lonely(
    tmp_path: Path, processed: "EpisodePaths", short_season: "list[DemoEpisode]"
) -> Iterator[ApiProcess]:
    """An API that can be killed, with an episode and an analyst `ben`."""
    url = f"sqlite:///{tmp_path / 'killable.db'}"
    services = services_on(tmp_path / "data", url)
    shelve(services, processed, short_season[0].video)
    person(services, "ben", "analyst")
    close_services(services)
    process = ApiProcess(tmp_path / "data", url)
    process.start()
    yield process
    process.kill()


def test_actions_outlive_a_service_that_is_away(lonely: ApiProcess, page: Page) -> None:
    with pages_on(lonely.url) as pages:
        ui = Ui(page, pages).open().log_in("ben", PASSWORD)
        ui.visit("All Faces")
        page.locator(".wall .cell").first.wait_for()
        lonely.kill()
        name_them(page, "Ada Park")
        name_them(page, "Ben Osei")
        line = page.locator(".connection")
        expect(line).to_contain_text("2 actions are kept in this browser", timeout=15_000)
        lonely.start()
        saved(page)
        expect(line).to_be_hidden(timeout=15_000)
        page.reload()
        expect(page.locator(".row", has_text="Ada Park")).to_be_visible()
        expect(page.locator(".row", has_text="Ben Osei")).to_be_visible()
