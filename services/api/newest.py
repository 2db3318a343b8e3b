"""An episode's results after the newest edit: from its files where these show it, else from the desk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from screenalyzer import artifacts, results
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.results import EpisodeFacts
from screenalyzer.review.desk import Desk
from screenalyzer.screentime import describe
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Total
from services.api.episodes import require_results
from services.context import Services
from services.db.models import Episode

Row = TypeVar("Row")


@dataclass(frozen=True)
class Newest(Generic[Row]):
    """Results, and what they rest on."""

    episode_id: str
    rows: list[Row]
    facts: EpisodeFacts
    rules: ScreenTimeRules

    def made_from(self) -> dict[str, Any]:
        """The fields that all answers of results begin with."""
        return {
            "episode_id": self.episode_id,
            "duration_ms": self.facts.duration_ms,
            "start_ms": self.facts.start_ms,
            "rules": self.rules,
            "rules_text": describe(self.rules),
        }


def timeline(services: Services, session: Session, episode: Episode) -> Newest[Interval]:
    """Who is on screen when.

    Raises:
        ApiError: 409, there are no results.
        ArtifactError: there are none, or a file is damaged.
    """
    return _read(services, session, episode, results.read_timeline, lambda desk: desk.timeline())


def totals(services: Services, session: Session, episode: Episode) -> Newest[Total]:
    """Everyone's screen time.

    Raises:
        ApiError: 409, there are no results.
        ArtifactError: there are none, or a file is damaged.
    """
    return _read(services, session, episode, results.read_totals, lambda desk: desk.totals())


def totals_by_old_names(services: Services, session: Session, episode: Episode) -> Newest[Total]:
    """Everyone's screen time, for who knows today's names: people who were renamed may bear the old ones.

    So no desk is needed after somebody was renamed in another episode.

    Raises:
        ApiError: 409, there are no results.
        ArtifactError: there are none, or a file is damaged.
    """
    glance = services.desks.glance(session, episode.id)
    done = artifacts.recorded_fingerprint(glance.paths.marker("analytics")) is not None
    if glance.but_for_names and done:
        return _of_files(episode, glance.paths, results.read_totals)
    return totals(services, session, episode)


def require_newest(services: Services, session: Session, episode: Episode) -> bool:
    """Refuse where there are no results; returns whether the files show the newest edit.

    While they are written again the last marker is away for a moment; the desk knows the results even then.

    Raises:
        ApiError: 409.
        NotReadyError: likewise.
    """
    glance = services.desks.glance(session, episode.id)
    if glance.is_published:
        require_results(glance.paths)
    else:
        glance.require()
    return glance.is_published


def _read(
    services: Services, session: Session, episode: Episode,
    of_files: Callable[[EpisodePaths], list[Row]], of_desk: Callable[[Desk], list[Row]],
) -> Newest[Row]:  # fmt: skip
    paths = EpisodePaths(services.settings.root, episode.show.name, episode.name)
    if require_newest(services, session, episode):
        return _of_files(episode, paths, of_files)
    session.close()  # who waits for a desk holds no connection
    with services.desks.open(session, episode.id) as held:
        return Newest(episode.id, list(of_desk(held.desk)), held.facts, held.desk.base.rules)


def _of_files(
    episode: Episode, paths: EpisodePaths, of_files: Callable[[EpisodePaths], list[Row]]
) -> Newest[Row]:
    return Newest(episode.id, of_files(paths), EpisodeFacts.load(paths), results.read_rules(paths))
