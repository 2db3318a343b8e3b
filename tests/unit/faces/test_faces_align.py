import dlib
import numpy as np
import pytest
from facenet_pytorch import extract_face

from screenalyzer.faces import align


@pytest.mark.parametrize("seed", range(5))
def test_similarity_recovers_a_known_transform(seed):
    rng = np.random.default_rng(seed)
    angle, scale, shift = rng.uniform(-3, 3), rng.uniform(0.1, 5), rng.uniform(-200, 200, 2)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = np.linalg.solve(linear, (align.ARCFACE_POINTS - shift).T).T
    found = align.similarity(source[None], align.ARCFACE_POINTS)[0]
    np.testing.assert_allclose(found, np.column_stack([linear, shift]), atol=1e-8)


def test_similarity_is_the_least_squares_one_and_never_mirrors():
    rng = np.random.default_rng(9)
    source = rng.normal(0, 30, (4, 5, 2)) + 100
    source[3] = align.ARCFACE_POINTS * [-1, 1]  # the mirror image asks for a reflection
    found = align.similarity(source, align.ARCFACE_POINTS)
    assert (np.linalg.det(found[:, :, :2]) > 0).all()
    for points, matrix in zip(source, found, strict=True):
        # Of all similarities [a -b; b a], least squares by the normal equations.
        rows = [[x, -y, 1, 0] for x, y in points] + [[y, x, 0, 1] for x, y in points]
        a, b, tx, ty = np.linalg.lstsq(np.array(rows), align.ARCFACE_POINTS.T.ravel(), rcond=None)[0]
        np.testing.assert_allclose(matrix, [[a, -b, tx], [b, a, ty]], atol=1e-6)


def test_warp_puts_points_where_the_template_has_them(picture, detector):
    image = picture("P003", "studio_portrait", 500)
    faces = detector.detect(image[None])
    matrix = align.similarity(faces.landmarks, align.ARCFACE_POINTS)[0]
    crop = align.warp(image, matrix, 112)
    again = detector.detect(crop[None])
    assert len(again) == 1
    mapped = faces.landmarks[0] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(again.landmarks[0] - mapped).max() < 4
    # A nose is as long as it is; eyes and mouth are where the template has them.
    assert np.abs(mapped - align.ARCFACE_POINTS)[[0, 1, 3, 4]].max() < 3


def test_warp_averages_where_it_shrinks():
    checks = np.zeros((400, 400, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    crop = align.warp(checks, np.array([[0.1, 0, 0], [0, 0.1, 0]]), 40)
    assert np.abs(crop[2:-2, 2:-2].astype(int) - 127).max() < 8


def test_warp_lands_on_the_same_place_whether_it_shrinks_first_or_not():
    ramp = np.repeat(np.arange(0, 256, dtype=np.uint8)[None, :, None], 200, 0).repeat(3, 2)
    matrix = np.array([[0.26, 0, -3.0], [0, 0.26, -3.0]])
    crop = align.warp(ramp, matrix, 50)
    wanted = (np.arange(50) + 3.0) / 0.26  # source column of each column of the crop
    assert np.abs(crop[25, :, 0].astype(float) - wanted)[2:-2].max() < 1.6


@pytest.mark.parametrize("box", [[40.3, 50.7, 140.2, 180.9], [-20, -10, 60, 90], [300.5, 10, 420, 200]])
def test_box_crop_is_facenet_pytorchs(box):
    image = np.random.default_rng(5).integers(0, 255, (240, 400, 3), dtype=np.uint8)
    wanted = extract_face(image, np.array(box), image_size=160, margin=14).permute(1, 2, 0).numpy()
    found = align.crop_box(image, np.array(box, np.float32), 160, 14)
    np.testing.assert_array_equal(found, wanted.astype(np.uint8))


def test_box_crop_outside_is_black():
    image = np.full((50, 50, 3), 200, np.uint8)
    assert align.crop_box(image, np.array([60, 60, 80, 90], np.float32), 32, 0).max() == 0


def test_boxes_are_like_those_of_dlibs_detector(picture, detector):
    hog = dlib.get_frontal_face_detector()
    overlaps = []
    for person in ("P001", "P002", "P003", "P005", "P007"):
        image = picture(person, "studio_portrait", 480)
        faces = detector.detect(image[None])
        (wanted,) = hog(image, 0)
        (x1, y1, x2, y2) = align.dlib_boxes(faces.boxes, faces.landmarks)[0]
        width = min(x2, wanted.right() + 1) - max(x1, wanted.left())
        height = min(y2, wanted.bottom() + 1) - max(y1, wanted.top())
        overlaps.append(width * height / ((x2 - x1) * (y2 - y1) + wanted.area() - width * height))
    assert np.median(overlaps) > 0.75
    assert min(overlaps) > 0.6
