"""The main job on one screen: many episodes at once, from video files to screen time.

    harvest (task) -> read segments (Ray Data over all episodes, models on Serve) -> index -> tracking
    -> cluster -> assist -> analytics (tasks, a chain an episode)

All episodes share one stream of segments, in order, so the models never wait between episodes and the first
episode is finished while the others are still being read. A failure is a value: it ends its own episode.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray
from ray.exceptions import RayError

from pipelines.episode import Job
from pipelines.harvest import harvest
from pipelines.inference import COSTS
from pipelines.layout import Layout
from pipelines.progress import Observer
from pipelines.reading import (
    Backlog,
    ReadingStoppedError,
    ReadSoFar,
    SegmentRow,
    SegmentWork,
    backlog,
    first_upstream,
    last_line,
    read_segments,
    segment_rows,
)
from pipelines.stage import Stage, drop_markers, explain, run_stage
from pipelines.stages import STAGES
from screenalyzer import artifacts
from screenalyzer.errors import EpisodeBusyError, InputError, ScreenalyzerError, StoreError
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId, VideoInfo

_TICK_S = 0.2
_UNHEARD = "reading ended before all of it was heard of; run the same command again"

log = logging.getLogger(__name__)


class Models(Protocol):
    """Brings the face models up when they are first needed: (detector handle, embedder handle)."""

    def __call__(self) -> AbstractContextManager[tuple[Any, Any]]:
        """Up for the time of the block."""


@dataclass
class Outcome:
    """What became of one episode.

    Attributes:
        job: the request.
        error: None where it went well, else what to tell the user.
        duration_ms: of the video.
        seconds: wall time until its last stage.
        costs: sums over its chunks of what `inference.COSTS` names.
    """

    job: Job
    error: str | None = None
    duration_ms: int = 0
    seconds: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)


@dataclass
class _Episode:
    outcome: Outcome
    upstream: str
    backlog: Backlog
    chunks_left: set[int]
    stage: int = -1

    @property
    def total_ms(self) -> int:
        return self.outcome.duration_ms


class Season:
    """A run over many episodes."""

    def __init__(
        self, jobs: Sequence[Job], settings: Settings, embedder: EmbedderId, layout: Layout, models: Models,
        observer: Observer,
    ) -> None:  # fmt: skip
        """Take the requests and what they share.

        Args:
            jobs: episodes, each key once.
            settings: with `embed.embedder` resolved to the embedder of `embedder`.
            embedder: its id.
            layout: what each part gets of the cluster.
            models: brings the models up.
            observer: is told everything.
        """
        self._outcomes = {j.key: Outcome(j) for j in jobs}
        self._settings, self._embedder, self._layout = settings, embedder, layout
        self._models, self._observer = models, observer
        self._episodes: dict[str, _Episode] = {}
        self._tasks: dict[Any, str] = {}
        self._began = time.perf_counter()

    def run(self) -> list[Outcome]:
        """Process everything; returns one outcome a job, in order."""
        with ExitStack() as held:
            for key, outcome in self._outcomes.items():
                try:
                    held.enter_context(artifacts.locked(outcome.job.paths))
                except EpisodeBusyError as e:
                    self._fail(key, str(e))
                except StoreError as e:
                    self._fail(key, f"{key}: {e}")
                except OSError as e:
                    self._fail(key, f"{key}: {explain(e)}")
            self._process()
        return list(self._outcomes.values())

    def _process(self) -> None:
        self._harvest_all()
        rows = [r for e in self._episodes.values() for r in segment_rows(e.outcome.job.paths, e.backlog)]
        for key, episode in self._episodes.items():
            if not episode.chunks_left:
                self._next_stage(key, episode.upstream)
        if rows:
            with self._models() as handles:
                self._stream(rows, handles)
        while self._tasks:
            self._reap(timeout=_TICK_S)

    def _harvest_all(self) -> None:
        task = ray.remote(max_retries=3, **self._layout.task_options)(_harvest_task)
        pending = {}
        for key, outcome in self._outcomes.items():
            if outcome.error:
                continue
            self._observer.stage_started(key, "harvest")
            pending[task.remote(outcome.job, self._settings)] = key
        for ref, key in pending.items():
            try:
                result = ray.get(ref)
                if isinstance(result, VideoInfo):
                    self._episodes[key] = self._open(self._outcomes[key], result)
            except RayError as e:
                log.exception("harvest of %s", key)
                result = f"{key}: harvest failed unexpectedly: {last_line(e)}"
            except (ScreenalyzerError, OSError) as e:
                result = f"{key}: {explain(e) if isinstance(e, OSError) else e}"
            if isinstance(result, str):
                self._fail(key, result)
            else:
                self._observer.stage_done(key, "harvest")
                self._observer.stage_started(key, "inference")

    def _open(self, outcome: Outcome, info: VideoInfo) -> _Episode:
        paths = outcome.job.paths
        left = backlog(paths, info, self._settings, self._embedder)
        if left.chunks:
            drop_markers(paths)  # old totals must not pass for those of what is about to be read
        outcome.duration_ms = info.duration_ms
        upstream = first_upstream(info, self._settings, self._embedder)
        return _Episode(outcome, upstream, left, set(left.chunks))

    def _stream(self, rows: list[SegmentRow], handles: tuple[Any, Any]) -> None:
        """Read until the stream has ended; whatever becomes of it, every episode gets an outcome."""
        root = next(iter(self._outcomes.values())).job.paths.root
        work = SegmentWork(root, self._settings, self._embedder)
        why = _UNHEARD
        try:
            with closing(read_segments(rows, work, self._layout, handles)) as stream:
                for news in stream:
                    if isinstance(news, ReadSoFar):
                        self._show(news.ms)
                        self._reap(timeout=0)
                    else:
                        self._chunk_read(news)
        except ReadingStoppedError as e:
            why = str(e)
        for key, episode in self._episodes.items():
            if episode.chunks_left and not self._outcomes[key].error:
                self._fail(key, f"{key}: {why}.")

    def _chunk_read(self, row: dict[str, Any]) -> None:
        key = str(row["key"])
        episode = self._episodes.get(key)
        if episode is None or self._outcomes[key].error:
            return
        if row["error"]:
            self._fail(key, str(row["error"]))
            return
        for name in COSTS:
            episode.outcome.costs[name] = episode.outcome.costs.get(name, 0) + row[name]
        episode.chunks_left.discard(int(row["chunk"]))
        if not episode.chunks_left:
            self._observer.advanced(key, episode.total_ms, episode.total_ms)
            self._next_stage(key, episode.upstream)

    def _next_stage(self, key: str, upstream: str) -> None:
        episode = self._episodes[key]
        episode.stage += 1
        if episode.stage == len(STAGES):
            episode.outcome.seconds = time.perf_counter() - self._began
            self._observer.stage_done(key, "")
            return
        stage = STAGES[episode.stage]
        self._observer.stage_started(key, stage.name)
        task = ray.remote(max_retries=3, **self._layout.task_options)(_stage_task)
        ref = task.options(name=stage.name).remote(stage, episode.outcome.job, self._settings, upstream)
        self._tasks[ref] = key

    def _reap(self, timeout: float) -> None:
        if not self._tasks:
            return
        ready, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=timeout)
        for ref in ready:
            key = self._tasks.pop(ref)
            try:
                made_from, error = ray.get(ref)
            except RayError as e:
                stage = STAGES[self._episodes[key].stage].name
                log.exception("%s of %s", stage, key)
                made_from, error = "", f"{key}, {stage}: failed unexpectedly: {last_line(e)}"
            if error:
                self._fail(key, error)
            else:
                self._observer.stage_done(key, STAGES[self._episodes[key].stage].name)
                self._next_stage(key, made_from)

    def _show(self, read_ms: dict[str, int]) -> None:
        for key, ms in read_ms.items():
            e = self._episodes[key]
            if e.stage < 0:
                self._observer.advanced(key, min(e.backlog.done_ms + ms, e.total_ms), e.total_ms)

    def _fail(self, key: str, message: str) -> None:
        self._outcomes[key].error = message
        self._observer.failed(key, message)


def _harvest_task(job: Job, settings: Settings) -> VideoInfo | str:
    try:
        return harvest(job, settings)
    except (InputError, StoreError) as e:
        return str(e)
    except OSError as e:
        return f"{job.video.name}: {explain(e)}"


def _stage_task(stage: Stage, job: Job, settings: Settings, upstream: str) -> tuple[str, str | None]:
    try:
        return run_stage(stage, job.paths, settings, upstream), None
    except ScreenalyzerError as e:
        return "", f"{job.key}, {stage.name}: {e}"
    except OSError as e:
        return "", f"{job.key}, {stage.name}: {explain(e)}"
