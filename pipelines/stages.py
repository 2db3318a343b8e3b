"""The stages after the models, in their order. Each reads files and writes files; none knows of Ray."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipelines.episode import (
    EMBEDDER_KEY,
    chosen_crops,
    chunk_faces,
    column,
    embedder_of,
    load_clustering,
    load_detections,
    load_grid,
    load_source,
    load_tracked,
    observations,
    save_tracks,
)
from pipelines.indexing import index_episode
from pipelines.stage import Stage
from screenalyzer import artifacts, facebank, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.calibration import calibration_of
from screenalyzer.clustering.cluster import cluster
from screenalyzer.clustering.model import Cluster
from screenalyzer.clustering.suggest import suggest_merges
from screenalyzer.faces.quality import PARTIAL_BELOW
from screenalyzer.people import display_names
from screenalyzer.results import write_timeline, write_totals
from screenalyzer.screentime import timeline, totals
from screenalyzer.settings import Settings
from screenalyzer.tracking.samples import Sample, best_samples
from screenalyzer.tracking.spans import presence_spans
from screenalyzer.tracking.tracker import track
from screenalyzer.types import Constraints, Presence, Track


def track_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """Follow each face through its shot; choose and keep the best samples."""
    faces = chunk_faces(paths, ["det_id", "ts_ms", "embedding", "visibility"])
    detections, embedder, info = load_detections(paths), embedder_of(faces), load_source(paths)
    obs = observations(detections, column(faces, "embedding", embedder.dim))
    partial = faces["visibility"].to_numpy() < PARTIAL_BELOW
    size = (info.width, info.height)
    tracks = track(obs, load_grid(paths), size, partial, settings.track, calibration_of(embedder))
    save_tracks(paths, tracks)
    columns = {
        "det_id": detections["det_id"],
        "track_id": pa.array(_track_ids(tracks, len(obs)), pa.string()),
        "ts_ms": detections["ts_ms"],
        "embedding": faces["embedding"],
        "bbox": detections["bbox"],
        "conf": detections["conf"],
        "quality": detections["quality"],
    }
    metadata = {EMBEDDER_KEY: embedder.to_json()}
    artifacts.write_table(paths.embeddings, pa.table(columns), schemas.EMBEDDINGS, metadata)
    samples = best_samples(tracks, obs, settings.track)
    return [paths.tracks, paths.embeddings, *_keep_samples(paths, samples)]


def cluster_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """Group the tracks into people, named ones of the show first."""
    tracked = load_tracked(paths)
    bank = facebank.open_for(paths.facebank, tracked.embedder)
    gallery = bank.gallery() if bank.people else None
    metric = calibration_of(tracked.embedder)
    found = cluster(tracked.tracks, tracked.obs, Constraints(), gallery, settings.cluster, metric)
    _write_clusters(paths, found.clusters)
    return [paths.clusters, paths.members]


def assist_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """Suggest pairs of clusters that may be one person."""
    tracked, found = load_tracked(paths), load_clustering(paths)
    metric = calibration_of(tracked.embedder)
    rows = suggest_merges(found, tracked.tracks, tracked.obs, Constraints(), settings.cluster, metric)
    columns = [[getattr(r, name) for r in rows] for name in schemas.MERGE_SUGGESTIONS.names]
    table = pa.table(columns, schema=schemas.MERGE_SUGGESTIONS.remove_metadata())
    artifacts.write_table(paths.merge_suggestions, table, schemas.MERGE_SUGGESTIONS)
    return [paths.merge_suggestions]


def analyse_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """Apply the screen-time rules to everyone but what is hardly a face."""
    tracked, grid = load_tracked(paths), load_grid(paths)
    by_id = {t.track_id: t for t in tracked.tracks}
    names = display_names(artifacts.read_table(paths.clusters, schemas.CLUSTERS))
    seen = [
        Presence(names[c.cluster_id], span, m.score, t.partial, face_conf=t.mean_conf)
        for c in load_clustering(paths).clusters
        if not c.leave_out
        for m in c.members
        for t in [by_id[m.track_id]]
        for span in presence_spans(t, tracked.obs, grid)
    ]
    intervals = timeline(seen, settings.rules)
    duration_ms = grid.scenes[-1].end_ms - grid.scenes[0].start_ms
    write_timeline(paths, intervals)
    write_totals(paths, totals(intervals, duration_ms), settings.rules)
    return [paths.timeline, paths.totals_csv, paths.totals_parquet]


def _track_ids(tracks: Sequence[Track], count: int) -> list[str | None]:
    ids: list[str | None] = [None] * count
    for t in tracks:
        for row in t.members:
            ids[int(row)] = t.track_id
    return ids


def _crop_path(paths: EpisodePaths, det_id: str) -> Path:
    return paths.crops / f"{det_id}.jpg"


def _keep_samples(paths: EpisodePaths, samples: Sequence[Sample]) -> list[Path]:
    """Write the crops of the samples, and the list that names them last."""
    for det_id, crop in chosen_crops(paths, {s.det_id for s in samples}):
        artifacts.write_bytes(_crop_path(paths, det_id), crop)
    crops = [_crop_path(paths, s.det_id) for s in samples]
    for stale in set(paths.crops.glob("*.jpg")) - set(crops):
        stale.unlink()
    rows = [
        (s.track_id, s.ts_ms, paths.relative(_crop_path(paths, s.det_id)), s.quality, s.reason)
        for s in samples
    ]
    artifacts.write_csv(paths.selected_samples, ("track_id", "ts_ms", "crop_path", "quality", "reason"), rows)
    return [*crops, paths.selected_samples]


def _write_clusters(paths: EpisodePaths, clusters: Sequence[Cluster]) -> None:
    crops: dict[str, list[tuple[float, str]]] = {}
    for row in artifacts.read_csv(paths.selected_samples):
        crops.setdefault(row["track_id"], []).append((float(row["quality"]), row["crop_path"]))
    table = pa.table(
        {
            "cluster_id": [c.cluster_id for c in clusters],
            "name": pa.array([c.name for c in clusters], pa.string()),
            "member_count": [len(c.members) for c in clusters],
            "intra_variance": [c.intra_variance for c in clusters],
            "rep_crop": [_rep_crop(paths, c, crops) for c in clusters],
            "low_conf": [c.low_conf for c in clusters],
            "reason": [c.reason for c in clusters],
            "named_by": pa.array([c.named_by for c in clusters], pa.string()),
            "face_score": [c.face_score for c in clusters],
        },
        schema=schemas.CLUSTERS.remove_metadata(),
    )
    artifacts.write_table(paths.clusters, table, schemas.CLUSTERS)
    rows = [
        {"cluster_id": c.cluster_id, "track_id": m.track_id, "score": m.score}
        for c in clusters
        for m in c.members
    ]
    members = pa.Table.from_pylist(rows, schema=schemas.MEMBERS.remove_metadata())
    artifacts.write_table(paths.members, members, schemas.MEMBERS)


def _rep_crop(paths: EpisodePaths, cluster: Cluster, crops: dict[str, list[tuple[float, str]]]) -> str:
    """The crop of the detection that shows the cluster best, or the best one that was kept of its tracks."""
    wanted = _crop_path(paths, cluster.rep_det_id)
    if wanted.exists():
        return paths.relative(wanted)
    return max(c for m in cluster.members for c in crops[m.track_id])[1]


def _facebank_digest(paths: EpisodePaths) -> list[str]:
    files = [paths.facebank / "people.parquet", paths.facebank / "embeddings.parquet"]
    return [artifacts.sha256_file(f) for f in files if f.exists()]


STAGES = (
    Stage("inference", 1, index_episode, lambda _, s: (s.video, s.shots, s.detect, s.ray.batch_frames)),
    Stage("tracking", 1, track_episode, lambda _, s: s.track),
    Stage("cluster", 1, cluster_episode, lambda p, s: (s.cluster, _facebank_digest(p))),
    Stage("assist", 1, assist_episode, lambda _, s: s.cluster),
    Stage("analytics", 2, analyse_episode, lambda _, s: s.rules),
)
