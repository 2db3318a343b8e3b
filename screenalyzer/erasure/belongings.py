"""What of an episode belongs to a person: their groups, tracks and faces.

A group bears their name only once it was clustered with the facebank that knows them, or was named by hand.
So the faces that the facebank keeps of them count too, wherever they are in the episode. Groups are those of
the review, as people left them, or as they were found where nothing was reviewed yet.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.erasure.erased import ErasedPath, boxes_of
from screenalyzer.erasure.groups import Group, Piece, found_clusters, groups_of
from screenalyzer.schemas import CHUNK_FACES, EMBEDDINGS
from screenalyzer.tracking.geometry import overlaps
from screenalyzer.types import Bool, Int64

_SHARED = 0.3  # of the smaller box: as much as two boxes on one face share at least, see `same_face`


@dataclass(frozen=True)
class Belongings:
    """Ids, each sorted.

    Attributes:
        cluster_ids: of the groups that bear the name, of those without a name that hold a kept face, and of
            those that would be empty without this person.
        found_ids: of the clusters, as they were found, that would be empty without this person.
        piece_ids: of the tracks and parts of tracks in these groups, and of those of kept faces in the groups
            of others.
        track_ids: of the tracks of which nothing is left.
        det_ids: faces of these pieces, second boxes on such a face, and kept faces that are in no track.
        appearances: where those faces were; what is in no track is an appearance of its own.
        shown: what is shown only for these groups, as "Person 07".
    """

    cluster_ids: tuple[str, ...] = ()
    found_ids: tuple[str, ...] = ()
    piece_ids: tuple[str, ...] = ()
    track_ids: tuple[str, ...] = ()
    det_ids: tuple[str, ...] = ()
    appearances: tuple[ErasedPath, ...] = field(default=())
    shown: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.cluster_ids or self.det_ids)


def belongings(paths: EpisodePaths, name: str, also: Collection[str] = ()) -> Belongings:
    """Everything of a person in an episode; nothing where they are not in it.

    Args:
        paths: the episode.
        name: compared as `people.display_names` does: without space around it, else to the letter.
        also: other names of theirs.

    Raises:
        ArtifactError: a table is missing or damaged.
    """
    names = frozenset(n.strip() for n in (name, *also))
    groups, kept = groups_of(paths), _Kept.of(paths, names)
    if not kept and not any(g.name in names for g in groups):
        return Belongings()
    columns = ["det_id", "track_id", "ts_ms", "bbox"]
    faces = _faces(paths, [*columns, *(["embedding"] if kept else [])])
    hit = kept.among(faces)
    det_ids, track_ids = faces["det_id"].to_pylist(), faces["track_id"].to_pylist()
    hits = {(t, d) for t, d, h in zip(track_ids, det_ids, hit, strict=True) if h}
    own, pieces, gone = _theirs(groups, names, hits)
    theirs = np.array([gone(t, d) for t, d in zip(track_ids, det_ids, strict=True)], dtype=bool)
    rows = np.flatnonzero(theirs)
    singles = np.union1d(np.flatnonzero(hit & ~theirs), _doubles(faces, np.flatnonzero(theirs | hit)))
    left = {t for t, mine in zip(track_ids, theirs, strict=True) if not mine}
    tracks = {track_ids[r] for r in rows} - left
    shown = {g.shown for g in own} - {g.shown for g in groups if g not in own}
    return Belongings(
        _sorted(g.group_id for g in own),
        _sorted(c for c, members in found_clusters(paths).items() if members and members <= tracks),
        _sorted(pieces),
        _sorted(tracks),
        _sorted(det_ids[r] for r in [*rows, *singles]),
        _appearances(faces, rows, singles),
        _sorted(shown),
    )


def _sorted(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(ids))


def _theirs(
    groups: Sequence[Group], names: frozenset[str], hits: set[tuple[str | None, str]]
) -> tuple[list[Group], set[str], Callable[[str | None, str], bool]]:
    """Groups that go, pieces that go, and whether a face, by its track and id, goes with them."""
    hit_tracks = {t for t, _ in hits}
    touched = (p for g in groups for p in g.pieces if p.track_id in hit_tracks)
    hit_pieces = {p.piece_id for p in touched if any(p.holds(*h) for h in hits)}
    own = [
        g
        for g in groups
        if g.name in names
        or (not g.name and any(p.piece_id in hit_pieces for p in g.pieces))
        or (g.pieces and all(p.piece_id in hit_pieces for p in g.pieces))
    ]
    going = [p for g in groups for p in g.pieces if g in own or p.piece_id in hit_pieces]
    grouped = {p.track_id for g in groups for p in g.pieces}
    going += [Piece(t, t, None) for t, _ in hits if t is not None and t not in grouped]
    by_track: dict[str, list[Piece]] = {}
    for piece in going:
        by_track.setdefault(piece.track_id, []).append(piece)

    def gone(track_id: str | None, det_id: str) -> bool:
        return any(p.holds(track_id, det_id) for p in by_track.get(track_id or "", ()))

    return own, {p.piece_id for p in going}, gone


@dataclass(frozen=True)
class _Kept:
    """The faces that the facebank keeps of a person: ids of detections, and vectors as float32 bytes."""

    det_ids: frozenset[str]
    vectors: frozenset[bytes]

    @classmethod
    def of(cls, paths: EpisodePaths, names: Collection[str]) -> "_Kept":
        bank = facebank.load(paths.facebank)
        faces = [f for n, held in bank.people.items() if n.strip() in names for f in held] if bank else []
        vectors = (f.embedding.astype("<f4").tobytes() for f in faces)
        return cls(frozenset(f.det_id for f in faces), frozenset(vectors))

    def __bool__(self) -> bool:
        return bool(self.det_ids)

    def among(self, faces: pa.Table) -> Bool:
        """Which rows are such faces: bool[n]."""
        if not self:
            return np.zeros(len(faces), dtype=bool)
        held = faces["embedding"]
        vectors = (np.asarray(v.values, dtype="<f4").tobytes() for chunk in held.chunks for v in chunk)
        same = np.fromiter((v in self.vectors for v in vectors), dtype=bool, count=len(faces))
        return np.asarray(same | _among(faces["det_id"], self.det_ids), dtype=bool)


def _faces(paths: EpisodePaths, columns: list[str]) -> pa.Table:
    """The faces of the episode, and those of chunks that are not among them; these are in no track."""
    parts = [read_table(paths.embeddings, EMBEDDINGS, columns)] if paths.embeddings.exists() else []
    if "embedding" in columns:
        known = pa.array([d for p in parts for d in p["det_id"].to_pylist()], pa.string())
        of_chunk = [c for c in columns if c != "track_id"]
        for path in sorted(paths.chunks.glob("faces-*.parquet")):
            table = read_table(path, CHUNK_FACES, of_chunk)
            fresh = table.filter(pc.invert(pc.is_in(table["det_id"], value_set=known)))
            nowhere = fresh.append_column("track_id", pa.nulls(len(fresh), pa.string()))
            parts += [nowhere.select(columns)] if len(fresh) else []
    bare = [p.replace_schema_metadata() for p in parts]
    none = pa.schema([EMBEDDINGS.field(c) for c in columns]).empty_table()
    return pa.concat_tables(bare).combine_chunks() if bare else none


def _among(column: pa.ChunkedArray, values: Collection[str]) -> Bool:
    chosen = pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))
    return np.asarray(chosen.to_numpy(zero_copy_only=False), dtype=bool)


def _doubles(faces: pa.Table, rows: Int64) -> Int64:
    """Rows without a track whose box lies on one of the faces of their frame."""
    ts_ms, boxes = faces["ts_ms"].to_numpy(), boxes_of(faces)
    free = np.flatnonzero(pc.is_null(faces["track_id"]).to_numpy(zero_copy_only=False))
    found = []
    for row in free[np.isin(ts_ms[free], ts_ms[rows])]:
        beside = rows[ts_ms[rows] == ts_ms[row]]
        _, inside = overlaps(boxes[row : row + 1], boxes[beside])
        if (inside > _SHARED).any():
            found.append(int(row))
    return np.array(found, dtype=np.int64)


def _appearances(faces: pa.Table, rows: Int64, singles: Int64) -> tuple[ErasedPath, ...]:
    ts_ms, boxes = faces["ts_ms"].to_numpy(), boxes_of(faces)
    by_track: dict[str, list[int]] = {}
    for row, track_id in zip(rows, faces["track_id"].take(pa.array(rows)).to_pylist(), strict=True):
        by_track.setdefault(track_id, []).append(int(row))
    groups = [np.array(by_track[t], dtype=np.int64) for t in sorted(by_track)]
    ordered = [g[np.argsort(ts_ms[g], kind="stable")] for g in groups] + [np.array([d]) for d in singles]
    return tuple(ErasedPath(ts_ms[g], boxes[g]) for g in ordered)
