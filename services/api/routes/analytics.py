"""Routes of figures over people and episodes, and of the picture of an episode's timeline."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from screenalyzer.plot import Ending, Theme
from screenalyzer.screentime import co_appearance, totals
from services.access.signing import get_signed_caller
from services.api import newest
from services.api.deps import LOGGED_IN, ServicesDep, SessionDep
from services.api.lookup import find_episode, find_show
from services.api.pictures import Pictures
from services.api.problems import responses
from services.api.routes.episodes import EpisodeId
from services.api.routes.shows import ShowId
from services.api.schemas.analytics import CoappearanceView, SeasonView
from services.api.season import season
from services.api.serving import HARMLESS
from services.api.unit import UnitOfWork

router = APIRouter(tags=["episodes"], route_class=UnitOfWork)

_TYPES: dict[str, str] = {"svg": "image/svg+xml", "png": "image/png"}
_PLOT = {"schema": {"type": "string", "format": "binary"}}


@router.get("/shows/{show_id}/totals", dependencies=[LOGGED_IN], responses=responses(401, 404, 409, 422))
def get_season(show_id: ShowId, session: SessionDep, services: ServicesDep) -> SeasonView:
    """Everyone's screen time in every episode of a show, after the newest edits."""
    return season(services, session, find_show(session, show_id))


@router.get(
    "/episodes/{episode_id}/coappearance", dependencies=[LOGGED_IN], responses=responses(401, 404, 409, 422)
)
def get_coappearance(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100, description="people, at most")] = 50,
) -> CoappearanceView:  # fmt: skip
    """How long each two people are on screen at the same time, after the newest edit."""
    found = newest.timeline(services, session, find_episode(session, episode_id))
    everybody = totals(found.rows, found.facts.duration_ms)
    people = {t.person: n for n, t in enumerate(everybody[:limit])}
    ms = [[0] * len(people) for _ in people]
    for total in everybody[:limit]:
        ms[people[total.person]][people[total.person]] = total.total_ms
    for pair in co_appearance(i for i in found.rows if i.person in people):
        a, b = people[pair.person_a], people[pair.person_b]
        ms[a][b] = ms[b][a] = pair.shared_ms
    return CoappearanceView(
        episode_id=found.episode_id, people=list(people), ms=ms, left_out=len(everybody) - len(people)
    )


@router.get(
    "/episodes/{episode_id}/plot.{ending}",
    response_class=Response,
    dependencies=[Depends(get_signed_caller)],
    responses={
        200: {"description": "The picture", "content": dict.fromkeys(_TYPES.values(), _PLOT)},
        **responses(401, 403, 404, 409, 422),
    },
)
async def get_plot(
    episode_id: EpisodeId, session: SessionDep, request: Request,
    ending: Annotated[Ending, Path(description="kind of picture", examples=["svg"])],
    theme: Annotated[Theme, Query(description="of the page")] = "light",
) -> Response:  # fmt: skip
    """The timeline of an episode as a picture, after the newest edit; by token or by signed URL."""
    pictures: Pictures = request.app.state.pictures
    data = await pictures.plot(session, episode_id, ending, theme)
    headers = {**HARMLESS, "Cache-Control": "private, no-cache", "Content-Disposition": "inline"}
    return Response(data, media_type=_TYPES[ending], headers=headers)
