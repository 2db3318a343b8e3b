"""Routes of an episode's artifacts and crops: lists with URLs that open the files."""

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Query

from screenalyzer import storage
from services.access.sessions import Caller
from services.access.signing import signed_url
from services.api import files
from services.api.deps import CallerDep, ServicesDep, SessionDep
from services.api.lookup import find_episode, paths_of
from services.api.paging import Page, PagingDep, slice_page
from services.api.problems import responses
from services.api.routes.episodes import EpisodeId
from services.api.schemas.artifacts import ArtifactList, ArtifactView, CropView
from services.api.text import Plain
from services.api.unit import UnitOfWork
from services.context import Services

router = APIRouter(tags=["artifacts"], route_class=UnitOfWork)


@router.get("/episodes/{episode_id}/artifacts", responses=responses(401, 404, 422))
def list_artifacts(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, caller: CallerDep
) -> ArtifactList:
    """The files of an episode that are there now, each with a URL that opens it for a while."""
    episode = find_episode(session, episode_id)
    root, media = services.settings.root, f"/v1/media/episodes/{episode.id}"
    items = []
    for found in files.artifact_files(services, session, episode):
        place = "video" if found.kind == "video" else f"artifacts/{found.kind}/{found.part}"
        items.append(
            ArtifactView(
                kind=found.kind,
                path=found.path.relative_to(root).as_posix(),
                size_bytes=found.size_bytes,
                modified=found.modified,
                url=signed_url(services, caller, f"{media}/{place}"),
            )
        )
    return ArtifactList(items=items)


@router.get("/episodes/{episode_id}/crops", responses=responses(401, 404, 422))
def list_crops(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, caller: CallerDep, paging: PagingDep,
    track_id: Annotated[Plain | None, Query(description="only of this track")] = None,
) -> Page[CropView]:  # fmt: skip
    """The faces that were kept for people to look at, by track, then by time."""
    episode = find_episode(session, episode_id)
    paths = paths_of(services, episode)
    rows = sorted(files.samples(paths), key=_place)
    if track_id is not None:
        rows = [r for r in rows if r["track_id"] == track_id]
    kept, following = slice_page(rows, _place, paging)
    there = storage.names_there(paths.crops, [f"{files.det_of(row['crop_path'])}.jpg" for row in kept])
    items = [_crop(services, caller, episode.id, row, there) for row in kept]
    return Page(items=items, next=following)


def _place(row: dict[str, str]) -> str:
    """Where a sample stands in the list; unique, and the same after another run."""
    return f"{row['track_id']} {int(row['ts_ms']):+016d} {files.det_of(row['crop_path'])}"


def _crop(
    services: Services, caller: Caller, episode_id: str, row: dict[str, str], there: Collection[str]
) -> CropView:  # fmt: skip
    det_id = files.det_of(row["crop_path"])
    media, kept = f"/v1/media/episodes/{episode_id}", f"{det_id}.jpg" in there
    return CropView(
        det_id=det_id,
        track_id=row["track_id"],
        ts_ms=int(row["ts_ms"]),
        quality=float(row["quality"]),
        reason=row["reason"],
        url=signed_url(services, caller, f"{media}/crops/{det_id}.jpg") if kept else None,
        thumb_url=signed_url(services, caller, f"{media}/thumbs/{det_id}.webp") if kept else None,
    )
