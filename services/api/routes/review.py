"""Routes of an episode's review: what is seen in it, and what there is to look at."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.operations import LARGEST_SUBJECT
from services.api import reviews
from services.api.deps import LOGGED_IN, CallerDep, ServicesDep, SessionDep
from services.api.lookup import find_episode
from services.api.media_urls import media_templates
from services.api.problems import not_found, responses
from services.api.routes.episodes import EpisodeId
from services.api.schemas.review import (
    DoubtList,
    FaceList,
    FaceSample,
    ReviewView,
    SpanList,
    SuggestionList,
)
from services.api.text import Plain
from services.api.unit import UnitOfWork
from services.context import Services
from services.review.desks import Glance, Open

router = APIRouter(tags=["review"], route_class=UnitOfWork, prefix="/episodes/{episode_id}/review")

_READ = responses(401, 404, 409, 422)
_LARGEST_SEED = 2**31 - 1


@router.get("", response_model=ReviewView, responses={**_READ, 304: {"description": "Nothing has changed"}})
def get_review(
    episode_id: EpisodeId, request: Request, session: SessionDep, services: ServicesDep, caller: CallerDep
) -> Response:
    """Who is seen in an episode, and what there is to do.

    The ETag begins with the revision; send it, or the revision, as If-Match with an edit.
    """
    media = media_templates(services, caller, find_episode(session, episode_id))
    glance = services.desks.glance(session, episode_id)
    glance.require()
    headers = _headers(glance, media)
    if headers["ETag"] in {t.strip() for t in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    with _open(session, services, episode_id) as held:
        return reviews.answer(reviews.review(held, media), headers=_headers(held.glance, media))


@router.get("/entities/{entity_id}/faces", response_model=FaceList, dependencies=[LOGGED_IN], responses=_READ)
def list_faces(
    episode_id: EpisodeId, entity_id: Plain, session: SessionDep, services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=LARGEST_SUBJECT, description="faces, at most")] = 1000,
    offset: Annotated[int, Query(ge=0, le=_LARGEST_SEED, description="how many to leave out")] = 0,
) -> Response:  # fmt: skip
    """The faces of an entity that a picture is kept of, the one farthest from the rest first."""
    find_episode(session, episode_id)
    with _open(session, services, episode_id) as held:
        try:
            total = held.desk.entity(entity_id).face_count
            faces = held.desk.faces(entity_id, slice(offset, offset + limit))
        except EditRefusedError as e:
            raise not_found("entity", entity_id, "Read the review again.") from e
    return reviews.answer({"items": faces, "total": total})


@router.get("/doubts", response_model=DoubtList, dependencies=[LOGGED_IN], responses=_READ)
def list_doubts(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=LARGEST_SUBJECT, description="doubts, at most")] = 200,
) -> Response:  # fmt: skip
    """What is most worth to be looked at, by seconds times uncertainty, and unlike what comes before it."""
    find_episode(session, episode_id)
    with _open(session, services, episode_id) as held:
        return reviews.answer({"items": held.desk.doubts()[:limit]})


@router.get("/suggestions", response_model=SuggestionList, dependencies=[LOGGED_IN], responses=_READ)
def list_suggestions(episode_id: EpisodeId, session: SessionDep, services: ServicesDep) -> Response:
    """Pairs that may be one person, by the seconds at stake times the probability."""
    find_episode(session, episode_id)
    with _open(session, services, episode_id) as held:
        return reviews.answer({"items": held.desk.suggestions()})


@router.get("/sample", response_model=FaceSample, dependencies=[LOGGED_IN], responses=_READ)
def get_sample(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep,
    count: Annotated[int, Query(ge=1, le=1000, description="faces, at most")] = 20,
    seed: Annotated[int, Query(ge=0, le=_LARGEST_SEED, description="the same gives the same faces")] = 0,
) -> Response:  # fmt: skip
    """Faces by chance of what the facebank named and nobody has looked at; longer ones more often."""
    find_episode(session, episode_id)
    with _open(session, services, episode_id) as held:
        return reviews.answer({"items": held.desk.sample(count, seed)})


@router.get("/spans", response_model=SpanList, dependencies=[LOGGED_IN], responses=_READ)
def list_spans(episode_id: EpisodeId, session: SessionDep, services: ServicesDep) -> Response:
    """Times that were added to people by hand, or taken away from them."""
    find_episode(session, episode_id)
    with _open(session, services, episode_id) as held:
        return reviews.answer({"items": reviews.spans(held)})


@contextmanager
def _open(session: Session, services: Services, episode_id: str) -> Iterator[Open]:
    """The desk. While it is waited for, the session gives its connection back; then it sees what is new."""
    session.close()
    with services.desks.open(session, episode_id) as held:
        yield held


def _headers(glance: Glance, media: Mapping[str, str]) -> dict[str, str]:
    parts = (glance.made_from, glance.people_revision, glance.published, glance.title, sorted(media.items()))
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return {"ETag": f'"{glance.revision}-{digest}"', "Cache-Control": "private, no-cache"}
