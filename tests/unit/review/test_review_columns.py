"""What is worked out for many at once is what is worked out for each alone, to the last bit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.clustering.distances import cosine_to
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.links import co_visible
from screenalyzer.clustering.templates import build_templates
from screenalyzer.review.carrying.paths import thinned
from screenalyzer.tracking.geometry import aligned_overlap, boxes_at
from screenalyzer.tracking.spans import spans_of, stood_for
from screenalyzer.types import Observations, SampleGrid, Span, Track
from screenalyzer.vectors import unit

SEEDS = st.integers(0, 2**32 - 1)
STEP_MS, SCENE = 200, 8


def grid_of(count: int) -> SampleGrid:
    """Scenes of eight samples, each beginning a little before its first one."""
    ts = np.arange(count, dtype=np.int64) * STEP_MS
    scene = (np.arange(count) // SCENE).astype(np.int32)
    edges = [max(0, int(ts[k]) - 40) for k in range(0, count, SCENE)] + [count * STEP_MS]
    return SampleGrid(ts, scene, tuple(Span(a, b) for a, b in pairwise(edges)))


def film(seed: int, tracks: int) -> tuple[Observations, list[Track]]:
    """Tracks of any length and with gaps, some seen together."""
    rng = np.random.default_rng(seed)
    samples = 6 * SCENE
    own = [np.sort(rng.choice(samples, rng.integers(1, 40), replace=False)) for _ in range(tracks)]
    owner, k = np.repeat(np.arange(tracks), [len(o) for o in own]), np.concatenate(own)
    order = np.lexsort((owner, k))
    owner, k, n = owner[order], k[order], len(order)
    corner = rng.uniform(0, 80, (n, 2)) + 20 * (k % 3)[:, None]
    obs = Observations(
        det_id=np.array([f"d{i:05d}" for i in range(n)]), frame_index=k, ts_ms=k * STEP_MS,
        scene_id=(k // SCENE).astype(np.int32),
        boxes=np.concatenate([corner, corner + rng.uniform(20, 60, (n, 2))], axis=1).astype(np.float32),
        conf=rng.uniform(0.9, 1, n).astype(np.float32), landmarks=np.zeros((n, 5, 2), np.float32),
        quality=rng.choice([0.1, 0.4, 0.8, 0.9], n).astype(np.float32),
        embeddings=unit(rng.normal(size=(n, 16))),
    )  # fmt: skip
    members = [np.flatnonzero(owner == t) for t in range(tracks)]
    return obs, [Track(f"t{t}", 0, 0, 0, m, 1.0, 1.0, False) for t, m in enumerate(members)]


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_templates(seed: int, tracks: int) -> None:
    obs, found = film(seed, tracks)
    together = build_templates(found, obs)
    for k, track in enumerate(found):
        alone = build_templates([track], obs)
        q = obs.quality[track.members].astype(np.float64)
        good = track.members[q >= 0.5 * q.max()]
        weights = obs.quality[good].astype(np.float64)
        mean = np.average(obs.embeddings[good], axis=0, weights=weights + 0.01)
        assert np.array_equal(together.vectors[k], mean.astype(np.float32))
        assert np.array_equal(together.vectors[k], alone.vectors[0])
        assert together.quality[k] == weights.mean() == alone.quality[0]
        assert together.best[k] == track.members[(q * obs.conf[track.members]).argmax()]
        assert together.weight[k] == alone.weight[0]


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_who_is_seen_together(seed: int, tracks: int) -> None:
    obs, found = film(seed, tracks)
    times = [set(obs.ts_ms[t.members].tolist()) for t in found]
    expected = [[a is not b and not a.isdisjoint(b) for b in times] for a in times]
    assert np.array_equal(co_visible(found, obs), expected)


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_spans(seed: int, tracks: int) -> None:
    obs, found = film(seed, tracks)
    grid = grid_of(6 * SCENE)
    for track, spans in zip(found, spans_of([t.members for t in found], obs, grid), strict=True):
        expected: list[Span] = []
        for k in np.unique(obs.ts_ms[track.members]) // STEP_MS:
            span = stood_for(grid, int(k))
            if expected and expected[-1].end_ms >= span.start_ms:
                expected[-1] = Span(expected[-1].start_ms, span.end_ms)
            else:
                expected.append(span)
        assert spans == expected


def test_a_sample_stands_for_the_time_to_the_next_within_its_scene() -> None:
    grid = grid_of(2 * SCENE)
    found = [stood_for(grid, k) for k in (0, 1, SCENE - 1, SCENE, 2 * SCENE - 1)]
    assert found == [Span(0, 200), Span(200, 400), Span(1400, 1560), Span(1560, 1800), Span(3000, 3200)]


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_paths(seed: int, tracks: int) -> None:
    obs, found = film(seed, tracks)
    rows = np.concatenate([t.members for t in found])
    boxes = obs.boxes[rows].astype(np.float64)
    kept = thinned(obs.ts_ms[rows], boxes, np.array([t.count for t in found]))
    at = 0
    for track in found:
        own = slice(at, at + track.count)
        at += track.count
        assert np.flatnonzero(kept[own]).tolist() == _thinned_alone(obs.ts_ms[rows[own]], boxes[own])


def _thinned_alone(ts_ms: np.ndarray, boxes: np.ndarray) -> list[int]:
    kept = sorted(set(np.linspace(0, len(ts_ms) - 1, min(len(ts_ms), 8)).round().astype(int).tolist()))
    while len(kept) < len(ts_ms):
        overlap = aligned_overlap(boxes, boxes_at(ts_ms, ts_ms[kept], boxes[kept]))
        overlap[kept] = 1.0
        worst = [int(a + overlap[a:b].argmin()) for a, b in pairwise(kept)]
        bad = [w for w in worst if overlap[w] < 0.9]
        if not bad:
            break
        kept = sorted({*kept, *bad})
    return kept


def test_a_long_path_that_is_never_straight_keeps_no_more_than_it_may() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 500, (3000, 2))
    boxes = np.concatenate([corner, corner + 50], axis=1)
    kept = thinned(np.arange(3000, dtype=np.int64) * 40, boxes, np.array([2500, 500]))
    assert (kept[:2500].sum(), kept[2500:].sum()) == (200, 200)


@pytest.mark.parametrize("probes", [0, 3, 1100])
def test_a_gallery(probes: int) -> None:
    rng = np.random.default_rng(probes)
    person = np.array([2, 0, 2, 2, 0, 2, 2, 2, 3])
    gallery = Gallery(("a", "nobody", "c", "d"), person, unit(rng.normal(size=(9, 16))))
    faces = unit(rng.normal(size=(probes, 16)))
    found = gallery.distances(faces)
    assert found.shape == (probes, 4)
    for p in range(4):
        own = gallery.vectors[person == p]
        expected = np.full(probes, np.inf)
        if len(own):
            expected = np.sort(cosine_to(faces, own), axis=1)[:, :5].mean(axis=1)
        assert np.allclose(found[:, p], expected, atol=1e-12)
