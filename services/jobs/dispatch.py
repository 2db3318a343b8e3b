"""Which due run goes into its queue next: never more than a queue's capacity, and fair between shows.

Only what may start at once is put into a stream, so a show that brings a hundred episodes does not stand
before one that brings a single one. At each free place the show is served that had the smallest share of the
last turns for its weight; between equals, the one whose turn was longest ago; within a show, the oldest job.
"""

from collections import deque

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.orm import Session

from services.db.models import Job, StageRun, now
from services.jobs.plans import QUEUES
from services.settings import QueueName, QueueSettings

_LOCK = 0x5C4EE5  # two dispatchers at once would both fill the last place
_IN_FLIGHT = ("queued", "running")
_LIVE = ("queued", "running")
_MEMORY = 4  # turns kept in mind for each unit of weight: long enough for shares, short enough to forget


def dispatch(session: Session, cfg: QueueSettings) -> list[tuple[QueueName, str]]:
    """Mark what may start now as queued; returns queue and run, to be put into the streams afterwards."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite lets one write at a time anyway
        session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    chosen = []
    for queue in QUEUES:
        for run in _choose(session, queue, cfg.capacity(queue)):
            run.state, run.dispatched_at = "queued", now()
            chosen.append((queue, run.id))
    return chosen


def demand(session: Session, cfg: QueueSettings) -> int:
    """How many stages run, or could if there were workers enough; no more of a queue than have a place."""
    wanted = or_(
        StageRun.state.in_(_IN_FLIGHT),
        and_(StageRun.state == "ready", StageRun.not_before <= now(), Job.state.in_(_LIVE)),
    )
    counts = session.execute(
        select(StageRun.queue, func.count()).join(Job).where(wanted).group_by(StageRun.queue)
    )
    return sum(min(count, cfg.capacity(queue)) for queue, count in counts)


def due(session: Session, queue: QueueName, most: int) -> list[StageRun]:
    """Runs of a queue that wait for a place, oldest job first: at most so many of each show."""
    turn = func.row_number().over(partition_by=Job.show_id, order_by=(Job.created_at, Job.id)).label("turn")
    waiting = (
        select(StageRun.id, turn).join(Job)
        .where(
            StageRun.queue == queue,
            StageRun.state == "ready",
            StageRun.not_before <= now(),
            Job.state.in_(_LIVE),
        )
        .subquery()
    )  # fmt: skip
    found = (
        select(StageRun).join(Job)
        .where(StageRun.id.in_(select(waiting.c.id).where(waiting.c.turn <= most)))
        .order_by(Job.created_at, Job.id)
        .with_for_update(of=StageRun, skip_locked=True)
    )  # fmt: skip
    return [r for r in session.scalars(found) if r.state == "ready"]


def _choose(session: Session, queue: QueueName, capacity: int) -> list[StageRun]:
    taken = session.scalar(
        select(func.count()).where(StageRun.queue == queue, StageRun.state.in_(_IN_FLIGHT))
    )
    free = capacity - (taken or 0)
    waiting = due(session, queue, free) if free > 0 else []
    by_show: dict[str | None, deque[StageRun]] = {}
    for run in waiting:
        by_show.setdefault(run.job.show_id, deque()).append(run)
    weights = {show_id: _weight(runs[0].job) for show_id, runs in by_show.items()}
    past = _served(session, queue, _MEMORY * sum(weights.values())) if waiting else deque()
    chosen: list[StageRun] = []
    while by_show and len(chosen) < free:
        show_id = min(by_show, key=lambda s: ((past.count(s) + 1) / weights[s], _last(past, s)))
        chosen.append(by_show[show_id].popleft())
        past.append(show_id)
        if not by_show[show_id]:
            del by_show[show_id]
    return chosen


def _served(session: Session, queue: QueueName, most: int) -> deque[str | None]:
    """Whose runs the queue was given last, oldest first; as many as are kept in mind."""
    found = session.scalars(
        select(Job.show_id).select_from(StageRun).join(Job)
        .where(StageRun.queue == queue, StageRun.dispatched_at.is_not(None))
        .order_by(StageRun.dispatched_at.desc()).limit(most)
    ).all()  # fmt: skip
    return deque(reversed(found), maxlen=most)


def _weight(job: Job) -> int:
    return job.show.weight if job.show else 1


def _last(past: deque[str | None], show_id: str | None) -> int:
    """Position of a show's last turn; -1 where it had none."""
    return max((n for n, s in enumerate(past) if s == show_id), default=-1)
