"""The catalogue of weight files: what each is for, its source, its terms, and whether it is here."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from screenalyzer.errors import ModelError, ModelUnavailableError
from screenalyzer.faces import weights as files
from screenalyzer.settings import EmbedSettings

if TYPE_CHECKING:
    from collections.abc import Callable

_MTCNN_SHA256 = {
    "pnet.pt": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet.pt": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet.pt": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
_MTCNN_STAGES = {
    "pnet.pt": "proposes boxes",
    "rnet.pt": "refines them",
    "onet.pt": "decides, and finds landmarks",
}
_DLIB_SHA256 = {
    files.DLIB_RESNET: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    files.DLIB_LANDMARKS: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
_DLIB_PURPOSE = {
    files.DLIB_RESNET: "embedder dlib: 128 numbers a face",
    files.DLIB_LANDMARKS: "embedder dlib: lines faces up by 5 points",
}


@dataclass(frozen=True)
class ModelFile:
    """A weight file.

    Attributes:
        name: file name.
        purpose: what it does here.
        source: where it comes from.
        licence: its terms, as far as its publisher states them.
        expected_sha256: hex digest of the published file; None for a studio's own model.
        path: where it lies or would lie.
        sha256: hex digest of the file that is there; None where there is none.
    """

    name: str
    purpose: str
    source: str
    licence: str
    expected_sha256: str | None
    path: Path | None
    sha256: str | None

    @property
    def present(self) -> bool:
        """Whether the file is there."""
        return self.sha256 is not None

    @property
    def intact(self) -> bool:
        """Whether it is there, and the published one."""
        return self.present and self.expected_sha256 in {None, self.sha256}


def catalogue(cfg: EmbedSettings) -> list[ModelFile]:
    """Every weight file that the program uses under these settings; fetches nothing."""
    found = [*map(_mtcnn, _MTCNN_SHA256), _facenet(cfg), *map(_dlib, _DLIB_SHA256)]
    if cfg.embedder.startswith("onnx:"):
        found.append(_onnx(Path(cfg.embedder.removeprefix("onnx:"))))
    return found


def _where(locate: "Callable[[], Path]") -> tuple[Path | None, str | None]:
    try:
        path = locate()
    except ModelUnavailableError:
        return None, None
    return path, files.digest(path) if path.is_file() else None


def _mtcnn(name: str) -> ModelFile:
    path, sha256 = _where(partial(files.packaged, "facenet_pytorch", "data", name))
    return ModelFile(
        name=name,
        purpose=f"face detector MTCNN: {_MTCNN_STAGES[name]}",
        source="in the PyPI package facenet-pytorch 2.5.3, converted from the authors' release (kpzhang93)",
        licence="MIT (facenet-pytorch and the authors' repository); trained on WIDER FACE and CelebA",
        expected_sha256=_MTCNN_SHA256[name],
        path=path,
        sha256=sha256,
    )


def _facenet(cfg: EmbedSettings) -> ModelFile:
    path, sha256 = _where(partial(files.cached_path, files.FACENET, cfg))
    return ModelFile(
        name=files.FACENET.name,
        purpose="embedder facenet: 512 numbers a face",
        source=f"fetched at first use from {files.source_of(files.FACENET, cfg)}",
        licence="MIT (facenet-pytorch); trained on VGGFace2, a data set given for research: take advice",
        expected_sha256=files.FACENET.sha256,
        path=path,
        sha256=sha256,
    )


def _dlib(name: str) -> ModelFile:
    path, sha256 = _where(partial(files.dlib_file, name))
    return ModelFile(
        name=name,
        purpose=_DLIB_PURPOSE[name],
        source="in the PyPI package face_recognition_models 0.3.0; published by Davis King (dlib-models)",
        licence="public domain (CC0), as its author states",
        expected_sha256=_DLIB_SHA256[name],
        path=path,
        sha256=sha256,
    )


def _onnx(path: Path) -> ModelFile:
    from screenalyzer.faces.onnx import describe  # noqa: PLC0415 - only who asks for it needs onnxruntime

    try:
        about = describe(path)
        purpose, licence = f"embedder onnx:{about.name}: {about.dim} numbers a face", about.licence
    except ModelError as e:
        purpose, licence = f"embedder onnx: {e}", "not stated"
    here = path.is_file()
    return ModelFile(
        path.name, purpose, "your own", licence, None, path, files.digest(path) if here else None
    )
