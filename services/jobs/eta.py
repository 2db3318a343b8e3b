"""How long is left, from measured speed: of this run once it moves, else of earlier runs of the stage."""

from collections.abc import Mapping
from datetime import datetime
from statistics import median

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.models import Job, StageRun, now

_MEMORY = 20
_MIN_SHARE = 0.02  # of a stage; before that its own speed says little
# Seconds of work for a second of video before anything was measured: two cores, no GPU.
_FIRST_GUESS: Mapping[str, float] = {"harvest": 0.01, "inference": 0.5, "tracking": 0.02}
_REST = 0.005


def paces(session: Session) -> dict[str, float]:
    """Seconds of work for a second of video, by stage: the median of the last runs."""
    found = {}
    for stage in session.scalars(select(StageRun.stage).distinct()):
        rows = session.execute(
            select(StageRun.busy_s, StageRun.total_ms)
            .where(
                StageRun.stage == stage, StageRun.state == "done", StageRun.total_ms > 0, StageRun.busy_s > 0
            )
            .order_by(StageRun.finished_at.desc())
            .limit(_MEMORY)
        ).all()
        if rows:
            found[stage] = median(busy_s / (total_ms / 1000) for busy_s, total_ms in rows)
    return found


def predict(stage: str, total_ms: int, known: Mapping[str, float]) -> float:
    """Seconds that a stage takes over so much video."""
    return known.get(stage, _FIRST_GUESS.get(stage, _REST)) * total_ms / 1000


def seconds_left(
    job: Job, known: Mapping[str, float], done_ms: int | None = None, at: datetime | None = None
) -> float | None:
    """Seconds until the job is done, once its length is known; waiting for a free worker is not in it.

    Args:
        job: with its runs.
        known: from `paces`.
        done_ms: of the run that is running, where fresher than its row.
        at: the moment to count from.
    """
    length = max((r.total_ms for r in job.runs), default=0)
    if not length:
        return None
    left = 0.0
    for run in job.runs:
        if run.state == "running":
            left += _running(run, length, known, run.done_ms if done_ms is None else done_ms, at or now())
        elif run.state != "done":
            left += predict(run.stage, length, known)
    return left


def speed(run: StageRun, done_ms: int, at: datetime) -> float | None:
    """Seconds of video a second of this attempt; None before there is anything to measure."""
    seconds = (at - run.started_at).total_seconds() if run.started_at else 0.0
    read = done_ms - run.first_done_ms
    return read / 1000 / seconds if seconds > 0 and read > 0 else None


def _running(run: StageRun, length: int, known: Mapping[str, float], done_ms: int, at: datetime) -> float:
    own = speed(run, done_ms, at) if done_ms - run.first_done_ms >= _MIN_SHARE * length else None
    if own:
        return max(0.0, (length - done_ms) / 1000 / own)
    elapsed = max(0.0, (at - run.started_at).total_seconds()) if run.started_at else 0.0
    whole = predict(run.stage, length - run.first_done_ms, known)
    return max(0.0, whole - elapsed)
