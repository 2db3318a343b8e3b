from pathlib import Path

import dlib
import numpy as np
import pytest
import torch

from screenalyzer.errors import ModelError
from screenalyzer.faces.dlib_embedder import DlibEmbedder
from screenalyzer.faces.dlib_resnet import DlibResNet
from screenalyzer.faces.weights import DLIB_LANDMARKS, DLIB_RESNET, dlib_file


@pytest.fixture(scope="module")
def chips(picture, detector):
    frames = np.stack([picture(p, "emotions_sheet", 1200) for p in ("P002", "P008")])
    found = DlibEmbedder("cpu").align(frames, detector.detect(frames))
    assert len(found) >= 30
    return found


def test_same_numbers_as_dlib(chips):
    theirs = dlib.face_recognition_model_v1(str(dlib_file(DLIB_RESNET)))
    some = chips[::3]
    wanted = np.stack([np.array(theirs.compute_face_descriptor(np.ascontiguousarray(c))) for c in some])
    for layout in (torch.contiguous_format, torch.channels_last):
        ours = DlibResNet(dlib_file(DLIB_RESNET)).to(memory_format=layout)
        with torch.inference_mode():
            found = ours(torch.from_numpy(some)).numpy()
        assert found.dtype == np.float32
        assert np.abs(found - wanted).max() < 1e-5


def test_chips_are_those_that_dlib_describes_from_the_picture(picture, detector):
    """Alignment and network together equal dlib's whole path from picture and landmarks to the descriptor."""
    image = picture("P007", "studio_portrait", 700)
    faces = detector.detect(image[None])
    embedder = DlibEmbedder("cpu")
    chip = embedder.align(image[None], faces)
    with torch.inference_mode():
        found = DlibResNet(dlib_file(DLIB_RESNET))(torch.from_numpy(chip)).numpy()[0]
    (rectangle,) = dlib.get_frontal_face_detector()(image, 0)
    shape = dlib.shape_predictor(str(dlib_file(DLIB_LANDMARKS)))(image, rectangle)
    theirs = dlib.face_recognition_model_v1(str(dlib_file(DLIB_RESNET)))
    wanted = np.array(theirs.compute_face_descriptor(image, shape))
    # 0.6 is where dlib's author draws the line between people; the boxes differ by a few pixels.
    assert np.linalg.norm(found - wanted) < 0.12


def test_a_damaged_file_is_named(tmp_path: Path):
    data = dlib_file(DLIB_RESNET).read_bytes()
    for name, content in {
        "cut.dat": data[: len(data) // 2],
        "other.dat": b"not a network",
        "none.dat": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError):
            DlibResNet(tmp_path / name)
