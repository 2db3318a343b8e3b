"""Small JPEG pictures of faces, for people to look at."""

from typing import Final

import cv2
import numpy as np

from screenalyzer.errors import InferenceError
from screenalyzer.types import Faces, UInt8

SIDE: Final = 160  # longest side, pixels
_MARGIN = 0.3  # of the box's longer side, all around: hair and chin help to know someone
_QUALITY = 85


def cut_crops(frames: UInt8, faces: Faces) -> list[bytes]:
    """A JPEG of each face with a margin, at most 160 pixels a side, never enlarged.

    The same pixels give the same bytes. A face that lies wholly outside its frame gives one black pixel.

    Args:
        frames: uint8[N, H, W, 3], RGB.
        faces: their faces.
    """
    height, width = frames.shape[1:3]
    centre = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    half = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=1, keepdims=True) * (0.5 + _MARGIN)
    limit = np.array([width, height])
    low = np.clip(np.floor(centre - half), 0, limit).astype(int)
    high = np.clip(np.ceil(centre + half), 0, limit).astype(int)
    return [
        _jpeg(frames[f, y1:y2, x1:x2])
        for f, (x1, y1), (x2, y2) in zip(faces.frame, low.tolist(), high.tolist(), strict=True)
    ]


def _jpeg(picture: UInt8) -> bytes:
    if picture.size == 0:
        picture = np.zeros((1, 1, 3), np.uint8)
    longest = max(picture.shape[:2])
    if longest > SIDE:
        size = [max(1, round(n * SIDE / longest)) for n in picture.shape[1::-1]]
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise InferenceError(
            f"a face crop of {picture.shape[1]}x{picture.shape[0]} pixels cannot be coded as JPEG"
        )
    return coded.tobytes()
