"""Episodes as they are answered: their rows, their latest processing, and the facts about their videos."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ScalarSelect, Select, select
from sqlalchemy.orm import Session, aliased

from pipelines.episode import load_source
from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError
from screenalyzer.results import EpisodeFacts
from services.api.lookup import paths_of
from services.api.problems import ApiError
from services.api.progress import Live, look, summary
from services.api.schemas.episodes import EpisodeDetail, EpisodeView, Facts
from services.context import Services
from services.db.models import Episode, Job


def in_state(query: Select[Episode], state: str) -> Select[Episode]:
    """Only the episodes whose latest processing is in a state; `new` where there was none."""
    if state == "new":
        return query.where(_latest().is_(None))
    latest = aliased(Job)
    return query.join(latest, latest.id == _latest()).where(latest.state == state)


def views(
    services: Services, session: Session, episodes: Sequence[Episode]
) -> tuple[list[EpisodeView], Live]:
    """Episodes with their latest processing, and whether that is live."""
    jobs = latest_jobs(session, episodes)
    live = look(services, session, list(jobs.values()))
    return [EpisodeView(**_fields(e, jobs.get(e.id), live)) for e in episodes], live


def detail(services: Services, session: Session, episode: Episode) -> tuple[EpisodeDetail, Live]:
    """An episode with what is known of its video."""
    job = latest_jobs(session, [episode]).get(episode.id)
    live = look(services, session, [job] if job else [])
    facts = read_facts(paths_of(services, episode)) if episode.video_sha256 else None
    return EpisodeDetail(**_fields(episode, job, live), facts=facts), live


def latest_jobs(session: Session, episodes: Sequence[Episode]) -> dict[str, Job]:
    """The latest processing of each episode that has one."""
    ids = [e.id for e in episodes]
    if not ids:
        return {}
    found = select(Episode.id, Job).join(Job, Job.id == _latest()).where(Episode.id.in_(ids))
    return {row[0]: row[1] for row in session.execute(found)}


def read_facts(paths: EpisodePaths) -> Facts | None:
    """What the probe and the reading found; None while another content takes the episode's place."""
    try:
        info = load_source(paths)
    except ArtifactError:
        return None
    read = _read_through(paths)
    return Facts(
        duration_ms=info.duration_ms,
        start_ms=round(info.start_pts * info.time_base * 1000),
        fps=round(info.fps, 3),
        width=info.width,
        height=info.height,
        container=info.container,
        codec=info.codec,
        size_bytes=info.size_bytes,
        shots=len(read.shots) if read else None,
        missing_ms=sum(s.length_ms for s in read.missing) if read else None,
    )


def require_results(paths: EpisodePaths) -> None:
    """Refuse where the screen times are not computed, or are about to be computed anew.

    Raises:
        ApiError: 409.
    """
    if artifacts.recorded_fingerprint(paths.marker("analytics")) is None:
        raise ApiError(
            409,
            "not-ready",
            f"Episode {paths.key} has no results yet. Wait until its job is done, or start one.",
        )


def _read_through(paths: EpisodePaths) -> EpisodeFacts | None:
    if artifacts.recorded_fingerprint(paths.marker("inference")) is None:
        return None
    try:
        return EpisodeFacts.load(paths)
    except ArtifactError:
        return None


def _latest() -> ScalarSelect[str]:
    """Id of an episode's latest processing, as a part of a query over episodes."""
    job = aliased(Job)
    return (
        select(job.id)
        .where(job.episode_id == Episode.id, job.kind == "process")
        .order_by(job.created_at.desc(), job.id.desc())
        .limit(1)
        .correlate(Episode)
        .scalar_subquery()
    )


def _fields(episode: Episode, job: Job | None, live: Live) -> dict[str, Any]:
    return {
        "id": episode.id,
        "show_id": episode.show_id,
        "show": episode.show.name,
        "name": episode.name,
        "title": episode.title,
        "state": job.state if job else "new",
        "video_sha256": episode.video_sha256,
        "created_at": episode.created_at,
        "revision": episode.revision,
        "job": summary(job, live) if job else None,
    }
