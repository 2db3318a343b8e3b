"""Harvest: learn what the video is, and refuse what cannot be processed."""

import getpass
import os
from datetime import UTC, datetime

from pipelines.episode import Job, save_source
from pipelines.stage import drop_markers, sweep
from screenalyzer import artifacts, audit, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError, EpisodeConflictError
from screenalyzer.settings import Settings
from screenalyzer.types import VideoInfo
from screenalyzer.video.probe import probe

VERSION = 1
REPLACED = "episode.replaced"  # in the audit log: what comes before is about another video


def harvest(job: Job, settings: Settings) -> VideoInfo:
    """Probe the video and claim its name.

    Raises:
        VideoError: it cannot be processed; the message says why.
        EpisodeConflictError: the name belongs to other content, and `replace` was not asked for.
    """
    storage.need(job.video)
    artifacts.pull(job.paths)
    info = probe(job.video)
    known = _known(job.paths)
    if known is not None and known != info.sha256:
        if not job.replace:
            raise EpisodeConflictError(
                f"{job.video.name}: episode {job.key} exists with other content. "
                "Rename the file, or use --replace to discard what is there."
            )
        _note(job, REPLACED, {"sha256": info.sha256, "before": known})
        job.paths.purge()
    if known is None:
        _note(job, "episode.added", {"sha256": info.sha256})
    sweep(job.paths)
    marker, made_from = job.paths.marker("harvest"), harvest_fingerprint(info, settings)
    if artifacts.recorded_fingerprint(marker) != made_from:
        drop_markers(job.paths)
    save_source(job.paths, info)
    artifacts.mark_done(marker, made_from, [job.paths.source_json])
    return info


def harvest_fingerprint(info: VideoInfo, settings: Settings) -> str:
    """What everything after it is made from."""
    return artifacts.fingerprint("harvest", VERSION, info.sha256, settings.video)


def _note(job: Job, action: str, details: dict[str, str]) -> None:
    # A name that is not UTF-8, as an old disk may hold, cannot stand in a log as it is.
    name = job.video.name.encode(errors="backslashreplace").decode()
    audit.append(job.paths.audit, action, job.actor or _user(), {**details, "file": name}, datetime.now(UTC))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that nobody has named
        return f"uid {os.getuid()}"


def _known(paths: EpisodePaths) -> str | None:
    """Digest of the content that has the name, also where another version kept other fields beside it."""
    try:
        return str(artifacts.read_json(paths.source_json)["sha256"])
    except (ArtifactError, TypeError, KeyError):
        return None
