"""Routes of episodes and their results."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import select
from starlette.responses import Response

from services.api import episodes, newest
from services.api.deps import (
    LOGGED_IN,
    AdminDep,
    CallerDep,
    PreconditionDep,
    ServicesDep,
    SessionDep,
    WarmerDep,
    mark,
)
from services.api.lookup import find_episode, find_show
from services.api.paging import Order, Page, PagingDep, read_page
from services.api.problems import ApiError, responses
from services.api.progress import say_whether_live
from services.api.schemas.episodes import (
    EpisodeChanges,
    EpisodeDetail,
    EpisodeState,
    EpisodeView,
    IntervalView,
    NewRun,
    TimelineView,
    TotalsView,
    TotalView,
)
from services.api.schemas.jobs import JobView
from services.api.starting import JobStarterDep
from services.api.text import Id
from services.api.unit import UnitOfWork
from services.db.models import ENDED, Episode, Job, Video
from services.jobs import lifecycle
from services.privacy.request import purge_episode

router = APIRouter(tags=["episodes"], route_class=UnitOfWork)

EpisodeId = Annotated[Id, Path(description="of the episode", examples=["5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978"])]

_NEWEST_FIRST = Order((Episode.created_at, Episode.id), descending=True)


@router.get("/episodes", dependencies=[LOGGED_IN], responses=responses(401, 404, 422))
def list_episodes(
    session: SessionDep, services: ServicesDep, paging: PagingDep, response: Response, warmer: WarmerDep,
    show_id: Annotated[Id | None, Query(description="only of this show")] = None,
    state: Annotated[EpisodeState | None, Query(description="only in this state")] = None,
) -> Page[EpisodeView]:  # fmt: skip
    """The episodes, newest first, each with its latest processing."""
    query = select(Episode)
    if show_id is not None:
        query = query.where(Episode.show_id == find_show(session, show_id).id)
    if state is not None:
        query = episodes.in_state(query, state)
    rows, following = read_page(session, query, _NEWEST_FIRST, paging)
    items, live = episodes.views(services, session, rows)
    say_whether_live(response, live)
    if show_id is not None:
        warmer.ask(*[e.id for e in items if e.state == "done"][:1])
    return Page(items=items, next=following)


@router.head("/episodes/{episode_id}", dependencies=[LOGGED_IN], include_in_schema=False)
@router.get("/episodes/{episode_id}", dependencies=[LOGGED_IN], responses=responses(401, 404, 422))
def get_episode(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, response: Response, warmer: WarmerDep
) -> EpisodeDetail:  # fmt: skip
    """An episode with its latest processing and the facts about its video."""
    episode = find_episode(session, episode_id)
    mark(response, episode)
    found, live = episodes.detail(services, session, episode)
    say_whether_live(response, live)
    warmer.ask(episode_id)
    return found


@router.patch(
    "/episodes/{episode_id}",
    dependencies=[LOGGED_IN],
    responses=responses(400, 401, 404, 409, 412, 413, 422, 428),
)
def change_episode(
    episode_id: EpisodeId, body: EpisodeChanges, session: SessionDep, services: ServicesDep,
    precondition: PreconditionDep, response: Response,
) -> EpisodeDetail:  # fmt: skip
    """Change the title. The name in paths stays."""
    episode = find_episode(session, episode_id, lock=True)
    precondition.check(episode)
    if body.title is not None:
        episode.title = body.title
        episode.revision += 1
    mark(response, episode)
    found, live = episodes.detail(services, session, episode)
    say_whether_live(response, live)
    return found


@router.delete(
    "/episodes/{episode_id}", status_code=202, responses=responses(400, 401, 403, 404, 409, 412, 413, 422)
)
def delete_episode(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, caller: AdminDep,
    precondition: PreconditionDep, starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Purge an episode: its video, crops, faces and results everywhere. Answers the job that does it."""
    episode = find_episode(session, episode_id)  # not locked: workers lock a job before its episode
    precondition.check(episode, required=False)
    return starter.answer(purge_episode(session, services, episode, caller), caller)


@router.post(
    "/episodes/{episode_id}/jobs", status_code=202, responses=responses(400, 401, 404, 409, 410, 413, 422)
)
def process_again(
    episode_id: EpisodeId, body: NewRun, session: SessionDep, services: ServicesDep, caller: CallerDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Process an episode again, with other settings where some are given.

    Only what they change is done anew. Refused while another job works on the episode.
    """
    episode = find_episode(session, episode_id, lock=True)
    busy = session.scalar(
        select(Job.id).where(
            Job.episode_id == episode.id, Job.kind.in_(("process", "purge")), Job.state.not_in(ENDED)
        )
    )
    if busy:
        raise ApiError(409, "busy", f"Job {busy} works on this episode. Wait for it, or cancel it.")
    video = session.get(Video, episode.video_sha256) if episode.video_sha256 else None
    if video is None:
        raise ApiError(409, "not-ready", "This episode has no video yet. Upload one first.")
    if not (services.settings.root / video.path).is_file():
        raise ApiError(410, "gone", "The video of this episode is kept no longer. Upload it again.")
    params = {"upload_id": None, "settings": body.changed(), "replace": False, "actor": caller.name}
    job = lifecycle.create(session, "process", user_id=caller.user_id, episode=episode, params=params)
    return starter.answer(job, caller)


@router.get(
    "/episodes/{episode_id}/timeline", dependencies=[LOGGED_IN], responses=responses(401, 404, 409, 422)
)
def get_timeline(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, warmer: WarmerDep
) -> TimelineView:  # fmt: skip
    """Who is on screen when, after the newest edit."""
    found = newest.timeline(services, session, find_episode(session, episode_id))
    warmer.ask(episode_id)
    items = [
        IntervalView(
            person=i.person,
            start_ms=i.span.start_ms,
            end_ms=i.span.end_ms,
            source=i.source,
            confidence=i.confidence,
        )
        for i in found.rows
    ]
    return TimelineView(**found.made_from(), items=items)


@router.get(
    "/episodes/{episode_id}/totals", dependencies=[LOGGED_IN], responses=responses(401, 404, 409, 422)
)
def get_totals(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep
) -> TotalsView:  # fmt: skip
    """Everyone's screen time, after the newest edit."""
    found = newest.totals(services, session, find_episode(session, episode_id))
    items = [
        TotalView(
            person=t.person,
            total_ms=t.total_ms,
            appearances=t.appearances,
            percent=t.percent,
            first_ms=t.first_ms,
            last_ms=t.last_ms,
        )
        for t in found.rows
    ]
    return TotalsView(**found.made_from(), items=items)
