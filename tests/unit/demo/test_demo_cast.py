"""The pictures of the cast, held against the face detector."""

import importlib.metadata

import cv2
import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN

from screenalyzer.demo import cast
from screenalyzer.errors import DemoAssetsError, ScreenalyzerError


@pytest.fixture(scope="module")
def detector() -> MTCNN:
    return MTCNN(keep_all=True, min_face_size=60)


def faces(detector: MTCNN, rgb: np.ndarray) -> list[tuple[float, float, float]]:
    """Middle x, y and height of each face as fractions of the picture."""
    scale = min(1.0, 480 / rgb.shape[0])
    rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        boxes, confidence = detector.detect(np.ascontiguousarray(rgb))
    if boxes is None:
        return []
    h, w = rgb.shape[:2]
    sure = [b for b, c in zip(boxes, confidence, strict=True) if c > 0.9]
    return [((b[0] + b[2]) / 2 / w, (b[1] + b[3]) / 2 / h, (b[3] - b[1]) / h) for b in sure]


@pytest.mark.parametrize("person", [*cast.CAST, "P006", "P010"])
def test_sheets_have_their_cells(person):
    expressions = [cast.expression(person, i) for i in range(cast.EXPRESSIONS)]
    heads = [cast.head(person, view) for view in range(4)]
    assert len({e.shape for e in expressions}) == 1
    assert len({h.shape for h in heads}) == 1
    for cell in expressions + heads:
        # Nothing of the white frame is left: the upper edge is grey wall or dark hair.
        assert (cell[0].min(axis=1) > 200).mean() < 0.05
        assert (cell[:, 0].min(axis=1) > 200).mean() < 0.35  # shirts may reach the side
    # The neutral face and the happy one are of one person, but not one picture.
    assert np.abs(expressions[0].astype(int) - expressions[1]).mean() > 1


@pytest.mark.parametrize("person", cast.CAST)
def test_each_face_is_where_the_table_says(person, detector):
    for kind, picture in (("cell", cast.expression(person, 0)), ("front", cast.head(person, cast.FRONT))):
        found = faces(detector, picture[..., ::-1])
        spot = cast.FACES[person][kind]
        assert len(found) == 1
        assert found[0] == pytest.approx((spot.x, spot.y, spot.height), abs=0.06)
    assert faces(detector, cast.head(person, cast.BACK)[..., ::-1]) == []


@pytest.mark.parametrize("person", ["P007"])
def test_portraits_show_exactly_one_face(person, detector):
    pictures = cast.portraits(person)
    assert len(pictures) == 21
    assert all(len(faces(detector, p)) == 1 for p in pictures[::4])


def test_portraits_are_rgb():
    skin = cast.portraits("P003")[0][140:180, 230:280].reshape(-1, 3).mean(axis=0)
    assert skin[0] > skin[1] > skin[2]  # red above blue


def test_cutting_out_keeps_the_person_and_drops_the_wall():
    colour, alpha = cast.cut_out(cast.expression("P005", 0))
    h, w = alpha.shape
    assert alpha[h // 2 - 20 : h // 2 + 20, w // 2 - 20 : w // 2 + 20].min() > 0.95
    assert alpha[: h // 3, : w // 5].max() < 0.05
    assert colour.shape == (h, w, 3)


@pytest.mark.parametrize("index", range(len(cast.SCENERY)))
def test_there_is_nobody_in_the_scenery(index, detector):
    assert faces(detector, cast.scenery(index)[..., ::-1]) == []


def test_an_unknown_person_is_named():
    with pytest.raises(DemoAssetsError, match="P099"):
        cast.portraits("P099")


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "openpeople":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ScreenalyzerError, match=r"pip install 'screenalyzer\[demo\]'"):
        cast.package_version()
