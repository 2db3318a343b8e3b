"""Whatever is edited, undone and redone: what is kept up to date equals what is worked out afresh."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from review_worlds import Plan, Session, world

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.desk import Desk
from screenalyzer.review.log import undoable
from screenalyzer.review.model import Base, Carried, Part, Person
from screenalyzer.review.operations import (
    AddSpan,
    Assign,
    Confirm,
    Lock,
    MarkAs,
    MergeGroups,
    MergePeople,
    NotPerson,
    Operation,
    Refuse,
    RemoveSpan,
    RenamePerson,
    Split,
    Subject,
)

NAMES = ("Ada", "Bob", "Cy", "Dora", "person 03")
Step = tuple[int, int, int, int]
WORLDS = 4


@cache
def base(k: int) -> Base:
    scenes = ([[0, 1], [1, 2, 0], [3], [2, 0]], [[0], [0, 1], [2], [1], [0, 0]], [[4, 0, 1, 2], [4], [1, 1]])
    plan = Plan(scenes[k % 3], {"Ada": 0, "Bob": 3} if k % 2 else {}, noise=0.25 + 0.04 * k, seed=k)
    found = world(plan)
    if k != WORLDS - 1:
        return found
    dets = tuple(str(d) for d in found.obs.det_id[found.tracks[4].members][:2])
    carried = Carried(
        whole={"old-a": ("t001", "t003"), "old-b": ("t003",), "old-c": ("t000", "t002")},
        parts={"old-part": Part("t004", dets)},
    )
    return dataclasses.replace(found, carried=carried)


def decided(k: int) -> tuple[list[Person], Decisions]:
    if k != WORLDS - 1:
        return [Person("p-bob", "Bob"), Person("p-kim", "Kim")] if k == 2 else [], Decisions()
    people = [Person("p-eve", "Eve"), Person("p-evi", "Evi", into="p-eve")]
    items = {
        "piece/old-a/group": "g-old", "group/g-old/person": "p-evi", "piece/old-c/not/p-evi": True,
        "piece/old-part/part": {"track": "gone", "dets": ["x"]}, "piece/old-part/group": "g-part",
        "apart/old-b/t000": True, "piece/lost/group": "g-lost", "group/g-part/number": "17",
    }  # fmt: skip
    return people, Decisions(items)


def choose(items: Sequence[str], *picks: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items[p % len(items)] for p in picks))


def subject(desk: Desk, a: int, b: int, c: int) -> Subject:
    """Groups, pieces or faces, by chance; faces of one piece, so that parts of parts come up."""
    groups, pieces = list(desk.grouping.groups), list(desk.pieces)
    if a % 4 == 0:
        return Subject(groups=choose(groups, b))
    if a % 4 == 1:
        return Subject(pieces=choose(pieces, b, c))
    piece = desk.pieces[pieces[b % len(pieces)]]
    dets = [str(d) for d in desk.base.obs.det_id[piece.members]]
    faces = choose(dets, c, c + a // 4)
    return Subject(faces=faces, pieces=choose(pieces, c) if a % 4 == 3 else ())


def operation(desk: Desk, step: Step) -> Operation:
    kind, a, b, c = step
    groups = list(desk.grouping.groups)
    people = sorted({*desk.people, *(e.person_id for e in desk.entities() if e.person_id)}) or ["nobody"]
    name, person = NAMES[c % len(NAMES)], choose(people, c)[0]
    spans = [s.span_id for s in desk.spans()] or ["none"]
    pair = choose(groups, a, b)
    first, last = desk.base.grid.scenes[0].start_ms, desk.base.grid.scenes[-1].end_ms
    start = first + (a * 137) % (last - first - 100)
    makers: tuple[Callable[[], Operation], ...] = (
        lambda: Assign(subject=subject(desk, a, b, c), name=name),
        lambda: Assign(subject=subject(desk, a, b, c), person=person),
        lambda: Confirm(groups=pair),
        lambda: MergeGroups(groups=(*pair, *choose(groups, a + 1))),
        lambda: Split(subject=subject(desk, a, b, c)),
        lambda: NotPerson(subject=subject(desk, a, b, c), person=person),
        lambda: Refuse(group_a=groups[a % len(groups)], group_b=groups[b % len(groups)]),
        lambda: MarkAs(subject=subject(desk, a, b, c), mark=("not_face", "background", None)[c % 3]),
        lambda: RenamePerson(person=person, name=name),
        lambda: MergePeople(person=person, into=choose(people, a)[0]),
        lambda: AddSpan(
            name=name, kind=("add", "trim")[b % 2], start_ms=start, end_ms=min(last, start + 50 + 90 * c)
        ),
        lambda: RemoveSpan(span=choose(spans, a)[0]),
        lambda: Lock(groups=pair if b % 4 else (), locked=c % 2 == 0),
    )
    return makers[kind % len(makers)]()


def foreign(session: Session, step: Step) -> None:
    """Another episode makes, renames or joins people."""
    _, a, b, c = step
    people = dict(session.desk.people)
    if a % 3 == 0 or not people:
        people[f"x{b % 3}"] = Person(f"x{b % 3}", f"{NAMES[c % len(NAMES)]} {b % 3}")
    else:
        one = people[choose(sorted(people), b)[0]]
        into = choose(sorted(people), c)[0] if a % 3 == 1 else one.into
        renamed = one.name if a % 3 == 1 else f"{one.name}'"
        former = one.former if renamed == one.name else (*one.former, one.name)
        people[one.person_id] = Person(
            one.person_id, renamed, into if into != one.person_id else None, former
        )
    session.desk.set_people(people.values())


def walk(session: Session, steps: Sequence[Step], others: bool) -> int:
    """Take steps; those that are refused change nothing. Returns how many edits there are."""
    for number, step in enumerate(steps):
        before = session.desk.decisions.canonical()
        try:
            if step[0] in (13, 14):
                session.undo()
            elif step[0] == 15:
                session.redo()
            elif step[0] == 16 and others:
                session.undo(1 + step[1] % (len(session.log) + 1))
            elif step[0] == 17 and others:
                foreign(session, step)
            else:
                session.do(operation(session.desk, step))
        except EditRefusedError:
            assert session.desk.decisions.canonical() == before
        if number % 5 == 4:
            assert session.desk.snapshot() == session.fresh().snapshot()
    assert session.desk.snapshot() == session.fresh().snapshot()
    return len(session.log)


STEPS = st.lists(
    st.tuples(st.integers(0, 17), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)),
    min_size=1,
    max_size=16,
)


def many(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many(350)
@given(k=st.integers(0, WORLDS - 1), steps=STEPS)
@example(k=WORLDS - 1, steps=[(12, 0, 1, 0), (0, 2, 29, 1)])  # a part divided, what is beside it locked
def test_edits_kept_up_to_date_equal_a_fresh_desk_and_undo_gives_everything_back(k, steps):
    session = Session(base(k), *decided(k))
    first = session.desk.decisions.canonical(), session.desk.snapshot()
    walk(session, steps, others=False)
    last = session.desk.decisions.canonical(), session.desk.snapshot()
    undone = 0
    while undoable(session.log) is not None:
        session.undo()
        undone += 1
    assert (session.desk.decisions.canonical(), session.desk.snapshot()) == first
    for _ in range(undone):
        session.redo()
    assert (session.desk.decisions.canonical(), session.desk.snapshot()) == last
    if k != WORLDS - 1:
        assert Decisions.replayed(session.log).canonical() == last[0]


@many(200)
@given(k=st.integers(0, WORLDS - 1), steps=STEPS)
def test_people_changed_elsewhere_and_edits_undone_out_of_turn_keep_it_equal_too(k, steps):
    walk(Session(base(k), *decided(k)), steps, others=True)


@pytest.mark.parametrize("k", range(WORLDS))
def test_a_long_review_of_many_parts_stays_equal(k):
    """Long enough that what is gone is cleared away from the sums."""
    session = Session(base(k), *decided(k))
    det_ids = [str(d) for t in session.base.tracks for d in session.base.obs.det_id[t.members]]
    for turn in range(150):
        faces = choose(det_ids, turn * 7, turn * 7 + turn % 3)
        try:
            session.do(Assign(subject=Subject(faces=faces), name=f"P{turn % 4}"))
        except EditRefusedError:
            continue
    assert len(session.log) > 50
    assert session.desk.snapshot() == session.fresh().snapshot()
