"""Walking the log of an episode: what can be undone and redone, and who was in whose way."""

from collections.abc import Sequence

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.model import Change, Entry, Planned


def undoable(entries: Sequence[Entry]) -> Entry | None:
    """The edit that the next undo takes back: the latest that holds; None where there is none."""
    undone = _undone(entries)
    edits = [e for e in entries if e.kind == "edit" and e.number not in undone]
    return max(edits, key=lambda e: e.number, default=None)


def redoable(entries: Sequence[Entry]) -> Entry | None:
    """The undo that the next redo takes back: the latest, if no edit was made since; else None."""
    last_edit = max((e.number for e in entries if e.kind == "edit"), default=0)
    undone = _undone(entries)
    undos = [e for e in undone.values() if e.number > last_edit]
    return max(undos, key=lambda e: e.number, default=None)


def edit_to_undo(entries: Sequence[Entry], number: int | None) -> Entry:
    """The edit of a number, or the one that is next where None.

    Raises:
        EditRefusedError: there is none, or it is undone already.
    """
    if number is None:
        entry = undoable(entries)
        if entry is None:
            raise EditRefusedError("there is nothing to undo.")
        return entry
    found = next((e for e in entries if e.number == number and e.kind == "edit"), None)
    if found is None:
        raise EditRefusedError(f"there is no edit {number} in this episode. Choose one from its log.")
    if number in _undone(entries):
        raise EditRefusedError(f"edit {number} is undone already. Redo it, or undo another one.")
    return found


def reversed_changes(entry: Entry, entries: Sequence[Entry]) -> tuple[Change, ...]:
    """What takes an entry back.

    Args:
        entry: an edit to undo, or an undo to redo.
        entries: the whole log.

    Raises:
        EditRefusedError: a later entry that still holds stands on it; the reason names that entry.
    """
    later = [e for e in entries if e.number > entry.number]
    for change in entry.changes:
        setter = next((e for e in reversed(later) if any(c.key == change.key for c in e.changes)), None)
        if setter is not None and _value(setter, change.key) != change.after:
            raise _stands_on(entry, setter)
    undone = _undone(entries)
    for other in later:
        if other.kind == "edit" and other.number not in undone and _relies(other, entry):
            raise _stands_on(entry, other)
    return tuple(Change(c.key, c.after, c.before) for c in reversed(entry.changes))


def conflict(planned: Planned, seen: int, entries: Sequence[Entry]) -> Entry | None:
    """The first entry that its maker had not seen and that changed what an edit is about.

    Args:
        planned: the edit.
        seen: number of the last entry that its maker knew of.
        entries: the log; at least what is newer than that.
    """
    # Two who put different faces into one group, or take them out of one, are not in each other's way.
    about = planned.reads | {t for t in planned.touches if not t.startswith("group/")}
    unseen = sorted((e for e in entries if e.number > seen), key=lambda e: e.number)
    return next((e for e in unseen if e.touches & about), None)


def _undone(entries: Sequence[Entry]) -> dict[int, Entry]:
    """Numbers of the edits that do not hold, each with the undo that took it back."""
    undone: dict[int, Entry] = {}
    for e in sorted(entries, key=lambda e: e.number):
        if e.of is None:
            continue
        if e.kind == "undo":
            undone[e.of] = e
        elif e.kind == "redo":
            undone.pop(e.of, None)
    return undone


def _value(entry: Entry, key: str) -> object:
    return next(c.after for c in reversed(entry.changes) if c.key == key)


def _relies(later: Entry, earlier: Entry) -> bool:
    """Whether an entry is about something that an earlier one made what it is, though no key is shared.

    It put a face into a group that the earlier one named or marked, or decided on what was left of a track
    that the earlier one took faces from.
    """
    for change in earlier.changes:
        kind, owner, *rest = change.key.split("/")
        if kind == "group" and rest != ["locked"] and f"group/{owner}/in" in later.touches:
            return True
        if kind == "piece" and rest == ["part"]:
            track = (change.after or change.before)["track"]
            if later.touches & {f"piece/{owner}", f"piece/{track}"}:
                return True
    return False


def _stands_on(entry: Entry, later: Entry) -> EditRefusedError:
    number = entry.number if entry.of is None else entry.of
    what = f"edit {later.number}" if later.of is None else f"the {later.kind} of edit {later.of}"
    verb = "undone" if entry.kind == "edit" else "redone"
    return EditRefusedError(
        f"edit {number} cannot be {verb}: {what} by {later.actor} has since changed the same. "
        f"Take {what} back first."
    )
