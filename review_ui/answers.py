"""What the service answers, as far as these pages read it. Times in milliseconds of the source's clock."""

from typing import Any, NotRequired, TypedDict


class User(TypedDict):
    """A user; `secret` only where one was just made."""

    id: str
    name: str
    role: str
    active: bool
    must_set_password: bool
    secret_until: str | None
    created_at: str
    revision: int
    secret: NotRequired[str | None]


class Show(TypedDict):
    """A show."""

    id: str
    name: str
    title: str
    weight: int
    created_at: str
    revision: int


class Facts(TypedDict):
    """What is known of a video."""

    duration_ms: int
    start_ms: int
    fps: float
    width: int
    height: int
    size_bytes: int
    shots: int | None


class Stage(TypedDict):
    """A stage of a job."""

    stage: str
    state: str
    attempt: int
    failures: int
    done_ms: int
    total_ms: int
    speed: float | None
    error: str | None


class JobSummary(TypedDict):
    """A job in short."""

    id: str
    kind: str
    state: str
    show: str | None
    episode: str | None
    progress: float
    eta_s: float | None
    error: str | None
    created_at: str
    finished_at: str | None


class Job(JobSummary):
    """A job."""

    episode_id: str | None
    show_id: str | None
    started_at: str | None
    result: dict[str, Any] | None
    revision: int
    live: bool
    stages: list[Stage]
    dead_letters: list[dict[str, Any]]


class Episode(TypedDict):
    """An episode; `facts` only where it was asked for alone."""

    id: str
    show_id: str
    show: str
    name: str
    title: str
    state: str
    created_at: str
    revision: int
    job: JobSummary | None
    facts: NotRequired[Facts | None]


class Upload(TypedDict):
    """A file on its way in."""

    id: str
    file_name: str
    show_id: str
    episode_name: str
    state: str
    offset: int
    length: int
    problem: str | None
    episode_id: str | None
    job_id: str | None
    created_at: str
    expires_at: str


class Person(TypedDict):
    """Somebody of a show."""

    person_id: str
    name: str
    face_count: int
    episodes: list[str]


class Interval(TypedDict):
    """Somebody is on screen."""

    person: str
    start_ms: int
    end_ms: int
    source: str
    confidence: float


class Total(TypedDict):
    """Somebody's screen time."""

    person: str
    total_ms: int
    appearances: int
    percent: float
    first_ms: int
    last_ms: int


class Timeline(TypedDict):
    """Everybody's intervals."""

    episode_id: str
    duration_ms: int
    start_ms: int
    rules_text: str
    items: list[Interval]


class Totals(TypedDict):
    """Everybody's screen time."""

    episode_id: str
    duration_ms: int
    start_ms: int
    rules_text: str
    items: list[Total]


class Coappearance(TypedDict):
    """Who is on screen together; on the diagonal a person's own screen time."""

    people: list[str]
    ms: list[list[int]]
    left_out: int


class SeasonEpisode(TypedDict):
    """An episode of a season; people without a name are in no row."""

    episode_id: str
    name: str
    title: str
    duration_ms: int
    unnamed: int
    unnamed_ms: int


class SeasonPerson(TypedDict):
    """Somebody's screen time, in all and in each episode."""

    person: str
    total_ms: int
    ms: list[int]


class SeasonTotals(TypedDict):
    """Everybody's screen time in every episode."""

    episodes: list[SeasonEpisode]
    people: list[SeasonPerson]
    waiting: list[dict[str, str]]


class Export(TypedDict):
    """A file for people outside."""

    name: str
    format: str
    size_bytes: int
    modified: str
    url: str


class Candidate(TypedDict):
    """Who somebody may be."""

    person_id: str
    name: str
    probability: float


class Entity(TypedDict):
    """A person, or a group that has no name yet."""

    entity_id: str
    kind: str
    group_ids: list[str]
    piece_count: int
    face_count: int
    name: str
    person_id: str | None
    screen_ms: int
    seen_ms: int
    rep_det_id: str | None
    auto: bool
    confidence: float
    known_from: int
    looks: int
    reviewed: float
    low_conf: bool
    reason: str
    mark: str | None
    locked: bool
    variance: float
    candidates: list[Candidate]


class Face(TypedDict):
    """A face that a picture is kept of."""

    det_id: str
    piece_id: str
    track_id: str
    entity_id: str
    ts_ms: int
    box: list[float]
    distance: float
    score: float
    pinned: bool


class MergeSuggestion(TypedDict):
    """Two entities that may be one person."""

    entity_a: str
    entity_b: str
    probability: float
    at_stake_ms: int
    rank: int
    name_a: str
    name_b: str
    rep_a: str | None
    rep_b: str | None


class Doubt(TypedDict):
    """Something to look at."""

    piece_ids: list[str]
    entity_id: str
    reason: str
    seconds: float
    uncertainty: float
    priority: float
    rep_det_id: str | None
    det_ids: list[str]
    ts_ms: int
    candidates: list[Candidate]


class Span(TypedDict):
    """An interval that was added or trimmed by hand."""

    id: str
    person_id: str
    name: str
    kind: str
    start_ms: int
    end_ms: int


class LoggedEdit(TypedDict):
    """An entry of the review's log."""

    number: int
    kind: str
    of: int | None
    label: str
    actor: str
    at: str


class NamedPerson(TypedDict):
    """A person's id and name."""

    person_id: str
    name: str


class Step(TypedDict):
    """What the next undo or redo is about."""

    number: int
    label: str


class Review(TypedDict):
    """The state of a review."""

    episode_id: str
    revision: int
    title: str
    show: str
    show_id: str
    duration_ms: int
    start_ms: int
    width: int
    height: int
    fps: float
    locked: bool
    undo: Step | None
    redo: Step | None
    entities: list[Entity]
    people: list[NamedPerson]
    counts: dict[str, int]
    unresolved_ms: int
    carried: dict[str, Any]
    published_revision: int
    media: dict[str, str]


class EditResult(TypedDict):
    """What an edit did."""

    revision: int
    edit: LoggedEdit | None
    others: list[LoggedEdit]
    complete: bool
    entities: list[Entity]
    removed: list[str]
    people: list[NamedPerson]
    totals: list[Total]
    counts: dict[str, int]
    undo: Step | None
    redo: Step | None
    unresolved_ms: int


class Change(TypedDict):
    """What was edited since a revision."""

    revision: int
    people_revision: int
    items: list[LoggedEdit]
