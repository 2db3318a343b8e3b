"""What SQL knows of an episode's review, as the record that its files begin with."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from screenalyzer.review.carrying.anchors import Anchor
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.record import ReviewRecord
from services.db import models
from services.metrics.counting import forget
from services.review import people
from services.review.lines import Line


def record_of(session: Session, episode_id: str, show_id: str, log: Sequence[Line]) -> ReviewRecord:
    """The record of an episode after all of its log."""
    return ReviewRecord(
        revision=log[-1].entry.number if log else 0,
        decisions=decisions_of(log).items(),
        people=tuple(people.of_show(session, show_id)),
        anchors=anchors_of(session, episode_id),
    )


def decisions_of(log: Iterable[Line]) -> Decisions:
    """What holds after all of a log."""
    return Decisions.replayed(line.entry for line in log)


def anchors_of(session: Session, episode_id: str) -> dict[str, Anchor]:
    """Where the pieces that were decided on lay, by piece."""
    rows = session.scalars(select(models.Anchor).where(models.Anchor.episode_id == episode_id))
    return {row.piece_id: Anchor.from_json(row.data) for row in rows}


def keep_anchors(session: Session, episode_id: str, anchors: dict[str, Anchor]) -> None:
    """Write down new ones."""
    rows = [
        {"episode_id": episode_id, "piece_id": p, "data": anchor.to_json()}
        for p, anchor in sorted(anchors.items())
    ]
    if rows:
        session.execute(insert(models.Anchor), rows)


def discard(session: Session, episode: models.Episode) -> None:
    """Forget every decision on an episode: its video was replaced, and they are about another one.

    It is published once it is processed, so that the facebank forgets the faces of that other video.
    """
    session.execute(delete(models.Edit).where(models.Edit.episode_id == episode.id))
    session.execute(delete(models.Anchor).where(models.Anchor.episode_id == episode.id))
    forget(session, episode.id)
    episode.published_revision = -1
