"""What is kept of a piece that somebody decided on, so that another run can tell where it lies then.

A piece's id means nothing to a run with other settings. When, where and what the face looked like does: the
path of its boxes in time, the stretches of time that it stands for, and the mean of its vectors. It is kept
when the decision is made, for the run it was made in is gone when it is needed.
"""

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from screenalyzer.errors import ArtifactError
from screenalyzer.review.carrying.paths import thinned
from screenalyzer.tracking.spans import sample_index, times_stood_for
from screenalyzer.types import Float64, Int64, Observations, SampleGrid, Span, Track
from screenalyzer.vectors import unit

if TYPE_CHECKING:
    from screenalyzer.review.desk import Desk

Sample = tuple[int, float, float, float, float]


@dataclass(frozen=True)
class Anchor:
    """A piece as it was when somebody decided on it. Times in milliseconds, boxes in pixels of the frame.

    Attributes:
        track_id: its track.
        start_ms: of the first detection.
        end_ms: of the time that the last one stands for.
        samples: time and box, ascending: between two of them the face moved straight.
        spans: when the track's face was this piece's: one, or those of a part.
        part: it was some of the track's detections.
        look: base64 of float16, the unit vector of its mean.
        embedder: id of what made it.
    """

    track_id: str
    start_ms: int
    end_ms: int
    samples: tuple[Sample, ...]
    spans: tuple[Span, ...]
    part: bool
    look: str
    embedder: str

    def path(self) -> tuple[Int64, Float64]:
        """Times int64[n] and boxes float64[n, 4] of the samples."""
        rows = np.array(self.samples, dtype=np.float64).reshape(-1, 5)
        return rows[:, 0].astype(np.int64), rows[:, 1:]

    def vector(self) -> Float64:
        """The look, float64[d]; empty where there is none."""
        return np.frombuffer(base64.b64decode(self.look), dtype="<f2").astype(np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "track_id": self.track_id,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "samples": [list(s) for s in self.samples],
            "spans": [list(s) for s in self.spans],
            "part": self.part,
            "look": self.look,
            "embedder": self.embedder,
        }

    @classmethod
    def from_json(cls, found: Any) -> "Anchor":
        """Read what `to_json` gave.

        Raises:
            ArtifactError: it is something else.
        """
        try:
            anchor = cls(
                track_id=str(found["track_id"]),
                start_ms=int(found["start_ms"]),
                end_ms=int(found["end_ms"]),
                samples=tuple(_sample(s) for s in found["samples"]),
                spans=tuple(Span(int(a), int(b)) for a, b in found["spans"]),
                part=bool(found["part"]),
                look=str(found["look"]),
                embedder=str(found["embedder"]),
            )
            base64.b64decode(anchor.look, validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as e:
            raise ArtifactError(f"the place that a decision is kept with is damaged ({e!r}).") from e
        return anchor


def anchors_of(desk: "Desk", piece_ids: Iterable[str]) -> dict[str, Anchor]:
    """Anchors of pieces of the current run; those of earlier runs, which have theirs, are left out."""
    base, pieces = desk.base, [desk.pieces[p] for p in piece_ids if p in desk.pieces]
    found = anchors(base.obs, base.grid, [(p.track, p.members) for p in pieces], base.embedder)
    return {p.piece_id: anchor for p, anchor in zip(pieces, found, strict=True)}


def anchors(
    obs: Observations, grid: SampleGrid, pieces: Sequence[tuple[Track, Int64]], embedder: str
) -> list[Anchor]:
    """The anchors of some pieces; each is as if it were made alone.

    Args:
        obs: what the members point into.
        grid: the sampled frames.
        pieces: of each its track, and the rows of obs that it is: int64[k], of the track's, ascending.
        embedder: id of what made the vectors.
    """
    if not pieces:
        return []
    count = np.array([len(members) for _, members in pieces], dtype=np.int64)
    rows = np.concatenate([members for _, members in pieces])
    ts_ms, boxes = obs.ts_ms[rows], obs.boxes[rows].astype(np.float64)
    kept = thinned(ts_ms, boxes, count)
    path = list(zip(ts_ms[kept].tolist(), *boxes[kept].round(1).T.tolist(), strict=True))
    ends = np.cumsum(np.add.reduceat(kept.astype(np.int64), np.cumsum(count) - count)).tolist()
    bounds = _bounds(obs, grid, [track for track, _ in pieces])
    made = []
    for k, (track, members) in enumerate(pieces):
        part = len(members) < track.count
        spans = [bounds[k]]
        if part:
            spans = _stretches(obs.ts_ms[track.members], np.isin(track.members, members), bounds[k])
        mean = obs.embeddings[members].mean(axis=0, dtype=np.float64)
        made.append(
            Anchor(
                track_id=track.track_id,
                start_ms=int(obs.ts_ms[members[0]]),
                end_ms=spans[-1].end_ms,
                samples=tuple(path[ends[k - 1] if k else 0 : ends[k]]),
                spans=tuple(spans),
                part=part,
                look=base64.b64encode(unit(mean[None])[0].astype("<f2").tobytes()).decode(),
                embedder=embedder,
            )
        )
    return made


def _bounds(obs: Observations, grid: SampleGrid, tracks: Sequence[Track]) -> list[Span]:
    """All of the time that each track stands for."""
    first = sample_index(obs.ts_ms[[t.members[0] for t in tracks]], grid)
    last = sample_index(obs.ts_ms[[t.members[-1] for t in tracks]], grid)
    start, end = times_stood_for(grid, first)[0], times_stood_for(grid, last)[1]
    return [Span(a, b) for a, b in zip(start.tolist(), end.tolist(), strict=True)]


def _sample(values: Collection[Any]) -> Sample:
    ts_ms, *box = values
    x1, y1, x2, y2 = (round(float(v), 1) for v in box)
    return int(ts_ms), x1, y1, x2, y2


def _stretches(ts_ms: Int64, own: Any, bounds: Span) -> list[Span]:
    """The time of a track, cut half way between a detection of the piece and a neighbour that is not.

    Args:
        ts_ms: int64[n], of the track's detections.
        own: bool[n], those of the piece; at least one.
        bounds: all of the track's time.
    """
    middle = (ts_ms[1:] + ts_ms[:-1] + 1) // 2
    edges = [bounds.start_ms, *(int(t) for t in middle), bounds.end_ms]
    found: list[Span] = []
    for k in np.flatnonzero(own):
        start, end = edges[k], edges[k + 1]
        if found and found[-1].end_ms == start:
            found[-1] = Span(found[-1].start_ms, end)
        else:
            found.append(Span(start, end))
    return found
