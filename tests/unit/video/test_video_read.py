from collections.abc import Container
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.clips import ClipSpec, counted, make_clip, moving_bars, read_counter

from screenalyzer.schemas import CHUNK_FRAMES
from screenalyzer.settings import ShotSettings, VideoSettings
from screenalyzer.types import VideoInfo
from screenalyzer.video.plan import plan
from screenalyzer.video.probe import probe
from screenalyzer.video.read import ChunkLog, Sample, analysis_size, read_segment

EVERY = VideoSettings(chunk_s=1, sample_fps=60)
WHOLE = VideoSettings(chunk_s=60, sample_fps=60)


@dataclass
class Read:
    info: VideoInfo
    samples: list[Sample]
    logs: list[ChunkLog]

    @property
    def pts(self) -> list[int]:
        return [p for log in self.logs for p in log.frames["pts"].to_pylist()]

    @property
    def numbers(self) -> list[int]:
        return [read_counter(s.rgb) for s in self.samples]


def read(path: Path, cfg: VideoSettings = EVERY, skip: Container[int] = ()) -> Read:
    info, result = probe(path), Read(probe(path), [], [])
    for segment in plan(info, cfg):
        for item in read_segment(path, info, segment, cfg, ShotSettings(), skip):
            if isinstance(item, Sample):
                result.samples.append(item)
            else:
                result.logs.append(item)
    return result


def straight(path: Path) -> list[int | None]:
    """Times of all frames of a plain decode, which is none of our code."""
    with av.open(str(path)) as container:
        return [f.pts for f in container.decode(video=0)]


SPECS = {
    "h264.mp4": ClipSpec(),
    "h264.mov": ClipSpec(b_frames=3),
    "h264.mkv": ClipSpec(b_frames=2),
    "h264.ts": ClipSpec(b_frames=2),
    "hevc.mp4": ClipSpec(codec="libx265"),
    "hevc.ts": ClipSpec(codec="libx265"),
    "vp9.webm": ClipSpec(codec="libvpx-vp9"),
    "vp9.mkv": ClipSpec(codec="libvpx-vp9"),
    "mpeg2.ts": ClipSpec(codec="mpeg2video", b_frames=2),
    "mpeg2.mov": ClipSpec(codec="mpeg2video"),
    "av1.mp4": ClipSpec(codec="libsvtav1"),
    "prores.mov": ClipSpec(codec="prores_ks", pix_fmt="yuv422p10le"),
    "h264-10.mkv": ClipSpec(pix_fmt="yuv420p10le"),
    "hevc-10.mp4": ClipSpec(codec="libx265", pix_fmt="yuv420p10le"),
    "h264-i.ts": ClipSpec(interlaced=True),
    "mpeg2-i.ts": ClipSpec(codec="mpeg2video", interlaced=True, b_frames=2),
    "open-gop.ts": ClipSpec(b_frames=3, options={"x264-params": "open-gop=1"}),
    "open-gop.mp4": ClipSpec(b_frames=3, options={"x264-params": "open-gop=1"}),
    "open-gop-hevc.mkv": ClipSpec(
        codec="libx265",
        options={"x265-params": "log-level=none:pools=1:scenecut=0:keyint=25:min-keyint=25:open-gop=1"},
    ),
    "one-key.mp4": ClipSpec(gop=1000),
    "refresh.ts": ClipSpec(options={"x264-params": "intra-refresh=1"}),
    "late.ts": ClipSpec(start_s=Fraction(10214), b_frames=2),
    "late.mkv": ClipSpec(start_s=Fraction(7)),
    "late.mp4": ClipSpec(start_s=Fraction(3)),
    "b.avi": ClipSpec(b_frames=2),
    "ntsc.mp4": ClipSpec(fps=Fraction(30000, 1001), b_frames=2),
}


@pytest.mark.parametrize("name", SPECS)
def test_every_format_gives_every_frame_once_in_order(tmp_path: Path, name: str) -> None:
    """Chunk by chunk equals straight through, in times and in pictures."""
    path = make_clip(tmp_path / name, counted(88), SPECS[name])
    result = read(path)
    assert result.numbers == list(range(88))
    if not result.info.decode_order_only:
        assert result.pts == straight(path)
    assert result.pts == read(path, WHOLE).pts
    assert [log.chunk.index for log in result.logs] == list(range(len(result.logs)))
    assert len(result.logs) > 2 or result.info.decode_order_only
    assert all(log.frames.schema.equals(CHUNK_FRAMES, check_metadata=True) for log in result.logs)
    assert all(log.damage == () for log in result.logs)
    assert result.info.interlaced == SPECS[name].interlaced


def test_variable_rate_and_late_start_are_exact_to_the_millisecond(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(3).integers(10, 120, 60)).tolist()
    for name in ("v.mkv", "v.mp4"):
        path = make_clip(tmp_path / name, counted(60), ClipSpec(times=times, start_s=Fraction(5), b_frames=2))
        result = read(path)
        assert [s.ts_ms for s in result.samples] == [t + 5000 for t in times]
        assert result.numbers == list(range(60))
        assert all(log.damage == () for log in result.logs)
        ends = [e for log in result.logs for e in log.frames["end_ms"].to_pylist()]
        assert ends[:-1] == [t + 5000 for t in times[1:]]


def test_samples_lie_on_a_grid_from_each_chunk_on(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "g.mp4", moving_bars(110), ClipSpec(fps=Fraction(25), gop=55))
    result = read(path, VideoSettings(chunk_s=2, sample_fps=5))
    assert [s.ts_ms for s in result.samples] == [*range(0, 2200, 200), *range(2200, 4400, 200)]
    sampled = [
        t
        for log in result.logs
        for t, s in zip(log.frames["ts_ms"].to_pylist(), log.frames["sampled"].to_pylist(), strict=True)
        if s
    ]
    assert sampled == [s.ts_ms for s in result.samples]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotation_shows_the_picture_upright(tmp_path: Path, turn: int) -> None:
    picture = next(moving_bars(1))
    path = make_clip(tmp_path / "r.mp4", [picture] * 3, ClipSpec(rotation=turn))
    shown = read(path).samples[0].rgb
    assert np.abs(shown.astype(int) - np.rot90(picture, turn // 90)).mean() < 12


def test_odd_sizes_and_pixel_aspect(tmp_path: Path) -> None:
    odd = make_clip(tmp_path / "o.mkv", moving_bars(5, 151, 87), ClipSpec(codec="libvpx-vp9"))
    assert read(odd).samples[0].rgb.shape == (87, 151, 3)
    flat = make_clip(tmp_path / "s.mp4", moving_bars(5, 120, 96), ClipSpec(sar=Fraction(4, 3)))
    shown = read(flat).samples[0].rgb
    assert shown.shape == (96, 160, 3)


def test_tall_pictures_are_scaled_down(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "t.mp4", moving_bars(3, 700, 480), ClipSpec())
    cfg = VideoSettings(analysis_height=240)
    assert analysis_size(probe(path), cfg) == (350, 240)
    assert read(path, cfg).samples[0].rgb.shape == (240, 350, 3)
    assert analysis_size(probe(path), VideoSettings()) == (700, 480)


def comb(picture: np.ndarray) -> float:
    """How much odd lines differ from the mean of the lines around them."""
    grey = picture.astype(float).mean(axis=2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def test_interlaced_motion_is_deinterlaced_and_nothing_else_is(tmp_path: Path) -> None:
    fields = []
    for n in range(40):
        picture = np.full((96, 160, 3), 40, np.uint8)
        picture[:, 2 * n : 2 * n + 40] = 210
        fields.append(picture)
    woven = [
        np.where(np.arange(96)[:, None, None] % 2 == 0, a, b)
        for a, b in zip(fields[::2], fields[1::2], strict=True)
    ]
    flagged = make_clip(tmp_path / "i.ts", woven, ClipSpec(interlaced=True, gop=8))
    unflagged = make_clip(tmp_path / "p.ts", woven, ClipSpec(gop=8))
    smooth, combed = (np.mean([comb(s.rgb) for s in read(p).samples[2:-2]]) for p in (flagged, unflagged))
    assert smooth < combed / 3
    middle = read(flagged).samples[10].rgb.astype(int)
    # the frame keeps the time of its first field
    assert np.abs(middle - fields[20]).mean() < np.abs(middle - fields[24]).mean()


def test_skipped_chunks_yield_nothing_and_change_nothing(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "k.mp4", counted(100), ClipSpec(gop=1000))
    whole, part = read(path), read(path, skip={0, 2, 3})
    assert [log.chunk.index for log in part.logs] == [1]
    assert part.logs[0].frames.equals(whole.logs[1].frames)
    kept = [s for s in whole.samples if 1000 <= s.ts_ms < 2000]
    assert [s.pts for s in part.samples] == [s.pts for s in kept]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(part.samples, kept, strict=True))


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "d.ts", counted(60), ClipSpec(b_frames=2))
    one, two = read(path), read(path)
    assert all(a.frames.equals(b.frames) for a, b in zip(one.logs, two.logs, strict=True))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(one.samples, two.samples, strict=True))
