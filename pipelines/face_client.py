"""How a decoder asks for faces: batches of frames go out, faces with embeddings come back in order.

The one place that knows that the models are Serve deployments. Frames travel once, as a reference in the
object store; two batches are in flight so that no replica waits for the decoder.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from screenalyzer.errors import InferenceError
from screenalyzer.types import Faces, Float32, UInt8

_ATTEMPTS = 6
_FIRST_BACKOFF_S = 0.5
_LOST = (RayActorError, BackPressureError, DeploymentUnavailableError)


@dataclass(frozen=True)
class Reading:
    """What the models say of one batch.

    Attributes:
        faces: detected faces.
        embeddings: float32[n, d], unit length, row i for face i.
        detect_busy: when the detector began and ended, seconds since the epoch.
        embed_busy: the same of the embedder.
    """

    faces: Faces
    embeddings: Float32
    detect_busy: tuple[float, float]
    embed_busy: tuple[float, float]


class FaceClient(Protocol):
    """Sends batches and yields readings in the order of sending."""

    def submit(self, frames: UInt8) -> None:
        """Send frames uint8[N, H, W, 3], RGB."""

    def collect(self, at_most: int) -> Iterator[Reading]:
        """Yield the oldest readings until at most so many are in flight."""


class ServeFaceClient:
    """The client of the Serve deployments."""

    def __init__(self, detector: Any, embedder: Any) -> None:
        """Take the two deployment handles."""
        self._detector, self._embedder = detector, embedder
        self._flying: deque[tuple[Any, Any]] = deque()

    def submit(self, frames: UInt8) -> None:
        """Put the frames into the object store once and ask both models."""
        reference = ray.put(frames)
        self._flying.append((reference, self._ask(reference)))

    def collect(self, at_most: int) -> Iterator[Reading]:
        """Yield the oldest readings until at most so many are in flight.

        Raises:
            InferenceError: a replica was lost again and again, or the model itself failed.
        """
        while len(self._flying) > at_most:
            yield self._finish(*self._flying.popleft())

    def _ask(self, reference: Any) -> Any:
        return self._embedder.embed.remote(reference, self._detector.detect.remote(reference))

    def _finish(self, reference: Any, response: Any) -> Reading:
        backoff = _FIRST_BACKOFF_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                reading: Reading = response.result()
            except RayTaskError as e:
                if not isinstance(e.cause, _LOST):
                    raise InferenceError(
                        f"a model failed on a batch: {e.cause!r}. Leave the video out, and report this."
                    ) from e
                cause: Exception = e
            except _LOST as e:
                cause = e
            else:
                return reading
            if attempt == _ATTEMPTS:
                raise InferenceError(
                    f"model replicas were lost {_ATTEMPTS} times in a row on a batch, at last by {cause!r}. "
                    "Look at the free memory, and run the same command again."
                ) from cause
            time.sleep(backoff)
            backoff *= 2
            response = self._ask(reference)
        raise AssertionError("unreachable")
