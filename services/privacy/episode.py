"""Purging an episode, or all of a show: first what readers trust, then files, then rows, then the videos.

The rows go after the files: as long as they are there, the purge is the one job that may write the episode,
and another attempt finds the way. The videos go last, since other episodes may show them.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import delete, select

from screenalyzer import artifacts, audit, facebank, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.erasure import traces
from screenalyzer.erasure.traces import Traces
from screenalyzer.errors import ArtifactError, EpisodeBusyError
from services.db.models import Episode, Job, Show, Upload
from services.privacy import rows
from services.privacy.locks import episode_held, facebank_held
from services.privacy.rows import Held
from services.privacy.work import Work
from services.review.forgetting import forget_unused
from services.uploads import parts, store
from services.uploads.parts import UploadHeldError


def purge_episode(work: Work, episode_id: str) -> None:
    """Remove an episode; does nothing but finish where it is gone.

    Raises:
        EpisodeBusyError: something else works on it, and will end soon.
        Stopped: told to stop.
    """
    held = rows.hold(work.services, work.job_id, episode_id)
    if held is not None:
        _note(work, held)
        _remove_uploads(work, held.uploads)
        _remove_artifacts(work, held)
        gone = rows.delete_episode(work.services, work.job_id, held)
        work.ledger.count(f"rows of {held.id}", rows=gone)
    with work.services.database.write() as session:
        unused = forget_unused(session, work.root, work.params["show_id"])
    work.ledger.count(f"people of {episode_id}", people=unused)
    _finish(work)


def purge_show(work: Work, show_id: str) -> None:
    """Remove a show with every episode of it, also those that come while it goes on.

    Raises:
        EpisodeBusyError: something else works on one of them, and will end soon.
        Stopped: told to stop.
    """
    with work.services.database.read() as session:
        show = session.get(Show, show_id)
        jobs = session.scalars(select(Job.id).where(Job.show_id == show_id, Job.id != work.job_id)).all()
    if show is not None:
        words = {show.name, show.title}
        work.ledger.note(ids=[show_id, *jobs], jobs=jobs, facts={"show": show.name}, words=words)
    while show is not None:
        work.check()
        with work.services.database.read() as session:
            episode_ids = session.scalars(select(Episode.id).where(Episode.show_id == show_id)).all()
            uploads = rows.uploads_to_show(session, show_id)
        work.ledger.note(ids=[*episode_ids, *uploads], words=uploads.values(), uploads=uploads)
        for episode_id in episode_ids:
            work.check()
            purge_episode(work, episode_id)
        _remove_uploads(work, uploads)
        _remove_show_folders(work, show.name)
        gone = rows.delete_show(work.services, work.job_id, show_id)
        if gone is not None:
            work.ledger.count(f"rows of {show_id}", rows=gone)
            break
    _finish(work)


def _note(work: Work, held: Held) -> None:
    """Write down everything that may be found nowhere afterwards, before the first of it goes."""
    paths = EpisodePaths(work.root, held.show, held.name)
    files = [e for folder in (paths.harvest, paths.outputs) for e in storage.files_below(folder)]
    files += [e for p in held.videos.values() if (e := storage.look(work.root / p))]
    with episode_held(paths):
        artifacts.pull(paths, chunks=True, crops=True)
        seen = traces.of_episode(paths)
    work.ledger.count(
        held.id, episodes=1, files=len(files), bytes=sum(e.size for e in files),
        faces=_face_count(paths), uploads=len(held.uploads),
    )  # fmt: skip
    work.ledger.note(
        traces=seen | Traces(digests=frozenset(held.videos)),
        ids=[held.id, paths.key, *held.jobs, *held.uploads],
        words=held.titles, videos=held.videos, uploads=held.uploads, jobs=held.jobs,
        anchors={held.id: _anchor(paths)},
    )  # fmt: skip


def _anchor(paths: EpisodePaths) -> str:
    try:
        return audit.last_hash(paths.audit)
    except ArtifactError:
        return "damaged"


def _face_count(paths: EpisodePaths) -> int:
    bank = facebank.load(paths.facebank)
    return sum(_is_from(f, paths) for faces in bank.people.values() for f in faces) if bank else 0


def _is_from(face: facebank.Face, paths: EpisodePaths) -> bool:
    return face.episode in {paths.episode, paths.key}


def _remove_artifacts(work: Work, held: Held) -> None:
    paths = EpisodePaths(work.root, held.show, held.name)
    with episode_held(paths):
        storage.remove_tree(paths.marker("any").parent)  # from now on nobody takes the rest for results
        work.check()
        storage.remove_tree(paths.exports)
        storage.remove_tree(paths.harvest)
        for child in paths.outputs.iterdir():
            work.check()
            if child != paths.audit.parent:
                storage.remove_tree(child)
        _forget_faces(paths)
        storage.remove_tree(paths.outputs)
    for folder in (paths.outputs.parent, paths.harvest.parent):
        _remove_if_empty(folder)


def _forget_faces(paths: EpisodePaths) -> None:
    with facebank_held(paths.root, paths.show):
        bank = facebank.load(paths.facebank)
        if bank is None or not any(_is_from(f, paths) for faces in bank.people.values() for f in faces):
            return
        bank.remove_episode(paths.episode).remove_episode(paths.key).save(paths.facebank)


def _remove_show_folders(work: Work, show: str) -> None:
    try:
        bank = facebank.load(work.root / "facebank" / show)
    except ArtifactError:
        bank = None  # it goes all the same
    faces = [f for of_person in (bank.people.values() if bank else ()) for f in of_person]
    work.ledger.note(traces=traces.of_faces(faces), words=bank.people if bank else ())
    work.ledger.count("facebank", faces=len(faces), people=len(bank.people) if bank else 0)
    with facebank_held(work.root, show):
        storage.remove_tree(work.root / "facebank" / show)
    for kind in ("outputs", "harvest"):
        storage.remove_tree(work.root / kind / show)


def _remove_uploads(work: Work, upload_ids: Iterable[str]) -> None:
    for upload_id in upload_ids:
        work.check()
        try:
            with parts.held(work.root, upload_id):
                store.discard(work.services, upload_id)
                with work.services.database.write() as session:
                    session.execute(delete(Upload).where(Upload.id == upload_id))
        except UploadHeldError:
            raise EpisodeBusyError(f"upload {upload_id} is being written. Wait for it, or end it.") from None


def _finish(work: Work) -> None:
    """Remove the files that rows named: a row is gone before its file, and a kill may come between."""
    for upload_id in work.ledger.names("uploads"):
        parts.remove(work.root, upload_id)
    videos = work.ledger.videos
    with work.services.database.write() as session:
        for digest in videos.keys() - rows.kept_videos(session, videos, hold=True):
            storage.remove_tree(work.root / "videos" / digest)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
