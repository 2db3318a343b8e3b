"""What the stages of one episode share: the request, the probed source, the sampled grid and the faces."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa

from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.types import Observations, SampleGrid, Span, VideoInfo


@dataclass(frozen=True)
class Job:
    """One episode to process."""

    video: Path
    paths: EpisodePaths
    replace: bool = False

    @property
    def key(self) -> str:
        """`{show}/{episode}`."""
        return self.paths.key


def save_source(paths: EpisodePaths, info: VideoInfo) -> None:
    """Keep what the probe found, for every later stage."""
    artifacts.write_json(paths.source_json, {**asdict(info), "time_base": str(info.time_base)})


def load_source(paths: EpisodePaths) -> VideoInfo:
    """Read what the probe found.

    Raises:
        ArtifactError: the episode was never harvested, or the file is damaged.
    """
    raw = artifacts.read_json(paths.source_json)
    raw["time_base"] = Fraction(raw["time_base"])
    raw["keyframe_pts"] = tuple(raw["keyframe_pts"])
    return VideoInfo(**raw)


def load_grid(paths: EpisodePaths) -> SampleGrid:
    """Read the sampled frames and the scenes."""
    table = artifacts.read_table(paths.manifest, schemas.MANIFEST)
    shots = artifacts.read_json(paths.manifest_json)["shots"]
    return SampleGrid(
        ts_ms=table["ts_ms"].to_numpy(),
        scene_id=table["scene_id"].to_numpy(),
        scenes=tuple(Span(s["start_ms"], s["end_ms"]) for s in shots),
    )


def load_detections(paths: EpisodePaths) -> pa.Table:
    """Read all detection parts as one table, sorted by time and id."""
    parts = [artifacts.read_table(p, schemas.DETECTIONS) for p in sorted(paths.detections.glob("part-*.parquet"))]
    table = pa.concat_tables(parts) if parts else schemas.DETECTIONS.empty_table()
    return table.sort_by([("ts_ms", "ascending"), ("det_id", "ascending")])


def column(table: pa.Table, name: str, width: int | None = None) -> np.ndarray:
    """A list column as a float32 matrix of n rows; `width` is needed where n may be 0."""
    flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    if len(table) == 0:
        return np.zeros((0, width or 0), np.float32)
    return flat.reshape(len(table), -1)


def observations(detections: pa.Table, embeddings: np.ndarray) -> Observations:
    """Columns of all faces, from the detections and their embeddings in the same order.

    Args:
        detections: table of schema DETECTIONS.
        embeddings: float32[n, d], row i for detection i.
    """
    return Observations(
        det_id=np.asarray(detections["det_id"].to_pylist(), dtype=np.str_),
        frame_index=detections["frame_index"].to_numpy(),
        ts_ms=detections["ts_ms"].to_numpy(),
        scene_id=detections["scene_id"].to_numpy(),
        boxes=column(detections, "bbox", 4),
        conf=detections["conf"].to_numpy(),
        landmarks=column(detections, "landmarks", 10).reshape(-1, 5, 2),
        quality=detections["quality"].to_numpy(),
        embeddings=embeddings,
    )
