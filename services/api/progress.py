"""How far jobs are: the rows of SQL, made fresher by what Redis has of the stage that runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.api.schemas.jobs import DeadLetterView, JobSummary, JobView, StageView
from services.context import Services
from services.db.models import ENDED, DeadLetter, Job, StageRun, now
from services.jobs import eta
from services.jobs.board import Progress

MIRROR_HEADER = "Screenalyzer-Mirror"  # says "away" on an answer that is from SQL alone


@dataclass(frozen=True)
class Live:
    """What is known of some jobs beside their rows.

    Attributes:
        posts: from Redis, by job.
        there: whether Redis answered.
        paces: seconds of work for a second of video, by stage.
    """

    posts: Mapping[str, Progress]
    there: bool
    paces: Mapping[str, float]

    def done_ms(self, job: Job, run: StageRun) -> int:
        """Milliseconds of video that a run is through."""
        post = self.posts.get(job.id)
        if run.state != "running" or post is None or post["stage"] != run.stage:
            return run.done_ms
        return max(run.done_ms, post["done_ms"])


def look(services: Services, session: Session, jobs: Sequence[Job]) -> Live:
    """Ask Redis about the jobs that live; an absent one is no error."""
    living = [j.id for j in jobs if j.state not in ENDED]
    posts, there = services.board.read(living)
    return Live(posts, there, eta.paces(session) if living else {})


def say_whether_live(response: Response, live: Live) -> None:
    """Put it on the answer where Redis is away, and so all of it is from SQL."""
    if not live.there:
        response.headers[MIRROR_HEADER] = "away"


def summary(job: Job, live: Live) -> JobSummary:
    """A job in short."""
    return JobSummary(
        id=job.id,
        kind=job.kind,
        state=job.state,
        show=job.show.name if job.show else None,
        episode=job.episode.name if job.episode else None,
        progress=share_done(job, live),
        eta_s=_eta_s(job, live),
        error=job.error,
        created_at=job.created_at,
        finished_at=job.finished_at,
    )


def view(job: Job, live: Live, letters: Sequence[DeadLetter], tracebacks: bool) -> JobView:
    """A job with its stages.

    Args:
        job: with its runs.
        live: from `look`.
        letters: its own.
        tracebacks: whether the caller may see them.
    """
    return JobView(
        **summary(job, live).model_dump(),
        episode_id=job.episode_id,
        show_id=job.show_id,
        user_id=job.user_id,
        params=job.params,
        result=job.result,
        started_at=job.started_at,
        revision=job.revision,
        live=live.there,
        stages=[_stage(job, run, live) for run in job.runs],
        dead_letters=[letter(x, tracebacks) for x in letters],
    )


def letters_of(session: Session, jobs: Sequence[Job]) -> dict[str, list[DeadLetter]]:
    """The dead letters of some jobs, oldest first."""
    found: dict[str, list[DeadLetter]] = {j.id: [] for j in jobs}
    query = select(DeadLetter).where(DeadLetter.job_id.in_(found)).order_by(DeadLetter.at, DeadLetter.id)
    for row in session.scalars(query) if found else ():
        found[row.job_id].append(row)
    return found


def letter(row: DeadLetter, traceback: bool) -> DeadLetterView:
    """A dead letter, with or without its traceback."""
    return DeadLetterView(
        id=row.id,
        job_id=row.job_id,
        stage=row.stage,
        queue=row.queue,
        attempts=row.attempts,
        error=row.error,
        traceback=row.traceback if traceback else None,
        at=row.at,
    )


def share_done(job: Job, live: Live) -> float:
    """The done share of a job's work, 0..1; a stage weighs what it is foretold to take."""
    if job.state == "done":
        return 1.0
    length = max((r.total_ms for r in job.runs), default=0)
    parts = [_part(job, run, live, length) for run in job.runs]
    whole = sum(weight for weight, _ in parts)
    return min(1.0, sum(weight * share for weight, share in parts) / whole) if whole else 0.0


def _part(job: Job, run: StageRun, live: Live, length: int) -> tuple[float, float]:
    """Weight and done share of a run."""
    weight = eta.predict(run.stage, length, live.paces) if length else 1.0
    if run.state == "done":
        return weight, 1.0
    return weight, min(1.0, live.done_ms(job, run) / length) if length else 0.0


def _eta_s(job: Job, live: Live) -> float | None:
    if job.state in ENDED:
        return None
    running = next((r for r in job.runs if r.state == "running"), None)
    return eta.seconds_left(job, live.paces, live.done_ms(job, running) if running else None)


def _stage(job: Job, run: StageRun, live: Live) -> StageView:
    done_ms = live.done_ms(job, run)
    return StageView(
        stage=run.stage,
        queue=run.queue,
        state=run.state,
        attempt=run.attempt,
        failures=run.failures,
        done_ms=done_ms,
        total_ms=run.total_ms,
        speed=_speed(run, done_ms),
        started_at=run.started_at,
        finished_at=run.finished_at,
        predicted_s=run.predicted_s,
        eta_error=run.eta_error,
        error=run.error,
    )


def _speed(run: StageRun, done_ms: int) -> float | None:
    """Of this attempt while it runs, of all its work once it is done."""
    if run.state == "running":
        return eta.speed(run, done_ms, now())
    if run.state == "done" and run.busy_s > 0 and run.total_ms:
        return run.total_ms / 1000 / run.busy_s
    return None
