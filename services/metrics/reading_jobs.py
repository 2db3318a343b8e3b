"""Figures of jobs, queues, foretold times and uploads, read from their rows."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from services.db.models import ENDED, DeadLetter, Job, StageRun, Upload, Video, now
from services.jobs import eta
from services.jobs.plans import QUEUES
from services.metrics.deadlines import overdue
from services.metrics.values import Rows, Values, counts
from services.settings import ServiceSettings

_WAITING: Final = ("ready", "queued", "running")
_RECENT: Final = 100  # foretold times that the error is taken over, a stage


def jobs(session: Session, settings: ServiceSettings) -> Values:
    """Jobs by kind and state, those that are late, stages that were given up, workers at work."""
    horizon = now() - timedelta(seconds=2 * settings.queues.lease_s)
    busy = select(func.count(StageRun.worker.distinct())).where(
        StageRun.state == "running", StageRun.heartbeat_at > horizon
    )
    dead = (
        select(DeadLetter.queue, func.count()).join(Job, Job.id == DeadLetter.job_id)
        .where(Job.state == "failed").group_by(DeadLetter.queue)
    )  # fmt: skip
    letters = {row[0]: row[1] for row in session.execute(dead)}
    return {
        "jobs": counts(session, Job.kind, Job.state),
        "jobs_overdue": {(): float(overdue(session, settings.deadline))},
        "dead_letters": {(q,): float(letters.get(q, 0)) for q in QUEUES},
        "workers_busy": {(): float(session.scalar(busy) or 0)},
    }


def queues(session: Session) -> Values:
    """Depth and ages over the runs of jobs that live: those of a paused job wait for a person."""
    alive = [StageRun.state.in_(_WAITING), Job.state.not_in((*ENDED, "paused"))]
    rows = session.execute(
        select(
            StageRun.queue, StageRun.state, func.count(), func.min(StageRun.not_before),
            func.min(func.coalesce(StageRun.progressed_at, StageRun.started_at)),
        )
        .join(Job).where(*alive).group_by(StageRun.queue, StageRun.state)
    ).all()  # fmt: skip
    depth = {(queue, state): float(count) for queue, state, count, *_ in rows}
    due: dict[str, float] = {}
    silent: dict[str, float] = {}
    for queue, state, _, not_before, progressed_at in rows:
        ages, since = (silent, progressed_at) if state == "running" else (due, not_before)
        ages[queue] = max(ages.get(queue, 0.0), _age_s(since))
    return {
        "queue_runs": {(q, s): depth.get((q, s), 0.0) for q in QUEUES for s in _WAITING},
        "queue_oldest_seconds": {(q,): due.get(q, 0.0) for q in QUEUES},
        "queue_silent_seconds": {(q,): silent.get(q, 0.0) for q in QUEUES},
        "queue_video_speed_ratio": _speeds(session),
    }


def _speeds(session: Session) -> Rows:
    """Of all attempts that run, each since it began."""
    found: Rows = {(q,): 0.0 for q in QUEUES}
    moment = now()
    for run in session.scalars(select(StageRun).where(StageRun.state == "running")):
        found[run.queue,] += eta.speed(run, run.done_ms, moment) or 0.0
    return found


def eta_errors(session: Session) -> Values:
    """Over the last predictions: mean of the error, which shows a bias, and of its size."""
    turn: ColumnElement[int] = func.row_number().over(
        partition_by=StageRun.stage, order_by=StageRun.finished_at.desc()
    )
    known = (
        select(StageRun.stage, StageRun.eta_error, turn.label("turn"))
        .where(StageRun.eta_error.is_not(None))
        .subquery()
    )
    rows = session.execute(
        select(known.c.stage, func.avg(known.c.eta_error), func.avg(func.abs(known.c.eta_error)))
        .where(known.c.turn <= _RECENT)
        .group_by(known.c.stage)
    ).all()
    return {
        "eta_error_ratio": {(stage,): float(mean) for stage, mean, _ in rows},
        "eta_error_size_ratio": {(stage,): float(size) for stage, _, size in rows},
    }


def uploads(session: Session) -> Values:
    """Uploads by state, and the bytes of uploads and videos."""
    rows = session.execute(
        select(Upload.state, func.count(), func.sum(Upload.offset)).group_by(Upload.state)
    ).all()
    videos = session.scalar(select(func.sum(Video.size_bytes)))
    return {
        "uploads": {(state,): float(count) for state, count, _ in rows},
        "upload_bytes": {(state,): float(size) for state, _, size in rows},
        "video_bytes": {(): float(videos or 0)},
    }


def _age_s(since: datetime | None) -> float:
    return max(0.0, (now() - since).total_seconds()) if since else 0.0
