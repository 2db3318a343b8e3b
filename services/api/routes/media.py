"""Routes of media: the bytes of videos, pictures, artifacts and exports, by token or by signed URL."""

from mimetypes import guess_type
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from screenalyzer.video.still import TALLEST
from services.access.signing import get_signed_caller
from services.api import files
from services.api.deps import ServicesDep, SessionDep
from services.api.lookup import find_episode, paths_of
from services.api.pictures import Pictures
from services.api.problems import responses
from services.api.routes.episodes import EpisodeId
from services.api.routes.people import PersonId
from services.api.schemas.artifacts import ArtifactKind
from services.api.serving import HARMLESS, PRIVATE, UNCHANGING, SentFile, file_responses, matches
from services.api.text import Id, Plain
from services.api.unit import UnitOfWork
from services.context import Services

router = APIRouter(
    prefix="/media/episodes/{episode_id}", tags=["media"], route_class=UnitOfWork,
    dependencies=[Depends(get_signed_caller)],
)  # fmt: skip

FARTHEST_MS: Final = 1 << 40  # 35 years

DetId = Annotated[Id, Path(description="of the detection", examples=["c3a1f0b2d4e56789a0b1c2d3e4f50617"])]

Moment = Annotated[
    int,
    Path(ge=-FARTHEST_MS, le=FARTHEST_MS, description="milliseconds on the source's clock", examples=[61200]),
]
Height = Annotated[
    int, Query(ge=240, le=TALLEST, description="pixels; higher frames are scaled down to it", examples=[720])
]
Part = Annotated[int, Path(ge=0, le=99_999, description="number of the part", examples=[0])]
ExportName = Annotated[Plain, Path(description="as the list has it", examples=["s01e01.xlsx"])]

_BINARY = {"type": "string", "format": "binary"}
_PICTURE = {**HARMLESS, "Content-Disposition": "inline"}
_ASK_AGAIN = "private, no-cache"  # another run writes another file under the same name
_OTHER = "application/octet-stream"
_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".png": "image/png",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_VIDEOS = ("video/*", _OTHER)
_ARTIFACTS = ("application/json", "application/jsonl", "text/csv", "video/*", _OTHER)
_EXPORTS = (*_TYPES.values(), _OTHER)


def _picture_responses(media_type: str) -> dict[int | str, dict[str, Any]]:
    """What a route documents that makes a picture."""
    return {
        200: {"description": "The picture", "content": {media_type: {"schema": _BINARY}}},
        304: {"description": "The client has it already"},
        **responses(401, 403, 404, 409, 410, 422),
    }


@router.head("/video", include_in_schema=False)
@router.get("/video", response_class=Response, responses=file_responses(*_VIDEOS))
def get_video(episode_id: EpisodeId, session: SessionDep, services: ServicesDep) -> Response:
    """The video file, whole or in ranges."""
    episode = find_episode(session, episode_id)
    path = files.artifact_file(services, session, episode, "video")
    headers = {"ETag": f'"{episode.video_sha256}"', "Cache-Control": PRIVATE}
    return SentFile(path, _video_type(path), headers, path.name, inline=True)


@router.head("/crops/{det_id}.jpg", include_in_schema=False)
@router.get("/crops/{det_id}.jpg", response_class=Response, responses=file_responses("image/jpeg"))
def get_crop(episode_id: EpisodeId, det_id: DetId, session: SessionDep, services: ServicesDep) -> Response:
    """A face with a margin, at most 160 pixels a side."""
    path = files.crop_file(paths_of(services, find_episode(session, episode_id)), det_id)
    return SentFile(path, "image/jpeg", {"Cache-Control": UNCHANGING}, path.name, inline=True)


@router.get("/thumbs/{det_id}.webp", response_class=Response, responses=_picture_responses("image/webp"))
async def get_thumb(episode_id: EpisodeId, det_id: DetId, session: SessionDep, request: Request) -> Response:
    """The same, at most 96 pixels a side and a few kilobytes."""
    pictures: Pictures = request.app.state.pictures
    data = await pictures.thumb(await pictures.place(session, episode_id), det_id)
    return Response(data, media_type="image/webp", headers={**_PICTURE, "Cache-Control": UNCHANGING})


@router.get("/people/{person_id}.webp", response_class=Response, responses=_picture_responses("image/webp"))
async def get_known_face(
    episode_id: EpisodeId, person_id: PersonId, session: SessionDep, request: Request
) -> Response:
    """A face of somebody of the show that the facebank keeps, at most 160 pixels a side."""
    pictures: Pictures = request.app.state.pictures
    paths = await pictures.place(session, episode_id)
    data = await pictures.known(session, paths, episode_id, person_id)
    return Response(data, media_type="image/webp", headers={**_PICTURE, "Cache-Control": _ASK_AGAIN})


@router.get("/frames/{ts_ms}.jpg", response_class=Response, responses=_picture_responses("image/jpeg"))
async def get_frame(
    episode_id: EpisodeId, ts_ms: Moment, session: SessionDep, services: ServicesDep, request: Request,
    height: Height = 720,
) -> Response:  # fmt: skip
    """The frame on screen at a moment, as displayed: the last that has begun by then.

    The `ts_ms` of a detection gives the very frame that it was found in.
    """
    pictures: Pictures = request.app.state.pictures
    paths = await pictures.place(session, episode_id)
    video, sha256 = await run_in_threadpool(_video, session, services, episode_id)
    headers = {**_PICTURE, "ETag": f'"{sha256[:16]}-{ts_ms}-{height}"', "Cache-Control": PRIVATE}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    data = await pictures.frame(paths, video, sha256, ts_ms, height)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.head("/artifacts/{kind}/{part}", include_in_schema=False)
@router.get("/artifacts/{kind}/{part}", response_class=Response, responses=file_responses(*_ARTIFACTS))
def get_artifact(
    episode_id: EpisodeId, kind: ArtifactKind, part: Part, session: SessionDep, services: ServicesDep
) -> Response:
    """An artifact of an episode; all but the detections have one part, number 0."""
    episode = find_episode(session, episode_id)
    path = files.artifact_file(services, session, episode, kind, part)
    media_type = _video_type(path) if kind == "video" else _TYPES.get(path.suffix, _OTHER)
    name = path.name if kind == "video" else f"{episode.name}-{path.name}"
    return SentFile(path, media_type, {"Cache-Control": _ASK_AGAIN}, name)


@router.head("/exports/{name}", include_in_schema=False)
@router.get("/exports/{name}", response_class=Response, responses=file_responses(*_EXPORTS))
def get_export(
    episode_id: EpisodeId, name: ExportName, session: SessionDep, services: ServicesDep
) -> Response:
    """A file that was exported, by its name in the list."""
    episode = find_episode(session, episode_id)
    path = files.export_file(session, episode, paths_of(services, episode), name)
    return SentFile(path, _TYPES.get(path.suffix, _OTHER), {"Cache-Control": _ASK_AGAIN}, path.name)


def _video(session: Session, services: Services, episode_id: str) -> tuple[FilePath, str]:
    """The video's file and digest."""
    episode = find_episode(session, episode_id)
    path, sha256 = files.artifact_file(services, session, episode, "video"), episode.video_sha256
    session.close()  # gives its connection back: decoding may take a while
    return path, sha256 or ""


def _video_type(path: FilePath) -> str:
    """By the name's ending; what is no video is sent as bytes, whatever its name says."""
    guessed = guess_type(path.name)[0] or ""
    return guessed if guessed.startswith("video/") else _OTHER
