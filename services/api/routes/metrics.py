"""Routes of the figures for Prometheus, and of where it finds those of Ray."""

import hmac
from typing import Any

from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import Response

from services.api.deps import ServicesDep, TokenDep, bearer, get_admin, get_caller
from services.api.problems import responses
from services.api.schemas.metrics import TargetGroup
from services.api.unit import UnitOfWork
from services.metrics.collector import ServiceCollector
from services.metrics.targets import ray_nodes

router = APIRouter(tags=["metrics"], route_class=UnitOfWork)

_EXAMPLE = "# HELP screenalyzer_redis_up Whether Redis answers\n# TYPE screenalyzer_redis_up gauge\n"
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}}},
    **responses(401, 403),
}


async def get_scraper(request: Request, services: ServicesDep, token: TokenDep) -> None:
    """Let a scraper in by its own token, and any Admin.

    Raises:
        ApiError: 401 for nobody, 403 for who is no Admin.
    """
    secret = services.settings.api.metrics_token
    expected = secret.get_secret_value() if secret else ""
    if expected and hmac.compare_digest(bearer(request).encode(), expected.encode()):
        return
    await get_admin(await get_caller(request, token))


@router.get("/metrics", dependencies=[Depends(get_scraper)], response_class=Response, responses=_RESPONSES)
def get_metrics(services: ServicesDep) -> Response:
    """Figures in the text format of Prometheus, read from SQL and Redis at this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(services))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/metrics/targets", dependencies=[Depends(get_scraper)], responses=responses(401, 403))
def list_metrics_targets() -> list[TargetGroup]:
    """Where the nodes of the Ray cluster export their own figures, for Prometheus's `http_sd_configs`."""
    return [TargetGroup(targets=ray_nodes(), labels={"job": "ray"})]
