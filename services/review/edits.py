"""Applying an edit: worked out at the desk, written into SQL, and seen by nobody before it is committed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from screenalyzer.errors import InputError
from screenalyzer.review import log
from screenalyzer.review.carrying.anchors import anchors_of
from screenalyzer.review.decisions import PERSON_PREFIX
from screenalyzer.review.desk import Desk, pinned_by
from screenalyzer.review.model import Entry, EntryKind, Planned
from screenalyzer.review.operations import Operation
from services.access.sessions import Caller
from services.db.models import ENDED, Edit, Episode, Job, Show
from services.review import lines, people, record
from services.review.desks import Open
from services.review.lines import Line

if TYPE_CHECKING:
    from services.context import Services


class ConflictError(InputError):
    """Somebody has changed since what the edit would change, or relies on."""


class UnseenRevisionError(InputError):
    """The revision that was named has not been yet."""


class PurgeError(InputError):
    """Something of the show is being purged."""


@dataclass(frozen=True)
class Wanted:
    """An edit as it was asked for.

    Attributes:
        episode_id: of an episode that exists.
        show_id: of its show.
        caller: who asks.
        seen: the revision that they have seen; None for whatever it is.
    """

    episode_id: str
    show_id: str
    caller: Caller
    seen: int | None


@dataclass(frozen=True)
class Made:
    """An edit that is applied and not yet committed.

    Attributes:
        held: the desk, after it.
        line: of the log; None where it changed nothing.
        seen: the revision that the caller had seen before.
        since: lines that others have added since.
    """

    held: Open
    line: Line | None
    seen: int
    since: Sequence[Line]


# Works an edit out: its kind, the number and the operation of the edit that it is about, and its changes.
Worked = tuple[EntryKind, int | None, dict[str, object], Planned]
WorkOut = Callable[[Desk, Sequence[Entry]], Worked]


def operation(asked: Operation) -> WorkOut:
    """A new edit."""

    def work_out(desk: Desk, _entries: Sequence[Entry]) -> Worked:
        return "edit", None, asked.model_dump(mode="json"), desk.plan(asked)

    return work_out


def undo(number: int | None = None) -> WorkOut:
    """Take an edit back; the last one that stands where none is named."""

    def work_out(desk: Desk, entries: Sequence[Entry]) -> Worked:
        entry, planned = desk.plan_undo(entries, number)
        return "undo", _edit_of(entry), entry.operation, planned

    return work_out


def redo() -> WorkOut:
    """Do what was taken back last once more."""

    def work_out(desk: Desk, entries: Sequence[Entry]) -> Worked:
        entry, planned = desk.plan_redo(entries)
        return "redo", _edit_of(entry), entry.operation, planned

    return work_out


def _edit_of(entry: Entry) -> int:
    return entry.number if entry.of is None else entry.of


@contextmanager
def made(services: "Services", session: Session, wanted: Wanted, work_out: WorkOut) -> Iterator[Made]:
    """Apply an edit for the time of the block, which commits the session; else it is as if it never was.

    Args:
        services: of the process.
        session: of a writing transaction.
        wanted: who, where, and on what they have seen.
        work_out: the edit.

    Raises:
        EditRefusedError: it cannot be made as things are.
        ConflictError: somebody has come between.
        UnseenRevisionError: the revision that they say they have seen is none.
        PurgeError: something of the show is being purged.
        ArtifactError: there is nothing to review.
    """
    people.hold(session, wanted.show_id)
    session.execute(select(Episode.id).where(Episode.id == wanted.episode_id).with_for_update(key_share=True))
    _refuse_beside_purge(session, wanted)
    with services.desks.open(session, wanted.episode_id) as held:
        entries = [line.entry for line in held.lines]
        seen = held.revision if wanted.seen is None else wanted.seen
        if seen > held.revision:
            raise UnseenRevisionError(f"This review is at revision {held.revision}. Read it again.")
        kind, of, asked, planned = work_out(held.desk, entries)
        _refuse_conflict(held, planned, seen)
        line = None
        if planned.changes:
            entry = Entry(
                number=held.revision + 1,
                kind=kind,
                of=of,
                operation=asked,
                changes=planned.changes,
                touches=planned.touches,
                actor=wanted.caller.name,
            )
            held.unsure = True
            line = _write(session, wanted, held, entry, planned)
        since = [x for x in held.lines[seen:] if x.user_id != wanted.caller.user_id]
        yield Made(held, line, seen, since)
        held.unsure = False


def _write(session: Session, wanted: Wanted, held: Open, entry: Entry, planned: Planned) -> Line:
    """Put the edit into SQL and onto the desk."""
    people.change(session, wanted.show_id, wanted.episode_id, entry.changes)
    row: Edit = lines.row_of(wanted.episode_id, entry, planned, wanted.caller)
    session.add(row)
    session.flush()
    held.desk.apply(entry.changes)
    if any(c.key.startswith(PERSON_PREFIX) for c in entry.changes):
        revision = session.scalar(select(Show.people_revision).where(Show.id == wanted.show_id)) or 0
        held.take_people(people.of_show(session, wanted.show_id), revision)
    line = lines.line_of(row)
    held.lines.append(line)
    held.look_again(entry.number)
    fresh = anchors_of(held.desk, [p for p in pinned_by(entry.changes) if p not in held.anchors])
    record.keep_anchors(session, wanted.episode_id, fresh)
    held.anchors.update(fresh)
    return line


def _refuse_conflict(held: Open, planned: Planned, seen: int) -> None:
    other = log.conflict(planned, seen, [line.entry for line in held.lines])
    if other is None:
        return
    line = held.lines[other.number - 1]
    raise ConflictError(
        f"{other.actor} has changed the same meanwhile: {line.label} ({other.number}, "
        f"{line.at:%H:%M:%S} UTC). Look at it, then decide anew."
    )


def _refuse_beside_purge(session: Session, wanted: Wanted) -> None:
    live = session.scalars(
        select(Job.params).where(Job.kind == "purge", Job.show_id == wanted.show_id, Job.state.not_in(ENDED))
    )
    for params in live:
        if params["target"] != "episode" or params["episode_id"] == wanted.episode_id:
            raise PurgeError("This is being purged, or a person of the show is. Wait for it.")
