"""What each stage of a job does: those of the main job as Ray tasks, exports, reviews, purges, sweeps."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.episode import Job as EpisodeJob
from pipelines.layout import Layout
from pipelines.progress import Board
from pipelines.single import StageWork, harvest_stage
from screenalyzer import exports
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import InputError, ScreenalyzerError
from screenalyzer.types import EmbedderId, VideoInfo
from services.context import Services
from services.db.models import Episode, Job, Upload, Video
from services.jobs.claims import Claim
from services.metrics import deadlines
from services.metrics.counting import Counted, read_and_count, run_and_count
from services.metrics.counting import note as note_counts
from services.privacy import purge, retention
from services.review import publish, record
from services.review.publish import Published
from services.review.settings import with_groups
from services.serving import face_models
from services.uploads import store
from services.work.control import Control, Stopped
from services.work.videos import drop_unused, video_path

_LOOK_EVERY_S = 0.3
_LET_GO_S = 10.0


@dataclass(frozen=True)
class Bench:
    """What a worker has to work with."""

    services: Services
    embedder: EmbedderId
    layout: Layout

    @cached_property
    def root(self) -> Path:
        """The data root."""
        return self.services.settings.root


@dataclass(frozen=True)
class Done:
    """A stage that went well.

    Attributes:
        result: added to the job's.
        length_ms: of the video, once it is known.
        skipped: it was done before.
        commit: what else is recorded in the same transaction.
    """

    result: dict[str, Any] = field(default_factory=dict)
    length_ms: int = 0
    skipped: bool = False
    commit: Callable[[Session], None] | None = None


def run_stage(bench: Bench, mine: Claim, control: Control) -> Done:
    """Run the stage of a claim.

    Raises:
        Stopped: it was told to.
        InputError: it can never go well as it was asked.
        ScreenalyzerError: it failed; another attempt may go well.
    """
    return _STAGES[mine.stage](bench, mine, control)


def on_failure(session: Session, services: Services, mine: Claim, error: str) -> None:
    """The job has failed: an upload that it could not take in is refused, and its video is not kept."""
    upload_id = mine.params.get("upload_id")
    if mine.stage != "harvest" or not upload_id:
        return
    upload = session.get(Upload, upload_id)
    if upload is not None and upload.state == "received":
        upload.state, upload.problem = "refused", error
    store.discard(services, upload_id)
    drop_unused(session, services)


def _harvest(bench: Bench, mine: Claim, control: Control) -> Done:
    sha256 = _take_in(bench, mine, control)
    work = _work(bench, mine, sha256)
    task = ray.remote(max_retries=0, **bench.layout.task_options)(harvest_stage)
    info: VideoInfo = _await(task.remote(work), control)

    def commit(session: Session) -> None:
        episode = session.get(Episode, mine.episode_id)
        if episode is not None and episode.video_sha256 != sha256:
            if episode.video_sha256 is not None:
                record.discard(session, episode)
            episode.video_sha256 = sha256
            episode.revision += 1
        upload = session.get(Upload, mine.params.get("upload_id") or "")
        if upload is not None:
            upload.state = "stored"
        drop_unused(session, bench.services)

    return Done(
        {"sha256": sha256, "duration_ms": info.duration_ms}, length_ms=info.duration_ms, commit=commit
    )


def _take_in(bench: Bench, mine: Claim, control: Control) -> str:
    """Digest of the episode's video, which is in its place when this returns."""
    upload_id = mine.params.get("upload_id")
    with bench.services.database.read() as session:
        upload = session.get(Upload, upload_id) if upload_id else None
        episode = session.get(Episode, mine.episode_id)
        known = episode.video_sha256 if episode else None
    if upload is not None and upload.state == "received":
        sha256, _ = store.claim(bench.services, upload.id, lambda *_: None, lambda: control.stopping)
        control.check()
        return sha256
    if known is None:
        raise InputError(f"episode {mine.show}/{mine.episode} has no video. Upload it again.")
    return known


def _inference(bench: Bench, mine: Claim, control: Control) -> Done:
    work = _work(bench, mine)
    beside = {"num_cpus": 0, **bench.layout.where_it_lasts}
    board = ray.remote(max_restarts=-1, **beside)(Board).remote()
    task = ray.remote(max_retries=0, **beside)(read_and_count)
    length = _length(bench, mine)

    gauge = _Gauge(board, work.job.key, control, length)
    try:
        found: Counted = _await(task.remote(work, face_models, board), control, gauge.look)
    finally:
        ray.kill(board)
    return Done(skipped=found.skipped, commit=lambda session: note_counts(session, mine.episode_id, found))


class _Gauge:
    """Shows on the reins how much the board says was read; never waits for the board."""

    def __init__(self, board: Any, key: str, control: Control, length_ms: int) -> None:
        self._board, self._key, self._control, self._length_ms = board, key, control, length_ms
        self._asked: Any = None

    def look(self) -> None:
        """Take the answer to the last question, if there is one, and ask again."""
        if self._asked is not None:
            if not ray.wait([self._asked], timeout=0)[0]:
                return
            with suppress(RayError):  # the board is being started again
                read: dict[str, int] = ray.get(self._asked)
                self._control.report(min(read.get(self._key, 0), self._length_ms), self._length_ms)
        self._asked = self._board.read_ms.remote()


def _later(bench: Bench, mine: Claim, control: Control) -> Done:
    if mine.stage in {"tracking", "cluster"}:
        paths = EpisodePaths(bench.root, mine.show, mine.episode)
        publish.write_record(bench.services, mine.episode_id or "", paths)
    task = ray.remote(max_retries=0, **bench.layout.task_options)(run_and_count)
    found: Counted = _await(task.remote(_work(bench, mine), mine.stage), control)

    def commit(session: Session) -> None:
        note_counts(session, mine.episode_id, found)
        if mine.stage == "analytics":
            deadlines.note_end(session, mine.job_id, bench.services.settings.deadline)
            publish.ask_again(session, mine.episode_id or "")

    return Done(skipped=found.skipped, commit=commit)


def _export(bench: Bench, mine: Claim, control: Control) -> Done:
    paths = EpisodePaths(bench.root, mine.show, mine.episode)
    episode_id = mine.episode_id or ""
    with bench.services.database.read() as session:
        published = bench.services.desks.glance(session, episode_id).is_published
    first = None if published else _publish(bench, mine, control)
    task = ray.remote(max_retries=0, **bench.layout.task_options)(exports.export)
    files: list[Path] = _await(task.remote(paths, mine.params["format"]), control)
    return Done({"files": [paths.relative(f) for f in files]}, commit=first.commit if first else None)


def _publish(bench: Bench, mine: Claim, control: Control) -> Done:
    services, episode_id = bench.services, mine.episode_id or ""
    paths = EpisodePaths(bench.root, mine.show, mine.episode)
    settings, video = publish.source_of(services, episode_id)
    publish.write_record(services, episode_id, paths)
    control.check()
    task = ray.remote(max_retries=0, **bench.layout.task_options)(publish.publish_files)
    done: Published = _await(task.remote(paths, settings, video), control)
    return Done(
        {"revision": done.revision, "faces": done.faces},
        commit=lambda session: publish.note(session, episode_id, done),
    )


def _purge(bench: Bench, mine: Claim, control: Control) -> Done:
    params = {**mine.params, "job_id": mine.job_id}
    return Done(purge.run(bench.services, params, control.report, lambda: control.stopping))


def _sweep(bench: Bench, mine: Claim, control: Control) -> Done:  # noqa: ARG001 - like all stages
    return Done(retention.sweep(bench.services))


_STAGES: dict[str, Callable[[Bench, Claim, Control], Done]] = {
    "harvest": _harvest,
    "inference": _inference,
    **dict.fromkeys(("tracking", "cluster", "assist", "analytics"), _later),
    "export": _export,
    "publish": _publish,
    "purge": _purge,
    "sweep": _sweep,
}


def _work(bench: Bench, mine: Claim, sha256: str | None = None) -> StageWork:
    paths = EpisodePaths(bench.root, mine.show, mine.episode)
    with bench.services.database.read() as session:
        if sha256 is None:
            sha256 = session.scalar(select(Episode.video_sha256).where(Episode.id == mine.episode_id))
        video = session.get(Video, sha256) if sha256 else None
    if video is None:
        raise InputError(f"the video of {paths.key} is gone. Upload it again.")
    job = EpisodeJob(
        video_path(bench.services, video),
        paths,
        bool(mine.params.get("replace")),
        actor=mine.params.get("actor"),
    )
    settings = with_groups(bench.services.main_job, mine.params.get("settings") or {})
    return StageWork(job, settings, bench.embedder, redo=mine.params.get("redo") == mine.stage)


def _length(bench: Bench, mine: Claim) -> int:
    with bench.services.database.read() as session:
        result = session.execute(select(Job.result).where(Job.id == mine.job_id)).scalar()
    return int((result or {}).get("duration_ms", 0))


def _await(ref: Any, control: Control, look: Callable[[], None] | None = None) -> Any:
    """The result of a Ray task; it is ended by force when the attempt should end.

    Raises:
        Stopped: the attempt should end, and the task has.
    """
    while True:
        ready, _ = ray.wait([ref], timeout=_LOOK_EVERY_S)
        if ready:
            return _result(ref)
        if control.stopping:
            ray.cancel(ref, force=True)
            deadline = time.monotonic() + _LET_GO_S
            while not ray.wait([ref], timeout=_LOOK_EVERY_S)[0] and time.monotonic() < deadline:
                continue
            raise Stopped
        if look:
            look()


def _result(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except RayTaskError as e:
        if isinstance(e.cause, ScreenalyzerError | OSError):
            raise e.cause from e
        raise
