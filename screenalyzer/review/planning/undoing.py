"""Taking edits back, and doing them again, against a state."""

from collections.abc import Iterable, Sequence

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.cast import changed_people, value_of
from screenalyzer.review.decisions import PERSON_PREFIX
from screenalyzer.review.keys import Said
from screenalyzer.review.log import edit_to_undo, redoable, reversed_changes
from screenalyzer.review.model import Change, Entry, Person, Planned
from screenalyzer.review.planning.locks import guard
from screenalyzer.review.state import State


def plan_undo(state: State, entries: Sequence[Entry], number: int | None) -> tuple[Entry, Planned]:
    """The edit that is taken back, and what takes it back.

    Args:
        state: as it is after all entries.
        entries: the whole log.
        number: of the edit; None for the latest that holds.

    Raises:
        EditRefusedError: there is none, it is locked, or something since stands on it.
    """
    entry = edit_to_undo(entries, number)
    return entry, _planned(state, entry, reversed_changes(entry, entries), f"Undo edit {entry.number}")


def plan_redo(state: State, entries: Sequence[Entry]) -> tuple[Entry, Planned]:
    """The edit that is done again, and what does it.

    Raises:
        EditRefusedError: as of `plan_undo`.
    """
    undo = redoable(entries)
    if undo is None:
        raise EditRefusedError("there is nothing to redo.")
    edit = next(e for e in entries if e.number == undo.of)
    return edit, _planned(state, edit, reversed_changes(undo, entries), f"Redo edit {edit.number}")


def _planned(state: State, entry: Entry, changes: tuple[Change, ...], label: str) -> Planned:
    guard(state, changes)
    people = {c.key.removeprefix(PERSON_PREFIX): c for c in changes if c.key.startswith(PERSON_PREFIX)}
    _check_people(state, people)
    after = state.decisions.copy()
    after.apply(changes)
    said = Said.of(after.items())
    others = changed_people(state.cast.people, changes)
    for person, change in people.items():
        if change.after is None and _is_used(person, said, others.values()):
            raise EditRefusedError(
                f"edit {entry.number} cannot be taken back: {state.cast.name(person)}, whom it made, is used "
                "by now. Take back what uses them first."
            )
    left = [c.key.split("/")[1] for c in changes if c.key.endswith("/part") and c.after is None]
    for piece in left:
        decided = piece in said.pins or piece in said.nots or any(piece in pair for pair in said.apart)
        if decided:
            raise EditRefusedError(
                f"edit {entry.number} cannot be taken back: something was decided since on the faces that it "
                "took out of a track. Take that back first."
            )
    return Planned(changes, entry.touches, frozenset({"episode"}), label)


def _check_people(state: State, people: dict[str, Change]) -> None:
    """People are edited in other episodes too, which this episode's log does not tell."""
    for person, change in people.items():
        if value_of(state.cast.people.get(person)) != change.before:
            raise EditRefusedError(
                f"{state.cast.name(person) if person in state.cast.known else 'somebody'} was changed since, "
                "in another episode. Change the person as you want it now."
            )
        name = (change.after or {}).get("name")
        bearer = state.cast.bearer(name) if name else None
        if bearer is not None and bearer.person_id != person and bearer.person_id in state.cast.people:
            raise EditRefusedError(f"somebody else bears the name {name} now. Rename them first.")


def _is_used(person: str, said: Said, people: Iterable[Person]) -> bool:
    return (
        person in said.person.values()
        or any(person in people for people in said.nots.values())
        or any(s.person == person for s in said.spans.values())
        or any(p.into == person for p in people)
    )
