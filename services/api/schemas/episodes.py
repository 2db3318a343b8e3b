"""Episodes, and what was found in them. Times in milliseconds of the source's own clock."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, model_validator

from screenalyzer.settings import ClusterSettings, ScreenTimeRules, ShotSettings, TrackSettings, VideoSettings
from services.api.schemas.common import Body, IdField, body_example, example
from services.api.schemas.jobs import JobSummary
from services.api.text import Title
from services.api.values import finite

EpisodeState = Literal[
    "new", "queued", "running", "pausing", "paused", "cancelling", "cancelled", "failed", "done"
]

_FACTS: Final = {
    "duration_ms": 1_800_000,
    "start_ms": 0,
    "fps": 25.0,
    "width": 1920,
    "height": 1080,
    "container": "mp4",
    "codec": "h264",
    "size_bytes": 1_234_567_890,
    "shots": 412,
    "missing_ms": 0,
}
_EPISODE: Final = {
    "id": "5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978",
    "show_id": "0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f",
    "show": "The-Long-Table",
    "name": "s01e01",
    "title": "s01e01",
    "state": "done",
    "video_sha256": "a" * 64,
    "created_at": "2026-05-04T09:30:00Z",
    "revision": 2,
    "job": None,
}
_RULES: Final = ScreenTimeRules().model_dump()
_EPISODE_ID: Final = "5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978"


class EpisodeView(BaseModel):
    """An episode."""

    model_config = example(**_EPISODE)

    id: IdField
    show_id: IdField
    show: str = Field(description="name of the show, as in paths")
    name: str = Field(description="as in paths")
    title: str = Field(description="as it was typed")
    state: EpisodeState = Field(description="of its latest processing; new where there was none")
    video_sha256: str | None = Field(description="null until its video has been taken in")
    created_at: datetime
    revision: int = Field(description="counts its changes; the ETag")
    job: JobSummary | None = Field(description="its latest processing")


class Facts(BaseModel):
    """What is known of the video."""

    model_config = example(**_FACTS)

    duration_ms: int = Field(description="from the first frame to the end of the last")
    start_ms: int = Field(description="time of the first frame; a position in the video is a time less this")
    fps: float
    width: int = Field(description="pixels of the displayed frame")
    height: int
    container: str
    codec: str
    size_bytes: int
    shots: int | None = Field(description="null until all of it has been read")
    missing_ms: int | None = Field(description="what could not be decoded; null until all has been read")


class EpisodeDetail(EpisodeView):
    """An episode with the facts about its video."""

    model_config = example(**_EPISODE, facts=_FACTS)

    facts: Facts | None = Field(description="null until its video has been taken in")


class EpisodeChanges(Body):
    """What is to change; what is left out stays."""

    model_config = body_example(title="Pilot")

    title: Title | None = Field(None, description="the name in paths stays as it is")


class RunSettings(Body):
    """Settings that differ from the service's, for one run. A group may name only some of its fields."""

    model_config = body_example(video={"sample_fps": 2.0}, rules={"fuse_gap_ms": 1500})

    video: VideoSettings | None = None
    shots: ShotSettings | None = None
    track: TrackSettings | None = None
    cluster: ClusterSettings | None = None
    rules: ScreenTimeRules | None = None


class NewRun(Body):
    """Process the episode again."""

    model_config = body_example(settings={"video": {"sample_fps": 2.0}})

    settings: RunSettings = Field(default_factory=RunSettings)

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, raw: Any) -> Any:
        return finite(raw)

    def changed(self) -> dict[str, dict[str, Any]]:
        """The fields that were sent, by group."""
        found = self.settings.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return {group: fields for group, fields in found.items() if fields}


class IntervalView(BaseModel):
    """Somebody is on screen."""

    person: str
    start_ms: int
    end_ms: int
    source: str = Field(description="how it came to be: auto, reviewed or manual")
    confidence: float


class TotalView(BaseModel):
    """Somebody's screen time."""

    person: str
    total_ms: int
    appearances: int
    percent: float = Field(description="of the episode's duration, 0..100")
    first_ms: int
    last_ms: int


class _Results(BaseModel):
    episode_id: IdField
    duration_ms: int
    start_ms: int = Field(description="time of the first frame")
    rules: ScreenTimeRules = Field(description="that these figures were made by")
    rules_text: str = Field(description="the same in words")


class TimelineView(_Results):
    """Who is on screen when; all of it, in the order of timeline.csv."""

    model_config = example(
        episode_id=_EPISODE_ID, duration_ms=1_800_000, start_ms=0, rules=_RULES, rules_text="version 1, …",
        items=[{"person": "Ada", "start_ms": 1200, "end_ms": 5400, "source": "auto", "confidence": 0.97}],
    )  # fmt: skip

    items: list[IntervalView]


class TotalsView(_Results):
    """Screen time of everyone; all of it, in the order of totals.csv."""

    model_config = example(
        episode_id=_EPISODE_ID, duration_ms=1_800_000, start_ms=0, rules=_RULES, rules_text="version 1, …",
        items=[
            {
                "person": "Ada", "total_ms": 61_000, "appearances": 9, "percent": 3.39, "first_ms": 1200,
                "last_ms": 900_000,
            }
        ],
    )  # fmt: skip

    items: list[TotalView]
