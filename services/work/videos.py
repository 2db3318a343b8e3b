"""Video files: one for each content, however many episodes show it."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import event, exists, select
from sqlalchemy.orm import Session

from screenalyzer import storage
from services.context import Services
from services.db.models import Episode, Upload, Video


def video_path(services: Services, video: Video) -> Path:
    """Where the file lies."""
    return services.settings.root / video.path


def drop_unused(session: Session, services: Services) -> list[str]:
    """Forget the videos that no episode shows and no upload is about to become; returns their digests.

    The files go after the commit, so that a row never names a file that is not there.
    """
    session.flush()
    if session.scalar(select(_COMING)):
        return []  # an upload's video has its row before its episode names it
    unused = session.scalars(select(Video).where(~exists().where(Episode.video_sha256 == Video.sha256))).all()
    gone = {v.sha256: video_path(services, v) for v in unused}
    for video in unused:
        session.delete(video)
    if gone:
        event.listen(session, "after_commit", lambda _: _remove(services, gone), once=True)
    return list(gone)


_COMING = exists().where(Upload.state == "received")


def _remove(services: Services, gone: dict[str, Path]) -> None:
    with services.database.read() as session:
        kept = set(session.scalars(select(Video.sha256).where(Video.sha256.in_(gone))))
    for sha256, path in gone.items():
        if sha256 not in kept:
            storage.remove(path)
            with suppress(OSError):
                path.parent.rmdir()
