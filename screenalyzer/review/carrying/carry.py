"""Where the pieces that people decided on lie in another run: by time and place, checked by appearance.

The video is the same, so the face that a decision was about is where it was, when it was. A run with other
settings only cuts its time into other detections and tracks. So each detection of the new run is held against
the path that a piece is kept with (`anchors`): where boxes overlap at that very time, it is the same face. A
crossing or a cut can still put somebody else there; who looks like another person is not taken.

A track of the new run may follow faces that people gave to different groups. Then it is parted: each
piece keeps its detections, and who has most of them takes the rest. Nothing that was decided is overruled.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.review.carrying.anchors import Anchor
from screenalyzer.review.keys import Said
from screenalyzer.review.model import Carried, Part
from screenalyzer.tracking.geometry import aligned_overlap, boxes_at
from screenalyzer.types import Bool, Float64, Int64, Observations, Track
from screenalyzer.vectors import unit

MIN_IOU: Final = 0.4  # as where erased faces are found again
# A claim fits as well as boxes overlap, at most 1. A piece that is still there beats an older one in its
# place, and a part beats the track that it was cut out of.
_ITSELF: Final = 1.0 + MIN_IOU
_PART_FIRST: Final = 1.0
_CERTAIN: Final = 3.0
_NEARLY_ALL: Final = 0.9
_DUST: Final = 0.1  # of a piece: so little of it beside somebody else's face is a crossing
_OWN: Final = 0.5  # of a track: with this much of it, the rest follows
_STRANGER: Final = 0.01  # probability of one person, below which it is somebody else

NO_PLACE: Final = "it is not known any more where this face was"
NO_FACE: Final = "no face was found there"
NO_TRACK: Final = "the face that was found there is in no track"
OTHER_FACE: Final = "the face that was found there looks like somebody else"


@dataclass
class _Claim:
    """The detections that follow a piece: rows of the Observations, and how well each lies on its path."""

    piece: str
    rows: Int64
    fit: Float64
    reason: str = ""


def carry(
    items: Mapping[str, Any],
    anchors: Mapping[str, Anchor],
    obs: Observations,
    tracks: Sequence[Track],
    metric: Calibration,
    embedder: str,
) -> Carried:
    """Find the pieces of decisions in a run.

    A piece that is still there with nearly the same detections stands for itself and is left out. Every other
    one is found, or is lost with the reason.

    Args:
        items: decisions by key, see `Change`.
        anchors: of their pieces.
        obs: the faces of the run.
        tracks: whose members point into obs.
        metric: what a distance means.
        embedder: id of what made the vectors; the look of anchors made by another one is not compared.
    """
    said = Said.of(items)
    pieces = pieces_in(said)
    if not pieces:
        return Carried()
    run = _Run.of(obs, tracks)
    claims: list[_Claim] = []
    lost: dict[str, str] = {}
    for piece in pieces:
        part = said.parts.get(piece)
        if part is not None and run.has_part(part):
            rows = run.rows_of(part.det_ids)
            claims.append(_Claim(piece, rows, np.full(len(rows), _CERTAIN)))
            continue
        anchor = anchors.get(piece)
        if anchor is None:
            if piece not in run.position:
                lost[piece] = NO_PLACE
            continue
        claim = _follow(piece, anchor, run)
        if part is None and run.is_itself(piece, claim):
            members = tracks[run.position[piece]].members
            claim = _Claim(piece, members, np.full(len(members), _ITSELF))
        else:
            claim = _without_strangers(claim, anchor, run, metric, embedder)
        if claim.reason:
            lost[piece] = claim.reason
        else:
            claims.append(claim)
    return _less_itself(_settled(claims, said, run, lost), said)


def pieces_in(said: Said) -> list[str]:
    """The pieces that decisions name, sorted."""
    pairs = {p for pair in said.apart for p in pair}
    return sorted(said.parts.keys() | said.pins.keys() | said.nots.keys() | pairs)


@dataclass(frozen=True)
class _Run:
    """A run to look for pieces in.

    Attributes:
        obs: its faces.
        tracks: its tracks.
        position: of each track by its id.
        owner: int64[n], position of the track that each detection is in; -1 for none.
        row: of each detection by its id.
    """

    obs: Observations
    tracks: Sequence[Track]
    position: dict[str, int]
    owner: Int64
    row: dict[str, int]

    @classmethod
    def of(cls, obs: Observations, tracks: Sequence[Track]) -> "_Run":
        owner = np.full(len(obs), -1, dtype=np.int64)
        for k, track in enumerate(tracks):
            owner[track.members] = k
        row = {str(d): k for k, d in enumerate(obs.det_id)}
        return cls(obs, tracks, {t.track_id: k for k, t in enumerate(tracks)}, owner, row)

    def has_part(self, part: Part) -> bool:
        """Whether the detections of a part are all still in its track."""
        k = self.position.get(part.track_id)
        rows = [self.row.get(d) for d in part.det_ids]
        return k is not None and all(r is not None and self.owner[r] == k for r in rows)

    def rows_of(self, det_ids: Iterable[str]) -> Int64:
        return np.array(sorted(self.row[d] for d in det_ids), dtype=np.int64)

    def is_itself(self, piece: str, claim: _Claim) -> bool:
        """Whether a track bears the piece's id, and follows nearly what the piece did."""
        k = self.position.get(piece)
        if k is None or not len(claim.rows):
            return False
        inside = int((self.owner[claim.rows] == k).sum())
        return inside >= _NEARLY_ALL * max(len(claim.rows), self.tracks[k].count)


def _follow(piece: str, anchor: Anchor, run: _Run) -> _Claim:
    """The detections on a piece's path: at most one a frame, in a track if there is one."""
    ts_ms, path = anchor.path()
    times = run.obs.ts_ms
    first, last = np.searchsorted(times, [anchor.spans[0].start_ms, anchor.spans[-1].end_ms])
    near = np.arange(first, last, dtype=np.int64)
    near = near[_within(times[near], anchor)]
    fit = aligned_overlap(run.obs.boxes[near], boxes_at(times[near], ts_ms, path))
    on = fit >= MIN_IOU
    near, fit = near[on], fit[on]
    tracked = run.owner[near] >= 0
    if not len(near) or not tracked.any():
        return _Claim(piece, near[:0], fit[:0], NO_TRACK if len(near) else NO_FACE)
    near, fit = near[tracked], fit[tracked]
    order = np.lexsort((-fit, times[near]))
    best = order[np.unique(times[near][order], return_index=True)[1]]
    return _Claim(piece, near[best], fit[best] + (_PART_FIRST if anchor.part else 0.0))


def _within(ts_ms: Int64, anchor: Anchor) -> Bool:
    starts = np.array([s.start_ms for s in anchor.spans], dtype=np.int64)
    ends = np.array([s.end_ms for s in anchor.spans], dtype=np.int64)
    k = np.searchsorted(starts, ts_ms, side="right") - 1
    return np.asarray((k >= 0) & (ts_ms < ends[k]), dtype=bool)


def _without_strangers(
    claim: _Claim, anchor: Anchor, run: _Run, metric: Calibration, embedder: str
) -> _Claim:
    """Leave out what is a crossing only, and the tracks whose face is plainly another."""
    if claim.reason:
        return claim
    held = run.owner[claim.rows]
    counts = Counter(held.tolist())
    look = anchor.vector() if anchor.embedder == embedder else np.zeros(0)
    kept = [k for k, n in counts.items() if not _is_dust(n, len(held), run.tracks[k].count)]
    alike = [k for k in kept if _is_alike(look, claim.rows[held == k], run.obs, metric)]
    chosen = np.isin(held, alike)
    reason = "" if alike else OTHER_FACE
    return _Claim(claim.piece, claim.rows[chosen], claim.fit[chosen], reason)


def _is_dust(rows: int, of_piece: int, of_track: int) -> bool:
    return rows < _DUST * of_piece and rows < _OWN * of_track


def _is_alike(look: Float64, rows: Int64, obs: Observations, metric: Calibration) -> bool:
    if len(look) != obs.embeddings.shape[1]:
        return True
    there = unit(obs.embeddings[rows].mean(axis=0, dtype=np.float64)[None])[0]
    return bool(1.0 - float(there @ look) <= metric.distance(_STRANGER))


def _settled(claims: Sequence[_Claim], said: Said, run: _Run, lost: dict[str, str]) -> Carried:
    """Share out each track among the pieces that claim detections of it."""
    # A part stands apart from its track also while nobody has put it into a group.
    groups = {f: f"part/{f}" for f in said.parts} | said.pins
    whole: dict[str, list[tuple[int, str]]] = {}
    parts: dict[str, list[Part]] = {}
    for k, own in sorted(_shares(claims, groups, run).items()):
        track = run.tracks[k]
        rest = _who_takes_rest(own, groups, said, track)
        for piece, rows in own.items():
            if groups[piece] == rest and (piece not in said.parts or len(rows) >= _NEARLY_ALL * track.count):
                whole.setdefault(piece, []).append((len(rows), track.track_id))
            elif piece in said.parts or piece not in run.position:  # else the id is another piece's
                dets = tuple(str(d) for d in run.obs.det_id[rows])
                parts.setdefault(piece, []).append(Part(track.track_id, dets))
    for claim in claims:
        if claim.piece not in groups:
            for k, n in Counter(run.owner[claim.rows].tolist()).items():
                whole.setdefault(claim.piece, []).append((n, run.tracks[k].track_id))
    most_first = {p: sorted(found, key=lambda f: (-f[0], f[1])) for p, found in sorted(whole.items())}
    largest = {p: max(found, key=lambda f: (len(f.det_ids), f.track_id)) for p, found in parts.items()}
    return Carried(
        {p: tuple(t for _, t in found) for p, found in most_first.items()},
        dict(sorted(largest.items())),
        lost,
    )


def _shares(claims: Sequence[_Claim], groups: Mapping[str, str], run: _Run) -> dict[int, dict[str, Int64]]:
    """Rows of each track by the decided piece that they fit best; the first of equals."""
    deciding = [c for c in claims if c.piece in groups]
    best = np.zeros(len(run.obs))
    for claim in deciding:
        best[claim.rows] = np.maximum(best[claim.rows], claim.fit)
    taken = np.zeros(len(run.obs), dtype=bool)
    shares: dict[int, dict[str, Int64]] = {}
    for claim in deciding:
        rows = claim.rows[(claim.fit >= best[claim.rows]) & ~taken[claim.rows]]
        taken[rows] = True
        for k in np.unique(run.owner[rows]):
            shares.setdefault(int(k), {})[claim.piece] = rows[run.owner[rows] == k]
    return shares


def _who_takes_rest(
    own: Mapping[str, Int64], groups: Mapping[str, str], said: Said, track: Track
) -> str | None:
    """The group that a track goes to but for the parts of others; None where it is left as it was found.

    What is still there under its own id keeps its place. Else it is the group with most of it, if that is
    most of what others leave; a part, which was cut out of a track, takes over what is nearly all its own.
    """
    if track.track_id in own and track.track_id not in said.parts:
        return groups[track.track_id]
    by_group, others = Counter[str](), 0
    for piece, rows in own.items():
        others += len(rows)
        if piece not in said.parts or len(rows) >= _NEARLY_ALL * track.count:
            by_group[groups[piece]] += len(rows)
    if not by_group:
        return None
    first = min(by_group, key=lambda g: (-by_group[g], g))
    free = track.count - (others - by_group[first])
    return first if by_group[first] >= _OWN * free else None


def _less_itself(carried: Carried, said: Said) -> Carried:
    """Leave out what stands for itself: a track under its own id, a part with its own detections."""
    same = {
        p
        for p, part in carried.parts.items()
        if (was := said.parts.get(p)) is not None
        and (was.track_id, set(was.det_ids)) == (part.track_id, set(part.det_ids))
    }
    return Carried(
        {p: tracks for p, tracks in carried.whole.items() if tracks != (p,)},
        {p: part for p, part in carried.parts.items() if p not in same},
        carried.lost,
    )
