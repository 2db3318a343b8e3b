"""The files of an episode by kind and name. No part of a path comes from a request: names are looked up."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError
from sqlalchemy import select
from sqlalchemy.orm import Session

from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError
from services.api.lookup import paths_of
from services.api.problems import ApiError, not_found
from services.api.schemas.artifacts import ArtifactKind
from services.context import Services
from services.db.models import Episode, Job, Video

THUMB_SIDE: Final = 96  # pixels
_THUMB_QUALITY: Final = 60

# Which stage makes it: where the stage is done and the file is not there, it is kept no longer.
_MADE_BY: Final[dict[ArtifactKind, str]] = {
    "source": "harvest",
    "manifest": "inference",
    "manifest_json": "inference",
    "detections": "inference",
    "selected_samples": "tracking",
    "embeddings": "tracking",
    "tracks": "tracking",
    "clusters": "cluster",
    "members": "cluster",
    "merge_suggestions": "assist",
    "reviewed_clusters": "assist",
    "reviewed_members": "assist",
    "low_confidence": "assist",
    "timeline": "analytics",
    "totals_csv": "analytics",
    "totals_parquet": "analytics",
}


@dataclass(frozen=True)
class Found:
    """A file that is there.

    Attributes:
        kind: of the artifact.
        path: of the file.
        part: number of the part, where the artifact has several files.
        size_bytes: its size.
        modified: when it was last written.
    """

    kind: ArtifactKind
    path: Path
    part: int
    size_bytes: int
    modified: datetime


def modified(path: Path) -> datetime:
    """When a file was last written."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def artifact_files(services: Services, session: Session, episode: Episode) -> Iterator[Found]:
    """Every artifact of an episode that is there."""
    for kind, paths in _candidates(services, session, episode).items():
        for part, path in enumerate(paths):
            # A video may lie in the object store alone; all else was pulled.
            if (path.is_file() or kind == "video") and (entry := storage.look(path)):
                yield Found(kind, path, part, entry.size, datetime.fromtimestamp(entry.modified, UTC))


def artifact_file(
    services: Services, session: Session, episode: Episode, kind: ArtifactKind, part: int = 0
) -> Path:
    """The file of an artifact.

    Raises:
        ApiError: 404 where it was not made (yet), 410 where it is kept no longer.
    """
    found = _candidates(services, session, episode)[kind]
    if part < len(found) and (storage.need(found[part]) if kind == "video" else found[part].is_file()):
        return found[part]
    made = kind == "video" and episode.video_sha256 is not None
    stage = _MADE_BY.get(kind)
    marker = paths_of(services, episode).marker(stage) if stage else None
    if part == 0 and (made or (marker and artifacts.recorded_fingerprint(marker))):
        raise gone(kind)
    raise not_found("artifact", kind if part == 0 else f"{kind}, part {part}", "It has not been made yet.")


def crop_file(paths: EpisodePaths, det_id: str) -> Path:
    """The picture of a detection that was chosen as a sample.

    Raises:
        ApiError: 404 where none was kept, 410 where it is kept no longer.
    """
    path = paths.crops / f"{det_id}.jpg"
    if storage.need(path):
        return path
    if any(det_of(row["crop_path"]) == det_id for row in samples(paths)):
        raise gone("crop")
    raise not_found("crop", det_id, "List them with GET /v1/episodes/{id}/crops.")


def samples(paths: EpisodePaths) -> list[dict[str, str]]:
    """The rows of selected_samples.csv; none before there is one."""
    try:
        return artifacts.read_csv(paths.selected_samples)
    except ArtifactError:
        return []


def det_of(crop_path: str) -> str:
    """Whose picture a crop is: its name without folder and ending."""
    return crop_path.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def webp(picture: Image.Image, side: int, quality: int) -> bytes:
    """A WebP of a picture, at most so many pixels a side; the picture is made smaller."""
    picture.thumbnail((side, side))
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def thumb(path: Path) -> bytes:
    """A WebP of at most 96 pixels a side.

    Raises:
        ApiError: 410 where the picture was removed meanwhile; 409 where it is damaged.
    """
    try:
        with Image.open(path) as picture:
            return webp(picture, THUMB_SIDE, _THUMB_QUALITY)
    except FileNotFoundError as e:
        raise gone("crop") from e
    except (UnidentifiedImageError, OSError) as e:
        raise ApiError(409, "damaged", "This crop is damaged. Process the episode again.") from e


def export_files(paths: EpisodePaths) -> list[Path]:
    """The exports that are there, by name; what is being written is not one yet."""
    if not paths.exports.is_dir():
        return []
    return sorted(
        p
        for p in paths.exports.iterdir()
        if p.is_file() and not p.is_symlink() and not p.name.startswith(".")
    )


def export_file(session: Session, episode: Episode, paths: EpisodePaths, name: str) -> Path:
    """An export by its name in the list.

    Raises:
        ApiError: 404 where there never was one, 410 where it is kept no longer.
    """
    for path in export_files(paths):
        if path.name == name:
            return path
    results = session.scalars(
        select(Job.result).filter_by(episode_id=episode.id, kind="export", state="done")
    )
    if any(file.rsplit("/", 1)[-1] == name for r in results for file in (r or {}).get("files", ())):
        raise gone("export")
    raise not_found("export", name, "List them with GET /v1/episodes/{id}/exports.")


def gone(what: str) -> ApiError:
    """410 for what is kept no longer."""
    return ApiError(
        410, "gone", f"This {what} is kept no longer. Process the episode again, or export it again."
    )


def _candidates(services: Services, session: Session, episode: Episode) -> dict[ArtifactKind, list[Path]]:
    """Where the files of each kind lie, whether they are there or not."""
    paths = paths_of(services, episode)
    video = session.get(Video, episode.video_sha256) if episode.video_sha256 else None
    return {
        "video": [services.settings.root / video.path] if video else [],
        "source": [paths.source_json],
        "manifest": [paths.manifest],
        "manifest_json": [paths.manifest_json],
        "selected_samples": [paths.selected_samples],
        "detections": sorted(paths.detections.glob("part-*.parquet")),
        "embeddings": [paths.embeddings],
        "tracks": [paths.tracks],
        "clusters": [paths.clusters],
        "members": [paths.members],
        "merge_suggestions": [paths.merge_suggestions],
        "reviewed_clusters": [paths.reviewed_clusters],
        "reviewed_members": [paths.reviewed_members],
        "low_confidence": [paths.low_confidence],
        "timeline": [paths.timeline],
        "totals_csv": [paths.totals_csv],
        "totals_parquet": [paths.totals_parquet],
        "audit": [paths.audit],
    }
