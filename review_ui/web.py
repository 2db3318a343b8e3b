"""HTTP beside Streamlit's own: the cookie of a login, and the headers of every answer."""

import json
import logging
from typing import Final
from urllib.parse import urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from review_ui.components import assets
from review_ui.logins import LOGINS
from review_ui.wire import LoginEndedError, ServiceError

COOKIE: Final = "screenalyzer_login"
BEGIN: Final = "/session"
TOKEN: Final = "/session/token"
_LONGEST: Final = 8000
_TOKEN_SPARE_S: Final = 120.0
_NO_STORE: Final = {"Cache-Control": "no-store"}

log = logging.getLogger(__name__)


def cookie_name(host: str) -> str:
    """The cookie's name at a host; browsers share cookies between the ports of a host."""
    port = urlsplit(f"//{host}").port
    return f"{COOKIE}_{port}" if port else COOKIE


async def begin_session(request: Request) -> Response:
    """Exchange a ticket, which a page was given after a login, for a cookie that no script can read."""
    if not _from_a_page(request):
        return Response(status_code=403)
    login_id = LOGINS.claim(await _field(request, "ticket"))
    if login_id is None:
        return Response(status_code=410)
    answer = Response(status_code=204, headers=_NO_STORE)
    answer.set_cookie(
        cookie_name(request.headers["host"]), login_id, path="/", httponly=True, samesite="strict",
        secure=request.headers["origin"].startswith("https:"),
    )  # fmt: skip
    return answer


async def give_token(request: Request) -> Response:
    """An access token for what a page sends to the service by itself, which is videos."""
    if not _from_a_page(request):
        return Response(status_code=403)
    login = LOGINS.find(request.cookies.get(cookie_name(request.headers["host"])))
    if login is None:
        return Response(status_code=401, headers=_NO_STORE)
    refused = await _field(request, "refused")
    try:
        token = await run_in_threadpool(login.token, refused or None, _TOKEN_SPARE_S)
    except LoginEndedError:
        return Response(status_code=401, headers=_NO_STORE)
    except ServiceError:
        return Response(status_code=503, headers=_NO_STORE)
    return JSONResponse({"access_token": token}, headers=_NO_STORE)


ROUTES: Final = (
    Route(BEGIN, begin_session, methods=["POST"]),
    Route(TOKEN, give_token, methods=["POST"]),
    assets.ROUTE,
)


class SecurityHeaders:
    """Lets a page load from this server and the service alone, and no other site show it in a frame."""

    def __init__(self, app: ASGIApp, api_url: str) -> None:
        """Take what it goes around, and the service's address for browsers."""
        self._app = app
        # Streamlit loads components from data: URLs and its charts compile expressions.
        policy = (
            "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; "
            "object-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; "
            "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
            f"img-src 'self' data: blob: {api_url}; media-src 'self' blob: {api_url}; "
            f"connect-src 'self' data: blob: {api_url}"
        )
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, with_headers)


def on_script_error(e: Exception) -> bool:
    """Say that a page has failed in words for people; the log says why."""
    log.error("a page failed", exc_info=e)
    st.error(
        "**This page has failed unexpectedly.** Nothing that was saved is lost.\n\n"
        "Load the page again. If it fails again, tell whoever runs the service; its log says why.",
        icon=":material/error:",
    )
    return True


def _from_a_page(request: Request) -> bool:
    """Whether a page of this server sent it: no other site can send JSON here without being asked first."""
    origin, host = request.headers.get("origin", ""), request.headers.get("host")
    json_body = request.headers.get("content-type", "").startswith("application/json")
    return bool(host) and urlsplit(origin).netloc == host and json_body


async def _field(request: Request, name: str) -> str:
    """A text of a small JSON object; empty where there is none."""
    read = b""
    async for chunk in request.stream():
        read += chunk
        if len(read) > _LONGEST:
            return ""
    try:
        found = json.loads(read)
    except ValueError:
        return ""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""
