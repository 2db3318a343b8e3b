import pytest
from review_worlds import Plan, Session, world

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.desk import pinned_by
from screenalyzer.review.model import Person
from screenalyzer.review.operations import (
    AddSpan,
    Assign,
    Confirm,
    Lock,
    MarkAs,
    MergeGroups,
    MergePeople,
    NotPerson,
    Refuse,
    RemoveSpan,
    RenamePerson,
    Split,
    Subject,
)

# Tracks t000 … in order: person 0 and 1 together, 0 alone, 1 alone, 2 alone, 0 alone. Long enough to count.
BASE = world(Plan([[0, 1], [0], [1], [2], [0]], noise=0.1, length=8))
KNOWN = world(Plan([[0, 1], [0], [1], [2], [0]], {"Ada": 0}, noise=0.1, length=8))


@pytest.fixture
def session() -> Session:
    return Session(BASE)


def group_of(session: Session, piece: str) -> str:
    return session.desk.grouping.group_of[piece]


def groups(*ids: str) -> Subject:
    return Subject(groups=ids)


def dets(session: Session, piece: str) -> list[str]:
    return [str(d) for d in BASE.obs.det_id[session.desk.pieces[piece].members]]


def name(session: Session, piece: str, person: str) -> str:
    """Name the group of a piece; returns the person's id."""
    session.do(Assign(subject=groups(group_of(session, piece)), name=person))
    return session.entity(person).entity_id


def refused(session: Session, operation: object) -> str:
    before = session.desk.decisions.canonical()
    with pytest.raises(EditRefusedError) as e:
        session.do(operation)
    assert session.desk.decisions.canonical() == before
    return str(e.value)


def test_the_world_is_what_the_tests_below_take_it_for(session):
    assert [e.name for e in session.desk.entities()] == ["Person 01", "Person 02", "Person 03"]
    assert session.desk.grouping.groups[group_of(session, "t000")].pieces == ("t000", "t002", "t005")
    assert group_of(session, "t001") == group_of(session, "t003")


def test_naming_a_group_pins_its_pieces_and_keeps_its_time(session):
    before, g = session.total("Person 01"), group_of(session, "t000")
    planned = session.do(Assign(subject=groups(g), name=" Ada "))
    assert planned.label == "Assign Person 01 to Ada"
    ada = session.entity("Ada")
    assert (ada.kind, ada.group_ids, ada.reviewed, ada.auto, ada.confidence) == (
        "person",
        (g,),
        1.0,
        False,
        1,
    )
    assert session.total("Ada") == before > 0
    assert session.total("Person 01") == 0
    assert {i.source for i in session.desk.timeline() if i.person == "Ada"} == {"reviewed"}
    assert sorted(pinned_by(planned.changes)) == ["t000", "t002", "t005"]


def test_the_others_keep_their_names_and_times_when_one_is_named(session):
    before = [t for t in session.desk.totals() if t.person != "Person 01"]
    name(session, "t000", "Ada")
    assert [t for t in session.desk.totals() if t.person != "Ada"] == before


def test_a_name_in_other_letters_is_the_same_person(session):
    ada = name(session, "t000", "Ada")
    session.do(Assign(subject=groups(group_of(session, "t004")), name="aDA"))
    assert session.entity("Ada").entity_id == ada
    assert len(session.entity("Ada").group_ids) == 2


def test_two_groups_seen_together_may_be_one_person_if_a_person_says_so(session):
    ada = name(session, "t000", "Ada")
    session.do(Assign(subject=groups(group_of(session, "t001")), person=ada))
    assert session.entity("Ada").piece_count == 5


def test_pieces_go_to_a_group_that_the_person_has(session):
    ada = name(session, "t000", "Ada")
    home = group_of(session, "t000")
    planned = session.do(Assign(subject=Subject(pieces=("t004",)), person=ada))
    assert group_of(session, "t004") == home
    assert planned.touches >= {"piece/t004", f"group/{home}/in"}
    assert f"group/{home}" not in planned.touches


def test_pieces_of_somebody_new_make_a_group(session):
    session.do(Assign(subject=Subject(pieces=("t000", "t001")), name="Ada"))
    assert session.entity("Ada").piece_count == 2
    assert session.entity("Person 01").piece_count == 2


def test_some_faces_of_a_track_become_a_part_of_their_own(session):
    faces, seen = dets(session, "t000"), session.desk.pieces["t000"].seen_ms
    session.do(Assign(subject=Subject(faces=tuple(faces[:3])), name="Ada"))
    part = session.desk.grouping.groups[session.entity("Ada").group_ids[0]].pieces[0]
    assert dets(session, part) == faces[:3]
    assert dets(session, "t000") == faces[3:]
    assert not session.desk.pieces["t000"].whole
    assert session.entity("Ada").seen_ms + session.desk.pieces["t000"].seen_ms == seen


def test_all_faces_of_a_track_are_the_track(session):
    session.do(Assign(subject=Subject(faces=tuple(dets(session, "t000"))), name="Ada"))
    assert group_of(session, "t000") == session.entity("Ada").group_ids[0]
    assert not [k for k in session.desk.decisions.items() if k.endswith("/part")]


def test_a_part_is_parted_again_and_hands_its_decisions_on(session):
    faces = dets(session, "t000")
    ada = name(session, "t001", "Ada")
    session.do(Assign(subject=Subject(faces=tuple(faces[:4])), name="Bob"))
    part = group_part(session, "Bob")
    session.do(NotPerson(subject=Subject(pieces=(part,)), person=ada))
    session.do(Assign(subject=Subject(faces=(faces[0],)), name="Cy"))
    rest = group_part(session, "Bob")
    assert part not in session.desk.pieces
    assert dets(session, rest) == faces[1:4]
    assert session.desk.grouping.nots[rest] == {ada}
    assert not [k for k in session.desk.decisions.items() if part in k]
    for _ in range(4):
        session.undo()
    assert session.desk.decisions.items() == {}


def group_part(session: Session, person: str) -> str:
    return session.desk.grouping.groups[session.entity(person).group_ids[0]].pieces[0]


def test_a_split_leaves_a_numbered_group_that_never_comes_back_by_itself(session):
    session.do(Split(subject=Subject(pieces=("t005",))))
    assert [e.name for e in session.desk.entities()] == ["Person 01", "Person 02", "Person 03", "Person 04"]
    assert session.desk.decisions.get("apart/t000/t005") is True
    pairs = {frozenset((s.name_a, s.name_b)) for s in session.desk.suggestions()}
    assert frozenset(("Person 01", "Person 04")) not in pairs
    assert "different people" in refused(
        session, MergeGroups(groups=(group_of(session, "t000"), group_of(session, "t005")))
    )


def test_a_split_of_faces_is_told_apart_from_what_is_left_of_the_track(session):
    planned = session.do(Split(subject=Subject(faces=tuple(dets(session, "t004")[:2]))))
    apart = [c.key for c in planned.changes if c.key.startswith("apart/")]
    assert len(apart) == 1
    assert "t004" in apart[0]


def test_nothing_is_split_off_where_nobody_would_be_left(session):
    assert "nobody would be left" in refused(session, Split(subject=groups(group_of(session, "t000"))))


def test_a_merge_keeps_the_group_that_has_a_name(session):
    name(session, "t004", "Cy")
    first, second = group_of(session, "t000"), group_of(session, "t004")
    session.do(MergeGroups(groups=(first, second)))
    assert set(session.desk.grouping.groups[second].pieces) == {"t000", "t002", "t004", "t005"}
    assert session.entity("Cy").piece_count == 4


def test_groups_of_two_people_are_not_merged(session):
    name(session, "t000", "Ada")
    name(session, "t004", "Cy")
    both = (group_of(session, "t000"), group_of(session, "t004"))
    assert "Merge the people" in refused(session, MergeGroups(groups=both))


def test_a_refused_pair_is_not_merged_and_not_named_alike(session):
    a, b = group_of(session, "t000"), group_of(session, "t004")
    session.do(Refuse(group_a=a, group_b=b))
    assert "Undo that decision" in refused(session, MergeGroups(groups=(b, a)))
    name(session, "t000", "Ada")
    assert "different people" in refused(session, Assign(subject=groups(b), name="Ada"))
    assert "Split" in refused(session, Refuse(group_a=a, group_b=a))


def test_not_that_person_leaves_them_and_is_offered_as_them_no_more():
    session = Session(KNOWN)
    ada = session.entity("Ada")
    session.do(NotPerson(subject=Subject(pieces=("t002",)), person=ada.entity_id))
    entity = session.desk.entity(session.desk.grouping.entity_of_piece("t002"))
    assert entity.kind == "group"
    assert ada.entity_id not in {c.person_id for c in entity.candidates}
    assert not [s for s in session.desk.suggestions() if {s.name_a, s.name_b} == {"Ada", entity.name}]
    assert "said not to be Ada" in refused(
        session, MergeGroups(groups=(*session.entity("Ada").group_ids, *entity.group_ids))
    )
    session.do(Assign(subject=Subject(pieces=("t002",)), name="Ada"))
    assert session.desk.decisions.get(f"piece/t002/not/{ada.entity_id}") is None


def test_whole_groups_that_are_not_that_person_stay_apart_from_one_another(session):
    ada = name(session, "t000", "Ada")
    session.do(Assign(subject=groups(group_of(session, "t004")), person=ada))
    both = session.entity("Ada").group_ids
    session.do(NotPerson(subject=groups(*both), person=ada))
    assert group_of(session, "t000") != group_of(session, "t004")
    assert "Ada" not in [e.name for e in session.desk.entities()]


@pytest.mark.parametrize("mark", ["not_face", "background"])
def test_what_is_marked_is_not_credited_and_loses_its_name(session, mark):
    ada = name(session, "t000", "Ada")
    g = group_of(session, "t000")
    session.do(MarkAs(subject=groups(g), mark=mark))
    entity = session.desk.entity(g)
    assert (entity.mark, entity.person_id, entity.screen_ms, entity.low_conf) == (mark, None, 0, False)
    assert session.total("Ada") == session.total("Person 01") == 0
    session.do(MarkAs(subject=groups(g), mark=None))
    assert session.total("Person 01") > 0
    session.do(Assign(subject=groups(g), person=ada))
    assert session.total("Ada") > 0


def test_marked_faces_leave_for_a_group_with_the_mark(session):
    session.do(MarkAs(subject=Subject(faces=(dets(session, "t000")[0],)), mark="not_face"))
    marked = [e for e in session.desk.entities() if e.mark]
    assert [(e.piece_count, e.face_count) for e in marked] == [(1, 1)]
    assert "t000" not in session.desk.reviewed_clustering().not_faces


def test_a_person_is_renamed_everywhere_and_no_name_is_borne_twice(session):
    ada = name(session, "t000", "Ada")
    name(session, "t004", "Cy")
    session.do(RenamePerson(person=ada, name="Ada L."))
    assert session.entity("Ada L.").entity_id == ada
    assert session.total("Ada L.") > 0
    assert session.desk.people[ada].former == ("Ada",)
    assert "Merge the two people" in refused(session, RenamePerson(person=ada, name="CY"))


def test_a_name_that_was_given_up_is_nobody_elses_since_results_may_bear_it():
    session = Session(KNOWN)
    ada = session.entity("Ada").entity_id
    session.do(RenamePerson(person=ada, name="Zoe"))
    cy = name(session, "t004", "Cy")
    taken = Assign(subject=groups(group_of(session, "t005")), name=" ada ")
    for operation in (taken, RenamePerson(person=cy, name="Ada")):
        assert "was the name of Zoe before" in refused(session, operation)
    session.do(RenamePerson(person=ada, name="Ada"))
    assert session.entity("Ada").entity_id == ada
    assert session.desk.snapshot() == session.fresh().snapshot()


def test_many_names_are_confirmed_by_one_edit():
    session = Session(world(Plan([[0, 1], [0], [1], [2]], {"Ada": 0, "Bob": 1}, noise=0.1, length=8)))
    found = [session.entity(n) for n in ("Ada", "Bob")]
    assert all(e.auto for e in found)
    planned = session.do(Confirm(groups=tuple(g for e in found for g in e.group_ids)))
    assert planned.label == "Confirm Ada and Bob"
    for name in ("Ada", "Bob"):
        entity = session.entity(name)
        assert (entity.auto, entity.reviewed) == (False, 1.0)
    assert {i.source for i in session.desk.timeline() if i.person in {"Ada", "Bob"}} == {"reviewed"}
    session.undo()
    assert [session.entity(n) for n in ("Ada", "Bob")] == found


def test_what_bears_no_name_cannot_be_confirmed():
    session = Session(KNOWN)
    unnamed = next(e for e in session.desk.entities() if e.kind == "group")
    both = (*session.entity("Ada").group_ids, *unnamed.group_ids)
    assert "bears no name that could be confirmed" in refused(session, Confirm(groups=both))
    session.do(Lock(groups=session.entity("Ada").group_ids))
    assert "locked" in refused(session, Confirm(groups=session.entity("Ada").group_ids))


def test_people_are_merged_once_and_never_in_a_circle(session):
    ada, cy = name(session, "t000", "Ada"), name(session, "t004", "Cy")
    session.do(MergePeople(person=cy, into=ada))
    assert session.entity("Ada").piece_count == 4
    assert "one person already" in refused(session, MergePeople(person=ada, into=cy))
    session.do(Assign(subject=groups(group_of(session, "t001")), name="Cy"))
    assert session.entity("Ada").piece_count == 6


def test_people_who_were_told_apart_are_not_merged(session):
    session.do(Refuse(group_a=group_of(session, "t000"), group_b=group_of(session, "t004")))
    ada, cy = name(session, "t000", "Ada"), name(session, "t004", "Cy")
    assert "different people" in refused(session, MergePeople(person=cy, into=ada))


def test_time_by_hand_is_added_and_taken_away(session):
    ada = name(session, "t000", "Ada")
    before = session.total("Ada")
    end = BASE.grid.scenes[-1].end_ms
    session.do(AddSpan(name="Eve", kind="add", start_ms=0, end_ms=1000))
    assert session.total("Eve") == 1000
    eve = session.entity("Eve")
    assert (eve.group_ids, eve.piece_count, eve.rep_det_id) == ((), 0, "")
    session.do(AddSpan(person=ada, kind="trim", start_ms=0, end_ms=end))
    assert session.total("Ada") == 0
    trim = next(s for s in session.desk.spans() if s.kind == "trim")
    session.do(RemoveSpan(span=trim.span_id))
    assert session.total("Ada") == before
    assert {i.source for i in session.desk.timeline() if i.person == "Eve"} == {"manual"}
    assert "Choose an interval within it" in refused(
        session, AddSpan(person=ada, kind="add", start_ms=0, end_ms=end + 1)
    )
    assert "reload" in refused(session, RemoveSpan(span=trim.span_id))


def test_a_trim_applies_to_what_was_added_too(session):
    session.do(AddSpan(name="Eve", kind="add", start_ms=0, end_ms=3000))
    session.do(AddSpan(name="Eve", kind="trim", start_ms=1000, end_ms=8000))
    assert session.total("Eve") == 1000


def test_a_locked_group_is_changed_by_nothing(session):
    ada = name(session, "t000", "Ada")
    g = group_of(session, "t000")
    session.do(AddSpan(person=ada, kind="add", start_ms=0, end_ms=500))
    session.do(Lock(groups=(g,)))
    assert session.entity("Ada").locked
    other = group_of(session, "t004")
    for operation in (
        Assign(subject=groups(g), name="Bob"),
        Assign(subject=Subject(pieces=("t004",)), person=ada),
        Assign(subject=Subject(faces=(dets(session, "t000")[0],)), name="Bob"),
        MergeGroups(groups=(g, other)),
        Split(subject=Subject(pieces=("t002",))),
        NotPerson(subject=Subject(pieces=("t002",)), person=ada),
        Refuse(group_a=g, group_b=other),
        MarkAs(subject=Subject(pieces=("t002",)), mark="background"),
        RenamePerson(person=ada, name="Zoe"),
        AddSpan(person=ada, kind="trim", start_ms=0, end_ms=900),
        RemoveSpan(span=session.desk.spans()[0].span_id),
    ):
        assert "locked" in refused(session, operation)
    with pytest.raises(EditRefusedError, match="locked"):
        session.undo(1)
    session.do(Assign(subject=groups(other), name="Bob"))
    session.do(Lock(groups=(g,), locked=False))
    session.do(RenamePerson(person=ada, name="Zoe"))


def test_a_locked_episode_is_changed_by_nothing_but_its_lock(session):
    name(session, "t000", "Ada")
    session.do(Lock())
    assert "this episode is locked" in refused(session, Assign(subject=Subject(pieces=("t004",)), name="B"))
    assert "this episode is locked" in refused(session, Lock(groups=(group_of(session, "t000"),)))
    with pytest.raises(EditRefusedError, match="this episode is locked"):
        session.undo(1)
    session.undo()
    name(session, "t004", "Bob")


def test_what_is_not_there_is_said_to_be_gone(session):
    for operation in (
        Assign(subject=groups("nothing"), name="Ada"),
        Assign(subject=Subject(pieces=("nothing",)), name="Ada"),
        Assign(subject=Subject(pieces=("t000",)), person="nobody"),
        MergeGroups(groups=("nothing", group_of(session, "t000"))),
    ):
        assert "eload" in refused(session, operation)
    assert "belongs to no track" in refused(session, Assign(subject=Subject(faces=("x",)), name="Ada"))


def test_an_edit_that_changes_nothing_has_no_changes_and_touches_nothing(session):
    name(session, "t000", "Ada")
    planned = session.desk.plan(Assign(subject=groups(group_of(session, "t000")), name="Ada"))
    assert planned.changes == ()
    assert planned.touches == frozenset()


def test_people_whom_other_episodes_change_are_shown_as_they_are_now(session):
    ada = name(session, "t000", "Ada")
    session.desk.set_people([Person(ada, "Zoe", former=("Ada",)), Person("p-new", "Person 02")])
    assert session.total("Zoe") > 0
    assert session.entity("Person 02").kind == "group"  # somebody of that name is not in this episode
    session.do(Assign(subject=groups(group_of(session, "t004")), person="p-new"))
    assert session.entity("Person 02").person_id == "p-new"
    assert session.desk.snapshot() == session.fresh().snapshot()
    assert "Person 02-2" in [e.name for e in session.desk.entities()]
