import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.clustering.calibration import calibration_of
from screenalyzer.settings import TrackSettings
from screenalyzer.tracking.samples import best_samples
from screenalyzer.tracking.spans import presence_spans
from screenalyzer.tracking.tracker import track
from screenalyzer.types import EmbedderId, Observations, SampleGrid, Span

METRIC = calibration_of(EmbedderId("dlib", 128, ""))
SIZE = (1280, 720)
CFG = TrackSettings()
# Eyes, nose and corners of the mouth of a frontal face, as shares of its box.
POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


def look(person: int, noise: int = 0) -> np.ndarray:
    v = np.random.default_rng([person, 3]).normal(size=128)
    v = v / np.linalg.norm(v) + np.random.default_rng([person, noise, 9]).normal(scale=0.015, size=128)
    return (v / np.linalg.norm(v)).astype(np.float32)


def grid_of(times, scenes) -> SampleGrid:
    ts = np.array(times, dtype=np.int64)
    starts = np.array([s.start_ms for s in scenes])
    return SampleGrid(ts, (np.searchsorted(starts, ts, side="right") - 1).astype(np.int32), tuple(scenes))


def observe(faces, grid: SampleGrid) -> Observations:
    """From (sample, person, x, y, side[, conf]) rows."""
    rows = sorted(faces, key=lambda f: (f[0], faces.index(f)))
    ts = np.array([grid.ts_ms[f[0]] for f in rows], dtype=np.int64)
    boxes = np.array([[f[2], f[3], f[2] + f[4], f[3] + f[4]] for f in rows], dtype=np.float32).reshape(-1, 4)
    marks = np.array([POINTS * f[4] + [f[2], f[3]] for f in rows], dtype=np.float32).reshape(-1, 5, 2)
    return Observations(
        np.array([f"d{i:04d}" for i in range(len(rows))], dtype=np.str_),
        ts // 40,
        ts,
        np.array([grid.scene_id[f[0]] for f in rows], dtype=np.int32),
        boxes,
        np.array([f[5] if len(f) > 5 else 0.99 for f in rows], dtype=np.float32),
        marks,
        np.full(len(rows), 0.7, dtype=np.float32),
        np.array([look(f[1], i) for i, f in enumerate(rows)], dtype=np.float32).reshape(-1, 128),
    )


def follow(faces, grid, cfg=CFG, partial=None):
    obs = observe(faces, grid)
    flags = np.zeros(len(obs), bool) if partial is None else np.array(partial)
    return track(obs, grid, SIZE, flags, cfg, METRIC), obs


def samples_of(tracks, obs, grid):
    return [np.searchsorted(grid.ts_ms, obs.ts_ms[t.members]).tolist() for t in tracks]


ONE_SHOT = grid_of(range(40, 4040, 200), [Span(0, 4040)])


def test_one_face_is_one_track_of_the_whole_shot():
    tracks, obs = follow([(k, 1, 100 + 9 * k, 80, 120) for k in range(20)], ONE_SHOT)
    (t,) = tracks
    assert (t.count, t.start_ms, t.end_ms, t.stitch_score, t.partial) == (20, 40, 4040, 1.0, False)
    assert presence_spans(t, obs, ONE_SHOT) == [Span(0, 4040)]


def test_faces_that_cross_keep_their_tracks():
    faces = [(k, 1, 100 + 40 * k, 100, 120) for k in range(20)]
    faces += [(k, 2, 860 - 40 * k, 130, 120) for k in range(20)]
    tracks, obs = follow(faces, ONE_SHOT)
    people = [
        {int(np.argmax([look(p) @ obs.embeddings[m] for p in (1, 2)])) for m in t.members} for t in tracks
    ]
    assert sorted(map(sorted, people)) == [[0], [1]]


def test_fast_motion_is_followed_when_the_face_is_the_same():
    tracks, _ = follow([(k, 1, 60 + 200 * k, 100, 110) for k in range(6)], ONE_SHOT)
    assert [t.count for t in tracks] == [6]


def test_a_cut_that_nobody_saw_does_not_join_two_people():
    tracks, _ = follow([(k, 1 if k < 10 else 2, 100, 100, 120) for k in range(20)], ONE_SHOT)
    assert [t.count for t in tracks] == [10, 10]


def test_tracks_never_leave_their_shot():
    grid = grid_of(range(0, 4000, 200), [Span(0, 1900), Span(1900, 4000)])
    tracks, obs = follow([(k, 1, 100, 100, 120) for k in range(20)], grid)
    assert [t.scene_id for t in tracks] == [0, 1]
    assert [presence_spans(t, obs, grid) for t in tracks] == [[Span(0, 1900)], [Span(1900, 4000)]]


def test_a_short_gap_is_stitched_and_not_counted_as_seen():
    seen = [k for k in range(20) if not 8 <= k < 12]
    tracks, obs = follow([(k, 1, 100 + 3 * k, 100, 120) for k in seen], ONE_SHOT)
    (t,) = tracks
    assert CFG.min_stitch_score <= t.stitch_score < 1.0
    assert presence_spans(t, obs, ONE_SHOT) == [Span(0, 1640), Span(2440, 4040)]


@pytest.mark.parametrize(("missing", "tracks"), [(5, 1), (9, 2)])
def test_the_longest_gap_is_kept_to(missing, tracks):
    seen = [k for k in range(20) if not 5 <= k < 5 + missing]
    found, _ = follow([(k, 1, 100, 100, 120) for k in seen], ONE_SHOT, TrackSettings(max_gap_ms=1000))
    assert len(found) == tracks


def test_another_person_after_a_gap_is_not_stitched():
    faces = [(k, 1, 100, 100, 120) for k in range(8)] + [(k, 2, 100, 100, 120) for k in range(10, 20)]
    tracks, _ = follow(faces, ONE_SHOT)
    assert [t.stitch_score for t in tracks] == [1.0, 1.0]


def test_a_double_box_is_not_a_second_person():
    faces = [(k, 1, 100, 100, 120) for k in range(20)]
    faces += [(k, 1, 90, 85, 150, 0.92) for k in range(0, 20, 3)]
    obs = observe(faces, ONE_SHOT)
    double = obs.conf < 0.95
    obs.landmarks[double] = obs.landmarks[np.searchsorted(obs.ts_ms, obs.ts_ms[double])]
    (t,) = track(obs, ONE_SHOT, SIZE, np.zeros(len(obs), bool), CFG, METRIC)
    assert t.count == 20
    assert not double[t.members].any()


def test_two_people_cheek_to_cheek_survive():
    faces = [(k, p, x, 100, 120) for k in range(20) for p, x in ((1, 100), (2, 165))]
    tracks, _ = follow(faces, ONE_SHOT)
    assert [t.count for t in tracks] == [20, 20]


def test_twins_cheek_to_cheek_survive():
    """Even alike to the embedder: their landmarks are not one face's."""
    tracks, _ = follow([(k, 1, x, 100, 120) for k in range(20) for x in (100, 180)], ONE_SHOT)
    assert [t.count for t in tracks] == [20, 20]


def test_partial_is_the_majority():
    faces = [(k, 1, 100, 100, 120) for k in range(5)]
    assert follow(faces, ONE_SHOT, partial=[True] * 3 + [False] * 2)[0][0].partial
    assert not follow(faces, ONE_SHOT, partial=[True] * 2 + [False] * 3)[0][0].partial


def test_no_faces_no_tracks():
    assert follow([], ONE_SHOT)[0] == []


def test_wrong_input_is_refused():
    obs = observe([(0, 1, 0, 0, 50), (1, 1, 0, 0, 50)], ONE_SHOT)
    backwards = dataclasses.replace(obs, ts_ms=obs.ts_ms[::-1])
    with pytest.raises(ValueError, match="sorted"):
        track(backwards, ONE_SHOT, SIZE, np.zeros(2, bool), CFG, METRIC)
    off = dataclasses.replace(obs, ts_ms=obs.ts_ms + 1)
    with pytest.raises(ValueError, match="grid"):
        track(off, ONE_SHOT, SIZE, np.zeros(2, bool), CFG, METRIC)
    with pytest.raises(ValueError, match="flags"):
        track(obs, ONE_SHOT, SIZE, np.zeros(3, bool), CFG, METRIC)


faces_in_time = st.lists(
    st.tuples(
        st.integers(0, 19), st.integers(1, 3), st.integers(0, 1000), st.integers(0, 500), st.integers(40, 200)
    ),
    max_size=25,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(faces_in_time, st.lists(st.integers(1, 39), max_size=3, unique=True))
def test_invariants(faces, cuts):
    edges = [0, *sorted(100 * c for c in cuts), 4040]
    grid = grid_of(range(40, 4040, 200), [Span(a, b) for a, b in itertools.pairwise(edges)])
    tracks, obs = follow(faces, grid)
    again, _ = follow(faces, grid)
    assert [(t.track_id, t.members.tolist()) for t in tracks] == [
        (t.track_id, t.members.tolist()) for t in again
    ]
    assert len({t.track_id for t in tracks}) == len(tracks)
    used = [m for t in tracks for m in t.members.tolist()]
    assert len(used) == len(set(used))
    for t in tracks:
        assert set(obs.scene_id[t.members].tolist()) == {t.scene_id}
        assert (np.diff(obs.ts_ms[t.members]) > 0).all()
        spans = presence_spans(t, obs, grid)
        scene = grid.scenes[t.scene_id]
        assert all(scene.start_ms <= s.start_ms < s.end_ms <= scene.end_ms for s in spans)
        assert all(a.end_ms < b.start_ms for a, b in itertools.pairwise(spans))
        assert spans[-1].end_ms == t.end_ms
        assert 0 < t.stitch_score <= 1
    assert set(obs.ts_ms[used].tolist()) == set(obs.ts_ms.tolist())


def test_samples_are_few_good_and_spread():
    tracks, obs = follow([(k, 1, 100 + k, 100, 100 + 2 * k) for k in range(20)], ONE_SHOT)
    obs.quality[:] = 0.5
    obs.quality[7] = 0.9
    obs.quality[3] = 0.01
    rows = best_samples(tracks, obs, CFG)
    assert len(rows) == CFG.samples_per_track
    assert {r.track_id for r in rows} == {tracks[0].track_id}
    assert [r.ts_ms for r in rows] == sorted(r.ts_ms for r in rows)
    by_reason = {r.reason: r for r in rows}
    assert by_reason["best quality"].det_id == str(obs.det_id[7])
    assert by_reason["largest"].det_id == str(obs.det_id[19])
    assert str(obs.det_id[3]) not in {r.det_id for r in rows}
    assert max(r.ts_ms for r in rows) - min(r.ts_ms for r in rows) > 2000
    assert np.diff([r.ts_ms for r in rows]).min() >= 400


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_samples_than_asked_for(most):
    tracks, obs = follow([(k, 1, 100, 100, 120) for k in range(20)], ONE_SHOT)
    assert len(best_samples(tracks, obs, TrackSettings(samples_per_track=most))) == most


def test_a_single_detection_is_its_own_best_sample():
    tracks, obs = follow([(4, 1, 100, 100, 120)], ONE_SHOT)
    assert [(r.reason, r.ts_ms) for r in best_samples(tracks, obs, CFG)] == [("best quality", 840)]
