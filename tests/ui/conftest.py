"""What the tests of the review UI share."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from support.api import Api, api_on
from support.databases import close_services, services_on
from support.pages import Pages, pages_on
from support.service import RunningService
from support.ui import Ui

from review_ui.wire import Address, Wire

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from screenalyzer.demo import DemoEpisode


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """The API with two users, on a data root and a database of this test's own."""
    services = services_on(tmp_path / "data", f"sqlite:///{tmp_path / 'service.db'}")
    with api_on(services) as found:
        yield found
    close_services(services)


@pytest.fixture
def pages(api: Api) -> Iterator[Pages]:
    """The pages over it."""
    with pages_on(str(api.client.base_url).rstrip("/")) as found:
        yield found


@pytest.fixture
def lines(api: Api) -> Iterator[Wire]:
    """The UI's connection to it."""
    url = str(api.client.base_url).rstrip("/")
    with closing(Wire(Address(url, url, ""))) as wire:
        yield wire


@pytest.fixture
def ui(page: "Page", service: RunningService) -> Ui:
    """A fresh browser before the login of the running service's UI."""
    return Ui(page, service).open()


@pytest.fixture(scope="session")
def shelved(service: RunningService, short_season: "list[DemoEpisode]") -> str:
    """Id of an episode that the running service has processed."""
    done = service.cli(
        "upload", str(short_season[0].video), "--show", "The Long Table", "--episode", "Pilot", "--wait"
    )
    assert done.returncode == 0, done.stderr
    found = httpx.get(f"{service.url}/v1/episodes", headers=service.headers).json()["items"]
    (episode_id,) = [e["id"] for e in found if e["title"] == "Pilot"]
    return str(episode_id)
