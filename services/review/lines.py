"""The log of an episode's review in SQL, as the domain's entries."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from screenalyzer.review.decisions import PERSON_PREFIX
from screenalyzer.review.model import Change, Entry, Planned
from services.access.sessions import Caller
from services.db.models import Edit, Episode, Show


@dataclass(frozen=True)
class Line:
    """An entry with what only people ask of it.

    Attributes:
        entry: as the domain knows it.
        id: of the row.
        label: what was done, in words.
        at: when.
        user_id: who did it; None where the user is gone.
    """

    entry: Entry
    id: str
    label: str
    at: datetime
    user_id: str | None


def read(session: Session, episode_id: str, after: int = 0) -> list[Line]:
    """The lines above a number, ascending."""
    query = select(Edit).where(Edit.episode_id == episode_id, Edit.number > after).order_by(Edit.number)
    return [line_of(row) for row in session.scalars(query)]


def newest(session: Session, episode_id: str) -> int:
    """The review's revision; 0 where nobody has edited it."""
    return session.scalar(select(func.max(Edit.number)).where(Edit.episode_id == episode_id)) or 0


def people_revision(session: Session, episode_id: str) -> int:
    """Counts the changes of the people of the episode's show."""
    query = select(Show.people_revision).join(Episode, Episode.show_id == Show.id)
    return session.scalar(query.where(Episode.id == episode_id)) or 0


def line_of(row: Edit) -> Line:
    """A row as the domain knows it."""
    entry = Entry(
        number=row.number,
        kind=row.kind,  # type: ignore[arg-type]  # only `row_of` writes it
        of=row.of,
        operation=row.operation,
        changes=tuple(Change(*c) for c in row.changes),
        touches=frozenset(row.touches),
        actor=row.actor,
    )
    return Line(entry, row.id, row.label, row.created_at, row.user_id)


def own_changes(entry: Entry) -> list[Change]:
    """What an entry changes of the episode: without the people, who are the show's and have a table."""
    return [c for c in entry.changes if not c.key.startswith(PERSON_PREFIX)]


def row_of(episode_id: str, entry: Entry, planned: Planned, caller: Caller) -> Edit:
    """A new row; to be added."""
    return Edit(
        episode_id=episode_id,
        number=entry.number,
        kind=entry.kind,
        of=entry.of,
        operation=entry.operation,
        changes=[list(c) for c in entry.changes],
        touches=sorted(entry.touches),
        label=planned.label,
        user_id=caller.user_id,
        actor=entry.actor,
    )
