import pytest
from review_worlds import Plan, Session, world

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.log import conflict, redoable, undoable
from screenalyzer.review.model import Change, Person
from screenalyzer.review.operations import Assign, Lock, MarkAs, MergePeople, RenamePerson, Split, Subject

BASE = world(Plan([[0, 1], [0], [1], [2], [0]], noise=0.1, length=8))


@pytest.fixture
def session() -> Session:
    return Session(BASE)


def assign(session: Session, piece: str, name: str) -> Assign:
    return Assign(subject=Subject(pieces=(piece,)), name=name)


def test_undo_walks_back_as_deep_as_the_log_and_redo_comes_back(session):
    for piece, name in (("t000", "Ada"), ("t001", "Bob"), ("t002", "Ada")):
        session.do(assign(session, piece, name))
    assert undoable(session.log).number == 3
    for number in (3, 2, 1):
        assert undoable(session.log).number == number
        session.undo()
    assert undoable(session.log) is None
    with pytest.raises(EditRefusedError, match="nothing to undo"):
        session.undo()
    assert session.desk.decisions.items() == {}
    assert session.desk.people == {}
    for number in (1, 2, 3):
        assert redoable(session.log).of == number
        session.redo()
    with pytest.raises(EditRefusedError, match="nothing to redo"):
        session.redo()
    assert [(e.kind, e.of) for e in session.log[3:]] == [
        ("undo", 3), ("undo", 2), ("undo", 1), ("redo", 1), ("redo", 2), ("redo", 3)
    ]  # fmt: skip
    assert undoable(session.log).number == 3


def test_after_a_new_edit_there_is_nothing_to_redo(session):
    session.do(assign(session, "t000", "Ada"))
    session.undo()
    session.do(assign(session, "t001", "Bob"))
    assert redoable(session.log) is None


def test_an_edit_is_undone_out_of_turn_where_nothing_stands_on_it(session):
    session.do(assign(session, "t000", "Ada"))
    session.do(assign(session, "t001", "Bob"))
    session.undo(1)
    assert [e.name for e in session.desk.entities() if e.person_id] == ["Bob"]
    with pytest.raises(EditRefusedError, match="undone already"):
        session.undo(1)
    with pytest.raises(EditRefusedError, match="no edit 9"):
        session.undo(9)


@pytest.mark.parametrize(
    "later",
    [
        Assign(subject=Subject(pieces=("t000",)), name="Bob"),  # the same piece
        Assign(subject=Subject(pieces=("t002",)), name="Ada"),  # a piece that joined what it named
    ],
)
def test_an_edit_that_another_stands_on_is_not_undone_and_the_reason_names_that_one(session, later):
    session.do(assign(session, "t000", "Ada"))
    session.do(later)
    with pytest.raises(EditRefusedError, match="edit 1 cannot be undone: edit 2 by ann"):
        session.undo(1)
    session.undo(2)
    session.undo(1)
    assert session.desk.decisions.items() == {}


def test_a_part_stays_while_something_is_decided_on_what_was_left_of_its_track(session):
    dets = tuple(str(d) for d in BASE.obs.det_id[BASE.tracks[0].members][:2])
    session.do(Split(subject=Subject(faces=dets)))
    session.do(assign(session, "t000", "Ada"))
    with pytest.raises(EditRefusedError, match="edit 2"):
        session.undo(1)


def test_a_person_stays_while_another_edit_uses_them(session):
    session.do(assign(session, "t000", "Ada"))
    session.do(Assign(subject=Subject(groups=(session.desk.grouping.group_of["t001"],)), name="Ada"))
    with pytest.raises(EditRefusedError, match=r"Ada, whom it made, is used|edit 2"):
        session.undo(1)


def test_what_another_episode_did_to_a_person_is_not_undone_from_here(session):
    session.do(assign(session, "t000", "Ada"))
    ada = session.entity("Ada").entity_id
    session.do(RenamePerson(person=ada, name="Zoe"))
    session.desk.set_people([Person(ada, "Zoë", former=("Ada", "Zoe"))])
    with pytest.raises(EditRefusedError, match="in another episode"):
        session.undo()


def test_a_merge_of_people_is_undone(session):
    session.do(assign(session, "t000", "Ada"))
    session.do(assign(session, "t001", "Bob"))
    before = session.desk.snapshot()
    session.do(MergePeople(person=session.entity("Bob").entity_id, into=session.entity("Ada").entity_id))
    session.undo()
    assert session.desk.snapshot() == before


def test_edits_of_different_faces_do_not_conflict_though_they_join_one_person(session):
    session.do(assign(session, "t000", "Ada"))
    ada = session.entity("Ada").entity_id
    seen = len(session.log)
    session.do(assign(session, "t001", "Ada"))
    mine = session.desk.plan(Assign(subject=Subject(pieces=("t002",)), person=ada))
    assert conflict(mine, seen, session.log) is None


def test_an_edit_of_what_somebody_else_changed_since_is_a_conflict(session):
    g = session.desk.grouping.group_of["t000"]
    session.do(assign(session, "t000", "Ada"))
    same = session.desk.plan(assign(session, "t000", "Bob"))
    assert conflict(same, 0, session.log).number == 1
    assert conflict(same, 1, session.log) is None
    whole = session.desk.plan(Assign(subject=Subject(groups=(g,)), name="Bob"))
    assert conflict(whole, 0, session.log).number == 1  # a piece has left the group


@pytest.mark.parametrize("change", ["name", "mark"])
def test_whose_a_whole_group_is_concerns_every_face_in_it(session, change):
    """Also faces that somebody has put there before, which stay where they are."""
    g = session.desk.grouping.group_of["t000"]
    whole = Subject(groups=(g,))
    session.do(Assign(subject=whole, name="Ada"))
    session.do(
        Assign(subject=whole, name="Eli") if change == "name" else MarkAs(subject=whole, mark="background")
    )
    one = session.desk.plan(assign(session, "t000", "Ada"))
    assert conflict(one, 1, session.log).number == 2
    session.do(Lock(groups=(g,)))
    session.do(Lock(groups=(g,), locked=False))
    assert conflict(one, 2, session.log) is None


def test_who_names_a_whole_group_must_have_seen_what_joined_it(session):
    session.do(assign(session, "t000", "Ada"))
    home = session.desk.grouping.group_of["t000"]
    session.do(assign(session, "t001", "Ada"))
    whole = session.desk.plan(Assign(subject=Subject(groups=(home,)), name="Bob"))
    assert conflict(whole, 1, session.log).number == 2
    assert conflict(whole, 2, session.log) is None


def test_a_rename_or_a_lock_since_is_a_conflict(session):
    session.do(assign(session, "t000", "Ada"))
    ada = session.entity("Ada").entity_id
    session.do(RenamePerson(person=ada, name="Zoe"))
    mine = session.desk.plan(Assign(subject=Subject(pieces=("t002",)), person=ada))
    assert conflict(mine, 1, session.log).number == 2
    session.do(Lock())
    session.do(Lock(locked=False))
    assert conflict(mine, 2, session.log).number == 3


def test_decisions_change_all_at_once_or_not_at_all():
    decisions = Decisions({"a/b": 1, "person/x": {"name": "X"}})
    with pytest.raises(EditRefusedError):
        decisions.apply([Change("c/d", None, 2), Change("a/b", 5, None)])
    assert decisions.items() == {"a/b": 1}
    decisions.apply([Change("c/d", None, 2), Change("a/b", 1, None), Change("person/x", None, {"name": "Y"})])
    assert decisions.canonical() == b'{"c/d":2}'
    copy = decisions.copy()
    copy.apply([Change("c/d", 2, None)])
    assert decisions.get("c/d") == 2


def test_the_same_decisions_have_the_same_bytes_in_any_order():
    assert (
        Decisions({"b": {"y": 1, "x": 2}, "a": "é"}).canonical()
        == Decisions({"a": "é", "b": {"x": 2, "y": 1}}).canonical()
    )
