"""Counts of a processed episode agree with its artifacts, and what its review says is recorded with it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.analysts import Reviewer, unnamed
from support.api import Api, api_on, shelve

from pipelines.episode import load_detections, load_grid, load_tracked
from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from services.db.figures import EpisodeFigures
from services.db.models import Episode
from services.metrics import counting
from services.review import publish, record

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


def test_counts_are_those_of_the_artifacts(processed: EpisodePaths) -> None:
    read = counting.count(processed, "inference", skipped=False)
    assert read.counts == {
        "frames": len(load_grid(processed).ts_ms),
        "faces": load_detections(processed).num_rows,
    }
    tracks = len(load_tracked(processed).tracks)
    assert counting.count(processed, "tracking", skipped=False).counts == {"tracks": tracks}
    found = counting.count(processed, "cluster", skipped=False)
    table = artifacts.read_table(processed.clusters, schemas.CLUSTERS)
    assert found.counts["clusters"] == table.num_rows
    assert found.clustered == tracks
    assert not found.guided
    assert len(found.variances) == sum(n >= 2 for n in table["member_count"].to_pylist())
    assert counting.count(processed, "assist", skipped=False).counts == {}


@ON_SQLITE
def test_a_review_is_counted_when_it_is_published(
    api: Api, processed: EpisodePaths, short_season: "list[DemoEpisode]"
) -> None:
    services = api.services
    ben = Reviewer(api, shelve(services, processed, short_season[0].video))
    paths = EpisodePaths(services.settings.root, "My-Show", "s01e01")

    def figures() -> EpisodeFigures | None:
        with services.database.read() as session:
            return session.get(EpisodeFigures, ben.episode_id)

    publish.publish(services, ben.episode_id, paths)
    assert figures() is None  # nobody has reviewed anything
    groups = unnamed(ben.read())
    ben.assign(groups[0], "Ada")
    publish.publish(services, ben.episode_id, paths)
    found = figures()
    assert found is not None
    assert found.actions == 1
    assert found.moved_tracks == 0
    reviewed = found.reviewed_tracks
    assert reviewed

    # Clusters that were made from decisions say nothing new of the machine.
    with services.database.write() as session:
        counting.note(session, ben.episode_id, counting.count(paths, "cluster", skipped=False))
    found = figures()
    assert found is not None
    assert found.guided
    ben.undo()
    publish.publish(services, ben.episode_id, paths)
    found = figures()
    assert found is not None
    assert (found.actions, found.reviewed_tracks) == (2, reviewed)

    with services.database.write() as session:
        record.discard(session, session.get_one(Episode, ben.episode_id))
    found = figures()
    assert found is not None
    assert (found.clusters, found.actions, found.reviewed_tracks, found.guided) == (None, None, None, False)
