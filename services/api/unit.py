"""One request, one transaction: what a route changes and what was answered are committed together.

So a mutation with an Idempotency-Key is applied once, however often it is sent and wherever the server is
killed: the stored answer and the change are in one commit.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from redis.exceptions import RedisError
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from services.api.problems import ApiError, problem
from services.db.models import IdempotencyKey

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_AT_ONCE = 16  # transactions of mutations in a process: fewer than connections and threads
_ANONYMOUS = "anonymous"

log = logging.getLogger(__name__)


class UnitOfWork(APIRoute):
    """A route whose handler finds its session in `request.state.session`.

    Reads get a session that is closed at the end. Mutations get a transaction: committed if the answer is
    below 400, else rolled back. What must follow the commit is appended to `request.state.after_commit`
    (callables without arguments; they may fail without harm, the reconciler does what they would have done).
    A handler whose answer holds a secret sets `request.state.stored_answer` to what a repeated request with
    the same Idempotency-Key is answered instead.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Wrap the route."""
        handle = super().get_route_handler()

        async def in_a_unit(request: Request) -> Response:
            database = request.app.state.services.database
            if request.method in _READS:
                request.state.session = session = Session(database.engine, expire_on_commit=False)
                try:
                    return await handle(request)
                finally:
                    if session.in_transaction():  # else it holds nothing, and a thread is not needed
                        await run_in_threadpool(session.close)
            return await _mutate(request, database.begin(), handle)

        return in_a_unit


async def _mutate(request: Request, session: Session, handle: Callable[[Request], Any]) -> Response:
    state = request.state
    state.session, state.after_commit, state.caller, state.turn = session, [], None, None
    state.committed = False
    try:
        return await _in_a_transaction(request, session, handle)
    finally:
        if state.turn:
            state.turn.release()


async def _in_a_transaction(
    request: Request, session: Session, handle: Callable[[Request], Any]
) -> Response:  # fmt: skip
    try:
        response: Response = await handle(request)
        if response.status_code < 400 and not request.state.committed:
            await run_in_threadpool(commit, request, response)
    except Replay as e:
        return e.response
    except IntegrityError:
        return problem(
            request, 409, "conflict", "Somebody changed the same thing at once. Read it again, and retry."
        )
    finally:
        await run_in_threadpool(session.close)
    for act in request.state.after_commit:
        try:
            await run_in_threadpool(act)
        except (SQLAlchemyError, RedisError, OSError) as e:
            log.warning("what follows %s %r was left undone: %s", request.method, request.scope["path"], e)
    return response


def is_keyed(request: Request) -> bool:
    """Whether it is a mutation that is to be applied once."""
    return "idempotency-key" in request.headers and not reads_only(request)


def reads_only(request: Request) -> bool:
    """Whether the request changes nothing, by its method."""
    return request.method in _READS


async def take_turn(request: Request) -> None:
    """Wait until this mutation may begin its transaction. Called before its session is first used.

    A transaction lasts over several steps, each of which needs one of the process's threads. If as many
    requests as there are threads waited in them for the database's lock, whoever holds it could not go on.
    """
    if request.method in _READS or request.state.turn:
        return
    gates = request.app.state.gates
    loop = asyncio.get_running_loop()
    if loop not in gates:
        dialect = request.app.state.services.database.engine.dialect.name
        gates[loop] = asyncio.Semaphore(1 if dialect == "sqlite" else _AT_ONCE)
    gate = gates[loop]
    await gate.acquire()
    request.state.turn = gate


class Replay(Exception):  # noqa: N818 - no error: the way out of a request that was answered before
    """The stored answer of the first request with this key."""

    def __init__(self, response: Response) -> None:
        """Take the answer."""
        super().__init__()
        self.response = response


async def check_idempotency(request: Request, user_id: str | None) -> None:
    """Look whether this mutation was applied before. Called once the caller is known.

    Raises:
        Replay: it was; its answer is given again.
        ApiError: the key was used for another request, or is too long.
    """
    if not is_keyed(request):
        return
    key = request.headers["idempotency-key"]
    if not _KEY.fullmatch(key):
        detail = "An Idempotency-Key has 1 to 255 printable ASCII characters; a UUID is a good one."
        raise ApiError(400, "bad-idempotency-key", detail)
    # Some routes know themselves what makes two requests the same, without reading the body.
    fingerprint = getattr(request.state, "fingerprint", None) or await _fingerprint(request)
    request.state.idempotency = (user_id or _ANONYMOUS, key, fingerprint)
    found = await run_in_threadpool(_find, request.state.session, user_id or _ANONYMOUS, key)
    if found is None:
        return
    if found.fingerprint != fingerprint:
        raise ApiError(
            422,
            "idempotency-key-reused",
            "This Idempotency-Key came with another request. Use a new key for each.",
        )
    raise Replay(Response(found.body, found.status, {**found.headers, "Idempotency-Replayed": "true"}))


def _find(session: Session, user_id: str, key: str) -> IdempotencyKey | None:
    if session.get_bind().dialect.name == "postgresql":  # SQLite lets one write at a time anyway
        # Requests with one key take turns, so that the second finds what the first has committed.
        session.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _turn(user_id, key)})
    return session.scalar(select(IdempotencyKey).filter_by(user_id=user_id, key=key))


def _turn(user_id: str, key: str) -> int:
    """A number for one user's key, as PostgreSQL wants it."""
    digest = hashlib.sha256(f"{user_id}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


async def _fingerprint(request: Request) -> str:
    path, query = request.scope["path"], request.scope["query_string"]
    head = f"{request.method} {path}?".encode(errors="surrogatepass") + query + b"\n"
    return hashlib.sha256(head + await _body(request)).hexdigest()


async def _body(request: Request) -> bytes:
    body = await request.body()
    if not getattr(request.state, "secret_body", False):
        return body
    key = await run_in_threadpool(request.app.state.services.keyring.newest, "request")
    return hmac.digest(key.secret, body, "sha256")


async def has_secret_body(request: Request) -> None:
    """A dependency of routes whose body holds a password: what is stored of it cannot be guessed at."""
    request.state.secret_body = True


def commit(request: Request, response: Response) -> None:
    """Commit a mutation and its answer. Only a handler that must know that it is done calls this itself."""
    session: Session = request.state.session
    noted = getattr(request.state, "idempotency", None)
    if noted:
        user_id, key, fingerprint = noted
        kept = {k: v for k, v in response.headers.items() if k in {"content-type", "location", "etag"}}
        body = getattr(request.state, "stored_answer", None) or bytes(response.body).decode()
        session.add(
            IdempotencyKey(
                user_id=user_id, key=key, fingerprint=fingerprint, status=response.status_code,
                headers=kept, body=body,
            )
        )  # fmt: skip
    session.commit()
    request.state.committed = True
