"""The real models in this process: what the decoder asks for faces where there is no cluster."""

import time
from collections import deque
from collections.abc import Iterator

from pipelines.face_client import Reading
from screenalyzer.faces.dlib_embedder import DlibEmbedder
from screenalyzer.faces.mtcnn import MTCNN
from screenalyzer.types import UInt8


class LocalFaceClient:
    """A FaceClient that computes in `submit`; `batches` counts what it was sent."""

    def __init__(self, detector: MTCNN, embedder: DlibEmbedder) -> None:
        self._detector, self._embedder = detector, embedder
        self._ready: deque[Reading] = deque()
        self.batches = 0

    def submit(self, frames: UInt8) -> None:
        """Detect and embed at once."""
        self.batches += 1
        times = [time.time()]
        faces = self._detector.detect(frames)
        times.append(time.time())
        vectors = self._embedder.embed(self._embedder.align(frames, faces))
        times.append(time.time())
        self._ready.append(Reading(faces, vectors, (times[0], times[1]), (times[1], times[2])))

    def collect(self, at_most: int) -> Iterator[Reading]:
        """Yield the oldest readings until at most so many are left."""
        while len(self._ready) > at_most:
            yield self._ready.popleft()
