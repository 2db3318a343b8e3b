"""The whole way of an episode through the real service, by an analyst with a keyboard and a browser."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from support.desk import Desk
from support.keyboard import keys, name_them, saved, shown
from support.ui import Ui

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

NAMES = ("Ada Park", "Ben Osei", "Chiara Rossi", "Dimitri Volkov", "Esi Mensah", "Finn Larsen", "Gita Rao")
_PROCESSED_MS = 180_000


@pytest.fixture
def episode_id(ui: Ui, desk: Desk, short_season: "list[DemoEpisode]") -> str:
    """An episode that was uploaded by the page, followed to its end, and chosen."""
    ui.log_in().visit("Upload")
    show = ui.page.get_by_label("Show that the files belong to")
    show.click()
    show.fill("The Whole Way")
    show.press("Enter")
    ui.quiet()
    video = short_season[2].video
    ui.page.locator("input[type=file]").set_input_files([video])
    ui.page.get_by_label(f"Episode title of {video.name}").fill("From End to End")
    ui.page.get_by_role("button", name="Upload 1 file").press("Enter")
    ui.page.get_by_text("uploaded; it is being processed now").wait_for()
    ui.visit("Status")
    card = ui.page.locator('[class*="st-key-job-"]').filter(has_text="From-End-to-End")
    card.get_by_text("done,").first.wait_for(timeout=_PROCESSED_MS)
    ui.choose("The Whole Way", "From End to End")
    (found,) = [e for e in desk.get("/v1/episodes")["items"] if e["title"] == "From End to End"]
    return str(found["id"])


def test_from_the_upload_to_the_export(ui: Ui, desk: Desk, episode_id: str) -> None:
    page = ui.page
    ui.visit("All Faces")
    page.locator(".wall .cell").first.wait_for()
    _merge_and_split(ui, desk, episode_id)
    groups = [e for e in _review(desk, episode_id)["entities"] if e["kind"] == "group"]
    for name, _ in zip(NAMES[1:], groups, strict=False):
        name_them(page, name)
    saved(page)
    expect(page.locator(".left h2")).to_have_text("Everyone is reviewed")
    _add_a_second(ui)
    (span,) = desk.get(f"/v1/episodes/{episode_id}/review/spans")["items"]
    assert span["kind"] == "add"
    totals = {t["person"]: t["total_ms"] for t in desk.get(f"/v1/episodes/{episode_id}/totals")["items"]}
    assert set(totals) <= set(NAMES)
    ui.visit("All Faces")
    page.locator(".wall .cell").first.wait_for()
    assert shown(page) == totals
    ui.visit("Analytics")
    page.get_by_role("radio", name="Totals").or_(page.get_by_role("button", name="Totals")).click()
    assert {r[0]: round(float(r[2]) * 1000) for r in ui.rows("Screen time")} == totals
    assert _exported(ui) == totals
    assert ui.errors == []


def _review(desk: Desk, episode_id: str) -> dict[str, Any]:
    found: dict[str, Any] = desk.get(f"/v1/episodes/{episode_id}/review")
    return found


def _merge_and_split(ui: Ui, desk: Desk, episode_id: str) -> None:
    """Name one group, merge the next into it and take that back; split a track off and take that back."""
    page = ui.page
    name_them(page, NAMES[0])
    saved(page)
    before = _review(desk, episode_id)["entities"]
    keys(page, "Shift+J", "m")
    saved(page)
    assert len(_review(desk, episode_id)["entities"]) == len(before) - 1
    keys(page, "z")
    saved(page)
    assert _review(desk, episode_id)["entities"] == before
    keys(page, "t", " ", "s")
    saved(page)
    assert desk.get(f"/v1/episodes/{episode_id}/review/edits")["items"][0]["label"].startswith("Split")
    keys(page, "z")
    saved(page)
    assert _review(desk, episode_id)["entities"] == before


def _add_a_second(ui: Ui) -> None:
    """Somebody is on screen in the last seconds, whatever was found."""
    ui.visit("Manual Add")
    ui.page.locator(".right h3").first.wait_for()
    keys(ui.page, "End", "Shift+ArrowLeft", "Shift+ArrowLeft", "i", "Shift+ArrowRight", "o", "Enter")
    saved(ui.page)
    expect(ui.page.locator(".spans li")).to_have_count(1)


def _exported(ui: Ui) -> dict[str, int]:
    """Screen time by name of the CSV export that the page makes."""
    ui.visit("Exports")
    ui.page.get_by_role("button", name="Make CSV files").click()
    ui.page.get_by_text("The file is ready").wait_for()
    link = ui.page.get_by_role("table", name="Exports").get_by_role("link", name="totals").first
    with ui.page.expect_download() as coming:
        link.click()
    rows = csv.DictReader(io.StringIO(Path(coming.value.path()).read_text()))
    return {r["person_name"]: int(r["total_ms"]) for r in rows}
