"""The face models as Ray Serve deployments: stateless, one batch a request."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ray import serve

from pipelines.face_client import Reading
from pipelines.layout import Layout
from screenalyzer.settings import DetectSettings, EmbedSettings
from screenalyzer.types import Faces, UInt8

_Result = TypeVar("_Result")

# A third request waits at the replica while one computes and one is on its way back.
_MAX_ONGOING = 3


class _Turns:
    """Lets one request at a time at the model, since a sync method runs in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self, work: Callable[[], _Result]) -> tuple[_Result, tuple[float, float]]:
        """Do the work; returns its result, and when it began and ended in seconds since the epoch."""
        with self._lock:
            start = time.time()
            return work(), (start, time.time())


def _prepare(device: str) -> None:
    import torch  # noqa: PLC0415 - on the replica, not on every driver that deploys it

    if device == "cpu":
        # Two threads beside a busy neighbour run eight times slower than one.
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@dataclass(frozen=True)
class Detected:
    """A detector's answer, made to be handed to the embedder."""

    faces: Faces
    busy: tuple[float, float]


@serve.deployment
class Detector:
    """Finds faces."""

    def __init__(self, cfg: DetectSettings, device: str) -> None:
        """Load the networks."""
        from screenalyzer.faces.mtcnn import MTCNN  # noqa: PLC0415 - likewise

        _prepare(device)
        self._model = MTCNN(cfg, device)
        self._turns = _Turns()

    def detect(self, frames: UInt8) -> Detected:
        """Find the faces of frames uint8[N, H, W, 3], RGB."""
        return Detected(*self._turns.take(lambda: self._model.detect(frames)))


@serve.deployment
class Embedder:
    """Turns faces into unit vectors."""

    def __init__(self, cfg: EmbedSettings, device: str) -> None:
        """Load the network."""
        from screenalyzer.faces.embedders import load_embedder  # noqa: PLC0415 - likewise

        _prepare(device)
        self._model = load_embedder(cfg, device)
        self._turns = _Turns()

    def embed(self, frames: UInt8, detected: Detected) -> Reading:
        """Align and embed the detected faces of frames uint8[N, H, W, 3], RGB."""
        crops = partial(self._model.align, frames, detected.faces)
        embeddings, busy = self._turns.take(lambda: self._model.embed(crops()))
        return Reading(detected.faces, embeddings, detected.busy, busy)


def build_detector(cfg: DetectSettings, layout: Layout) -> Any:
    """The detector's application, for `serve.run`."""
    return Detector.options(
        num_replicas=layout.detector_replicas,
        max_ongoing_requests=_MAX_ONGOING,
        ray_actor_options={"num_cpus": layout.detector_cpus, "num_gpus": layout.detector_gpus},
    ).bind(cfg, layout.device)


def build_embedder(cfg: EmbedSettings, layout: Layout) -> Any:
    """The embedder's application, for `serve.run`."""
    return Embedder.options(
        num_replicas=layout.embedder_replicas,
        max_ongoing_requests=_MAX_ONGOING,
        ray_actor_options={"num_cpus": layout.embedder_cpus, "num_gpus": layout.embedder_gpus},
    ).bind(cfg, layout.device)
