"""Writes small test clips: numpy pictures in, a really encoded file out."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_FAST = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libx265": {"preset": "ultrafast", "crf": "20", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime", "crf": "30", "b": "0"},
    "libsvtav1": {"preset": "12", "crf": "35", "svtav1-params": "lp=1"},
    "mpeg2video": {"q": "3"},
    "prores_ks": {"profile": "0"},
}


@dataclass(frozen=True)
class ClipSpec:
    """How a clip is written.

    Attributes:
        codec: an FFmpeg encoder's name.
        fps: frames a second; also the step between frames unless `times` is given.
        pix_fmt: yuv420p, yuv420p10le, yuv422p10le...
        gop: frames between keyframes; the encoder's scene cut keyframes are off.
        b_frames: B-frames between references, or None for the encoder's choice.
        interlaced: code as interlaced, top field first.
        rotation: display rotation written to the container, degrees counter-clockwise.
        sar: sample aspect ratio.
        start_s: seconds added to every time stamp.
        times: presentation time of each frame in units of 1/1000 s, for variable frame rate.
        options: more encoder options.
        container_options: more muxer options.
        audio: also write a silent audio track.
    """

    codec: str = "libx264"
    fps: Fraction = Fraction(25)
    pix_fmt: str = "yuv420p"
    gop: int = 25
    b_frames: int | None = None
    interlaced: bool = False
    rotation: int = 0
    sar: Fraction = Fraction(1)
    start_s: Fraction = Fraction(0)
    times: Sequence[int] | None = None
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    audio: bool = False


def make_clip(path: Path, pictures: Iterable[Picture], spec: ClipSpec | None = None) -> Path:
    """Encode pictures (uint8[h, w, 3] RGB, all of one size) into `path`; its suffix picks the container."""
    spec = spec or ClipSpec()
    frames = iter(pictures)
    first = next(frames)
    with av.open(str(path), "w", container_options=spec.container_options) as out:
        stream = out.add_stream(spec.codec, rate=spec.fps, options=_options(spec))
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = spec.pix_fmt
        stream.codec_context.sample_aspect_ratio = spec.sar
        stream.codec_context.gop_size = spec.gop
        stream.codec_context.thread_count = 1
        if spec.b_frames is not None:
            stream.codec_context.max_b_frames = spec.b_frames
        if spec.times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if spec.rotation:
            stream.set_display_rotation(spec.rotation)
        audio = out.add_stream("aac", rate=48000, layout="mono") if spec.audio else None
        for pts, picture in zip(_ticks(spec), itertools.chain([first], frames), strict=False):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.time_base = Fraction(1, 1000) if spec.times is not None else 1 / spec.fps
            frame.pts = pts
            out.mux(stream.encode(frame))
        if audio is not None:
            _silence(out, audio, seconds=2)
        out.mux(stream.encode(None))
    return path


def make_sound(path: Path, seconds: int = 2, cover: bool = False) -> Path:
    """Write an audio file, with a still cover picture if wanted (m4a)."""
    with av.open(str(path), "w") as out:
        audio = out.add_stream("aac", rate=48000, layout="mono")
        if cover:
            art = out.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt = 64, 64, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            art.codec_context.color_range = 2
        if cover:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            out.mux(art.encode(frame.reformat(format="yuvj420p")))
            out.mux(art.encode(None))
        _silence(out, audio, seconds)
    return path


def _silence(out: av.container.OutputContainer, stream: av.AudioStream, seconds: int) -> None:
    for n in range(seconds * 48000 // 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, n * 1024, Fraction(1, 48000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _ticks(spec: ClipSpec) -> Iterator[int]:
    if spec.times is not None:
        return (t + int(spec.start_s * 1000) for t in spec.times)
    return itertools.count(int(spec.start_s * spec.fps))


def _options(spec: ClipSpec) -> dict[str, str]:
    options = dict(_FAST.get(spec.codec, {}))
    if spec.codec == "libx264":
        options["sc_threshold"] = "0"
    if spec.codec == "libx265":
        options["x265-params"] += f":scenecut=0:keyint={spec.gop}:min-keyint={spec.gop}"
    if spec.interlaced:
        options["flags"] = "+ilme+ildct"
        if spec.codec == "libx264":
            options["x264-params"] = "tff=1"
    return {**options, **spec.options}


def moving_bars(count: int, width: int = 160, height: int = 96, seed: int = 1) -> Iterator[Picture]:
    """Textured pictures that drift a pixel a frame, so that every frame differs from its neighbours."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (height // 8 + 2, width // 4 + 2, 3), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((8, 8, 1), np.uint8)).astype(np.uint8)
    for n in range(count):
        shift = n % (texture.shape[1] - width)
        yield np.ascontiguousarray(texture[:height, shift : shift + width])


def burn_counter(picture: Picture, number: int) -> Picture:
    """Write a number into a picture as 16 big black and white squares along the top edge."""
    out = picture.copy()
    side = picture.shape[1] // 16
    for bit in range(16):
        out[:side, bit * side : (bit + 1) * side] = 255 * (number >> bit & 1)
    return out


def read_counter(picture: Picture) -> int:
    """Read the number that `burn_counter` wrote, from the decoded picture."""
    side = picture.shape[1] / 16
    mids = [int((bit + 0.5) * side) for bit in range(16)]
    row = picture[max(1, int(side * 0.5)), mids].mean(axis=1)
    return sum(1 << bit for bit, value in enumerate(row) if value > 127)


def counted(count: int, width: int = 160, height: int = 96) -> Iterator[Picture]:
    """Moving pictures, each of which carries its number."""
    for n, picture in enumerate(moving_bars(count, width, height)):
        yield burn_counter(picture, n)
