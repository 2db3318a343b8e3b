"""How much people had to correct, by the definition in docs/ops/observe.md."""

import pytest
from review_worlds import Plan, Session, world

from screenalyzer.review.corrections import Corrections, corrections_of
from screenalyzer.review.operations import Assign, MarkAs, MergeGroups, Split, Subject

# Tracks in order: person 0 in t000, t002, t005, t006; person 1 in t001, t003; person 2 in t004.
BASE = world(Plan([[0, 1], [0], [1], [2], [0], [0]], noise=0.1, length=8))


@pytest.fixture
def session() -> Session:
    return Session(BASE)


def _group(session: Session, track: int) -> str:
    return session.desk.grouping.group_of[BASE.tracks[track].track_id]


def _assign(session: Session, subject: Subject, name: str) -> None:
    session.do(Assign(subject=subject, name=name))


def _tracks(*numbers: int) -> Subject:
    return Subject(pieces=tuple(BASE.tracks[n].track_id for n in numbers))


def test_the_world_is_what_the_tests_below_take_it_for(session: Session) -> None:
    assert sorted(len(c.members) for c in BASE.clustering.clusters) == [1, 2, 4]
    assert corrections_of(session.desk) == Corrections(0, 0)


def test_what_is_named_as_a_whole_was_right(session: Session) -> None:
    _assign(session, Subject(groups=(_group(session, 0),)), "Ada")
    assert corrections_of(session.desk) == Corrections(4, 0)
    session.do(MarkAs(subject=Subject(groups=(_group(session, 4),)), mark="background"))
    assert corrections_of(session.desk) == Corrections(5, 0)


def test_clusters_that_are_joined_were_not_wrong(session: Session) -> None:
    session.do(MergeGroups(groups=(_group(session, 1), _group(session, 4))))
    found = corrections_of(session.desk)
    assert found.moved == 0
    assert found.reviewed > 0


def test_tracks_that_are_taken_out_were_falsely_merged(session: Session) -> None:
    _assign(session, _tracks(2), "Ben")
    assert corrections_of(session.desk) == Corrections(4, 1)  # though nobody said whose the others are
    _assign(session, _tracks(5), "Cleo")
    assert corrections_of(session.desk) == Corrections(4, 2)
    session.undo()
    session.undo()
    assert corrections_of(session.desk) == Corrections(0, 0)


def test_the_lesser_part_of_a_cluster_is_what_was_wrong(session: Session) -> None:
    _assign(session, _tracks(0, 2, 5), "Ada")
    assert corrections_of(session.desk) == Corrections(4, 1)


def test_a_track_that_is_cut_counts_once_by_its_longest_piece(session: Session) -> None:
    dets = [str(d) for d in BASE.obs.det_id[BASE.tracks[0].members]]
    session.do(Split(subject=Subject(faces=tuple(dets[:2]))))
    assert corrections_of(session.desk) == Corrections(4, 0)
