"""Lining a face up: similarity transforms, templates, crops. Alignment maths live here and nowhere else.

Boxes are x1, y1, x2, y2 in pixels; points are x, y. A matrix maps source pixels to pixels of the crop.
"""

from typing import Final

import cv2
import numpy as np

from screenalyzer.types import Float32, Float64, UInt8

# Where insightface's ArcFace models expect the eyes, the nose and the corners of the mouth in 112x112 pixels.
ARCFACE_SIDE: Final = 112
ARCFACE_POINTS: Final[Float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# Margin of facenet-pytorch's own LFW evaluation, in pixels of the 160x160 crop.
FACENET_MARGIN: Final = 14

# A box as dlib's detector draws it about a face that MTCNN found: its side in units of the root of MTCNN's
# box area, and its centre's offset from the mean of the five landmarks in units of that side. Medians over
# faces of LFW that both detectors found; the centre follows the landmarks far more closely than it follows
# MTCNN's box.
DLIB_BOX_SIDE: Final = 0.99
DLIB_BOX_OFFSET: Final = (0.0, -0.02)


def similarity(source: Float32 | Float64, target: Float64) -> Float64:
    """Least-squares rotation, scale and shift from each set of points to the target.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.

    Args:
        source: float[n, k, 2].
        target: float64[k, 2].

    Returns:
        float64[n, 2, 3].
    """
    points = source.astype(np.float64)
    source_mean, target_mean = points.mean(1, keepdims=True), target.mean(0)
    centred, wanted = points - source_mean, target - target_mean
    covariance = np.einsum("ki,nkj->nij", wanted, centred) / len(target)
    u, spread, vt = np.linalg.svd(covariance)
    sign = np.ones_like(spread)
    sign[:, 1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * sign[:, None, :]) @ vt
    variance = np.maximum((centred**2).sum((1, 2)) / len(target), 1e-12)
    linear = rotation * ((spread * sign).sum(1) / variance)[:, None, None]
    shift = target_mean - np.einsum("nij,nj->ni", linear, source_mean[:, 0])
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def warp(image: UInt8, matrix: Float64, side: int) -> UInt8:
    """Cut a crop out along a matrix; black where the image ends.

    A crop much smaller than its source is averaged down first, since bilinear sampling alone would skip
    pixels.

    Args:
        image: uint8[H, W, 3].
        matrix: float64[2, 3].
        side: of the result.

    Returns:
        uint8[side, side, 3].
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    shrink = int(1 / scale) if scale > 0 else 1
    if shrink > 1:
        image, matrix = _shrunk(image, matrix, side, shrink)
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)


def _shrunk(image: UInt8, matrix: Float64, side: int, shrink: int) -> tuple[UInt8, Float64]:
    """The part of the image that a crop needs, averaged down by a whole factor, and the matrix from there."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]], float) @ inverse.T
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(0)).astype(int) - shrink, 0, [width, height])
    high = np.clip(np.ceil(corners.max(0)).astype(int) + shrink, 0, [width, height])
    size = (high - low) // shrink
    if (size < 1).any():
        return image, matrix
    high = low + size * shrink
    small = cv2.resize(
        image[low[1] : high[1], low[0] : high[0]], tuple(size.tolist()), interpolation=cv2.INTER_AREA
    )
    # Pixel centres: source = low + shrink * (small + 0.5) - 0.5.
    offset = low + (shrink - 1) / 2
    return small, np.column_stack([matrix[:, :2] * shrink, matrix[:, :2] @ offset + matrix[:, 2]])


def crop_box(image: UInt8, box: Float32, side: int, margin: int) -> UInt8:
    """A box with a margin, resized to a square without regard to its shape.

    The same as facenet-pytorch's extract_face.

    Args:
        image: uint8[H, W, 3].
        box: float32[4].
        side: of the result.
        margin: pixels of the result, both sides together.

    Returns:
        uint8[side, side, 3]; black where the box has no pixel in the image.
    """
    height, width = image.shape[:2]
    extra = margin * (box[2:] - box[:2]) / (side - margin) / 2
    low = np.maximum(box[:2] - extra, 0).astype(int)
    high = np.minimum(box[2:] + extra, [width, height]).astype(int)
    if (high <= low).any():
        return np.zeros((side, side, 3), np.uint8)
    patch = image[low[1] : high[1], low[0] : high[0]]
    return np.asarray(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def dlib_boxes(boxes: Float32, landmarks: Float32) -> Float32:
    """Boxes as dlib's face detector would draw them, which its landmark predictor was trained on.

    Args:
        boxes: float32[n, 4], of MTCNN.
        landmarks: float32[n, 5, 2], of MTCNN.

    Returns:
        float32[n, 4], squares.
    """
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    side = DLIB_BOX_SIDE * np.sqrt(size.prod(1, keepdims=True))
    centre = landmarks.mean(1) + np.array(DLIB_BOX_OFFSET, np.float32) * side
    return np.concatenate([centre - side / 2, centre + side / 2], axis=1).astype(np.float32)
