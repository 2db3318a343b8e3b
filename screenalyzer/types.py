"""The types that cross module borders. Many of a thing are columns; few of a thing are objects."""

import json
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]


class Span(NamedTuple):
    """A half-open stretch of time, [start_ms, end_ms), in milliseconds of the source's clock."""

    start_ms: int
    end_ms: int

    @property
    def length_ms(self) -> int:
        """How long it is, in milliseconds."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True)
class VideoInfo:
    """What a probe learns about a video without decoding it.

    Attributes:
        path: the file.
        sha256: hex digest of the whole file.
        size_bytes: its size.
        container: short name of the container format.
        codec: short name of the video codec.
        width: pixels of the frame as displayed: rotation and pixel aspect applied.
        height: likewise.
        rotation: degrees counter-clockwise that the container asks for (0, 90, 180, 270).
        time_base: seconds a tick of the stream's clock.
        start_pts: presentation time of the first frame, in ticks.
        end_pts: end of the last frame, in ticks.
        frame_count: packets of the video stream; an estimate of frames until they are decoded.
        keyframe_pts: presentation times of the keyframes, ascending, in ticks.
        stream_index: the stream in the container, the best one where there are several.
        frame_ticks: usual time from one frame to the next, in ticks.
        constant_rate: nearly every frame comes after the usual time, so a longer wait is a loss.
        interlaced: the first frame is flagged interlaced.
        decode_order_only: the container holds no presentation times (AVI): frames are timed by their order.
    """

    path: str
    sha256: str
    size_bytes: int
    container: str
    codec: str
    width: int
    height: int
    rotation: int
    time_base: Fraction
    start_pts: int
    end_pts: int
    frame_count: int
    keyframe_pts: tuple[int, ...]
    stream_index: int = 0
    frame_ticks: int = 1
    constant_rate: bool = True
    interlaced: bool = False
    decode_order_only: bool = False

    @property
    def duration_ms(self) -> int:
        """From the first frame to the end of the last."""
        return round((self.end_pts - self.start_pts) * self.time_base * 1000)

    @property
    def fps(self) -> float:
        """Mean frame rate, frames a second."""
        seconds = float((self.end_pts - self.start_pts) * self.time_base)
        return self.frame_count / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class Chunk:
    """A checkpoint's worth of video: frames with start_pts <= pts < end_pts. `index` counts from 0."""

    index: int
    start_pts: int
    end_pts: int


@dataclass(frozen=True)
class Segment:
    """A stretch that one decoder reads in one go: begins at a keyframe, holds one or more chunks."""

    seek_pts: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Faces:
    """Detected faces of a batch of frames, as columns over n faces.

    Attributes:
        frame: int64[n], index of the frame in the batch, ascending.
        boxes: float32[n, 4], x1, y1, x2, y2 in pixels.
        conf: float32[n], 0..1.
        landmarks: float32[n, 5, 2], x, y of left eye, right eye, nose, left and right corner of the mouth
            (left as seen in the picture), in pixels.
    """

    frame: Int64
    boxes: Float32
    conf: Float32
    landmarks: Float32

    def __len__(self) -> int:
        """Count of faces."""
        return len(self.frame)


@dataclass(frozen=True)
class EmbedderId:
    """What an embedding was made by; vectors of different ids never meet.

    Attributes:
        name: facenet, dlib, or onnx:<model name>.
        dim: length of the vector.
        weights_sha256: hex digest of the weights.
    """

    name: str
    dim: int
    weights_sha256: str

    def __str__(self) -> str:
        """One token for messages and fingerprints."""
        return f"{self.name}-{self.dim}-{self.weights_sha256[:12]}"

    def to_json(self) -> str:
        """Everything, for the metadata of files."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> "EmbedderId":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as e:
            raise ValueError(f"{text!r} is no embedder id") from e


@dataclass(frozen=True)
class Observations:
    """All faces of an episode as columns over n detections, sorted by (ts_ms, det_id).

    Attributes:
        det_id: str[n].
        frame_index: int64[n], rank of the frame in presentation order.
        ts_ms: int64[n].
        scene_id: int32[n].
        boxes: float32[n, 4].
        conf: float32[n].
        landmarks: float32[n, 5, 2].
        quality: float32[n], 0..1.
        embeddings: float32[n, d], unit length.
    """

    det_id: NDArray[np.str_]
    frame_index: Int64
    ts_ms: Int64
    scene_id: Int32
    boxes: Float32
    conf: Float32
    landmarks: Float32
    quality: Float32
    embeddings: Float32

    def __len__(self) -> int:
        """Count of detections."""
        return len(self.ts_ms)


@dataclass(frozen=True)
class SampleGrid:
    """The sampled frames of an episode and the scenes they lie in.

    Attributes:
        ts_ms: int64[m], times of the sampled frames, ascending.
        scene_id: int32[m].
        scenes: span of each scene, by scene_id; they tile the episode without gaps.
    """

    ts_ms: Int64
    scene_id: Int32
    scenes: tuple[Span, ...]


@dataclass(frozen=True)
class Track:
    """One face followed through one shot.

    Attributes:
        track_id: derived from its first detection.
        scene_id: the shot.
        start_ms: first detection.
        end_ms: last detection's time plus the time it stands for.
        members: int64[k], rows of the Observations, ascending in time.
        stitch_score: 1.0 where no gap was bridged, else the weakest bridge, 0..1.
        mean_conf: mean detector confidence.
        partial: most of its detections are cut by the frame's edge or mostly hidden.
    """

    track_id: str
    scene_id: int
    start_ms: int
    end_ms: int
    members: Int64
    stitch_score: float
    mean_conf: float
    partial: bool

    @property
    def count(self) -> int:
        """How many detections it holds."""
        return len(self.members)


@dataclass(frozen=True)
class Presence:
    """A person seen from start_ms to end_ms, before the screen-time rules.

    Attributes:
        person: name.
        span: when.
        confidence: 0..1, that this is the person.
        partial: the face is cut by the frame's edge or mostly hidden.
        source: how it came to be: auto, reviewed, manual.
        face_conf: 0..1, that it is a face at all, which is what the rules ask of a partial one; None where
            only `confidence` is known. Not knowing who it is must not leave a face unpaid.
    """

    person: str
    span: Span
    confidence: float
    partial: bool = False
    source: str = "auto"
    face_conf: float | None = None


@dataclass(frozen=True)
class Interval:
    """A row of the timeline: a continuous appearance, after the rules."""

    person: str
    span: Span
    source: str
    confidence: float


@dataclass(frozen=True)
class Total:
    """A person's row of the totals; times in milliseconds, percent of the episode's duration."""

    person: str
    total_ms: int
    appearances: int
    percent: float
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class Constraints:
    """What people decided, and what cannot be otherwise; pairs and labels of track ids.

    Attributes:
        must_link: pairs that are one person.
        cannot_link: pairs that are never one person.
        labels: track id to the name a person gave it.
        not_faces: track ids that are no face.
        not_named: pairs of track id and a name that a person said it is not.
    """

    must_link: frozenset[tuple[str, str]] = frozenset()
    cannot_link: frozenset[tuple[str, str]] = frozenset()
    labels: dict[str, str] = field(default_factory=dict)
    not_faces: frozenset[str] = frozenset()
    not_named: frozenset[tuple[str, str]] = frozenset()
