"""What a supervisor runs on the Ray cluster: API, face models, workers."""

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any, Final

import psutil
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import HTTPOptions
from ray.serve.exceptions import RayServeException

from screenalyzer.errors import ServiceError
from services import ingress, models
from services.ingress import APP_NAME as API_APP
from services.models import DETECTOR_APP, EMBEDDER_APP
from services.serving import deploy, start_serve, take_down
from services.settings import ApiSettings, ServiceSettings
from services.work import crew
from services.work.crew import APP_NAME as WORKERS_APP
from services.work.crew import LEAVE_S

log = logging.getLogger(__name__)

BUILDERS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    API_APP: ingress.build,
    DETECTOR_APP: models.detector,
    EMBEDDER_APP: models.embedder,
    WORKERS_APP: crew.build,
}
_ASK_S = 5.0
_FAILED, _GONE = "DEPLOY_FAILED", "GONE"
_DEPLOY_AGAIN_S = 30.0  # each time all of an application's replicas are replaced


class Deployed:
    """Applications of one supervisor: those of `infra/serve.yaml`, by the same builders."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Take the service's settings; the builders read the environment's, which are the same."""
        self._settings = settings
        self._ran_before = False
        self._started: list[str] = []
        self._deployed_at = time.monotonic()

    def start_api(self) -> None:
        """Start Serve's proxy and the API, without waiting for either to answer."""
        self._ran_before = bool(serve.status().proxies or serve.status().applications)
        start_serve(_http_options(self._settings.api))
        self._deploy([API_APP])

    def start_work(self) -> None:
        """Start the face models and the workers, without waiting for them."""
        self._deploy([DETECTOR_APP, EMBEDDER_APP, WORKERS_APP])

    def explain_silence(self) -> str:
        """What may keep the API from being heard though it runs; empty where nothing is known."""
        if not self._ran_before:
            return ""
        return " Serve ran on this cluster before, and listens where it was told to then: see `serve config`."

    def check_api(self) -> None:
        """See that the API can still come up.

        Raises:
            ServiceError: it failed; with what it failed of.
        """
        found = serve.status().applications.get(API_APP)
        if found is not None and found.status.value == _FAILED:
            raise ServiceError(f"the API cannot be started: {found.message.strip() or _FAILED}")

    def look_after(self) -> tuple[dict[str, str], int]:
        """Bring back what is gone and does not come back by itself.

        Returns:
            State of each application, and how many workers answer.
        """
        states = {name: str(a.status.value) for name, a in serve.status().applications.items()}
        mine = {n: states.get(n, _GONE) for n in self._started}
        lost = [n for n, state in mine.items() if state in {_FAILED, _GONE}]
        if lost and time.monotonic() - self._deployed_at > _DEPLOY_AGAIN_S:
            log.warning("deployed again, since Serve has given them up: %s", ", ".join(lost))
            self._deploy(lost)
        return mine, self._crew("workers") or 0

    def stop(self) -> None:
        """Take it down: requests in flight are answered, workers put back what they hold."""
        take_down([API_APP])
        if WORKERS_APP in self._started and not self._crew("leave", LEAVE_S + 2):
            log.warning("not all workers stopped in time; what they held is taken up again")
        take_down([n for n in self._started if n != API_APP])

    def _deploy(self, names: list[str]) -> None:
        self._deployed_at = time.monotonic()
        for name in names:
            deploy({name: BUILDERS[name]({})}, "/" if name == API_APP else None)
        self._started += [n for n in names if n not in self._started]

    def _crew(self, method: str, within_s: float = _ASK_S) -> Any:
        """What a method of the crew answers; None where it does not: it starts, or is being started again."""
        try:
            handle = serve.get_app_handle(WORKERS_APP)
            return getattr(handle, method).remote().result(timeout_s=within_s)
        except (RayServeException, RayError, TimeoutError) as e:
            log.debug("the crew does not answer: %s", e)
            return None


def worker_environment(settings: ServiceSettings, embedder: str) -> dict[str, str]:
    """Variables that every process of the service must see; to a cluster of others they are carried.

    Args:
        settings: of the service.
        embedder: the one that `auto` has become.
    """
    names = ("DATABASE_URL", "REDIS_URL")
    carried = {k: v for k, v in os.environ.items() if k.startswith("SCREENALYZER_") or k in names}
    return {
        **carried,
        "SCREENALYZER_DATA_ROOT": str(settings.root),
        "SCREENALYZER_SECRETS_DIR": str(settings.secrets),
        "SCREENALYZER_EMBED__EMBEDDER": embedder,
        "SCREENALYZER_API__CORS_ORIGINS": json.dumps(settings.api.cors_origins),
        # uvicorn, in Serve's proxy, believes X-Forwarded-For of these; by default of everybody on its host
        "FORWARDED_ALLOW_IPS": ",".join(settings.api.trusted_proxies),
        # Serve looks at its proxy every 10 s and believes the third failure: half a minute without an API.
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "services.proxy:middlewares",
        "RAY_COLOR_PREFIX": "0",  # what workers say goes into a log
    }


def far_nodes() -> list[str]:
    """Addresses of the cluster's nodes that are other machines."""
    here = {a.address for found in psutil.net_if_addrs().values() for a in found}
    return [
        n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"] and n["NodeManagerAddress"] not in here
    ]


def head_address() -> str:
    """Address of the cluster's head node, where Serve's proxy listens."""
    heads = [n for n in ray.nodes() if n["Alive"] and "node:__internal_head__" in n["Resources"]]
    return str(heads[0]["NodeManagerAddress"]) if heads else "127.0.0.1"


def _http_options(cfg: ApiSettings) -> HTTPOptions:
    tls = {"ssl_certfile": str(cfg.tls_cert), "ssl_keyfile": str(cfg.tls_key)} if cfg.tls_cert else {}
    return HTTPOptions(host=cfg.host, port=cfg.port, **tls)
