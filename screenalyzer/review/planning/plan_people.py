"""Working out edits of people, of time by hand, and of locks."""

from screenalyzer.errors import EditRefusedError
from screenalyzer.results import clock
from screenalyzer.review.keys import EPISODE_LOCKED, derived_id, span_key
from screenalyzer.review.operations import AddSpan, Lock, MergePeople, RemoveSpan, RenamePerson
from screenalyzer.review.planning.draft import Draft
from screenalyzer.types import Span


def rename_person(draft: Draft, op: RenamePerson) -> str:
    """A person has another name, which nobody else may bear."""
    person = draft.person(op.person, None)
    before = draft.called(person)
    bearer = draft.state.cast.bearer(op.name)
    if bearer is not None and bearer.person_id != person:
        raise EditRefusedError(
            f"{bearer.name} is somebody else's name already. Merge the two people if they are one, "
            "or choose another name."
        )
    draft.state.cast.check_free(op.name, person)
    for g in draft.state.grouping.groups_of(person):  # or whoever bears the old name next would get them
        if not draft.group(g).by_hand:
            draft.set_group(g, "person", person)
    draft.change_person(person, op.name, None)
    return f"Rename {before} to {op.name}"


def merge_people(draft: Draft, op: MergePeople) -> str:
    """One person was found to be another."""
    person, into = draft.person(op.person, None), draft.person(op.into, None)
    if person == into:
        raise EditRefusedError(f"that is one person already: {draft.called(into)}.")
    grouping = draft.state.grouping
    theirs = {p for g in grouping.groups_of(person) for p in grouping.groups[g].pieces}
    others = {p for g in grouping.groups_of(into) for p in grouping.groups[g].pieces}
    draft.check_apart(theirs | others, theirs, draft.called(into))
    for who, pieces in ((into, theirs), (person, others)):
        if any(who in grouping.nots.get(p, ()) for p in pieces):
            raise EditRefusedError(
                f"some faces of the other were said not to be {draft.called(who)}. Undo that decision first."
            )
    draft.change_person(person, draft.called(person), into)
    draft.touches.add(f"person/{into}")
    return f"Merge {draft.called(person)} into {draft.called(into)}"


def add_span(draft: Draft, op: AddSpan) -> str:
    """A person is on screen in an interval, or is not, whatever was detected."""
    person = draft.person(op.person, op.name)
    scenes = draft.state.base.grid.scenes
    if op.start_ms < scenes[0].start_ms or op.end_ms > scenes[-1].end_ms:
        first, last = (clock(t, millis=True) for t in (scenes[0].start_ms, scenes[-1].end_ms))
        raise EditRefusedError(f"the episode lasts from {first} to {last}. Choose an interval within it.")
    same = [
        s.span_id
        for s in draft.state.said.spans.values()
        if (s.person, s.kind, s.span) == (person, op.kind, Span(op.start_ms, op.end_ms))
    ]
    words = ("span", person, op.kind, str(op.start_ms), str(op.end_ms))
    span_id, turn = same[0] if same else derived_id(*words, "1"), 1
    while not same and span_id in draft.state.said.spans:
        turn += 1
        span_id = derived_id(*words, str(turn))
    value = {"person": person, "kind": op.kind, "start_ms": op.start_ms, "end_ms": op.end_ms}
    draft.decide(span_key(span_id), value)
    draft.touches.add(f"span/{span_id}")
    verb = "Add" if op.kind == "add" else "Trim"
    start, end = (clock(t, millis=True) for t in (op.start_ms, op.end_ms))
    return f"{verb} {draft.called(person)} from {start} to {end}"


def remove_span(draft: Draft, op: RemoveSpan) -> str:
    """Take an interval by hand away."""
    span = draft.state.said.spans.get(op.span)
    if span is None:
        raise EditRefusedError(f"there is no interval {op.span} by hand. It may be removed already: reload.")
    draft.decide(span_key(op.span), None)
    draft.touches.add(f"span/{op.span}")
    draft.reads.add(f"span/{op.span}")
    person = draft.state.cast.resolve(span.person)
    name = draft.called(person) if person is not None else "somebody"
    start, end = (clock(t, millis=True) for t in span.span)
    return f"Remove the interval {start} to {end} of {name}"


def lock(draft: Draft, op: Lock) -> str:
    """Protect groups or the whole episode, or open them again."""
    verb, value = ("Lock", True) if op.locked else ("Unlock", None)
    if not op.groups:
        draft.decide(EPISODE_LOCKED, value)
        draft.touches.add("episode")
        return f"{verb} the episode"
    groups = [draft.group(g) for g in dict.fromkeys(op.groups)]
    for g in groups:
        draft.reads.add(f"group/{g.group_id}")
        draft.set_group(g.group_id, "locked", value)
    return f"{verb} {draft.what(groups, [])}"
