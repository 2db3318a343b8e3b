"""What the stages of one episode share: the request, the probed source, the sampled grid and the faces."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.model import Cluster, Clustering, Member
from screenalyzer.errors import ArtifactError
from screenalyzer.types import EmbedderId, Float32, Int64, Observations, SampleGrid, Span, Track, VideoInfo

EMBEDDER_KEY = "embedder"


@dataclass(frozen=True)
class Job:
    """One episode to process.

    Attributes:
        video: the file.
        paths: where its artifacts go.
        replace: discard an episode of the same name with other content.
        refused: why it cannot even be tried; None where it can.
        actor: who asked for it, for the audit log; the operating system's user where None.
    """

    video: Path
    paths: EpisodePaths
    replace: bool = False
    refused: str | None = None
    actor: str | None = None

    @property
    def key(self) -> str:
        """`{show}/{episode}`."""
        return self.paths.key


def save_source(paths: EpisodePaths, info: VideoInfo) -> None:
    """Keep what the probe found, for every later stage. A video below the data root is named from there."""
    fields = {**asdict(info), "path": portable(paths, info.path), "time_base": str(info.time_base)}
    artifacts.write_json(paths.source_json, fields)


def portable(paths: EpisodePaths, video: str) -> str:
    """A video's path as artifacts name it: below the data root if it lies there, so that a root can move."""
    path = Path(video)
    return paths.relative(path) if path.is_relative_to(paths.root) else video


def load_source(paths: EpisodePaths) -> VideoInfo:
    """Read what the probe found.

    Raises:
        ArtifactError: the episode was never harvested, or the file is damaged.
    """
    raw = artifacts.read_json(paths.source_json)
    raw["time_base"] = Fraction(raw["time_base"])
    raw["keyframe_pts"] = tuple(raw["keyframe_pts"])
    raw["path"] = str(paths.root / raw["path"])
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
    parts = [
        artifacts.read_table(p, schemas.DETECTIONS) for p in sorted(paths.detections.glob("part-*.parquet"))
    ]
    table = pa.concat_tables(parts) if parts else schemas.DETECTIONS.empty_table()
    return table.sort_by([("ts_ms", "ascending"), ("det_id", "ascending")])


def column(table: pa.Table, name: str, width: int) -> Float32:
    """A list column, each list of `width` numbers, as float32[n, width]."""
    flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(len(table), width)


def observations(detections: pa.Table, embeddings: Float32) -> Observations:
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


def chunk_faces(paths: EpisodePaths, columns: list[str]) -> pa.Table:
    """Columns of the faces of all chunks of the current manifest, in the order of the detections."""
    parts = list(_chunk_parts(paths, columns))
    return pa.concat_tables(parts).sort_by([("ts_ms", "ascending"), ("det_id", "ascending")])


def chosen_crops(paths: EpisodePaths, det_ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The JPEG crops of some faces, chunk by chunk: those of a whole episode need not fit in memory."""
    wanted = pa.array(sorted(det_ids), pa.string())
    for part in _chunk_parts(paths, ["det_id", "crop"]):
        chosen = part.filter(pc.is_in(part["det_id"], value_set=wanted))
        yield from zip(chosen["det_id"].to_pylist(), chosen["crop"].to_pylist(), strict=True)


def _chunk_parts(paths: EpisodePaths, columns: list[str]) -> Iterator[pa.Table]:
    for part in sorted(paths.detections.glob("part-*.parquet")):
        index = int(part.stem.removeprefix("part-"))
        yield artifacts.read_table(paths.chunk_faces(index), schemas.CHUNK_FACES, columns)


def embedder_of(table: pa.Table) -> EmbedderId:
    """Which embedder made the vectors of a table.

    Raises:
        ArtifactError: the table does not say.
    """
    try:
        return EmbedderId.from_json((table.schema.metadata or {})[EMBEDDER_KEY.encode()])
    except (KeyError, ValueError) as e:
        raise ArtifactError(
            "the embeddings do not say which embedder made them. Process the episode again."
        ) from e


def save_tracks(paths: EpisodePaths, tracks: Sequence[Track]) -> None:
    """Write tracks.json; the members of a track are in embeddings.parquet."""
    rows = [
        {
            "track_id": t.track_id,
            "scene_id": t.scene_id,
            "start_ms": t.start_ms,
            "end_ms": t.end_ms,
            "count": t.count,
            "stitch_score": round(t.stitch_score, 4),
            "mean_conf": round(t.mean_conf, 4),
            "partial": t.partial,
        }
        for t in tracks
    ]
    artifacts.write_json(paths.tracks, {"schema_version": schemas.SCHEMA_VERSION, "tracks": rows})


@dataclass(frozen=True)
class Tracked:
    """An episode after tracking.

    Attributes:
        obs: all its faces.
        tracks: whose members point into obs.
        embedder: what made the vectors.
    """

    obs: Observations
    tracks: tuple[Track, ...]
    embedder: EmbedderId


def load_tracked(paths: EpisodePaths) -> Tracked:
    """Read what the tracking stage wrote.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    table = artifacts.read_table(paths.embeddings, schemas.EMBEDDINGS)
    embedder = embedder_of(table)
    obs = observations(load_detections(paths), column(table, "embedding", embedder.dim))
    members = _rows_by_value(table["track_id"])
    tracks = tuple(
        Track(
            track_id=r["track_id"],
            scene_id=r["scene_id"],
            start_ms=r["start_ms"],
            end_ms=r["end_ms"],
            members=members[r["track_id"]],
            stitch_score=r["stitch_score"],
            mean_conf=r["mean_conf"],
            partial=r["partial"],
        )
        for r in artifacts.read_json(paths.tracks)["tracks"]
    )
    return Tracked(obs, tracks, embedder)


def _rows_by_value(column: pa.ChunkedArray) -> dict[str, Int64]:
    """The rows of each value that there is, ascending."""
    coded = column.combine_chunks().dictionary_encode()
    code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    values = coded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(code + 1, minlength=len(values) + 1))
    rows = np.split(np.argsort(code, kind="stable"), ends[:-1])
    return dict(zip(values, rows[1:], strict=True))


def load_clustering(paths: EpisodePaths) -> Clustering:
    """Read what the cluster stage wrote.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    members: dict[str, list[Member]] = {}
    for m in artifacts.read_table(paths.members, schemas.MEMBERS).to_pylist():
        members.setdefault(m["cluster_id"], []).append(Member(m["track_id"], m["score"]))
    clusters = tuple(
        Cluster(
            cluster_id=c["cluster_id"],
            name=c["name"],
            named_by=c["named_by"],
            members=tuple(members[c["cluster_id"]]),
            intra_variance=c["intra_variance"],
            rep_det_id=Path(c["rep_crop"] or "").stem,
            face_score=c["face_score"],
            low_conf=c["low_conf"],
            reason=c["reason"],
        )
        for c in artifacts.read_table(paths.clusters, schemas.CLUSTERS).to_pylist()
    )
    return Clustering(clusters)
