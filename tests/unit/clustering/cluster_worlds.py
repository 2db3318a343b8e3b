"""Small episodes with known people, for the tests beside."""

from collections.abc import Sequence

import numpy as np

from screenalyzer.clustering.calibration import Calibration, calibration_of
from screenalyzer.types import EmbedderId, Float32, Observations, Track

DIM = 128
METRIC: Calibration = calibration_of(EmbedderId("dlib", DIM, "0" * 64))


def face_of(person: int) -> Float32:
    """A direction for a person; two people's are about 0.5 apart in cosine distance or more."""
    vector = np.random.default_rng([person, 5]).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def episode(
    people: Sequence[int],
    *,
    together: Sequence[tuple[int, int]] = (),
    detections: int = 6,
    quality: Sequence[float] | None = None,
    conf: Sequence[float] | None = None,
    noise: float = 0.02,
) -> tuple[list[Track], Observations]:
    """One track a person given, one after the other; `together` pairs of tracks share a frame."""
    n = len(people)
    quality, conf = quality or [0.8] * n, conf or [0.999] * n
    rows: list[tuple[int, str, int]] = []
    for i in range(n):
        rows += [(i * 10_000 + k * 200, f"d{i:03d}-{k:02d}", i) for k in range(detections)]
    for a, b in together:
        first, second = min(a, b), max(a, b)
        rows.append((first * 10_000, f"e{a:03d}-{b:03d}", second))
    rows.sort()
    owner = np.array([r[2] for r in rows], dtype=np.int64).reshape(-1)
    ts = np.array([r[0] for r in rows], dtype=np.int64)
    m = len(rows)
    rng = np.random.default_rng(11)
    vectors = np.array([face_of(people[i]) for i in owner], dtype=np.float32).reshape(m, DIM)
    vectors = vectors + rng.normal(scale=noise, size=(m, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    obs = Observations(
        np.array([r[1] for r in rows], dtype=np.str_),
        ts // 40,
        ts,
        np.zeros(m, dtype=np.int32),
        np.tile(np.array([100, 100, 200, 200], dtype=np.float32), (m, 1)),
        np.array([conf[i] for i in owner], dtype=np.float32),
        np.zeros((m, 5, 2), dtype=np.float32),
        np.array([quality[i] for i in owner], dtype=np.float32),
        vectors,
    )
    tracks = [track_of(f"t{i:03d}", np.flatnonzero(owner == i).astype(np.int64), obs) for i in range(n)]
    return tracks, obs


def track_of(track_id: str, members: "np.ndarray", obs: Observations) -> Track:
    ts = obs.ts_ms[members]
    return Track(
        track_id, 0, int(ts[0]), int(ts[-1]) + 200, members, 1.0, float(obs.conf[members].mean()), False
    )
