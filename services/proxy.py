"""What Serve's proxy does to answers that are not the API's.

Serve calls `middlewares` where RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=services.proxy:middlewares.
"""

import json
from typing import Final

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# By which Serve's own 404 is known: the API, which has every path, answers its own as a problem.
_OF_SERVE: Final = b"text/plain"
_PROBLEM: Final = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "code": "starting",
    "detail": "The API is starting. Try again in a moment.",
}


class StartingIsNotGone:
    """503 for Serve's 404.

    A proxy that begins, as after a crash, listens for a moment before it knows where the API is, and answers
    404: that an upload is gone, to a client that wants to go on with it.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the proxy."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        starting = False

        async def checked(message: Message) -> None:
            nonlocal starting
            if message["type"] == "http.response.start":
                starting = message["status"] == 404 and _media_type(message).startswith(_OF_SERVE)
                await send(_START if starting else message)
            elif not starting:
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body", "body": _body(str(scope["path"]))})

        await self._app(scope, receive, checked)


_START: Final[Message] = {
    "type": "http.response.start",
    "status": 503,
    "headers": [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")],
}


def middlewares() -> list[Middleware]:
    """For Serve."""
    return [Middleware(StartingIsNotGone)]


def _media_type(start: Message) -> bytes:
    return next((bytes(value) for name, value in start["headers"] if name.lower() == b"content-type"), b"")


def _body(path: str) -> bytes:
    return json.dumps({**_PROBLEM, "instance": path}).encode()
