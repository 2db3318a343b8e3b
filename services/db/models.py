"""Every table. Times are aware and in UTC; ids of rows are random, since nothing is derived from them."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from services.settings import QueueName

Role = Literal["admin", "analyst"]
JobKind = Literal["process", "export", "publish", "purge", "sweep"]
JobState = Literal["queued", "running", "pausing", "paused", "cancelling", "cancelled", "failed", "done"]
RunState = Literal["pending", "ready", "queued", "running", "done", "failed"]
UploadState = Literal["receiving", "received", "stored", "refused"]

ENDED = ("cancelled", "failed", "done")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware times; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse what has no zone, store the rest in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time for the database must know its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Say that it is UTC."""
        return (
            None if value is None else (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        )


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id."""
    return uuid4().hex


class Base(DeclarativeBase):
    """The tables' common root."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, int: BigInteger}  # noqa: RUF012


class User(Base):
    """Somebody who may log in."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str] = mapped_column(
        String(240), unique=True
    )  # casefolded: two names that look alike are one
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(Text)
    secret_hash: Mapped[str | None] = mapped_column(Text)  # of a one-time secret
    secret_until: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1)


class LoginSession(Base):
    """One login: an access token names it, its refresh token is replaced at each use."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    refresh_hash: Mapped[str] = mapped_column(String(64), unique=True)  # sha256 of the current refresh token
    # sha256 of the half that all its refresh tokens share: whoever knows it without the current one uses an
    # old one again, and that is theft.
    family_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="joined")


class LoginThrottle(Base):
    """Failed logins by user name or by address."""

    __tablename__ = "login_throttles"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    blocked_until: Mapped[datetime | None]
    failed_at: Mapped[datetime] = mapped_column(default=now)


class Show(Base):
    """A show."""

    __tablename__ = "shows"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(120), unique=True)  # as in paths
    title: Mapped[str] = mapped_column(String(240))  # as it was typed
    weight: Mapped[int] = mapped_column(Integer, default=1)  # its share of the machines, against other shows
    created_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1)
    people_revision: Mapped[int] = mapped_column(
        Integer, default=0, server_default="0"
    )  # counts changes of its people


class Video(Base):
    """A video file, once for each content."""

    __tablename__ = "videos"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    path: Mapped[str] = mapped_column(Text)  # below the data root
    size_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Episode(Base):
    """An episode of a show."""

    __tablename__ = "episodes"
    __table_args__ = (Index("ix_episodes_show_name", "show_id", "name", unique=True),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    show_id: Mapped[str] = mapped_column(ForeignKey("shows.id"))
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(240))
    video_sha256: Mapped[str | None] = mapped_column(
        ForeignKey("videos.sha256"), index=True
    )  # null until harvested
    created_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1)
    # Of the review, as its files show it; -1 where they are to be written again whatever it is, and below
    # that where only names have changed since: see `services.review.people.but_for_names`.
    published_revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")

    show: Mapped[Show] = relationship(lazy="joined")


class Person(Base):
    """Somebody of a show; see `screenalyzer.review.model.Person`."""

    __tablename__ = "people"
    __table_args__ = (Index("ix_people_show_name", "show_id", "name_key", unique=True),)

    show_id: Mapped[str] = mapped_column(ForeignKey("shows.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str] = mapped_column(String(360))  # casefolded
    into: Mapped[str | None] = mapped_column(String(36))  # whom they were found to be
    former: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Edit(Base):
    """A line of an episode's review log: see `screenalyzer.review.model.Entry`. Added, never changed."""

    __tablename__ = "edits"
    __table_args__ = (Index("ix_edits_episode_number", "episode_id", "number", unique=True),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    episode_id: Mapped[str] = mapped_column(ForeignKey("episodes.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(8))
    of: Mapped[int | None] = mapped_column(Integer)
    operation: Mapped[dict[str, Any]]
    changes: Mapped[list[list[Any]]] = mapped_column(JSON)  # key, before, after
    touches: Mapped[list[str]] = mapped_column(JSON)
    label: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    actor: Mapped[str] = mapped_column(String(120))  # user name
    created_at: Mapped[datetime] = mapped_column(default=now)


class Anchor(Base):
    """Where a piece that somebody decided on lay, and how it looked; see `review.carrying.anchors`."""

    __tablename__ = "anchors"

    episode_id: Mapped[str] = mapped_column(ForeignKey("episodes.id", ondelete="CASCADE"), primary_key=True)
    piece_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    data: Mapped[dict[str, Any]]


class Upload(Base):
    """A file on its way in."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    length: Mapped[int]
    offset: Mapped[int] = mapped_column(default=0)  # bytes that are safe on disk
    file_name: Mapped[str] = mapped_column(String(255))
    metadata_header: Mapped[str] = mapped_column(Text, default="")  # Upload-Metadata as it was sent
    show_id: Mapped[str] = mapped_column(ForeignKey("shows.id"))
    episode_name: Mapped[str] = mapped_column(String(120))
    replace: Mapped[bool] = mapped_column(default=False)
    sha256: Mapped[str | None] = mapped_column(String(64))  # noted before the file is moved
    state: Mapped[str] = mapped_column(String(16), default="receiving", index=True)
    problem: Mapped[str | None] = mapped_column(Text)  # why it was refused
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episodes.id", ondelete="SET NULL"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class Job(Base):
    """Work that goes through stages: an episode to process, an export, a purge, a sweep."""

    __tablename__ = "jobs"
    __table_args__ = (
        # At most one live job that writes an episode's artifacts.
        Index(
            "ix_jobs_live_episode",
            "episode_id",
            unique=True,
            sqlite_where=text(
                "kind in ('process', 'purge') and state not in ('cancelled', 'failed', 'done')"
            ),
            postgresql_where=text(
                "kind in ('process', 'purge') and state not in ('cancelled', 'failed', 'done')"
            ),
        ),
        # At most one live job that publishes an episode's review.
        Index(
            "ix_jobs_live_publish",
            "episode_id",
            unique=True,
            sqlite_where=text("kind = 'publish' and state not in ('cancelled', 'failed', 'done')"),
            postgresql_where=text("kind = 'publish' and state not in ('cancelled', 'failed', 'done')"),
        ),
        Index("ix_jobs_created", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episodes.id", ondelete="SET NULL"), index=True)
    show_id: Mapped[str | None] = mapped_column(ForeignKey("shows.id", ondelete="SET NULL"), index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    result: Mapped[dict[str, Any] | None]
    error: Mapped[str | None] = mapped_column(Text)  # for the user
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1)

    runs: Mapped[list["StageRun"]] = relationship(
        back_populates="job", order_by="StageRun.position", cascade="all, delete-orphan", lazy="selectin"
    )
    episode: Mapped[Episode | None] = relationship(lazy="selectin")
    show: Mapped[Show | None] = relationship(lazy="selectin")


class StageRun(Base):
    """One stage of a job.

    `attempt` is a fence: who was given attempt 2 cannot commit once attempt 3 has been given out.
    """

    __tablename__ = "stage_runs"
    __table_args__ = (
        Index("ix_stage_runs_job_position", "job_id", "position", unique=True),
        Index("ix_stage_runs_queue_state", "queue", "state"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    stage: Mapped[str] = mapped_column(String(16))
    queue: Mapped[QueueName] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="pending")
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    failures: Mapped[int] = mapped_column(Integer, default=0)  # attempts in a row that made no progress
    worker: Mapped[str | None] = mapped_column(String(64))
    not_before: Mapped[datetime] = mapped_column(default=now)
    dispatched_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]  # of the current attempt
    finished_at: Mapped[datetime | None]
    done_ms: Mapped[int] = mapped_column(default=0)  # milliseconds of video
    progressed_at: Mapped[datetime | None]  # when that last grew, or the attempt began
    total_ms: Mapped[int] = mapped_column(default=0)
    first_done_ms: Mapped[int] = mapped_column(default=0)  # where the current attempt began
    busy_s: Mapped[float] = mapped_column(default=0.0)  # over all attempts
    predicted_s: Mapped[float | None]  # what an ETA said at the start of the attempt
    eta_error: Mapped[float | None]  # (predicted - actual) / actual, once it is done
    error: Mapped[str | None] = mapped_column(Text)
    traceback: Mapped[str | None] = mapped_column(Text)

    job: Mapped[Job] = relationship(back_populates="runs")


class DeadLetter(Base):
    """A stage that was given up, with what it died of."""

    __tablename__ = "dead_letters"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    stage: Mapped[str] = mapped_column(String(16))
    queue: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(Text)
    traceback: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(default=now)


class Event(Base):
    """Something that happened to a job; ids ascend."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job", "job_id", "id"),)

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime] = mapped_column(default=now)


class IdempotencyKey(Base):
    """A mutation that was applied, and what was answered: the same key is answered the same again."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))  # of method, path and body
    status: Mapped[int] = mapped_column(Integer)
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
