"""SQL is the truth: what it says is due is brought into the queues again, whatever became of the messages."""

from datetime import timedelta

from sqlalchemy import exists, select

from services.context import Services
from services.db.models import StageRun, now
from services.jobs import claims
from services.jobs.send import send
from services.privacy.retention import ensure_sweep
from services.review.publish import ensure_published
from services.settings import QueueName
from services.uploads.finish import complete_unfinished

_UNDELIVERED_S = 2.0


def reconcile(services: Services, *, could_be_heard: bool = True) -> None:
    """Take back what the dead held, finish uploads, publish reviews, send what is due, resend what was lost.

    Safe to run anywhere, at any time, by many at once.

    Args:
        services: with the stores.
        could_be_heard: whether the database answered until now; where it was away, nobody who is silent is
            taken for dead yet.

    Raises:
        RedisError: Redis is away; SQL has been put right all the same.
    """
    if could_be_heard and _any_silent(services):
        with services.database.write() as session:
            claims.reap(session, services.settings.queues)
    if _any_far_off(services):
        with services.database.write() as session:
            claims.catch_up(session)
    complete_unfinished(services)
    ensure_sweep(services)
    ensure_published(services)
    if _any_due(services):
        send(services)
    _resend(services)


def _any_silent(services: Services) -> bool:
    gone = exists().where(StageRun.state == "running", claims.unheard(services.settings.queues))
    with services.database.read() as session:
        return bool(session.scalar(select(gone)))


def _any_far_off(services: Services) -> bool:
    with services.database.read() as session:
        return bool(session.scalar(select(exists().where(claims.far_off()))))


def _any_due(services: Services) -> bool:
    with services.database.read() as session:
        return bool(
            session.scalar(select(exists().where(StageRun.state == "ready", StageRun.not_before <= now())))
        )


def _resend(services: Services) -> None:
    """Put in again what SQL calls queued and no stream holds: Redis was flushed, or away when it was sent."""
    horizon = now() - timedelta(seconds=_UNDELIVERED_S)
    with services.database.read() as session:
        rows = session.execute(
            select(StageRun.queue, StageRun.id).where(
                StageRun.state == "queued", StageRun.dispatched_at < horizon
            )
        ).all()
    by_queue: dict[QueueName, set[str]] = {}
    for queue, run_id in rows:
        by_queue.setdefault(queue, set()).add(run_id)
    for queue, run_ids in by_queue.items():
        for lost in run_ids - services.streams.held(queue):
            services.streams.put(queue, lost)
