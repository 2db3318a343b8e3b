"""Where on the screen erased faces were, so that processing the video again does not bring them back.

The file says when and where, never who or what they looked like: nobody can be recognised from it. Each
appearance is one path, a list of boxes in time. A path is a little longer than what was seen: by less than
one sampled frame at both ends, never across a cut, for a later run may look at other frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screenalyzer.artifacts import EpisodePaths, read_json, read_table, write_table
from screenalyzer.schemas import ERASED, MANIFEST
from screenalyzer.tracking.geometry import aligned_overlap, boxes_at
from screenalyzer.types import Bool, Float32, Float64, Int64, Span

MIN_IOU = 0.4
MAX_STEP_MS = 1000  # boxes of one face farther apart in time than this say nothing of the time between


@dataclass(frozen=True)
class ErasedPath:
    """One appearance.

    Attributes:
        ts_ms: int64[n], ascending.
        boxes: float32[n, 4], in pixels of the displayed source frame.
    """

    ts_ms: Int64
    boxes: Float32


@dataclass(frozen=True)
class Erased:
    """All erased appearances of one video."""

    paths: tuple[ErasedPath, ...] = field(default=())

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.paths)


def load(paths: EpisodePaths, sha256: str | None = None) -> Erased:
    """Read what was erased of an episode; nothing where nothing was.

    Args:
        paths: the episode.
        sha256: of the video that is being processed: under the name of an episode another video may come to
            lie, of which the boxes say nothing. None reads it from source.json.

    Raises:
        ArtifactError: a file is damaged. It is better not to process than to bring somebody back.
    """
    if not paths.erased.exists():
        return Erased()
    source = sha256 or _source(paths)
    table = read_table(paths.erased, ERASED)
    own = table.filter(pc.equal(table["source"], source))
    number, ts_ms, boxes = own["stretch"].to_numpy(), own["ts_ms"].to_numpy(), boxes_of(own)
    return Erased(tuple(ErasedPath(ts_ms[number == n], boxes[number == n]) for n in np.unique(number)))


def keep(paths: EpisodePaths, appearances: Sequence[ErasedPath]) -> Erased:
    """Add appearances to those that the episode must not show again. The same ones twice are there once.

    Args:
        paths: the episode, harvested. While its video is not read to the end there are no scenes yet: then
            the boxes are kept as they were seen.
        appearances: one a track: its own boxes, as they were seen.

    Raises:
        ArtifactError: the manifest or the file is missing or damaged.
    """
    source = _source(paths)
    shots, period = _grid(paths)
    fresh = [p for a in appearances for p in _lengthened(a, shots, period)]
    before = load(paths, source).paths
    unique = {(p.ts_ms.tobytes(), p.boxes.tobytes()): p for p in [*before, *fresh]}
    ordered = sorted(unique.values(), key=lambda p: (p.ts_ms.tolist(), p.boxes.tolist()))
    if len(ordered) > len(before):
        parts = [_rows(source, n, p) for n, p in enumerate(ordered)]
        if paths.erased.exists():
            table = read_table(paths.erased, ERASED)
            parts = [table.filter(pc.not_equal(table["source"], source)).replace_schema_metadata(), *parts]
        write_table(paths.erased, pa.concat_tables(parts), ERASED)
    return Erased(tuple(ordered))


def matches(erased: Erased, ts_ms: Int64, boxes: Float32) -> Bool:
    """Which detections are faces that were erased: bool[n].

    Args:
        erased: the appearances.
        ts_ms: int64[n].
        boxes: float32[n, 4], in pixels of the displayed source frame.
    """
    found = np.zeros(len(ts_ms), dtype=bool)
    for path in erased.paths:
        near = np.flatnonzero((ts_ms >= path.ts_ms[0]) & (ts_ms <= path.ts_ms[-1]) & ~found)
        there = boxes_at(ts_ms[near], path.ts_ms, path.boxes)
        found[near] = aligned_overlap(boxes[near], there) >= MIN_IOU
    return found


def without(erased: Erased, faces: pa.Table) -> pa.Table:
    """A table with the columns ts_ms and bbox, less the rows of erased faces."""
    if not erased or not len(faces):
        return faces
    return faces.filter(pa.array(~matches(erased, faces["ts_ms"].to_numpy(), boxes_of(faces))))


def boxes_of(table: pa.Table) -> Float32:
    """The column bbox as float32[n, 4]."""
    flat = table["bbox"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(table), 4)


def _grid(paths: EpisodePaths) -> tuple[list[Span], int]:
    """Scenes, and the usual time between two sampled frames in milliseconds."""
    if not paths.manifest_json.exists() and not paths.manifest.exists():
        return [], 0
    found = read_json(paths.manifest_json)["shots"]
    shots = [Span(int(s["start_ms"]), int(s["end_ms"])) for s in found]
    return shots, _period(read_table(paths.manifest, MANIFEST)["ts_ms"].to_numpy())


def _source(paths: EpisodePaths) -> str:
    return str(read_json(paths.source_json)["sha256"])


def _rows(source: str, number: int, path: ErasedPath) -> pa.Table:
    columns = {
        "source": [source] * len(path.ts_ms),
        "stretch": [number] * len(path.ts_ms),
        "ts_ms": path.ts_ms,
        "bbox": pa.FixedSizeListArray.from_arrays(pa.array(path.boxes.ravel()), 4),
    }
    return pa.table(columns).cast(ERASED.remove_metadata())


def _period(sampled_ms: Int64) -> int:
    """Usual time between two sampled frames, in milliseconds; 0 where there are not two."""
    return int(np.median(np.diff(sampled_ms))) if len(sampled_ms) > 1 else 0


def _lengthened(appearance: ErasedPath, shots: Sequence[Span], period: int) -> list[ErasedPath]:
    """Cut at long gaps; hold the first and the last box of each piece towards the frames not looked at."""
    ts_ms = np.asarray(appearance.ts_ms, dtype=np.int64)
    cuts = np.flatnonzero(np.diff(ts_ms) > max(MAX_STEP_MS, period)) + 1
    pieces = zip(np.split(ts_ms, cuts), np.split(appearance.boxes, cuts), strict=True)
    return [_held(t, b.astype(np.float32), shots, period) for t, b in pieces if len(t)]


def _held(ts_ms: Int64, boxes: Float32, shots: Sequence[Span], period: int) -> ErasedPath:
    first, last = int(ts_ms[0]), int(ts_ms[-1])
    around = max(period - 1, 0)
    start = max([first - around, *(s.start_ms for s in shots if s.start_ms <= first < s.end_ms)])
    end = min([last + around, *(s.end_ms - 1 for s in shots if s.start_ms <= last < s.end_ms)])
    times: Float64 | Int64 = np.array([start, *ts_ms, end], dtype=np.int64)
    rows = np.concatenate([boxes[:1], boxes, boxes[-1:]])
    kept = np.concatenate([[start < first], np.ones(len(ts_ms), dtype=bool), [end > last]])
    return ErasedPath(times[kept].astype(np.int64), rows[kept])
