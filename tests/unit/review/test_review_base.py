"""A review in which nobody has decided anything shows what the automatic stages found."""

from typing import TYPE_CHECKING

import pytest

from pipelines.episode import load_clustering, load_grid, load_tracked
from pipelines.review import load_base
from screenalyzer import artifacts, schemas
from screenalyzer.people import display_names
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.desk import Desk
from screenalyzer.screentime import timeline, totals
from screenalyzer.tracking.spans import presence_spans
from screenalyzer.types import Presence

if TYPE_CHECKING:
    from support.processed import Machine

    from screenalyzer.artifacts import EpisodePaths


@pytest.fixture
def desk(processed: "EpisodePaths", machine: "Machine") -> Desk:
    return Desk(load_base(processed, machine.settings), [], Decisions())


def test_the_timeline_is_that_of_the_clusters(desk, processed, machine):
    tracked, grid = load_tracked(processed), load_grid(processed)
    by_id = {t.track_id: t for t in tracked.tracks}
    names = display_names(artifacts.read_table(processed.clusters, schemas.CLUSTERS))
    seen = [
        Presence(names[c.cluster_id], span, m.score, t.partial, face_conf=t.mean_conf)
        for c in load_clustering(processed).clusters
        if not c.leave_out
        for m in c.members
        for t in [by_id[m.track_id]]
        for span in presence_spans(t, tracked.obs, grid)
    ]
    expected = timeline(seen, machine.settings.rules)
    assert expected
    assert desk.timeline() == expected
    duration_ms = grid.scenes[-1].end_ms - grid.scenes[0].start_ms
    assert desk.totals() == totals(expected, duration_ms)


def test_the_groups_are_the_clusters(desk, processed):
    found = desk.reviewed_clustering()
    clusters = load_clustering(processed).clusters
    assert found.clusters == clusters
    assert [e.group_ids for e in desk.entities()] == [(c.cluster_id,) for c in clusters]
    assert [e.low_conf for e in desk.entities()] == [c.low_conf for c in clusters]
    assert not any(e.reviewed for e in desk.entities())
