"""Bringing the applications up on the cluster, and down again where a run started models for itself."""

import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig

from pipelines.layout import Layout
from screenalyzer.settings import Settings
from services.models import (
    DETECTOR_APP,
    EMBEDDER_APP,
    build_detector,
    build_embedder,
    detector_name,
    embedder_name,
)

_QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
_OF_USE = {"RUNNING", "DEPLOYING", "UNHEALTHY"}  # the last has lost replicas, which Serve brings back


def start_serve(http: HTTPOptions | None = None) -> None:
    """Start Serve where it does not run yet, without its running commentary.

    Args:
        http: of a proxy on the head node; none is started where left out.
    """
    where = "HeadOnly" if http else "Disabled"
    with _hushed():
        serve.start(proxy_location=where, http_options=http, logging_config=_QUIET)


@contextmanager
def _hushed() -> Iterator[None]:
    """Silence the client side of Serve, which says at each call what the call says."""
    logger = logging.getLogger("ray.serve")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def deploy(apps: Mapping[str, Any], route_prefix: str | None = None) -> None:
    """Start all replicas at once, without waiting for them: whoever asks them first waits."""
    targets = [
        serve.RunTarget(app, name=name, route_prefix=route_prefix, logging_config=_QUIET)
        for name, app in apps.items()
    ]
    if targets:
        with _hushed():
            serve.run_many(targets, wait_for_applications_running=False)


def take_down(names: Iterable[str]) -> None:
    """Delete applications; the controller does it, nobody needs to wait."""
    with _hushed():
        for name in names:
            serve.delete(name, _blocking=False)


@contextmanager
def face_models(settings: Settings, layout: Layout) -> Iterator[tuple[Any, Any]]:
    """The models for the time of the block.

    Applications that were deployed for every run are used and left alone where they have loaded the same;
    otherwise this run brings up its own and takes them down, so that no run pulls the replicas from under
    another.

    Yields:
        The handles of detector and embedder.
    """
    start_serve()
    deployments = {
        DETECTOR_APP: detector_name(settings.detect, layout.device),
        EMBEDDER_APP: embedder_name(settings.embed, layout.device),
    }
    there = _deployed()
    lacking = [app for app, name in deployments.items() if name not in there.get(app, ())]
    mine = {app: f"{app}-{uuid.uuid4().hex[:8]}" for app in lacking}
    try:
        deploy({mine[app]: built for app, built in _applications(settings, layout).items() if app in mine})
        detector, embedder = (
            serve.get_deployment_handle(name, mine.get(app, app)) for app, name in deployments.items()
        )
        yield detector, embedder
    finally:
        take_down(mine.values())


def _applications(settings: Settings, layout: Layout) -> dict[str, Any]:
    """Name and application of detector and embedder."""
    return {
        DETECTOR_APP: build_detector(settings.detect, layout),
        EMBEDDER_APP: build_embedder(settings.embed, layout),
    }


def _deployed() -> dict[str, set[str]]:
    """Names of the deployments of each application that can be asked."""
    return {
        name: set(app.deployments)
        for name, app in serve.status().applications.items()
        if app.status.value in _OF_USE
    }
