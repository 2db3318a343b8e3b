"""A season: everybody's screen time in every episode of a show."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from screenalyzer.errors import ArtifactError
from screenalyzer.review.cast import Cast
from screenalyzer.types import Total
from services.api import newest
from services.api.newest import Newest
from services.api.problems import ApiError
from services.api.schemas.analytics import SeasonEpisode, SeasonPerson, SeasonView, WaitingEpisode
from services.context import Services
from services.db.models import Episode, Show
from services.privacy.people import people_of
from services.review import people


def season(services: Services, session: Session, show: Show) -> SeasonView:
    """Screen time of every named person of a show in every episode.

    Names are those of today, whatever an episode's files still say. Who has no name is somebody else in each
    episode, and is in no row.
    """
    rows = session.scalars(select(Episode).filter_by(show_id=show.id).order_by(Episode.name)).all()
    known = people.of_show(session, show.id)
    names = {p.name for p in people_of(services.settings.root, show.name, [e.name for e in rows], known)}
    cast = Cast({p.person_id: p for p in known}, names)
    done: list[tuple[Episode, Newest[Total]]] = []
    waiting = []
    for episode in rows:
        try:
            done.append((episode, newest.totals_by_old_names(services, session, episode)))
        except (ApiError, ArtifactError):
            waiting.append(WaitingEpisode(episode_id=episode.id, name=episode.name, title=episode.title))
    return SeasonView(
        show_id=show.id,
        episodes=[_episode(cast, episode, found) for episode, found in done],
        people=_people(cast, [found.rows for _, found in done]),
        waiting=waiting,
    )


def _name(cast: Cast, total: Total) -> str | None:
    """Of a named person, as it is today."""
    person_id = cast.by_name(total.person)
    return None if person_id is None else cast.name(person_id)


def _episode(cast: Cast, episode: Episode, found: Newest[Total]) -> SeasonEpisode:
    unnamed = [t.total_ms for t in found.rows if _name(cast, t) is None]
    return SeasonEpisode(
        episode_id=episode.id,
        name=episode.name,
        title=episode.title,
        duration_ms=found.facts.duration_ms,
        unnamed=len(unnamed),
        unnamed_ms=sum(unnamed),
    )


def _people(cast: Cast, episodes: Sequence[Sequence[Total]]) -> list[SeasonPerson]:
    ms: dict[str, list[int]] = defaultdict(lambda: [0] * len(episodes))
    for number, totals in enumerate(episodes):
        for total in totals:
            name = _name(cast, total)
            if name is not None:
                ms[name][number] += total.total_ms
    found = [SeasonPerson(person=name, total_ms=sum(each), ms=each) for name, each in ms.items()]
    return sorted(found, key=lambda p: (-p.total_ms, p.person))
