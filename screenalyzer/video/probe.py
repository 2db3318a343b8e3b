"""Learn what a video is, or refuse it with a reason, without decoding it."""

import statistics
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from screenalyzer.artifacts import sha256_file
from screenalyzer.errors import EmptyVideoError, TruncatedVideoError, UndecodableVideoError
from screenalyzer.types import VideoInfo
from screenalyzer.video.picture import displayed_size, quarter_turn
from screenalyzer.video.source import COPY_AGAIN, open_video, pick_stream, read_packets, video_stream

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_SHORT_NAMES = {_MP4: "mp4", "matroska,webm": "matroska"}
_DECLARE_DURATION = frozenset({"mp4", "matroska", "avi", "flv"})
_SHORT_BY_S = 3  # a header may be this far off: tracks of different lengths, rounding
_CONSTANT_SHARE = 0.9


@dataclass
class _Packets:
    """Times of a video stream's packets, in ticks, and how far the data of all streams goes."""

    times: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    durations: dict[int, int] = field(default_factory=dict)
    without_pts: int = 0
    data_end_s: Fraction = Fraction(0)

    def add(self, packet: "Packet[Stream]", wanted: bool) -> None:
        time = packet.dts if packet.pts is None else packet.pts
        if time is None:
            self.without_pts += wanted
            return
        end = (time + (packet.duration or 0)) * packet.time_base
        self.data_end_s = max(self.data_end_s, end)
        if not wanted or packet.is_discard:
            return
        self.without_pts += packet.pts is None
        self.times.append(time)
        self.durations[time] = packet.duration or 0
        if packet.is_keyframe:
            self.keys.append(time)


def probe(path: Path) -> VideoInfo:
    """Read a video's headers and packet times, and decode one frame to be sure that it can be.

    Raises:
        VideoError: the one of its kinds (missing, empty, not a video, no video stream, truncated,
            unsupported, undecodable) that fits; the message has the facts and advice.
    """
    with open_video(path) as container:
        stream = pick_stream(path, container)
        name = _short_name(container)
        packets = _read_all(container, stream)
        if not packets.times and not packets.without_pts:
            _refuse_empty(path, container, stream)
        _refuse_truncated(path, container, stream, packets)
        time_base, codec = Fraction(stream.time_base or 1), stream.codec_context.codec.canonical_name
        index, rate = stream.index, Fraction(stream.average_rate or stream.guessed_rate or 25)
    frame = _first_frame(path, index)
    typical, constant = _rhythm(packets.times, max(1, round(1 / rate / time_base)))
    in_order = name == "avi" or packets.without_pts * 2 > len(packets.times)
    start, end = _extent(packets, frame, typical, in_order)
    turn = quarter_turn(frame)
    width, height = displayed_size(frame.width, frame.height, _pixel_aspect(path, index), turn)
    return VideoInfo(
        path=str(path),
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        container=name,
        codec=codec,
        width=width,
        height=height,
        rotation=turn,
        time_base=time_base,
        start_pts=start,
        end_pts=end,
        frame_count=max(len(packets.times), packets.without_pts),
        keyframe_pts=(start,) if in_order else tuple(sorted(k for k in set(packets.keys) if k >= start)),
        stream_index=index,
        frame_ticks=typical,
        constant_rate=constant,
        interlaced=frame.interlaced_frame,
        decode_order_only=in_order,
    )


def _read_all(container: InputContainer, stream: VideoStream) -> _Packets:
    packets = _Packets()
    played = [s for s in container.streams if s.type in {"video", "audio"}]
    for packet in read_packets(container, played):
        packets.add(packet, packet.stream_index == stream.index)
    return packets


def _refuse_empty(path: Path, container: InputContainer, stream: VideoStream) -> None:
    if len(stream.index_entries) or (container.duration or 0) > _SHORT_BY_S * av.time_base:
        raise TruncatedVideoError(path, "the file ends before its first frame", COPY_AGAIN)
    raise EmptyVideoError(path, "its video stream has no frames", "Export it again from its source")


def _refuse_truncated(path: Path, container: InputContainer, stream: VideoStream, packets: _Packets) -> None:
    """Hold what the headers announce against the data that is there."""
    announced = Fraction(container.duration or 0, av.time_base)
    if _short_name(container) not in _DECLARE_DURATION or (
        announced - packets.data_end_s <= _SHORT_BY_S and not _index_points_beyond(path, container, stream)
    ):
        return
    ends = min(max(packets.times, default=0) * Fraction(stream.time_base or 1), announced)
    what = f"the file is cut short: its data ends at {float(ends):.1f} s of {float(announced):.1f} s"
    raise TruncatedVideoError(path, what, COPY_AGAIN)


def _index_points_beyond(path: Path, container: InputContainer, stream: VideoStream) -> bool:
    """Whether an MP4's index lists a frame that lies behind the end of the file."""
    entries = stream.index_entries
    if _short_name(container) != "mp4" or not len(entries):
        return False
    last = entries[len(entries) - 1]
    return last.pos + last.size > path.stat().st_size


def _short_name(container: InputContainer) -> str:
    return _SHORT_NAMES.get(container.format.name, container.format.name)


def _first_frame(path: Path, index: int) -> VideoFrame:
    """The first picture that decodes.

    Raises:
        UndecodableVideoError: there is none.
    """
    with open_video(path) as container:
        stream = video_stream(container, index, threads=1)
        reason = "no frame came out"
        for packet in chain(read_packets(container, [stream]), [None]):
            try:
                frames = stream.codec_context.decode(packet)
            except av.FFmpegError as e:
                reason = e.strerror or reason
                continue
            if frames:
                return frames[0]
    what = f"not one frame of its {stream.codec_context.name} video can be decoded ({reason})"
    raise UndecodableVideoError(path, what, "Play it to check; if it plays, convert it to H.264")


def _pixel_aspect(path: Path, index: int) -> Fraction:
    with open_video(path) as container:
        return Fraction(video_stream(container, index, threads=1).sample_aspect_ratio or 1)


def _rhythm(times: list[int], by_rate: int) -> tuple[int, bool]:
    """Usual ticks between frames, and whether nearly all frames keep to them."""
    steps = np.diff(np.unique(times))
    if len(steps) == 0:
        return by_rate, True
    typical = max(1, int(statistics.median_low(steps.tolist())))
    near = np.abs(steps - typical) <= max(1.0, typical / 10)
    return typical, bool(near.mean() >= _CONSTANT_SHARE)


def _extent(packets: _Packets, first: VideoFrame, typical: int, in_order: bool) -> tuple[int, int]:
    """First and end tick, without the undecodable pictures before the first keyframe."""
    if not packets.times:
        return 0, packets.without_pts * typical
    begin, last = min(packets.times), max(packets.times)
    if not in_order:
        starts = [t for t in (min(packets.keys, default=None), first.pts) if t is not None]
        begin = max(begin, min(starts, default=begin))
    return begin, max(last + (packets.durations[last] or typical), begin + 1)
