"""The embedder `dlib`: dlib's alignment, its network in PyTorch."""

import dlib
import numpy as np
import torch

from screenalyzer.faces import weights as files
from screenalyzer.faces.align import dlib_boxes
from screenalyzer.faces.dlib_resnet import CHIP_SIZE, DIM, DlibResNet
from screenalyzer.faces.embedder import check_crops
from screenalyzer.faces.portions import run_in_portions
from screenalyzer.types import EmbedderId, Faces, Float32, UInt8
from screenalyzer.vectors import unit

_PADDING = 0.25


class DlibEmbedder:
    """128-D vectors of 150x150 chips; a vector is the mean of the chip's and its mirror image's."""

    def __init__(self, device: str) -> None:
        """Load the landmark predictor and the network.

        Raises:
            ModelUnavailableError: the package with the weights is not installed.
            ModelError: a weight file is damaged.
        """
        path = files.dlib_file(files.DLIB_RESNET)
        self.id = EmbedderId("dlib", DIM, files.digest(path))
        self.crop_size = CHIP_SIZE
        self._device = torch.device(device)
        self._net = DlibResNet(path).to(self._device).to(memory_format=torch.channels_last)
        self._landmarks = dlib.shape_predictor(str(files.dlib_file(files.DLIB_LANDMARKS)))

    def align(self, frames: UInt8, faces: Faces) -> UInt8:
        """Face chips of dlib, by its 5-point predictor on boxes as its own detector would draw them."""
        chips = np.zeros((len(faces), CHIP_SIZE, CHIP_SIZE, 3), np.uint8)
        boxes = np.rint(dlib_boxes(faces.boxes, faces.landmarks)).astype(int)
        for i, (frame, (x1, y1, x2, y2)) in enumerate(zip(faces.frame, boxes.tolist(), strict=True)):
            image = np.ascontiguousarray(frames[frame])
            shape = self._landmarks(image, dlib.rectangle(x1, y1, x2 - 1, y2 - 1))
            chips[i] = dlib.get_face_chip(image, shape, CHIP_SIZE, _PADDING)
        return chips

    def embed(self, crops: UInt8) -> Float32:
        """Unit vectors of chips."""
        check_crops(crops, CHIP_SIZE)
        both = np.stack([crops, crops[:, :, ::-1]], axis=1).reshape(-1, CHIP_SIZE, CHIP_SIZE, 3)
        vectors = run_in_portions(self._net, both, DIM, self._device)
        return unit(vectors.reshape(-1, 2, DIM).mean(1))
