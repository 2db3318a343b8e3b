import cv2
import numpy as np

from screenalyzer.faces.crops import SIDE, cut_crops
from screenalyzer.faces.mtcnn import no_faces
from screenalyzer.types import Faces


def _decode(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def _faces(*boxes: tuple[float, float, float, float], frame: int = 0) -> Faces:
    n = len(boxes)
    columns = (np.array(boxes, np.float32), np.ones(n, np.float32), np.zeros((n, 5, 2), np.float32))
    return Faces(np.full(n, frame), *columns)


def test_crops_are_small_pictures_of_the_faces(picture, detector):
    frames = np.stack([picture(p, "emotions_sheet", 1400) for p in ("P001", "P002")])
    faces = detector.detect(frames)
    crops = cut_crops(frames, faces)
    assert len(crops) == len(faces) >= 32
    for i, data in enumerate(crops):
        image = _decode(data)
        assert max(image.shape[:2]) <= SIDE
        assert 500 < len(data) < 12_000
        if i % 8 == 0:  # the face is in the middle of it
            (again,) = detector.detect(np.ascontiguousarray(image)[None]).boxes
            assert np.abs((again[:2] + again[2:]) / 2 - np.array(image.shape[1::-1]) / 2).max() < 25
    assert cut_crops(frames, faces) == crops


def test_colours_and_place_are_right_and_small_faces_are_not_enlarged():
    frames = np.zeros((2, 100, 200, 3), np.uint8)
    frames[1, :, :100] = (220, 30, 30)
    frames[1, :, 100:] = (30, 30, 220)
    (left, right) = cut_crops(frames, _faces((40, 40, 60, 60), (140, 40, 160, 60), frame=1))
    assert _decode(left).shape == (32, 32, 3)
    assert np.abs(_decode(left).mean((0, 1)) - (220, 30, 30)).max() < 6
    assert np.abs(_decode(right).mean((0, 1)) - (30, 30, 220)).max() < 6


def test_crops_stop_at_the_frames_edge_and_outside_is_one_black_pixel():
    frames = np.full((1, 100, 200, 3), 90, np.uint8)
    edge, outside = cut_crops(frames, _faces((-20, -20, 30, 30), (300, 300, 340, 340)))
    assert _decode(edge).shape == (45, 45, 3)
    assert _decode(outside).shape == (1, 1, 3)
    assert cut_crops(frames, no_faces()) == []
