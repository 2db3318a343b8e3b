"""The review of an episode: who is seen in it, what is to be looked at, and the log of edits.

Times in milliseconds of the source's own clock, boxes in pixels of the displayed frame.
"""

from datetime import datetime
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from screenalyzer.review.carrying.carry_report import Kind
from screenalyzer.review.model import EntryKind
from screenalyzer.review.operations import Mark, Operation, SpanKind
from services.api.schemas.common import Body, IdField, body_example, example
from services.api.schemas.episodes import TotalView
from services.api.text import plain
from services.api.values import finite

Box = tuple[float, float, float, float]

_EPISODE: Final = "5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978"
_ADA: Final = "0b8a9c1e-64a5-5d0f-9a3e-2f1d5c7b8e90"
_GROUP: Final = "c2f6a1d4-0b53-5f2e-8d15-7a9b3e4c5d60"
_TRACK: Final = "7d1e9b30-5c42-5a88-9f10-3b6a2c8d4e5f"
_DET: Final = "3a5c7e90-1b2d-5f44-8a66-9c0e1d2f3b4a"
_CANDIDATE: Final = {"person_id": _ADA, "name": "Ada Park", "probability": 0.81}
_ENTITY: Final = {
    "entity_id": _ADA, "kind": "person", "name": "Ada Park", "person_id": _ADA, "group_ids": [_GROUP],
    "piece_count": 9, "face_count": 31, "screen_ms": 61_000, "seen_ms": 58_200, "rep_det_id": _DET,
    "auto": True, "confidence": 0.93, "known_from": 2, "looks": 0, "reviewed": 0.75, "low_conf": False,
    "reason": "", "mark": None, "locked": False, "variance": 0.08, "candidates": [],
}  # fmt: skip
_FACE: Final = {
    "det_id": _DET, "piece_id": _TRACK, "track_id": _TRACK, "entity_id": _ADA, "ts_ms": 73_240,
    "box": [412.0, 98.5, 520.0, 240.0], "distance": 0.31, "score": 0.87, "pinned": False,
}  # fmt: skip
_DOUBT: Final = {
    "piece_ids": [_TRACK], "entity_id": _GROUP, "reason": "unsure", "seconds": 12.4, "uncertainty": 0.4,
    "priority": 4.96, "rep_det_id": _DET, "det_ids": [_DET], "ts_ms": 73_240, "candidates": [_CANDIDATE],
}  # fmt: skip
_SUGGESTION: Final = {
    "entity_a": _ADA, "entity_b": _GROUP, "probability": 0.74, "at_stake_ms": 9_300, "rank": 1,
    "name_a": "Ada Park", "name_b": "Person 07", "rep_a": _DET, "rep_b": _DET,
}  # fmt: skip
_SPAN: Final = {
    "id": "5d3b1f70-2a4c-5e68-8b90-1c3d5e7f9a0b", "person_id": _ADA, "name": "Ada Park", "kind": "add",
    "start_ms": 70_000, "end_ms": 72_500,
}  # fmt: skip
_EDIT: Final = {
    "number": 12, "kind": "edit", "of": None, "label": "Assign 3 faces to Ada Park", "actor": "ben",
    "at": "2026-05-04T09:40:00Z",
}  # fmt: skip
_UNDO: Final = {"number": 12, "label": "Assign 3 faces to Ada Park"}
_LOST: Final = {
    "kind": "label", "piece_id": _TRACK, "about": "Ada Park", "start_ms": 73_240,
    "reason": "no face is there any more",
}  # fmt: skip
_COUNTS: Final = {
    "people": 6, "groups_unnamed": 14, "faces": 412, "pieces": 160, "doubts": 23, "suggestions": 9,
}  # fmt: skip
_TOTAL: Final = {
    "person": "Ada Park", "total_ms": 61_000, "appearances": 9, "percent": 3.39, "first_ms": 1200,
    "last_ms": 900_000,
}  # fmt: skip
_OPERATION: Final = {"op": "assign", "subject": {"groups": [_GROUP]}, "name": "Ada Park"}


class CandidateView(BaseModel):
    """Somebody whom a group may be."""

    model_config = example(**_CANDIDATE)

    person_id: str
    name: str
    probability: float = Field(description="0..1")


class EntityView(BaseModel):
    """A row of the review: all groups of one person, or one group that nobody has named."""

    model_config = example(**_ENTITY)

    entity_id: str = Field(description="of the person, or of the group")
    kind: Literal["person", "group"]
    name: str = Field(description="of the person, or Person NN")
    person_id: str | None
    group_ids: list[str]
    piece_count: int = Field(description="tracks and parts of tracks")
    face_count: int = Field(description="faces that a picture is kept of")
    screen_ms: int = Field(description="screen time; 0 where it is not credited")
    seen_ms: int = Field(description="time of its pieces, before the rules")
    rep_det_id: str = Field(description="the face to show")
    auto: bool = Field(description="the facebank gave the name, and nobody has looked at all of it")
    confidence: float = Field(description="0..1, that its faces are one person, and this one")
    known_from: int = Field(description="episodes that the facebank knows the person from")
    looks: int = Field(
        description="faces to look at, the worst first, before a name found surely is confirmed; else 0"
    )
    reviewed: float = Field(description="0..1, share of its time that somebody has decided on")
    low_conf: bool
    reason: str = Field(description="why it is low_conf; empty where it is not")
    mark: Mark | None
    locked: bool
    variance: float
    candidates: list[CandidateView] = Field(description="who it may be, most likely first; of unnamed groups")


class FaceView(BaseModel):
    """A face that a picture is kept of."""

    model_config = example(**_FACE)

    det_id: str
    piece_id: str
    track_id: str
    entity_id: str
    ts_ms: int
    box: Box
    distance: float = Field(description="to the rest of its entity; the farthest come first")
    score: float = Field(description="0..1, that it belongs there")
    pinned: bool = Field(description="somebody said so")


class FaceList(BaseModel):
    """Faces of an entity."""

    model_config = example(items=[_FACE], total=31)

    items: list[FaceView]
    total: int = Field(description="of the entity, also those beyond this part")


class FaceSample(BaseModel):
    """Faces to check by chance."""

    model_config = example(items=[_FACE])

    items: list[FaceView]


class DoubtView(BaseModel):
    """Pieces of which it is unsure who they are."""

    model_config = example(**_DOUBT)

    piece_ids: list[str]
    entity_id: str
    reason: str
    seconds: float = Field(description="of screen time that hang on it")
    uncertainty: float
    priority: float
    rep_det_id: str
    det_ids: list[str]
    ts_ms: int
    candidates: list[CandidateView]


class DoubtList(BaseModel):
    """What is to be looked at, the most worth first."""

    model_config = example(items=[_DOUBT])

    items: list[DoubtView]


class SuggestionView(BaseModel):
    """Two entities that may be one person."""

    model_config = example(**_SUGGESTION)

    entity_a: str
    entity_b: str
    probability: float
    at_stake_ms: float = Field(description="probability times the time of the shorter one")
    rank: int
    name_a: str
    name_b: str
    rep_a: str
    rep_b: str


class SuggestionList(BaseModel):
    """Merges to look at, the most worth first; refused ones never come back."""

    model_config = example(items=[_SUGGESTION])

    items: list[SuggestionView]


class SpanView(BaseModel):
    """A time that was added to a person by hand, or taken away from them."""

    model_config = example(**_SPAN)

    id: str
    person_id: str
    name: str
    kind: SpanKind
    start_ms: int
    end_ms: int


class SpanList(BaseModel):
    """All of them, by start."""

    model_config = example(items=[_SPAN])

    items: list[SpanView]


class EditView(BaseModel):
    """A line of the log."""

    model_config = example(**_EDIT)

    number: int = Field(description="the review's revision after it")
    kind: EntryKind
    of: int | None = Field(description="number of the edit that was undone or redone")
    label: str = Field(description="what it did, in words")
    actor: str = Field(description="user name")
    at: datetime


class NextStep(BaseModel):
    """What an undo or redo would be about."""

    model_config = example(**_UNDO)

    number: int
    label: str


class Counts(BaseModel):
    """How much there is."""

    model_config = example(**_COUNTS)

    people: int = Field(description="named, in this episode")
    groups_unnamed: int = Field(description="neither named nor marked")
    faces: int
    pieces: int
    doubts: int
    suggestions: int


class KnownPerson(BaseModel):
    """Somebody of the show."""

    model_config = example(person_id=_ADA, name="Ada Park")

    person_id: str
    name: str


class LostView(BaseModel):
    """A decision that holds nowhere in the current run. It is kept, for a run in which it does."""

    model_config = example(**_LOST)

    kind: Kind
    piece_id: str = Field(description="what it was about")
    about: str = Field(description="the person's name, the mark, or empty")
    start_ms: int | None = Field(description="when that face was seen")
    reason: str


class CarriedView(BaseModel):
    """What became of decisions, also of those that were made on an earlier run."""

    model_config = example(carried={"label": 41}, moved=3, lost=[_LOST])

    carried: dict[str, int] = Field(description="of each kind how many hold in the current run")
    moved: int = Field(description="pieces that are not what they were, and were found again")
    lost: list[LostView]


class Media(BaseModel):
    """Templates of signed URLs, relative to the API; they expire, so ask again within the hour."""

    model_config = example(
        thumb=f"/v1/media/episodes/{_EPISODE}/thumbs/{{det}}.webp?exp=…",
        crop=f"/v1/media/episodes/{_EPISODE}/crops/{{det}}.jpg?exp=…",
        known=f"/v1/media/episodes/{_EPISODE}/people/{{person}}.webp?exp=…",
        frame=f"/v1/media/episodes/{_EPISODE}/frames/{{ts}}.jpg?exp=…",
        video=f"/v1/media/episodes/{_EPISODE}/video?exp=…",
    )

    thumb: str = Field(description="put a det_id for {det}")
    crop: str = Field(description="likewise")
    known: str = Field(description="put a person_id for {person}: a face that the facebank keeps")
    frame: str = Field(description="put milliseconds for {ts}")
    video: str


class ReviewView(BaseModel):
    """All of a review but its faces."""

    model_config = example(
        episode_id=_EPISODE, revision=12, title="s01e01", show="My-Show",
        show_id="0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f", duration_ms=1_800_000, start_ms=0, width=1920,
        height=1080, fps=25.0, locked=False, undo=_UNDO, redo=None, entities=[_ENTITY],
        people=[{"person_id": _ADA, "name": "Ada Park"}], counts=_COUNTS, unresolved_ms=184_000,
        carried={"carried": {"label": 41}, "moved": 3, "lost": []}, published_revision=12,
        media={"thumb": "…", "crop": "…", "known": "…", "frame": "…", "video": "…"},
    )  # fmt: skip

    episode_id: IdField
    revision: int = Field(description="counts the edits; send it as If-Match")
    title: str
    show: str
    show_id: IdField
    duration_ms: int
    start_ms: int
    width: int
    height: int
    fps: float
    locked: bool
    undo: NextStep | None
    redo: NextStep | None
    entities: list[EntityView]
    people: list[KnownPerson] = Field(description="of the show, also those who are not in this episode")
    counts: Counts
    unresolved_ms: int = Field(description="time of groups that are neither named nor marked")
    carried: CarriedView
    published_revision: int = Field(description="what files and exports show; -1 where they are outdated")
    media: Media


class EditResult(BaseModel):
    """What an edit has changed, since the revision that the client had seen."""

    model_config = example(
        revision=13, edit=_EDIT, others=[], complete=False, entities=[_ENTITY], removed=[_GROUP],
        people=[{"person_id": _ADA, "name": "Ada Park"}], totals=[_TOTAL], counts=_COUNTS, undo=_UNDO,
        redo=None, unresolved_ms=180_000,
    )  # fmt: skip

    revision: int
    edit: EditView | None = Field(description="null where it changed nothing")
    others: list[EditView] = Field(description="what others have done since the client last looked")
    complete: bool = Field(description="`entities` are all there are; else those that have changed")
    entities: list[EntityView]
    removed: list[str] = Field(description="ids of entities that are no more")
    people: list[KnownPerson]
    totals: list[TotalView]
    counts: Counts
    undo: NextStep | None
    redo: NextStep | None
    unresolved_ms: int


class Changes(BaseModel):
    """Edits since a revision, oldest first."""

    model_config = example(revision=13, people_revision=4, items=[_EDIT])

    revision: int
    people_revision: int = Field(description="counts changes of the show's people, made in any episode")
    items: list[EditView]


class NewEdit(Body):
    """What to do. See the operations for what each wants."""

    model_config = body_example(operation=_OPERATION)

    operation: Operation

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, raw: Any) -> Any:
        return finite(raw)

    @model_validator(mode="after")
    def _plain(self) -> Self:
        plain(getattr(self.operation, "name", None) or "")
        return self


class WhichEdit(Body):
    """Which edit is to be undone."""

    model_config = body_example(number=12)

    number: int | None = Field(None, ge=1, le=2**31 - 1, description="the last one where left out")


class NoChoice(Body):
    """Nothing: what is redone is what was undone last."""

    model_config = body_example()
