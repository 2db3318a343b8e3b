"""How well a face can be seen, 0 (not at all) to 1 (as well as any use of it needs), part by part.

The parts are heuristics with plain meanings, monotone in what they are named for. They rank samples of a
track and mark partial faces; they are not probabilities.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from screenalyzer.types import Bool, Faces, Float32, Float64, UInt8

# A face whose `visibility` is below this counts as partial in the screen-time rules: cut by the frame's edge
# (a box that touches the edge gets 0.65 at most), or at least 30 % of it outside the frame or behind a larger
# face.
PARTIAL_BELOW: Final = 0.7

_SIDE = 96  # pixels of the square on which sharpness and exposure are measured
_SIZE_RANGE = (20.0, 160.0)  # face side in pixels: useless, and as good as any larger
_SHARP_HALF = 0.06  # Laplacian energy over contrast at which sharpness is 0.5
_TOUCH = 0.02  # a box this close to the edge, in units of its side, is cut by it
_TOUCHING = 0.65
_WEIGHTS = {"sharpness": 0.25, "size": 0.25, "pose": 0.3, "exposure": 0.1, "visibility": 0.1}


@dataclass(frozen=True)
class FaceQuality:
    """Columns over n faces, each float32[n] within 0..1.

    Attributes:
        sharpness: fine detail in proportion to the face's contrast.
        size: side of the face in source pixels, on a logarithmic scale.
        pose: how frontal.
        exposure: neither dark nor burnt out nor flat.
        visibility: share of the face inside the frame and not behind a larger face.
        quality: weighted geometric mean of the five.
    """

    sharpness: Float32
    size: Float32
    pose: Float32
    exposure: Float32
    visibility: Float32
    quality: Float32

    @property
    def partial(self) -> Bool:
        """bool[n]: cut by the frame's edge, or mostly hidden."""
        return self.visibility < PARTIAL_BELOW


def assess(frames: UInt8, faces: Faces) -> FaceQuality:
    """Judge the faces of a batch.

    Args:
        frames: uint8[N, H, W, 3], RGB.
        faces: their faces.
    """
    patches = _patches(frames, faces)
    size = np.maximum(faces.boxes[:, 2:] - faces.boxes[:, :2], 0).astype(np.float64)
    low, high = np.log(_SIZE_RANGE)
    parts = {
        "sharpness": _sharpness(patches),
        "size": _ramp(np.log(np.maximum(np.sqrt(size.prod(1)), 1)), low, high),
        "pose": frontalness(faces.landmarks),
        "exposure": _exposure(patches),
        "visibility": _visibility(faces, frames.shape[1], frames.shape[2]),
    }
    logs = sum((w * np.log(np.maximum(parts[k], 1e-3)) for k, w in _WEIGHTS.items()), np.zeros(len(faces)))
    columns = {**parts, "quality": np.exp(logs)}
    return FaceQuality(**{k: np.clip(v, 0, 1).astype(np.float32) for k, v in columns.items()})


def frontalness(landmarks: Float32) -> Float64:
    """1 for a face that looks straight ahead, towards 0 for one turned or tilted away; blind to roll.

    The nose's tip stands out of the plane of eyes and mouth, so a turn moves it sideways between them, and a
    nod up or down; and a turn narrows the eyes' distance against the height from eyes to mouth.

    Args:
        landmarks: float32[n, 5, 2].

    Returns:
        float64[n].
    """
    points = landmarks.astype(np.float64)
    eyes, nose, mouth = points[:, :2].mean(1), points[:, 2], points[:, 3:].mean(1)
    across = (points[:, 1] - points[:, 0]) + (points[:, 4] - points[:, 3])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    down = mouth - eyes
    height = np.maximum(np.linalg.norm(down, axis=1), 1e-6)
    sideways = np.abs(np.einsum("ni,ni->n", nose - (eyes + mouth) / 2, across)) / height
    nod = np.einsum("ni,ni->n", nose - eyes, down) / height**2
    breadth = np.linalg.norm(points[:, 1] - points[:, 0], axis=1) / height
    yaw = 1 - _ramp(sideways, 0.05, 0.6)
    pitch = 1 - _ramp(np.abs(nod - 0.55), 0.12, 0.5)
    return np.asarray(yaw * pitch * _ramp(breadth, 0.2, 0.85))


def _ramp(x: Float64, low: float, high: float) -> Float64:
    return np.clip((x - low) / (high - low), 0, 1)


def _patches(frames: UInt8, faces: Faces) -> UInt8:
    """Grey squares uint8[n, 96, 96] of what of each box lies inside its frame; black where nothing does."""
    patches = np.zeros((len(faces), _SIDE, _SIDE), np.uint8)
    limit = np.array([frames.shape[2], frames.shape[1]] * 2)
    boxes = np.clip(np.rint(faces.boxes).astype(int), 0, limit)
    for i, (frame, (x1, y1, x2, y2)) in enumerate(zip(faces.frame, boxes.tolist(), strict=True)):
        if x2 > x1 and y2 > y1:
            patch = frames[frame, y1:y2, x1:x2]
            method = cv2.INTER_AREA if min(patch.shape[:2]) > _SIDE else cv2.INTER_LINEAR
            patches[i] = cv2.cvtColor(
                cv2.resize(patch, (_SIDE, _SIDE), interpolation=method), cv2.COLOR_RGB2GRAY
            )
    return patches


def _sharpness(patches: UInt8) -> Float64:
    """Energy of the Laplacian over the variance: the share of fine detail (Pech-Pacheco, 2000)."""
    grey = patches.astype(np.float32)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    energy = (around - 4 * inner).var((1, 2), dtype=np.float64)
    share = energy / (inner.var((1, 2), dtype=np.float64) + 25)  # 25: noise of a flat picture is no detail
    return np.asarray(share / (share + _SHARP_HALF))


def _exposure(patches: UInt8) -> Float64:
    mean = patches.mean((1, 2), dtype=np.float64)
    spread = patches.std((1, 2), dtype=np.float64)
    lost = ((patches <= 4) | (patches >= 251)).mean((1, 2))
    return np.asarray(_ramp(mean, 10, 80) * (1 - _ramp(mean, 190, 250)) * _ramp(spread, 0, 25) * (1 - lost))


def _visibility(faces: Faces, height: int, width: int) -> Float64:
    boxes = faces.boxes.astype(np.float64)
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    limit = np.array([width, height], float)
    inside = np.clip(np.minimum(boxes[:, 2:], limit) - np.maximum(boxes[:, :2], 0), 0, None) / size
    room = np.concatenate([boxes[:, :2], limit - boxes[:, 2:]], axis=1) / np.concatenate([size, size], axis=1)
    touching = (room <= _TOUCH).any(1)
    points = faces.landmarks
    seen = ((points >= 0) & (points < limit)).all(2).mean(1)
    share = inside.prod(1) * (0.5 + 0.5 * seen) * (1 - _covered(faces.frame, boxes))
    return np.asarray(np.where(touching, share * _TOUCHING, share))


def _covered(frame: np.ndarray, boxes: Float64) -> Float64:
    """Largest share of each box that lies behind a clearly larger face of the same frame."""
    if len(boxes) == 0:
        return np.zeros(0)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    nearer = (frame[:, None] == frame[None]) & (area[None] > 1.2 * area[:, None])
    common = np.clip(high - low, 0, None).prod(2) * nearer
    return np.asarray((common / area[:, None]).max(1))
