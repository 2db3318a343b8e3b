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
    load_detections,
    load_grid,
    load_source,
    load_tracked,
    observations,
    save_tracks,
)
from pipelines.groups import write_assistance, write_groups
from pipelines.indexing import index_episode
from pipelines.review import load_desk, load_gallery
from pipelines.stage import Stage
from screenalyzer import artifacts, schemas, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.calibration import calibration_of
from screenalyzer.clustering.cluster import cluster
from screenalyzer.faces.quality import PARTIAL_BELOW
from screenalyzer.results import write_timeline, write_totals
from screenalyzer.review import record
from screenalyzer.review.carrying.carry import carry
from screenalyzer.review.carrying.constraints import constraints_of, groups_in, groups_of_tracks
from screenalyzer.review.carrying.regroup import regrouped
from screenalyzer.review.keys import Said
from screenalyzer.settings import Settings
from screenalyzer.tracking.samples import Sample, best_samples
from screenalyzer.tracking.tracker import track
from screenalyzer.types import Track


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
    """Group the tracks into people: what people decided first, then the named ones of the show."""
    tracked, review = load_tracked(paths), record.load(paths)
    metric, embedder = calibration_of(tracked.embedder), str(tracked.embedder)
    items, tracks, obs = review.decisions, tracked.tracks, tracked.obs
    carried = carry(items, review.anchors, obs, tracks, metric, embedder)
    gallery = load_gallery(paths, tracked.embedder, review)
    known = gallery.names if gallery else ()
    constraints = constraints_of(items, review.people, carried, tracks, known)
    found = cluster(tracks, obs, constraints, gallery, settings.cluster, metric)
    group_of = groups_of_tracks(items, carried, tracks)
    named = regrouped(found, group_of, groups_in(items), obs, tracks)
    return write_groups(paths, named.clusters, Said.of(items).number)


def assist_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """What people left, and what they should look at next."""
    return write_assistance(paths, load_desk(paths, settings))


def analyse_episode(paths: EpisodePaths, settings: Settings) -> list[Path]:
    """Apply the screen-time rules to everyone who is credited."""
    desk = load_desk(paths, settings)
    write_timeline(paths, desk.timeline())
    write_totals(paths, desk.totals(), settings.rules)
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
    chosen = chosen_crops(paths, {s.det_id for s in samples})
    artifacts.write_many(paths.crops, ((_crop_path(paths, det_id).name, crop) for det_id, crop in chosen))
    crops = [_crop_path(paths, s.det_id) for s in samples]
    storage.remove(*(set(paths.crops.glob("*.jpg")) - set(crops)))
    rows = [
        (s.track_id, s.ts_ms, paths.relative(_crop_path(paths, s.det_id)), s.quality, s.reason)
        for s in samples
    ]
    artifacts.write_csv(paths.selected_samples, ("track_id", "ts_ms", "crop_path", "quality", "reason"), rows)
    return [*crops, paths.selected_samples]


def _facebank_digest(paths: EpisodePaths) -> list[str]:
    files = [paths.facebank / "people.parquet", paths.facebank / "embeddings.parquet"]
    return [artifacts.sha256_file(f) for f in files if f.exists()]


def _known(paths: EpisodePaths) -> tuple[list[str], str]:
    """What people know: the faces that the show keeps, and the decisions on the episode."""
    return _facebank_digest(paths), record.load(paths).digest


STAGES = (
    Stage(
        "inference",
        1,
        index_episode,
        lambda _, s: (s.video, s.shots, s.detect, s.ray.batch_frames),
        reads_chunks=True,
    ),
    Stage("tracking", 1, track_episode, lambda _, s: s.track, reads_chunks=True, crops=True),
    Stage("cluster", 2, cluster_episode, lambda p, s: (s.cluster, _known(p))),
    Stage("assist", 2, assist_episode, lambda p, s: (s.cluster, _known(p))),
    Stage("analytics", 3, analyse_episode, lambda p, s: (s.rules, _known(p))),
)
