"""From SQL into files: what readers of artifacts, exports and the next episode see of a review.

First the record and the audit lines are written, from SQL, while the episode is held; then the last stages
run over them, and the facebank learns. Each part may be done again, and comes to the same end.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipelines.harvest import REPLACED
from pipelines.review import load_desk
from pipelines.stage import run_stage
from pipelines.stages import STAGES
from screenalyzer import artifacts, audit, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError, StoreError
from screenalyzer.review import record as files
from screenalyzer.review.corrections import Corrections, corrections_of
from screenalyzer.review.model import Person
from screenalyzer.settings import Settings
from services.context import Services
from services.db.models import ENDED, Edit, Episode, Job, Video, now
from services.jobs import lifecycle
from services.metrics.counting import note_review
from services.privacy.rows import delete_jobs
from services.review import lines, people
from services.review.learning import learn
from services.review.lines import Line
from services.review.record import record_of
from services.review.settings import of_last_run

_QUIET = timedelta(seconds=3)  # an analyst at work edits every second or two: once they rest, it is published
_LONGEST = timedelta(seconds=30)  # and after this even if they do not rest
_AFTER_FAILURE = timedelta(minutes=10)
_LAST_STAGES = STAGES[-2:]  # assist, analytics
_AUDITED = "review."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes:
        revision: of the review.
        people: of the show, as they were then.
        faces: how many the facebank has of the episode now.
        corrections: what the review says of the clusters as they were found.
    """

    revision: int
    people: tuple[Person, ...]
    faces: int
    corrections: Corrections


def write_record(services: Services, episode_id: str, paths: EpisodePaths) -> None:
    """Write what SQL knows of a review, and a line of the episode's audit log for each new edit.

    Raises:
        EpisodeBusyError: another run holds the episode.
    """
    with artifacts.locked(paths):
        with services.database.read() as session:
            episode = session.get_one(Episode, episode_id)
            edits = lines.read(session, episode_id)
            found = record_of(session, episode_id, episode.show_id, edits)
        if edits or paths.review_record.exists():
            found.save(paths)
        _tell(paths, edits)


def publish_files(paths: EpisodePaths, settings: Settings, video: Path | None) -> Published:
    """Let the facebank learn from the record, and run the stages that show it.

    Args:
        paths: the episode.
        settings: of its last run.
        video: its file; None where it is kept no longer.

    Raises:
        ArtifactError: the episode is not processed so far.
        EpisodeBusyError: another run holds it.
    """
    with artifacts.locked(paths):
        upstream = artifacts.recorded_fingerprint(paths.marker("cluster"))
        if upstream is None:
            raise ArtifactError(f"{paths.key} is not processed so far. Wait until its job is done.")
        found = files.load(paths)
        # The facebank first: suggestions rest on it, and so a second publication has nothing to do.
        desk = load_desk(paths, settings)
        faces = learn(desk, found.people, paths, video)
        for stage in _LAST_STAGES:
            upstream = run_stage(stage, paths, settings, upstream)
    return Published(found.revision, found.people, faces, corrections_of(desk))


def publish(services: Services, episode_id: str, paths: EpisodePaths) -> None:
    """All of it, here and now.

    Raises:
        ArtifactError: the episode is not processed so far.
        EpisodeBusyError: another run holds it.
    """
    settings, video = source_of(services, episode_id)
    write_record(services, episode_id, paths)
    done = publish_files(paths, settings, video)
    with services.database.write() as session:
        note(session, episode_id, done)


def source_of(services: Services, episode_id: str) -> tuple[Settings, Path | None]:
    """Settings of the episode's last run, and its video's file; None where it is kept no longer."""
    with services.database.read() as session:
        settings = of_last_run(session, services.main_job, episode_id)
        query = select(Video).join(Episode, Episode.video_sha256 == Video.sha256)
        video = session.scalar(query.where(Episode.id == episode_id))
    file = services.settings.root / video.path if video is not None else None
    return settings, file if file is not None and storage.is_there(file) else None


def note(session: Session, episode_id: str, done: Published) -> None:
    """Record that a revision is published, unless the people of the show have changed meanwhile."""
    episode = session.get(Episode, episode_id, with_for_update={"of": Episode})
    if episode is not None and tuple(people.of_show(session, episode.show_id)) == done.people:
        episode.published_revision = done.revision
    note_review(session, episode_id, done.revision, done.corrections)


def ask_again(session: Session, episode_id: str) -> None:
    """Have a review published whatever was before: what it is shown on has changed."""
    episode = session.get(Episode, episode_id, with_for_update={"of": Episode})
    if episode is not None and lines.newest(session, episode_id):
        episode.published_revision = -1


def ensure_published(services: Services) -> None:
    """Make jobs for the reviews that have rested, or have waited long; a read or two where there are none.

    Safe to be called by many at once: an episode has one such job at most.
    """
    with services.database.read() as session:
        due = _due(session)
    for episode_id, paths in ((e.id, EpisodePaths(services.settings.root, e.show.name, e.name)) for e in due):
        artifacts.pull(paths, within_s=artifacts.FRESH_S)
        if artifacts.recorded_fingerprint(paths.marker("cluster")) is None:
            continue
        try:
            with services.database.write() as session:
                _make_job(session, episode_id)
        except IntegrityError:
            continue  # another worker was faster


def _due(session: Session) -> Sequence[Episode]:
    moment = now()
    newer = (
        select(Edit.episode_id)
        .join(Episode, Episode.id == Edit.episode_id)
        .where(Edit.number > Episode.published_revision)
        .group_by(Edit.episode_id)
        .having(
            or_(
                func.max(Edit.created_at) < moment - _QUIET,
                func.min(Edit.created_at) < moment - _LONGEST,
                func.max(Edit.created_at) > moment + _LONGEST,  # the clock was set back
            )
        )
    )
    wanted = or_(Episode.published_revision < 0, Episode.id.in_(newer))
    live = exists().where(
        Job.state.not_in(ENDED),
        or_(
            (Job.episode_id == Episode.id) & Job.kind.in_(("process", "purge", "publish")),
            (Job.show_id == Episode.show_id) & (Job.kind == "purge"),
        ),
    )
    failed = exists().where(
        Job.episode_id == Episode.id,
        Job.kind == "publish",
        Job.state == "failed",
        Job.finished_at > moment - _AFTER_FAILURE,
    )
    return session.scalars(select(Episode).where(wanted, ~live, ~failed)).all()


def _make_job(session: Session, episode_id: str) -> None:
    if all(e.id != episode_id for e in _due(session)):
        return
    past = select(Job.id).where(
        Job.episode_id == episode_id, Job.kind == "publish", Job.state.in_(("done", "cancelled"))
    )
    delete_jobs(session, session.scalars(past).all())
    episode = session.get_one(Episode, episode_id)
    lifecycle.create(session, "publish", user_id=None, episode=episode)


def _tell(paths: EpisodePaths, edits: Sequence[Line]) -> None:
    """Add a line for each edit that has none yet: ids and kinds, no names."""
    try:
        told = _last_told(paths.audit)
        for line in edits:
            entry = line.entry
            if entry.number > told:
                details = {"number": entry.number, "edit": line.id, "operation": entry.operation.get("op")}
                details |= {"of": entry.of} if entry.of is not None else {}
                audit.append(paths.audit, f"{_AUDITED}{entry.kind}", entry.actor, details, line.at)
    except (ArtifactError, StoreError, OSError):
        log.exception("no line was added to the audit log of an episode")


def _last_told(path: Path) -> int:
    """Number of the last edit that has a line; 0 where none has, or since the video was replaced."""
    rows = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    for raw in reversed(rows):
        if _AUDITED.encode() in raw or REPLACED.encode() in raw:
            line = json.loads(raw)
            if line["action"].startswith(_AUDITED):
                return int(line["details"]["number"])
            if line["action"] == REPLACED:
                return 0
    return 0
