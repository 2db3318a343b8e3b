"""Taking a person out of the reviews of a show: the log is as if nobody had ever spoken of them."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.errors import ArtifactError
from screenalyzer.review.decisions import PERSON_PREFIX
from screenalyzer.review.model import Person
from screenalyzer.schemas import CLUSTERS
from services.db.models import Anchor, Edit, Episode, Show, new_id
from services.privacy.database import Needles
from services.privacy.people import people_of
from services.review import lines, people
from services.review.record import decisions_of

_REMOVED = "(removed)"


def pieces_of(
    session: Session, episode_id: str, paths: EpisodePaths, everybody: Iterable[Person],
    names: Collection[str],
) -> list[str]:  # fmt: skip
    """The pieces of an episode that people said are this person's: their decisions and looks go with them.

    Args:
        session: to read from.
        episode_id: of the episode.
        paths: of its artifacts; clusters that bear the name are theirs too.
        everybody: all rows of the person.
        names: all that they are and were called.
    """
    mine = {p.person_id for p in everybody}
    items = decisions_of(lines.read(session, episode_id)).items()
    groups = {key.split("/")[1] for key, value in items.items() if _says_person(key) and value in mine}
    for path in (paths.clusters, paths.reviewed_clusters):
        groups |= _named(path, names)
    of_pieces = [(key.split("/"), value) for key, value in items.items() if key.startswith("piece/")]
    return sorted({parts[1] for parts, value in of_pieces if parts[2] == "group" and value in groups})


def forget_person(
    session: Session,
    show_id: str,
    person_ids: Collection[str],
    names: Collection[str],
    pieces: Mapping[str, Collection[str]],
) -> int:
    """Take a person out of every log of a show, out of the anchors, and out of its people.

    What was said of their faces was never said; undo and redo of everything else go on. All reviews are
    published again.

    Args:
        session: of a writing transaction.
        show_id: of the show.
        person_ids: of the person, and of whoever was found to be them.
        names: all that these are and were called.
        pieces: of each episode's id what `pieces_of` found.

    Returns:
        How many rows changed or went.
    """
    people.hold(session, show_id)
    needles = Needles([*names, *person_ids])
    folded = {n.casefold() for n in names}
    episodes = select(Episode.id).where(Episode.show_id == show_id)
    count = 0
    rows = session.scalars(select(Edit).where(Edit.episode_id.in_(episodes)).order_by(Edit.number)).all()
    newest = {row.episode_id: row for row in rows}
    for row in rows:
        gone = set(pieces.get(row.episode_id, ()))
        before = (row.changes, row.operation, row.label, row.touches)
        row.changes = _without(row.changes, set(person_ids), gone)
        row.operation = needles.without(_unnamed(row.operation, folded), _REMOVED)
        row.label = needles.without(row.label, _REMOVED)
        row.touches = [t for t in row.touches if t.removeprefix(PERSON_PREFIX) not in person_ids]
        if (row.changes, row.operation, row.label, row.touches) != before:
            count += 1
            newest[row.episode_id].id = new_id()  # desks that have applied the log see that it is another one
    for episode_id, own in pieces.items():
        count += len(
            session.scalars(
                delete(Anchor)
                .where(Anchor.episode_id == episode_id, Anchor.piece_id.in_(own))
                .returning(Anchor.piece_id)
            ).all()
        )
    session.execute(update(Episode).where(Episode.show_id == show_id).values(published_revision=-1))
    people.bump(session, show_id)  # also for somebody whom only the facebank knows
    return count + people.forget(session, show_id, person_ids)


def forget_unused(session: Session, root: Path, show_id: str) -> int:
    """Delete the people of a show whom nothing knows any longer: no log, no episode, no kept face.

    Args:
        session: of a writing transaction.
        root: the data root.
        show_id: of the show, which may be gone.

    Returns:
        How many there were; none while a file is damaged, which may know them.
    """
    people.hold(session, show_id)
    show = session.get(Show, show_id)
    if show is None:
        return 0
    episodes = session.scalars(select(Episode).where(Episode.show_id == show_id)).all()
    mine = Edit.episode_id.in_([e.id for e in episodes])
    said = json.dumps([[e.changes, e.operation] for e in session.scalars(select(Edit).where(mine))])
    known = people.of_show(session, show_id)
    try:
        seen = people_of(root, show.name, [e.name for e in episodes], known)
    except ArtifactError:
        return 0
    kept = {p.person_id for p in seen if p.face_count or p.episodes}
    kept |= {p.person_id for p in known if p.person_id in said}
    return people.forget(session, show_id, {p.person_id for p in known if not kept & _ids(known, p)})


def _ids(known: list[Person], person: Person) -> set[str]:
    return {p.person_id for p in people.same_as(known, person.person_id)}


def _says_person(key: str) -> bool:
    return key.startswith("group/") and key.endswith("/person")


def _named(path: Path, names: Collection[str]) -> set[str]:
    if not path.is_file():
        return set()
    table = read_table(path, CLUSTERS, ["cluster_id", "name"])
    folded = {n.casefold() for n in names}
    rows = zip(table["cluster_id"].to_pylist(), table["name"].to_pylist(), strict=True)
    return {cluster_id for cluster_id, name in rows if (name or "").strip().casefold() in folded}


def _without(changes: list[list[Any]], person_ids: set[str], pieces: set[str]) -> list[list[Any]]:
    """The changes without a person and their pieces; what is left of a key is still one chain."""
    left = []
    for key, before, after in changes:
        kind, *parts = key.split("/")
        about_person = (kind == "person" and parts[0] in person_ids) or (
            kind == "piece" and parts[1] == "not" and parts[2] in person_ids
        )
        about_piece = (kind == "piece" and parts[0] in pieces) or (kind == "apart" and pieces & set(parts))
        if about_person or about_piece:
            continue
        old, new = (_unless(value, person_ids) for value in (before, after))
        if old != new:
            left.append([key, old, new])
    return left


def _unless(value: Any, person_ids: set[str]) -> Any:
    """A value; None where it speaks of one of these people."""
    about = value.get("person") if isinstance(value, dict) else value
    return None if isinstance(about, str) and about in person_ids else value


def _unnamed(operation: dict[str, Any], folded: set[str]) -> dict[str, Any]:
    name = operation.get("name")
    theirs = isinstance(name, str) and name.casefold() in folded
    return {**operation, "name": _REMOVED} if theirs else operation
