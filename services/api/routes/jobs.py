"""Routes of jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from services.access.sessions import Caller
from services.api.deps import (
    ADMIN_ONLY,
    LOGGED_IN,
    CallerDep,
    PreconditionDep,
    ServicesDep,
    SessionDep,
    WarmerDep,
    bearer,
    mark,
)
from services.api.events import LARGEST_PAGE, SSE, Follower
from services.api.lookup import find_job
from services.api.paging import Order, Page, PagingDep, read_page
from services.api.problems import ApiError, responses
from services.api.progress import letter, letters_of, look, say_whether_live, view
from services.api.schemas.jobs import DeadLetterView, EventPage, JobView, Retry
from services.api.starting import JobStarterDep
from services.api.text import Id
from services.api.unit import UnitOfWork
from services.db.models import ENDED, DeadLetter, Event, Job, JobKind, JobState
from services.jobs import lifecycle

router = APIRouter(tags=["jobs"], route_class=UnitOfWork)

JobId = Annotated[Id, Path(description="of the job", examples=["7b0c5d1e2f3a4b5c6d7e8f9a0b1c2d3e"])]

_NEWEST_FIRST = Order((Job.created_at, Job.id), descending=True)
_LAST_LETTER_FIRST = Order((DeadLetter.at, DeadLetter.id), descending=True)
_LONGEST_WAIT_S = 30
_LARGEST_ID = (1 << 53) - 1


async def get_wanted(
    state: Annotated[JobState | None, Query(description="only in this state")] = None,
    kind: Annotated[JobKind | None, Query(description="only of this kind")] = None,
    show_id: Annotated[Id | None, Query(description="only of this show")] = None,
    episode_id: Annotated[Id | None, Query(description="only of this episode")] = None,
) -> dict[str, str]:
    """What the jobs of a list have in common, by column."""
    asked = {"state": state, "kind": kind, "show_id": show_id, "episode_id": episode_id}
    return {k: v for k, v in asked.items() if v is not None}


@router.get("/jobs", responses=responses(401, 422))
def list_jobs(
    session: SessionDep, services: ServicesDep, caller: CallerDep, paging: PagingDep,
    wanted: Annotated[dict[str, str], Depends(get_wanted)], response: Response, warmer: WarmerDep,
) -> Page[JobView]:  # fmt: skip
    """The jobs, newest first. Those that publish reviews are many, and only shown where `kind` says so."""
    query = select(Job).filter_by(**wanted)
    if "kind" not in wanted:
        query = query.where(Job.kind != "publish")
    rows, following = read_page(session, query, _NEWEST_FIRST, paging)
    warmer.ask(*([wanted["episode_id"]] if rows and "episode_id" in wanted else []))
    return Page(items=_views(services, session, caller, response, rows), next=following)


@router.get("/jobs/dead", dependencies=[ADMIN_ONLY], responses=responses(401, 403, 422))
def list_dead_letters(session: SessionDep, paging: PagingDep) -> Page[DeadLetterView]:
    """Stages that were given up, with their tracebacks, newest first. For Admins."""
    rows, following = read_page(session, select(DeadLetter), _LAST_LETTER_FIRST, paging)
    return Page(items=[letter(r, traceback=True) for r in rows], next=following)


@router.head("/jobs/{job_id}", include_in_schema=False)
@router.get("/jobs/{job_id}", responses=responses(401, 404, 422))
def get_job(
    job_id: JobId, session: SessionDep, services: ServicesDep, caller: CallerDep, response: Response
) -> JobView:
    """A job: its state, its stages, how far it is and how long it takes.

    SQL is the truth; Redis has fresher progress. Where Redis is away the answer is from SQL alone, `live` is
    false, and the header Screenalyzer-Mirror says `away`.
    """
    job = find_job(session, job_id)
    mark(response, job)
    return _views(services, session, caller, response, [job])[0]


@router.post("/jobs/{job_id}/cancel", responses=responses(400, 401, 403, 404, 409, 412, 413, 422))
def cancel_job(
    job_id: JobId, session: SessionDep, caller: CallerDep, precondition: PreconditionDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """End a job within seconds. What is done is kept, and resume goes on from there."""
    return _act(job_id, lifecycle.cancel, (session, caller, precondition), starter)


@router.post("/jobs/{job_id}/pause", responses=responses(400, 401, 403, 404, 409, 412, 413, 422))
def pause_job(
    job_id: JobId, session: SessionDep, caller: CallerDep, precondition: PreconditionDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Stop a job at its next checkpoint, to be resumed."""
    return _act(job_id, lifecycle.pause, (session, caller, precondition), starter)


@router.post("/jobs/{job_id}/resume", responses=responses(400, 401, 403, 404, 409, 412, 413, 422))
def resume_job(
    job_id: JobId, session: SessionDep, caller: CallerDep, precondition: PreconditionDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Go on from the last checkpoint of a job that was paused, cancelled or given up."""
    return _act(job_id, lifecycle.resume, (session, caller, precondition), starter)


@router.post("/jobs/{job_id}/retry", responses=responses(400, 401, 403, 404, 409, 412, 413, 422))
def retry_stage(
    job_id: JobId, body: Retry, session: SessionDep, caller: CallerDep, precondition: PreconditionDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Do a stage again, and all after it. The job must have ended, or be paused."""

    def again(session: Session, job: Job) -> None:
        lifecycle.retry(session, job, body.stage)

    return _act(job_id, again, (session, caller, precondition), starter)


@dataclass(frozen=True)
class Asked:
    """Which events.

    Attributes:
        after: id of the last one that was read.
        limit: at most so many.
        wait: seconds to wait for one, at most.
        stream: they are to come as Server-Sent Events.
    """

    after: int
    limit: int
    wait: float
    stream: bool


async def get_asked(
    request: Request,
    after: Annotated[int, Query(ge=0, le=_LARGEST_ID, description="id of the last event that was read")] = 0,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="events, at most")] = 100,
    wait: Annotated[
        float, Query(ge=0, le=_LONGEST_WAIT_S, description="seconds to wait for an event, at most")
    ] = 0,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,15}$", description="SSE: like `after`, and before it")
    ] = None,
) -> Asked:
    """The parameters of both forms."""
    stream = SSE in request.headers.get("accept", "")
    begin = int(last_event_id) if stream and last_event_id is not None else after
    return Asked(begin, limit, wait, stream)


@router.get(
    "/jobs/{job_id}/events",
    dependencies=[LOGGED_IN],
    response_model=EventPage,
    responses={
        200: {
            "content": {SSE: {"schema": {"type": "string"}, "example": "id: 41\nevent: done\ndata: {…}\n\n"}}
        },
        204: {"description": "SSE only: the job has ended and there is nothing after Last-Event-ID"},
        **responses(401, 404, 422),
    },
)
async def get_events(
    job_id: JobId, request: Request, session: SessionDep, services: ServicesDep,
    asked: Annotated[Asked, Depends(get_asked)],
) -> Response:  # fmt: skip
    """What happened to a job since an event.

    With `Accept: text/event-stream` the events come as Server-Sent Events until the job has ended: `id` is
    the event's, `event` its kind, `data` the event; `progress` comes about once a second while a stage runs,
    and has no id. Else one page of JSON, at once, or with `wait` as soon as there is something.
    """
    over = await run_in_threadpool(_nothing_will_come, session, job_id, asked.after)
    follower = Follower(services, job_id, bearer(request), asked.after)
    if not asked.stream:
        page = await follower.page(asked.limit, asked.wait)
        return JSONResponse(page.model_dump(mode="json"))
    if over:
        return Response(status_code=204)  # tells an EventSource not to come back
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(follower.stream(), media_type=SSE, headers=headers)


def _nothing_will_come(session: Session, job_id: str, after: int) -> bool:
    """Whether a job has ended and its last event was read. Gives the connection back: what follows waits.

    Raises:
        ApiError: 404.
    """
    try:
        job = find_job(session, job_id)
        newer = select(Event.id).where(Event.job_id == job_id, Event.id > after).limit(1)
        return job.state in ENDED and session.scalar(newer) is None
    finally:
        session.close()


def _views(
    services: ServicesDep, session: Session, caller: Caller, response: Response, jobs: Sequence[Job]
) -> list[JobView]:  # fmt: skip
    live, letters = look(services, session, jobs), letters_of(session, jobs)
    say_whether_live(response, live)
    return [view(j, live, letters[j.id], tracebacks=caller.role == "admin") for j in jobs]


def _act(
    job_id: str, act: Callable[[Session, Job], Any], asked: tuple[Session, Caller, PreconditionDep],
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    session, caller, precondition = asked
    job = find_job(session, job_id, lock=True)
    if job.kind in {"purge", "sweep"} and caller.role != "admin":
        raise ApiError(403, "not-allowed", f"A {job.kind} is an Admin's. Ask one.")
    precondition.check(job, required=False)
    act(session, job)
    return starter.answer(job, caller)
