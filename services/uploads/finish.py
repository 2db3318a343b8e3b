"""After the last byte: the file is opened as a video, and becomes an episode with a job, exactly once."""

import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from screenalyzer import storage
from screenalyzer.errors import StoreError, VideoError
from services.api.problems import ApiError
from services.context import Services
from services.db.models import Episode, Show, Upload, User
from services.jobs import lifecycle
from services.jobs.send import send
from services.uploads import parts
from services.uploads.check import CheckFailedError, check_video
from services.uploads.metadata import Wish, read_metadata
from services.uploads.parts import UploadHeldError
from services.uploads.rows import Refusal, expiry, find_conflict, find_episode, is_whole

log = logging.getLogger(__name__)

Check = Callable[[Path], None]


def complete_unfinished(services: Services, check: Check = check_video) -> None:
    """Complete the uploads whose last byte came, but whose server was killed before it said so."""
    whole = select(Upload.id).where(Upload.state == "receiving", Upload.offset == Upload.length)
    with services.database.read() as session:
        waiting = session.scalars(whole).all()
    for upload_id in waiting:  # one that cannot be looked at now holds up no other
        try:
            complete_alone(services, upload_id, check)
        except (
            CheckFailedError,
            StoreError,
            OSError,
        ) as e:
            log.warning("upload %s is complete and could not be checked: %s", upload_id, e)


def complete_alone(services: Services, upload_id: str, check: Check) -> None:
    """Complete an upload, unless somebody holds it and does so.

    Raises:
        CheckFailedError: the file could not be checked.
    """
    try:
        with parts.held(services.settings.root, upload_id):
            complete(services, upload_id, check)
    except UploadHeldError:
        return


def complete(services: Services, upload_id: str, check: Check) -> Refusal | None:
    """Make an episode and a job of an upload that is whole; does nothing where that was done.

    Args:
        services: of the process.
        upload_id: of an upload that the caller holds.
        check: opens a file as a video; may take a minute.

    Returns:
        Why it was refused; None where it was not.

    Raises:
        CheckFailedError: the file could not be checked; it stays as it is.
        StoreError: the object store does not answer; likewise.
    """
    with services.database.read() as session:
        upload = session.get(Upload, upload_id)
    if upload is None or not is_whole(upload):
        return None
    refusal = _look(services, upload, check)
    if refusal is None:
        storage.share(parts.part_path(services.settings.root, upload_id))  # any node may go on with it
        try:
            refusal = _take_in(services, upload)
        except IntegrityError:
            refusal = Refusal(
                409,
                "busy",
                f"Another job began on episode {upload.episode_name}. Wait for it, then upload again.",
            )
    if refusal:
        return refuse(services, upload_id, refusal)
    send(services)
    return None


def refuse(services: Services, upload_id: str, refusal: Refusal) -> Refusal:
    """Give an upload up for good, and remove its file; the row says why until it expires."""
    with services.database.write() as session:
        upload = session.get(Upload, upload_id, with_for_update=True)
        if upload is None or upload.state != "receiving":
            return refusal
        upload.state, upload.problem = "refused", refusal.detail
        upload.expires_at = expiry(services.settings.uploads)
    parts.remove(services.settings.root, upload_id)
    log.info("upload %s was refused: %s", upload_id, refusal.detail)
    return refusal


def _look(services: Services, upload: Upload, check: Check) -> Refusal | None:
    path = parts.part_path(services.settings.root, upload.id)
    if not path.is_file() or path.stat().st_size != upload.length:
        return Refusal(410, "lost", "The bytes that came are no longer on the disk. Create a new upload.")
    try:
        check(path)
    except VideoError as e:
        return Refusal(422, "not-a-video", f"{upload.file_name}: {e.what}. {e.advice}.")
    return None


def _take_in(services: Services, found: Upload) -> Refusal | None:
    with services.database.write() as session:
        show = session.get(Show, found.show_id, with_for_update=True)  # before the upload, as a purge does
        upload = session.get(Upload, found.id, with_for_update=True)
        if show is None or upload is None or not is_whole(upload):
            return None
        try:
            wish = read_metadata(upload.metadata_header)
        except ApiError as e:  # what it was created with is not understood any more
            return Refusal(e.status, e.code, e.detail)
        episode = find_episode(session, show.id, upload.episode_name)
        refusal = find_conflict(session, episode, upload.length, upload.replace)
        if refusal:
            return refusal
        _begin(session, upload, wish, episode or _new_episode(session, show, upload, wish))
    return None


def _new_episode(session: Session, show: Show, upload: Upload, wish: Wish) -> Episode:
    episode = Episode(show_id=show.id, name=upload.episode_name, title=wish.episode)
    session.add(episode)
    session.flush()
    return episode


def _begin(session: Session, upload: Upload, wish: Wish, episode: Episode) -> None:
    user = session.get(User, upload.user_id) if upload.user_id else None
    params = {
        "upload_id": upload.id,
        "settings": wish.settings,
        "replace": upload.replace,
        "actor": user.name if user else None,
    }
    job = lifecycle.create(session, "process", user_id=upload.user_id, episode=episode, params=params)
    upload.state, upload.episode_id, upload.job_id = "received", episode.id, job.id
