"""Routes of uploads: the tus protocol 1.0.0, and what is on its way as JSON."""

from functools import partial
from typing import Annotated, Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.access.sessions import Caller
from services.api.deps import CallerDep, ServicesDep, SessionDep, get_caller
from services.api.paging import Order, Page, PagingDep, read_page
from services.api.problems import ApiError, responses
from services.api.schemas.uploads import UploadView
from services.api.text import Id
from services.api.unit import UnitOfWork
from services.context import Services
from services.db.models import Upload, UploadState
from services.uploads import finish, parts, tus
from services.uploads.check import CheckFailedError
from services.uploads.creation import create
from services.uploads.receive import Receiver, beyond_length, receiving
from services.uploads.routing import TusCreation, TusPart, TusUnit
from services.uploads.rows import Refusal, find_upload, is_whole, require_alive
from services.uploads.tus import Part

router = APIRouter(tags=["uploads"], route_class=UnitOfWork)
_units, _creation, _parts = (
    APIRouter(route_class=TusUnit), APIRouter(route_class=TusCreation), APIRouter(route_class=TusPart)
)  # fmt: skip

UploadId = Annotated[Id, Path(description="of the upload", examples=["3e1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f"])]
_COUNT: Final = r"^[0-9]{1,18}$"
LengthHeader = Annotated[str, Header(pattern=_COUNT, description="bytes of the file", examples=["1048576"])]
OffsetHeader = Annotated[str, Header(pattern=_COUNT, description="of the body's first byte", examples=["0"])]
ChecksumHeader = Annotated[str | None, Header(description="of the body: sha1, sha256 or md5, and base64")]
MetadataHeader = Annotated[
    str | None,
    Header(
        description="pairs of a key and base64 of a value: `filename` and `show` (a title; made if it is "
        "new); if wanted `episode` (a title; else the file's name), `replace` (true: another content of the "
        "episode is discarded), `settings` (JSON: group, field, value)",
        examples=["filename czAxZTAxLm1wNA==,show VGhlIExvbmcgVGFibGU="],
    ),
]

_NEWEST_FIRST = Order((Upload.created_at, Upload.id), descending=True)
_CHECKS_AT_ONCE: Final = 2
_BODY: Final[dict[str, Any]] = {
    "requestBody": {"content": {tus.PART_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


async def require_version(
    caller: Annotated[Caller, Depends(get_caller)],  # noqa: ARG001 - who may not ask is told nothing else
    tus_resumable: Annotated[
        str | None, Header(description="the protocol's version", examples=["1.0.0"])
    ] = None,
) -> None:
    """Refuse another version of the protocol.

    Raises:
        ApiError: 412.
    """
    if tus_resumable != tus.VERSION:
        raise ApiError(
            412, "tus-version", f"This server speaks tus {tus.VERSION}. Send Tus-Resumable: {tus.VERSION}.",
            {"Tus-Version": tus.VERSION},
        )  # fmt: skip


TUS = Depends(require_version)


@_units.options("/uploads", status_code=204)
async def describe_uploads(services: ServicesDep) -> Response:
    """What of the tus protocol this server speaks."""
    cfg = services.settings.uploads
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(cfg.max_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
            "Upload-Limit": tus.limits(cfg),
        },
    )


@router.get("/uploads", responses=responses(401, 422))
def list_uploads(
    session: SessionDep, caller: CallerDep, paging: PagingDep,
    state: Annotated[UploadState | None, Query(description="only in this state")] = None,
) -> Page[UploadView]:  # fmt: skip
    """The caller's uploads, newest first; an Admin sees everybody's."""
    query = select(Upload)
    if caller.role != "admin":
        query = query.where(Upload.user_id == caller.user_id)
    if state is not None:
        query = query.where(Upload.state == state)
    rows, following = read_page(session, query, _NEWEST_FIRST, paging)
    return Page(items=[UploadView.of(u) for u in rows], next=following)


@router.get("/uploads/{upload_id}", responses=responses(401, 404, 422, 503))
async def get_upload(upload_id: UploadId, request: Request, caller: CallerDep) -> UploadView:
    """An upload: how far it is, and what became of it."""
    return UploadView.of(await _look(request, caller, upload_id))


@_creation.post(
    "/uploads",
    status_code=201,
    dependencies=[TUS],
    responses=responses(400, 401, 404, 409, 410, 412, 413, 415, 422, 423, 429, 431, 460, 503, 507),
    openapi_extra=_BODY,
)
def create_upload(
    request: Request, session: SessionDep, services: ServicesDep, caller: CallerDep,
    upload_length: LengthHeader, upload_metadata: MetadataHeader = None,
    upload_checksum: ChecksumHeader = None,
) -> Response:  # fmt: skip
    """Create an upload: announces a file, and says where its bytes are to be sent.

    The body may bring the first of them. What can be refused is refused now: the names, the size, an episode
    that has another content, a disk that is full.
    """
    first = _first_part(request, services, int(upload_length), upload_checksum)
    upload = create(session, services, caller, int(upload_length), upload_metadata)
    cfg = services.settings.uploads
    if first:
        request.state.after_creation = partial(_receive_first, upload.id, first)
    return Response(
        status_code=201,
        headers={
            "Location": f"{request.scope.get('root_path', '')}/v1/uploads/{upload.id}",
            "Upload-Expires": tus.http_date(upload.expires_at),
            "Upload-Limit": tus.limits(cfg),
        },
    )


@_units.head("/uploads/{upload_id}", dependencies=[TUS], responses=responses(401, 404, 410, 412, 422, 503))
async def ask_upload(
    upload_id: UploadId, request: Request, caller: CallerDep, services: ServicesDep
) -> Response:  # fmt: skip
    """How many bytes of an upload are safe; the next PATCH begins there."""
    upload = await _look(request, caller, upload_id)
    require_alive(upload)
    headers = {"Upload-Length": str(upload.length), "Upload-Limit": tus.limits(services.settings.uploads)}
    if upload.metadata_header:
        headers["Upload-Metadata"] = upload.metadata_header
    return Response(headers={**headers, **_progress(upload), "Cache-Control": "no-store"})


@_parts.patch(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=[TUS],
    responses=responses(400, 401, 404, 409, 410, 412, 413, 415, 422, 423, 460, 503, 507),
    openapi_extra=_BODY,
)
async def append(
    upload_id: UploadId, request: Request, session: SessionDep, services: ServicesDep, caller: CallerDep,
    upload_offset: OffsetHeader, upload_checksum: ChecksumHeader = None,
) -> Response:  # fmt: skip
    """Send bytes of an upload. What was safe before the connection broke stays; HEAD says how much that is.

    With the last byte the file is opened as a video: it becomes an episode with a job, or is refused.
    """
    await run_in_threadpool(_find, session, caller, upload_id)
    part = _part(request, services, int(upload_offset), upload_checksum)
    async with receiving(services, upload_id, part) as receiver:
        if receiver is None:
            return Response(status_code=204, headers={"Upload-Offset": upload_offset})
        await _receive(request, receiver, upload_id)
    return Response(status_code=204, headers=_said(receiver))


@_units.delete(
    "/uploads/{upload_id}",
    status_code=204,
    dependencies=[TUS],
    responses=responses(400, 401, 404, 409, 412, 422, 503),
)
def end_upload(
    upload_id: UploadId, request: Request, session: SessionDep, services: ServicesDep, caller: CallerDep
) -> Response:  # fmt: skip
    """End an unfinished or refused upload, and remove what came of it."""
    upload = find_upload(session, caller, upload_id)
    session.refresh(upload, with_for_update=True)
    if upload.state in {"received", "stored"}:
        raise ApiError(
            409,
            "finished",
            f"This upload has become an episode. Cancel its job {upload.job_id}, or delete the episode.",
        )
    session.delete(upload)
    request.state.after_commit.append(partial(parts.remove, services.settings.root, upload_id))
    return Response(status_code=204)


def _first_part(request: Request, services: Services, length: int, checksum: str | None) -> Part | None:
    """The part that the body of a creation brings, if it brings one."""
    declared = request.headers.get("content-length")
    if declared == "0" or (declared is None and "transfer-encoding" not in request.headers):
        return None
    part = _part(request, services, 0, checksum)
    if (part.length or 0) > length:
        raise beyond_length(length)
    return part


def _part(request: Request, services: Services, offset: int, checksum: str | None) -> Part:
    tus.require_part_type(request.headers.get("content-type"))
    declared = request.headers.get("content-length")
    length = int(declared) if declared is not None else None
    tus.limit_part(length, services.settings.uploads)
    return Part(offset, length, tus.read_checksum(checksum))


async def _receive_first(upload_id: str, part: Part, request: Request, response: Response) -> None:
    async with receiving(request.app.state.services, upload_id, part) as receiver:
        if receiver is None:
            return
        await _receive(request, receiver, upload_id)
    response.headers.update(_said(receiver))


async def _receive(request: Request, receiver: Receiver, upload_id: str) -> None:
    await receiver.pour(request.stream())
    if receiver.whole:
        refusal = await _complete(request, finish.complete, upload_id)
        if refusal:
            raise refusal.error()


async def _look(request: Request, caller: Caller, upload_id: str) -> Upload:
    """An upload as it is; one that was cut off between its last byte and its job is completed first."""
    services = request.app.state.services
    upload = await run_in_threadpool(_read, services, caller, upload_id)
    if is_whole(upload):
        await _complete(request, finish.complete_alone, upload_id)
        upload = await run_in_threadpool(_read, services, caller, upload_id)
    return upload


async def _complete(request: Request, act: Any, upload_id: str) -> Refusal | None:
    """Let a thread check a video and make its job: few at once, since each check is a process."""
    state = request.app.state
    if not hasattr(state, "checks"):
        state.checks = CapacityLimiter(_CHECKS_AT_ONCE)
    act = partial(act, state.services, upload_id, state.check_video)
    try:
        found: Refusal | None = await to_thread.run_sync(act, limiter=state.checks)
    except CheckFailedError as e:
        raise ApiError(
            503, "not-checked",
            "All bytes are safe, but the file cannot be checked now. It is tried again soon.",
            {"Retry-After": "5"},
        ) from e  # fmt: skip
    return found


def _read(services: Services, caller: Caller, upload_id: str) -> Upload:
    with services.database.read() as session:
        return find_upload(session, caller, upload_id)


def _find(session: SessionDep, caller: Caller, upload_id: str) -> None:
    """See that the caller may know of the upload, and give the connection back: the bytes take long."""
    try:
        find_upload(session, caller, upload_id)
    finally:
        session.close()


def _said(receiver: Receiver) -> dict[str, str]:
    expires = {} if receiver.whole else {"Upload-Expires": tus.http_date(receiver.expires_at)}
    return {"Upload-Offset": str(receiver.offset), **expires}


def _progress(upload: Upload) -> dict[str, str]:
    expires = {"Upload-Expires": tus.http_date(upload.expires_at)} if upload.state == "receiving" else {}
    return {"Upload-Offset": str(upload.offset), **expires}


for _each in (_units, _creation, _parts):
    router.include_router(_each)
