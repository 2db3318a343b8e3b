"""How a face embedder is chosen and built."""

import logging
from pathlib import Path
from typing import Final

from screenalyzer.errors import ModelChecksumError, ModelUnavailableError, SettingsError
from screenalyzer.faces import weights as files
from screenalyzer.faces.embedder import Embedder
from screenalyzer.faces.weights import FACENET, WeightFile
from screenalyzer.settings import EmbedSettings, Settings
from screenalyzer.types import EmbedderId

log = logging.getLogger(__name__)

_ONNX: Final = "onnx:"


def resolve_embedder(cfg: EmbedSettings, facenet: WeightFile = FACENET) -> EmbedSettings:
    """Settings in which `auto` has become facenet or dlib.

    Call it once, where a run begins, and hand the result to everyone: then all machines of a run agree,
    whatever each of them has in its cache. Facenet is chosen where its weights are cached or can be fetched
    now, and then they are; dlib otherwise, within seconds where there is no network. A wrong file that lies
    in the cache is an error: someone put it there.

    Raises:
        SettingsError: no such embedder.
        ModelChecksumError: the cached weights of facenet are another file.
    """
    name = cfg.embedder
    if name in {"facenet", "dlib"} or (name.startswith(_ONNX) and len(name) > len(_ONNX)):
        return cfg
    if name != "auto":
        raise SettingsError(f"there is no embedder {name!r}. Choose auto, facenet, dlib or onnx:PATH.")
    return cfg.model_copy(update={"embedder": "facenet" if _can_have(facenet, cfg) else "dlib"})


def _can_have(facenet: WeightFile, cfg: EmbedSettings) -> bool:
    if files.is_cached(facenet, cfg):
        files.fetch(facenet, cfg)
        return True
    if not files.is_fetchable(facenet, cfg):
        log.info("embedder dlib: %s is neither cached nor fetchable", facenet.name)
        return False
    try:
        files.fetch(facenet, cfg)
    except (ModelUnavailableError, ModelChecksumError) as e:
        log.warning("embedder dlib: %s", e)
        return False
    return True


def with_embedder(settings: Settings) -> tuple[Settings, EmbedderId]:
    """Settings of a run with its embedder resolved, and its id; see `resolve_embedder`.

    Raises:
        SettingsError: no such embedder.
        ModelError: its files are missing or wrong.
    """
    resolved = settings.model_copy(update={"embed": resolve_embedder(settings.embed)})
    return resolved, resolve_embedder_id(resolved.embed)


def resolve_embedder_id(cfg: EmbedSettings, facenet: WeightFile = FACENET) -> EmbedderId:
    """The id of the embedder that `cfg` asks for, without building its network.

    Raises:
        SettingsError: no such embedder.
        ModelUnavailableError: a packaged or onnx weight file is not there.
        ModelError: an onnx description is missing or wrong.
    """
    name = resolve_embedder(cfg, facenet).embedder
    if name == "facenet":
        return EmbedderId("facenet", 512, facenet.sha256)
    if name == "dlib":
        return EmbedderId("dlib", 128, files.digest(files.dlib_file(files.DLIB_RESNET)))
    from screenalyzer.faces.onnx import onnx_id  # noqa: PLC0415 - only who asks for it needs it

    return onnx_id(Path(name.removeprefix(_ONNX)))


def load_embedder(cfg: EmbedSettings, device: str, facenet: WeightFile = FACENET) -> Embedder:
    """Build the embedder that `cfg` asks for.

    Args:
        cfg: which one, and where weights come from.
        device: cpu, cuda or cuda:N.
        facenet: facenet's weight file.

    Raises:
        SettingsError: no such embedder.
        ModelUnavailableError: its weights are not to be had; the message says the ways out.
        ModelChecksumError: its weights are another file.
        ModelError: its weights or description cannot be used.
    """
    name = resolve_embedder(cfg, facenet).embedder
    # Each embedder pulls in a framework of its own; only the one asked for is imported.
    if name == "facenet":
        from screenalyzer.faces.facenet import FacenetEmbedder  # noqa: PLC0415

        return FacenetEmbedder(files.fetch(facenet, cfg), facenet.sha256, device)
    if name == "dlib":
        from screenalyzer.faces.dlib_embedder import DlibEmbedder  # noqa: PLC0415

        return DlibEmbedder(device)
    from screenalyzer.faces.onnx import OnnxEmbedder  # noqa: PLC0415

    return OnnxEmbedder(Path(name.removeprefix(_ONNX)), device)
