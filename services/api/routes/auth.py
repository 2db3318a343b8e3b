"""Routes of auth: tokens by password or refresh token, and the end of a login."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import JSONResponse, Response

from services.access import sessions
from services.access.errors import CrowdedError, LoginRefusedError, ThrottledError
from services.access.logins import log_in
from services.access.sessions import Grant
from services.access.trail import record
from services.api.deps import CallerDep, ServicesDep, SessionDep
from services.api.problems import MEDIA_TYPE, ApiError, Problem, responses
from services.api.schemas.auth import TokenAnswer
from services.api.unit import UnitOfWork
from services.context import Services

router = APIRouter(tags=["auth"], route_class=UnitOfWork)

_LONGEST_FIELD = 4096
_Field = Annotated[str | None, Form(max_length=_LONGEST_FIELD)]
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
# RFC 6749, 5.2; a wrong password is a 401 here as on every other route.
_REFUSALS = {
    "invalid_request": (400, "bad-token-request"),
    "unsupported_grant_type": (400, "unsupported-grant-type"),
    "invalid_grant": (401, "invalid-grant"),
}


@router.post("/auth/token", responses=responses(400, 401, 413, 422, 429, 503), response_model=TokenAnswer)
def get_token(
    request: Request,
    services: ServicesDep,
    grant_type: Annotated[str, Form(max_length=32, examples=["password"])] = "password",
    username: _Field = None,
    password: _Field = None,
    refresh_token: _Field = None,
) -> Response:
    """Log in (`grant_type=password`), or renew a login (`grant_type=refresh_token`).

    A one-time secret is sent as the password, once. An Idempotency-Key is not looked at: no token is stored.
    A refresh token works once; whoever sends it again, for example two requests at a time, ends the login.
    Failed logins are slowed down by name and by address: 429 with Retry-After.
    """
    if grant_type == "password":
        if not username or not password:
            return _refusal(request, "invalid_request", "Send username and password in the form.")
        return _log_in(request, services, username, password)
    if grant_type == "refresh_token":
        if not refresh_token:
            return _refusal(request, "invalid_request", "Send refresh_token in the form.")
        found = sessions.refresh(services, refresh_token)
        gone = "The refresh token was used, has expired or is revoked. Log in again."
        return _tokens(found) if found else _refusal(request, "invalid_grant", gone)
    return _refusal(request, "unsupported_grant_type", "grant_type is password or refresh_token.")


@router.post("/auth/logout", status_code=204, responses=responses(400, 401, 409, 422))
def log_out(request: Request, session: SessionDep, services: ServicesDep, caller: CallerDep) -> None:
    """End this login: its tokens and its signed URLs are worth nothing from now on."""
    sessions.revoke(session, caller.session_id)
    request.state.after_commit.append(
        lambda: record(services, "logout", caller.name, {"session": caller.session_id})
    )


def _log_in(request: Request, services: Services, name: str, password: str) -> Response:
    address = request.client.host if request.client else "unknown"
    try:
        return _tokens(log_in(services, name, password, address))
    except LoginRefusedError as e:
        return _refusal(request, "invalid_grant", f"{e} Ask an Admin for a new secret if you forgot it.")
    except ThrottledError as e:
        raise ApiError(429, "slow-down", str(e), {"Retry-After": str(e.wait_s)}) from e
    except CrowdedError as e:
        raise ApiError(503, "crowded", str(e), {"Retry-After": "5"}) from e


def _tokens(grant: Grant) -> Response:
    return JSONResponse(TokenAnswer.of(grant).model_dump(), headers=_NO_STORE)


def _refusal(request: Request, error: str, detail: str) -> Response:
    """A problem that OAuth2's clients understand too."""
    status, code = _REFUSALS[error]
    title = {400: "Bad Request", 401: "Unauthorized"}[status]
    body = Problem(title=title, status=status, code=code, detail=detail, instance=request.url.path)
    answer = {**body.model_dump(exclude_none=True), "error": error, "error_description": detail}
    headers = _NO_STORE | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return JSONResponse(answer, status, headers=headers, media_type=MEDIA_TYPE)
