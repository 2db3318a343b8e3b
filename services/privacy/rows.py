"""The rows of what is purged: taken hold of before the files go, deleted after them.

Locks are taken jobs first, then show, episode, uploads, video, as everywhere in the service.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Delete, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from screenalyzer.errors import EpisodeBusyError
from services.context import Services
from services.db.models import (
    ENDED,
    Anchor,
    DeadLetter,
    Edit,
    Episode,
    Event,
    IdempotencyKey,
    Job,
    Person,
    Show,
    StageRun,
    Upload,
    Video,
)
from services.privacy.database import Needles
from services.privacy.request import stop_others

REMOVED = "(removed)"


@dataclass(frozen=True)
class Held:
    """An episode that nothing but the purge may work on.

    Attributes:
        id: of the row.
        show: name in paths.
        name: likewise.
        titles: what users called it, and the file names of its uploads and its video.
        show_id: of the show's row.
        videos: digests of its video and of those that its uploads became, each with its path below the root.
        jobs: ids of its jobs.
        uploads: ids of its uploads.
    """

    id: str
    show: str
    name: str
    titles: frozenset[str]
    show_id: str
    videos: Mapping[str, str]
    jobs: frozenset[str]
    uploads: frozenset[str]


def hold(services: Services, job_id: str, episode_id: str) -> Held | None:
    """Let the purge take the episode's one place for jobs that write; None where the episode is gone.

    Raises:
        EpisodeBusyError: a job that was told to stop has not ended yet.
    """
    with services.database.write() as session:
        left = _take_place(session, job_id, episode_id)
        if left is None:
            return None
        found = None if left else _read(session, session.get_one(Episode, episode_id), job_id)
    if found is None:
        raise _busy(left)
    return found


def delete_episode(services: Services, job_id: str, held: Held) -> int:
    """Delete the rows of an episode, its video's too if nothing else shows it.

    Returns:
        How many rows went.

    Raises:
        EpisodeBusyError: a job began on it meanwhile, and has not ended yet.
    """
    rows = 0
    with services.database.write() as session:
        left = _take_place(session, job_id, held.id)
        if left == []:
            jobs = session.scalars(select(Job.id).where(_of_episode(held.id), Job.id != job_id)).all()
            rows += delete_jobs(session, jobs)
            rows += _count(session, delete(Upload).where(Upload.episode_id == held.id))
            rows += sum(_count(session, delete(t).where(t.episode_id == held.id)) for t in (Anchor, Edit))
            session.execute(update(Job).where(Job.id == job_id).values(episode_id=None))
            rows += _count(session, delete(Episode).where(Episode.id == held.id))
            rows += sum(drop_video(session, sha256) for sha256 in held.videos)
    if left:
        raise _busy(left)
    return rows


def delete_show(services: Services, job_id: str, show_id: str) -> int | None:
    """Delete a show's row and what else hangs on it; None where it has episodes or uploads still.

    Raises:
        EpisodeBusyError: another job of the show has not ended yet.
    """
    with services.database.write() as session:
        jobs = session.scalars(select(Job).where(Job.show_id == show_id, Job.id != job_id)).all()
        live = [j.id for j in jobs if j.state not in ENDED]
        show = session.get(Show, show_id, with_for_update=True)
        if not live and show is not None:
            for what in (Episode, Upload):
                if session.scalar(select(func.count()).where(what.show_id == show_id)):
                    return None
            session.execute(update(Job).where(Job.id == job_id).values(show_id=None))
            gone = delete_jobs(session, [j.id for j in jobs])
            gone += _count(session, delete(Person).where(Person.show_id == show_id))
            return gone + _count(session, delete(Show).where(Show.id == show_id))
    if live:
        raise _busy(live)
    return 0


def delete_jobs(session: Session, jobs: Collection[str]) -> int:
    """Delete jobs with all that hangs on them; returns how many rows went."""
    rows = 0
    for kind in (Event, DeadLetter, StageRun):
        rows += _count(session, delete(kind).where(kind.job_id.in_(jobs)))
    return rows + _count(session, delete(Job).where(Job.id.in_(jobs)))


def drop_video(session: Session, sha256: str) -> int:
    """Delete the row of a video that no episode shows and no upload is about to become.

    Whoever makes an upload a video notes its digest in the upload's row first: the lock on those rows keeps
    one from finding the video just before it goes.
    """
    coming = select(Upload.sha256).where(Upload.state == "received").with_for_update()
    shown = session.scalar(select(Episode.id).where(Episode.video_sha256 == sha256).limit(1))
    if shown or sha256 in session.scalars(coming).all():
        return 0
    return _count(session, delete(Video).where(Video.sha256 == sha256))


def kept_videos(session: Session, digests: Collection[str], *, hold: bool = False) -> set[str]:
    """Which videos have a right to be there: those with a row, and those that an upload is about to become.

    Args:
        session: of a writing transaction where `hold` is asked for.
        digests: of the videos.
        hold: keep uploads from noting a digest, and so from moving their file, until the transaction ends.
    """
    coming = select(Upload.sha256).where(Upload.state == "received")
    noted = session.scalars(coming.with_for_update() if hold else coming).all()
    known = session.scalars(select(Video.sha256).where(Video.sha256.in_(digests)))
    return set(known) | {d for d in noted if d and d in digests}


def uploads_to_show(session: Session, show_id: str) -> dict[str, str]:
    """The uploads to a show, id to file name."""
    found = session.execute(select(Upload.id, Upload.file_name).where(Upload.show_id == show_id))
    return {row.id: row.file_name for row in found}


def forget_answers(services: Services, needles: Needles) -> int:
    """Delete the remembered answers of requests that hold one of the texts; returns how many."""
    with services.database.write() as session:
        gone = 0
        for row in session.scalars(select(IdempotencyKey)).all():
            if needles.within([row.body, row.headers, row.key]):
                session.delete(row)
                gone += 1
        return gone


def forget_own_troubles(services: Services, job_id: str) -> None:
    """Empty what earlier attempts of the purge have noted of their errors: messages name files."""
    troubles = ("stage-failed", "stage-waits", "failed")
    with services.database.write() as session:
        mine = Event.job_id == job_id
        session.execute(update(Event).where(mine, Event.kind.in_(troubles)).values(data={}))
        session.execute(update(StageRun).where(StageRun.job_id == job_id).values(error=None, traceback=None))
        session.execute(delete(DeadLetter).where(DeadLetter.job_id == job_id))
        session.execute(update(Job).where(Job.id == job_id).values(error=None))


def blot_out(services: Services, show_id: str, needles: Needles) -> int:
    """Replace texts in whatever the jobs of a show, and those of none, have written down.

    Returns:
        How many rows changed.
    """
    with services.database.write() as session:
        jobs = select(Job.id).where((Job.show_id == show_id) | Job.show_id.is_(None))
        rows: list[object] = []
        places = (
            (Job, Job.id.in_(jobs), ("params", "result", "error")),
            (StageRun, StageRun.job_id.in_(jobs), ("error", "traceback")),
            (DeadLetter, DeadLetter.job_id.in_(jobs), ("error", "traceback")),
            (Event, Event.job_id.in_(jobs), ("data",)),
            (Upload, Upload.show_id == show_id, ("metadata_header", "problem")),
        )
        for kind, where, fields in places:
            for row in session.scalars(select(kind).where(where)).all():
                hit = [f for f in fields if needles.within(getattr(row, f))]
                for field in hit:
                    setattr(row, field, needles.without(getattr(row, field), REMOVED))
                rows += [row] if hit else []
        return len(rows)


def _take_place(session: Session, job_id: str, episode_id: str) -> list[str] | None:
    """Other jobs that have not ended yet; none, then the place is taken. None where the episode is gone."""
    left = stop_others(session, episode_id, but=job_id)
    episode = session.get(Episode, episode_id, with_for_update={"of": Episode})
    if episode is None:
        return None
    # Whoever was about to start a job has done so before the lock was ours.
    left = left or stop_others(session, episode_id, but=job_id)
    if not left:
        session.execute(update(Job).where(Job.id == job_id).values(episode_id=episode_id))
    return left


def _read(session: Session, episode: Episode, job_id: str) -> Held:
    uploads = session.scalars(
        select(Upload).where(
            (Upload.episode_id == episode.id)
            | ((Upload.show_id == episode.show_id) & (Upload.episode_name == episode.name))
        )
    ).all()
    digests = {episode.video_sha256, *(u.sha256 for u in uploads)} - {None}
    videos = session.scalars(select(Video).where(Video.sha256.in_(digests))).all()
    files = {v.path.rsplit("/", 1)[-1] for v in videos}
    return Held(
        id=episode.id,
        show=episode.show.name,
        name=episode.name,
        show_id=episode.show_id,
        titles=frozenset({episode.title, episode.name, *(u.file_name for u in uploads), *files}),
        videos={v.sha256: v.path for v in videos},
        jobs=frozenset(session.scalars(select(Job.id).where(_of_episode(episode.id), Job.id != job_id))),
        uploads=frozenset(u.id for u in uploads),
    )


def _of_episode(episode_id: str) -> ColumnElement[bool]:
    """Jobs of an episode, with purges of it that have ended before they took their place."""
    asked = Job.params["episode_id"].as_string() == episode_id
    return or_(Job.episode_id == episode_id, and_(Job.kind == "purge", Job.state.in_(ENDED), asked))


def _count(session: Session, statement: Delete) -> int:
    found: CursorResult[Any] = session.execute(statement)  # type: ignore[assignment]
    return found.rowcount


def _busy(jobs: Collection[str]) -> EpisodeBusyError:
    return EpisodeBusyError(f"job {min(jobs)} has not ended yet. Wait for it, or cancel it.")
