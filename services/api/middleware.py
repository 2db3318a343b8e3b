"""What happens around every request: its id, its line in the log, the limit of its body, the last catch."""

import logging
import re
import time
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import problem

REQUEST_ID: Final = "X-Request-ID"
LARGEST_BODY: Final = 1 << 20

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("services.api.requests")


class RequestLog:
    """Gives each request an id, says how it went, and answers what nobody foresaw.

    An id that the client sends is kept, so that one request can be followed through several programs.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Take what it goes around."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        status, begun = 0, time.monotonic()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception:
            log.exception("%s %r failed unexpectedly, request %s", scope["method"], scope["path"], request_id)
            if status:
                raise  # the answer has begun: all that is left is to break it off
            detail = f"Something failed that nobody foresaw. Report it with this id: {request_id}."
            await problem(Request(scope), 500, "unexpected", detail)(scope, receive, note)
        finally:
            spent_ms = (time.monotonic() - begun) * 1000
            log.info("%s %r %d %.0f ms %s", scope["method"], scope["path"], status, spent_ms, request_id)


class BodyLimit:
    """Refuses a body above 1 MiB without reading on; routes below a prefix have limits of their own."""

    def __init__(self, app: ASGIApp, exempt: str, largest: int = LARGEST_BODY) -> None:
        """Take what it goes around, the prefix, and the limit in bytes."""
        self._app, self._exempt, self._largest = app, exempt, largest
        self._detail = f"A request body has {largest} bytes at most; videos are uploaded at /v1/uploads."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or f"{scope['path']}/".startswith(f"{self._exempt}/"):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isascii() or not declared.isdigit() or int(declared[:20]) > self._largest:
            await self._refuse(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise HTTPException(413, self._detail, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem(Request(scope), 413, "too-large", self._detail, {"Connection": "close"})
        await answer(scope, receive, send)
