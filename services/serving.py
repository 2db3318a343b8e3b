"""Bringing the model deployments up on the cluster, and down again where a run started them for itself."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import serve
from ray.serve.schema import LoggingConfig

from pipelines.layout import Layout
from screenalyzer import artifacts
from screenalyzer.settings import Settings
from services.models import build_detector, build_embedder

_QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)


def _applications(settings: Settings, layout: Layout) -> dict[str, Any]:
    """Name and application of detector and embedder; a name says what is loaded, and where."""
    return {
        f"detector-{artifacts.fingerprint(settings.detect, layout.device)[:10]}": build_detector(
            settings.detect, layout
        ),
        f"embedder-{artifacts.fingerprint(settings.embed, layout.device)[:10]}": build_embedder(
            settings.embed, layout
        ),
    }


def _start() -> None:
    """Start Serve without an HTTP proxy, and without its running commentary."""
    with _hushed():
        serve.start(proxy_location="Disabled", logging_config=_QUIET)


@contextmanager
def _hushed() -> Iterator[None]:
    """Silence the client side of Serve, which says at each call what the call says."""
    logger = logging.getLogger("ray.serve")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _deploy(apps: dict[str, Any]) -> None:
    """Start all replicas at once, without waiting for them: whoever asks them first waits."""
    targets = [
        serve.RunTarget(app, name=name, route_prefix=None, logging_config=_QUIET)
        for name, app in apps.items()
    ]
    if targets:
        with _hushed():
            serve.run_many(targets, wait_for_applications_running=False)


def deploy_face_models(settings: Settings, layout: Layout) -> None:
    """Deploy the models for every run on this cluster with the same settings; they stay until taken down."""
    _start()
    _deploy(_applications(settings, layout))


@contextmanager
def face_models(settings: Settings, layout: Layout) -> Iterator[tuple[Any, Any]]:
    """The models for the time of the block.

    Applications that were deployed for every run are used and left alone; otherwise this run brings up its
    own and takes them down, so that no run pulls the replicas from under another.

    Yields:
        The handles of detector and embedder.
    """
    _start()
    running = serve.status().applications
    names, mine = [], {}
    for name, app in _applications(settings, layout).items():
        own = name if name in running else f"{name}-{uuid.uuid4().hex[:8]}"
        names.append(own)
        if own != name:
            mine[own] = app
    try:
        _deploy(mine)
        yield serve.get_app_handle(names[0]), serve.get_app_handle(names[1])
    finally:
        with _hushed():
            for own in mine:
                serve.delete(own, _blocking=False)  # the controller does it; nobody needs to wait
