"""Jobs in a database without anybody who works on them: what tests of their life need."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from services.context import Services
from services.db.models import Episode, Job, Show, StageRun, now
from services.jobs import claims, lifecycle
from services.jobs.claims import Claim
from services.jobs.dispatch import dispatch
from services.settings import QueueSettings


def show(session: Session, name: str, weight: int = 1) -> Show:
    """A show."""
    made = Show(name=name, title=name, weight=weight)
    session.add(made)
    session.flush()
    return made


def episode(session: Session, of: Show, name: str) -> Episode:
    """An episode of it."""
    made = Episode(show_id=of.id, name=name, title=name)
    session.add(made)
    session.flush()
    return made


def process(session: Session, of: Show, name: str, **params: Any) -> Job:
    """A job over a new episode."""
    return lifecycle.create(
        session, "process", user_id=None, episode=episode(session, of, name), params=params
    )


def let_pass(session: Session, seconds: float) -> None:
    """Let so much time pass for everything that waits or beats."""
    span = timedelta(seconds=seconds)
    for run in session.scalars(select(StageRun)):
        run.not_before -= span
        if run.heartbeat_at:
            run.heartbeat_at -= span
        if run.dispatched_at:
            run.dispatched_at -= span
    session.flush()


def due_at_once(session: Session) -> None:
    """Make every wait end."""
    session.execute(update(StageRun).values(not_before=now() - timedelta(seconds=1)))


def take_due(services: Services, cfg: QueueSettings, worker: str = "w1") -> Claim:
    """Dispatch, and claim the one run that is due."""
    with services.database.write() as session:
        due_at_once(session)
        dispatch(session, cfg)
    with services.database.write() as session:
        (run_id,) = session.scalars(select(StageRun.id).where(StageRun.state == "queued")).all()
        mine = claims.claim(session, run_id, worker, cfg)
    assert mine is not None
    return mine
