"""From a decoded frame to the picture that a viewer sees."""

from fractions import Fraction
from typing import Final

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from screenalyzer.settings import VideoSettings
from screenalyzer.types import UInt8, VideoInfo

_SANE_ASPECT: Final = (Fraction(1, 4), Fraction(4))


def quarter_turn(frame: VideoFrame) -> int:
    """Rotation that the container asks for, degrees counter-clockwise, to the nearest of 0, 90, 180, 270."""
    return round(frame.rotation / 90) % 4 * 90


def displayed_size(width: int, height: int, aspect: Fraction, turn: int) -> tuple[int, int]:
    """Width and height as displayed, from the coded ones, the pixel aspect and the rotation."""
    if _SANE_ASPECT[0] <= aspect <= _SANE_ASPECT[1]:
        width = max(1, round(width * aspect))
    return (height, width) if turn in {90, 270} else (width, height)


def analysis_size(info: VideoInfo, cfg: VideoSettings) -> tuple[int, int]:
    """Width and height of the pictures looked at: as displayed, scaled down to `cfg.analysis_height`."""
    if info.height <= cfg.analysis_height:
        return info.width, info.height
    return max(1, round(info.width * cfg.analysis_height / info.height)), cfg.analysis_height


class Developer:
    """Turns decoded frames into RGB as displayed: deinterlaced, pixel aspect and rotation applied."""

    def __init__(self, info: VideoInfo, cfg: VideoSettings) -> None:
        """Fix the size of the pictures."""
        self._turns = info.rotation // 90
        width, height = analysis_size(info, cfg)
        self._coded = (height, width) if self._turns % 2 else (width, height)
        self._rgb = VideoReformatter()
        self._weave: _Deinterlacer | None = None

    def picture(self, before: VideoFrame, frame: VideoFrame, after: VideoFrame) -> UInt8:
        """The picture of `frame`.

        Args:
            before: the frame before it, or itself where there is none.
            frame: the frame wanted.
            after: the frame after it, or itself.

        Returns:
            uint8[height, width, 3], of `analysis_size`.
        """
        if frame.interlaced_frame:
            if self._weave is None or not self._weave.takes(before, frame, after):
                self._weave = _Deinterlacer(frame)
            frame = self._weave.middle(before, frame, after)
        width, height = self._coded
        scaled = self._rgb.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=Interpolation.AREA, threads=1
        )
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), self._turns))


class _Deinterlacer:
    """bwdif on three neighbouring frames; only frames that are flagged interlaced are changed."""

    def __init__(self, like: VideoFrame) -> None:
        self._shape = _shape(like)
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=Fraction(1, 1000)
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self._graph.add("buffersink")
        self._graph.link_nodes(source, bwdif, sink).configure()
        self._clock = 0

    def takes(self, *frames: VideoFrame) -> bool:
        """Whether the frames are of the size and format that the filter was built for."""
        return all(_shape(f) == self._shape for f in frames)

    def middle(self, before: VideoFrame, frame: VideoFrame, after: VideoFrame) -> VideoFrame:
        """The middle frame, deinterlaced. The filter runs one frame behind, so the third push yields it."""
        out = frame
        for neighbour in (before, frame, after):
            self._clock += 1  # the filter wants a rising clock; ours were read off the frames before
            neighbour.pts, neighbour.time_base = self._clock, Fraction(1, 1000)
            self._graph.push(neighbour)
            out = self._pull() or out
        return out

    def _pull(self) -> VideoFrame | None:
        latest: VideoFrame | None = None
        while True:
            try:
                pulled = self._graph.pull()
            except (BlockingIOError, EOFError):
                return latest
            assert isinstance(pulled, VideoFrame)
            latest = pulled


def _shape(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
