"""Finding what a path names, or saying that it is not there."""

from sqlalchemy.orm import Session

from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from services.api.problems import not_found
from services.context import Services
from services.db.models import Episode, Job, Show
from services.jobs import lifecycle


def find_show(session: Session, show_id: str, *, lock: bool = False) -> Show:
    """The show; with `lock` held against other transactions until the end of this one.

    Raises:
        ApiError: 404.
    """
    show = session.get(Show, show_id, with_for_update={"of": Show} if lock else None)
    if show is None:
        raise not_found("show", show_id, "List them with GET /v1/shows.")
    return show


def find_episode(session: Session, episode_id: str, *, lock: bool = False) -> Episode:
    """The episode; with `lock` held against other transactions until the end of this one.

    Raises:
        ApiError: 404.
    """
    episode = session.get(Episode, episode_id, with_for_update={"of": Episode} if lock else None)
    if episode is None:
        raise not_found("episode", episode_id, "List them with GET /v1/episodes.")
    return episode


def find_job(session: Session, job_id: str, *, lock: bool = False) -> Job:
    """The job; with `lock` held against other transactions until the end of this one.

    Raises:
        ApiError: 404.
    """
    job = lifecycle.locked(session, job_id) if lock else session.get(Job, job_id)
    if job is None:
        raise not_found("job", job_id, "List them with GET /v1/jobs.")
    return job


def paths_of(services: Services, episode: Episode) -> EpisodePaths:
    """Where the episode's artifacts lie, as they are now wherever the data root is.

    Raises:
        StoreError: the object store does not answer.
    """
    paths = EpisodePaths(services.settings.root, episode.show.name, episode.name)
    artifacts.pull(paths, within_s=artifacts.FRESH_S)
    return paths
