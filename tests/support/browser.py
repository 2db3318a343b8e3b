"""The system's Chromium, driven by Playwright; a pytest plugin.

Without a Chromium the tests that need one are skipped, as those of any other program: `support.programs`.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from support.lasting import lasting
from support.programs import do_without

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# ruff: noqa: PLC0415 - most tests need no browser

Theme = Literal["light", "dark"]

THEMES: tuple[Theme, ...] = ("light", "dark")
WINDOW = (1280, 800)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_PATIENCE_MS = 30_000


def find_chromium() -> str | None:
    """Path of a Chromium: that of SCREENALYZER_CHROMIUM, else one on the PATH; None where there is none."""
    named = os.environ.get("SCREENALYZER_CHROMIUM")
    return named or next((p for n in _NAMES if (p := shutil.which(n))), None)


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> "Browser":
    """Chromium, without a window; closed after the last test that asks for it."""
    found = find_chromium()
    if found is None:
        do_without("chromium")
    from playwright.sync_api import sync_playwright

    stack = lasting(request)  # Playwright's event loop would be in the way of other tests
    driver = stack.enter_context(sync_playwright())
    chromium = driver.chromium.launch(executable_path=found, headless=True, args=list(_FLAGS))
    stack.callback(chromium.close)
    return chromium


@pytest.fixture
def theme() -> Theme:
    """What the browser prefers; tests may parametrise it."""
    return "light"


@pytest.fixture
def window(browser: "Browser", theme: Theme) -> Iterator["BrowserContext"]:
    """A browser of one person, with cookies and storage of its own."""
    size = {"width": WINDOW[0], "height": WINDOW[1]}
    context = browser.new_context(viewport=size, color_scheme=theme, locale="en-GB", timezone_id="UTC")  # type: ignore[arg-type]
    context.set_default_timeout(_PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(window: "BrowserContext") -> "Page":
    """A tab of it."""
    return window.new_page()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for what tests see: SCREENALYZER_TEST_PICTURES, else one of the session's."""
    named = os.environ.get("SCREENALYZER_TEST_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
