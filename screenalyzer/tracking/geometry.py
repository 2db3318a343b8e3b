"""How alike two detections of one shot are in place and size; the one home of box maths for tracking."""

import numpy as np

from screenalyzer.types import Bool, Float32, Float64, Int64

_SIZE_CAP = 4.0
_MOTION_TAIL = 3.0  # degrees of freedom: faces mostly stay, and sometimes jump
_REST_SPREAD = 0.15  # face widths that a still face's box wanders
_SPEED_SPREAD = 1.0  # face widths a second
_SIZE_SPREAD = 0.25  # natural logarithm of the ratio of sizes
_MOTION_CAP = 2.0  # a place alone never outweighs a face that is plainly another


def centres(boxes: Float32) -> Float64:
    """Middle of each box: float64[n, 2]."""
    return ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.float64)


def scales(boxes: Float32 | Float64) -> Float64:
    """Side of the square of a box's area, at least one pixel: float64[n]."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).astype(np.float64)
    return np.asarray(np.maximum(np.sqrt(sides.prod(axis=1)), 1.0), dtype=np.float64)


def overlaps(a: Float32, b: Float32) -> tuple[Float64, Float64]:
    """Intersection over union, and over the smaller box, of every pair: float64[n, m] each."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low, 0).astype(np.float64).prod(axis=2)
    area_a, area_b = scales(a)[:, None] ** 2, scales(b)[None, :] ** 2
    return common / (area_a + area_b - common), common / np.minimum(area_a, area_b)


def aligned_overlap(a: Float32 | Float64, b: Float32 | Float64) -> Float64:
    """Intersection over union of boxes a [n, 4] and b [n, 4], row by row: float64[n]."""
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    common = np.maximum(high - low, 0).astype(np.float64).prod(axis=1)
    union = scales(a) ** 2 + scales(b) ** 2 - common
    return np.asarray(common / union, dtype=np.float64)


def boxes_at(ts_ms: Int64, path_ms: Int64, path: Float32 | Float64) -> Float64:
    """Where a face is that moves straight from box to box, and stays before the first and after the last.

    Args:
        ts_ms: int64[n], when.
        path_ms: int64[m], ascending, m > 0.
        path: [m, 4].

    Returns:
        float64[n, 4].
    """
    return np.stack([np.interp(ts_ms, path_ms, path[:, k]) for k in range(4)], axis=1)


def motion_evidence(a: Float32, b: Float32, gap_s: Float64, frame_size: tuple[int, int]) -> Float64:
    """Log likelihood ratio that boxes b are boxes a some time later, against any other face of the frame.

    A face moves by a heavy-tailed step (bivariate Student t) that grows with time; another face may be
    anywhere in the frame. Sizes change little.

    Args:
        a: float32[n, 4], earlier boxes.
        b: float32[m, 4], later boxes.
        gap_s: float64, broadcast to [n, m]: seconds between them.
        frame_size: width and height of the frame, in pixels.
    """
    size = np.sqrt(scales(a)[:, None] * scales(b)[None, :])
    step = np.linalg.norm(centres(a)[:, None] - centres(b)[None, :], axis=2) / size
    spread = _REST_SPREAD + _SPEED_SPREAD * np.asarray(gap_s, dtype=np.float64)
    density = (1 + step**2 / (_MOTION_TAIL * spread**2)) ** (-(_MOTION_TAIL + 2) / 2) / (
        2 * np.pi * spread**2
    )
    room = np.maximum(frame_size[0] * frame_size[1] / size**2, 1.0)
    growth = np.log(scales(a)[:, None] / scales(b)[None, :]) / (_SIZE_SPREAD + 0.5 * spread)
    evidence = np.log(density * room) - np.minimum(growth**2 / 2, _SIZE_CAP)
    return np.asarray(np.minimum(evidence, _MOTION_CAP), dtype=np.float64)


def same_face(boxes: Float32, landmarks: Float32, alike: Bool) -> Bool:
    """Which detections of one frame are doubles of one face.

    Doubles share their landmarks, whatever their boxes; two people's landmarks never fall together, even
    cheek to cheek. Boxes decide where landmarks were placed badly: nearly the same box, or one inside
    the other with the same face.

    Args:
        boxes: float32[n, 4].
        landmarks: float32[n, 5, 2].
        alike: bool[n, n], pairs whose appearance is that of one person.

    Returns:
        bool[n, n], symmetric, diagonal False.
    """
    iou, inside = overlaps(boxes, boxes)
    smaller = np.minimum(scales(boxes)[:, None], scales(boxes)[None, :])
    apart = np.linalg.norm(landmarks[:, None] - landmarks[None, :], axis=3).mean(axis=2) / smaller
    doubles = (apart < 0.15) | (iou > 0.7) | ((inside > 0.65) & alike) | ((iou > 0.45) & alike)
    np.fill_diagonal(doubles, False)
    return np.asarray(doubles & (inside > 0.3))
