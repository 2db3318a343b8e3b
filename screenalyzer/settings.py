"""Every setting, read from the environment once; a part is handed its slice.

A variable is named SCREENALYZER_<GROUP>__<FIELD>, for example SCREENALYZER_VIDEO__SAMPLE_FPS=2.
"""

import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Slice(BaseModel):
    """A group of settings: immutable, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VideoSettings(Slice):
    """How a video is read."""

    sample_fps: float = Field(5.0, gt=0, le=60, description="frames looked at, a second")
    chunk_s: float = Field(
        30.0, ge=1, le=60, description="seconds of video between two checkpoints, at most twice this"
    )
    analysis_height: int = Field(
        1080, ge=240, le=4320, description="frames higher than this are scaled down to it"
    )
    # Excluded from what is dumped and so from fingerprints: the result is the same with any number.
    decode_threads: int = Field(1, ge=1, le=16, exclude=True, description="threads a decoder")


class ShotSettings(Slice):
    """When two frames belong to different shots."""

    min_shot_ms: int = Field(120, ge=0, description="two jumps closer than this are a flash or one cut")
    min_form: float = Field(0.05, gt=0, le=1, description="least change of form, 1 - correlation, of any cut")
    sure_form: float = Field(0.22, gt=0, le=1, description="change of form that is a cut also among motion")
    sure_ratio: float = Field(2.0, ge=1, description="... if it exceeds the neighbourhood this many times")
    quiet_ratio: float = Field(5.0, ge=1, description="how far a lesser change must exceed it")
    min_change: float = Field(
        0.012, ge=0, description="least change of light and colour of a lesser cut, 0..1"
    )


class DetectSettings(Slice):
    """The face detector."""

    min_face_px: int = Field(
        40, ge=12, description="smallest face side looked for at 720 lines; grows with the frame"
    )
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    min_conf: float = Field(0.9, ge=0, le=1)


def cache_dir() -> Path:
    """Where what can be had again is kept, for this user."""
    try:
        return Path.home() / ".cache" / "screenalyzer"
    except RuntimeError:  # a container may run as a number that has no home
        return Path(tempfile.gettempdir()) / "screenalyzer-cache"


class EmbedSettings(Slice):
    """The face embedder and where its weights come from."""

    embedder: str = Field("auto", description="auto, facenet, dlib or onnx:PATH")
    cache_dir: Path = Field(default_factory=cache_dir)
    mirror: str | None = Field(
        None, description="URL prefix or folder to fetch weights from, instead of their release"
    )
    offline: bool = Field(False, description="never fetch")


class TrackSettings(Slice):
    """Association of detections within a shot."""

    max_gap_ms: int = Field(1500, ge=0, description="longest gap a stitch bridges")
    min_stitch_score: float = Field(0.8, gt=0, lt=1, description="certainty that a gap is bridged at, 0..1")
    samples_per_track: int = Field(5, ge=1, le=50)


class ClusterSettings(Slice):
    """Grouping of tracks into people."""

    backend: Literal["auto", "cpu", "gpu"] = "auto"
    max_suggestions: int = Field(50, ge=0, description="merge suggestions an episode, at most")
    min_suggested_similarity: float = Field(0.05, ge=0, le=1)


class ScreenTimeRules(Slice):
    """Rule set version 1; times in milliseconds."""

    version: Literal[1] = 1
    fuse_gap_ms: int = Field(default=2000, ge=0)
    min_interval_ms: int = Field(default=500, ge=0)
    partial_min_conf: float = Field(default=0.7, ge=0, le=1)
    partial_min_ms: int = Field(default=1000, ge=0)


class RaySettings(Slice):
    """How work is laid on a cluster. On two CPUs the sum of all that runs at once must stay below 2."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    num_cpus: int | None = Field(
        None, ge=2, description="CPUs of a local cluster; all of the machine where unset"
    )
    detector_replicas: int | None = Field(
        None, ge=1, description="chosen from the cluster's size where unset"
    )
    detector_cpus: float = Field(0.4, ge=0)
    detector_gpus: float = Field(
        0.25, ge=0, description="whole or fractional GPUs a replica, where there are GPUs"
    )
    embedder_replicas: int | None = Field(None, ge=1)
    embedder_cpus: float = Field(0.4, ge=0)
    embedder_gpus: float = Field(0.25, ge=0)
    decoder_actors: int | None = Field(None, ge=1)
    decoder_cpus: float = Field(0.5, ge=0)
    task_cpus: float = Field(0.25, ge=0)
    batch_frames: int = Field(8, ge=1, le=128, description="frames a request")
    object_store_mb: int = Field(1024, ge=128, description="shared memory of a local cluster")
    elastic: bool = Field(
        False,
        description="the cluster grows with its work: counts are what one run asks for, and models scale by "
        "load; name the device, since auto means cpu then",
    )
    max_replicas: int = Field(
        8, ge=1, description="replicas of the detector, and of the embedder, at most; where elastic"
    )
    idle_s: float = Field(
        60, ge=1, description="after so long without work a model's last replica ends; where elastic"
    )


class WorkSettings(BaseSettings):
    """Where a node keeps what it works on, if the data root lies in an object store."""

    model_config = SettingsConfigDict(env_prefix="SCREENALYZER_", frozen=True, extra="ignore")

    work_dir: Path = Field(
        default_factory=lambda: cache_dir() / "work",
        description="working copies of a data root in an object store; the same path on every node",
    )


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        env_prefix="SCREENALYZER_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    video: VideoSettings = VideoSettings()
    shots: ShotSettings = ShotSettings()
    detect: DetectSettings = DetectSettings()
    embed: EmbedSettings = EmbedSettings()
    track: TrackSettings = TrackSettings()
    cluster: ClusterSettings = ClusterSettings()
    rules: ScreenTimeRules = ScreenTimeRules()
    ray: RaySettings = RaySettings()
