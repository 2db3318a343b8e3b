"""Films whose faces are known at every moment, and runs over them with any sampling and any cutting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.calibration import Calibration, calibration_of
from screenalyzer.review.carrying.anchors import Anchor, anchors
from screenalyzer.types import EmbedderId, Float32, Int64, Observations, SampleGrid, Span, Track

DIM = 64
EMBEDDER = "dlib-64-000000000000"
METRIC: Calibration = calibration_of(EmbedderId("dlib", DIM, "0" * 64))


@dataclass(frozen=True)
class Face:
    """One appearance in the film.

    Attributes:
        name: unique.
        person: who it is.
        span: when, in milliseconds.
        at: the middle of the face at the start, in pixels.
        speed: pixels a second, to the right.
    """

    name: str
    person: int
    span: Span
    at: tuple[float, float] = (200.0, 200.0)
    speed: float = 0.0

    def box(self, ts_ms: int) -> tuple[float, float, float, float]:
        """Where it is."""
        x, y = self.at[0] + self.speed * (ts_ms - self.span.start_ms) / 1000, self.at[1]
        return x - 50, y - 50, x + 50, y + 50


@dataclass(frozen=True)
class Run:
    """What a run finds."""

    obs: Observations
    tracks: tuple[Track, ...]
    grid: SampleGrid

    def track(self, track_id: str) -> Track:
        """One of its tracks."""
        return next(t for t in self.tracks if t.track_id == track_id)

    def rows(self, face: str, span: Span | None = None) -> Int64:
        """The detections of a face, in some time."""
        names = np.array([d.split("@")[0] for d in self.obs.det_id])
        inside = np.ones(len(names), dtype=bool)
        if span is not None:
            inside = (self.obs.ts_ms >= span.start_ms) & (self.obs.ts_ms < span.end_ms)
        return np.flatnonzero((names == face) & inside)

    def dets(self, rows: Int64) -> tuple[str, ...]:
        """Their ids."""
        return tuple(str(d) for d in self.obs.det_id[rows])

    def anchor(self, track_id: str, rows: Int64 | None = None) -> Anchor:
        """Of a track, or of some of its detections."""
        track = self.track(track_id)
        pieces = [(track, track.members if rows is None else rows)]
        return anchors(self.obs, self.grid, pieces, EMBEDDER)[0]

    def anchors(self) -> dict[str, Anchor]:
        """Of all tracks."""
        return {t.track_id: self.anchor(t.track_id) for t in self.tracks}


def look_of(person: int) -> Float32:
    """A direction for a person; two people's lie far apart."""
    vector = np.random.default_rng([person, 7]).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def run(
    faces: Sequence[Face],
    period_ms: int,
    *,
    length_ms: int = 20_000,
    track_of: Callable[[Face, int], str | None] = lambda face, _: face.name,
    names: Mapping[str, str] | None = None,
    offset_ms: int = 0,
) -> Run:
    """Look at every `period_ms` of a film.

    Args:
        faces: of the film.
        period_ms: between two looks.
        length_ms: of the film, which is one shot.
        track_of: name of the track of a face at a time; None for no track.
        names: the ids of tracks by name; a name stands for itself where left out.
        offset_ms: of the first look.
    """
    times = np.arange(offset_ms, length_ms, period_ms, dtype=np.int64)
    seen = sorted(
        (int(t), f"{f.name}@{t}", f) for t in times for f in faces if f.span.start_ms <= t < f.span.end_ms
    )
    n = len(seen)
    rng = np.random.default_rng(3)
    vectors = np.array([look_of(f.person) for _, _, f in seen], dtype=np.float32).reshape(n, DIM)
    vectors = vectors + rng.normal(scale=0.02, size=(n, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ts = np.array([t for t, _, _ in seen], dtype=np.int64)
    obs = Observations(
        np.array([d for _, d, _ in seen], dtype=np.str_),
        np.searchsorted(times, ts).astype(np.int64),
        ts,
        np.zeros(n, dtype=np.int32),
        np.array([f.box(t) for t, _, f in seen], dtype=np.float32).reshape(n, 4),
        np.full(n, 0.999, dtype=np.float32),
        np.zeros((n, 5, 2), dtype=np.float32),
        np.full(n, 0.8, dtype=np.float32),
        vectors,
    )
    members: dict[str, list[int]] = {}
    for row, (t, _, face) in enumerate(seen):
        name = track_of(face, t)
        if name is not None:
            members.setdefault((names or {}).get(name, name), []).append(row)
    tracks = tuple(_track(k, np.array(v, dtype=np.int64), ts, period_ms) for k, v in sorted(members.items()))
    grid = SampleGrid(times, np.zeros(len(times), dtype=np.int32), (Span(0, length_ms),))
    return Run(obs, tracks, grid)


def _track(track_id: str, members: Int64, ts: Int64, period_ms: int) -> Track:
    start, end = int(ts[members[0]]), int(ts[members[-1]]) + period_ms
    return Track(track_id, 0, start, end, members, 1.0, 0.999, partial=False)
