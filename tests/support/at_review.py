"""An episode with results behind the API, and two analysts who review it; a pytest plugin."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.analysts import Reviewer
from support.api import Api, api_on, shelve
from support.callers import person

if TYPE_CHECKING:
    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode
    from services.context import Services


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    """The API on `services`."""
    with api_on(services) as found:
        yield found


@pytest.fixture
def ben(api: Api, processed: "EpisodePaths", short_season: "list[DemoEpisode]") -> Reviewer:
    """An analyst at the episode `s01e01` of `My-Show`."""
    return Reviewer(api, shelve(api.services, processed, short_season[0].video))


@pytest.fixture
def eve(api: Api, ben: Reviewer) -> Reviewer:
    """Another analyst at the same episode."""
    return Reviewer(api, ben.episode_id, person(api.services, "eve", "analyst"))
