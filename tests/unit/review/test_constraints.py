"""Decisions as constraints: never refused, and what people put together stays so."""

from itertools import pairwise

import pytest
from films import METRIC, Face, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.model import NOT_A_FACE
from screenalyzer.review.carrying.constraints import constraints_of, groups_in, groups_of_tracks
from screenalyzer.review.carrying.regroup import regrouped
from screenalyzer.review.model import Carried, Part, Person
from screenalyzer.settings import ClusterSettings
from screenalyzer.types import Constraints, Span

FILM = [
    Face(f"t{n}", n % 3, Span(n * 2_000, n * 2_000 + 2_400), (200.0 + 200 * (n % 2), 200.0)) for n in range(8)
]
RUN = run(FILM, 200, names={f.name: f"00000000-{f.name}" for f in FILM})
TRACKS = [t.track_id for t in RUN.tracks]
PEOPLE = (Person("p1", "Ada", former=("Adele",)), Person("p2", "Bo"), Person("p3", "Ad", into="p1"))
CFG = ClusterSettings(backend="cpu")
NOBODY = Gallery((), RUN.obs.ts_ms[:0], RUN.obs.embeddings[:0])

piece = st.sampled_from([*TRACKS, "old1", "old2", "half"])
group = st.sampled_from(["g1", "g2", "g3", "g4"])
person = st.sampled_from(["p1", "p2", "p3", "gone"])


@st.composite
def decisions(draw: st.DrawFn) -> dict[str, object]:
    """Any decisions, also such that nobody could have made one after the other."""
    items: dict[str, object] = {f"piece/{p}/group": g for p, g in draw(st.dictionaries(piece, group)).items()}
    items |= {f"group/{g}/person": p for g, p in draw(st.dictionaries(group, person)).items()}
    marks = st.sampled_from(["not_face", "background"])
    items |= {f"group/{g}/mark": m for g, m in draw(st.dictionaries(group, marks, max_size=2)).items()}
    items |= {f"piece/{p}/not/{who}": True for p, who in draw(st.sets(st.tuples(piece, person)))}
    for pair in draw(st.sets(st.frozensets(piece, min_size=2, max_size=2))):
        one, other = sorted(pair)
        items[f"apart/{one}/{other}"] = True
    track = draw(st.sampled_from(RUN.tracks))
    items["piece/half/part"] = {"track": track.track_id, "dets": list(RUN.dets(track.members[:5]))}
    return dict(sorted(items.items()))


@st.composite
def places(draw: st.DrawFn) -> Carried:
    """Anywhere that pieces of an earlier run may have come to lie."""
    some = st.lists(st.sampled_from(TRACKS), min_size=1, max_size=3, unique=True).map(tuple)
    whole = draw(st.dictionaries(st.sampled_from(["old1", "old2", TRACKS[0]]), some))
    track = draw(st.sampled_from(RUN.tracks))
    count = draw(st.integers(1, track.count))
    parts = {"half": Part(track.track_id, RUN.dets(track.members[:count]))} if draw(st.booleans()) else {}
    lost = {} if "old2" in whole else {"old2": "no face was found there"}
    return Carried(whole, parts, lost)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(decisions(), places(), st.booleans())
def test_clustering_never_refuses_decisions_and_keeps_groups_together(
    items: dict[str, object], carried: Carried, known: bool
) -> None:
    constraints = constraints_of(items, PEOPLE, carried, RUN.tracks)
    gallery = _gallery() if known else NOBODY
    found = cluster(RUN.tracks, RUN.obs, constraints, gallery, CFG, METRIC)
    group_of = groups_of_tracks(items, carried, RUN.tracks)
    named = regrouped(found, group_of, groups_in(items), RUN.obs, RUN.tracks)
    cluster_of = {m.track_id: c.cluster_id for c in named.clusters for m in c.members}
    assert sorted(cluster_of) == TRACKS
    assert sum(len(c.members) for c in named.clusters) == len(TRACKS)
    assert len({c.cluster_id for c in named.clusters}) == len(named.clusters)
    by_group: dict[str, set[str]] = {}
    for track_id, g in group_of.items():
        by_group.setdefault(g, set()).add(cluster_of[track_id])
    for g, held in by_group.items():
        assert len(held) == 1, f"{g} is in {held}"
    for c in named.clusters:
        own = {group_of.get(m.track_id) for m in c.members}
        assert c.cluster_id not in group_of.values() or c.cluster_id in own
        names = {constraints.labels[m.track_id] for m in c.members if m.track_id in constraints.labels}
        assert names in (set(), {c.name})


def _gallery() -> Gallery:
    rows = [int(t.members[0]) for t in RUN.tracks[:2]]
    return Gallery(("Ada", "Zoë"), RUN.obs.ts_ms[:2] * 0 + [0, 1], RUN.obs.embeddings[rows])


def _clusters(items: dict[str, object], carried: Carried | None = None) -> dict[str, set[str]]:
    where = carried or Carried()
    constraints = constraints_of(items, PEOPLE, where, RUN.tracks)
    found = cluster(RUN.tracks, RUN.obs, constraints, None, CFG, METRIC)
    group_of = groups_of_tracks(items, where, RUN.tracks)
    named = regrouped(found, group_of, groups_in(items), RUN.obs, RUN.tracks)
    return {c.cluster_id: {m.track_id for m in c.members} for c in named.clusters}


def test_without_decisions_nothing_is_constrained_and_ids_stay() -> None:
    assert constraints_of({}, PEOPLE, Carried(), RUN.tracks) == Constraints()
    plain = cluster(RUN.tracks, RUN.obs, Constraints(), None, CFG, METRIC)
    assert regrouped(plain, {}, (), RUN.obs, RUN.tracks) == plain


def test_an_undecided_track_joins_the_group_that_looks_like_it() -> None:
    found = _clusters({f"piece/{TRACKS[0]}/group": "g1", "group/g1/person": "p3"})
    assert found["g1"] == set(TRACKS[0::3])


def test_two_groups_that_somebody_made_are_not_joined() -> None:
    found = _clusters({f"piece/{TRACKS[0]}/group": "g1", f"piece/{TRACKS[3]}/group": "g2"})
    assert TRACKS[0] in found["g1"]
    assert TRACKS[3] in found["g2"]
    assert found["g1"] | found["g2"] == set(TRACKS[0::3])


def test_what_is_no_face_is_a_cluster_that_is_left_out() -> None:
    items = {f"piece/{TRACKS[0]}/group": "g1", "group/g1/mark": "not_face", "group/g1/person": "p1"}
    constraints = constraints_of(items, PEOPLE, Carried(), RUN.tracks)
    assert constraints == Constraints(not_faces=frozenset(TRACKS[:1]))
    found = cluster(RUN.tracks, RUN.obs, constraints, None, CFG, METRIC)
    named = regrouped(found, {TRACKS[0]: "g1"}, {"g1"}, RUN.obs, RUN.tracks)
    first = named.clusters[0]
    assert (first.cluster_id, first.reason, first.leave_out) == ("g1", NOT_A_FACE, True)
    assert [m.track_id for m in first.members] == TRACKS[:1]


def test_no_other_cluster_passes_for_a_group() -> None:
    """Its first track was moved elsewhere and back: the id that it would have is that of the group."""
    plain = {next(iter(ids)): c for c, ids in _clusters({}).items() if TRACKS[0] in ids}
    (own,) = plain.values()
    found = _clusters({f"piece/{TRACKS[3]}/group": own, f"apart/{TRACKS[0]}/{TRACKS[3]}": True})
    assert TRACKS[3] in found[own]
    assert TRACKS[0] not in found[own]


def test_names_are_those_that_people_bear_now() -> None:
    items = {
        f"piece/{TRACKS[0]}/group": "g1", "group/g1/person": "p3", f"piece/{TRACKS[1]}/not/p3": True,
        f"piece/{TRACKS[0]}/not/p1": True, f"piece/{TRACKS[2]}/not/gone": True,
    }  # fmt: skip
    found = constraints_of(items, PEOPLE, Carried(), RUN.tracks)
    assert found.labels == {TRACKS[0]: "Ada"}
    assert found.not_named == {(TRACKS[1], "Ada")}


@pytest.mark.parametrize(("count", "grouped"), [(3, False), (12, True)])
def test_a_part_speaks_for_its_track_only_when_nothing_else_is_left(count: int, grouped: bool) -> None:
    track = RUN.tracks[0]
    assert track.count == 12
    part = {"track": track.track_id, "dets": list(RUN.dets(track.members[:count]))}
    items = {"piece/half/part": part, "piece/half/group": "g1"}
    assert groups_of_tracks(items, Carried(), RUN.tracks) == ({track.track_id: "g1"} if grouped else {})
    moved = Carried(parts={"old": Part(track.track_id, tuple(part["dets"]))})
    assert groups_of_tracks({"piece/old/group": "g1"}, moved, RUN.tracks) == {track.track_id: "g1"}


def test_the_track_itself_comes_before_older_pieces_in_it() -> None:
    items = {f"piece/{TRACKS[0]}/group": "g1", "piece/old1/group": "g2"}
    carried = Carried({"old1": (TRACKS[0], TRACKS[1])})
    assert groups_of_tracks(items, carried, RUN.tracks) == {TRACKS[0]: "g1", TRACKS[1]: "g2"}


def test_seen_together_and_joined_by_people_is_joined() -> None:
    assert any(a.end_ms > b.start_ms for a, b in pairwise(RUN.tracks))
    found = _clusters({f"piece/{t}/group": "g1" for t in TRACKS[:2]})
    assert set(TRACKS[:2]) <= found["g1"]
