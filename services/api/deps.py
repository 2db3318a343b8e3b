"""What routes ask for: the session, the caller, an admin; and the two headers of revisions."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Header, Request
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.utils import get_authorization_scheme_param
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.access.sessions import Caller, authenticate
from services.api.problems import ApiError
from services.api.unit import check_idempotency, is_keyed, reads_only, take_turn
from services.context import Services
from services.review.warming import Warmer

_scheme = OAuth2PasswordBearer(tokenUrl="/v1/auth/token", refreshUrl="/v1/auth/token", auto_error=False)

_TAG = '(W/)?"[!#-~]*"'

TokenDep = Annotated[str | None, Depends(_scheme)]


async def get_services(request: Request) -> Services:
    """What the process shares."""
    found: Services = request.app.state.services
    return found


async def get_session(request: Request) -> Session:
    """The request's transaction."""
    found: Session = request.state.session
    return found


async def get_caller(request: Request, token: TokenDep) -> Caller:
    """Who calls.

    Raises:
        ApiError: 401 where the token is missing, forged, expired or revoked.
        Replay: the mutation was applied before.
    """
    services: Services = request.app.state.services
    if is_keyed(request) and not hasattr(request.state, "fingerprint"):
        await request.body()  # before the transaction: a slow client must keep nobody else waiting
    await take_turn(request)
    caller = await run_in_threadpool(_who, request, services, token or "")
    if caller is None:
        raise ApiError(
            401, "not-authenticated",
            "The access token is missing, expired or revoked. Get one with POST /v1/auth/token.",
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip
    request.state.caller = caller
    await check_idempotency(request, caller.user_id)
    return caller


def _who(request: Request, services: Services, token: str) -> Caller | None:
    session: Session = request.state.session
    caller = authenticate(session, services.keyring, token)
    if reads_only(request):
        session.close()  # gives its connection back: the next step may have to wait for a thread
    return caller


async def get_admin(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
    """The caller, who must be an Admin.

    Raises:
        ApiError: 403 for anybody else.
    """
    if caller.role != "admin":
        raise ApiError(403, "not-allowed", "Only an Admin may do this. Ask one.")
    return caller


async def get_warmer(request: Request) -> Warmer:
    """What loads desks ahead."""
    found: Warmer = request.app.state.warmer
    return found


ServicesDep = Annotated[Services, Depends(get_services)]
WarmerDep = Annotated[Warmer, Depends(get_warmer)]
SessionDep = Annotated[Session, Depends(get_session)]
CallerDep = Annotated[Caller, Depends(get_caller)]
AdminDep = Annotated[Caller, Depends(get_admin)]
LOGGED_IN = Depends(get_caller)  # for `dependencies=[…]` of a route that does not ask who it is
ADMIN_ONLY = Depends(get_admin)  # likewise


class Revised(Protocol):
    """A row that counts its changes."""

    revision: int


@dataclass(frozen=True)
class Precondition:
    """If-Match of a request."""

    header: str | None

    def check(self, row: Revised, required: bool = True) -> None:
        """Refuse a change that was made on a stale copy.

        Raises:
            ApiError: 412 where the row has changed since, 428 where the header is missing and required.
        """
        if self.header is None:
            if required:
                raise ApiError(428, "if-match-required", "Send If-Match with the ETag that you read.")
            return
        tags = {t.strip() for t in self.header.split(",")}
        if "*" not in tags and etag(row) not in tags:
            raise ApiError(412, "stale", "It has changed since you read it. Read it again, then decide anew.")


async def get_precondition(
    if_match: Annotated[
        str | None,
        Header(
            pattern=rf"^(\*|{_TAG}(\s*,\s*{_TAG})*)$",
            description="The ETag that was read; the change is refused where it is stale.",
            examples=['"3"'],
        ),
    ] = None,
) -> Precondition:
    """The If-Match header."""
    return Precondition(if_match)


PreconditionDep = Annotated[Precondition, Depends(get_precondition)]


def etag(row: Revised) -> str:
    """The ETag of a row."""
    return f'"{row.revision}"'


def mark(response: Response, row: Revised) -> None:
    """Put the row's ETag on an answer."""
    response.headers["ETag"] = etag(row)


def bearer(request: Request) -> str:
    """The bearer token of a request, or an empty string."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""
