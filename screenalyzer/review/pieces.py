"""Pieces: what a person can decide on. Each track is one, less its parts; each part is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from screenalyzer.review.model import Base, Part
from screenalyzer.tracking.spans import spans_of
from screenalyzer.types import Int64, Span, Track


@dataclass(frozen=True, eq=False)
class Piece:
    """Some detections of a track that are decided on as one; two pieces are the same if they are one object.

    Attributes:
        piece_id: the track's id for what is left of a track, else the part's.
        track: theirs.
        members: int64[k], rows of the observations, ascending in time; at least one.
        start_ms: of the first.
        spans: when it is on screen.
        seen_ms: how long.
        samples: det ids that a picture is kept of, best first.
        whole: it is all of its track.
    """

    piece_id: str
    track: Track
    members: Int64
    start_ms: int
    spans: tuple[Span, ...]
    seen_ms: int
    samples: tuple[str, ...]
    whole: bool

    @property
    def track_id(self) -> str:
        """Of its track."""
        return self.track.track_id

    @property
    def order(self) -> tuple[int, str]:
        """Pieces are listed by this."""
        return self.start_ms, self.piece_id


class Cutter:
    """Cuts the tracks of an episode into pieces; the same cut gives the same objects.

    Attributes:
        row: det id to row of the observations, of all that belong to a track.
        tracks: by id.
    """

    def __init__(self, base: Base) -> None:
        """Take every track as one piece."""
        self._base = base
        self.tracks = {t.track_id: t for t in base.tracks}
        self._det_id: list[str] = base.obs.det_id.tolist()
        self._track_of = {r: t.track_id for t in base.tracks for r in t.members.tolist()}
        self.row: dict[str, int] = {self._det_id[r]: r for r in self._track_of}
        self._made: dict[tuple[str, bytes], Piece] = {}
        ordered = sorted(base.tracks, key=lambda t: (t.start_ms, t.track_id))
        spans = spans_of([t.members for t in ordered], base.obs, base.grid)
        self._whole = {
            t.track_id: self._piece(t.track_id, t, t.members, own)
            for t, own in zip(ordered, spans, strict=True)
        }

    def track_at(self, row: int) -> str:
        """Id of the track that a row of the observations belongs to."""
        return self._track_of[row]

    def det_ids(self, members: Int64) -> list[str]:
        """Ids of detections by row."""
        return [self._det_id[r] for r in members.tolist()]

    def whole(self, track_id: str) -> Piece:
        """A track as one piece."""
        return self._whole[track_id]

    def cut(self, parts: Mapping[str, Part]) -> dict[str, Piece]:
        """The pieces, by start and id.

        Args:
            parts: by id. What is not there is left out; of two that claim a detection the lesser id has it.
        """
        taken: dict[str, set[int]] = {}
        found: list[Piece] = []
        for piece_id, part in sorted(parts.items()):
            track, gone = self.tracks.get(part.track_id), taken.setdefault(part.track_id, set())
            if track is None:
                continue
            rows = {self.row[d] for d in part.det_ids if d in self.row}
            rows = {r for r in rows if self._track_of[r] == track.track_id} - gone
            if rows:
                gone |= rows
                found.append(self._piece(piece_id, track, np.array(sorted(rows), dtype=np.int64)))
        if not found:
            return self._whole
        pieces = [*found, *(p for t, p in self._whole.items() if not taken.get(t))]
        for track_id, rows in taken.items():
            track = self.tracks.get(track_id)
            if track is not None and rows and len(rows) < track.count:
                left = track.members[~np.isin(track.members, sorted(rows))]
                pieces.append(self._piece(track_id, track, left))
        return {p.piece_id: p for p in sorted(pieces, key=lambda p: p.order)}

    def _piece(
        self, piece_id: str, track: Track, members: Int64, known: Sequence[Span] | None = None
    ) -> Piece:
        key = piece_id, members.tobytes()
        if key not in self._made:
            obs, grid = self._base.obs, self._base.grid
            spans = tuple(spans_of([members], obs, grid)[0] if known is None else known)
            own = set(self.det_ids(members))
            self._made[key] = Piece(
                piece_id=piece_id,
                track=track,
                members=members,
                start_ms=int(obs.ts_ms[members[0]]),
                spans=spans,
                seen_ms=sum(s.length_ms for s in spans),
                samples=tuple(d for d in self._base.samples.get(track.track_id, ()) if d in own),
                whole=len(members) == track.count,
            )
        return self._made[key]
