"""What the shot detector keeps of every frame: a tiny picture, compared with the one before."""

from typing import Final, NamedTuple

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from screenalyzer.types import UInt8

WIDTH: Final = 64
HEIGHT: Final = 36
_CHROMA: Final = (WIDTH // 2, HEIGHT // 2)
_BYTES: Final = WIDTH * HEIGHT * 3 // 2
_READ: Final = 4  # the frame is first read at this multiple, cheaply, then averaged
_SHIFT_X, _SHIFT_Y = 5, 3
_NOISE: Final = 3.0  # standard deviation of luma below which a picture has no form


class Delta(NamedTuple):
    """How two tiny pictures differ.

    Attributes:
        luma: mean absolute difference, 0..1.
        chroma: likewise of both colour planes.
        form: 1 - correlation of the luma after the best shift of up to 8 % of the picture: blind to pans,
            shakes and changes of light; 0..1.
    """

    luma: float
    chroma: float
    form: float


class Thumbnailer:
    """Makes tiny pictures; a small part of the cost of decoding."""

    def __init__(self) -> None:
        self._scale = VideoReformatter()

    def thumb(self, frame: VideoFrame) -> UInt8:
        """A 64x36 picture: luma, then both colour planes at half the size; uint8[3456]."""
        try:
            small = self._scale.reformat(
                frame,
                WIDTH * _READ,
                HEIGHT * _READ,
                "yuv420p",
                interpolation=Interpolation.FAST_BILINEAR,
                threads=1,
            )
        except (av.FFmpegError, ValueError):
            return np.zeros(_BYTES, np.uint8)
        luma, u, v = (
            np.frombuffer(memoryview(p), np.uint8).reshape(p.height, p.line_size)[:, : p.width]
            for p in small.planes
        )
        parts = [cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)]
        parts += [cv2.resize(c, _CHROMA, interpolation=cv2.INTER_AREA) for c in (u, v)]
        return np.concatenate([np.asarray(p, np.uint8).ravel() for p in parts])


def delta(before: UInt8, after: UInt8) -> Delta:
    """How the tiny picture `after` differs from `before`."""
    n = WIDTH * HEIGHT
    gap = cv2.absdiff(before, after).ravel()
    luma = float(gap[:n].mean(dtype=np.float64)) / 255
    chroma = float(gap[n:].mean(dtype=np.float64)) / 255
    form = _form(before[:n].reshape(HEIGHT, WIDTH), after[:n].reshape(HEIGHT, WIDTH))
    # In the precision that a log keeps, so that a decision taken at once and one from the log agree.
    return Delta(*(float(np.float32(v)) for v in (luma, chroma, form)))


def _form(before: UInt8, after: UInt8) -> float:
    """1 - correlation of the middle of `after` with `before`, at the best shift.

    The deviations are floored at the level of noise, so that two black frames are alike and a black frame and
    a picture are not.
    """
    middle = after[_SHIFT_Y:-_SHIFT_Y, _SHIFT_X:-_SHIFT_X].astype(np.float32)
    whole = before.astype(np.float32)
    if middle.std() < _NOISE and whole.std() < _NOISE:
        return 0.0
    match = cv2.matchTemplate(whole, middle - middle.mean(), cv2.TM_CCORR)
    y, x = np.unravel_index(int(match.argmax()), match.shape)
    there = whole[y : y + middle.shape[0], x : x + middle.shape[1]]
    scale = max(float(middle.std()), _NOISE) * max(float(there.std()), _NOISE) * middle.size
    return min(1.0, max(0.0, 1.0 - float(match[y, x]) / scale))
