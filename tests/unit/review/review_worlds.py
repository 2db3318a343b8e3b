"""Synthetic episodes with known people, and a desk with its log, for the tests beside."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from screenalyzer.clustering.calibration import Calibration, calibration_of
from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.model import Clustering
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.desk import Desk
from screenalyzer.review.model import Base, Carried, Entry, Person, Planned
from screenalyzer.review.operations import Operation
from screenalyzer.settings import ClusterSettings, ScreenTimeRules
from screenalyzer.types import Constraints, EmbedderId, Float32, Observations, SampleGrid, Span, Track
from screenalyzer.vectors import unit

DIM = 128
STEP_MS = 200
METRIC: Calibration = calibration_of(EmbedderId("dlib", DIM, "0" * 64))
CLUSTERS = ClusterSettings(backend="cpu")


@dataclass(frozen=True)
class Plan:
    """What an episode is made of.

    Attributes:
        scenes: for each scene, the people whose tracks are in it; those of one scene are on screen together.
        named: people of the gallery, by name.
        noise: of a track's face, as a share of the distance between people.
        length: detections a track.
    """

    scenes: Sequence[Sequence[int]]
    named: dict[str, int] = field(default_factory=dict)
    noise: float = 0.2
    length: int = 4
    seed: int = 0


def face_of(person: int) -> Float32:
    """A direction for a person; two people's are about 0.1 apart in cosine distance: near dlib's limit."""
    common = np.random.default_rng(77).normal(size=DIM)
    own = np.random.default_rng([person, 5]).normal(size=DIM)
    return unit((common * 3.0 + own)[None])[0]


def world(plan: Plan) -> Base:
    """The base of an episode, grouped by the real clustering."""
    rng = np.random.default_rng(plan.seed)
    length_ms = plan.length * STEP_MS + 600
    rows: list[tuple[int, str, int, int]] = []  # time, det id, track, scene
    people: list[int] = []
    for scene, cast in enumerate(plan.scenes):
        for place, person in enumerate(cast):
            track = len(people)
            people.append(person)
            count = max(1, plan.length - int(rng.integers(0, 3)))
            start = scene * length_ms + int(rng.integers(0, 2)) * STEP_MS * (place > 0)
            rows += [(start + k * STEP_MS, f"d{track:03d}-{k:02d}", track, scene) for k in range(count)]
    rows.sort()
    owner = np.array([r[2] for r in rows], dtype=np.int64)
    looks = np.array([face_of(p) for p in people]) + rng.normal(
        scale=plan.noise * 0.06, size=(len(people), DIM)
    )
    vectors = unit(looks[owner] + rng.normal(scale=0.01, size=(len(rows), DIM)))
    quality = np.clip(rng.uniform(0.3, 0.95, len(people))[owner] + rng.normal(0, 0.05, len(rows)), 0.05, 1)
    ts = np.array([r[0] for r in rows], dtype=np.int64)
    obs = Observations(
        np.array([r[1] for r in rows], dtype=np.str_), ts // 40, ts,
        np.array([r[3] for r in rows], dtype=np.int32),
        rng.uniform([100, 100, 200, 200], [120, 120, 240, 240], (len(rows), 4)).astype(np.float32),
        np.full(len(rows), 0.999, np.float32), np.zeros((len(rows), 5, 2), np.float32),
        quality.astype(np.float32), vectors,
    )  # fmt: skip
    tracks = tuple(_track(k, obs, np.flatnonzero(owner == k), rng) for k in range(len(people)))
    return base_of(tracks, obs, _grid(len(plan.scenes), length_ms), _gallery(plan))


def base_of(tracks: tuple[Track, ...], obs: Observations, grid: SampleGrid, gallery: Gallery | None) -> Base:
    """A base of tracks."""
    found = cluster(tracks, obs, Constraints(), gallery, CLUSTERS, METRIC)
    return Base(
        obs=obs,
        tracks=tracks,
        grid=grid,
        clustering=Clustering(found.clusters),
        numbers={c.cluster_id: f"{k:02d}" for k, c in enumerate(found.clusters, start=1)},
        gallery=gallery,
        metric=METRIC,
        cluster_settings=CLUSTERS,
        rules=ScreenTimeRules(),
        samples={t.track_id: tuple(str(d) for d in obs.det_id[t.members][::2]) for t in tracks},
        carried=Carried(),
    )


def _grid(scenes: int, length_ms: int) -> SampleGrid:
    ts = np.arange(0, scenes * length_ms, STEP_MS, dtype=np.int64)
    spans = tuple(Span(k * length_ms, (k + 1) * length_ms) for k in range(scenes))
    return SampleGrid(ts, (ts // length_ms).astype(np.int32), spans)


def _track(k: int, obs: Observations, members: np.ndarray, rng: np.random.Generator) -> Track:
    first, last = int(obs.ts_ms[members[0]]), int(obs.ts_ms[members[-1]])
    scene = int(obs.scene_id[members[0]])
    return Track(
        f"t{k:03d}",
        scene,
        first,
        last + STEP_MS,
        members,
        1.0,
        0.9 + 0.05 * (k % 2),
        bool(rng.random() < 0.2),
    )


def _gallery(plan: Plan) -> Gallery | None:
    if not plan.named:
        return None
    names = tuple(sorted(plan.named))
    rng = np.random.default_rng([plan.seed, 1])
    faces = np.array([face_of(plan.named[n]) for n in names for _ in range(3)])
    vectors = unit(faces + rng.normal(scale=0.02, size=faces.shape))
    return Gallery(names, np.repeat(np.arange(len(names)), 3), vectors)


class Session:
    """A desk with its log, as the service keeps it."""

    def __init__(self, base: Base, people: Sequence[Person] = (), decisions: Decisions | None = None) -> None:
        self.base = base
        self.desk = Desk(base, people, decisions or Decisions())
        self.log: list[Entry] = []

    def do(self, operation: Operation) -> Planned:
        """Plan and apply; an edit that changes nothing leaves no entry."""
        planned = self.desk.plan(operation)
        self._append("edit", None, operation.model_dump(mode="json"), planned)
        return planned

    def undo(self, number: int | None = None) -> Planned:
        entry, planned = self.desk.plan_undo(self.log, number)
        self._append("undo", entry.number, entry.operation, planned)
        return planned

    def redo(self) -> Planned:
        entry, planned = self.desk.plan_redo(self.log)
        self._append("redo", entry.number, entry.operation, planned)
        return planned

    def fresh(self) -> Desk:
        """Another desk of the same decisions."""
        return Desk(self.base, self.desk.people.values(), self.desk.decisions.copy())

    def entity(self, name: str):
        return next(e for e in self.desk.entities() if e.name == name)

    def total(self, name: str) -> int:
        return next((t.total_ms for t in self.desk.totals() if t.person == name), 0)

    def _append(self, kind, of, operation, planned: Planned) -> None:
        if planned.changes:
            self.desk.apply(planned.changes)
            number = len(self.log) + 1
            self.log.append(Entry(number, kind, of, operation, planned.changes, planned.touches, "ann"))
