"""The API on Ray Serve: `serve.run(build({}))`, or `import_path: services.ingress:build` in YAML.

Each replica reads its settings from its own environment, as every process of the service does.
"""

import logging
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from pipelines.layout import plan_layout
from screenalyzer.settings import Settings
from services.context import Services
from services.settings import ServiceSettings

APP_NAME = "screenalyzer-api"


class IngressArgs(BaseModel):
    """What the application can be built with."""

    model_config = ConfigDict(extra="forbid")

    replicas: int | None = Field(None, ge=1, description="as the settings say where unset")
    max_ongoing_requests: int = Field(
        1000, ge=1, description="requests at once a replica; each open event stream is one"
    )
    drain_s: float = Field(
        3, ge=0, description="seconds that a replica which is to end waits for its requests"
    )


class Ingress:
    """Builds the API where it runs, so nothing of it has to be carried there."""

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The API on this replica's own connections."""
        from services.api.app import create_app  # noqa: PLC0415 - on the replica, not on every driver
        from services.uploads.check import check_video  # noqa: PLC0415 - likewise

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        return create_app(Services.from_environment(), check_video)


_deployment: Any = serve.deployment(serve.ingress()(Ingress))


def build(args: dict[str, Any]) -> serve.Application:
    """The application.

    Args:
        args: of IngressArgs.

    Raises:
        ValidationError: an argument that is none.
    """
    cfg = IngressArgs.model_validate(args)
    return _deployment.options(
        num_replicas=cfg.replicas or ServiceSettings().api.replicas,
        max_ongoing_requests=cfg.max_ongoing_requests,
        graceful_shutdown_timeout_s=cfg.drain_s,
        graceful_shutdown_wait_loop_s=0.1,
        health_check_period_s=2,
        ray_actor_options={"num_cpus": 0, **plan_layout(Settings().ray, 0, 0).where_it_lasts},
    ).bind()
