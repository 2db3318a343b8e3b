"""Uploads by the page's component, in a real browser against the real service."""

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.desk import Desk
from support.ui import Ui

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Request, Route

    from screenalyzer.demo import DemoEpisode

pytestmark = pytest.mark.ray

_PROCESSED_MS = 180_000
_PART = 8 << 20


@pytest.fixture
def uploader(ui: Ui) -> Ui:
    """The page Upload."""
    ui.log_in().visit("Upload")
    return ui


def _choose_show(ui: Ui, title: str) -> None:
    field = ui.page.get_by_label("Show that the files belong to")
    field.click()
    field.fill(title)
    field.press("Enter")
    ui.quiet()


def _row(ui: Ui, file: str) -> "Locator":
    return ui.page.get_by_role("listitem").filter(has_text=file)


def test_files_go_from_the_browser_to_results(
    uploader: Ui, desk: Desk, short_season: "list[DemoEpisode]", tmp_path: Path
) -> None:
    """Many files by keyboard: a title is changed, what is no video is refused, the rest becomes results."""
    no_video = tmp_path / "notes.mp4"
    no_video.write_text("not a video at all")
    _choose_show(uploader, "Uploaded Show")
    uploader.page.locator("input[type=file]").set_input_files([short_season[1].video, no_video])
    uploader.page.get_by_label(f"Episode title of {short_season[1].video.name}").fill("The Second One")
    uploader.page.get_by_role("button", name="Upload 2 files").press("Enter")
    _row(uploader, short_season[1].video.name).get_by_text("uploaded; it is being processed now").wait_for()
    _row(uploader, "notes.mp4").get_by_text("not a video").wait_for()
    uploader.visit("Status")
    card = uploader.page.locator('[class*="st-key-job-"]').filter(has_text="The-Second-One")
    card.get_by_text("done,").first.wait_for(timeout=_PROCESSED_MS)
    assert card.locator(".stage[data-state=done]").count() == 6
    uploader.choose("Uploaded Show", "The Second One")
    (episode,) = [e for e in desk.get("/v1/episodes")["items"] if e["title"] == "The Second One"]
    assert f"episode={episode['id']}" in uploader.page.url
    assert desk.get(f"/v1/episodes/{episode['id']}/totals")["items"]


def test_an_upload_goes_on_after_a_lost_connection_and_a_reload(
    uploader: Ui, short_season: "list[DemoEpisode]", tmp_path: Path
) -> None:
    big = _padded(short_season[2].video, tmp_path / "long-one.mp4", 3 * _PART)
    sent: list[tuple[str, int]] = []
    away = _Line(sent)
    uploader.page.route("**/v1/uploads**", away)
    _choose_show(uploader, "Broken Lines")
    uploader.page.locator("input[type=file]").set_input_files(big)
    uploader.page.get_by_role("button", name="Upload 1 file").click()
    row = _row(uploader, "long-one.mp4")
    row.get_by_text("The connection is lost. Trying again").wait_for()
    uploader.page.on("dialog", lambda d: d.accept())  # it asks before a page with uploads is left
    uploader.page.reload()
    uploader.heading("Upload")
    uploader.page.get_by_text("long-one.mp4: ").wait_for()  # among what is unfinished
    away.broken = False
    before = len(sent)
    _choose_show(uploader, "Broken Lines")
    uploader.page.locator("input[type=file]").set_input_files(big)
    uploader.page.get_by_role("button", name="Upload 1 file").click()
    _row(uploader, "long-one.mp4").get_by_text("uploaded; it is being processed now").wait_for()
    assert [m for m, _ in sent].count("POST") == 1, "it was begun again"
    assert next(offset for method, offset in sent[before:] if method == "PATCH") == _PART


def test_an_upload_waits_for_whoever_pauses_it(
    uploader: Ui, short_season: "list[DemoEpisode]", tmp_path: Path
) -> None:
    big = _padded(short_season[0].video, tmp_path / "paused.mp4", 2 * _PART)
    _choose_show(uploader, "Pauses")
    uploader.page.route("**/v1/uploads/*", _slowly)
    uploader.page.locator("input[type=file]").set_input_files(big)
    uploader.page.get_by_role("button", name="Upload 1 file").click()
    row = _row(uploader, "paused.mp4")
    row.get_by_role("button", name="Pause: paused.mp4").click()
    row.get_by_text("paused", exact=True).wait_for()
    uploader.visit("Status")
    uploader.visit("Upload")  # the list outlives the page
    row.get_by_role("button", name="Go on: paused.mp4").click()
    row.get_by_text("uploaded; it is being processed now").wait_for()


class _Line:
    """A connection that lets the first part through and no other, while it is broken."""

    def __init__(self, sent: list[tuple[str, int]]) -> None:
        self.broken, self._sent = True, sent

    def __call__(self, route: "Route", request: "Request") -> None:
        offset = int(request.headers.get("upload-offset", -1))
        self._sent.append((request.method, offset))
        if self.broken and request.method == "PATCH" and offset >= _PART:
            route.abort("connectionreset")
        else:
            route.continue_()


def _slowly(route: "Route", request: "Request") -> None:
    request.frame.page.wait_for_timeout(1500)
    route.continue_()


def _padded(video: Path, target: Path, more: int) -> Path:
    """A video with a box at its end that players skip, of so many bytes."""
    target.write_bytes(video.read_bytes() + struct.pack(">I4s", more + 8, b"free") + bytes(more))
    return target
