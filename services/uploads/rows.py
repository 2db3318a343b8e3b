"""Uploads as rows: whose they are, how far they are, and what else is on their way."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.access.sessions import Caller
from services.api.problems import ApiError, not_found
from services.db.models import ENDED, Episode, Job, Upload, Video, now
from services.settings import UploadSettings


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot become an episode.

    Attributes:
        status: of the HTTP answer.
        code: for programs.
        detail: for people.
    """

    status: int
    code: str
    detail: str

    def error(self) -> ApiError:
        """The same as an error to raise."""
        return ApiError(self.status, self.code, self.detail)


def find_upload(session: Session, caller: Caller, upload_id: str) -> Upload:
    """An upload that the caller may know of: their own, to an Admin any.

    Raises:
        ApiError: 404.
    """
    upload = session.get(Upload, upload_id)
    if upload is None or (upload.user_id != caller.user_id and caller.role != "admin"):
        raise not_found("upload", upload_id, "List yours with GET /v1/uploads.")
    return upload


def is_whole(upload: Upload) -> bool:
    """Whether every byte has come, and nobody has said yet what becomes of it."""
    return upload.state == "receiving" and upload.offset == upload.length


def is_expired(upload: Upload) -> bool:
    """Whether it was left alone for too long."""
    return upload.state == "receiving" and not is_whole(upload) and upload.expires_at <= now()


def require_alive(upload: Upload) -> None:
    """Refuse to go on with what has ended badly.

    Raises:
        ApiError: 410 where it was refused or has expired.
    """
    if upload.state == "refused":
        raise ApiError(410, "refused", f"This upload was refused: {upload.problem}")
    if is_expired(upload):
        raise ApiError(
            410, "expired", "This upload has expired: no byte came for too long. Create a new one."
        )


def expiry(cfg: UploadSettings) -> datetime:
    """When an upload that is touched now expires."""
    return now() + timedelta(hours=cfg.expire_hours)


def open_uploads(session: Session, user_id: str) -> int:
    """How many unfinished uploads a user has."""
    mine = (Upload.user_id == user_id, Upload.state == "receiving", Upload.expires_at > now())
    return session.scalar(select(func.count()).select_from(Upload).where(*mine)) or 0


def bytes_to_come(session: Session) -> int:
    """What all unfinished uploads together still need on disk."""
    coming = (Upload.state == "receiving", Upload.expires_at > now())
    return int(session.scalar(select(func.sum(Upload.length - Upload.offset)).where(*coming)) or 0)


def find_episode(session: Session, show_id: str, name: str) -> Episode | None:
    """The episode of a show that has this name in paths."""
    return session.scalar(select(Episode).where(Episode.show_id == show_id, Episode.name == name))


def find_conflict(session: Session, episode: Episode | None, length: int, replace: bool) -> Refusal | None:
    """What stands against a file of so many bytes becoming the episode; None where nothing does."""
    if episode is None:
        return None
    working = (Job.episode_id == episode.id, Job.kind.in_(("process", "purge")), Job.state.not_in(ENDED))
    job_id = session.scalar(select(Job.id).where(*working))
    if job_id:
        return busy(episode, job_id)
    video = session.get(Video, episode.video_sha256) if episode.video_sha256 else None
    if video is None or replace or video.size_bytes == length:
        return None
    return Refusal(
        409, "exists",
        f"Episode {episode.name} exists with another content. Give this one another name, or send the "
        "metadata replace=true.",
    )  # fmt: skip


def busy(episode: Episode, job_id: str) -> Refusal:
    """A job writes the episode's artifacts."""
    return Refusal(
        409,
        "busy",
        f"Job {job_id} works on episode {episode.name}. Wait for it or cancel it, then upload again.",
    )
