"""Errors of the API as problem+json (RFC 9457), each with what happened, where, and what to do."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError, TimeoutError  # noqa: A004 - the pool's own
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from screenalyzer import disk
from screenalyzer.errors import (
    ArtifactError,
    EpisodeBusyError,
    EpisodeConflictError,
    InputError,
    JobStateError,
    StoreError,
)
from services.access.errors import KeysError

MEDIA_TYPE = "application/problem+json"

_LONGEST_DETAIL = 2000
_LONGEST_PART = 200
_MOST_ERRORS = 20

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """What every error answers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "code": "not-found",
                    "detail": "There is no episode 5f2c. List them with GET /v1/episodes.",
                    "instance": "/v1/episodes/5f2c",
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str = Field(description="the status in words")
    status: int
    code: str = Field(description="for programs; does not change between versions")
    detail: str = Field(description="for people: what happened and what to do")
    instance: str = Field(description="path of the request")
    errors: list[dict[str, Any]] | None = Field(None, description="each field that is wrong, if any is")


class ApiError(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Take the status, a word for programs, a sentence for people, and more headers."""
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})


def not_found(what: str, name: str, hint: str = "") -> ApiError:
    """404 for a thing that does not exist, or that the caller may not know of."""
    return ApiError(404, "not-found", f"There is no {what} {name!r}.{f' {hint}' if hint else ''}")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route documents."""
    return {
        s: {
            "description": HTTPStatus(s).phrase if s in set(HTTPStatus) else "problem",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for s in statuses
    }


def problem(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:  # fmt: skip
    """The answer itself; what a user sent is in it only as far as it can be shown."""
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Checksum Mismatch"
    body = Problem(
        title=title,
        status=status,
        code=code,
        detail=_shown(detail, _LONGEST_DETAIL),
        instance=_shown(request.scope["path"], _LONGEST_PART),
        errors=errors,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def _allowed(request: Request) -> str:
    """The methods of all routes of a path; the router itself only knows those of the first."""
    path = request.scope["path"]
    matching = [r for r in iter_route_contexts(request.app.routes) if r.path_regex.match(path)]
    exact = [r for r in matching if r.path == path]  # beside /users/me there is /users/{user_id}
    return ", ".join(sorted({m for r in exact or matching for m in r.methods or ()}))


def _shown(text: str, longest: int) -> str:
    """A text that UTF-8 can hold, cut where it is too long to be read."""
    kept = text if len(text) <= longest else f"{text[:longest]}…"
    return kept.encode(errors="backslashreplace").decode()


def install(app: FastAPI) -> None:
    """Turn every exception that was foreseen into a problem; `middleware.RequestLog` answers the others."""
    _install_faults(app)
    _install_stores(app)

    @app.exception_handler(ApiError)
    async def _api_error(request: Request, e: ApiError) -> Response:
        return problem(request, e.status, e.code, e.detail, e.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, e: HTTPException) -> Response:
        if e.status_code == 413:
            return problem(request, 413, "too-large", e.detail, e.headers)
        code = HTTPStatus(e.status_code).phrase.lower().replace(" ", "-")
        said = {"Allow": _allowed(request)} if e.status_code == 405 else e.headers
        return problem(request, e.status_code, code, f"{e.detail}. See /v1/docs for what there is.", said)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, e: RequestValidationError) -> Response:
        errors = [
            {
                "where": [_shown(str(p), _LONGEST_PART) for p in x["loc"]],
                "what": _shown(x["msg"], _LONGEST_DETAIL),
                "kind": x["type"],
            }
            for x in e.errors()[:_MOST_ERRORS]
        ]
        first = errors[0]
        detail = f"{'.'.join(first['where'])}: {first['what']}. Correct it and send the request again."
        return problem(request, 422, "invalid", detail, errors=errors)

    @app.exception_handler(InputError)
    async def _input(request: Request, e: InputError) -> Response:
        if isinstance(e, EpisodeConflictError | EpisodeBusyError):
            return problem(request, 409, "conflict", str(e))
        if isinstance(e, JobStateError):
            return problem(request, 409, "job-state", str(e))
        return problem(request, 422, "invalid", str(e))

    @app.exception_handler(ArtifactError)
    async def _artifact(request: Request, e: ArtifactError) -> Response:
        root = request.app.state.services.settings.root  # where the service lies is nobody's business
        return problem(request, 409, "not-ready", str(e).replace(f"{root}/", ""))


def _install_stores(app: FastAPI) -> None:
    """What the service stands on is away or full."""

    @app.exception_handler(OSError)
    async def _system(request: Request, e: OSError) -> Response:
        if not disk.is_full(e):
            raise e
        return _disk_full(request, e)

    @app.exception_handler(TimeoutError)
    @app.exception_handler(OperationalError)
    async def _database(request: Request, e: OperationalError | TimeoutError) -> Response:
        if disk.is_full(e):
            return _disk_full(request, e)
        log.error("the database does not answer: %s", e)
        detail = "The database does not answer. Try again in a moment; an operator sees /v1/health."
        return problem(request, 503, "database-away", detail, {"Retry-After": "2"})


def _disk_full(request: Request, e: Exception) -> Response:
    log.error("the disk is full: %s", e)
    detail = "The service's disk is full, so this was not done. Send it again once an operator has made room."
    return problem(request, 507, "disk-full", detail, {"Retry-After": "30"})


def _install_faults(app: FastAPI) -> None:
    """Faults of the service, whatever they are to a command: the caller is not told where they are."""

    @app.exception_handler(StoreError)
    async def _store(request: Request, e: StoreError) -> Response:
        log.error("%s", e)
        detail = "The storage does not answer. Nothing is lost: try again in a moment."
        return problem(request, 503, "storage-away", detail, {"Retry-After": "5"})

    @app.exception_handler(KeysError)
    async def _keys(request: Request, e: KeysError) -> Response:
        log.error("%s", e)
        detail = "The service cannot check who you are. An operator sees why in the service's log."
        return problem(request, 503, "keys-unusable", detail, {"Retry-After": "60"})
