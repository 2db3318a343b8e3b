"""The FastAPI application: routers, errors, headers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from screenalyzer import __version__
from services.access.signing import RecentCallers
from services.api import headers, openapi, problems
from services.api.middleware import BodyLimit, RequestLog
from services.api.pictures import Pictures
from services.api.routes import (
    analytics,
    artifacts,
    audit,
    auth,
    edits,
    episodes,
    exports,
    health,
    jobs,
    media,
    metrics,
    people,
    review,
    shows,
    storage,
    uploads,
    users,
)
from services.api.storage import StorageMeter
from services.context import Services
from services.review.warming import Warmer

UPLOADS = "/v1/uploads"

_ROUTERS = (
    auth, users, shows, people, episodes, analytics, review, edits, uploads, jobs, artifacts,
    media, exports, audit, storage, health, metrics,
)  # fmt: skip


def create_app(services: Services, check_video: Callable[[Path], None]) -> FastAPI:
    """The API.

    Args:
        services: what the process shares.
        check_video: opens a file as a video and raises VideoError where it is none; may take seconds.
    """
    app = FastAPI(
        title="Screenalyzer",
        version=__version__,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        servers=[{"url": "/", "description": "where this document comes from"}],
        docs_url=headers.DOCS,
        swagger_ui_oauth2_redirect_url=headers.DOCS_REDIRECT,
        openapi_url="/v1/openapi.json",
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.services, app.state.check_video, app.state.gates = services, check_video, WeakKeyDictionary()
    app.state.recent_callers, app.state.pictures = RecentCallers(), Pictures(services)
    app.state.warmer = Warmer(services)
    app.state.storage = StorageMeter(services.settings.root)
    problems.install(app)
    for module in _ROUTERS:
        app.include_router(module.router, prefix="/v1")
    openapi.install(app)
    _surround(app, services)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What goes on beside requests, for as long as there may be any."""
    warmer: Warmer = app.state.warmer
    warmer.start()
    yield
    await run_in_threadpool(warmer.stop)


def _surround(app: FastAPI, services: Services) -> None:
    """What goes around every request; the last added is the outermost."""
    app.add_middleware(BodyLimit, exempt=UPLOADS)
    app.add_middleware(RequestLog)
    headers.install(app, services.settings)
