"""How long does an edit of a long episode take, from what was asked to all that is shown?

usage: bench/review.py [--json] [--tracks 2000] [--clusters 500] [--repeat 40]

A synthetic episode, with a facebank of 30 people who own a part of the clusters. For each kind of operation:
milliseconds (p50, p95, the longest) to plan and apply it and to have the new totals and entities, with and
without what else the desk shows (suggestions and doubts); and the seconds that it takes to load a desk.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from screenalyzer.clustering.calibration import calibration_of
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.model import Cluster, Clustering, Member
from screenalyzer.errors import EditRefusedError
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.desk import Desk
from screenalyzer.review.model import Base, Entry
from screenalyzer.review.operations import (
    AddSpan,
    Assign,
    Lock,
    MarkAs,
    MergeGroups,
    MergePeople,
    NotPerson,
    Operation,
    Refuse,
    RenamePerson,
    Split,
    Subject,
)
from screenalyzer.settings import ClusterSettings, ScreenTimeRules
from screenalyzer.types import EmbedderId, Observations, SampleGrid, Span, Track
from screenalyzer.vectors import unit

DIM, STEP_MS, SCENE_MS, LENGTH = 128, 200, 4000, 15
NAMED = 30
METRIC = calibration_of(EmbedderId("dlib", DIM, "0" * 64))


class Times(NamedTuple):
    """Of one edit, in milliseconds.

    Attributes:
        shown: to the new totals and entities.
        cpu: of which the processor worked so long.
        all: to the new suggestions and doubts too.
    """

    shown: float
    cpu: float
    all: float


class Clock:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Milliseconds since, by the wall and of the processor."""
        return 1000 * (time.perf_counter() - self._wall), 1000 * (time.process_time() - self._cpu)


def episode(count: int, clusters: int) -> Base:
    """Three tracks a scene, 15 detections each; the sizes of clusters fall as one over their rank."""
    rng = np.random.default_rng(0)
    share = 1.0 / np.arange(1, clusters + 1)
    owner = np.concatenate(
        [np.arange(clusters), rng.choice(clusters, count - clusters, p=share / share.sum())]
    )
    owner = rng.permutation(owner)
    common = rng.normal(size=DIM) * 2.6
    looks = unit(common + rng.normal(size=(clusters, DIM)))
    n = count * LENGTH
    track_of = np.repeat(np.arange(count), LENGTH)
    ts = (track_of // 3) * SCENE_MS + np.tile(np.arange(LENGTH), count) * STEP_MS
    own = (looks[owner] + rng.normal(scale=0.02, size=(count, DIM)))[track_of]
    order = np.lexsort((track_of, ts))
    track_of, ts = track_of[order], ts[order].astype(np.int64)
    obs = Observations(
        np.array([f"d{k:06d}" for k in range(n)]), ts // 40, ts, (ts // SCENE_MS).astype(np.int32),
        np.tile(np.array([100, 100, 200, 200], np.float32), (n, 1)), np.full(n, 0.99, np.float32),
        np.zeros((n, 5, 2), np.float32), rng.uniform(0.3, 0.9, n).astype(np.float32),
        unit(own[order] + rng.normal(scale=0.01, size=(n, DIM))),
    )  # fmt: skip
    members = np.split(np.argsort(track_of, kind="stable"), np.cumsum(np.bincount(track_of))[:-1])
    tracks = tuple(
        Track(f"t{k:05d}", k // 3, int(ts[m[0]]), int(ts[m[-1]]) + STEP_MS, m, 1.0, 0.99, k % 11 == 0)
        for k, m in enumerate(members)
    )
    scenes = tuple(Span(k * SCENE_MS, (k + 1) * SCENE_MS) for k in range((count + 2) // 3))
    grid_ts = np.arange(0, len(scenes) * SCENE_MS, STEP_MS, dtype=np.int64)
    found = tuple(
        Cluster(
            f"c{k:04d}",
            f"Name {k:02d}" if k < NAMED else None,
            "facebank" if k < NAMED else None,
            _members(tracks, owner == k, rng),
            0.05, str(obs.det_id[members[int(np.flatnonzero(owner == k)[0])][0]]), 1.0,
            k % 9 == 5, "unsure" if k % 9 == 5 else "",
        )
        for k in range(clusters)
    )  # fmt: skip
    kept = unit(looks[:NAMED].repeat(12, axis=0) + rng.normal(scale=0.02, size=(NAMED * 12, DIM)))
    gallery = Gallery(tuple(f"Name {k:02d}" for k in range(NAMED)), np.arange(NAMED).repeat(12), kept)
    return Base(
        obs=obs,
        tracks=tracks,
        grid=SampleGrid(grid_ts, (grid_ts // SCENE_MS).astype(np.int32), scenes),
        clustering=Clustering(tuple(sorted(found, key=lambda c: c.members[0].track_id))),
        numbers={c.cluster_id: f"{k:02d}" for k, c in enumerate(found, start=1)},
        gallery=gallery,
        metric=METRIC,
        cluster_settings=ClusterSettings(backend="cpu"),
        rules=ScreenTimeRules(),
        samples={t.track_id: tuple(str(d) for d in obs.det_id[t.members][::3]) for t in tracks},
    )


def _members(tracks: tuple[Track, ...], own: np.ndarray, rng: np.random.Generator) -> tuple[Member, ...]:
    return tuple(Member(tracks[i].track_id, float(rng.uniform(0.5, 1.0))) for i in np.flatnonzero(own))


def operations(desk: Desk, rng: np.random.Generator) -> dict[str, Callable[[], Operation]]:
    """One of each kind, about something by chance."""

    def group() -> str:
        unnamed = [e.group_ids[0] for e in desk.entities() if e.person_id is None]
        return str(rng.choice(unnamed))

    def person() -> str:
        return str(rng.choice([e.entity_id for e in desk.entities() if e.person_id is not None]))

    def piece() -> str:
        return str(rng.choice(list(desk.pieces)))

    def faces() -> tuple[str, ...]:
        members = desk.pieces[piece()].members
        return tuple(str(d) for d in desk.base.obs.det_id[members][: max(1, len(members) // 3)])

    def large() -> str:
        people = [e for e in desk.entities() if e.person_id is not None]
        return max(people, key=lambda e: e.piece_count).group_ids[0]

    return {
        "assign a group": lambda: Assign(subject=Subject(groups=(group(),)), person=person()),
        "assign a group to somebody new": lambda: Assign(
            subject=Subject(groups=(group(),)), name=f"New {rng.integers(1 << 30)}"
        ),
        "confirm the largest person": lambda: Assign(
            subject=Subject(groups=(large(),)), person=desk.grouping.groups[large()].person
        ),
        "assign 20 tracks": lambda: Assign(
            subject=Subject(pieces=tuple({piece() for _ in range(20)})), person=person()
        ),
        "assign faces": lambda: Assign(subject=Subject(faces=faces()), person=person()),
        "merge two groups": lambda: MergeGroups(groups=(group(), group(), group())),
        "split a track off": lambda: Split(subject=Subject(pieces=(piece(),))),
        "not this person": lambda: NotPerson(subject=Subject(pieces=(piece(),)), person=person()),
        "refuse": lambda: Refuse(group_a=group(), group_b=group()),
        "mark a group": lambda: MarkAs(subject=Subject(groups=(group(),)), mark="not_face"),
        "rename a person": lambda: RenamePerson(person=person(), name=f"Other {rng.integers(1 << 30)}"),
        "merge people": lambda: MergePeople(person=person(), into=person()),
        "add a span": lambda: AddSpan(person=person(), kind="add", start_ms=1000, end_ms=9000),
        "trim a span": lambda: AddSpan(person=person(), kind="trim", start_ms=1000, end_ms=90_000),
        "lock a group": lambda: Lock(groups=(group(),), locked=True),
    }


def edits(desk: Desk, repeat: int, rng: np.random.Generator) -> Iterator[tuple[str, Times]]:
    """Name of an operation, and what it took; about half of them are undone."""
    makers = operations(desk, rng)
    for _ in range(repeat):
        for name, make in makers.items():
            operation = make()
            clock = Clock()
            try:
                planned = desk.plan(operation)
            except EditRefusedError:
                continue
            desk.apply(planned.changes)
            desk.totals()
            desk.entities()
            shown_ms, cpu_ms = clock.read()
            desk.suggestions()
            desk.doubts()
            yield name, Times(shown_ms, cpu_ms, clock.read()[0])
            if rng.random() < 0.5 or name == "lock a group":
                entry = Entry(1, "edit", None, {}, planned.changes, planned.touches, "bench")
                clock = Clock()
                desk.apply(desk.plan_undo([entry])[1].changes)
                desk.totals()
                desk.entities()
                shown_ms, cpu_ms = clock.read()
                desk.suggestions()
                desk.doubts()
                yield "undo", Times(shown_ms, cpu_ms, clock.read()[0])


def _row(times: list[Times]) -> dict[str, float]:
    shown, cpu, every = (np.array(column) for column in zip(*times, strict=True))
    return {
        "count": len(times),
        "p50_ms": round(float(np.percentile(shown, 50)), 1),
        "p95_ms": round(float(np.percentile(shown, 95)), 1),
        "max_ms": round(float(shown.max()), 1),
        "cpu_p95_ms": round(float(np.percentile(cpu, 95)), 1),
        "all_p95_ms": round(float(np.percentile(every, 95)), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tracks", type=int, default=2000)
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=40)
    args = parser.parse_args()
    base = episode(args.tracks, args.clusters)
    start = time.perf_counter()
    desk = Desk(base, [], Decisions())
    desk.entities()
    load_s = time.perf_counter() - start
    found: dict[str, list[Times]] = {}
    for name, times in edits(desk, args.repeat, np.random.default_rng(1)):
        found.setdefault(name, []).append(times)
    rows = {name: _row(times) for name, times in found.items()}
    if args.json:
        print(json.dumps({"load_s": round(load_s, 2), "operations": rows}))
        return
    print(f"{args.tracks} tracks in {args.clusters} clusters; a desk loads in {load_s:.2f} s")
    print(
        f"{'milliseconds to totals and entities':36} count    p50    p95    max  p95 of CPU  p95 with queues"
    )
    for name, row in rows.items():
        print("{:36} {:5} {:6.1f} {:6.1f} {:6.1f}      {:6.1f}     {:6.1f}".format(name, *row.values()))


if __name__ == "__main__":
    main()
