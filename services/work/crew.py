"""The workers of a cluster as one application on Serve: `services.work.crew:build`.

The crew is one replica without a CPU of its own. It owns the worker actors, so they end with it however it
ends: it begins as many as there are stages for, looks after them, and lets those go that are too many and
idle. Serve begins the crew again when it dies. Where it is told to end, by `leave` or by Serve, its workers
put back what they hold; where it is killed, the next crew takes that back at once.
"""

import hashlib
import logging
import threading
import time
from dataclasses import replace
from typing import Any, Final

import ray
from pydantic import Field
from ray import serve
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from pipelines.layout import NODE_ID, plan_layout
from screenalyzer.settings import Settings, Slice
from services.context import Services
from services.db.models import StageRun
from services.jobs import claims
from services.jobs.dispatch import demand

APP_NAME: Final = "screenalyzer-workers"
LEAVE_S: Final = 5.0

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_ASK_S = 5.0
_STUCK_S = 60.0


class CrewArgs(Slice):
    """What the application can be built with."""

    leave_s: float = Field(LEAVE_S, gt=0, description="seconds that workers have to put back what they hold")


class Crew:
    """The deployment."""

    def __init__(self, leave_s: float) -> None:
        """Read the environment's settings, and begin to look after the workers in a thread.

        Raises:
            SettingsError: the cluster is too small for what was asked for, or there is no such embedder.
            ModelError: the embedder's file is not there.
        """
        self._leaving, self._leave_s = threading.Event(), leave_s
        self._workers: dict[int, Any] = {}
        self._asked_to_retire: dict[int, Any] = {}  # what each will answer
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        from pipelines.cluster import layout_here  # noqa: PLC0415 - not on whoever builds the application
        from screenalyzer.faces.embedders import with_embedder  # noqa: PLC0415 - likewise

        services = Services.from_environment()
        main_job, self._embedder = with_embedder(services.main_job)
        self._services = replace(services, main_job=main_job)
        self._layout = layout_here(main_job.ray)
        self._name = _name_here()
        self._answering = 0
        self._took_back = False
        self._too_many_since: float | None = None
        self._moved = time.monotonic()
        threading.Thread(target=self._keep, daemon=True).start()

    def __del__(self) -> None:
        """Serve calls this when the replica is to end, and waits for it."""
        self.leave()

    def leave(self) -> bool:
        """Let all workers put back what they hold, and end them; returns whether they did so in time."""
        if self._leaving.is_set():
            return True
        self._leaving.set()
        workers = list(self._workers.values())
        told = [w.leave.remote(self._leave_s) for w in workers]
        late = ray.wait(told, num_returns=len(told), timeout=self._leave_s + 1)[1] if told else []
        if late:
            log.warning("%d workers did not stop in time; what they held is taken up again", len(late))
        for worker in workers:
            ray.kill(worker)
        return not late

    def workers(self) -> int:
        """How many answered when they were last asked."""
        return self._answering

    def check_health(self) -> None:
        """For Serve, which begins a crew again that is stuck.

        Raises:
            RuntimeError: it is.
        """
        if time.monotonic() - self._moved > _STUCK_S and not self._leaving.is_set():
            raise RuntimeError(f"nobody has looked after the workers for {_STUCK_S:.0f} s")

    def _keep(self) -> None:
        while not self._leaving.wait(_LOOK_EVERY_S):
            try:
                self._look()
            except SQLAlchemyError as e:
                log.warning("the database does not answer: %s", e)
            except Exception:  # the edge: whatever is wrong, the workers are looked after again
                log.exception("crew")
            self._moved = time.monotonic()

    def _look(self) -> None:
        self._see_off()
        wanted = self._wanted()
        for number in range(wanted):
            if number not in self._workers and len(self._workers) < wanted and not self._leaving.is_set():
                self._workers[number] = self._begin(number)
        busy = self._ask()
        self._answering = len(busy)
        if len(self._workers) <= wanted:
            self._too_many_since = None
            return
        self._too_many_since = self._too_many_since or time.monotonic()
        if time.monotonic() - self._too_many_since >= self._services.settings.queues.idle_s:
            self._retire([n for n in sorted(busy, reverse=True) if not busy[n]], wanted)

    def _wanted(self) -> int:
        queues = self._services.settings.queues
        if not self._took_back:
            self._take_back()
        with self._services.database.read() as session:
            return queues.workers_for(demand(session, queues))

    def _take_back(self) -> None:
        """Give back what the workers of a former crew held, which ended with it."""
        with self._services.database.write() as session:
            mine = StageRun.state == "running", StageRun.worker.startswith(f"{self._name}-")
            for worker in session.scalars(select(StageRun.worker).where(*mine).distinct()).all():
                claims.reap(session, self._services.settings.queues, worker=worker)
        self._took_back = True

    def _begin(self, number: int) -> Any:
        """Start a worker beside the crew; Ray starts it again whenever it dies."""
        from services.work.worker import Worker  # noqa: PLC0415 - it imports every stage

        here = ray.get_runtime_context()
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_concurrency=4)(Worker)
        return actor.options(
            name=f"worker-{number}-{here.get_actor_id()[:8]}",
            label_selector={NODE_ID: here.get_node_id()},
        ).remote(f"{self._name}-{number}", self._services.main_job, self._embedder, self._layout)

    def _ask(self) -> dict[int, bool]:
        """Whether each worker that answers is busy; one that is gone for good is replaced."""
        asked = {n: w.is_busy.remote() for n, w in self._workers.items()}
        ray.wait(list(asked.values()), num_returns=len(asked), timeout=_ASK_S)
        busy = {}
        for number, ref in asked.items():
            try:
                busy[number] = bool(ray.get(ref, timeout=0))
            except (GetTimeoutError, ActorUnavailableError):  # starting, or being started again
                continue
            except RayActorError as e:
                if not self._leaving.is_set():
                    log.warning("worker %d is gone for good (%s); another is started", number, e)
                    self._asked_to_retire.pop(number, None)
                    self._workers[number] = self._begin(number)
        return busy

    def _retire(self, idle: list[int], wanted: int) -> None:
        """Ask those that are too many; one that waits for a Redis that is away answers late."""
        left = [n for n in idle if n not in self._asked_to_retire]
        for number in left[: max(0, len(self._workers) - len(self._asked_to_retire) - wanted)]:
            self._asked_to_retire[number] = self._workers[number].retire.remote()

    def _see_off(self) -> None:
        """End those that have said that they take no more; where they are wanted again, others are begun."""
        for number, answer in list(self._asked_to_retire.items()):
            if not ray.wait([answer], timeout=0)[0]:
                continue
            del self._asked_to_retire[number]
            try:
                has_retired = ray.get(answer)
            except RayActorError:  # it died before it answered, and begins anew
                continue
            if has_retired:
                ray.kill(self._workers.pop(number))
                log.info("worker %d was idle and too many; %d are left", number, len(self._workers))


def _name_here() -> str:
    """Tells the crews of several clusters apart that share a database, as during an upgrade."""
    return hashlib.sha256(ray.get_runtime_context().gcs_address.encode()).hexdigest()[:8]


_deployment: Any = serve.deployment(Crew)


def build(args: dict[str, Any]) -> serve.Application:
    """The application.

    Args:
        args: of CrewArgs.

    Raises:
        ValidationError: an argument that is none.
    """
    cfg = CrewArgs.model_validate(args)
    return _deployment.options(
        num_replicas=1,
        graceful_shutdown_timeout_s=cfg.leave_s + 3,
        graceful_shutdown_wait_loop_s=0.1,
        health_check_period_s=5,
        ray_actor_options={"num_cpus": 0, **plan_layout(Settings().ray, 0, 0).where_it_lasts},
    ).bind(cfg.leave_s)
