"""Requests to purge: the job is made in the request's transaction, and does the work later.

What still works on an episode is told to stop at once, so that the purge need not wait for its end.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.access.sessions import Caller
from services.api.problems import ApiError
from services.context import Services
from services.db.models import ENDED, Episode, Job, Show
from services.jobs import lifecycle


def purge_episode(
    session: Session, services: Services, episode: Episode, caller: Caller  # noqa: ARG001 - like its sisters
) -> Job:  # fmt: skip
    """A job that purges an episode; other jobs on it are cancelled.

    Raises:
        ApiError: 409 where one is on its way.
    """
    params = {"target": "episode", "episode_id": episode.id, "show_id": episode.show_id}
    _refuse_another(session, params)
    # While another job comes to its end, the purge cannot take the episode's one place yet; its run does.
    waits = stop_others(session, episode.id)
    return lifecycle.create(
        session, "purge", user_id=caller.user_id, episode=None if waits else episode, show=episode.show,
        params={**params, "actor": caller.name},
    )  # fmt: skip


def purge_show(
    session: Session, services: Services, show: Show, caller: Caller  # noqa: ARG001 - like its sisters
) -> Job:  # fmt: skip
    """A job that purges a show with everything in it; other jobs on its episodes are cancelled.

    Raises:
        ApiError: 409 where one is on its way.
    """
    params = {"target": "show", "show_id": show.id}
    _refuse_another(session, params)
    for episode_id in session.scalars(select(Episode.id).where(Episode.show_id == show.id)).all():
        stop_others(session, episode_id)
    return lifecycle.create(
        session, "purge", user_id=caller.user_id, show=show, params={**params, "actor": caller.name}
    )


def purge_person(session: Session, show: Show, person_id: str, caller: Caller) -> Job:
    """A job that purges a person from all episodes of a show. It names them by the id alone.

    Raises:
        ApiError: 409 where one is on its way.
    """
    params = {"target": "person", "show_id": show.id, "person_id": person_id}
    _refuse_another(session, params)
    return lifecycle.create(
        session, "purge", user_id=caller.user_id, show=show, params={**params, "actor": caller.name}
    )


def stop_others(session: Session, episode_id: str, but: str | None = None) -> list[str]:
    """Cancel the live jobs of an episode, purges excepted.

    Args:
        session: of a writing transaction.
        episode_id: of the episode.
        but: a job that is not looked at.

    Returns:
        Ids of those that have not ended yet.
    """
    live = select(Job.id).where(Job.episode_id == episode_id, Job.state.not_in(ENDED)).order_by(Job.id)
    left = []
    for job_id in session.scalars(live).all():
        job = lifecycle.locked(session, job_id) if job_id != but else None
        if job is None or job.state in ENDED:
            continue
        if job.kind != "purge":
            lifecycle.cancel(session, job)
        if job.state not in ENDED:
            left.append(job_id)
    session.flush()
    return left


def _refuse_another(session: Session, params: dict[str, Any]) -> None:
    live = select(Job).where(Job.kind == "purge", Job.state.not_in(ENDED))
    for job in session.scalars(live):
        if {k: v for k, v in job.params.items() if k != "actor"} == params:
            raise ApiError(409, "busy", f"Job {job.id} purges this already. Wait for it.")
