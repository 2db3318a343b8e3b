"""Routes of exports: files for people outside."""

from fastapi import APIRouter

from services.access.signing import signed_url
from services.api import files
from services.api.deps import CallerDep, ServicesDep, SessionDep
from services.api.lookup import find_episode, paths_of
from services.api.newest import require_newest
from services.api.problems import responses
from services.api.routes.episodes import EpisodeId
from services.api.schemas.artifacts import ExportList, ExportView, NewExport
from services.api.schemas.jobs import JobView
from services.api.starting import JobStarterDep
from services.api.unit import UnitOfWork
from services.jobs import lifecycle

router = APIRouter(tags=["exports"], route_class=UnitOfWork)


@router.post(
    "/episodes/{episode_id}/exports", status_code=202, responses=responses(400, 401, 404, 409, 413, 422)
)
def create_export(
    episode_id: EpisodeId, body: NewExport, session: SessionDep, services: ServicesDep, caller: CallerDep,
    starter: JobStarterDep,
) -> JobView:  # fmt: skip
    """Write the totals and the timeline for people outside, as the review has them then.

    Answers the job that does it.
    """
    episode = find_episode(session, episode_id)
    require_newest(services, session, episode)
    params = {"format": body.format, "actor": caller.name}
    job = lifecycle.create(session, "export", user_id=caller.user_id, episode=episode, params=params)
    return starter.answer(job, caller)


@router.get("/episodes/{episode_id}/exports", responses=responses(401, 404, 422))
def list_exports(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, caller: CallerDep
) -> ExportList:
    """The exports that are there now, each with a URL that opens it for a while."""
    episode = find_episode(session, episode_id)
    media = f"/v1/media/episodes/{episode.id}/exports"
    items = [
        ExportView(
            name=path.name,
            format=path.suffix.removeprefix("."),
            size_bytes=path.stat().st_size,
            modified=files.modified(path),
            url=signed_url(services, caller, f"{media}/{path.name}"),
        )
        for path in files.export_files(paths_of(services, episode))
    ]
    return ExportList(items=items)
