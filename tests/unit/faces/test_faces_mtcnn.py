from pathlib import Path

import av
import cv2
import facenet_pytorch
import numpy as np
import pytest
import torch
from facenet_pytorch.models.mtcnn import PNet
from facenet_pytorch.models.utils.detect_face import nms_numpy
from torch.nn.functional import interpolate

from screenalyzer.faces import area
from screenalyzer.faces.mtcnn import MTCNN, _Candidates, _nms_min
from screenalyzer.settings import DetectSettings


def _same_as_original(frames: np.ndarray, min_face_px: int) -> int:
    """Hold our cascade against facenet-pytorch's own loop; both without a final confidence filter."""
    ours = MTCNN(DetectSettings(min_face_px=min_face_px, min_conf=0.0), "cpu").detect(frames)
    smallest = max(12.0, min_face_px * min(frames.shape[1:3]) / 720)
    original = facenet_pytorch.MTCNN(min_face_size=smallest, keep_all=True)
    total = 0
    for i, frame in enumerate(frames):
        boxes, conf, points = original.detect(frame, landmarks=True)
        here = ours.frame == i
        if boxes is None:
            assert not here.any()
            continue
        order = np.lexsort((boxes[:, 1], boxes[:, 0]))
        assert here.sum() == len(boxes), f"frame {i}: misses or extras"
        np.testing.assert_allclose(ours.boxes[here], boxes[order].astype(float), atol=0.02)
        np.testing.assert_allclose(ours.conf[here], conf[order].astype(float), atol=1e-4)
        np.testing.assert_allclose(ours.landmarks[here], points[order].astype(float), atol=0.02)
        total += len(boxes)
    return total


def test_same_faces_as_facenet_pytorch(picture):
    sheets = np.stack([picture(p, "emotions_sheet", 720) for p in ("P001", "P005")])
    assert _same_as_original(sheets, 40) >= 32
    # An odd size, faces of many sizes, and none looked for below 72 pixels of 900.
    assert _same_as_original(picture("P004", "character_sheet", 901)[None], 60) >= 3


def test_same_faces_as_facenet_pytorch_in_footage(eval_dir: Path):
    with av.open(str(eval_dir / "clips" / "crowd_1080p.mp4")) as container:
        frame = next(iter(container.decode(video=0))).to_ndarray(format="rgb24")
    assert _same_as_original(frame[None], 30) >= 5


def test_result_of_a_frame_does_not_depend_on_its_batch(picture, detector):
    frames = np.stack([picture(p, "emotions_sheet", 480) for p in ("P001", "P002", "P003")])
    batch = detector.detect(frames)
    assert len(batch) > 30
    for i in range(3):
        alone = detector.detect(frames[i : i + 1])
        here = batch.frame == i
        assert batch.boxes[here].tobytes() == alone.boxes.tobytes()
        assert batch.conf[here].tobytes() == alone.conf.tobytes()
        assert batch.landmarks[here].tobytes() == alone.landmarks.tobytes()


def test_columns_are_ordered_typed_and_filtered(picture, detector):
    frames = np.stack([picture(p, "emotions_sheet", 480) for p in ("P001", "P002")])
    faces = detector.detect(frames)
    keys = list(
        zip(faces.frame.tolist(), faces.boxes[:, 0].tolist(), faces.boxes[:, 1].tolist(), strict=True)
    )
    assert keys == sorted(keys)
    assert faces.frame.dtype == np.int64
    assert {a.dtype for a in (faces.boxes, faces.conf, faces.landmarks)} == {np.dtype(np.float32)}
    assert faces.landmarks.shape == (len(faces), 5, 2)
    assert faces.conf.min() >= DetectSettings().min_conf
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks.transpose(1, 0, 2)
    assert (left_eye[:, 0] < right_eye[:, 0]).all()
    assert (left_mouth[:, 0] < right_mouth[:, 0]).all()
    assert (left_eye[:, 1] < nose[:, 1]).all()
    assert (nose[:, 1] < right_mouth[:, 1]).all()
    strict = MTCNN(DetectSettings(min_conf=float(np.median(faces.conf))), "cpu").detect(frames)
    assert 0 < len(strict) < len(faces)


@pytest.mark.parametrize(
    "shape", [(0, 90, 160), (2, 1, 1), (1, 11, 300), (1, 12, 12), (1, 13, 400), (1, 47, 31)]
)
def test_nothing_to_find(detector, shape):
    frames = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    faces = detector.detect(frames)
    assert len(faces) == 0
    assert faces.frame.dtype == np.int64
    assert faces.boxes.shape == (0, 4)
    assert faces.landmarks.shape == (0, 5, 2)


def test_flat_frames_have_no_faces(detector):
    assert len(detector.detect(np.full((3, 180, 320, 3), 128, np.uint8))) == 0


def test_a_larger_picture_of_the_same_has_the_same_faces(picture, detector):
    """The smallest face looked for grows with the frame: twice the pixels change nothing but coordinates."""
    small = picture("P002", "emotions_sheet", 640)
    large = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    a, b = detector.detect(small[None]), detector.detect(large[None])
    assert len(a) == len(b) == 16
    distance = np.abs(2 * a.boxes[:, None] - b.boxes[None]).max(2)
    assert (distance.min(0) < 10).all()
    assert (distance.min(1) < 10).all()


@pytest.mark.parametrize(
    ("source", "target"), [((37, 53), (11, 17)), ((720, 1280), (217, 385)), ((20, 20), (20, 20))]
)
def test_area_resize_is_adaptive_average(source, target):
    frames = np.random.default_rng(1).integers(0, 255, (2, *source, 3), dtype=np.uint8)
    tensor = torch.from_numpy(frames)
    wanted = (interpolate(tensor.permute(0, 3, 1, 2).float(), size=target, mode="area") - 127.5) / 128
    found = area.area_resize(area.integral_images(tensor), *target)
    assert (found - wanted).abs().max() < 1e-5


def test_area_crops_are_adaptive_averages_up_and_down():
    rng = np.random.default_rng(2)
    tensor = torch.from_numpy(rng.integers(0, 255, (2, 90, 120, 3), dtype=np.uint8))
    windows = torch.tensor(
        [[0, 0, 120, 90], [3, 5, 9, 11], [70, 20, 71, 80], [119, 89, 120, 90], [10, 30, 58, 78]]
    )
    frame = torch.tensor([0, 1, 0, 1, 1])
    found = area.area_crops(area.integral_images(tensor), frame, windows, 24)
    for f, (x0, y0, x1, y1), crop in zip(frame.tolist(), windows.tolist(), found, strict=True):
        part = tensor[f, y0:y1, x0:x1].permute(2, 0, 1)[None].float()
        wanted = (interpolate(part, size=(24, 24), mode="area")[0] - 127.5) / 128
        assert (crop - wanted).abs().max() < 1e-5


def test_integral_by_cumsum_is_the_integral_by_opencv():
    frames = torch.from_numpy(np.random.default_rng(3).integers(0, 255, (2, 33, 47, 3), dtype=np.uint8))
    sums = torch.zeros((2, 34, 48, 3), dtype=torch.int32)
    sums[:, 1:, 1:] = frames.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    assert torch.equal(area.integral_images(frames), sums)


@pytest.mark.parametrize("size", [(12, 12), (13, 12), (60, 81), (150, 200)])
def test_proposals_are_those_of_the_stock_network(picture, detector, size):
    """Every place above the threshold, and its offsets, as facenet-pytorch's network computes them itself."""
    stock = PNet(pretrained=True)
    frames = torch.from_numpy(np.stack([picture(p, "emotions_sheet", 200) for p in ("P001", "P002")]))
    level = area.area_resize(area.integral_images(frames), *size)
    with torch.inference_mode():
        offsets, probability = stock(level.contiguous())
        found, regression = detector._propose(level, 1.0)
    frame, row, column = (probability[:, 1] >= 0.6).nonzero(as_tuple=True)
    assert len(frame) > 20 or max(size) < 20
    assert found.frame.tolist() == frame.tolist()
    assert found.boxes[:, 0].tolist() == (column * 2 + 1).tolist()
    assert found.boxes[:, 1].tolist() == (row * 2 + 1).tolist()
    assert torch.allclose(found.score, probability[frame, 1, row, column], atol=1e-5)
    assert torch.allclose(regression, offsets[frame, :, row, column], atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_suppression_by_smaller_box_is_the_greedy_one(seed):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (40, 2)), rng.uniform(5, 40, (40, 2))
    boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
    score, frame = rng.permutation(40).astype(np.float32), rng.integers(0, 2, 40)
    found = _Candidates(torch.from_numpy(frame), torch.from_numpy(boxes), torch.from_numpy(score))
    wanted = set()
    for f in (0, 1):
        rows = np.flatnonzero(frame == f)
        wanted |= set(rows[nms_numpy(boxes[rows], score[rows], 0.7, "Min").astype(int)].tolist())
    assert set(_nms_min(found, 0.7).tolist()) == wanted
    assert 0 < len(wanted) < 40
