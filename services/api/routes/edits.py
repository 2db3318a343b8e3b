"""Routes of the edits of a review: making them, taking them back, and following what others do."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from screenalyzer.errors import ArtifactError, EditRefusedError
from services.access.sessions import authenticate
from services.api import reviews
from services.api.deps import LOGGED_IN, CallerDep, PreconditionDep, ServicesDep, SessionDep, bearer
from services.api.lookup import find_episode
from services.api.paging import Page, PagingDep, decode, encode
from services.api.problems import ApiError, responses
from services.api.routes.episodes import EpisodeId
from services.api.schemas.review import Changes, EditResult, EditView, NewEdit, NoChoice, WhichEdit
from services.api.unit import UnitOfWork, commit
from services.context import Services
from services.db.models import Edit
from services.review import edits, lines
from services.review.edits import ConflictError, PurgeError, UnseenRevisionError, Wanted, WorkOut

router = APIRouter(tags=["review"], route_class=UnitOfWork, prefix="/episodes/{episode_id}/review")

_LOOK_EVERY_S = 0.25
_LONGEST_WAIT_S = 25
_LARGEST_NUMBER = 2**31 - 1
_LARGEST_CHANGES = 500
_TAG = re.compile(r'"(\d{1,9})(?:-[0-9a-f]+)?"')
_PROBLEMS = responses(400, 401, 404, 409, 412, 413, 422, 428)


async def warm(request: Request, services: ServicesDep, episode_id: EpisodeId) -> None:
    """Load the desk before the request's transaction begins; what goes wrong here is told by what follows."""
    await run_in_threadpool(_warm, services, bearer(request), episode_id)


def _warm(services: Services, token: str, episode_id: str) -> None:
    with services.database.read() as session:
        if authenticate(session, services.keyring, token) is None:
            return
    try:
        services.desks.warm(episode_id)
    except (ArtifactError, NoResultFound):
        return


@dataclass(frozen=True)
class Editing:
    """What every edit needs of its request."""

    request: Request
    session: SessionDep
    services: ServicesDep
    caller: CallerDep
    precondition: PreconditionDep

    def make(self, episode_id: str, work_out: WorkOut, refused: str = "refused") -> Response:
        """Apply an edit, commit it with its answer, and answer."""
        episode = find_episode(self.session, episode_id)
        wanted = Wanted(episode_id, episode.show_id, self.caller, _seen(self.precondition.header))
        with _told(refused), edits.made(self.services, self.session, wanted, work_out) as made:
            tag = {"ETag": f'"{made.held.revision}"'}
            answer = reviews.answer(reviews.result(made), 201 if made.line else 200, tag)
            commit(self.request, answer)
        return answer


async def get_editing(
    request: Request, session: SessionDep, services: ServicesDep, caller: CallerDep,
    precondition: PreconditionDep,
) -> Editing:  # fmt: skip
    """What a route that edits asks for."""
    return Editing(request, session, services, caller, precondition)


EditingDep = Annotated[Editing, Depends(get_editing)]
_EDIT: dict[str, Any] = {
    "response_model": EditResult,
    "status_code": 201,
    "dependencies": [Depends(warm)],
    "responses": {**_PROBLEMS, 200: {"model": EditResult, "description": "It changed nothing"}},
}


@router.post("/edits", **_EDIT)
def make_edit(episode_id: EpisodeId, body: NewEdit, editing: EditingDep) -> Response:
    """Decide something. It is kept for good, holds in every later run, and can be undone.

    If-Match is the revision that the decision was made on. Where somebody has edited since, it is applied all
    the same and `others` says what they did; unless they changed what it changes or relies on: then it is
    refused with 409 and code `conflict`.
    """
    return editing.make(episode_id, edits.operation(body.operation))


@router.post("/undo", **_EDIT)
def undo_edit(episode_id: EpisodeId, body: WhichEdit, editing: EditingDep) -> Response:
    """Take back the last edit that stands, or one that is named.

    Refused with 409 and code `undo-impossible` where later edits have built upon it; it says which.
    """
    return editing.make(episode_id, edits.undo(body.number), "undo-impossible")


@router.post("/redo", **_EDIT)
def redo_edit(episode_id: EpisodeId, body: NoChoice, editing: EditingDep) -> Response:  # noqa: ARG001 - none
    """Do once more what was undone last."""
    return editing.make(episode_id, edits.redo(), "undo-impossible")


@router.get("/edits", dependencies=[LOGGED_IN], responses=responses(401, 404, 422))
def list_edits(episode_id: EpisodeId, session: SessionDep, paging: PagingDep) -> Page[EditView]:
    """The log, newest first."""
    find_episode(session, episode_id)
    query = select(Edit).where(Edit.episode_id == episode_id).order_by(Edit.number.desc())
    if paging.cursor is not None:
        query = query.where(Edit.number < _number(paging.cursor))
    rows = session.scalars(query.limit(paging.limit + 1)).all()
    kept = [EditView(**reviews.edit(lines.line_of(r))) for r in rows[: paging.limit]]
    return Page(items=kept, next=encode([kept[-1].number]) if len(rows) > paging.limit else None)


@router.get("/changes", responses=responses(401, 404, 422))
async def follow_changes(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, caller: CallerDep,  # noqa: ARG001
    since: Annotated[int, Query(ge=0, le=_LARGEST_NUMBER, description="the revision that is known")] = 0,
    people_since: Annotated[
        int | None, Query(ge=0, le=_LARGEST_NUMBER, description="people_revision that is known; wakes up too")
    ] = None,
    wait_s: Annotated[float, Query(ge=0, le=_LONGEST_WAIT_S, description="for news, at most")] = 0,
) -> Changes:  # fmt: skip
    """The edits since a revision; waits for one where there is none yet."""
    await run_in_threadpool(find_episode, session, episode_id)
    await run_in_threadpool(session.close)
    deadline = time.monotonic() + wait_s
    while True:
        found = await run_in_threadpool(_changes, services, episode_id, since)
        left = deadline - time.monotonic()
        if found.items or left <= 0 or (people_since is not None and found.people_revision != people_since):
            return found
        await asyncio.sleep(min(left, _LOOK_EVERY_S))


def _changes(services: Services, episode_id: str, since: int) -> Changes:
    with services.database.read() as session:
        rows = session.scalars(
            select(Edit)
            .where(Edit.episode_id == episode_id, Edit.number > since)
            .order_by(Edit.number)
            .limit(_LARGEST_CHANGES)
        ).all()
        items = [EditView(**reviews.edit(lines.line_of(r))) for r in rows]
        revision = items[-1].number if items else lines.newest(session, episode_id)
        people_revision = lines.people_revision(session, episode_id)
    return Changes(revision=revision, people_revision=people_revision, items=items)


def _seen(header: str | None) -> int | None:
    """The revision in an If-Match; None for whatever it is.

    Raises:
        ApiError: 428 without one, 412 where it is no revision.
    """
    if header is None:
        raise ApiError(428, "if-match-required", "Send If-Match with the revision that you have read.")
    if header.strip() == "*":
        return None
    found = _TAG.fullmatch(header.strip())
    if found is None:
        raise ApiError(412, "stale", f"{header} is no revision of a review. Read it again.")
    return int(found[1])


@contextmanager
def _told(refused: str) -> Iterator[None]:
    """Why an edit was not made, as problems."""
    try:
        yield
    except ConflictError as e:
        raise ApiError(409, "conflict", str(e)) from e
    except UnseenRevisionError as e:
        raise ApiError(412, "stale", str(e)) from e
    except PurgeError as e:
        raise ApiError(409, "busy", str(e)) from e
    except EditRefusedError as e:
        raise ApiError(409, refused, str(e)) from e


def _number(cursor: str) -> int:
    match decode(cursor):
        case [int(number)] if abs(number) <= _LARGEST_NUMBER:
            return number
    raise ApiError(422, "bad-cursor", "This cursor is none of this list. Begin without one.")
