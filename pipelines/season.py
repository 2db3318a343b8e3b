"""The main job on one screen: many episodes at once, from video files to screen time.

    harvest (task) -> read segments (Ray Data over all episodes, models on Serve) -> index -> tracking
    -> cluster -> assist -> analytics (tasks, a chain an episode)

All episodes share one stream of segments, in order, so the models never wait between episodes and the first
episode is finished while the others are still being read. A failure is a value: it ends its own episode.
"""

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import ray
from ray.exceptions import RayError

from pipelines.episode import Job
from pipelines.face_client import ServeFaceClient
from pipelines.harvest import harvest, harvest_fingerprint
from pipelines.inference import COSTS, ReadSegment, chunks_done
from pipelines.layout import Layout
from pipelines.progress import Board, Observer, Reporter
from pipelines.stage import Stage, drop_markers, explain, run_stage
from pipelines.stages import STAGES
from screenalyzer import artifacts
from screenalyzer.errors import EpisodeBusyError, InputError, ScreenalyzerError
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId, VideoInfo
from screenalyzer.video.plan import plan

_TICK_S = 0.2
_BOARD_S = 5.0
_UNHEARD = "reading ended before all of it was heard of; run the same command again"
_STALLED_S = 600.0  # well above the slowest cold start of a replica

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
    info: VideoInfo
    upstream: str
    chunks_left: set[int]
    segments: list[int]
    total_ms: int
    skipped_ms: int
    stage: int = -1


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
                except OSError as e:
                    self._fail(key, f"{key}: {explain(e)}")
            self._process()
        return list(self._outcomes.values())

    def _process(self) -> None:
        self._harvest_all()
        rows = [row for e in self._episodes.values() for row in _rows(e)]
        for key, episode in self._episodes.items():
            if not episode.chunks_left:
                self._next_stage(key, episode.upstream)
        if rows:
            with self._models() as handles:
                self._stream(rows, handles)
        while self._tasks:
            self._reap(timeout=_TICK_S)

    def _harvest_all(self) -> None:
        task = ray.remote(num_cpus=self._layout.task_cpus, max_retries=3)(_harvest_task)
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
                result = f"{key}: harvest failed unexpectedly: {_last_line(e)}"
            except (ScreenalyzerError, OSError) as e:
                result = f"{key}: {explain(e) if isinstance(e, OSError) else e}"
            if isinstance(result, str):
                self._fail(key, result)
            else:
                self._observer.stage_done(key, "harvest")
                self._observer.stage_started(key, "inference")

    def _open(self, outcome: Outcome, info: VideoInfo) -> _Episode:
        segments = plan(info, self._settings.video)
        paths = outcome.job.paths
        left: set[int] = set()
        todo = []
        for number, segment in enumerate(segments):
            done = chunks_done(paths, segment, self._settings, self._embedder)
            missing = {c.index for c in segment.chunks} - done
            left |= missing
            if missing:
                todo.append(number)
        if left:
            drop_markers(paths)  # old totals must not pass for those of what is about to be read
        chunk_count = sum(len(s.chunks) for s in segments)
        total_ms = round((info.end_pts - info.start_pts) * info.time_base * 1000)
        outcome.duration_ms = total_ms
        skipped_ms = round(total_ms * (1 - len(left) / max(1, chunk_count)))
        upstream = artifacts.fingerprint(harvest_fingerprint(info, self._settings), str(self._embedder))
        return _Episode(outcome, info, upstream, left, todo, total_ms, skipped_ms)

    def _stream(self, rows: list[dict[str, Any]], handles: tuple[Any, Any]) -> None:
        """Read until the Dataset has ended; whatever becomes of it, every episode gets an outcome."""
        board = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        results: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        pump = threading.Thread(
            target=self._pump, args=(rows, handles, Reporter(board), results), daemon=True
        )
        pump.start()
        read_ms: dict[str, int] = {}
        moved = time.monotonic()
        while time.monotonic() - moved < _STALLED_S:
            try:
                item = results.get(timeout=_TICK_S)
            except queue.Empty:
                before, read_ms = read_ms, _look_at(board, read_ms)
                moved = time.monotonic() if read_ms != before else moved
                self._show(read_ms)
                self._reap(timeout=0)
                continue
            if not isinstance(item, dict):
                self._end_reading(
                    _UNHEARD if item is None else f"reading failed unexpectedly: {_last_line(item)}"
                )
                return
            moved = time.monotonic()
            self._chunk_read(item)
        self._end_reading(
            f"nothing was read for {_STALLED_S:g} s: the cluster has no room for a decoder or a model, or a "
            "model does not start. Look at `ray status` and `serve status`, and run the same command again"
        )

    def _end_reading(self, why: str) -> None:
        """Fail the episodes that were not read to their end."""
        for key, episode in self._episodes.items():
            if episode.chunks_left and not self._outcomes[key].error:
                self._fail(key, f"{key}: {why}.")

    def _pump(
        self, rows: list[dict[str, Any]], handles: tuple[Any, Any], report: Reporter,
        results: "queue.SimpleQueue[dict[str, Any] | Exception | None]",
    ) -> None:  # fmt: skip
        """Run the Dataset in a thread of its own, since iterating it blocks."""
        try:
            for row in self._dataset(rows, handles, report):
                results.put(row)
            results.put(None)
        except Exception as e:
            log.exception("reading")
            results.put(e)

    def _dataset(
        self, rows: list[dict[str, Any]], handles: tuple[Any, Any], report: Reporter
    ) -> Iterator[dict[str, Any]]:
        root = next(iter(self._outcomes.values())).job.paths.root
        stream = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            ReadSegment,
            fn_constructor_kwargs={
                "root": root,
                "settings": self._settings,
                "embedder": self._embedder,
                "client": partial(ServeFaceClient, *handles),
                "report": report,
            },
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(len(rows), self._layout.decoder_actors)),
            num_cpus=self._layout.decoder_cpus,
        )
        yield from stream.iter_rows()

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
        task = ray.remote(num_cpus=self._layout.task_cpus, max_retries=3)(_stage_task)
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
                made_from, error = "", f"{key}, {stage}: failed unexpectedly: {_last_line(e)}"
            if error:
                self._fail(key, error)
            else:
                self._observer.stage_done(key, STAGES[self._episodes[key].stage].name)
                self._next_stage(key, made_from)

    def _show(self, read_ms: dict[str, int]) -> None:
        for key, ms in read_ms.items():
            e = self._episodes[key]
            if e.stage < 0:
                self._observer.advanced(key, min(e.skipped_ms + ms, e.total_ms), e.total_ms)

    def _fail(self, key: str, message: str) -> None:
        self._outcomes[key].error = message
        self._observer.failed(key, message)


def _last_line(error: Exception) -> str:
    """What a remote traceback ends with."""
    return str(error).strip().splitlines()[-1]


def _look_at(board: Any, before: dict[str, int]) -> dict[str, int]:
    """What the board shows; the last look if it is just being started again."""
    try:
        read_ms: dict[str, int] = ray.get(board.read_ms.remote(), timeout=_BOARD_S)
    except (RayError, TimeoutError):
        return before
    return read_ms


def _rows(episode: _Episode) -> list[dict[str, Any]]:
    paths = episode.outcome.job.paths
    return [{"show": paths.show, "episode": paths.episode, "segment": n} for n in episode.segments]


def _harvest_task(job: Job, settings: Settings) -> VideoInfo | str:
    try:
        return harvest(job, settings)
    except InputError as e:
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
