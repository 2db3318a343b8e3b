import cv2
import numpy as np
import pytest

from screenalyzer.faces.mtcnn import no_faces
from screenalyzer.faces.quality import PARTIAL_BELOW, assess, frontalness
from screenalyzer.types import Faces

_PARTS = ("sharpness", "size", "pose", "exposure", "visibility", "quality")


@pytest.fixture(scope="module")
def portrait(picture, detector) -> tuple[np.ndarray, Faces]:
    image = picture("P005", "studio_portrait", 600)
    faces = detector.detect(image[None])
    assert len(faces) == 1
    return image, faces


def _shifted(faces: Faces, x: float, y: float) -> Faces:
    offset = np.array([x, y], np.float32)
    return Faces(faces.frame, faces.boxes + np.tile(offset, 2), faces.conf, faces.landmarks + offset)


def test_a_studio_portrait_is_good(portrait):
    image, faces = portrait
    found = assess(image[None], faces)
    for part in _PARTS:
        column = getattr(found, part)
        assert column.dtype == np.float32
        assert 0.5 < column[0] <= 1, part
    assert not found.partial.any()


@pytest.mark.parametrize(
    ("part", "worsen"),
    [
        ("sharpness", [lambda im, k=k: cv2.GaussianBlur(im, (0, 0), k) for k in (2, 4, 8, 16)]),
        ("exposure", [lambda im, k=k: (im * k).astype(np.uint8) for k in (0.5, 0.35, 0.25, 0.12)]),
        (
            "exposure",
            [
                lambda im, k=k: np.clip(im.astype(int) + k, 0, 255).astype(np.uint8)
                for k in (90, 130, 170, 250)
            ],
        ),
    ],
    ids=["blur", "dark", "burnt"],
)
def test_the_part_that_suffers_falls_step_by_step(portrait, part, worsen):
    image, faces = portrait
    results = [assess(change(image)[None], faces) for change in [lambda im: im, *worsen]]
    values = [float(getattr(r, part)[0]) for r in results]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert values[-1] < 0.25 * values[0]
    assert results[-1].quality[0] < results[0].quality[0]


def test_light_alone_does_not_change_sharpness(portrait):
    image, faces = portrait
    bright, dim = (assess((image * k).astype(np.uint8)[None], faces).sharpness[0] for k in (1, 0.5))
    assert abs(bright - dim) < 0.08


@pytest.mark.parametrize("person", ["P001", "P004", "P007", "P009"])
def test_a_turned_head_has_less_pose(picture, detector, person):
    """The sheets show the head from the front at the left, and from either side; the back has no face."""
    sheet = picture(person, "character_sheet", 1200)
    faces = detector.detect(sheet[None])
    heads = faces.boxes[:, 1] < 400
    pose = assess(sheet[None], faces).pose[heads]
    left = faces.boxes[heads, 0]
    assert left[0] < 300
    assert len(pose) >= 2
    assert pose[0] > 0.85
    assert pose[1:].max() < 0.45


def test_pose_is_blind_to_roll_and_scale(portrait):
    _, faces = portrait
    angle = 0.7
    rotation = 3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (faces.landmarks @ rotation.T + 50).astype(np.float32)
    np.testing.assert_allclose(frontalness(turned), frontalness(faces.landmarks), atol=1e-4)


def test_the_frames_edge_cuts_visibility(portrait):
    image, faces = portrait
    x1, _, x2, _ = faces.boxes[0]
    values = []
    for cut in (x1 - 40, x1 + 1, x1 + 0.15 * (x2 - x1), x1 + 0.35 * (x2 - x1), x1 + 0.7 * (x2 - x1)):
        found = assess(image[None, :, int(cut) :], _shifted(faces, -int(cut), 0))
        values.append(float(found.visibility[0]))
        assert bool(found.partial[0]) == (len(values) > 1)
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert values[-1] < 0.2


def test_a_face_behind_a_larger_one_is_hidden(portrait):
    image, faces = portrait
    x1, y1, x2, y2 = faces.boxes[0]
    width, height = x2 - x1, y2 - y1
    small = np.array([x1 + 0.2 * width, y1, x1 + 0.7 * width, y1 + 0.5 * height], np.float32)
    points = np.repeat(faces.landmarks, 2, 0)
    pair = Faces(np.array([0, 0]), np.stack([faces.boxes[0], small]), np.ones(2, np.float32), points)
    found = assess(image[None], pair)
    assert found.visibility[0] == 1
    assert found.visibility[1] < 0.05
    apart = Faces(np.array([0, 1]), pair.boxes, pair.conf, points)
    assert (assess(np.stack([image, image]), apart).visibility == 1).all()


def test_a_smaller_face_has_less_size(portrait):
    image, faces = portrait
    values = []
    for k in (1, 0.5, 0.25, 0.12, 0.05):
        small = cv2.resize(image, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
        less = Faces(faces.frame, faces.boxes * np.float32(k), faces.conf, faces.landmarks * np.float32(k))
        values.append(float(assess(small[None], less).size[0]))
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9
    assert values[-1] < 0.1


def test_no_faces_and_boxes_outside_are_no_trouble():
    frames = np.zeros((1, 40, 60, 3), np.uint8)
    assert len(assess(frames, no_faces()).quality) == 0
    outside = Faces(
        np.array([0]),
        np.array([[100, 100, 130, 140]], np.float32),
        np.ones(1, np.float32),
        np.full((1, 5, 2), 110, np.float32),
    )
    found = assess(frames, outside)
    assert found.visibility[0] == 0 < PARTIAL_BELOW
    assert all(np.isfinite(getattr(found, part)).all() for part in _PARTS)
