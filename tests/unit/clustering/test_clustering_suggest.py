import dataclasses

from cluster_worlds import METRIC, episode

from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.suggest import suggest_merges
from screenalyzer.settings import ClusterSettings
from screenalyzer.types import Constraints

CFG = ClusterSettings(backend="cpu")
TIGHT = dataclasses.replace(METRIC, link=-1.0, attach=-1.0)


def suggestions(people, constraints=None, together=(), cfg=CFG):
    tracks, obs = episode(people, together=together)
    constraints = constraints or Constraints()
    apart = cluster(tracks, obs, constraints, None, cfg, TIGHT)
    first = {c.cluster_id: c.members[0].track_id for c in apart.clusters}
    return [
        (first[s.cluster_a], first[s.cluster_b], s.similarity, s.rank)
        for s in suggest_merges(apart, tracks, obs, constraints, cfg, METRIC)
    ]


def test_only_what_may_be_one_person_is_suggested():
    found = suggestions([1, 2, 1])
    assert [(a, b, rank) for a, b, _, rank in found] == [("t000", "t002", 1)]
    assert found[0][2] > 0.9


def test_seen_together_or_told_apart_or_named_apart_is_never_suggested():
    assert suggestions([1, 1], together=[(0, 1)]) == []
    assert suggestions([1, 1], Constraints(cannot_link=frozenset({("t000", "t001")}))) == []
    assert suggestions([1, 1], Constraints(labels={"t000": "Ada", "t001": "Bob"})) == []
    assert (
        suggestions([1, 1], Constraints(labels={"t000": "Ada"}, not_named=frozenset({("t001", "Ada")}))) == []
    )


def test_more_time_at_stake_comes_first():
    tracks, obs = episode([1, 1, 2, 2])
    longer = [dataclasses.replace(t, end_ms=t.end_ms + 5000) if t.track_id >= "t002" else t for t in tracks]
    apart = cluster(longer, obs, Constraints(), None, CFG, TIGHT)
    ranked = suggest_merges(apart, longer, obs, Constraints(), CFG, METRIC)
    ids = [c.cluster_id for c in apart.clusters]
    assert [(s.cluster_a, s.cluster_b) for s in ranked] == [(ids[2], ids[3]), (ids[0], ids[1])]


def test_no_more_than_asked_for():
    assert len(suggestions([1] * 5, cfg=ClusterSettings(backend="cpu", max_suggestions=3))) == 3
