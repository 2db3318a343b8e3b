"""Decode a stream in presentation order, over damage, keeping account of what was lost."""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from screenalyzer.types import VideoInfo
from screenalyzer.video.source import open_video, read_packets, video_stream

# Formats whose coding never holds a long run of zero bytes in these containers: one is a hole in the file.
_NO_ZEROS: Final = frozenset({"h264", "hevc", "vp9"})
_FRAMED: Final = frozenset({"mp4", "matroska"})
_HOLE: Final = bytes(48)
_KEYS_KEPT: Final = 64


@dataclass(frozen=True)
class Picture:
    """A decoded frame and its place in time.

    Attributes:
        frame: as decoded.
        pts: presentation time in ticks.
        duration: ticks until the next frame is expected.
        damaged: the decoder or the container flags it, or it builds on a picture that was damaged or lost.
        lost_from: time of the first packet since the picture before that yielded none; None where all did.
    """

    frame: VideoFrame
    pts: int
    duration: int
    damaged: bool
    lost_from: int | None


class _Ledger:
    """What went into the decoder and what came out; which pictures to distrust."""

    def __init__(self) -> None:
        self._waiting: list[int] = []  # times of packets without a picture yet
        self._keys: list[int] = []
        self._bad_from: int | None = None
        self._good_from: int | None = None

    def sent(self, packet: "Packet[Stream]") -> None:
        if packet.pts is None or packet.is_discard:
            return
        self._waiting.insert(bisect_left(self._waiting, packet.pts), packet.pts)
        if packet.is_keyframe:
            self._keys = [*self._keys[-_KEYS_KEPT:], packet.pts]
            if self._bad_from is not None and self._good_from is None and packet.pts > self._bad_from:
                self._good_from = packet.pts

    def distrust(self, pts: int | None) -> None:
        """A picture is bad; so are those built on it, up to the next keyframe."""
        if pts is None:
            return
        self._bad_from = pts if self._bad_from is None else min(pts, self._bad_from)
        self._good_from = next((k for k in self._keys if k > pts), None)

    def trusts(self, pts: int) -> bool:
        if self._bad_from is None or pts < self._bad_from:
            return True
        if self._good_from is None or pts < self._good_from:
            return False
        self._bad_from = self._good_from = None
        return True

    def lost_before(self, pts: int) -> int | None:
        """The earliest packet before `pts` that never became a picture; settles all up to `pts`."""
        cut = bisect_left(self._waiting, pts)
        lost = self._waiting[0] if cut else None
        end = cut + 1 if cut < len(self._waiting) and self._waiting[cut] == pts else cut
        del self._waiting[:end]
        return lost


def go_on() -> None:
    """Nobody is in a hurry."""


def pictures_from(
    path: Path, info: VideoInfo, wanted: int, threads: int, each_packet: Callable[[], None] = go_on
) -> Generator[Picture]:
    """Pictures in presentation order, the first of them at or before `wanted` unless the video begins later.

    Containers seek more or less exactly, and a damaged keyframe yields nothing, so the first picture after a
    seek is held against the wish; where it comes too late, decoding begins further back, at last at the
    start.

    Args:
        path: the file.
        info: its probe.
        wanted: ticks.
        threads: of the decoder.
        each_packet: called before each packet is decoded; may raise to give up.
    """
    for seek in _attempts(info, wanted):
        stream = _monotonic(_decode(path, info, seek, threads, each_packet))
        first = next(stream, None)
        if seek is None or (first is not None and first.pts <= wanted):
            if first is not None:
                yield first
                yield from stream
            return
        stream.close()


def _attempts(info: VideoInfo, wanted: int) -> Iterator[int | None]:
    """Places to seek to, nearest first; None is the start of the file, without a seek."""
    if wanted > info.start_pts and not info.decode_order_only:
        at = bisect_left(info.keyframe_pts, wanted + 1) - 1
        for back in (0, 1, 2, 4, 8):
            if at - back > 0:
                yield info.keyframe_pts[at - back]
    yield None


def _decode(
    path: Path, info: VideoInfo, seek: int | None, threads: int, each_packet: Callable[[], None]
) -> Iterator[Picture]:
    with closing(open_video(path)) as container:
        stream = video_stream(container, info.stream_index, threads)
        if seek is not None:
            try:
                container.seek(seek, stream=stream)
            except av.FFmpegError:
                return
        yield from _pictures(container, stream, info, each_packet)


def _pictures(
    container: InputContainer, stream: VideoStream, info: VideoInfo, each_packet: Callable[[], None]
) -> Iterator[Picture]:
    ledger, times = _Ledger(), _Times(info)
    zeros_are_holes = stream.codec_context.name in _NO_ZEROS and info.container in _FRAMED
    torn = False
    for packet in read_packets(container, [stream]):
        each_packet()
        ledger.sent(packet)
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = []
            ledger.distrust(packet.pts)
        # FFmpeg's parsers hand a loss in a transport stream on with the packet before the one it tore.
        if packet.is_corrupt or torn or (zeros_are_holes and _HOLE in bytes(packet)):
            ledger.distrust(packet.pts)
        torn = packet.is_corrupt
        for frame in frames:
            if isinstance(frame, VideoFrame):
                yield _picture(frame, ledger, times, info)
    try:
        rest = stream.codec_context.decode(None)
    except av.FFmpegError:
        return
    for frame in rest:
        yield _picture(frame, ledger, times, info)


def _picture(frame: VideoFrame, ledger: _Ledger, times: "_Times", info: VideoInfo) -> Picture:
    waited = times.wait(frame)
    pts, duration = times.of(frame)
    # Pictures that never reached the decoder may have been what the next ones build on.
    hole = info.constant_rate and waited > info.frame_ticks / 2 and not frame.key_frame
    if frame.is_corrupt or hole:
        ledger.distrust(pts)
    return Picture(frame, pts, duration, not ledger.trusts(pts), ledger.lost_before(pts))


class _Times:
    """Times of frames, also where the container or a damaged packet gives none."""

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        self._next: int | None = None
        self._shift: int | None = None

    def wait(self, frame: VideoFrame) -> int:
        """Ticks between the end of the frame before and this one."""
        if self._next is None or frame.pts is None or self._info.decode_order_only:
            return 0
        return frame.pts - self._next

    def of(self, frame: VideoFrame) -> tuple[int, int]:
        """Presentation time and expected duration in ticks."""
        duration = frame.duration or self._info.frame_ticks
        pts = self._by_order(frame) if self._info.decode_order_only else frame.pts
        if pts is None:
            pts = self._info.start_pts if self._next is None else self._next
        self._next = pts + duration
        return pts, duration

    def _by_order(self, frame: VideoFrame) -> int | None:
        # The decoder hands out frames in order; the decode time of what triggered each only needs shifting
        # back by the decoder's delay.
        if frame.dts is None:
            return None
        if self._shift is None:
            self._shift = frame.dts - self._info.start_pts
        return frame.dts - self._shift


def _monotonic(pictures: Iterator[Picture]) -> Generator[Picture]:
    """Drop pictures whose time stamp a damaged packet has thrown out of order."""
    last: int | None = None
    held: Picture | None = None
    for picture in pictures:
        if held is not None and picture.pts <= held.pts:
            # Either the one held is a leap ahead or this one is a step back: the last good time tells.
            if last is not None and picture.pts <= last:
                continue
            held = picture
            continue
        if held is not None:
            last = held.pts
            yield held
        held = picture
    if held is not None:
        yield held
