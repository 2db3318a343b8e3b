"""The last step of inference: from chunks to one episode.

Cuts are decided over the whole episode, so scenes and frame numbers do not depend on how it was chunked.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.episode import load_source, portable
from screenalyzer import artifacts, schemas, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import UndecodableVideoError
from screenalyzer.settings import Settings
from screenalyzer.types import Int32, Span, VideoInfo
from screenalyzer.video.plan import plan
from screenalyzer.video.shots import scenes


def index_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """Number the frames, find the scenes, and publish manifest and detections.

    Raises:
        UndecodableVideoError: no chunk yielded a frame.
    """
    info = load_source(paths)
    chunks = [c.index for s in plan(info, settings.video) for c in s.chunks]
    logs = [artifacts.read_table(paths.chunk_frames(i), schemas.CHUNK_FRAMES) for i in chunks]
    frames = pa.concat_tables(logs)
    if len(frames) == 0:
        raise UndecodableVideoError(
            info.path, "not one frame could be decoded", "Encode it again from its source."
        )
    scene_id, spans = scenes(frames, settings.shots)
    damage = [d for i in chunks for d in artifacts.read_json(paths.chunk_damage(i))]
    _write_manifest(paths, info, frames, scene_id, spans, damage)
    parts = _write_detections(paths, chunks, frames["pts"].to_numpy(), scene_id)
    return [paths.manifest, paths.manifest_json, *parts]


def _write_manifest(
    paths: EpisodePaths, info: VideoInfo, frames: pa.Table, scene_id: Int32, spans: tuple[Span, ...],
    damage: list[dict[str, Any]],
) -> None:  # fmt: skip
    sampled = frames["sampled"].to_numpy(zero_copy_only=False)
    manifest = pa.table(
        {
            "frame_index": np.flatnonzero(sampled),
            "ts_ms": frames["ts_ms"].to_numpy()[sampled],
            "scene_id": scene_id[sampled],
        }
    )
    artifacts.write_table(paths.manifest, manifest, schemas.MANIFEST)
    shots = [{"scene_id": i, "start_ms": s.start_ms, "end_ms": s.end_ms} for i, s in enumerate(spans)]
    artifacts.write_json(
        paths.manifest_json,
        {
            "show": paths.show,
            "episode": paths.episode,
            "source": {
                "path": portable(paths, info.path),
                "sha256": info.sha256,
                "size_bytes": info.size_bytes,
            },
            "container": info.container,
            "codec": info.codec,
            "width": info.width,
            "height": info.height,
            "fps": round(info.fps, 6),
            "frame_count": len(frames),
            "start_ms": spans[0].start_ms,
            "duration_ms": spans[-1].end_ms - spans[0].start_ms,
            "shots": shots,
            "missing": _joined(damage),
        },
    )


def _joined(damage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Damage spans in order; touching ones of one reason become one."""
    joined: list[dict[str, Any]] = []
    for d in sorted(damage, key=lambda d: (d["start_ms"], d["end_ms"])):
        last = joined[-1] if joined else None
        if last and last["reason"] == d["reason"] and d["start_ms"] <= last["end_ms"]:
            last["end_ms"] = max(last["end_ms"], d["end_ms"])
        else:
            joined.append(dict(d))
    return joined


def _write_detections(
    paths: EpisodePaths, chunks: list[int], frame_pts: np.ndarray, scene_id: Int32
) -> list[Path]:
    wanted = [c for c in schemas.DETECTIONS.names if c not in ("frame_index", "scene_id")]
    parts = []
    for i in chunks:
        faces = artifacts.read_table(paths.chunk_faces(i), schemas.CHUNK_FACES, ["pts", *wanted])
        index = np.searchsorted(frame_pts, faces["pts"].to_numpy())
        table = faces.append_column("frame_index", pa.array(index, pa.int64())).append_column(
            "scene_id", pa.array(scene_id[index], pa.int32())
        )
        part = paths.detections / f"part-{i:05d}.parquet"
        artifacts.write_table(part, table.select(schemas.DETECTIONS.names), schemas.DETECTIONS)
        parts.append(part)
    storage.remove(*(set(paths.detections.glob("part-*.parquet")) - set(parts)))
    return parts
