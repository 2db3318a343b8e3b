"""Kinds of routes that the tus protocol needs, and FastAPI does not have.

They put Tus-Resumable on every answer, errors too, and let X-HTTP-Method-Override name the method of a POST.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from services.api.unit import UnitOfWork
from services.uploads.tus import VERSION

AfterCreation = Callable[[Request, Response], Awaitable[None]]

_OVERRIDE = "x-http-method-override"
_SAME = ("upload-length", "upload-metadata")


class TusRoute(APIRoute):
    """A route whose answers are tus answers."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match by the method that is meant."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return super().matches(scope)
        meant = Headers(scope=scope).get(_OVERRIDE, "").upper() or "POST"
        match, child = super().matches({**scope, "method": meant})
        return match, {**child, "method": meant}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and say which version was spoken."""

        async def speak(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        await super().handle(scope, receive, speak)


class TusUnit(TusRoute, UnitOfWork):
    """A tus route with a transaction."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Wrap the route."""
        handle = super().get_route_handler()

        async def known_by_its_headers(request: Request) -> Response:
            request.state.fingerprint = _fingerprint(request)
            response: Response = await handle(request)
            return response

        return known_by_its_headers


class TusCreation(TusUnit):
    """A tus route with a transaction, after whose commit the body is read.

    The handler sets `request.state.after_creation`, called with the request and the answer, where one came.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Wrap the route."""
        create = super().get_route_handler()

        async def create_then_receive(request: Request) -> Response:
            response: Response = await create(request)
            receive: AfterCreation | None = getattr(request.state, "after_creation", None)
            if receive and response.status_code < 300:
                await receive(request, response)
            return response

        return create_then_receive


class TusPart(TusRoute):
    """A tus route without a transaction, since it lasts as long as its client sends.

    The session in `request.state.session` is for finding out who calls; the handler closes it.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Wrap the route."""
        handle = super().get_route_handler()

        async def with_a_reading_session(request: Request) -> Response:
            engine = request.app.state.services.database.engine
            request.state.session = session = Session(engine, expire_on_commit=False)
            request.state.fingerprint = _fingerprint(request)
            request.state.turn = True  # there is no transaction that would wait for its turn
            try:
                response: Response = await handle(request)
                return response
            finally:
                await run_in_threadpool(session.close)

        return with_a_reading_session


def _fingerprint(request: Request) -> str:
    """What makes two tus requests the same: headers. A file's bytes are read by no one but the receiver."""
    lines = [request.method, request.scope["path"], *(request.headers.get(name, "") for name in _SAME)]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
