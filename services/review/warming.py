"""Desks that somebody is likely to open soon, loaded before they do.

Which these are: of episodes whose processing or publication was done last, and of those that were just looked
at. One thread loads one desk at a time, only into room that nobody's open desk needs.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.exc import NoResultFound, SQLAlchemyError

from screenalyzer.errors import ScreenalyzerError
from services.db.models import Job

if TYPE_CHECKING:
    from services.context import Services

_LOOK_EVERY_S: Final = 10.0
_NOT_AGAIN_S: Final = 60.0  # who look at more episodes than there is room for must not drive each other out
_LOOK_AT: Final = 30  # jobs: an episode has one for each time that somebody rested while they reviewed it
_WAITING: Final = 8

log = logging.getLogger(__name__)


class Warmer:
    """Loads desks ahead, from `start` to `stop`."""

    def __init__(self, services: "Services") -> None:
        """Take what the process shares."""
        self._services = services
        self._wanted: OrderedDict[str, None] = OrderedDict()
        self._news = threading.Condition()
        self._looked_at: dict[str, float] = {}
        self._last: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._ended = False

    def start(self) -> None:
        """Begin, where desks are to be loaded ahead at all."""
        if self._services.settings.api.desks_ahead > 0:
            self._thread = threading.Thread(target=self._work, name="desks-ahead", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, once what is being loaded is loaded."""
        with self._news:
            self._ended = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()

    def ask(self, *episode_ids: str) -> None:
        """Load the desks of some episodes soon, the first one first; costs the caller nothing."""
        now = time.monotonic()
        with self._news:
            self._looked_at = {e: at for e, at in self._looked_at.items() if now - at < _NOT_AGAIN_S}
            fresh = [e for e in episode_ids if e not in self._looked_at]
            if fresh and self._thread is not None:
                self._looked_at.update(dict.fromkeys(fresh, now))
                self._want(fresh)

    def _want(self, episode_ids: Sequence[str]) -> None:
        for episode_id in reversed(episode_ids):
            self._wanted[episode_id] = None
            self._wanted.move_to_end(episode_id)
        while len(self._wanted) > _WAITING:
            self._wanted.popitem(last=False)
        self._news.notify()

    def _work(self) -> None:
        look_at = 0.0
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ended or self._wanted, max(0.0, look_at - time.monotonic()))
                if self._ended:
                    return
                episode_id = self._wanted.popitem()[0] if self._wanted else None
            try:
                if episode_id is not None:
                    self._services.desks.prepare(episode_id)
                else:
                    look_at = time.monotonic() + _LOOK_EVERY_S
                    self._look()
            except (ScreenalyzerError, NoResultFound):
                continue  # it is being processed, or is gone: whoever asks for it is told
            except (SQLAlchemyError, OSError):
                log.warning("a desk could not be loaded ahead", exc_info=True)

    def _look(self) -> None:
        """Want the episodes that were worked on last, the last one first, where they have been since."""
        done = (
            select(Job.episode_id, Job.id)
            .where(Job.kind.in_(("process", "publish")), Job.state == "done")
            .order_by(Job.finished_at.desc())
            .limit(_LOOK_AT)
        )
        last: dict[str, str] = {}
        with self._services.database.read() as session:
            for episode_id, job_id in session.execute(done).all():
                if episode_id is not None:
                    last.setdefault(episode_id, job_id)
        settings = self._services.settings.api
        recent = dict(list(last.items())[: min(settings.desks_ahead, settings.desks)])
        with self._news:
            self._want([e for e, job in recent.items() if self._last.get(e) != job])
        self._last = recent
