"""Routes of shows."""

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import select
from starlette.responses import Response

from screenalyzer.artifacts import clean_name
from services.api.deps import LOGGED_IN, AdminDep, CallerDep, PreconditionDep, ServicesDep, SessionDep, mark
from services.api.lookup import find_show
from services.api.paging import Order, Page, PagingDep, read_page
from services.api.problems import ApiError, responses
from services.api.schemas.jobs import JobView
from services.api.schemas.shows import NewShow, ShowChanges, ShowView
from services.api.starting import JobStarterDep
from services.api.text import Id
from services.api.unit import UnitOfWork
from services.db.models import Show
from services.privacy.request import purge_show

router = APIRouter(tags=["shows"], route_class=UnitOfWork)

ShowId = Annotated[Id, Path(description="of the show", examples=["0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f"])]

_BY_NAME = Order((Show.name,))


@router.get("/shows", dependencies=[LOGGED_IN], responses=responses(401, 422))
def list_shows(session: SessionDep, paging: PagingDep) -> Page[ShowView]:
    """The shows, by name."""
    rows, following = read_page(session, select(Show), _BY_NAME, paging)
    return Page(items=[ShowView.of(s) for s in rows], next=following)


@router.post(
    "/shows", dependencies=[LOGGED_IN], status_code=201, responses=responses(400, 401, 409, 413, 422)
)
def create_show(body: NewShow, session: SessionDep, response: Response) -> ShowView:
    """Create a show. Its name in paths is made of the title; a show of that name must not exist."""
    name = clean_name(body.title, "show")
    if session.scalar(select(Show.id).where(Show.name == name)):
        raise ApiError(
            409, "exists", f"There is a show {name!r} already. Choose another title, or use that one."
        )
    show = Show(name=name, title=body.title)
    session.add(show)
    session.flush()
    mark(response, show)
    response.headers["Location"] = f"/v1/shows/{show.id}"
    return ShowView.of(show)


@router.head("/shows/{show_id}", dependencies=[LOGGED_IN], include_in_schema=False)
@router.get("/shows/{show_id}", dependencies=[LOGGED_IN], responses=responses(401, 404, 422))
def get_show(show_id: ShowId, session: SessionDep, response: Response) -> ShowView:
    """A show."""
    show = find_show(session, show_id)
    mark(response, show)
    return ShowView.of(show)


@router.patch("/shows/{show_id}", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 428))
def change_show(
    show_id: ShowId, body: ShowChanges, session: SessionDep, caller: CallerDep,
    precondition: PreconditionDep, response: Response,
) -> ShowView:  # fmt: skip
    """Change the title, or, as an Admin, the weight. The name in paths stays."""
    if body.weight is not None and caller.role != "admin":
        raise ApiError(403, "not-allowed", "Only an Admin sets the weight of a show. Ask one.")
    show = find_show(session, show_id, lock=True)
    precondition.check(show)
    changes = body.model_dump(exclude_none=True)
    for field, value in changes.items():
        setattr(show, field, value)
    show.revision += 1 if changes else 0
    mark(response, show)
    return ShowView.of(show)


@router.delete(
    "/shows/{show_id}", status_code=202, responses=responses(400, 401, 403, 404, 409, 412, 413, 422)
)
def delete_show(
    show_id: ShowId, session: SessionDep, caller: AdminDep, services: ServicesDep,
    precondition: PreconditionDep, starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Purge a show with its episodes, videos, faces and results. Answers the job that does it."""
    show = find_show(session, show_id, lock=True)
    precondition.check(show, required=False)
    return starter.answer(purge_show(session, services, show, caller), caller)
