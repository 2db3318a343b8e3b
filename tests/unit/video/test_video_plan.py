from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from screenalyzer.settings import VideoSettings
from screenalyzer.types import VideoInfo
from screenalyzer.video.clock import to_ms, to_ticks
from screenalyzer.video.plan import plan

BASE = VideoInfo("v.mp4", "0" * 64, 1, "mp4", "h264", 160, 96, 0, Fraction(1, 1000), 0, 100_000, 2500, (0,))


@given(
    start=st.integers(-5000, 10**6),
    length=st.integers(1, 600_000),
    keys=st.lists(st.integers(0, 600_000), max_size=40),
    chunk_s=st.floats(1, 60),
)
def test_chunks_tile_the_video(start: int, length: int, keys: list[int], chunk_s: float) -> None:
    times = tuple(sorted({start, *(start + k for k in keys if k < length)}))
    info = replace(BASE, start_pts=start, end_pts=start + length, keyframe_pts=times)
    segments = plan(info, VideoSettings(chunk_s=chunk_s))
    chunks = [c for s in segments for c in s.chunks]
    assert [c.index for c in chunks] == list(range(len(chunks)))
    assert chunks[0].start_pts == start
    assert chunks[-1].end_pts == start + length
    assert all(a.end_pts == b.start_pts for a, b in pairwise(chunks))
    assert all(0 < c.end_pts - c.start_pts <= 60_000 for c in chunks)
    assert all(s.seek_pts == s.chunks[0].start_pts and s.seek_pts in times for s in segments)


def test_segments_begin_at_keyframes_once_the_wanted_length_has_passed() -> None:
    info = replace(BASE, keyframe_pts=tuple(range(0, 100_000, 8000)))
    segments = plan(info, VideoSettings(chunk_s=30))
    assert [s.seek_pts for s in segments] == [0, 32_000, 64_000, 96_000]
    assert all(len(s.chunks) == 1 for s in segments)


def test_one_keyframe_makes_one_segment_of_many_chunks() -> None:
    segments = plan(BASE, VideoSettings(chunk_s=30))
    assert len(segments) == 1
    assert [c.start_pts for c in segments[0].chunks] == [0, 30_000, 60_000, 90_000]


def test_milliseconds_are_exact() -> None:
    assert to_ms(1, Fraction(1001, 30000)) == 33
    assert to_ms(90_000 * 3600 * 50 + 45, Fraction(1, 90_000)) == 180_000_001  # half a ms goes up
    assert to_ms(-3, Fraction(1, 1000)) == -3


@given(st.integers(-(10**12), 10**12))
def test_ticks_and_milliseconds_agree(ms: int) -> None:
    base = Fraction(1, 90_000)
    assert to_ms(to_ticks(Fraction(ms, 1000), base), base) == ms
