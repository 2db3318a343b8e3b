"""What Serve's proxy does to answers that are not the API's.

Serve calls `middlewares` where RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=services.proxy:middlewares.
"""

from typing import Final

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import problem

# By which Serve's own 404 is known: the API, which has every path, answers its own as a problem.
_OF_SERVE: Final = b"text/plain"
_DETAIL: Final = "The API is starting. Try again in a moment."


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
            if message["type"] == "http.response.start" and _is_serves_own(message):
                starting = True
                answer = problem(Request(scope), 503, "starting", _DETAIL, {"retry-after": "1"})
                await answer(scope, receive, send)
            if not starting:
                await send(message)

        await self._app(scope, receive, checked)


def middlewares() -> list[Middleware]:
    """For Serve."""
    return [Middleware(StartingIsNotGone)]


def _is_serves_own(start: Message) -> bool:
    kind = next((bytes(value) for name, value in start["headers"] if name.lower() == b"content-type"), b"")
    return bool(start["status"] == 404 and kind.startswith(_OF_SERVE))
