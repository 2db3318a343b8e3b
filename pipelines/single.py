"""One stage of one episode, as a worker runs it: a Ray task that holds the episode while it works.

The same functions over the same files as in `pipelines.season`, so it does not matter which of the two ran a
stage, or how often it was begun.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any

from pipelines.cluster import cluster
from pipelines.episode import Job, load_source
from pipelines.harvest import harvest
from pipelines.layout import Layout
from pipelines.progress import Reporter
from pipelines.reading import (
    ReadingStoppedError,
    ReadSoFar,
    SegmentWork,
    backlog,
    first_upstream,
    read_segments,
    segment_rows,
)
from pipelines.stage import STAGE_NAMES, drop_markers, run_stage
from pipelines.stages import STAGES
from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError, InferenceError, VideoError
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId, VideoInfo

# Brings the models up, or finds them: a context of (detector handle, embedder handle).
ModelsFor = Callable[[Settings, Layout], AbstractContextManager[tuple[Any, Any]]]


@dataclass(frozen=True)
class StageWork:
    """What a stage is run on.

    Attributes:
        job: the episode and its video.
        settings: of the run, with the embedder resolved.
        embedder: its id.
        redo: forget that the stage was done.
    """

    job: Job
    settings: Settings
    embedder: EmbedderId
    redo: bool = False


def harvest_stage(work: StageWork) -> VideoInfo:
    """Probe the video and claim its name.

    Raises:
        InputError: it cannot be processed, its name belongs to other content, or the episode is held.
    """
    with artifacts.locked(work.job.paths):
        return harvest(work.job, work.settings)


def read_stage(work: StageWork, models: ModelsFor, board: Any) -> bool:
    """Read what is still to be read of the video, then number frames and find scenes.

    Args:
        work: what to read.
        models: how to reach the models.
        board: an actor of kind `pipelines.progress.Board`, told the milliseconds of video that are read.

    Returns:
        Whether there was anything to do.

    Raises:
        VideoError: the video is gone.
        InferenceError: the models failed, or the stream ended early.
        EpisodeBusyError: another run holds the episode.
    """
    paths, settings = work.job.paths, work.settings
    with artifacts.locked(paths):
        artifacts.pull(paths, crops=True)  # without them it would not be seen that tracking is done
        info = load_source(paths)
        upstream = first_upstream(info, settings, work.embedder)
        if _standing(paths, settings, upstream) and not work.redo:
            return False
        left = backlog(paths, info, settings, work.embedder)
        if left.chunks or work.redo:
            drop_markers(paths)
        board.advance.remote(paths.key, left.done_ms)
        if left.chunks:
            _read(work, set(left.chunks), segment_rows(paths, left), models, board)
        run_stage(STAGES[0], paths, settings, upstream)
        return True


def later_stage(work: StageWork, name: str) -> bool:
    """Run a stage after the reading.

    Returns:
        Whether there was anything to do.

    Raises:
        ArtifactError: the stage before it is not done.
        EpisodeBusyError: another run holds the episode.
    """
    paths = work.job.paths
    position = STAGE_NAMES.index(name)
    before = paths.marker(STAGE_NAMES[position - 1])
    with artifacts.locked(paths):
        upstream = artifacts.recorded_fingerprint(before)
        if upstream is None:
            raise ArtifactError(
                f"{paths.key}: {before.stem} must be done before {name}. Retry {before.stem}."
            )
        stage = STAGES[position]
        artifacts.pull(paths, chunks=stage.reads_chunks, crops=stage.crops)
        if work.redo:
            drop_markers(paths, name)
        done = artifacts.is_done(paths.marker(name), stage.fingerprint(paths, work.settings, upstream))
        run_stage(stage, paths, work.settings, upstream)
        return not done


def _standing(paths: EpisodePaths, settings: Settings, upstream: str) -> bool:
    """Whether reading and tracking are both done: then nothing needs the chunks, which may be swept."""
    for stage in STAGES[:2]:
        made_from = stage.fingerprint(paths, settings, upstream)
        if not artifacts.is_done(paths.marker(stage.name), made_from):
            return False
        upstream = made_from
    return True


def _read(work: StageWork, missing: set[int], rows: list[Any], models: ModelsFor, board: Any) -> None:
    shared, tell = SegmentWork(work.job.paths.root, work.settings, work.embedder), Reporter(board)
    read_ms = 0
    with (
        cluster(work.settings.ray) as layout,
        models(work.settings, layout) as handles,
        closing(read_segments(rows, shared, layout, handles)) as stream,
    ):
        try:
            for news in stream:
                if isinstance(news, ReadSoFar):
                    now_ms = news.ms.get(work.job.key, 0)
                    tell(work.job.key, now_ms - read_ms)
                    read_ms = now_ms
                elif news["error"]:
                    _raise(work, str(news["error"]))
                else:
                    missing.discard(int(news["chunk"]))
        except ReadingStoppedError as e:
            raise InferenceError(f"{e}.") from e
    if missing:
        raise InferenceError("reading ended before all of it was heard of. Resume the job.")


def _raise(work: StageWork, message: str) -> None:
    if not storage.is_there(work.job.video):  # where the store is away, this says so
        raise VideoError(work.job.video, "it was taken away while it was being processed", "Upload it again.")
    raise InferenceError(message)
