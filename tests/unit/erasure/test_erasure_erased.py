"""Which detections are taken for erased faces."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer import schemas
from screenalyzer.artifacts import EpisodePaths, write_json, write_table
from screenalyzer.erasure.erased import Erased, ErasedPath, keep, load, matches, without
from screenalyzer.tracking.geometry import overlaps

_PERIOD = 200


def _boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


@st.composite
def _paths(draw: st.DrawFn) -> ErasedPath:
    steps = draw(st.lists(st.integers(1, 1000), min_size=0, max_size=8))
    ts_ms = np.cumsum([draw(st.integers(0, 5000)), *steps]).astype(np.int64)
    corners = st.tuples(st.integers(0, 1500), st.integers(0, 900), st.integers(20, 300), st.integers(20, 300))
    rows = [draw(corners) for _ in ts_ms]
    return ErasedPath(ts_ms, _boxes(*((x, y, x + w, y + h) for x, y, w, h in rows)))


_ERASED = st.lists(_paths(), max_size=4).map(lambda found: Erased(tuple(found)))
_SEEN = st.lists(
    st.tuples(st.integers(0, 14_000), st.integers(0, 1500), st.integers(0, 900), st.integers(5, 300)),
    max_size=12,
)


def _seen(rows: list[tuple[int, int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    boxes = _boxes(*((x, y, x + side, y + side) for _, x, y, side in rows))
    return np.array([r[0] for r in rows], dtype=np.int64), boxes


@settings(deadline=None)  # the first call loads libraries
@given(_ERASED)
def test_what_was_erased_matches_itself(found: Erased) -> None:
    for path in found.paths:
        assert matches(found, path.ts_ms, path.boxes).all()


@settings(deadline=None)  # the first call loads libraries
@given(_ERASED, _SEEN)
def test_it_is_what_the_definition_says(found: Erased, rows: list[tuple[int, int, int, int]]) -> None:
    ts_ms, boxes = _seen(rows)
    expected = []
    for t, box in zip(ts_ms, boxes, strict=True):
        hit = False
        for path in found.paths:
            for i, j in zip(range(len(path.ts_ms)), [*range(1, len(path.ts_ms)), None], strict=True):
                share = 0.0 if j is None else (t - path.ts_ms[i]) / (path.ts_ms[j] - path.ts_ms[i])
                if (j is None and t == path.ts_ms[i]) or (j is not None and 0 <= share <= 1):
                    there = (
                        path.boxes[i]
                        if j is None
                        else path.boxes[i] + share * (path.boxes[j] - path.boxes[i])
                    )
                    iou = overlaps(box[None], there[None].astype(np.float32))[0][0, 0]
                    hit |= bool(iou >= 0.4)
        expected.append(hit)
    assert matches(found, ts_ms, boxes).tolist() == expected


@settings(deadline=None)  # the first call loads libraries
@given(_ERASED, _SEEN, _SEEN)
def test_each_detection_is_judged_by_itself(found: Erased, a: list, b: list) -> None:
    whole = matches(found, *_seen([*a, *b]))
    assert whole.tolist() == [*matches(found, *_seen(a)), *matches(found, *_seen(b))]


@settings(deadline=None)  # the first call loads libraries
@given(_ERASED, _SEEN)
def test_more_erased_never_matches_less(found: Erased, rows: list) -> None:
    fewer = Erased(found.paths[:-1])
    assert (matches(fewer, *_seen(rows)) <= matches(found, *_seen(rows))).all()


def test_without_keeps_the_other_rows_in_order() -> None:
    boxes = pa.array([[0, 0, 9, 9], [50, 50, 90, 90], [0, 0, 9, 9]], pa.list_(pa.float32(), 4))
    table = pa.table({"ts_ms": [0, 0, 100], "bbox": boxes, "n": [1, 2, 3]})
    path = ErasedPath(np.array([0, 50]), _boxes((0, 0, 9, 9), (0, 0, 9, 9)))
    assert without(Erased((path,)), table)["n"].to_pylist() == [2, 3]
    assert without(Erased(), table) is table
    assert len(without(Erased((path,)), table.slice(0, 0))) == 0


def _episode(root: Path, sha256: str = "a" * 64) -> EpisodePaths:
    paths = EpisodePaths(root, "Show", "e1")
    write_json(paths.source_json, {"sha256": sha256})
    shots = [{"start_ms": 0, "end_ms": 1050}, {"start_ms": 1050, "end_ms": 9000}]
    write_json(paths.manifest_json, {"shots": shots})
    ts_ms = np.arange(0, 9000, _PERIOD)
    columns = {
        "frame_index": np.arange(len(ts_ms)),
        "ts_ms": ts_ms,
        "scene_id": np.zeros(len(ts_ms), np.int32),
    }
    write_table(paths.manifest, pa.table(columns), schemas.MANIFEST)
    return paths


def test_an_appearance_is_held_until_the_next_frame_looked_at_and_never_across_a_cut(tmp_path: Path) -> None:
    paths = _episode(tmp_path)
    box = (10, 10, 50, 50)
    keep(paths, [ErasedPath(np.array([600, 800, 1000]), _boxes(box, box, box))])
    times = np.array([400, 401, 500, 900, 1049, 1050, 1100])
    found = matches(load(paths), times, _boxes(*[box] * len(times)))
    assert found.tolist() == [False, True, True, True, True, False, False]


def test_a_gap_of_more_than_a_second_is_not_bridged(tmp_path: Path) -> None:
    paths, box = _episode(tmp_path), (10, 10, 50, 50)
    keep(paths, [ErasedPath(np.array([2000, 3000, 4200]), _boxes(box, box, box))])
    times = np.array([2500, 3199, 3200, 4000, 4001])
    assert matches(load(paths), times, _boxes(*[box] * 5)).tolist() == [True, True, False, False, True]


def test_keeping_the_same_twice_changes_no_byte_and_other_videos_stay(tmp_path: Path) -> None:
    paths, box = _episode(tmp_path), (10, 10, 50, 50)
    one, two = (ErasedPath(np.array([t]), _boxes(box)) for t in (2000, 4000))
    keep(paths, [two])
    keep(paths, [one, two])
    first = paths.erased.read_bytes()
    keep(paths, [two, one])
    assert paths.erased.read_bytes() == first
    assert [int(p.ts_ms[1]) for p in load(paths).paths] == [2000, 4000]
    _episode(tmp_path, "b" * 64)
    assert not load(paths)
    keep(paths, [one])
    assert (len(load(paths).paths), len(load(paths, "a" * 64).paths)) == (1, 2)
