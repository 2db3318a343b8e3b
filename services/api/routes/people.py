"""Routes of the people of a show."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import StringConstraints
from sqlalchemy import select

from screenalyzer import facebank
from screenalyzer.errors import ArtifactError
from services.api.deps import LOGGED_IN, AdminDep, ServicesDep, SessionDep
from services.api.lookup import find_show
from services.api.paging import Page, PagingDep, slice_page
from services.api.problems import ApiError, not_found, responses
from services.api.routes.shows import ShowId
from services.api.schemas.jobs import JobView
from services.api.schemas.people import PersonView
from services.api.starting import JobStarterDep
from services.api.unit import UnitOfWork
from services.context import Services
from services.db.models import Episode, Show
from services.privacy.people import ShowPerson, people_of, rows_of
from services.privacy.request import purge_person
from services.review.people import of_show

router = APIRouter(tags=["people"], route_class=UnitOfWork)

PersonId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    Path(description="of the person", examples=["0b8a9c1e-64a5-5d0f-9a3e-2f1d5c7b8e90"]),
]


@router.get("/shows/{show_id}/people", dependencies=[LOGGED_IN], responses=responses(401, 404, 409, 422))
def list_people(
    show_id: ShowId, session: SessionDep, services: ServicesDep, paging: PagingDep
) -> Page[PersonView]:  # fmt: skip
    """Everybody who has a name in the show, by name."""
    people = _people(session, services, find_show(session, show_id))
    items, following = slice_page(people, lambda p: p.name, paging)
    return Page(items=[PersonView.of(p) for p in items], next=following)


@router.delete(
    "/shows/{show_id}/people/{person_id}",
    status_code=202,
    responses=responses(400, 401, 403, 404, 409, 413, 422),
)
def delete_person(
    show_id: ShowId, person_id: PersonId, session: SessionDep, caller: AdminDep, services: ServicesDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Purge a person from the show: faces, crops, embeddings and screen time, in every episode.

    Answers the job that does it.
    """
    show = find_show(session, show_id, lock=True)
    if not _is_there(session, services, show, person_id):
        raise not_found("person", person_id, f"List them with GET /v1/shows/{show_id}/people.")
    return starter.answer(purge_person(session, show, person_id, caller), caller)


def _is_there(session: SessionDep, services: Services, show: Show, person_id: str) -> bool:
    """Whether the id is of anybody: of a row, or derived from a name that somebody bears."""
    if rows_of(session, show.id, person_id):
        return True
    return any(
        person_id in {p.person_id, facebank.person_id(p.name.strip())}
        for p in _people(session, services, show)
    )


def _people(session: SessionDep, services: Services, show: Show) -> list[ShowPerson]:
    episodes = session.scalars(select(Episode.name).where(Episode.show_id == show.id)).all()
    try:
        return people_of(services.settings.root, show.name, episodes, of_show(session, show.id))
    except ArtifactError as e:
        raise ApiError(409, "damaged", str(e)) from e
