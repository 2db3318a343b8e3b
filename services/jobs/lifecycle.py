"""What may become of a job: every transition, as one function over the rows of one transaction.

    job   queued ─► running ─► done | failed
            │          └─► pausing ─► paused ─► queued
            └─► paused | cancelled ◄─ cancelling
    run   pending ─► ready ─► queued ─► running ─► done | failed
                       ▲─────────┴─────────┘  lost, paused, or tried again later

A run is `ready` when it is due from `not_before` on, `queued` when its message has been put into the stream.
Rows are locked job first, then run, so transitions take turns on PostgreSQL as they do on SQLite.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from screenalyzer.errors import JobStateError
from services.db.models import ENDED, Episode, Event, Job, JobKind, Show, StageRun, now
from services.jobs.plans import PLANS

_STOPPED = {"pausing": "paused", "cancelling": "cancelled"}


def create(
    session: Session, kind: JobKind, *, user_id: str | None, episode: Episode | None = None,
    show: Show | None = None, params: Mapping[str, Any] | None = None,
) -> Job:  # fmt: skip
    """A new job, due at once.

    Args:
        session: of the transaction; flushed, so that a second live job of an episode fails here.
        kind: says which stages.
        user_id: who asked.
        episode: what it works on, if on one.
        show: likewise; an episode's own where left out.
        params: plain JSON for its stages.

    Raises:
        IntegrityError: the episode has a live job that writes its artifacts.
    """
    job = Job(
        kind=kind,
        user_id=user_id,
        episode_id=episode.id if episode else None,
        show_id=episode.show_id if episode else (show.id if show else None),
        params=dict(params or {}),
    )
    job.runs = [
        StageRun(position=n, stage=stage, queue=queue, state="pending" if n else "ready")
        for n, (stage, queue) in enumerate(PLANS[kind])
    ]
    session.add(job)
    session.flush()
    note(session, job, "created", {"kind": kind})
    return job


def locked(session: Session, job_id: str) -> Job | None:
    """The job, held against other transactions until the end of this one."""
    found = (
        select(Job).where(Job.id == job_id).with_for_update(of=Job).execution_options(populate_existing=True)
    )
    return session.scalar(found)


def pause(session: Session, job: Job) -> None:
    """Stop at the next checkpoint, to be resumed. Takes hold at once where nothing runs.

    Raises:
        JobStateError: it has ended or is being cancelled.
    """
    if job.state in {"paused", "pausing"}:
        return
    if job.state not in {"queued", "running"}:
        raise JobStateError(f"job {job.id} is {job.state} and cannot be paused. Resume it first.")
    _stop(session, job, "pausing")


def cancel(session: Session, job: Job) -> None:
    """End it; what is done is kept, and `resume` goes on from there.

    Raises:
        JobStateError: it has ended otherwise.
    """
    if job.state in {"cancelled", "cancelling"}:
        return
    if job.state in ENDED:
        raise JobStateError(f"job {job.id} is {job.state}: there is nothing to cancel.")
    _stop(session, job, "cancelling")


def resume(session: Session, job: Job) -> None:
    """Go on from the last checkpoint.

    Raises:
        JobStateError: it is not stopped.
        IntegrityError: another job of the episode has begun since.
    """
    if job.state in {"queued", "running"}:
        return
    if job.state in {"done", "cancelling"}:
        raise JobStateError(f"job {job.id} is {job.state} and cannot be resumed. Start another one.")
    if job.state == "pausing":
        _move(session, job, "running")
        return
    _make_due(session, job, next(r for r in job.runs if r.state != "done"))


def retry(session: Session, job: Job, stage: str) -> None:
    """Do a stage again, and all after it.

    Raises:
        JobStateError: the job is live, or has no such stage, or has not come so far.
    """
    run = next((r for r in job.runs if r.stage == stage), None)
    if run is None:
        known = ", ".join(r.stage for r in job.runs)
        raise JobStateError(f"job {job.id} has no stage {stage!r}; its stages are {known}.")
    if job.state not in {*ENDED, "paused"}:
        raise JobStateError(f"job {job.id} is {job.state}. Pause or cancel it before a stage is done again.")
    if any(r.state != "done" for r in job.runs[: run.position]):
        raise JobStateError(f"job {job.id} has not come to {stage} yet. Resume it instead.")
    for later in job.runs[run.position :]:
        later.state, later.done_ms, later.eta_error = "pending", 0, None
    job.params = {**job.params, "redo": stage}
    _make_due(session, job, run)


def advance(session: Session, job: Job, run: StageRun, result: Mapping[str, Any] | None) -> None:
    """A run has ended well: make the next one due, or end the job."""
    if result:
        job.result = {**(job.result or {}), **result}
    if job.params.get("redo") == run.stage:
        job.params = {k: v for k, v in job.params.items() if k != "redo"}
    following = next((r for r in job.runs if r.position == run.position + 1), None)
    if following is None:
        job.error = None
        _move(session, job, "done")
        return
    following.state, following.not_before, following.failures = "ready", now(), 0
    if job.state in _STOPPED:
        _move(session, job, _STOPPED[job.state])


def settle(session: Session, job: Job) -> None:
    """What was asked to stop has stopped."""
    for run in job.runs:
        if run.state in {"queued", "running"}:
            run.state = "ready"
    if job.state in _STOPPED:
        _move(session, job, _STOPPED[job.state])


def give_up(session: Session, job: Job, error: str) -> None:
    """End the job as failed; the message is for the user."""
    job.error = error
    _move(session, job, "failed")


def note(session: Session, job: Job, kind: str, data: Mapping[str, Any]) -> None:
    """Keep an event."""
    session.add(Event(job_id=job.id, kind=kind, data=dict(data)))


def _stop(session: Session, job: Job, state: str) -> None:
    if any(r.state == "running" for r in job.runs):
        _move(session, job, state)
        return
    job.state = state
    settle(session, job)


def _make_due(session: Session, job: Job, run: StageRun) -> None:
    run.state, run.not_before, run.failures, run.error, run.traceback = "ready", now(), 0, None, None
    job.error, job.finished_at = None, None
    _move(session, job, "queued")
    session.flush()


def _move(session: Session, job: Job, state: str) -> None:
    job.state = state
    job.revision += 1
    if state in ENDED:
        job.finished_at = now()
    note(session, job, state, {"error": job.error} if state == "failed" else {})
