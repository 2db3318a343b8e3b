"""Pictures of synthetic people for the tests of the face front end."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from screenalyzer.faces.mtcnn import MTCNN
from screenalyzer.settings import DetectSettings

Picture = Callable[..., np.ndarray]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def picture() -> Picture:
    """A picture of the package openpeople as RGB: picture("P001", "character_sheet", width=900)."""
    spec = find_spec("openpeople")
    if spec is None or spec.origin is None:
        pytest.skip("the package openpeople (extra 'demo') is not installed")
    root = Path(spec.origin).parent / "data" / "curated"

    def load(person: str, name: str, width: int) -> np.ndarray:
        image = cv2.cvtColor(cv2.imread(str(root / person / "assets" / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
        height = round(image.shape[0] * width / image.shape[1])
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

    return load


@pytest.fixture(scope="session")
def detector() -> MTCNN:
    return MTCNN(DetectSettings(), "cpu")
