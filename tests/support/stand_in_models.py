"""Stand-ins for the face models: they take a GPU's time for a batch and find nobody.

Applications like those of `services.models`, of the same names and with the same scaling, so that runs find
and use them as if they were the models. Import paths: `support.stand_in_models:detector` and `:embedder`; the
arguments say how long a batch takes (`batch_s`, seconds), and which file is told of each (`told`): when it
began and ended, seconds since the epoch, and its frames.
"""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.cluster import layout_here
from pipelines.face_client import Reading
from screenalyzer.settings import Settings
from screenalyzer.types import Faces, UInt8
from services.models import Detected, detector_deployment, embedder_deployment

_NOBODY = Faces(
    np.zeros(0, np.int64),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.float32),
    np.zeros((0, 5, 2), np.float32),
)
_DIM = 128  # of the dlib embedder


class _Gpu:
    """One batch at a time."""

    def __init__(self, batch_s: float, told: str) -> None:
        self._batch_s, self._told, self._turn = batch_s, Path(told), threading.Lock()

    def work(self, frames: UInt8) -> tuple[float, float]:
        with self._turn:
            start = time.time()
            time.sleep(self._batch_s)
            end = time.time()
        with self._told.open("a") as file:  # a short line is written at once
            file.write(f"{start:.3f} {end:.3f} {len(frames)}\n")
        return start, end


class StandInDetector:
    def __init__(self, batch_s: float, told: str) -> None:
        self._gpu = _Gpu(batch_s, told)

    def detect(self, frames: UInt8) -> Detected:
        return Detected(_NOBODY, self._gpu.work(frames))


class StandInEmbedder:
    def __init__(self, batch_s: float, told: str) -> None:
        self._gpu = _Gpu(batch_s, told)

    def embed(self, frames: UInt8, detected: Detected) -> Reading:
        nobody = np.zeros((0, _DIM), np.float32)
        return Reading(detected.faces, nobody, detected.busy, self._gpu.work(frames))


def detector(args: dict[str, Any]) -> Any:
    cfg = Settings()
    real = detector_deployment(cfg.detect, layout_here(cfg.ray))
    return real.options(func_or_class=StandInDetector).bind(float(args["batch_s"]), args["told"])


def embedder(args: dict[str, Any]) -> Any:
    cfg = Settings()
    real = embedder_deployment(cfg.embed, layout_here(cfg.ray))
    return real.options(func_or_class=StandInEmbedder).bind(float(args["batch_s"]), args["told"])
