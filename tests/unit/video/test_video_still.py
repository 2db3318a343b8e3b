"""A still is the frame that a plain decode of the whole file shows at that moment."""

from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clips import ClipSpec, counted, make_clip, moving_bars, read_counter

from screenalyzer.errors import FileMissingError, SlowVideoError, UndecodableVideoError
from screenalyzer.settings import ShotSettings, VideoSettings
from screenalyzer.video.clock import to_ms
from screenalyzer.video.plan import plan
from screenalyzer.video.probe import probe
from screenalyzer.video.read import Sample, read_segment
from screenalyzer.video.still import _last_tick, still, stills

_COUNT = 70

SPECS = {
    "b.mp4": ClipSpec(b_frames=3, gop=20),
    "b.mkv": ClipSpec(b_frames=2, gop=20),
    "late.ts": ClipSpec(start_s=Fraction(10214), b_frames=2, gop=20),
    "open-gop.ts": ClipSpec(b_frames=3, gop=20, options={"x264-params": "open-gop=1"}),
    "open-gop.mp4": ClipSpec(b_frames=3, gop=20, options={"x264-params": "open-gop=1"}),
    "hevc.mkv": ClipSpec(codec="libx265", gop=20),
    "vp9.webm": ClipSpec(codec="libvpx-vp9", gop=20),
    "one-key.mp4": ClipSpec(gop=1000),
    "b.avi": ClipSpec(b_frames=2),
    "ntsc.mp4": ClipSpec(fps=Fraction(30000, 1001), b_frames=2, gop=20),
    "variable.mkv": ClipSpec(
        times=np.cumsum(np.random.default_rng(5).integers(10, 120, _COUNT)).tolist(),
        start_s=Fraction(5), b_frames=2, gop=15,
    ),
    "variable.mp4": ClipSpec(
        times=np.cumsum(np.random.default_rng(6).integers(1, 300, _COUNT)).tolist(), b_frames=2, gop=15
    ),
}  # fmt: skip


def _begins(path: Path) -> list[int]:
    """When each frame begins, by a decode of the whole file that is none of our code."""
    info = probe(path)
    with av.open(str(path)) as container:
        frames = [f.pts for f in container.decode(video=0)]
    if info.decode_order_only:  # AVI has no times: frames follow each other
        frames = [info.start_pts + n for n in range(len(frames))]
    return [to_ms(p, info.time_base) for p in frames if p is not None]


@pytest.mark.parametrize("name", SPECS)
def test_the_frame_is_the_last_that_has_begun(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, counted(_COUNT), SPECS[name])
    info, begins = probe(path), _begins(path)
    assert len(begins) == _COUNT
    moments = {begins[0] - 1000, begins[0] - 1, begins[-1] + 1, begins[-1] + 5000}
    for n in range(0, _COUNT, 3):
        moments |= {begins[n], begins[n] - 1, begins[n] + 1}
    expected = {ts: max(0, bisect_right(begins, ts) - 1) for ts in sorted(moments)}
    together = {ts: read_counter(rgb) for ts, rgb in stills(path, info, moments)}
    assert together == expected
    assert list(together) == sorted(moments)
    for ts in sorted(moments)[::7]:
        assert read_counter(still(path, info, ts)) == expected[ts]


@pytest.mark.parametrize("name", ["b.mp4", "late.ts", "variable.mkv", "i.ts"])
def test_a_still_is_the_picture_that_the_main_job_looks_at(tmp_path: Path, name: str) -> None:
    """To the pixel, interlaced ones too: a face's box lies where it was found."""
    spec = SPECS.get(name, ClipSpec(codec="mpeg2video", interlaced=True, b_frames=2))
    path = make_clip(tmp_path / name, counted(_COUNT), spec)
    info, cfg = probe(path), VideoSettings(chunk_s=1, sample_fps=7)
    seen = [
        item
        for segment in plan(info, cfg)
        for item in read_segment(path, info, segment, cfg, ShotSettings(), ())
        if isinstance(item, Sample)
    ]
    assert len(seen) > 10
    found = dict(stills(path, info, [s.ts_ms for s in seen]))
    different = [s.ts_ms for s in seen if not np.array_equal(found[s.ts_ms], s.rgb)]
    firsts = {to_ms(c.start_pts, info.time_base) for s in plan(info, cfg) for c in s.chunks}
    assert set(different) <= (firsts if info.interlaced else set())  # a chunk's first has no frame before it


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotation_and_pixel_aspect_are_as_displayed(tmp_path: Path, turn: int) -> None:
    picture = next(moving_bars(1, 120, 96))
    turned = make_clip(tmp_path / "r.mp4", [picture] * 3, ClipSpec(rotation=turn))
    shown = still(turned, probe(turned), 40)
    assert np.abs(shown.astype(int) - np.rot90(picture, turn // 90)).mean() < 12
    flat = make_clip(tmp_path / "s.mp4", [picture] * 3, ClipSpec(sar=Fraction(4, 3), rotation=turn))
    assert still(flat, probe(flat), 40).shape == ((160, 96, 3) if turn in {90, 270} else (96, 160, 3))


def test_high_pictures_are_scaled_down_and_low_ones_stay(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "h.mp4", moving_bars(3, 700, 480))
    assert still(path, probe(path), 0, height=240).shape == (240, 350, 3)
    assert still(path, probe(path), 0).shape == (480, 700, 3)


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "slow.mp4", counted(_COUNT), ClipSpec(gop=1000))
    info = probe(path)
    with pytest.raises(SlowVideoError, match="the picture at 2000 ms was not found within 0 s"):
        still(path, info, 2000, patience_s=0)


def test_patience_is_for_each_picture(tmp_path: Path) -> None:
    """A long list is not given up because it is long."""
    path = make_clip(tmp_path / "list.mp4", counted(_COUNT), ClipSpec(gop=1000))
    info, found = probe(path), []
    for ts, rgb in stills(path, info, range(0, 2600, 40), patience_s=5):
        found.append((ts, read_counter(rgb)))
    assert found == [(40 * n, n) for n in range(65)]


def test_a_file_that_is_gone_or_broken_says_so(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "x.mp4", counted(30))
    info = probe(path)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"mdat") + 4
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(
        raw[:at] + bytes(len(raw) - at)
        if raw.index(b"moov") < at
        else raw[:at] + bytes(raw.index(b"moov") - 4 - at) + raw[raw.index(b"moov") - 4 :]
    )
    with pytest.raises(UndecodableVideoError, match="the picture at 400 ms"):
        still(broken, info, 400)
    path.unlink()
    with pytest.raises(FileMissingError):
        still(path, info, 400)


@given(
    ts_ms=st.integers(-(10**9), 10**9),
    base=st.fractions(Fraction(1, 10**6), Fraction(1, 10), max_denominator=10**6),
)
def test_the_last_tick_is_the_last_that_rounds_to_the_moment_or_before(ts_ms: int, base: Fraction) -> None:
    tick = _last_tick(ts_ms, base)
    assert to_ms(tick, base) <= ts_ms < to_ms(tick + 1, base)
