"""Working out edits of who is who: each gives a label, and leaves its changes in the draft."""

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.grouping import Group
from screenalyzer.review.keys import apart_key, not_key
from screenalyzer.review.operations import Assign, Confirm, MarkAs, MergeGroups, NotPerson, Refuse, Split
from screenalyzer.review.planning.draft import Draft


def assign(draft: Draft, op: Assign) -> str:
    """Whole groups become the person's; pieces join a group of theirs."""
    person = draft.person(op.person, op.name)
    groups, pieces = draft.resolve(op.subject)
    grouping = draft.state.grouping
    told = [*(p for g in groups for p in g.pieces), *pieces]
    theirs = {p for g in grouping.groups_of(person) for p in grouping.groups[g].pieces}
    draft.check_apart(theirs | set(told), set(told) - theirs, draft.called(person))
    for g in groups:
        _claim(draft, g.group_id, person)
        for p in g.pieces:
            draft.put(p, g.group_id)
    if pieces:
        target = groups[0].group_id if groups else _group_for(draft, person)
        _claim(draft, target, person)
        for p in pieces:
            draft.put(p, target)
    for p in told:
        draft.forget_not(p, person)
    return f"Assign {draft.what(groups, pieces)} to {draft.called(person)}"


def confirm(draft: Draft, op: Confirm) -> str:
    """Whole groups are whose name they bear."""
    groups = [draft.group(g) for g in dict.fromkeys(op.groups)]
    for g in groups:
        if g.person is None:
            raise EditRefusedError(
                f"{draft.state.called(g.group_id)} bears no name that could be confirmed. Say who it is."
            )
        draft.read_whole(g.group_id)
        _claim(draft, g.group_id, draft.person(g.person, None))
        for p in g.pieces:
            draft.put(p, g.group_id)
    return f"Confirm {draft.what(groups, [])}"


def merge(draft: Draft, op: MergeGroups) -> str:
    """All pieces go to the group that gives the name."""
    groups = [draft.group(g) for g in dict.fromkeys(op.groups)]
    if len(groups) < 2:
        raise EditRefusedError("name two groups at least to merge.")
    for g in groups:
        draft.read_whole(g.group_id)
    people = list(dict.fromkeys(g.person for g in groups if g.person is not None))
    if len(people) > 1:
        names = " and ".join(draft.called(p) for p in people)
        raise EditRefusedError(f"{names} are different people. Merge the people, or assign the faces to one.")
    if len({g.mark for g in groups}) > 1:
        raise EditRefusedError("some of these are marked and some are not. Take the marks away first.")
    kept = next((g for g in groups if g.person is not None), groups[0])
    _check_not(draft, groups, kept.person)
    together = {p for g in groups for p in g.pieces}
    draft.check_apart(together, together, draft.state.called(kept.group_id))
    if kept.person is not None:
        _claim(draft, kept.group_id, draft.person(kept.person, None))
    for g in groups:
        for p in g.pieces:
            draft.put(p, kept.group_id)
    others = [g for g in groups if g is not kept]
    return f"Merge {draft.what(others, [])} into {draft.state.called(kept.group_id)}"


def split(draft: Draft, op: Split) -> str:
    """The subject becomes a group of its own, told apart from what it leaves."""
    groups, pieces = draft.resolve(op.subject)
    grouping = draft.state.grouping
    leaving = draft.order([*(p for g in groups for p in g.pieces), *pieces])
    sources = dict.fromkeys(grouping.entity_of[draft.home(p)] for p in leaving)
    new = draft.new_group("split", *sorted(leaving), numbered=True)
    for entity in sources:
        own = [p for p in leaving if grouping.entity_of[draft.home(p)] == entity]
        left = draft.remaining(entity, leaving)
        if not left:
            raise EditRefusedError(
                f"that is all of {draft.state.names[entity]}: nobody would be left. Choose some faces of it."
            )
        draft.decide(apart_key(left[0], own[0]), True)
        draft.touches |= {f"piece/{left[0]}", f"piece/{own[0]}"}
    for p in leaving:
        draft.put(p, new)
    names = " and ".join(draft.state.names[e] for e in sources)
    return f"Split {draft.what(groups, pieces)} from {names}"


def not_person(draft: Draft, op: NotPerson) -> str:
    """The subject is never that person; where it was, it leaves."""
    person = draft.person(op.person, None)
    groups, pieces = draft.resolve(op.subject)
    grouping = draft.state.grouping
    leaving: dict[str, list[str]] = {}
    for p in [*(p for g in groups for p in g.pieces), *pieces]:
        draft.decide(not_key(p, person), True)
        draft.touches.add(f"piece/{p}")
        if grouping.groups[draft.home(p)].person == person:
            leaving.setdefault(draft.home(p), []).append(p)
    for home, own in leaving.items():
        new = draft.new_group("not", home, *sorted(own), numbered=True)
        for p in own:
            draft.put(p, new)
    return f"{draft.what(groups, pieces)}: not {draft.called(person)}"


def refuse(draft: Draft, op: Refuse) -> str:
    """The earliest pieces of both are told apart."""
    a, b = draft.group(op.group_a), draft.group(op.group_b)
    grouping = draft.state.grouping
    if grouping.entity_of[a.group_id] == grouping.entity_of[b.group_id]:
        raise EditRefusedError(
            f"both are {draft.state.called(a.group_id)}. Split the faces that are somebody else."
        )
    draft.reads |= {f"group/{a.group_id}", f"group/{b.group_id}"}
    draft.decide(apart_key(a.pieces[0], b.pieces[0]), True)
    draft.touches |= {f"piece/{a.pieces[0]}", f"piece/{b.pieces[0]}"}
    return f"{draft.state.called(a.group_id)} is not {draft.state.called(b.group_id)}"


def mark(draft: Draft, op: MarkAs) -> str:
    """Whole groups get the mark where they are; pieces leave to a group that has it."""
    groups, pieces = draft.resolve(op.subject)
    of = draft.state.grouping.groups
    for g in groups:
        draft.set_group(g.group_id, "mark", op.mark)
        if op.mark is not None:
            draft.set_group(g.group_id, "person", None)
            for p in g.pieces:
                draft.put(p, g.group_id)
    moved = [p for p in pieces if of[draft.home(p)].mark != op.mark]
    if moved:
        new = draft.new_group("mark", op.mark or "none", *sorted(moved), numbered=True)
        draft.set_group(new, "mark", op.mark)
        for p in moved:
            draft.put(p, new)
    words = {"not_face": "no face", "background": "background", None: "no longer marked"}
    return f"{draft.what(groups, pieces)}: {words[op.mark]}"


def _claim(draft: Draft, group: str, person: str) -> None:
    """A person says whose group this is."""
    draft.set_group(group, "person", person)
    draft.set_group(group, "mark", None)


def _group_for(draft: Draft, person: str) -> str:
    """The group that pieces of a person join: one that is theirs by hand, or one, or a new one."""
    grouping = draft.state.grouping
    theirs = [grouping.groups[g] for g in grouping.groups_of(person)]
    if theirs:
        return min(theirs, key=lambda g: not g.by_hand).group_id
    return draft.new_group("person", person, numbered=False)


def _check_not(draft: Draft, groups: list[Group], person: str | None) -> None:
    nots = draft.state.grouping.nots
    for g in groups:
        if person is not None and any(person in nots.get(p, ()) for p in g.pieces):
            raise EditRefusedError(
                f"some faces of {draft.state.called(g.group_id)} were said not to be {draft.called(person)}. "
                "Undo that decision, or assign them to the person."
            )
