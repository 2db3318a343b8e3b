"""Headers on every answer: what a browser must not do with it, and which origins may read it.

Plain ASGI, since Starlette's BaseHTTPMiddleware would hold back streams.
"""

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.middleware import REQUEST_ID
from services.api.progress import MIRROR_HEADER
from services.settings import ServiceSettings

DOCS = "/v1/docs"
DOCS_REDIRECT = f"{DOCS}/oauth2-redirect"

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The page of the API's documentation loads Swagger UI and starts it with a script of its own.
_DOCS_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
    "script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "img-src 'self' data: https://fastapi.tiangolo.com"
)
_HSTS = "max-age=31536000"

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SENT = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Range",
    "Tus-Resumable", "Upload-Checksum", "Upload-Concat", "Upload-Defer-Length", "Upload-Length",
    "Upload-Metadata", "Upload-Offset", "X-HTTP-Method-Override", REQUEST_ID,
)  # fmt: skip
_READABLE = (
    "Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Idempotency-Replayed", "Location",
    "Retry-After", "Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version",
    "Upload-Expires", "Upload-Length", "Upload-Limit", "Upload-Metadata", "Upload-Offset",
    "WWW-Authenticate", REQUEST_ID, MIRROR_HEADER,
)  # fmt: skip


class SecurityHeaders:
    """Puts them on answers. A route's own policy and Cache-Control stand; else nothing is to be stored."""

    def __init__(self, app: ASGIApp, tls: bool) -> None:
        """Wrap an application.

        Args:
            app: it.
            tls: whether it is reached over HTTPS, so that browsers shall never try without.
        """
        self._app = app
        self._fixed = _ALWAYS | ({"Strict-Transport-Security": _HSTS} if tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._fixed)
                policy = _DOCS_POLICY if scope["path"] in {DOCS, DOCS_REDIRECT} else _POLICY
                headers.setdefault("Content-Security-Policy", policy)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def install(app: FastAPI, settings: ServiceSettings) -> None:
    """Add both to an application, before it answers its first request."""
    if settings.api.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api.cors_origins,
            allow_methods=_METHODS,
            allow_headers=_SENT,
            expose_headers=_READABLE,
        )
    app.add_middleware(SecurityHeaders, tls=settings.api.tls_cert is not None)
