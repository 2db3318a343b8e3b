"""The interface of every face embedder."""

from typing import Protocol

import numpy as np

from screenalyzer.errors import ModelError
from screenalyzer.types import EmbedderId, Faces, Float32, UInt8


class Embedder(Protocol):
    """Turns faces into unit vectors, in two steps so that crops can be kept and described again later."""

    @property
    def id(self) -> EmbedderId:
        """What the vectors are made by."""
        ...

    @property
    def crop_size(self) -> int:
        """Side of the crops, S."""
        ...

    def align(self, frames: UInt8, faces: Faces) -> UInt8:
        """Crops uint8[n, S, S, 3] of the faces of frames uint8[N, H, W, 3], RGB."""
        ...

    def embed(self, crops: UInt8) -> Float32:
        """Unit vectors float32[n, dim] of crops uint8[n, S, S, 3]."""
        ...


def check_crops(crops: UInt8, side: int) -> None:
    """Refuse what is not uint8[n, side, side, 3].

    Raises:
        ModelError: another shape or type.
    """
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (side, side, 3):
        raise ModelError(f"crops must be uint8[n, {side}, {side}, 3], not {crops.dtype}{list(crops.shape)}")
