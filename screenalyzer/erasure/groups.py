"""The groups of an episode, as people left them or as they were found, for an erasure."""

from dataclasses import dataclass

import pyarrow as pa

from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.people import display_names
from screenalyzer.review import record
from screenalyzer.review.cast import Cast
from screenalyzer.schemas import CLUSTERS, MEMBERS, REVIEWED_MEMBERS


@dataclass(frozen=True)
class Piece:
    """A track, or some detections of one.

    Attributes:
        piece_id: as in the table of members.
        track_id: the track.
        det_ids: which of its detections; all where None.
    """

    piece_id: str
    track_id: str
    det_ids: frozenset[str] | None

    def holds(self, track_id: str | None, det_id: str) -> bool:
        """Whether a detection, of a track, is one of the piece."""
        return self.track_id == track_id and (self.det_ids is None or det_id in self.det_ids)


@dataclass(frozen=True)
class Group:
    """Pieces of one person.

    Attributes:
        group_id: as in the table of clusters.
        name: empty while there is none.
        shown: what it is called.
        pieces: of it.
    """

    group_id: str
    name: str
    shown: str
    pieces: tuple[Piece, ...]


def is_reviewed(paths: EpisodePaths) -> bool:
    """Whether the tables of the review stand; while a stage before them runs they are of another run."""
    return paths.marker("assist").exists() and paths.reviewed_clusters.exists()


def groups_of(paths: EpisodePaths) -> list[Group]:
    """The groups; none where nothing was clustered yet.

    Raises:
        ArtifactError: a table is missing or damaged.
    """
    pieces: dict[str, list[Piece]] = {}
    if is_reviewed(paths):
        table = read_table(paths.reviewed_clusters, CLUSTERS)
        for m in read_table(paths.reviewed_members, REVIEWED_MEMBERS).to_pylist():
            dets = frozenset(m["det_ids"]) if m["det_ids"] is not None else None
            piece = Piece(m["track_id"], m["part_of"] or m["track_id"], dets)
            pieces.setdefault(m["cluster_id"], []).append(piece)
    elif paths.clusters.exists():
        table = read_table(paths.clusters, CLUSTERS)
        for m in read_table(paths.members, MEMBERS).to_pylist():
            piece = Piece(m["track_id"], m["track_id"], None)
            pieces.setdefault(m["cluster_id"], []).append(piece)
    else:
        return []
    names = (n or "" for n in table["name"].to_pylist())
    shown = display_names(table)
    return [
        Group(c, name.strip(), shown[c], tuple(pieces.get(c, ())))
        for c, name in zip(table["cluster_id"].to_pylist(), names, strict=True)
    ]


def found_clusters(paths: EpisodePaths) -> dict[str, frozenset[str]]:
    """The tracks of each cluster as it was found; empty where nothing was clustered yet.

    Raises:
        ArtifactError: the table is damaged.
    """
    found: dict[str, set[str]] = {}
    if paths.members.exists():
        for m in read_table(paths.members, MEMBERS).to_pylist():
            found.setdefault(m["cluster_id"], set()).add(m["track_id"])
    return {c: frozenset(tracks) for c, tracks in found.items()}


def names_in(paths: EpisodePaths) -> frozenset[str]:
    """The names that groups of an episode bear, as they are shown, and that its review knows.

    Raises:
        ArtifactError: a file is damaged.
    """
    tables = [p for p in (paths.clusters, paths.reviewed_clusters) if p.exists()]
    columns: list[pa.ChunkedArray] = [read_table(p, CLUSTERS, ["name"])["name"] for p in tables]
    found = [n for column in columns for n in column.to_pylist()]
    return frozenset(shown for n in found if (shown := (n or "").strip()))


@dataclass(frozen=True)
class Known:
    """Whom the review knows under a name.

    Attributes:
        people_ids: in the record of the review, of the person and of those found to be the same.
        names: all that these bear or bore, without those that somebody else bears now.
    """

    people_ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def known_as(paths: EpisodePaths, name: str) -> Known:
    """Whom the record of the review knows under a name; nobody where there is none.

    Raises:
        ArtifactError: the record is damaged.
    """
    people = record.load(paths).people
    cast = Cast({p.person_id: p for p in people}, ())
    heads = {p.person_id: cast.resolve(p.person_id) for p in people}
    now = {heads[p.person_id] for p in people if p.name.strip() == name and p.into is None}
    once = {heads[p.person_id] for p in people if name in {n.strip() for n in (p.name, *p.former)}}
    same = [p for p in people if heads[p.person_id] in (now or once)]
    others = {p.name.strip() for p in people if p not in same}
    names = {n.strip() for p in same for n in (p.name, *p.former)} - others
    return Known(frozenset(p.person_id for p in same), frozenset(names))
