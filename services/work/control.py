"""The reins of one attempt: its heartbeat, its progress, and the word to stop."""

import logging
import threading
import time
from types import TracebackType

from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError

from services.context import Services
from services.db.models import Job, StageRun, now
from services.jobs import claims, eta
from services.jobs.board import Progress
from services.jobs.claims import Claim, Fenced
from services.jobs.streams import Message

log = logging.getLogger(__name__)

_FASTEST_BEAT_S = 1.0


class Stopped(Exception):  # noqa: N818 - no error: the way out of an attempt that is to end early
    """The attempt was told to stop: paused, cancelled, taken over, or its worker ends."""


class Control:
    """Beats while the block lasts; `stopping` is true as soon as the attempt should end."""

    def __init__(self, services: Services, claim: Claim, message: Message, consumer: str) -> None:
        """Take the attempt and the message that it came by."""
        self._services, self._claim, self._message, self._consumer = services, claim, message, consumer
        self._lease_s = services.settings.queues.lease_s
        self._stop, self._over = threading.Event(), threading.Event()
        self._done_ms = self._total_ms = 0
        self._known: dict[str, float] = {}
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.fenced = False

    def __enter__(self) -> "Control":
        """Begin to beat."""
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Beat no more."""
        self._over.set()
        self._thread.join()

    @property
    def stopping(self) -> bool:
        """Whether the attempt should end now."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the attempt to end."""
        self._stop.set()

    def check(self) -> None:
        """Raise if the attempt should end.

        Raises:
            Stopped: it should.
        """
        if self.stopping:
            raise Stopped

    def report(self, done_ms: int, total_ms: int = 0) -> None:
        """Say how far the stage is, in milliseconds of video."""
        self._done_ms, self._total_ms = done_ms, total_ms or self._total_ms

    def _beat(self) -> None:
        pause_s = min(_FASTEST_BEAT_S, self._lease_s / 4)
        answered = time.monotonic()
        while not self._over.wait(pause_s):
            try:
                self._tell_sql()
                answered = time.monotonic()
            except Fenced:
                self.fenced = True
                self._stop.set()
            except OperationalError as e:
                log.warning("the database does not answer: %s", e)
                if time.monotonic() - answered > self._lease_s:
                    self._stop.set()  # somebody else may have the run by now
            try:
                self._services.streams.keep(self._message, self._consumer)
            except RedisError:
                continue  # SQL has the heartbeat that counts

    def _tell_sql(self) -> None:
        with self._services.database.write() as session:
            wanted = claims.beat(session, self._claim, self._done_ms, self._total_ms)
        if wanted == "stop":
            self._stop.set()
        self._post()

    def _post(self) -> None:
        """Show the progress; read apart from the heartbeat, which must not keep others from writing."""
        with self._services.database.read() as session:
            self._known = self._known or eta.paces(session)
            job = session.get(Job, self._claim.job_id)
        run = next((r for r in job.runs if r.id == self._claim.run_id), None) if job else None
        if job and run:
            self._services.board.post(job.id, _progress(job, run, self._known))


def _progress(job: Job, run: StageRun, known: dict[str, float]) -> Progress:
    moment = now()
    return {
        "stage": run.stage,
        "done_ms": run.done_ms,
        "total_ms": run.total_ms,
        "speed": eta.speed(run, run.done_ms, moment),
        "eta_s": eta.seconds_left(job, known, at=moment),
        "at": moment.timestamp(),
    }
