"""Read a segment: pictures to look at, and a log of every frame for the shot detector."""

from collections.abc import Callable, Container, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import pyarrow as pa

from screenalyzer.schemas import CHUNK_FRAMES
from screenalyzer.settings import ShotSettings, VideoSettings
from screenalyzer.types import Chunk, Segment, UInt8, VideoInfo
from screenalyzer.video.clock import to_ms
from screenalyzer.video.decode import Picture, go_on, pictures_from
from screenalyzer.video.features import Delta, Thumbnailer, delta
from screenalyzer.video.picture import Developer, analysis_size
from screenalyzer.video.shots import JumpTest

__all__ = ["ChunkLog", "Damage", "Sample", "analysis_size", "read_segment"]

NO_PICTURE = "no picture"
DAMAGED_PICTURE = "damaged picture"
_HOLE = 1.5  # expected durations from one picture to the next above which the wait is looked into


class Sample(NamedTuple):
    """A picture to look at.

    Attributes:
        pts: ticks of the stream's time base.
        ts_ms: the same in milliseconds.
        rgb: uint8[height, width, 3] as displayed, of `analysis_size`.
    """

    pts: int
    ts_ms: int
    rgb: UInt8


class Damage(NamedTuple):
    """A stretch without good pictures, [start_ms, end_ms), and why."""

    start_ms: int
    end_ms: int
    reason: str


@dataclass(frozen=True)
class ChunkLog:
    """A chunk has been read.

    Attributes:
        chunk: which.
        frames: every frame of it, in order; schema CHUNK_FRAMES.
        damage: what is missing or bad, in order.
    """

    chunk: Chunk
    frames: pa.Table
    damage: tuple[Damage, ...]


def read_segment(
    path: Path, info: VideoInfo, segment: Segment, cfg: VideoSettings, shots: ShotSettings,
    skip: Container[int], *, each_packet: Callable[[], None] = go_on,
) -> Iterator[Sample | ChunkLog]:  # fmt: skip
    """Decode a segment at full rate, in presentation order.

    Frames are sampled on a grid of `cfg.sample_fps` from each chunk's start on, and wherever a shot may
    begin. Decoding begins at the segment's start even so, and a chunk's result never depends on what was
    skipped.

    Args:
        path: the video.
        info: its probe.
        segment: of `plan`.
        cfg: rate, size and threads.
        shots: when a jump deserves a sample.
        skip: indices of chunks that are decoded through but yield nothing.
        each_packet: called before each packet is decoded.

    Yields:
        The samples of a chunk, then its log, chunk by chunk.

    Raises:
        VideoError: the file cannot be opened any more.
    """
    wanted = [c.index for c in segment.chunks if c.index not in skip]
    if not wanted:
        return
    chunks = [c for c in segment.chunks if c.index <= wanted[-1]]
    developer, thumbs = Developer(info, cfg), Thumbnailer()
    pictures = _windows(pictures_from(path, info, segment.seek_pts, cfg.decode_threads, each_packet))
    window = next(pictures, None)
    expected: int | None = None
    for chunk in chunks:
        scribe = None if chunk.index in skip else _Scribe(info, chunk, cfg, shots, thumbs)
        starts_video, ends_video = chunk.start_pts <= info.start_pts, chunk.end_pts >= info.end_pts
        if chunk is chunks[0]:
            expected = chunk.start_pts
        while window is not None and (ends_video or window.now.pts < chunk.end_pts):
            now = window.now
            if starts_video or now.pts >= chunk.start_pts:
                if scribe is not None:
                    scribe.gap(expected, now)
                    sample = scribe.write(window, developer)
                    if sample is not None:
                        yield sample
                expected = now.pts + now.duration
            window = next(pictures, None)
        if scribe is not None:
            scribe.gap(expected, None if window is None else window.now)
            yield scribe.log()
    pictures.close()


class _Window(NamedTuple):
    before: Picture
    now: Picture
    after: Picture


def _windows(pictures: Iterator[Picture]) -> "Generator[_Window]":
    """Each picture with its neighbours; at the ends, itself."""
    before = now = None
    for after in pictures:
        if now is not None:
            yield _Window(before or now, now, after)
        before, now = now, after
    if now is not None:
        yield _Window(before or now, now, now)


class _Scribe:
    """Writes the log of one chunk and decides which of its frames are sampled."""

    def __init__(
        self, info: VideoInfo, chunk: Chunk, cfg: VideoSettings, shots: ShotSettings, thumbs: Thumbnailer
    ) -> None:
        self._info, self._chunk, self._thumbs = info, chunk, thumbs
        self._ticks_a_sample = 1 / (Fraction(cfg.sample_fps) * info.time_base)
        self._slot = -1
        self._jumps = JumpTest(shots)
        self._rows: list[dict[str, object]] = []
        self._last_thumb: UInt8 | None = None
        self._damage: list[Damage] = []

    def write(self, window: _Window, developer: Developer) -> Sample | None:
        """Log a frame; returns its picture where it is one to look at."""
        now, thumb = window.now, self._thumbs.thumb(window.now.frame)
        change = None if self._last_thumb is None else delta(self._last_thumb, thumb)
        jump = change is not None and self._jumps.jumps(change)
        first = not self._rows
        if jump and self._last_thumb is not None:
            self._rows[-1]["thumb"] = self._last_thumb.tobytes()
        sampled = self._due(now.pts) or jump
        # A chunk's first frame has no neighbour before it, whoever read what comes before.
        before = now if first else window.before
        sample = self._develop(before, now, window.after, developer) if sampled else None
        self._rows.append(self._row(window, change, sample is not None, thumb if first or jump else None))
        self._last_thumb = thumb
        if now.damaged:
            self._mark(now.pts, now.pts + now.duration, DAMAGED_PICTURE)
        return sample

    def gap(self, expected: int | None, now: Picture | None) -> None:
        """Look into the time from the end of the last picture to the next one; `now` None: there is none."""
        if expected is None:
            return
        usual = self._info.frame_ticks
        arrived = self._info.end_pts if now is None else now.pts
        if arrived - expected <= usual * (_HOLE - 1):
            return
        lost = None if now is None else now.lost_from
        if now is None or lost is not None or now.damaged or self._info.constant_rate or not self._rows:
            self._mark(expected if lost is None else min(expected, lost), arrived, NO_PICTURE)

    def log(self) -> ChunkLog:
        """The chunk's log, once all its frames are written."""
        if self._rows and self._last_thumb is not None:
            self._rows[-1]["thumb"] = self._last_thumb.tobytes()
        columns = {name: [r[name] for r in self._rows] for name in CHUNK_FRAMES.names}
        frames = pa.table(
            {n: pa.array(v, CHUNK_FRAMES.field(n).type) for n, v in columns.items()}, CHUNK_FRAMES
        )
        return ChunkLog(self._chunk, frames, tuple(self._damage))

    def _due(self, pts: int) -> bool:
        slot = max(0, (pts - self._chunk.start_pts) // self._ticks_a_sample)
        due = slot > self._slot
        self._slot = max(slot, self._slot)
        return due

    def _develop(self, before: Picture, now: Picture, after: Picture, developer: Developer) -> Sample | None:
        try:
            rgb = developer.picture(before.frame, now.frame, after.frame)
        except (av.FFmpegError, ValueError):
            self._mark(now.pts, now.pts + now.duration, DAMAGED_PICTURE)
            return None
        return Sample(now.pts, to_ms(now.pts, self._info.time_base), rgb)

    def _row(
        self, window: _Window, change: Delta | None, sampled: bool, kept: UInt8 | None
    ) -> dict[str, object]:
        now, after = window.now, window.after
        usual = max(now.duration, self._info.frame_ticks)
        end = now.pts + now.duration
        if after is not now and (not self._info.constant_rate or after.pts - now.pts <= usual * _HOLE):
            end = after.pts
        return {
            "pts": now.pts,
            "ts_ms": to_ms(now.pts, self._info.time_base),
            "end_ms": to_ms(end, self._info.time_base),
            "sampled": sampled,
            "delta_luma": None if change is None else change.luma,
            "delta_chroma": None if change is None else change.chroma,
            "delta_form": None if change is None else change.form,
            "thumb": None if kept is None else kept.tobytes(),
        }

    def _mark(self, start: int, end: int, reason: str) -> None:
        """Note damage, clipped to the chunk and joined to what it continues."""
        first = to_ms(max(start, self._chunk.start_pts), self._info.time_base)
        last = to_ms(min(end, self._chunk.end_pts), self._info.time_base)
        if last <= first:
            return
        before = self._damage[-1] if self._damage else None
        if before and before.reason == reason and first <= before.end_ms + 1:
            first = self._damage.pop().start_ms
        self._damage.append(Damage(first, last, reason))
