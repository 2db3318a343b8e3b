"""The embedder `onnx:PATH`: a studio's own model, described by a small JSON file beside it.

`PATH.json` for `model.onnx` is `model.onnx.json`:
{"name": "ours", "dim": 512, "size": 112, "layout": "NCHW", "colour": "RGB", "mean": 127.5, "span": 127.5,
 "alignment": "arcface", "mirror": false, "licence": "internal"}
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from screenalyzer.errors import ModelError, ModelUnavailableError
from screenalyzer.faces import weights as files
from screenalyzer.faces.align import ARCFACE_POINTS, ARCFACE_SIDE, crop_box, similarity, warp
from screenalyzer.faces.embedder import check_crops
from screenalyzer.types import EmbedderId, Faces, Float32, UInt8
from screenalyzer.vectors import unit

_PORTION = 16


class OnnxDescription(BaseModel):
    """What a model takes and gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,60}$", description="what its embeddings are called")]
    dim: int = Field(ge=2, le=4096, description="length of the vector")
    size: int = Field(ge=16, le=1024, description="side of the square input, pixels")
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["RGB", "BGR"] = "RGB"
    mean: float | tuple[float, float, float] = 127.5
    span: float | tuple[float, float, float] = Field(127.5, description="input = (pixel - mean) / span")
    alignment: Literal["arcface", "none"] = "arcface"
    margin: int = Field(0, ge=0, description="with alignment none: pixels of the input about the box, in all")
    mirror: bool = Field(False, description="average with the mirror image's vector")
    licence: str = Field(min_length=1, description="under what terms the weights are used")


def describe(path: Path) -> OnnxDescription:
    """Read the description beside a model.

    Raises:
        ModelUnavailableError: the model or its description is not there.
        ModelError: the description is wrong; the message says where.
    """
    beside = path.with_name(path.name + ".json")
    for file, what in ((path, "model"), (beside, "description of the model")):
        if not file.is_file():
            raise ModelUnavailableError(
                f"there is no {what} {file}. The embedder onnx:PATH needs PATH and PATH.json."
            )
    try:
        found = OnnxDescription.model_validate_json(beside.read_bytes())
    except ValidationError as e:
        faults = "; ".join(f"{'.'.join(map(str, x['loc'])) or 'file'}: {x['msg']}" for x in e.errors())
        raise ModelError(f"{beside} does not describe a model: {faults}") from e
    if found.margin >= found.size or not np.all(np.asarray(found.span)):
        raise ModelError(f"{beside}: margin must be less than size, and span not 0")
    return found


def onnx_id(path: Path) -> EmbedderId:
    """The id of a model, without loading it.

    Raises:
        ModelUnavailableError: the model or its description is not there.
        ModelError: the description is wrong.
    """
    found = describe(path)
    return EmbedderId(f"onnx:{found.name}", found.dim, files.digest(path))


class OnnxEmbedder:
    """Vectors by onnxruntime."""

    def __init__(self, path: Path, device: str) -> None:
        """Load the model.

        Raises:
            ModelUnavailableError: the model or its description is not there.
            ModelError: onnxruntime cannot load it, or it does not do what its description says.
        """
        self.id = onnx_id(path)
        self._about = describe(path)
        self.crop_size = self._about.size
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if device == "cpu" else 0
        wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        providers = [p for p in wanted if p in onnxruntime.get_available_providers()] + [
            "CPUExecutionProvider"
        ]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as e:  # onnxruntime's errors share no base but this
            raise ModelError(f"onnxruntime cannot load {path}: {e}") from e
        self._input = self._session.get_inputs()[0].name
        trial = self._vectors(np.zeros((1, self.crop_size, self.crop_size, 3), np.uint8))
        if trial.shape != (1, self._about.dim):
            raise ModelError(
                f"{path} gives {list(trial.shape)} for one crop, not [1, {self._about.dim}] as described"
            )

    def align(self, frames: UInt8, faces: Faces) -> UInt8:
        """Crops by the scheme that the description names."""
        size = self.crop_size
        crops = np.zeros((len(faces), size, size, 3), np.uint8)
        if self._about.alignment == "none":
            for i, (frame, box) in enumerate(zip(faces.frame, faces.boxes, strict=True)):
                crops[i] = crop_box(frames[frame], box, size, self._about.margin)
            return crops
        matrices = similarity(faces.landmarks, ARCFACE_POINTS * (size / ARCFACE_SIDE))
        for i, (frame, matrix) in enumerate(zip(faces.frame, matrices, strict=True)):
            crops[i] = warp(frames[frame], matrix, size)
        return crops

    def embed(self, crops: UInt8) -> Float32:
        """Unit vectors of crops."""
        check_crops(crops, self.crop_size)
        vectors = np.zeros((len(crops), self._about.dim), np.float32)
        for i in range(0, len(crops), _PORTION):
            some = crops[i : i + _PORTION]
            found = unit(self._vectors(some))
            if self._about.mirror:
                found = unit(found + unit(self._vectors(some[:, :, ::-1])))
            vectors[i : i + _PORTION] = found
        return vectors

    def _vectors(self, crops: UInt8) -> Float32:
        about = self._about
        pixels = crops[..., ::-1] if about.colour == "BGR" else crops
        values = (pixels.astype(np.float32) - np.asarray(about.mean, np.float32)) / np.asarray(
            about.span, np.float32
        )
        if about.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        try:
            (out, *_) = self._session.run(None, {self._input: np.ascontiguousarray(values, np.float32)})
        except Exception as e:  # onnxruntime's errors share no base but this
            raise ModelError(f"the model {about.name} does not take its input as described: {e}") from e
        return np.asarray(out, np.float32).reshape(len(crops), -1)
