"""Creating an upload: everything that can be refused is refused before the first byte is sent."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.access.sessions import Caller
from services.api.problems import ApiError
from services.context import Services
from services.db.models import Show, Upload, User
from services.settings import UploadSettings
from services.uploads import parts
from services.uploads.metadata import Wish, read_metadata
from services.uploads.rows import bytes_to_come, expiry, find_conflict, find_episode, open_uploads


def create(session: Session, services: Services, caller: Caller, length: int, metadata: str | None) -> Upload:
    """A new upload, flushed.

    Args:
        session: of the transaction.
        services: of the process.
        caller: whose it is.
        length: bytes of the file.
        metadata: the Upload-Metadata header.

    Raises:
        ApiError: 409, 413, 422, 429, 431 or 507.
    """
    cfg = services.settings.uploads
    _check_length(length, cfg)
    wish = read_metadata(metadata)
    session.get(User, caller.user_id, with_for_update=True)  # a user's creations take turns
    _check_count(session, caller, cfg)
    _check_disk(session, services, length)
    show = _show(session, wish)
    refusal = find_conflict(session, find_episode(session, show.id, wish.episode_name), length, wish.replace)
    if refusal:
        raise refusal.error()
    upload = Upload(
        user_id=caller.user_id,
        length=length,
        file_name=wish.file_name,
        metadata_header=metadata or "",
        show_id=show.id,
        episode_name=wish.episode_name,
        replace=wish.replace,
        expires_at=expiry(cfg),
    )
    session.add(upload)
    session.flush()
    return upload


def _check_length(length: int, cfg: UploadSettings) -> None:
    if length == 0:
        raise ApiError(422, "empty", "A file of 0 bytes is no video. Choose another one.")
    if length > cfg.max_bytes:
        raise ApiError(
            413,
            "too-large",
            f"A file may have {cfg.max_bytes} bytes at most. Encode the video with a lower rate.",
        )


def _check_count(session: Session, caller: Caller, cfg: UploadSettings) -> None:
    if open_uploads(session, caller.user_id) >= cfg.max_open:
        raise ApiError(
            429, "too-many-uploads",
            f"You have {cfg.max_open} unfinished uploads. Finish some, or end them with DELETE; "
            "GET /v1/uploads lists them.",
        )  # fmt: skip


def _check_disk(session: Session, services: Services, length: int) -> None:
    free = parts.free_bytes(services.settings.root)
    left = free - bytes_to_come(session) - length
    if left < services.settings.uploads.keep_free_bytes:
        raise ApiError(
            507, "disk-full",
            f"The disk has no room for {length} bytes more: {free} are free, and unfinished uploads need "
            "some of them. Ask an operator to free space, end unfinished uploads, or wait until they expire.",
        )  # fmt: skip


def _show(session: Session, wish: Wish) -> Show:
    """The show of the title; a new one where there is none of its name in paths."""
    found = select(Show).where(Show.name == wish.show_name)
    if show := session.scalar(found):
        return show
    try:
        with session.begin_nested():
            show = Show(name=wish.show_name, title=wish.show)
            session.add(show)
    except IntegrityError:  # somebody made it at the same moment
        return session.scalars(found).one()
    return show
