"""The review UI as somebody at a keyboard uses it."""

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from playwright.sync_api import Error
from support.service import PASSWORD, RunningService

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGES = {
    "Upload": "upload", "Status": "status", "All Faces": "faces", "Line-up": "lineup", "Pairwise": "pairwise",
    "Low-Confidence Queue": "queue", "Merge Suggestions": "suggestions", "Manual Add": "manual",
    "Analytics": "analytics", "Exports": "exports", "Audit": "audit", "Admin": "admin",
}  # fmt: skip
_TRIES: Final = 5
_TRY_MS: Final = 3000
_QUIET = "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"


class Ui:
    """A tab of the review UI.

    Attributes:
        page: Playwright's.
        errors: what the browser has complained of.
    """

    def __init__(self, page: "Page", service: RunningService) -> None:
        """Take a tab, and the service whose UI it is to show."""
        assert service.ui is not None
        self.page, self._service, self.url = page, service, service.ui
        self.errors: list[str] = []
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("console", lambda m: self.errors.append(m.text) if _is_breach(m.text) else None)

    def open(self, path: str = "") -> "Ui":
        """Load a page as one follows a link to it."""
        self.page.goto(f"{self.url}/{path}")
        return self

    def log_in(self, user: str = "admin", password: str = PASSWORD) -> "Ui":
        """Fill in the form, and wait for the first page."""
        self.page.get_by_label("User name").fill(user)
        self.page.get_by_label("Password, or one-time secret").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_test_id("stSidebarNav").wait_for()
        return self.quiet()

    def choose(self, show: str, episode: str) -> "Ui":
        """Choose an episode in the sidebar, by its show's title and its own."""
        self._pick("Show", show)
        self._pick("Episode", episode)
        return self

    def _pick(self, label: str, title: str) -> None:
        """Take an option of the sidebar; a list that was opened before it was made anew is opened again.

        What is typed narrows a list of which only some lines exist at a time.
        """
        field = self.page.get_by_test_id("stSidebar").get_by_label(label, exact=True)
        option = self.page.get_by_role("option", name=re.compile(re.escape(title)))
        for _ in range(_TRIES):
            field.click()
            with suppress(Error):
                field.fill(title, timeout=_TRY_MS)
                option.click(timeout=_TRY_MS)
                break
            self.page.keyboard.press("Escape")
        else:
            raise AssertionError(f"{label} has no option {title!r}")
        self.quiet()

    def visit(self, name: str) -> float:
        """Go to a page by the sidebar; returns the seconds until it is there and at rest."""
        began = time.monotonic()
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
        self.heading(name)
        self.quiet()
        return time.monotonic() - began

    def heading(self, name: str) -> None:
        """Wait until a page's head is shown."""
        self.page.get_by_role("heading", name=name, level=1, exact=True).wait_for()

    def quiet(self) -> "Ui":
        """Wait until the server has nothing more to show."""
        self.page.wait_for_function(_QUIET)
        return self

    def rows(self, table: str) -> list[list[str]]:
        """The cells of a table by its name, without the head."""
        lines = self.page.get_by_role("table", name=table).locator("tbody tr")
        lines.first.wait_for()
        return [row.locator("td").all_inner_texts() for row in lines.all()]


def _is_breach(text: str) -> bool:
    """Whether the browser says that the page wanted something that its policy forbids."""
    return "Content Security Policy" in text or "CORS policy" in text
