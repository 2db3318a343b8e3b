"""Routes of users: oneself, and for an Admin everybody."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from services.access import names, one_time, passwords, users
from services.access.errors import CrowdedError, LastAdminError, ThrottledError
from services.access.logins import check_password
from services.access.one_time import OneTimeSecret
from services.access.sessions import Caller
from services.access.trail import record
from services.access.users import Held
from services.api.deps import ADMIN_ONLY, AdminDep, CallerDep, PreconditionDep, ServicesDep, SessionDep, mark
from services.api.paging import Order, Page, PagingDep, read_page
from services.api.problems import ApiError, not_found, responses
from services.api.schemas.users import (
    NewUser,
    PasswordChange,
    UserChanges,
    UserView,
    UserWithSecret,
    fields_of,
)
from services.api.text import Id
from services.api.unit import UnitOfWork, has_secret_body
from services.context import Services
from services.db.models import User

router = APIRouter(tags=["users"], route_class=UnitOfWork)

UserId = Annotated[Id, Path(description="of the user", examples=["9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d"])]

_BY_NAME = Order((User.name_key,))


@dataclass(frozen=True)
class Administration:
    """An Admin at work on users.

    Attributes:
        request: the request, whose answer is stored and whose commit is followed.
        session: its transaction.
        services: of the process.
        caller: the Admin.
    """

    request: Request
    session: Session
    services: Services
    caller: Caller

    def hold(self, user_id: str) -> Held:
        """The user and the Admins, locked.

        Raises:
            ApiError: 404.
        """
        held = users.hold(self.session, user_id)
        if held is None:
            raise _no_user(user_id)
        return held

    def make_secret(self) -> OneTimeSecret:
        """A one-time secret. Nothing may be written before: others may write while its hash is computed.

        Raises:
            ApiError: 503 where too many hashes are being computed.
        """
        _let_others_write(self.session)
        try:
            return one_time.make(self.services.settings.access)
        except CrowdedError as e:
            raise _crowded(e) from e

    def answer(self, response: Response, user: User, fresh: OneTimeSecret) -> UserWithSecret:
        """The answer with the secret; a repeated request gets the same without it."""
        mark(response, user)
        found = UserWithSecret.model_validate({**fields_of(user), "secret": fresh.text})
        self.request.state.stored_answer = found.model_copy(update={"secret": None}).model_dump_json()
        return found

    def tell(self, action: str, user: User, **facts: object) -> None:
        """Put it into the audit log once it is committed."""
        _tell(self.request, self.services, self.caller, action, user, **facts)


async def get_administration(
    request: Request, session: SessionDep, services: ServicesDep, caller: AdminDep
) -> Administration:
    """What the routes for Admins share."""
    return Administration(request, session, services, caller)


AdministrationDep = Annotated[Administration, Depends(get_administration)]


@router.get("/users/me", responses=responses(401))
def get_me(session: SessionDep, caller: CallerDep, response: Response) -> UserView:
    """Who you are."""
    user = session.get_one(User, caller.user_id)
    mark(response, user)
    return UserView.of(user)


@router.put(
    "/users/me/password",
    status_code=204,
    dependencies=[Depends(has_secret_body)],
    responses=responses(400, 401, 403, 409, 413, 422, 429, 503),
)
def set_my_password(
    request: Request, body: PasswordChange, session: SessionDep, services: ServicesDep, caller: CallerDep
) -> None:
    """Set your password. Every other login of yours ends; this one goes on.

    The current password is needed, unless you logged in with a one-time secret and have none.
    """
    new = body.new_password.get_secret_value()
    passwords.check(new, caller.name)
    before = session.get_one(User, caller.user_id).password_hash
    _let_others_write(session)
    current = body.current_password.get_secret_value() if body.current_password else ""
    hashed = _new_hash(services, caller, current if before else None, new)
    held = users.hold(session, caller.user_id)
    if held is None or held.user.password_hash != before:
        raise ApiError(409, "conflict", "The password was changed at the same time. Log in again.")
    users.set_password(session, held.user, hashed, caller.session_id)
    _tell(request, services, caller, "user.password-set", held.user)


@router.get("/users", dependencies=[ADMIN_ONLY], responses=responses(401, 403, 422))
def list_users(session: SessionDep, paging: PagingDep) -> Page[UserView]:
    """The users, by name."""
    rows, following = read_page(session, select(User), _BY_NAME, paging)
    return Page(items=[UserView.of(u) for u in rows], next=following)


@router.post("/users", status_code=201, responses=responses(400, 401, 403, 409, 413, 422, 503))
def create_user(body: NewUser, work: AdministrationDep, response: Response) -> UserWithSecret:
    """Create a user. The answer holds a one-time secret for the user's first login; it is not shown again."""
    fresh = work.make_secret()
    if work.session.scalar(select(User.id).where(User.name_key == names.key(body.name))):
        raise ApiError(409, "exists", f"There is a user {body.name!r} already. Choose another name.")
    user = users.create(work.session, body.name, body.role, fresh)
    response.headers["Location"] = f"/v1/users/{user.id}"
    work.tell("user.created", user, role=user.role)
    return work.answer(response, user, fresh)


@router.get("/users/{user_id}", dependencies=[ADMIN_ONLY], responses=responses(401, 403, 404, 422))
def get_user(user_id: UserId, session: SessionDep, response: Response) -> UserView:
    """A user."""
    user = session.get(User, user_id)
    if user is None:
        raise _no_user(user_id)
    mark(response, user)
    return UserView.of(user)


@router.patch("/users/{user_id}", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 428))
def change_user(
    user_id: UserId, body: UserChanges, work: AdministrationDep, precondition: PreconditionDep,
    response: Response,
) -> UserView:  # fmt: skip
    """Change the role, or stop or let the user log in. It takes hold at the user's next request."""
    held = work.hold(user_id)
    precondition.check(held.user)
    try:
        changed = users.change(work.session, held, body.role, body.active)
    except LastAdminError as e:
        raise ApiError(409, "last-admin", str(e)) from e
    if changed:
        work.tell("user.changed", held.user, role=held.user.role, active=held.user.active)
    mark(response, held.user)
    return UserView.of(held.user)


@router.delete(
    "/users/{user_id}", status_code=204, responses=responses(400, 401, 403, 404, 409, 412, 413, 422)
)
def delete_user(user_id: UserId, work: AdministrationDep, precondition: PreconditionDep) -> None:
    """Delete a user. Uploads and jobs of the user stay, and are nobody's."""
    held = work.hold(user_id)
    precondition.check(held.user, required=False)
    try:
        users.remove(work.session, held)
    except LastAdminError as e:
        raise ApiError(409, "last-admin", str(e)) from e
    work.tell("user.deleted", held.user)


@router.post("/users/{user_id}/secret", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 503))
def reset_secret(
    user_id: UserId, work: AdministrationDep, precondition: PreconditionDep, response: Response
) -> UserWithSecret:
    """Put a one-time secret in place of the user's password, and end every login of the user."""
    fresh = work.make_secret()
    held = work.hold(user_id)
    precondition.check(held.user, required=False)
    users.reset_secret(work.session, held.user, fresh)
    work.tell("user.secret-reset", held.user)
    return work.answer(response, held.user, fresh)


def _new_hash(services: Services, caller: Caller, current: str | None, new: str) -> str:
    """The hash of a new password, after the current one was checked where there is one."""
    try:
        if current is not None and not check_password(services, caller.user_id, caller.name, current):
            raise ApiError(403, "wrong-password", "current_password is not your password. Type it again.")
        return passwords.passwords(services.settings.access).hash(new)
    except ThrottledError as e:
        raise ApiError(429, "slow-down", str(e), {"Retry-After": str(e.wait_s)}) from e
    except CrowdedError as e:
        raise _crowded(e) from e


def _let_others_write(session: Session) -> None:
    """End a transaction that has written nothing yet, where it holds SQLite's one write lock."""
    if session.get_bind().dialect.name == "sqlite":
        session.rollback()


def _crowded(e: CrowdedError) -> ApiError:
    return ApiError(503, "crowded", str(e), {"Retry-After": "5"})


def _no_user(user_id: str) -> ApiError:
    return not_found("user", user_id, "List them with GET /v1/users.")


def _tell(
    request: Request, services: Services, caller: Caller, action: str, user: User, **facts: object
) -> None:
    """Put it into the audit log once it is committed."""
    details = {"user": user.name, "user_id": user.id, **facts}
    request.state.after_commit.append(partial(record, services, action, caller.name, details))
