"""Times to live: what is kept no longer goes, the results stay; and the sweep that sees to it.

Age is counted from the newest of what goes together. What is busy is left to the next sweep.
"""

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, exists, func, or_, select, text
from sqlalchemy.orm import Session

from pipelines.stage import STAGE_NAMES
from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import EpisodeBusyError
from screenalyzer.storage import Entry
from services.access import sessions
from services.context import Services
from services.db.models import ENDED, Episode, Event, IdempotencyKey, Job, Show, Upload, Video, now
from services.jobs import lifecycle
from services.metrics.chains import verify_chains
from services.metrics.occupied import measure_storage
from services.privacy import rows
from services.privacy.locks import episode_held, ledgers
from services.privacy.nodes import forget_copies
from services.uploads import store

_DAY_S = 86_400.0
_KEEP_ANSWERS = timedelta(days=1)
_STRAY_S = 3600.0  # a file without a row may be one that is just being made
_TURN = 0x5EEB  # PostgreSQL's advisory lock: workers that find a sweep due take turns

Counts = dict[str, int]


@dataclass(frozen=True)
class _Limit:
    """Whatever is older goes; nothing does where there is no time to live."""

    before: float | None

    @classmethod
    def of(cls, days: float | None) -> "_Limit":
        return cls(None if days is None else time.time() - days * _DAY_S)

    def passed(self, moment: float) -> bool:
        return self.before is not None and moment <= self.before


def sweep(services: Services) -> dict[str, Counts]:
    """Remove what is older than the settings let it become; verify the audit logs, measure what is left.

    Returns:
        For each kind of thing how many went, of files with their bytes; and what the audit logs are.
    """
    cfg, root = services.settings.retention, services.settings.root
    found = {
        "videos": _sweep_videos(services, _Limit.of(cfg.videos_days)),
        "chunks": Counts(files=0, bytes=0),
        "crops": Counts(files=0, bytes=0),
    }
    episodes = artifacts.episodes(root)
    for paths in episodes:
        _sweep_episode(services, paths, found)
    exports = (e for paths in episodes for e in storage.files_below(paths.exports))
    found["exports"] = _sweep_files(exports, _Limit.of(cfg.exports_days))
    found["logs"] = _sweep_files(_files_here(root / "logs"), _Limit.of(cfg.logs_days))
    found["rows"] = _sweep_rows(services)
    found["uploads"] = Counts(uploads=store.expire(services))
    _sweep_ledgers(services)
    _sweep_nameless(services)
    forget_copies(root)
    found["audit_logs"] = verify_chains(services)
    measure_storage(services)
    return found


def ensure_sweep(services: Services) -> None:
    """Make a sweep job where the last one began too long ago; one read where nothing is due.

    Safe to be called by many at once: at most one sweep is live. One that was paused is no reason to wait,
    and is cancelled when the next one is made, so that it does not go on beside it.
    """
    with services.database.read() as session:
        if not _is_due(session, services):
            return
    with services.database.write() as session:
        if session.get_bind().dialect.name == "postgresql":  # SQLite lets one write at a time anyway
            session.execute(text(f"SELECT pg_advisory_xact_lock({_TURN})"))
        if _is_due(session, services):
            paused = select(Job.id).where(Job.kind == "sweep", Job.state == "paused").order_by(Job.id)
            for job_id in session.scalars(paused).all():
                _cancel_paused(session, job_id)
            lifecycle.create(session, "sweep", user_id=None)


def _is_due(session: Session, services: Services) -> bool:
    horizon = now() - timedelta(minutes=services.settings.retention.sweep_minutes)
    recent = or_(Job.state.not_in((*ENDED, "paused")), Job.created_at > horizon)
    return not session.scalar(select(exists().where(Job.kind == "sweep", recent)))


def _cancel_paused(session: Session, job_id: str) -> None:
    job = lifecycle.locked(session, job_id)
    if job is not None and job.state == "paused":
        lifecycle.cancel(session, job)


def _sweep_episode(services: Services, paths: EpisodePaths, found: dict[str, Counts]) -> None:
    """Checkpoints and crops of a finished episode."""
    cfg, last = services.settings.retention, paths.marker(STAGE_NAMES[-1])
    kinds = {"chunks": (paths.chunks, cfg.chunks_days), "crops": (paths.crops, cfg.crops_days)}
    old = {
        kind: folder
        for kind, (folder, days) in kinds.items()
        if days is not None and _Limit.of(days).passed(_newest(last, folder))
    }
    if not old or _is_processed(services, paths):
        return
    with suppress(EpisodeBusyError), episode_held(paths):
        if not last.is_file() or _is_processed(services, paths):
            return
        for kind, folder in old.items():
            files = list(storage.files_below(folder))
            found[kind]["files"] += len(files)
            found[kind]["bytes"] += sum(e.size for e in files)
            if kind == "crops":
                _let_go(paths.marker("tracking"), folder)
            storage.remove_tree(folder)


def _let_go(marker: Path, folder: Path) -> None:
    """Take what lies below a folder out of what a stage's marker vouches for: the stage stays done."""
    made_from = artifacts.recorded_fingerprint(marker)
    if made_from is None:
        return
    listed: dict[str, str] = artifacts.read_json(marker)["outputs"]
    places = {p: Path(os.path.normpath(marker.parent / p)) for p in listed}
    kept = {p: digest for p, digest in listed.items() if not places[p].is_relative_to(folder)}
    artifacts.write_json(marker, {"fingerprint": made_from, "outputs": kept})


def _is_processed(services: Services, paths: EpisodePaths) -> bool:
    """Whether a job that is live may read what lies there."""
    live = (
        select(Job.id)
        .join(Job.episode)
        .join(Episode.show)
        .where(Show.name == paths.show, Episode.name == paths.episode)
        .where(Job.kind.in_(("process", "purge")), Job.state.not_in(ENDED))
    )
    with services.database.read() as session:
        return session.scalar(live.limit(1)) is not None


def _sweep_videos(services: Services, limit: _Limit) -> Counts:
    """The files of videos. Their rows stay: they say that there was one, so that a new run is refused so."""
    found = Counts(files=0, bytes=0)
    if limit.before is None:
        return found
    with services.database.read() as session:
        videos = session.scalars(select(Video)).all()
    for video in videos:
        path = services.settings.root / video.path
        entry = storage.look(path)
        if entry and limit.passed(_age(video, entry)) and _drop_video(services, video.sha256, path, limit):
            found["files"] += 1
            found["bytes"] += entry.size
    return found


def _drop_video(services: Services, sha256: str, path: Path, limit: _Limit) -> bool:
    """Remove a video's file, unless somebody reads it or an upload is about to become it."""
    live = (
        select(Job.id)
        .join(Job.episode)
        .where(Episode.video_sha256 == sha256, Job.kind == "process", Job.state.not_in(ENDED))
    )
    coming = select(Upload.sha256).where(Upload.state == "received").with_for_update()
    with services.database.write() as session:
        # Who starts a job holds the episode's row first; who takes an upload in holds the upload's.
        session.execute(select(Episode.id).where(Episode.video_sha256 == sha256).with_for_update()).all()
        busy = session.scalar(live.limit(1)) or sha256 in session.scalars(coming).all()
        video = session.get(Video, sha256, with_for_update=True)
        entry = storage.look(path)
        if busy or video is None or entry is None or not limit.passed(_age(video, entry)):
            return False
        storage.remove(path)
    with suppress(OSError):
        path.parent.rmdir()
    return True


def _age(video: Video, entry: Entry) -> float:
    return max(video.created_at.timestamp(), entry.modified)


def _sweep_files(entries: Iterable[Entry], limit: _Limit) -> Counts:
    found = Counts(files=0, bytes=0)
    if limit.before is None:
        return found
    for entry in list(entries):
        if limit.passed(entry.modified):
            storage.remove(entry.path)
            found["files"] += 1
            found["bytes"] += entry.size
    return found


def _files_here(folder: Path) -> Iterator[Entry]:
    """Files of this node, links for what they are."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            facts = path.lstat()
            if not path.is_dir():
                yield Entry(path, facts.st_size, facts.st_mtime)


def _sweep_nameless(services: Services) -> None:
    """Videos in an object store without a row: it was away when they were to go."""
    root = services.settings.root
    if not storage.is_mirrored(root):
        return
    before = time.time() - _STRAY_S
    old = [e.path for e in storage.files_below(root / "videos") if e.modified < before]
    with services.database.write() as session:
        kept = rows.kept_videos(session, {p.parent.name for p in old}, hold=True)
        storage.remove(*(p for p in old if p.parent.name not in kept))


def _sweep_rows(services: Services) -> Counts:
    """Events of jobs that ended long ago, old sweeps, remembered answers, ended logins."""
    days = services.settings.retention.events_days
    with services.database.write() as session:
        answers = delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - _KEEP_ANSWERS)
        gone = Counts(answers=len(session.scalars(answers.returning(IdempotencyKey.key)).all()), events=0)
        sessions.tidy(session)
        if days is not None:
            ended = Job.state.in_(ENDED) & (Job.finished_at <= now() - timedelta(days=days))
            jobs = select(Job.id).where(ended)
            gone["events"] = (
                session.scalar(select(func.count()).select_from(Event).where(Event.job_id.in_(jobs))) or 0
            )
            session.execute(delete(Event).where(Event.job_id.in_(jobs)))
            session.execute(delete(Job).where(ended, Job.kind == "sweep"))
        return gone


def _sweep_ledgers(services: Services) -> None:
    """Memories of purges that nobody will go on with: their jobs are done, or are gone."""
    for path in [e.path for e in storage.files_below(ledgers(services.settings.root))]:
        if path.suffix != ".json":
            continue
        with services.database.read() as session:
            state = session.scalar(select(Job.state).where(Job.id == path.stem))
        if state in {None, "done"}:
            storage.remove(path)


def _newest(last: Path, folder: Path) -> float:
    """When the latest of a marker and the files of a folder was written, in seconds since the epoch.

    Never, where one of the two is not there.
    """
    marker, files = storage.look(last), list(storage.files_below(folder))
    return max(e.modified for e in (marker, *files)) if marker and files else math.inf
