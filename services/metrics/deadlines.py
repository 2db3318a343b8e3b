"""Whether jobs keep their time: how long one may take, from an episode's arrival to its results."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from services.db.models import Event, Job, StageRun, now
from services.metrics import tallies
from services.metrics.families import PACE_BOUNDS
from services.settings import DeadlineSettings

_LIVE: Final = ("queued", "running")
_STOPS: Final = ("paused", "cancelled", "failed")


def note_end(session: Session, job_id: str, cfg: DeadlineSettings) -> None:
    """Record how long a job has taken, in the transaction that ends it.

    One that waited for a person, or that found everything done, says nothing of the machines.
    """
    job = session.get(Job, job_id)
    if job is None or job.state != "done" or job.finished_at is None:
        return
    length_ms = max(r.total_ms for r in job.runs)
    worked = any(r.stage == "inference" and r.busy_s > 0 for r in job.runs)
    if not length_ms or not worked or session.scalar(select(_was_stopped(job.id))):
        return
    taken = job.finished_at - job.created_at
    pace = taken.total_seconds() / (length_ms / 1000)
    late = taken > _allowed(length_ms, cfg)
    adds = tallies.observed("job_pace_ratio", "", [pace], PACE_BOUNDS)
    tallies.add(session, {**adds, ("jobs_late", ""): float(late)})


def overdue(session: Session, cfg: DeadlineSettings) -> int:
    """How many jobs that run or wait are past their deadline."""
    moment = now()
    return sum(moment - since > _allowed(length_ms, cfg) for since, length_ms in _live(session))


def _live(session: Session) -> list[tuple[datetime, int]]:
    found = session.execute(
        select(Job.created_at, func.max(StageRun.total_ms))
        .join(StageRun, StageRun.job_id == Job.id)
        .where(Job.kind == "process", Job.state.in_(_LIVE), ~_was_stopped(Job.id))
        .group_by(Job.id, Job.created_at)
    )
    return [(row[0], row[1]) for row in found]


def _was_stopped(job_id: object) -> ColumnElement[bool]:
    return exists().where(Event.job_id == job_id, Event.kind.in_(_STOPS))


def _allowed(length_ms: int, cfg: DeadlineSettings) -> timedelta:
    """How long a job over so much video may take; before its length is known, the grace alone."""
    return timedelta(minutes=cfg.grace_minutes, milliseconds=length_ms * cfg.ratio)
