"""The people of a show in SQL. Their names hold in all of its episodes.

Whoever changes them holds the show's row, so that changes from several episodes take turns.
"""

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.cast import changed_people
from screenalyzer.review.decisions import PERSON_PREFIX
from screenalyzer.review.model import Change, Person
from services.db import models
from services.db.models import Edit, Episode, Show


def hold(session: Session, show_id: str) -> None:
    """Keep others from changing the people of a show until the transaction ends."""
    session.execute(select(Show.id).where(Show.id == show_id).with_for_update(key_share=True))


def of_show(session: Session, show_id: str) -> list[Person]:
    """Everybody of a show, by id."""
    query = select(models.Person).where(models.Person.show_id == show_id).order_by(models.Person.id)
    return [person_of(row) for row in session.scalars(query)]


def person_of(row: models.Person) -> Person:
    """A row as the domain knows it."""
    return Person(row.id, row.name, row.into, tuple(row.former))


def change(session: Session, show_id: str, episode_id: str, changes: Collection[Change]) -> None:
    """Apply the changes of people that an edit makes, in every episode.

    A person whom another episode's log knows stays, though the edit that made them is undone.

    Raises:
        EditRefusedError: a name is somebody else's.
    """
    mine = [c for c in changes if c.key.startswith(PERSON_PREFIX)]
    if not mine:
        return
    after = changed_people({p.person_id: p for p in of_show(session, show_id)}, mine)
    for person_id in dict.fromkeys(c.key.removeprefix(PERSON_PREFIX) for c in mine):
        row = session.get(models.Person, (show_id, person_id))
        person = after.get(person_id)
        if person is not None:
            _refuse_taken(after, person)
            _write(session, show_id, row, person)
        elif row is not None and not _known_elsewhere(session, show_id, episode_id, person_id):
            session.delete(row)
        session.flush()
    bump(session, show_id)
    if any(c.before is not None for c in mine):
        _publish_others(session, show_id, episode_id, renamed=all(map(_only_renames, mine)))


def _only_renames(change: Change) -> bool:
    """Whether everybody stays who they are: somebody is made, or is called otherwise."""
    if change.before is None:
        return True
    return change.after is not None and bool(change.before["into"] == change.after["into"])


def forget(session: Session, show_id: str, person_ids: Collection[str]) -> int:
    """Delete people; returns how many there were."""
    rows = session.scalars(
        select(models.Person).where(models.Person.show_id == show_id, models.Person.id.in_(person_ids))
    ).all()
    for row in rows:
        session.delete(row)
    if rows:
        bump(session, show_id)
    session.flush()
    return len(rows)


def same_as(people: Iterable[Person], person_id: str) -> list[Person]:
    """A person with everybody who was found to be them; empty for a stranger."""
    known = {p.person_id: p for p in people}
    if person_id not in known:
        return []
    end = _end(known, person_id)
    return [p for p in known.values() if _end(known, p.person_id) == end]


def _end(known: dict[str, Person], person_id: str) -> str:
    seen = {person_id}
    while (into := known[person_id].into) and into in known and into not in seen:
        person_id = into
        seen.add(into)
    return person_id


def _refuse_taken(people: Mapping[str, Person], person: Person) -> None:
    key = person.name.casefold()
    if any(p.name.casefold() == key and p.person_id != person.person_id for p in people.values()):
        raise EditRefusedError(
            f"Somebody else of the show is called {person.name!r}. Choose another name, or rename them first."
        )


def _write(session: Session, show_id: str, row: models.Person | None, person: Person) -> None:
    if row is None:
        row = models.Person(show_id=show_id, id=person.person_id)
        session.add(row)
    row.name, row.name_key = person.name, person.name.casefold()
    row.into, row.former = person.into, list(person.former)


def _known_elsewhere(session: Session, show_id: str, episode_id: str, person_id: str) -> bool:
    """Whether the log of another episode of the show speaks of a person."""
    others = select(Edit.touches, Edit.changes).join(Episode, Episode.id == Edit.episode_id)
    query = others.where(Episode.show_id == show_id, Episode.id != episode_id)
    key = f"{PERSON_PREFIX}{person_id}"
    return any(
        key in row.touches or any(person_id in str(c) for c in row.changes) for row in session.execute(query)
    )


def _publish_others(session: Session, show_id: str, episode_id: str, *, renamed: bool) -> None:
    """Have the files of all other episodes written again; see `Episode.published_revision`."""
    others = select(Episode.id).where(Episode.show_id == show_id, Episode.id != episode_id)
    known = Episode.published_revision
    value = case((known >= 0, -2 - known), else_=known) if renamed else -1
    for other in session.scalars(others.order_by(Episode.id)).all():
        session.execute(update(Episode).where(Episode.id == other).values(published_revision=value))


def but_for_names(revision: int) -> int:
    """What `Episode.published_revision` is where files show a revision under names that people had before."""
    return -2 - revision


def bump(session: Session, show_id: str) -> None:
    """Say that the people of a show, or what is kept of them, have changed."""
    session.execute(update(Show).where(Show.id == show_id).values(people_revision=Show.people_revision + 1))
