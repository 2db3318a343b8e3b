"""Weight files: where they lie, how they are fetched, and that they are the right ones."""

import hashlib
import logging
import os
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from screenalyzer.artifacts import sha256_file
from screenalyzer.errors import ModelChecksumError, ModelUnavailableError
from screenalyzer.settings import EmbedSettings

log = logging.getLogger(__name__)

_BLOCK = 1 << 20
_READ_TIMEOUT_S = 30.0
_PROBE_TIMEOUT_S = 4.0


@dataclass(frozen=True)
class WeightFile:
    """A file that is published under a fixed address and known by its digest."""

    name: str
    url: str
    sha256: str
    size_bytes: int


FACENET: Final = WeightFile(
    name="20180402-114759-vggface2.pt",
    url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
    size_bytes=111_898_327,
)
DLIB_RESNET: Final = "dlib_face_recognition_resnet_model_v1.dat"
DLIB_LANDMARKS: Final = "shape_predictor_5_face_landmarks.dat"


def packaged(package: str, *parts: str) -> Path:
    """A file inside an installed package, found without importing it.

    The package `face_recognition_models` needs an old setuptools to be imported; its files do not.

    Raises:
        ModelUnavailableError: the package or the file is not there.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, *parts)
        if path.is_file():
            return path
    raise ModelUnavailableError(
        f"{parts[-1]} is missing: it comes with the Python package {package}. Run: pip install {package}"
    )


def dlib_file(name: str) -> Path:
    """One of dlib's weight files.

    Raises:
        ModelUnavailableError: the package that carries it is not installed.
    """
    return packaged("face_recognition_models", "models", name)


def digest(path: Path) -> str:
    """Hex sha256 of a weight file; read again only when the file has changed."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _digest(path: Path, _mtime_ns: int, _size: int) -> str:
    return sha256_file(path)


def cached_path(weights: WeightFile, cfg: EmbedSettings) -> Path:
    """Where a fetched file lies, or would lie."""
    return cfg.cache_dir / weights.name


def is_cached(weights: WeightFile, cfg: EmbedSettings) -> bool:
    """Whether a file of that name is in the cache; `fetch` checks what is in it."""
    try:
        return cached_path(weights, cfg).is_file()
    except OSError:  # a folder that may not be looked into
        return False


def fetch(weights: WeightFile, cfg: EmbedSettings) -> Path:
    """The checked file, out of the cache, the mirror or its release.

    Raises:
        ModelChecksumError: what is cached or was fetched is another file.
        ModelUnavailableError: not cached, and not to be had; the message says which file to put where.
    """
    target = cached_path(weights, cfg)
    if is_cached(weights, cfg):
        found = digest(target)
        if found != weights.sha256:
            raise ModelChecksumError(
                f"{target} is not {weights.name} as published: its sha256 is {found}, not {weights.sha256}. "
                "Delete it; it is fetched again at the next use."
            )
        return target
    if cfg.offline:
        raise unavailable(weights, cfg, "fetching is switched off by the setting 'offline'")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise unavailable(weights, cfg, f"cannot be kept in {target.parent} ({e.strerror})") from e
    part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        _download(weights, cfg, part)
        part.replace(target)
    except (OSError, HTTPException, ValueError) as e:  # ValueError: a mirror that is no address at all
        raise unavailable(weights, cfg, f"{source_of(weights, cfg)} cannot be read or kept ({e})") from e
    finally:
        with suppress(OSError):  # as on a read-only disk, where there is nothing to remove
            part.unlink(missing_ok=True)
    log.info("fetched %s into %s", weights.name, target)
    return target


def source_of(weights: WeightFile, cfg: EmbedSettings) -> str:
    """The address or path that a file would be fetched from."""
    if cfg.mirror is None:
        return weights.url
    if "://" in cfg.mirror:
        return f"{cfg.mirror.rstrip('/')}/{weights.name}"
    return str(Path(cfg.mirror) / weights.name)


def _open(weights: WeightFile, cfg: EmbedSettings) -> tuple[IO[bytes], int | None]:
    """The source as a stream, and how long it says it is."""
    source = source_of(weights, cfg)
    if "://" not in source:
        path = Path(source)
        return path.open("rb"), path.stat().st_size
    try:
        response = urllib.request.urlopen(source, timeout=_READ_TIMEOUT_S)
    except urllib.error.HTTPError as e:
        e.close()
        raise OSError(f"the server says {e.code} {e.reason}") from e
    length = response.headers.get("Content-Length")
    return response, int(length) if length else None


def _download(weights: WeightFile, cfg: EmbedSettings, part: Path) -> None:
    stream, announced = _open(weights, cfg)
    sha, got = hashlib.sha256(), 0
    with stream, part.open("wb") as out:
        while block := stream.read(_BLOCK):
            out.write(block)
            sha.update(block)
            got += len(block)
        out.flush()
        os.fsync(out.fileno())
    if announced is not None and got < announced:
        raise OSError(f"broke off after {got} of {announced} bytes; try again")
    if sha.hexdigest() != weights.sha256:
        raise ModelChecksumError(
            f"{source_of(weights, cfg)} is not {weights.name} as published: {got} bytes with sha256 "
            f"{sha.hexdigest()}, not {weights.sha256}. Nothing was kept; see what the mirror or proxy serves."
        )


def unavailable(weights: WeightFile, cfg: EmbedSettings, why: str) -> ModelUnavailableError:
    """The error that says how to go on without the network."""
    return ModelUnavailableError(
        f"{weights.name} is not on this machine and {why}. Either put the file {weights.name} "
        f"({weights.size_bytes / 1e6:.0f} MB, {weights.url}) into {cfg.cache_dir}, or point the "
        "setting 'embed.mirror' at a folder or address that has it, or use the embedder 'dlib': no download."
    )


def is_fetchable(weights: WeightFile, cfg: EmbedSettings) -> bool:
    """Whether the source answers, found out within a few seconds whatever the network does.

    A name look-up has no time limit of its own, so the question is asked in a thread that may be left behind.
    """
    if cfg.offline:
        return False
    source = source_of(weights, cfg)
    if "://" not in source:
        return Path(source).is_file()
    answer: list[bool] = []
    asking = threading.Thread(target=lambda: answer.append(_answers(source)), daemon=True)
    asking.start()
    asking.join(_PROBE_TIMEOUT_S)
    return bool(answer and answer[0])


def _answers(url: str) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT_S) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as e:
        e.close()
        log.info("%s answers %d %s", url, e.code, e.reason)
        return False
    except (OSError, HTTPException, ValueError) as e:
        log.info("%s does not answer: %s", url, e)
        return False
