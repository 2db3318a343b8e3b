"""Events of a job as they come, by SSE or by a long poll; waiting holds no session and no thread."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from services.access.sessions import authenticate
from services.api.schemas.jobs import EventPage, EventView
from services.context import Services
from services.db.models import ENDED, Event, Job

SSE: Final = "text/event-stream"
LARGEST_PAGE: Final = 500

_LOOK_EVERY_S: Final = 0.5
_PROGRESS_EVERY_S: Final = 1.0
_RETRY_MS: Final = 2000  # how long a client that was cut off waits before it comes back


@dataclass
class Follower:
    """Reads on from an event.

    Attributes:
        services: what the process shares.
        job_id: of the job.
        token: that the stream was opened with; the stream ends with it.
        after: the last event that was read.
        heartbeat_s: after so long without news the stream says that it is there; so often it looks
            whether the token still stands.
    """

    services: Services
    job_id: str
    token: str = ""
    after: int = 0
    heartbeat_s: float = 15.0
    _progress_at: float = field(default=0.0, init=False)
    _looked: float = field(default_factory=time.monotonic, init=False)

    async def page(self, limit: int, wait_s: float) -> EventPage:
        """Events after the last one; an empty page only when nothing came in so many seconds, or none can."""
        deadline = time.monotonic() + wait_s
        while True:
            found = await run_in_threadpool(self._read, limit)
            left = deadline - time.monotonic()
            if found.items or found.ended or left <= 0:
                return found
            await asyncio.sleep(min(left, _LOOK_EVERY_S))

    async def stream(self) -> AsyncIterator[str]:
        """The events as Server-Sent Events, with live progress between them, up to the end of the job.

        Progress has no id: a client that comes back asks for what came after the last event.
        """
        yield f"retry: {_RETRY_MS}\n\n"
        said = checked = time.monotonic()
        while True:
            page = await run_in_threadpool(self._read, LARGEST_PAGE)
            for event in page.items:
                yield _message(event.kind, event.model_dump(mode="json"), event.id)
            if page.ended:
                return
            news = await self._news()
            if news:
                yield _message("progress", news)
            moment = time.monotonic()
            if page.items or news:
                said = moment
            elif moment - said >= self.heartbeat_s:
                yield ": still here\n\n"
                said = moment
            if moment - checked >= self.heartbeat_s:
                if not await run_in_threadpool(self._still_welcome):
                    return
                checked = moment
            if len(page.items) < LARGEST_PAGE:
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _news(self) -> dict[str, Any] | None:
        """Progress, about once a second, if there is any."""
        if time.monotonic() - self._looked < _PROGRESS_EVERY_S:
            return None
        self._looked = time.monotonic()
        return await run_in_threadpool(self._progress)

    def _read(self, limit: int) -> EventPage:
        """Events after the last one, which then is the last of these."""
        with self.services.database.read() as session:
            # The state first: whoever ends a job writes the last event in the same transaction.
            state = session.scalar(select(Job.state).where(Job.id == self.job_id))
            rows = session.scalars(
                select(Event)
                .where(Event.job_id == self.job_id, Event.id > self.after)
                .order_by(Event.id)
                .limit(limit)
            ).all()
            items = [EventView(id=e.id, kind=e.kind, data=e.data, at=e.at) for e in rows]
        self.after = items[-1].id if items else self.after
        over = state is None or state in ENDED
        return EventPage(items=items, next=self.after, ended=over and len(items) < limit)

    def _progress(self) -> dict[str, Any] | None:
        """What Redis has, if it is new."""
        posts, _ = self.services.board.read([self.job_id])
        post = posts.get(self.job_id)
        if post is None or post["at"] <= self._progress_at:
            return None
        self._progress_at = post["at"]
        return dict(post)

    def _still_welcome(self) -> bool:
        with self.services.database.read() as session:
            return authenticate(session, self.services.keyring, self.token) is not None


def _message(kind: str, data: dict[str, Any], event_id: int | None = None) -> str:
    """One event of the stream; JSON has no bare line breaks, so it is one line."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n"
