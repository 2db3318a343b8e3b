"""Single pictures of a video: what is on screen at a moment, exactly."""

import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from screenalyzer.errors import SlowVideoError, UndecodableVideoError
from screenalyzer.settings import VideoSettings
from screenalyzer.types import UInt8, VideoInfo
from screenalyzer.video.decode import Picture, pictures_from
from screenalyzer.video.picture import Developer

TALLEST: Final = 1080
_PATIENCE_S: Final = 10.0


def still(
    path: Path, info: VideoInfo, ts_ms: int, height: int = TALLEST, patience_s: float = _PATIENCE_S
) -> UInt8:
    """The picture on screen at a moment.

    Args:
        path: the video.
        info: its probe.
        ts_ms: milliseconds on the source's clock. The picture is the last one that has begun by then, times
            taken as the artifacts have them: the `ts_ms` of a detection gives its very frame. Before the
            first picture it is the first.
        height: pixels, at least 240; higher pictures are scaled down to it.
        patience_s: seconds after which it is given up.

    Returns:
        uint8[height, width, 3] RGB as displayed, as the main job sees it.

    Raises:
        SlowVideoError: it takes too long.
        VideoError: the file cannot be opened, or there is no picture that can be decoded.
    """
    for _, rgb in stills(path, info, [ts_ms], height, patience_s):
        return rgb
    raise UndecodableVideoError(
        path, f"the picture at {ts_ms} ms cannot be decoded", "Look at another moment, or upload it again"
    )


def stills(
    path: Path, info: VideoInfo, times: Iterable[int], height: int = TALLEST, patience_s: float = _PATIENCE_S
) -> Iterator[tuple[int, UInt8]]:
    """The pictures on screen at several moments, each as `still` has it.

    The file is read forwards, and from a keyframe on where one lies between two moments.

    Yields:
        Each moment once, ascending, with its picture; left out where that cannot be decoded.

    Raises:
        SlowVideoError: one of them takes longer than `patience_s`.
        VideoError: the file cannot be opened.
    """
    developer = Developer(info, VideoSettings(analysis_height=height))
    patience = _Patience(path, patience_s)
    reader: _Reader | None = None
    try:
        for ts_ms in sorted(set(times)):
            patience.begin(ts_ms)
            last = _last_tick(ts_ms, info.time_base)
            if reader is None or reader.is_far_from(last):
                if reader is not None:
                    reader.close()
                reader = _Reader(pictures_from(path, info, last, 1, patience.check), info)
            rgb = reader.develop(last, developer)
            if rgb is not None:
                yield ts_ms, rgb
    finally:
        if reader is not None:
            reader.close()


class _Reader:
    """Pictures in order, three at a time: deinterlacing looks at both neighbours."""

    def __init__(self, pictures: Generator[Picture], info: VideoInfo) -> None:
        self._pictures, self._keys = pictures, info.keyframe_pts
        self._now = self._before = next(pictures, None)
        self._after = next(pictures, None)

    def is_far_from(self, tick: int) -> bool:
        """Whether a keyframe lies between the picture reached and the one that begins by the tick."""
        return self._now is not None and bisect_right(self._keys, tick) > bisect_right(
            self._keys, self._now.pts
        )

    def develop(self, tick: int, developer: Developer) -> UInt8 | None:
        """The last picture that has begun by the tick; None where it cannot be decoded."""
        while self._after is not None and self._after.pts <= tick:
            self._before, self._now = self._now, self._after
            self._after = next(self._pictures, None)
        if self._now is None:
            return None
        before, after = self._before or self._now, self._after or self._now
        try:
            return developer.picture(before.frame, self._now.frame, after.frame)
        except (av.FFmpegError, ValueError):
            return None

    def close(self) -> None:
        """Close the file."""
        self._pictures.close()


class _Patience:
    """Ends a reading that takes too long; it is looked at between packets."""

    def __init__(self, path: Path, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._seconds, self._clock = path, seconds, clock
        self._what, self._until = "", 0.0

    def begin(self, ts_ms: int) -> None:
        self._what, self._until = f"the picture at {ts_ms} ms", self._clock() + self._seconds

    def check(self) -> None:
        if self._clock() > self._until:
            what = f"{self._what} was not found within {self._seconds:g} s"
            raise SlowVideoError(self._path, what, "Try again later, or convert it to H.264")


def _last_tick(ts_ms: int, time_base: Fraction) -> int:
    """The last tick of the stream's clock that is `ts_ms` or less in milliseconds, as `to_ms` rounds."""
    beyond = Fraction(2 * ts_ms + 1, 2000) / time_base  # the first moment that is rounded up to the next one
    return -(-beyond.numerator // beyond.denominator) - 1
