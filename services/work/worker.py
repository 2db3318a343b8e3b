"""A worker: takes what is due from the queues, one stage at a time, and runs it as Ray work.

Ray starts a killed worker again, which gives back what it held; what is held by one that does not come back
is taken over by whoever is free once its lease has ended. What a stage did is recorded in one transaction, by
the latest attempt alone.
"""

import logging
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from redis.exceptions import RedisError
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pipelines.layout import Layout
from screenalyzer import disk
from screenalyzer.errors import EpisodeBusyError, InputError, StoreError
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId
from services.context import Services
from services.jobs import claims
from services.jobs.claims import Claim, Fenced
from services.jobs.plans import QUEUES
from services.jobs.send import send
from services.jobs.streams import Message
from services.settings import ServiceSettings
from services.work.control import Control, Stopped
from services.work.reconcile import reconcile
from services.work.stages import Bench, Done, on_failure, run_stage

log = logging.getLogger(__name__)

_IDLE_S = 0.2
_RECONCILE_S = 2.0
_BUSY_AGAIN_S = 2.0
_NO_ROOM_AGAIN_S = 10.0
_NO_ROOM = "{}. The stage goes on by itself once the disk has room again."
_RECORD_FOR_S = 60.0  # how long a finished stage waits for a database that is away

Run = Callable[[Bench, Claim, Control], Done]


@dataclass
class _Shift:
    """What a worker is doing."""

    control: Control | None = None
    taking: threading.Lock = field(default_factory=threading.Lock)
    busy: bool = False
    ended: threading.Event = field(default_factory=threading.Event)
    leaving: threading.Event = field(default_factory=threading.Event)


class Worker:
    """The actor."""

    def __init__(
        self, name: str, main_job: Settings, embedder: EmbedderId, layout: Layout, run: Run = run_stage
    ) -> None:
        """Begin to work at once, in a thread, so that the actor can still be asked how it is.

        Args:
            name: its own; whoever bore it before is gone.
            main_job: settings of the main job, with the embedder resolved.
            embedder: its id.
            layout: what each part gets of the cluster.
            run: runs a stage.
        """
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._services = Services(ServiceSettings(), main_job)
        self._bench = Bench(self._services, embedder, layout)
        self._name, self._run_stage = name, run
        self._shift = _Shift()
        self._database_answered = True
        self._forget_former_self()
        threading.Thread(target=self._work, daemon=True).start()

    def is_busy(self) -> bool:
        """Whether it holds a stage."""
        return self._shift.busy

    def retire(self) -> bool:
        """Take no more, unless a stage is held just now; returns whether it will not."""
        with self._shift.taking:
            if not self._shift.busy:
                self._shift.leaving.set()
            return not self._shift.busy

    def leave(self, within_s: float) -> bool:
        """Stop the stage that runs, put it back, and take no more; returns whether that was done in time."""
        self._shift.leaving.set()
        if self._shift.control:
            self._shift.control.stop()
        return self._shift.ended.wait(within_s)

    def _forget_former_self(self) -> None:
        """Give back at once what this worker held when it was killed, instead of waiting for the lease."""
        try:
            with self._services.database.write() as session:
                claims.reap(session, self._services.settings.queues, worker=self._name)
        except OperationalError as e:
            log.warning("the database does not answer: %s", e)

    def _work(self) -> None:
        reconciled = 0.0
        while not self._shift.leaving.is_set():
            try:
                if time.monotonic() - reconciled > _RECONCILE_S:
                    answered, self._database_answered = self._database_answered, True
                    reconcile(self._services, could_be_heard=answered)
                    reconciled = time.monotonic() + random.uniform(0, 1)  # workers take turns
                if self._work_once():
                    continue
            except RedisError as e:
                log.warning("Redis does not answer: %s", e)
            except OperationalError as e:
                self._database_answered = False
                log.warning("the database does not answer: %s", e)
            except Exception:
                log.exception("worker %s", self._name)
            self._shift.leaving.wait(_IDLE_S)
        self._shift.ended.set()

    def _work_once(self) -> bool:
        """Take a stage and run it; returns whether there was one."""
        with self._shift.taking:
            message = None if self._shift.leaving.is_set() else self._next()
            self._shift.busy = message is not None
        try:
            if message:
                self._handle(message)
        finally:
            self._shift.busy = False
        return message is not None

    def _next(self) -> Message | None:
        for queue in QUEUES:
            if message := self._services.streams.take(queue, self._name):
                return message
        return None

    def _handle(self, message: Message) -> None:
        with self._services.database.write() as session:
            mine = claims.claim(session, message.run_id, self._name, self._services.settings.queues)
        if mine:
            self._run(mine, message)
        self._services.streams.done(message)

    def _run(self, mine: Claim, message: Message) -> None:
        log.info("job %s: %s, attempt %d", mine.job_id, mine.stage, mine.attempt)
        try:
            with Control(self._services, mine, message, self._name) as control:
                self._shift.control = control
                self._record(mine, self._attempt(mine, control))
        except Fenced:
            log.warning("job %s: %s was taken over, attempt %d ends", mine.job_id, mine.stage, mine.attempt)
        finally:
            self._shift.control = None
        self._services.board.clear(mine.job_id)
        send(self._services)

    def _attempt(self, mine: Claim, control: Control) -> "Done | Exception":
        """Run the stage; whatever it raises is its outcome."""
        try:
            return self._run_stage(self._bench, mine, control)
        except Stopped as e:
            if control.fenced:
                raise Fenced from e
            return e
        except Exception as e:
            log.warning("job %s: %s failed", mine.job_id, mine.stage, exc_info=e)
            return e

    def _record(self, mine: Claim, outcome: "Done | Exception") -> None:
        """Write down what became of the attempt, however long the database takes to come back."""
        deadline = time.monotonic() + _RECORD_FOR_S
        while True:
            try:
                self._write_down(mine, outcome)
            except OperationalError:
                self._database_answered = False
                if time.monotonic() > deadline:
                    raise
                time.sleep(_IDLE_S)
            else:
                return

    def _write_down(self, mine: Claim, outcome: "Done | Exception") -> None:
        with self._services.database.write() as session:
            if isinstance(outcome, Done):
                claims.complete(
                    session, mine, result=outcome.result, length_ms=outcome.length_ms, skipped=outcome.skipped
                )
                if outcome.commit:
                    outcome.commit(session)
            elif isinstance(outcome, Stopped):
                claims.stopped(session, mine)
            elif isinstance(outcome, EpisodeBusyError | StoreError):
                claims.wait(session, mine, str(outcome), _BUSY_AGAIN_S)
            elif disk.is_full(outcome):
                claims.wait(session, mine, _NO_ROOM.format(explain(outcome)), _NO_ROOM_AGAIN_S)
            else:
                self._fail(session, mine, outcome)

    def _fail(self, session: Session, mine: Claim, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))
        final = isinstance(error, InputError)
        job = claims.fail(session, mine, explain(error), text, self._services.settings.queues, final=final)
        if job.state != "failed":
            return
        on_failure(session, self._services, mine, job.error or "")
        if not final:  # after the commit: nobody must wait for the database because Redis is slow
            event.listen(session, "after_commit", lambda _: self._show_dead(mine, error, text), once=True)

    def _show_dead(self, mine: Claim, error: Exception, text: str) -> None:
        try:
            self._services.streams.bury(mine.job_id, mine.stage, explain(error), text)
        except RedisError:
            return  # SQL has it


def explain(error: Exception) -> str:
    """An error as one line for the user; a foreign one with its kind."""
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return lines[-1] if isinstance(cause, InputError) else f"{type(cause).__name__}: {lines[-1]}".rstrip(": ")
