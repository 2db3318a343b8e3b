"""What pages do beside the desk itself: its script, what waits for another episode, a sample, deletions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select
from starlette.applications import Starlette
from support.analysts import Reviewer, unnamed
from support.callers import PASSWORD
from support.http_server import serving
from support.pages import Pages
from support.ui import Ui

from review_ui.components.assets import ROUTE, fetched
from services.db.models import Job

if TYPE_CHECKING:
    from services.context import Services

_WAITING = """([user, episode]) => {
  const action = {key: "k1", order: Date.now() - 60000, kind: "edit", title: "The other one", label: "Ada"};
  localStorage.setItem(`screenalyzer.desk.queue/${user}/${episode}/k1`, JSON.stringify(action));
}"""
_SCRIPTS = """() => performance.getEntriesByType("resource")
  .map((r) => r.name).filter((n) => n.includes("/components/desk-"))"""


@pytest.fixture
def ui(ben: Reviewer, pages: Pages, page: Page) -> Iterator[Ui]:
    """The first page, by an Admin."""
    found = Ui(page, pages).open(f"status?episode={ben.episode_id}").log_in("ada", PASSWORD)
    yield found
    assert found.errors == []


def test_a_script_is_fetched_from_an_address_of_its_content() -> None:
    line = fetched("some", "export default () => 1;\n")
    assert fetched("some", "export default () => 1;\n") == line
    assert fetched("some", "export default () => 2;\n") != line
    with serving(Starlette(routes=[ROUTE])) as client:
        address = line.split('"')[1]
        found = client.get(address)
        assert found.text == "export default () => 1;\n"
        assert found.headers["content-type"].startswith("text/javascript")
        assert "immutable" in found.headers["cache-control"]
        assert client.get("/components/some-0.js").status_code == 404


def test_the_desk_travels_once_and_not_with_each_run(ui: Ui) -> None:
    for name in ("All Faces", "Pairwise", "All Faces"):
        ui.visit(name)
        ui.page.locator(".desk").wait_for()
    (address,) = set(ui.page.evaluate(_SCRIPTS))
    assert len(httpx.get(address).content) > 50_000


def test_what_waits_for_another_episode_is_said_on_every_page(ui: Ui, ben: Reviewer) -> None:
    who = ben.api.get("/users/me")["id"]
    ui.page.evaluate(_WAITING, [who, "e" * 32])
    notice = ui.page.get_by_role("list", name="Actions that wait")
    for name in ("Exports", "All Faces"):
        ui.visit(name)
        expect(notice).to_have_text(
            "1 action waits in this browser for The other one. Open it, and they are sent."
        )
    assert notice.get_by_role("link").get_attribute("href") == f"{ui.url}/faces?episode={'e' * 32}"
    ui.page.evaluate("localStorage.clear()")
    expect(notice.get_by_role("listitem")).to_have_count(0)
    ui.page.evaluate(_WAITING, [who, ben.episode_id])
    ui.visit("Exports")
    expect(notice.get_by_role("listitem")).to_have_count(1)


@pytest.mark.parametrize(("kind", "name"), [("Person", "Ada Park"), ("Episode", "s01e01")])
def test_a_deletion_wants_the_name_and_is_asked_for(ui: Ui, ben: Reviewer, kind: str, name: str) -> None:
    ben.assign(unnamed(ben.read())[0], "Ada Park")
    ui.visit("Admin")
    part = ui.page.get_by_test_id("stMain").get_by_test_id("stButtonGroup")
    part.get_by_text("Delete", exact=True).click()
    part.get_by_text(kind, exact=True).click()
    _delete(ui, kind.lower(), name)
    assert _purges(ben.api.services) == [kind.lower()]


def _delete(ui: Ui, kind: str, name: str) -> None:
    ui.quiet()
    ui.page.get_by_label("Type the name to confirm").fill("nobody")
    ui.page.get_by_role("button", name=f"Delete this {kind}").click()
    expect(ui.page.get_by_text("Nothing was deleted")).to_be_visible()
    ui.page.get_by_label("Type the name to confirm").fill(name)
    ui.page.get_by_role("button", name=f"Delete this {kind}").click()
    expect(ui.page.get_by_text("It is being deleted")).to_be_visible()


def _purges(services: "Services") -> list[str]:
    with services.database.read() as session:
        return [p["target"] for p in session.scalars(select(Job.params).where(Job.kind == "purge"))]
