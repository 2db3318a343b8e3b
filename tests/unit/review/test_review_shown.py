"""What the desk shows: names, scores, doubts, suggestions, faces."""

import dataclasses
from itertools import pairwise

import pytest
from review_worlds import Plan, Session, world

from screenalyzer.clustering.model import NOT_A_FACE
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.desk import Desk
from screenalyzer.review.model import Base, Carried, Person
from screenalyzer.review.operations import AddSpan, Assign, Confirm, Lock, MarkAs, NotPerson, Refuse, Subject

HARD = world(
    Plan([[0, 1], [1, 2], [0, 3], [4], [2, 0], [3], [1], [4]], {"Ada": 0}, noise=0.45, length=6, seed=5)
)
CALM = world(Plan([[0, 1], [0], [1], [2], [0]], {"Ada": 0}, noise=0.1, length=8))


def with_reason(base: Base, index: int, reason: str) -> Base:
    """The same, with a cluster that is in doubt."""
    clusters = list(base.clustering.clusters)
    clusters[index] = dataclasses.replace(
        clusters[index], name=None, named_by=None, low_conf=True, reason=reason, face_score=0.2
    )
    return dataclasses.replace(
        base, clustering=dataclasses.replace(base.clustering, clusters=tuple(clusters))
    )


def _worth(desk: Desk, entity: str) -> float:
    return next(d.seconds * d.uncertainty for d in desk.doubts() if d.entity_id == entity)


def test_the_hard_world_has_doubts_and_suggestions():
    desk = Session(HARD).desk
    assert len(desk.doubts()) > 1
    assert len(desk.suggestions()) > 1


def test_doubts_come_by_seconds_times_uncertainty_less_what_is_alike():
    doubts = Session(HARD).desk.doubts()
    first = max(doubts, key=lambda d: d.seconds * d.uncertainty)
    assert doubts[0].priority == pytest.approx(first.seconds * first.uncertainty, abs=1e-3)
    assert all(a.priority >= b.priority for a, b in pairwise(doubts))
    assert all(d.priority <= d.seconds * d.uncertainty + 1e-3 for d in doubts)
    assert len({p for d in doubts for p in d.piece_ids}) == sum(len(d.piece_ids) for d in doubts)


def test_a_doubt_like_one_before_it_comes_after_a_lesser_one_that_is_not():
    """Two groups of one face and one of another: the second of the same face waits."""
    base = world(Plan([[0], [0], [1]], noise=0.02, length=8))
    one, other = (c.cluster_id for c in base.clustering.clusters)
    clusters = base.clustering.clusters
    split = (
        dataclasses.replace(clusters[0], members=clusters[0].members[:1], reason="unsure", low_conf=True),
        dataclasses.replace(
            clusters[0], cluster_id="again", members=clusters[0].members[1:], reason="unsure", low_conf=True
        ),
        dataclasses.replace(clusters[1], reason="unsure", low_conf=True),
    )
    scored = tuple(
        dataclasses.replace(c, members=tuple(m._replace(score=s) for m in c.members))
        for c, s in zip(split, (0.1, 0.2, 0.6), strict=True)
    )
    base = dataclasses.replace(base, clustering=dataclasses.replace(base.clustering, clusters=scored))
    desk = Desk(base, [], Decisions())
    first, second = sorted([one, "again"], key=lambda e: -_worth(desk, e))
    assert _worth(desk, second) > _worth(desk, other)
    assert [d.entity_id for d in desk.doubts()] == [first, other, second]


@pytest.mark.parametrize("how", ["name", "mark", "lock"])
def test_what_was_decided_is_in_no_doubt(how):
    session = Session(HARD)
    while doubts := session.desk.doubts():
        groups = Subject(groups=session.desk.entity(doubts[0].entity_id).group_ids)
        count = len(doubts)
        if how == "name":
            session.do(Assign(subject=Subject(pieces=doubts[0].piece_ids), name="Eve"))
            assert set(doubts[0].piece_ids).isdisjoint(p for d in session.desk.doubts() for p in d.piece_ids)
        elif how == "mark":
            session.do(MarkAs(subject=groups, mark="background"))
        else:
            session.do(Lock(groups=groups.groups))
        if how != "name":
            assert len(session.desk.doubts()) < count


def test_what_is_hardly_a_face_counts_only_when_somebody_says_who_it_is():
    session = Session(with_reason(CALM, -1, NOT_A_FACE))
    entity = session.desk.entities()[-1]
    assert (entity.reason, entity.screen_ms) == (NOT_A_FACE, 0)
    assert [d.reason for d in session.desk.doubts()] == [NOT_A_FACE]
    session.do(Assign(subject=Subject(groups=entity.group_ids), name="Eve"))
    assert session.total("Eve") == entity.seen_ms
    assert session.desk.doubts() == []


def test_refused_suggestions_never_come_back():
    session = Session(HARD)
    refused = set()
    while found := session.desk.suggestions():
        pair = found[0]
        assert (pair.entity_a, pair.entity_b) not in refused
        refused.add((pair.entity_a, pair.entity_b))
        a, b = (session.desk.entity(e).group_ids[0] for e in (pair.entity_a, pair.entity_b))
        session.do(Refuse(group_a=a, group_b=b))
    assert len(refused) > 1
    assert session.fresh().suggestions() == []


def test_suggestions_come_by_probability_times_the_time_of_the_shorter():
    desk = Session(HARD).desk
    found = desk.suggestions()
    stakes = [s.probability * s.at_stake_ms for s in found]
    assert stakes == sorted(stakes, reverse=True)
    assert [s.rank for s in found] == list(range(1, len(found) + 1))
    for s in found:
        a, b = desk.entity(s.entity_a), desk.entity(s.entity_b)
        assert s.at_stake_ms == min(a.seen_ms, b.seen_ms)
        assert a.person_id is None or b.person_id is None
        assert (s.name_a, s.name_b, s.rep_a, s.rep_b) == (a.name, b.name, a.rep_det_id, b.rep_det_id)


@pytest.mark.parametrize("how", ["mark", "lock", "names"])
def test_marked_locked_and_differently_named_are_not_suggested(how):
    session = Session(HARD)
    pair = session.desk.suggestions()[0]
    for k, e in enumerate((pair.entity_a, pair.entity_b)):
        subject = Subject(groups=session.desk.entity(e).group_ids)
        if how == "mark":
            session.do(MarkAs(subject=subject, mark="background"))
        elif how == "lock":
            session.do(Lock(groups=subject.groups))
        elif session.desk.entity(e).person_id is None:
            session.do(Assign(subject=subject, name=f"N{k}"))
    names = {frozenset((s.entity_a, s.entity_b)) for s in session.desk.suggestions()}
    assert frozenset((pair.entity_a, pair.entity_b)) not in names


def test_candidates_are_the_people_of_the_episode_and_the_facebank_nearest_first():
    session = Session(HARD)
    named = next(e for e in session.desk.entities() if e.person_id is None and e.piece_count > 1)
    session.do(
        Assign(
            subject=Subject(pieces=session.desk.grouping.groups[named.group_ids[0]].pieces[:1]), name="Eve"
        )
    )
    entity = session.desk.entity(named.entity_id)
    assert entity.candidates[0].name == "Eve"
    assert [c.probability for c in entity.candidates] == sorted(
        (c.probability for c in entity.candidates), reverse=True
    )
    session.do(NotPerson(subject=Subject(groups=entity.group_ids), person=entity.candidates[0].person_id))
    assert "Eve" not in {c.name for c in session.desk.entity(named.entity_id).candidates}


def test_faces_of_an_entity_come_farthest_first_and_are_those_with_a_picture():
    desk = Session(HARD).desk
    for entity in desk.entities():
        rows = desk.faces(entity.entity_id)
        assert [r.distance for r in rows] == sorted((r.distance for r in rows), reverse=True)
        assert len(rows) == entity.face_count
        kept = {d for p in rows for d in HARD.samples[p.track_id]}
        assert {r.det_id for r in rows} == kept


def test_a_stranger_among_the_faces_of_a_person_comes_first():
    session = Session(CALM)
    session.do(Assign(subject=Subject(pieces=("t004",)), name="Ada"))
    rows = session.desk.faces(session.entity("Ada").entity_id)
    assert {r.piece_id for r in rows[: len(CALM.samples["t004"])]} == {"t004"}


def test_what_a_person_decided_is_sure_and_what_is_left_is_held_against_it():
    session = Session(dataclasses.replace(CALM, gallery=None))
    before = session.desk.score("t000")
    session.do(Assign(subject=Subject(pieces=("t002",)), name="Eve"))
    assert session.desk.score("t002") == 1.0
    assert before > 0.95
    assert 0.3 < session.desk.score("t000") < 0.6  # it looks as much like Eve as like what it is with
    doubt = next(d for d in session.desk.doubts() if "t000" in d.piece_ids)
    assert doubt.candidates[0].name == "Eve"


def test_who_was_told_apart_is_no_longer_in_doubt_for_the_other():
    session = Session(HARD)
    while found := session.desk.suggestions():
        a, b = (session.desk.entity(e).group_ids[0] for e in (found[0].entity_a, found[0].entity_b))
        session.do(Refuse(group_a=a, group_b=b))
    assert session.desk.doubts() == []
    assert not any(e.low_conf for e in session.desk.entities())


def test_the_sample_for_audit_is_of_what_the_facebank_named_and_nobody_looked_at():
    session = Session(CALM)
    ada = session.entity("Ada")
    rows = session.desk.sample(10, 4)
    assert {r.piece_id for r in rows} == {"t000", "t002", "t005"}
    assert {r.entity_id for r in rows} == {ada.entity_id}
    assert rows == session.desk.sample(10, 4)
    session.do(Assign(subject=Subject(pieces=("t000",)), person=ada.entity_id))
    assert {r.piece_id for r in session.desk.sample(10, 4)} == {"t002", "t005"}
    session.do(Assign(subject=Subject(groups=ada.group_ids), person=ada.entity_id))
    assert session.desk.sample(10, 4) == []


def test_longer_pieces_are_sampled_more_often():
    desk = Session(HARD).desk
    first = [desk.sample(1, seed)[0].piece_id for seed in range(300)]
    seen = {p: desk.pieces[p].seen_ms for p in set(first)}
    longest, shortest = max(seen, key=lambda p: seen[p]), min(seen, key=lambda p: seen[p])
    assert seen[longest] >= 1.5 * seen[shortest]
    assert first.count(longest) > first.count(shortest)


def test_what_the_facebank_named_is_auto_until_all_of_it_is_confirmed():
    session = Session(CALM)
    ada = session.entity("Ada")
    assert (ada.auto, ada.reviewed) == (True, 0.0)
    assert (
        next(c for c in session.desk.reviewed_clustering().clusters if c.name == "Ada").named_by == "facebank"
    )
    session.do(Assign(subject=Subject(groups=ada.group_ids), person=ada.entity_id))
    ada = session.entity("Ada")
    assert (ada.auto, ada.reviewed) == (False, 1.0)
    assert (
        next(c for c in session.desk.reviewed_clustering().clusters if c.name == "Ada").named_by == "person"
    )


def test_decisions_of_an_earlier_run_hold_for_the_tracks_that_they_lie_in_now():
    carried = Carried(whole={"old": ("t004", "t003"), "other": ("t003",)})
    base = dataclasses.replace(CALM, carried=carried)
    items = {
        "piece/old/group": "g-old", "group/g-old/person": "p-eve", "piece/other/group": "g-other",
        "piece/old/not/p-cy": True, "apart/old/t000": True,
    }  # fmt: skip
    desk = Desk(base, [Person("p-eve", "Eve"), Person("p-cy", "Cy")], Decisions(items))
    assert desk.grouping.group_of["t004"] == "g-old"
    assert desk.grouping.group_of["t003"] == "g-other"  # the piece that is all of it
    assert {"t003", "t004"} <= desk.grouping.pinned
    assert desk.grouping.nots == {"t003": {"p-cy"}, "t004": {"p-cy"}}
    assert desk.grouping.apart == (("t000", "t003"), ("t000", "t004"))
    pinned = Decisions({**items, "piece/t004/group": "g-new"})
    assert Desk(base, [], pinned).grouping.group_of["t004"] == "g-new"


def test_an_episode_without_a_face_is_reviewed_too():
    empty = dataclasses.replace(
        CALM, tracks=(), clustering=dataclasses.replace(CALM.clustering, clusters=()), numbers={}, samples={}
    )
    session = Session(empty)
    assert session.desk.entities() == session.desk.doubts() == session.desk.suggestions() == []
    session.do(AddSpan(name="Eve", kind="add", start_ms=0, end_ms=2000))
    assert session.total("Eve") == 2000
    assert session.desk.snapshot() == session.fresh().snapshot()


def _known_from(episodes: int) -> Base:
    """The calm world, whose one known person was seen in so many episodes."""
    assert CALM.gallery is not None
    return dataclasses.replace(CALM, gallery=dataclasses.replace(CALM.gallery, episodes=(episodes,)))


@pytest.mark.parametrize(("episodes", "looks"), [(1, 4), (2, 3), (3, 2), (40, 2)])
def test_who_is_known_from_more_episodes_takes_fewer_looks(episodes, looks):
    session = Session(_known_from(episodes))
    ada = session.entity("Ada")
    assert (ada.known_from, ada.looks) == (episodes, looks)
    assert [e.looks for e in session.desk.entities() if e.name != "Ada"] == [0, 0]
    session.do(Confirm(groups=ada.group_ids))
    assert session.entity("Ada").looks == 0


def test_a_name_is_no_surer_than_the_face_that_bears_it():
    """Everybody's faces are as sure as before to be one person; but not the one that the gallery knows."""
    base = _known_from(1)
    ada = next(c for c in base.clustering.clusters if c.name == "Ada")
    stranger = next(c for c in base.clustering.clusters if c.name is None)
    swapped = [
        dataclasses.replace(c, name={ada: None, stranger: "Ada"}.get(c, c.name), named_by=named_by)
        for c, named_by in ((c, "facebank" if c is stranger else None) for c in base.clustering.clusters)
    ]
    wrong = dataclasses.replace(
        base, clustering=dataclasses.replace(base.clustering, clusters=tuple(swapped))
    )
    right, taken = Session(base).entity("Ada"), Session(wrong).entity("Ada")
    assert right.confidence > 0.99
    assert (right.looks, taken.looks, taken.auto) == (4, 0, True)
    assert taken.confidence < 0.5


def test_who_has_one_unsure_track_or_is_in_doubt_or_locked_takes_a_whole_wall():
    unsure = Session(HARD).entity("Ada")
    assert unsure.auto
    assert unsure.looks == 0
    place = next(k for k, c in enumerate(CALM.clustering.clusters) if c.name == "Ada")
    clusters = list(CALM.clustering.clusters)
    clusters[place] = dataclasses.replace(clusters[place], low_conf=True, reason="uncertain name")
    doubtful = dataclasses.replace(
        CALM, clustering=dataclasses.replace(CALM.clustering, clusters=tuple(clusters))
    )
    assert Session(doubtful).entity("Ada").looks == 0
    locked = Session(CALM)
    locked.do(Lock(groups=locked.entity("Ada").group_ids))
    assert locked.entity("Ada").looks == 0
