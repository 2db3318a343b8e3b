"""Cut a video into chunks to checkpoint and segments to decode."""

from bisect import bisect_left, bisect_right
from fractions import Fraction

from screenalyzer.settings import VideoSettings
from screenalyzer.types import Chunk, Segment, VideoInfo
from screenalyzer.video.clock import to_ticks

_LONGEST_S = 60


def plan(info: VideoInfo, cfg: VideoSettings) -> tuple[Segment, ...]:
    """Lay chunks over a video: about `cfg.chunk_s` long, never over twice that or 60 s.

    A chunk ends at the keyframe nearest to its wanted length, and a new segment begins there. Where no
    keyframe comes in time, it ends at the wanted length inside the segment, which one decoder reads on
    without seeking: so a file with a single keyframe is decoded once and checkpointed all the same.

    Returns:
        Segments in order. Their chunks are numbered through and tile [start_pts, end_pts); the reader takes
        whatever lies before the first or after the last as theirs.
    """
    wanted = max(1, to_ticks(Fraction(cfg.chunk_s), info.time_base))
    longest = max(wanted, to_ticks(min(Fraction(cfg.chunk_s) * 2, Fraction(_LONGEST_S)), info.time_base))
    segments: list[Segment] = []
    chunks: list[Chunk] = []
    start, seek, index = info.start_pts, info.start_pts, 0
    while True:
        key = _keyframe(info.keyframe_pts, start, wanted, longest)
        end = start + wanted if key is None else key
        last = end >= info.end_pts
        chunks.append(Chunk(index, start, max(info.end_pts, start + 1) if last else end))
        if last or key is not None:
            segments.append(Segment(seek, tuple(chunks)))
            chunks, seek = [], end
        if last:
            return tuple(segments)
        start, index = end, index + 1


def _keyframe(keys: tuple[int, ...], start: int, wanted: int, longest: int) -> int | None:
    """Where a chunk from `start` should end: the keyframe nearest to the wanted length, or None."""
    first = bisect_left(keys, start + max(1, longest // 2))
    near = keys[first : bisect_right(keys, start + longest)]
    return min(near, key=lambda k: (abs(k - start - wanted), k), default=None)
