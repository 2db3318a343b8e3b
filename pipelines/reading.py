"""Reading segments of videos through the models, as one Ray Data stream that is watched.

`read_segments` runs the stream in a thread of its own and yields what it hears: the row of each chunk that is
published, and now and then how far every episode is. Nobody waits without a word: a stream on which nothing
moves is given up.
"""

import gc
import logging
import queue
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import ray
from ray.exceptions import RayError

from pipelines.face_client import ServeFaceClient
from pipelines.harvest import harvest_fingerprint
from pipelines.inference import ReadSegment, chunks_done
from pipelines.layout import Layout
from pipelines.progress import Board, Reporter
from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ScreenalyzerError
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId, VideoInfo
from screenalyzer.video.plan import plan

_TICK_S = 0.2
_BOARD_S = 5.0
_STALLED_S = 600.0  # well above the slowest cold start of a replica

log = logging.getLogger(__name__)


class SegmentRow(TypedDict):
    """What a decoder is told to read."""

    show: str
    episode: str
    segment: int


@dataclass(frozen=True)
class Backlog:
    """What of an episode is still to be read.

    Attributes:
        chunks: indices of the chunks without a checkpoint.
        segments: numbers of the segments that hold them.
        done_ms: milliseconds of video that need not be read again, about.
    """

    chunks: frozenset[int]
    segments: tuple[int, ...]
    done_ms: int


@dataclass(frozen=True)
class SegmentWork:
    """What all segments of a stream share."""

    root: Path
    settings: Settings
    embedder: EmbedderId


@dataclass(frozen=True)
class ReadSoFar:
    """Milliseconds of video read in this stream, by the episode's key."""

    ms: dict[str, int]


class ReadingStoppedError(ScreenalyzerError):
    """The stream ended before its end; the message, without a full stop, says why."""


def backlog(paths: EpisodePaths, info: VideoInfo, settings: Settings, embedder: EmbedderId) -> Backlog:
    """Hold the plan of a video against the checkpoints that are there."""
    artifacts.pull(paths, chunks=True, crops=True)
    segments = plan(info, settings.video)
    missing = [
        {c.index for c in segment.chunks} - chunks_done(paths, segment, settings, embedder)
        for segment in segments
    ]
    left = frozenset().union(*missing)
    count = sum(len(s.chunks) for s in segments)
    return Backlog(
        left,
        tuple(number for number, indices in enumerate(missing) if indices),
        round(info.duration_ms * (1 - len(left) / max(1, count))),
    )


def first_upstream(info: VideoInfo, settings: Settings, embedder: EmbedderId) -> str:
    """What the first stage after reading is made from."""
    return artifacts.fingerprint(harvest_fingerprint(info, settings), str(embedder))


def segment_rows(paths: EpisodePaths, left: Backlog) -> list[SegmentRow]:
    """The rows of an episode's segments that are still to be read."""
    return [{"show": paths.show, "episode": paths.episode, "segment": n} for n in left.segments]


def read_segments(
    rows: Sequence[SegmentRow], work: SegmentWork, layout: Layout, handles: tuple[Any, Any]
) -> "Generator[dict[str, Any] | ReadSoFar]":
    """Read until the stream has ended, or until this is closed.

    Args:
        rows: segments, in the order in which they are read.
        work: what they share.
        layout: what the decoders get of the cluster.
        handles: of detector and embedder.

    Yields:
        A row a chunk as `ReadSegment` makes it, and every now and then how far the episodes are.

    Raises:
        ReadingStoppedError: it broke, or nothing moved for ten minutes.
    """
    board = ray.remote(num_cpus=0, max_restarts=-1, **layout.where_it_lasts)(Board).remote()
    try:
        yield from _follow(partial(_dataset, rows, work, layout, handles, Reporter(board)), board)
    finally:
        with suppress(RayError):  # the cluster is gone
            ray.kill(board)
        gc.collect()  # a Dataset refers to itself, and Ray keeps a process for as long as that owns objects


def _follow(stream: Any, board: Any) -> Iterator[dict[str, Any] | ReadSoFar]:
    heard: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
    threading.Thread(target=_pump, args=(stream, heard), daemon=True).start()
    read = ReadSoFar({})
    moved = time.monotonic()
    while time.monotonic() - moved < _STALLED_S:
        try:
            item = heard.get(timeout=_TICK_S)
        except queue.Empty:
            before, read = read, _look_at(board, read)
            moved = time.monotonic() if read != before else moved
            yield read
            continue
        if item is None:
            return
        if isinstance(item, Exception):
            raise ReadingStoppedError(f"reading failed unexpectedly: {last_line(item)}") from item
        moved = time.monotonic()
        yield item
    raise ReadingStoppedError(
        f"nothing was read for {_STALLED_S:g} s: the cluster has no room for a decoder or a model, or a "
        "model does not start. Look at `ray status` and `serve status`, and run the same command again"
    )


def last_line(error: Exception) -> str:
    """What a remote traceback ends with."""
    return str(error).strip().splitlines()[-1]


def _pump(stream: Any, heard: "queue.SimpleQueue[dict[str, Any] | Exception | None]") -> None:
    """Iterate the Dataset, which blocks."""
    try:
        for row in stream():
            heard.put(row)
        heard.put(None)
    except Exception as e:  # whatever it is, the reader must hear of it
        log.exception("reading")
        heard.put(e)


def _dataset(
    rows: Sequence[SegmentRow], work: SegmentWork, layout: Layout, handles: tuple[Any, Any], report: Reporter
) -> Iterator[dict[str, Any]]:
    stream = ray.data.from_items(list(rows), override_num_blocks=len(rows)).map_batches(
        ReadSegment,
        fn_constructor_kwargs={
            "root": work.root,
            "settings": work.settings,
            "embedder": work.embedder,
            "client": partial(ServeFaceClient, *handles),
            "report": report,
            "begin": report.begin,
        },
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(len(rows), layout.decoder_actors)),
        num_cpus=layout.decoder_cpus,
        **layout.without_gpus,
    )
    yield from stream.iter_rows()


def _look_at(board: Any, before: ReadSoFar) -> ReadSoFar:
    """What the board shows; the last look if it is just being started again."""
    try:
        return ReadSoFar(ray.get(board.read_ms.remote(), timeout=_BOARD_S))
    except (RayError, TimeoutError):
        return before
