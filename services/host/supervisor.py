"""`python -m services.host.supervisor`: starts all that the service needs in order, watches, stops it.

It is the driver of the local Ray and the parent of the embedded Redis, which therefore end with it, however
it ends; what they did not finish is taken up from SQL by the next one.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from secrets import token_hex
from types import FrameType
from typing import Any

from screenalyzer.errors import ScreenalyzerError, ServiceError
from screenalyzer.settings import Settings
from services.context import Services
from services.host import address
from services.host.review_ui import ReviewUi
from services.host.state import State, Teller, hold
from services.settings import ServiceSettings

log = logging.getLogger(__name__)

_HEALTHY_S = 120.0
_LOOK_EVERY_S = 2.0
_LOST_S = 60.0  # a cluster that has not answered for so long will not come back


class _Told(BaseException):
    """The way out of a start that is to be given up."""


class Supervisor:
    """One run of the service."""

    def __init__(self, services: Services, ui: bool, announce: Callable[[State], None] | None = None) -> None:
        """Take what the process shares.

        Args:
            services: made from the environment that the workers will have too.
            ui: whether the review UI is started, if it is installed.
            announce: called once, when the service runs.
        """
        self._services, self._settings = services, services.settings
        self._ui = ReviewUi.find(self._settings.api) if ui else None
        if self._ui is not None:
            self._settings = self._ui.let_in(self._settings)
        self._announce = announce or (lambda _: None)
        self._told = threading.Event()
        self._starting = True
        self._teller = Teller(self._settings.root)

    def run(self) -> None:
        """Run until told to stop.

        Raises:
            ScreenalyzerError: it could not be started, or what it stands on broke down; nothing runs then.
            OSError: the data root cannot be written.
        """
        os.umask(0o077)  # faces and who they are: for this user alone
        root = self._settings.root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold(root):
            self._listen()
            try:
                with ExitStack() as held:
                    self._start(held)
                    self._watch()
                    self._tell(phase="stopping", step="stopping")
            except _Told:
                log.info("told to stop while starting")
            except Exception as e:  # an edge: whoever waits for the service is told what became of it
                why = str(e) if isinstance(e, ScreenalyzerError) else f"{type(e).__name__}: {e}"
                self._tell(phase="failed", step="", error=why.strip().splitlines()[0])
                raise
            self._teller.forget()

    def _start(self, held: ExitStack) -> None:
        settings = self._settings
        began = time.monotonic()
        self._tell(step="looking at settings and ports")
        address.check_tls(settings.api)
        main_job = self._models()
        self._sweep()
        if not os.environ.get("RAY_ADDRESS"):
            address.check_port(settings.api.host, settings.api.port, "--port")
        if not settings.redis_url:
            self._start_redis(held)
        self._prepare_database()
        self._tell(step="starting Ray")
        self._start_cluster(held, main_job)
        self._start_ui(held)
        self._tell(phase="running", step="")
        log.info("the service runs, %.1f s after it began to start", time.monotonic() - began)
        self._announce(self._teller.state)
        self._starting = False

    def _models(self) -> Settings:
        """Settings of the main job, with an embedder that is there."""
        from screenalyzer.faces.embedders import with_embedder  # noqa: PLC0415 - not where refused early

        self._tell(step="finding the models")
        main_job, _ = with_embedder(self._services.main_job)
        return main_job

    def _sweep(self) -> None:
        from pipelines.cluster import sweep_scratch  # noqa: PLC0415 - Ray takes seconds to import

        self._tell(step="clearing what a killed run left")
        sweep_scratch()

    def _start_redis(self, held: ExitStack) -> None:
        from services.host.redis_server import RedisServer  # noqa: PLC0415 - not where there is another

        self._tell(step="starting Redis")
        server = RedisServer(self._settings)
        held.callback(server.stop)
        server.start()

    def _prepare_database(self) -> None:
        from services.host.database import prepare_database  # noqa: PLC0415 - after the settings

        self._tell(step="preparing the database")
        admin = prepare_database(self._services)
        secret = str(admin.secret_path) if admin.secret_path else None
        self._tell(admin=admin.name, secret=secret)

    def _start_cluster(self, held: ExitStack, main_job: Settings) -> None:
        from pipelines.cluster import cluster  # noqa: PLC0415 - Ray takes seconds to import
        from services.host.deployed import (  # noqa: PLC0415 - likewise
            Deployed,
            far_nodes,
            head_address,
            worker_environment,
        )

        settings, env = self._settings, worker_environment(self._settings, main_job.embed.embedder)
        shared = bool(os.environ.get("RAY_ADDRESS"))
        os.environ.update(env)  # a local cluster's processes are this one's children
        if not shared:  # Ray's own token lies in a file that others may read
            os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
        with _connection_explained():
            held.enter_context(cluster(main_job.ray, env if shared else None, show_logs=True))
        self._listen()  # Ray has put its own handlers in the place of ours
        if self._told.is_set():
            raise _Told
        warnings = _warnings(settings, far_nodes(), self._services.board.there())
        self._tell(warnings=warnings, step="starting the API")
        url = address.api_url(settings.api, head_address() if shared else "127.0.0.1")
        self._deployed = Deployed(settings)
        held.callback(self._stop_deployed)
        self._deployed.start_api()
        try:
            address.wait_healthy(url, _HEALTHY_S, self._deployed.check_api)
        except ServiceError as e:
            raise ServiceError(f"{e}{self._deployed.explain_silence()}") from e
        self._tell(step="starting models and workers")
        self._deployed.start_work()  # after the API, which is there sooner if it has the cores to itself
        tls_cert = str(settings.api.tls_cert.absolute()) if settings.api.tls_cert else None
        self._tell(api=url, tls_cert=tls_cert)

    def _stop_deployed(self) -> None:
        self._tell(step="stopping workers and API")
        try:
            self._deployed.stop()
        except Exception:  # whatever the cluster says: it is to end, and SQL knows what was not finished
            log.exception("the cluster cannot be told to stop")
        self._tell(step="stopping Ray")

    def _start_ui(self, held: ExitStack) -> None:
        if self._ui is None:
            return
        cfg, state = self._settings.api, self._teller.state
        address.check_port(cfg.host, cfg.ui_port, "--ui-port")
        self._tell(step="starting the review UI")
        self._ui.start(state.api or "", state.tls_cert)
        held.callback(self._ui.stop)
        warnings = [] if self._ui.wait() else ["The review UI does not answer yet. Its log is the service's."]
        self._tell(ui=address.ui_url(cfg), warnings=[*state.warnings, *warnings])

    def _watch(self) -> None:
        heard = time.monotonic()
        while not self._told.wait(_LOOK_EVERY_S):
            if self._ui is not None:
                self._ui.look_after()
            try:
                apps, workers = self._deployed.look_after()
            except Exception:  # the edge: whatever is wrong with the cluster, it is asked again
                log.exception("the cluster does not answer")
                if time.monotonic() - heard > _LOST_S:
                    raise ServiceError(f"Ray has not answered for {_LOST_S:.0f} s. Start again.") from None
            else:
                heard = time.monotonic()
                self._tell(apps=apps, workers=workers)

    def _tell(self, **changes: Any) -> None:
        if changes.get("step"):
            log.info("%s", changes["step"])
        self._teller.tell(**changes)

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - Python's signature
        first = not self._told.is_set()
        self._told.set()
        if first and self._starting:
            raise _Told


@contextmanager
def _connection_explained() -> Iterator[None]:
    where = os.environ.get("RAY_ADDRESS")
    try:
        yield
    except ConnectionError as e:
        if where:
            raise ServiceError(
                f"no Ray cluster answers at RAY_ADDRESS={where}. "
                "Start it, or unset RAY_ADDRESS for a local one."
            ) from e
        raise ServiceError(f"Ray cannot be started: {e}") from e


def _warnings(settings: ServiceSettings, far: list[str], redis_is_there: bool) -> list[str]:
    """What does not go together, or is missing."""
    where = f"the Ray cluster has nodes on other machines ({', '.join(sorted(far)[:3])})"
    found = [] if redis_is_there else ["Redis does not answer at REDIS_URL; jobs wait until it does."]
    if far and not settings.redis_url:
        found.append(f"{where}, which cannot reach the embedded Redis. Set REDIS_URL.")
    if far and not settings.database_url:
        found.append(f"{where}, and SQLite is no database for several machines. Set DATABASE_URL.")
    return found


def supervise(ui: bool, announce: Callable[[State], None] | None = None) -> None:
    """Run the service of the environment's settings until told to stop.

    Raises:
        ScreenalyzerError: it could not be started, or broke down.
        OSError: the data root cannot be written.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "alembic.runtime.plugins"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    Supervisor(Services(ServiceSettings(), Settings()), ui, announce).run()


def main() -> int:
    """The process that `screenalyzer up` starts; `--no-ui` leaves the review UI out."""
    try:
        supervise("--no-ui" not in sys.argv[1:])
    except ScreenalyzerError as e:
        log.error("%s", e)  # noqa: TRY400 - one that is meant needs no traceback
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
