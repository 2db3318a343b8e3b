"""Who may run a stage, and what becomes of it: attempts are numbered, and only the latest may commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from services.db.models import DeadLetter, Job, StageRun, now
from services.jobs import eta
from services.jobs.lifecycle import advance, give_up, locked, note, settle
from services.metrics import tallies
from services.metrics.families import STAGE_BOUNDS
from services.settings import QueueName, QueueSettings

Wanted = Literal["run", "stop"]

_LIVE = {"queued", "running"}
_LONGEST_BACKOFF_S = 300.0


class Fenced(Exception):  # noqa: N818 - no error: another attempt has the run now
    """The run was given to somebody else; whatever this attempt did must not be recorded."""


@dataclass(frozen=True)
class Claim:
    """The right to run a stage.

    Attributes:
        run_id: of the stage run.
        attempt: the fence.
        job_id: of the job.
        kind: of the job.
        stage: to run.
        queue: it came from.
        params: of the job.
        user_id: who asked for the job.
        show: name of the show as in paths; empty where the job has none.
        episode: likewise.
        episode_id: of the row.
    """

    run_id: str
    attempt: int
    job_id: str
    kind: str
    stage: str
    queue: QueueName
    params: Mapping[str, Any] = field(default_factory=dict)
    user_id: str | None = None
    show: str = ""
    episode: str = ""
    episode_id: str | None = None


def claim(session: Session, run_id: str, worker: str, cfg: QueueSettings) -> Claim | None:
    """Take a run whose message was delivered; None where it is not to be run now, or not by this message."""
    found = _locked(session, run_id)
    if found is None:
        return None
    job, run = found
    if job.state not in _LIVE:
        return None
    orphan = run.state == "running" and _silent(run, cfg)
    if not (_lose(session, job, run, cfg) if orphan else run.state == "queued"):
        return None
    moment = now()
    if job.state == "queued":
        job.state, job.started_at = "running", job.started_at or moment
        job.revision += 1
    run.state, run.worker, run.attempt = "running", worker, run.attempt + 1
    run.started_at = run.heartbeat_at = run.progressed_at = moment
    run.first_done_ms = run.done_ms
    run.predicted_s = _predict(session, job, run)
    note(session, job, "stage-started", {"stage": run.stage, "attempt": run.attempt})
    return Claim(
        run_id=run.id, attempt=run.attempt, job_id=job.id, kind=job.kind, stage=run.stage,
        queue=run.queue, params=dict(job.params), user_id=job.user_id,
        show=job.show.name if job.show else "", episode=job.episode.name if job.episode else "",
        episode_id=job.episode_id,
    )  # fmt: skip


def beat(session: Session, mine: Claim, done_ms: int, total_ms: int) -> Wanted:
    """Show that the attempt lives and how far it is; returns what the job is wanted to do.

    Raises:
        Fenced: it was given to somebody else.
    """
    run = session.get(StageRun, mine.run_id, with_for_update=True, populate_existing=True)
    if run is None or run.attempt != mine.attempt or run.state != "running":
        raise Fenced
    run.heartbeat_at = now()
    if done_ms > run.done_ms:
        run.progressed_at = run.heartbeat_at
    run.done_ms, run.total_ms = done_ms, total_ms or run.total_ms
    state = session.scalar(select(Job.state).where(Job.id == mine.job_id))
    return "run" if state in _LIVE else "stop"


def complete(
    session: Session,
    mine: Claim,
    *,
    result: Mapping[str, Any] | None = None,
    length_ms: int = 0,
    skipped: bool = False,
) -> Job:
    """Record that the stage is done, and make the next one due.

    Counts also where the attempt was taken for dead meanwhile, as long as nobody else has begun another.

    Args:
        session: of the transaction.
        mine: the claim.
        result: added to the job's.
        length_ms: of the video, once it is known.
        skipped: it was done before; its time says nothing of the machine's speed.

    Raises:
        Fenced: the run was given to somebody else.
    """
    job, run = _mine(session, mine, revive=True)
    seconds = _spent(run)
    for each in job.runs if length_ms else ():
        each.total_ms = length_ms
    run.state, run.finished_at, run.error, run.traceback = "done", now(), None, None
    run.done_ms, run.failures = run.total_ms, 0
    run.busy_s = 0.0 if skipped else run.busy_s + seconds
    if not skipped:
        adds = tallies.observed("stage_duration_seconds", run.stage, [run.busy_s], STAGE_BOUNDS)
        tallies.add(session, {**adds, ("stage_video_seconds", run.stage): run.total_ms / 1000})
    if run.predicted_s and seconds > 0 and not skipped:
        run.eta_error = (run.predicted_s - seconds) / seconds
    note(session, job, "stage-done", {"stage": run.stage, "seconds": round(seconds, 3)})
    advance(session, job, run, result)
    return job


def fail(
    session: Session, mine: Claim, error: str, traceback: str, cfg: QueueSettings, *, final: bool
) -> Job:
    """Record that the attempt failed: to be tried again later, or given up.

    Args:
        session: of the transaction.
        mine: the claim.
        error: for the user, one line.
        traceback: for whoever mends it.
        cfg: attempts and backoff.
        final: another attempt would fail in the same way, as with a file that is no video.

    Raises:
        Fenced: the run was given to somebody else.
    """
    job, run = _mine(session, mine)
    run.busy_s += _spent(run)
    run.error, run.traceback = error, traceback
    run.failures = 1 if run.done_ms > run.first_done_ms else run.failures + 1
    _count_failure(session, run, "failed")
    if job.state not in _LIVE:
        settle(session, job)
    elif final:
        run.state = "failed"
        _count_failure(session, run, "refused")
        give_up(session, job, error)
    else:
        _try_later(session, job, run, cfg)
    return job


def wait(session: Session, mine: Claim, why: str, seconds: float) -> Job:
    """Put the run back for a while; nothing is wrong with it, something else must end first.

    Raises:
        Fenced: the run was given to somebody else.
    """
    job, run = _mine(session, mine)
    run.error = why
    if job.state not in _LIVE:
        settle(session, job)
        return job
    run.state, run.not_before = "ready", now() + timedelta(seconds=seconds)
    note(session, job, "stage-waits", {"stage": run.stage, "why": why})
    return job


def stopped(session: Session, mine: Claim) -> Job:
    """Record that the attempt has stopped as it was asked to.

    Raises:
        Fenced: the run was given to somebody else.
    """
    job, run = _mine(session, mine)
    run.busy_s += _spent(run)
    settle(session, job)
    run.state = "ready"  # also where a worker stops and the job goes on
    return job


def reap(session: Session, cfg: QueueSettings, worker: str | None = None) -> int:
    """Take back runs whose worker is gone.

    Args:
        session: of the transaction.
        cfg: says how long a silence is a death.
        worker: one that is known to have been started anew; whoever is silent, where None.

    Returns:
        How many.
    """
    gone = StageRun.worker == worker if worker else unheard(cfg)
    count = 0
    for run_id in session.scalars(select(StageRun.id).where(StageRun.state == "running", gone)).all():
        found = _locked(session, run_id)
        if found is None or found[1].state != "running" or not (worker or _silent(found[1], cfg)):
            continue
        count += 1
        if found[0].state in _LIVE:
            _lose(session, *found, cfg)
        else:
            settle(session, found[0])
    return count


def unheard(cfg: QueueSettings) -> ColumnElement[bool]:
    """Whether a running stage has been silent for its lease, for a query; see `_silent`."""
    moment, lease = now(), timedelta(seconds=cfg.lease_s)
    return or_(StageRun.heartbeat_at < moment - lease, StageRun.heartbeat_at > moment + lease)


def far_off() -> ColumnElement[bool]:
    """Whether a stage waits for a moment that no wait reaches to: the clock was set back meanwhile."""
    latest = now() + 2 * timedelta(seconds=_LONGEST_BACKOFF_S)
    waits = (StageRun.state == "ready") & (StageRun.not_before > latest)
    return or_(waits, (StageRun.state == "queued") & (StageRun.dispatched_at > latest))


def catch_up(session: Session) -> None:
    """Let what waits for a moment too far off wait no longer."""
    moment = now()
    session.execute(update(StageRun).where(far_off()).values(not_before=moment, dispatched_at=moment))


def _lose(session: Session, job: Job, run: StageRun, cfg: QueueSettings) -> bool:
    """A worker died: due again at once, unless it keeps dying of this; returns whether it is due."""
    run.error = _lost(run)
    run.busy_s += _heard(run)
    run.failures = 0 if run.done_ms > run.first_done_ms else run.failures + 1
    note(session, job, "worker-lost", {"stage": run.stage, "attempt": run.attempt})
    _count_failure(session, run, "lost")
    if run.failures >= cfg.max_attempts:
        _bury(session, job, run)
        return False
    run.state, run.not_before = "ready", now()
    return True


def _try_later(session: Session, job: Job, run: StageRun, cfg: QueueSettings) -> None:
    if run.failures >= cfg.max_attempts:
        _bury(session, job, run)
        return
    seconds = min(_LONGEST_BACKOFF_S, cfg.backoff_s * 2 ** (run.failures - 1))
    run.state, run.not_before = "ready", now() + timedelta(seconds=seconds)
    note(session, job, "stage-failed", {"stage": run.stage, "error": run.error, "again_in_s": seconds})


def _bury(session: Session, job: Job, run: StageRun) -> None:
    """Give a stage up, with what it died of."""
    error = run.error or "it failed"
    _count_failure(session, run, "given_up")
    session.add(
        DeadLetter(
            job_id=job.id, stage=run.stage, queue=run.queue, attempts=run.failures, error=error,
            traceback=run.traceback or "",
        )
    )  # fmt: skip
    run.state = "failed"
    give_up(
        session, job,
        f"{run.stage} failed {run.failures} times in a row, at last: {error}. "
        "An Admin sees the traceback; resume the job once the cause is mended.",
    )  # fmt: skip


def _count_failure(session: Session, run: StageRun, reason: str) -> None:
    tallies.add(session, {("stage_failures", f"{run.stage}/{reason}"): 1.0})


def _locked(session: Session, run_id: str) -> tuple[Job, StageRun] | None:
    job_id = session.scalar(select(StageRun.job_id).where(StageRun.id == run_id))
    job = locked(session, job_id) if job_id else None
    if job is None:
        return None
    session.refresh(job, ["runs"])
    run = next((r for r in job.runs if r.id == run_id), None)
    if run is None:
        return None
    session.refresh(run, with_for_update=True)
    return job, run


def _mine(session: Session, mine: Claim, *, revive: bool = False) -> tuple[Job, StageRun]:
    found = _locked(session, mine.run_id)
    if found is None or found[1].attempt != mine.attempt:
        raise Fenced
    if found[1].state != "running" and not (revive and _revive(*found)):
        raise Fenced
    return found


def _revive(job: Job, run: StageRun) -> bool:
    """Take back that the latest attempt was lost; returns whether that was the last that was said of it."""
    if job.state not in _LIVE or run.state not in {"ready", "queued"} or run.error != _lost(run):
        return False
    run.state = "running"
    run.busy_s = max(0.0, run.busy_s - _heard(run))
    return True


def _lost(run: StageRun) -> str:
    return f"the worker {run.worker} was lost while it ran attempt {run.attempt}"


def _heard(run: StageRun) -> float:
    """Seconds from the start of the attempt to its last word."""
    return max(0.0, ((run.heartbeat_at or now()) - (run.started_at or now())).total_seconds())


def _silent(run: StageRun, cfg: QueueSettings) -> bool:
    """A last word from the future is none: the clock was set back, and whoever lives speaks again at once."""
    return run.heartbeat_at is None or abs(now() - run.heartbeat_at) > timedelta(seconds=cfg.lease_s)


def _spent(run: StageRun) -> float:
    return max(0.0, (now() - run.started_at).total_seconds()) if run.started_at else 0.0


def _predict(session: Session, job: Job, run: StageRun) -> float | None:
    length = max((r.total_ms for r in job.runs), default=0)
    return eta.predict(run.stage, length - run.done_ms, eta.paces(session)) if length else None
