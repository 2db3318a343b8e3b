"""Tables of figures about the work, made when something happens, so that whoever watches opens no file.

Numbers and hashes alone: no name of a person, a show or an episode stands in them.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from services.db.models import Base, now


class Tally(Base):
    """Something that is counted and never falls, whatever becomes of the rows that it was counted from."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float] = mapped_column(default=0.0)


class EpisodeFigures(Base):
    """What an episode's artifacts come to, as the last stage that made them counted; null is not counted yet.

    Of the review, see `screenalyzer.review.corrections`; of the audit log, `services.metrics.chains`.
    """

    __tablename__ = "episode_figures"
    __table_args__ = (Index("ix_episode_figures_reviewed", "reviewed_at"),)

    episode_id: Mapped[str] = mapped_column(ForeignKey("episodes.id", ondelete="CASCADE"), primary_key=True)
    frames: Mapped[int | None]
    faces: Mapped[int | None]
    tracks: Mapped[int | None]
    clusters: Mapped[int | None]
    low_conf_clusters: Mapped[int | None]
    low_conf_tracks: Mapped[int | None]
    guided: Mapped[bool] = mapped_column(default=False)  # clusters were made with decisions of people at hand
    actions: Mapped[int | None]  # edits, undos and redos
    reviewed_tracks: Mapped[int | None]
    moved_tracks: Mapped[int | None]
    reviewed_at: Mapped[datetime | None]
    audit_lines: Mapped[int] = mapped_column(default=0)
    audit_hash: Mapped[str | None] = mapped_column(String(64))  # of the last of these lines
    audit_kind: Mapped[str | None] = mapped_column(String(16))  # of the last verdict
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Finding(Base):
    """What a sweep has found, by what was looked at."""

    __tablename__ = "findings"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(default=now)
