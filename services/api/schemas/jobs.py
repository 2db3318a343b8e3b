"""Jobs, their stages, their events, and what was given up."""

from datetime import datetime
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, Field

from services.api.schemas.common import Body, IdField, body_example, example
from services.db.models import JobKind, JobState, RunState
from services.jobs.plans import PLANS

StageName = Literal[
    "harvest",
    "inference",
    "tracking",
    "cluster",
    "assist",
    "analytics",
    "export",
    "publish",
    "purge",
    "sweep",
]

_known = {stage for plan in PLANS.values() for stage, _ in plan}
if _known != set(get_args(StageName)):
    raise TypeError(f"StageName and the plans differ: {sorted(_known ^ set(get_args(StageName)))}")

_ID: Final = "7b0c5d1e2f3a4b5c6d7e8f9a0b1c2d3e"
_STAGE: Final = {
    "stage": "inference",
    "queue": "inference",
    "state": "running",
    "attempt": 1,
    "failures": 0,
    "done_ms": 600_000,
    "total_ms": 1_800_000,
    "speed": 2.1,
    "started_at": "2026-05-04T09:31:00Z",
    "finished_at": None,
    "predicted_s": 900.0,
    "eta_error": None,
    "error": None,
}
_SUMMARY: Final = {
    "id": _ID,
    "kind": "process",
    "state": "running",
    "show": "My-Show",
    "episode": "s01e01",
    "progress": 0.34,
    "eta_s": 571.0,
    "error": None,
    "created_at": "2026-05-04T09:30:00Z",
    "finished_at": None,
}
_JOB: Final = {
    **_SUMMARY,
    "episode_id": "5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978",
    "show_id": "0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f",
    "user_id": "9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d",
    "params": {"settings": {"video": {"sample_fps": 2.0}}},
    "result": None,
    "started_at": "2026-05-04T09:30:02Z",
    "revision": 3,
    "live": True,
    "stages": [_STAGE],
    "dead_letters": [],
}
_EVENT: Final = {"id": 41, "kind": "stage-done", "data": {"stage": "harvest"}, "at": "2026-05-04T09:31:00Z"}
_LETTER: Final = {
    "id": "1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f",
    "job_id": _ID,
    "stage": "inference",
    "queue": "inference",
    "attempts": 4,
    "error": "ActorDiedError: the detector did not answer",
    "traceback": "Traceback (most recent call last): …",
    "at": "2026-05-04T09:40:00Z",
}


class StageView(BaseModel):
    """A stage of a job. Lengths of video in milliseconds; what is null is not known (yet)."""

    model_config = example(**_STAGE)

    stage: str
    queue: str
    state: RunState
    attempt: int = Field(description="how often it was begun")
    failures: int = Field(description="attempts in a row that made no progress")
    done_ms: int
    total_ms: int = Field(description="0 until the length of the video is known")
    speed: float | None = Field(description="seconds of video a second")
    started_at: datetime | None = Field(description="of the current attempt")
    finished_at: datetime | None
    predicted_s: float | None = Field(description="what was foretold when the attempt began, seconds")
    eta_error: float | None = Field(description="(predicted - actual) / actual")
    error: str | None


class DeadLetterView(BaseModel):
    """A stage that was given up. Its traceback is for an Admin's eyes; null for others."""

    model_config = example(**_LETTER)

    id: IdField
    job_id: IdField
    stage: str
    queue: str
    attempts: int
    error: str
    traceback: str | None
    at: datetime


class JobSummary(BaseModel):
    """How a job is doing, in short."""

    model_config = example(**_SUMMARY)

    id: IdField
    kind: JobKind
    state: JobState
    show: str | None = Field(description="name of the show; null where the job has none, or it is purged")
    episode: str | None = Field(description="name of the episode, likewise")
    progress: float = Field(ge=0, le=1, description="share of the work that is done")
    eta_s: float | None = Field(description="seconds of work left; waiting for a free worker is not in it")
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class JobView(JobSummary):
    """A job."""

    model_config = example(**_JOB)

    episode_id: IdField | None
    show_id: IdField | None
    user_id: IdField | None = Field(description="who asked for it")
    params: dict[str, Any]
    result: dict[str, Any] | None
    started_at: datetime | None
    revision: int = Field(description="counts its changes; the ETag. Progress alone does not raise it.")
    live: bool = Field(
        description="whether Redis answered; where it did not, progress is the last that reached SQL"
    )
    stages: list[StageView]
    dead_letters: list[DeadLetterView]


class EventView(BaseModel):
    """Something that happened to a job."""

    model_config = example(**_EVENT)

    id: int
    kind: str
    data: dict[str, Any]
    at: datetime


class EventPage(BaseModel):
    """Events of a job, oldest first."""

    model_config = example(items=[_EVENT], next=41, ended=False)

    items: list[EventView]
    next: int = Field(description="send it as `after` to read on; the last id seen where nothing is new")
    ended: bool = Field(description="the job has ended and these are its last events")


class Retry(Body):
    """Which stage is done again, with all after it."""

    model_config = body_example(stage="cluster")

    stage: StageName
