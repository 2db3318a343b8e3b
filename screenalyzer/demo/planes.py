"""Pictures as the planes that video is coded in, and the few operations the demo draws with.

Drawing in Y, U and V costs half of drawing in colour, because the two colour planes are half as wide and
half as high. Everything is BT.601, limited range, as OpenCV converts it.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from screenalyzer.types import Float32, Float64, UInt8

BLACK: Final = (16, 128, 128)


@dataclass(frozen=True)
class Planes:
    """A picture of even size: y uint8[h, w], u and v uint8[h/2, w/2]; opacity likewise, or none if opaque.

    Where there is opacity (0..255) the planes are already multiplied by it.
    """

    y: UInt8
    u: UInt8
    v: UInt8
    alpha: UInt8 | None = None
    alpha_half: UInt8 | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.y.shape[1], self.y.shape[0]


@dataclass(frozen=True)
class Frame:
    """A frame to draw on; `data` is the I420 array that the encoder takes, y, u and v are views of it."""

    data: UInt8
    y: UInt8
    u: UInt8
    v: UInt8

    @classmethod
    def of_size(cls, width: int, height: int) -> "Frame":
        """A frame of a width divisible by 4 and an even height, undefined inside."""
        data = np.zeros((height * 3 // 2, width), np.uint8)
        flat = data.reshape(-1)
        luma, chroma = width * height, width * height // 4
        half = (height // 2, width // 2)
        return cls(
            data, data[:height], flat[luma : luma + chroma].reshape(half), flat[luma + chroma :].reshape(half)
        )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.y.shape[1], self.y.shape[0]

    def planes(self) -> Planes:
        """The frame as a picture."""
        return Planes(self.y.copy(), self.u.copy(), self.v.copy())


def from_bgr(picture: UInt8) -> Planes:
    """Planes of a BGR picture; an odd last row or column is cut off."""
    height, width = (n // 2 * 2 for n in picture.shape[:2])
    data = cv2.cvtColor(np.ascontiguousarray(picture[:height, :width]), cv2.COLOR_BGR2YUV_I420)
    flat = np.asarray(data, np.uint8).reshape(-1)
    luma, chroma, half = width * height, width * height // 4, (height // 2, width // 2)
    return Planes(
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


def with_alpha(picture: UInt8, alpha: Float32) -> Planes:
    """Planes of a BGR picture that is seen with opacity alpha, float32[h, w], 0..1."""
    opaque = from_bgr(picture)
    width, height = opaque.size
    full = alpha[:height, :width]
    half = cv2.resize(full, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return Planes(
        _byte(opaque.y * full),
        _byte(opaque.u * half),
        _byte(opaque.v * half),
        _byte(full * 255),
        _byte(half * 255),
    )


def _byte(values: NDArray[Any]) -> UInt8:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def affine(scale: float, x: float, y: float) -> Float64:
    """The map that scales by `scale` and puts the source's origin at x, y."""
    return np.array([[scale, 0.0, x], [0.0, scale, y]])


def cover(
    source: tuple[int, int], target: tuple[float, float], focus: tuple[float, float], zoom: float
) -> Float64:
    """The map that fills a target with a source, zoomed about a focus that it brings towards the middle.

    Args:
        source: width and height.
        target: width and height.
        focus: fractions of the source.
        zoom: 1 fills the target exactly.
    """
    scale = max(target[0] / source[0], target[1] / source[1]) * max(zoom, 1.0)
    place = []
    for s, t, f in zip(source, target, focus, strict=True):
        place.append(min(0.0, max(t - s * scale, t / 2 - f * s * scale)))
    return affine(scale, place[0], place[1])


def _halved(matrix: Float64) -> Float64:
    """The same map between planes of half size, whose samples sit in the middle of four."""
    half = matrix.copy()
    half[:, 2] = (matrix[:, 2] + 0.5 * matrix[:, :2].sum(axis=1) - 0.5) / 2
    return half


def _warp(plane: UInt8, matrix: Float64, size: tuple[int, int], edge: int | None = None) -> UInt8:
    mode = cv2.BORDER_REPLICATE if edge is None else cv2.BORDER_CONSTANT
    out = cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=mode, borderValue=edge or 0)
    return np.asarray(out, np.uint8)


def warp(picture: Planes, matrix: Float64, size: tuple[int, int]) -> Planes:
    """A picture moved and scaled to sub-pixel precision; opaque pictures are extended at their edges."""
    half, small = _halved(matrix), (size[0] // 2, size[1] // 2)
    edge = None if picture.alpha is None else 0
    y = _warp(picture.y, matrix, size, edge)
    u, v = (_warp(p, half, small, edge) for p in (picture.u, picture.v))
    if picture.alpha is None or picture.alpha_half is None:
        return Planes(y, u, v)
    return Planes(y, u, v, _warp(picture.alpha, matrix, size, 0), _warp(picture.alpha_half, half, small, 0))


def put(frame: Frame, picture: Planes) -> None:
    """Fill a frame with a picture of its size."""
    np.copyto(frame.y, picture.y)
    np.copyto(frame.u, picture.u)
    np.copyto(frame.v, picture.v)


def blend(frame: Frame, picture: Planes, x: int = 0, y: int = 0, strength: float = 1.0) -> None:
    """Lay a picture with opacity over a frame, its upper left corner at even x, y; it must lie inside."""
    assert picture.alpha is not None
    assert picture.alpha_half is not None
    width, height = picture.size
    _over(frame.y[y : y + height, x : x + width], picture.y, picture.alpha, strength)
    rows, columns = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
    for under, plane in ((frame.u, picture.u), (frame.v, picture.v)):
        _over(under[rows, columns], plane, picture.alpha_half, strength)


def _over(under: UInt8, colour: UInt8, alpha: UInt8, strength: float) -> None:
    if strength < 1:
        colour, alpha = (cv2.convertScaleAbs(p, alpha=strength) for p in (colour, alpha))
    rest = cv2.multiply(under, cv2.bitwise_not(alpha), scale=1 / 255)
    np.copyto(under, cv2.add(rest, colour))


def shade(frame: Frame, shadow: UInt8) -> None:
    """Darken a frame by a shadow of its size: 255 leaves the light, 0 takes all."""
    np.copyto(frame.y, cv2.multiply(frame.y, shadow, scale=1 / 255))


def soften(picture: UInt8, sigma: float) -> UInt8:
    """Gaussian blur; a strong one is done on a smaller picture, which looks the same."""
    height, width = picture.shape[:2]
    factor = 1 << max(0, int(np.log2(max(sigma, 1.0) / 3)) if sigma > 3 else 0)
    if factor == 1:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3)), np.uint8)
    small = cv2.resize(picture, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def rounded(width: int, height: int, radius: float) -> Float32:
    """Opacity of a rectangle with round corners, float32[height, width], 0..1, smooth at the edge."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    dx = np.maximum(np.abs(x - width / 2) - width / 2 + radius, 0)
    dy = np.maximum(np.abs(y - height / 2) - height / 2 + radius, 0)
    return np.asarray(np.clip(radius - np.hypot(dx, dy) + 0.5, 0, 1), np.float32)
