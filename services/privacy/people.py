"""The people of a show: whom its review knows, whom its facebank knows, and whom an episode's groups name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from screenalyzer import artifacts, facebank, storage
from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.review.cast import Cast
from screenalyzer.review.model import Person
from screenalyzer.schemas import CLUSTERS
from screenalyzer.storage import Selection
from services.review import people


@dataclass(frozen=True)
class ShowPerson:
    """A person of a show.

    Attributes:
        person_id: stays, whatever the name becomes; derived from the name until somebody edits them.
        name: as it was given.
        face_count: faces that the facebank keeps.
        episodes: names of the episodes that they were found or kept in, sorted.
    """

    person_id: str
    name: str
    face_count: int
    episodes: tuple[str, ...]


def people_of(
    root: Path, show: str, episodes: Iterable[str], known: Sequence[Person] = ()
) -> list[ShowPerson]:
    """Everybody who has a name in a show, sorted by name.

    Args:
        root: the data root.
        show: its name in paths.
        episodes: names of its episodes, likewise.
        known: the people of its reviews; files may bear names that are theirs no longer.

    Raises:
        ArtifactError: a file is damaged or of another schema.
    """
    there, counts, cast = set(episodes), dict[str, int](), Cast({p.person_id: p for p in known}, ())
    seen: dict[str, set[str]] = {p.name: set() for p in known if p.into is None}
    ids = {p.name: p.person_id for p in known if p.into is None}

    def now(name: str) -> str:
        person_id = cast.by_name(name)
        return cast.name(person_id) if person_id else name

    folder = root / "facebank" / show
    storage.pull(Selection(folder), within_s=artifacts.FRESH_S)
    bank = facebank.load(folder)
    for name, faces in bank.people.items() if bank else ():
        counts[now(name)] = counts.get(now(name), 0) + len(faces)
        # A face may name its episode with or without the show.
        seen.setdefault(now(name), set()).update({f.episode.rsplit("/", 1)[-1] for f in faces} & there)
    for episode in there:
        for name in _named(EpisodePaths(root, show, episode)):
            seen.setdefault(now(name), set()).add(episode)
    return [
        ShowPerson(ids.get(n) or facebank.person_id(n.strip()), n, counts.get(n, 0), tuple(sorted(seen[n])))
        for n in sorted(seen)
    ]


def rows_of(session: Session, show_id: str, person_id: str) -> list[Person]:
    """All rows of one person: theirs, and those of people who were found to be them.

    Args:
        session: to read from.
        show_id: of the show.
        person_id: of the row, or derived from the name.
    """
    known = people.of_show(session, show_id)
    meant = [p.person_id for p in known if p.person_id == person_id]
    meant += [p.person_id for p in known if facebank.person_id(p.name.strip()) == person_id]
    return people.same_as(known, meant[0]) if meant else []


def _named(paths: EpisodePaths) -> set[str]:
    artifacts.pull(paths, within_s=artifacts.FRESH_S)
    path = paths.reviewed_clusters if paths.reviewed_clusters.is_file() else paths.clusters
    if not path.is_file():
        return set()
    return {n for n in read_table(path, CLUSTERS, ["name"]).column("name").to_pylist() if n}
