"""What an episode's review is computed with: the settings of the run that made what it shows."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from screenalyzer.settings import Settings
from services.db.models import Job


def with_groups(settings: Settings, groups: dict[str, dict[str, Any]]) -> Settings:
    """The settings with some fields of some groups replaced, checked as the environment's are.

    Raises:
        ValidationError: a value that cannot be.
    """
    changed = {
        name: type(getattr(settings, name)).model_validate({**getattr(settings, name).model_dump(), **fields})
        for name, fields in groups.items()
    }
    return settings.model_copy(update=changed)


def of_last_run(session: Session, main_job: Settings, episode_id: str) -> Settings:
    """Those of the last process job that is done; the service's own where there is none."""
    last = (
        select(Job.params)
        .where(Job.episode_id == episode_id, Job.kind == "process", Job.state == "done")
        .order_by(Job.finished_at.desc(), Job.id.desc())
        .limit(1)
    )
    params = session.scalar(last) or {}
    return with_groups(main_job, params.get("settings") or {})
