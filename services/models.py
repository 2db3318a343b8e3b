"""The face models as Ray Serve deployments: stateless, one batch a request.

`services.models:detector` and `services.models:embedder` build the applications that all runs on a cluster
share. The name of a deployment says what it has loaded, and where, so a run that found it can never be
answered by another model, even if the application is deployed anew meanwhile.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from pydantic import ConfigDict, Field
from ray import serve

from pipelines.face_client import Reading
from pipelines.layout import Layout
from screenalyzer import artifacts
from screenalyzer.settings import DetectSettings, EmbedSettings, Settings, Slice
from screenalyzer.types import Faces, UInt8

DETECTOR_APP: Final = "screenalyzer-detector"
EMBEDDER_APP: Final = "screenalyzer-embedder"

_Result = TypeVar("_Result")

# A third request waits at the replica while one computes and one is on its way back.
_MAX_ONGOING = 3

# A decoder has two batches in flight while it waits for the models, so one replica a decoder is kept busy.
_TARGET_ONGOING = 2.0
_LOOK_EVERY_S, _LOOK_BACK_S, _UPSCALE_AFTER_S = 1.0, 5.0, 3.0


class ModelArgs(Slice):
    """What an application of a model can be built with; unset, settings decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replicas: int | None = Field(None, ge=1, description="a fixed count, also where the cluster is elastic")
    min_replicas: int = Field(0, ge=0, description="kept when idle; where elastic")
    max_replicas: int | None = Field(None, ge=1, description="where elastic")
    target_ongoing_requests: float = Field(
        _TARGET_ONGOING, gt=0, description="batches on their way, a replica; where elastic"
    )


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


def detector_name(cfg: DetectSettings, device: str) -> str:
    """Name of the deployment of a detector with these settings."""
    return f"Detector-{artifacts.fingerprint(cfg, device)[:10]}"


def embedder_name(cfg: EmbedSettings, device: str) -> str:
    """Name of the deployment of an embedder; where its weights come from makes no difference."""
    return f"Embedder-{artifacts.fingerprint(cfg.embedder, device)[:10]}"


def detector_deployment(cfg: DetectSettings, layout: Layout, args: ModelArgs | None = None) -> Any:
    """The detector's deployment, to be bound to its settings and device."""
    deployment: Any = Detector  # the decorator makes a Deployment of the class
    return deployment.options(
        name=detector_name(cfg, layout.device),
        **_options(layout, layout.detector_replicas, args or ModelArgs()),
        ray_actor_options=_resources(layout, layout.detector_cpus, layout.detector_gpus),
    )


def embedder_deployment(cfg: EmbedSettings, layout: Layout, args: ModelArgs | None = None) -> Any:
    """The embedder's deployment, to be bound to its settings and device."""
    deployment: Any = Embedder  # likewise
    return deployment.options(
        name=embedder_name(cfg, layout.device),
        **_options(layout, layout.embedder_replicas, args or ModelArgs()),
        ray_actor_options=_resources(layout, layout.embedder_cpus, layout.embedder_gpus),
    )


def build_detector(cfg: DetectSettings, layout: Layout, args: ModelArgs | None = None) -> Any:
    """The detector's application, for `serve.run`."""
    return detector_deployment(cfg, layout, args).bind(cfg, layout.device)


def build_embedder(cfg: EmbedSettings, layout: Layout, args: ModelArgs | None = None) -> Any:
    """The embedder's application, for `serve.run`."""
    return embedder_deployment(cfg, layout, args).bind(cfg, layout.device)


def detector(args: dict[str, Any]) -> Any:
    """The detector of the environment's settings, for this cluster.

    Args:
        args: of ModelArgs.

    Raises:
        ValidationError: an argument or a setting that is none.
        SettingsError: the cluster is too small for what was asked for.
    """
    cfg = Settings()
    return build_detector(cfg.detect, _layout_here(cfg), ModelArgs.model_validate(args))


def embedder(args: dict[str, Any]) -> Any:
    """The embedder of the environment's settings, for this cluster.

    Args:
        args: of ModelArgs.

    Raises:
        ValidationError: an argument or a setting that is none.
        SettingsError: there is no such embedder, or the cluster is too small for what was asked for.
    """
    from screenalyzer.faces.embedders import resolve_embedder  # noqa: PLC0415 - not on every replica

    cfg = Settings()
    return build_embedder(resolve_embedder(cfg.embed), _layout_here(cfg), ModelArgs.model_validate(args))


def _layout_here(cfg: Settings) -> Layout:
    from pipelines.cluster import layout_here  # noqa: PLC0415 - brings Ray Data, which no replica needs

    return layout_here(cfg.ray)


def _options(layout: Layout, replicas: int, args: ModelArgs) -> dict[str, Any]:
    """A fixed count, or one that follows the load."""
    common = {"max_ongoing_requests": _MAX_ONGOING}
    if args.replicas is not None or not layout.elastic:
        return {**common, "num_replicas": args.replicas or replicas}
    most = args.max_replicas or layout.max_replicas
    return {
        **common,
        "num_replicas": None,
        "autoscaling_config": {
            "min_replicas": min(args.min_replicas, most),
            "max_replicas": most,
            "target_ongoing_requests": args.target_ongoing_requests,
            "metrics_interval_s": _LOOK_EVERY_S,
            "look_back_period_s": _LOOK_BACK_S,
            "upscale_delay_s": _UPSCALE_AFTER_S,
            "downscale_delay_s": layout.idle_s,
        },
    }


def _resources(layout: Layout, cpus: float, gpus: float) -> dict[str, Any]:
    return {"num_cpus": cpus, "num_gpus": gpus, **({} if gpus else layout.without_gpus)}
